//! Instead of the bell, through a pooler where nothing can be listened to: while the node sleeps, looks
//! whether what it may claim has changed.

use super::{PostgresError, PostgresStore};
use crate::config::PostgresServer;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

const EVERY: Duration = Duration::from_millis(250);
/// How long after an error the connection is tried again.
const AGAIN: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(10);

/// Changes when a job has come, when one can be claimed that could not, when a lane waits for an election, and
/// when a pause has changed; each by an index, however many jobs there are. What it does not show (a commit
/// long after its INSERT, among many) the node's slow look finds.
const STATE: &str = "\
SELECT concat_ws('/', (SELECT max(o.id) FROM outbox o),
    (SELECT count(*) FROM (SELECT 1 FROM outbox o WHERE o.wait IN ('ready', 'arrived') LIMIT 100) c),
    EXISTS (SELECT 1 FROM outbox_elections), (SELECT count(*) FROM outbox_pauses), (SELECT max(p.since) FROM outbox_pauses p))";

/// Never ends.
pub(super) async fn poll(
    server: PostgresServer,
    mut sleeps: watch::Receiver<bool>,
    rung: Arc<Notify>,
) {
    loop {
        if let Ok(mut store) = PostgresStore::open_as("acquire-outbox bell", &server).await {
            let mut before = None;
            // Not while the node is awake: there it looks by itself.
            while sleeps.wait_for(|asleep| *asleep).await.is_ok() {
                sleep(EVERY).await;
                let Ok(Ok(state)) = timeout(ANSWER, store.bell_state()).await else { break };
                if before.as_ref() != Some(&state) {
                    rung.notify_one();
                }
                before = Some(state);
            }
        }
        sleep(AGAIN).await;
    }
}

impl PostgresStore {
    async fn bell_state(&mut self) -> Result<String, PostgresError> {
        self.begin_unit().await?;
        let state = sqlx::query_scalar(STATE).fetch_one(&mut self.conn).await;
        self.end_unit(state.map_err(PostgresError::from)).await
    }
}
