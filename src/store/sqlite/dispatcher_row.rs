//! The dispatcher of a file as a node: there is one at a time, and only the last one is recorded.

use super::lenient::{Lenient, unless_missing};
use super::{SqliteError, SqliteStore};
use crate::queue::node::{Node, Nodes, Standing};
use crate::queue::when::now;

const LAST_DISPATCHER: &str = "\
SELECT epoch, pid, started_at,
    (SELECT count(*) FROM outbox WHERE claimed_by IS NOT NULL AND +status = 'sending') AS sending
FROM outbox_dispatcher WHERE pid IS NOT NULL";

impl SqliteStore {
    /// `is_held`: whether a dispatcher has the lock.
    pub async fn nodes(&mut self, is_held: bool) -> Result<Nodes, SqliteError> {
        let row = sqlx::query(LAST_DISPATCHER).fetch_optional(&mut self.conn).await;
        let row = unless_missing(row.map_err(SqliteError::from))?;
        let node = row.map(|row| {
            let count = |column| row.whole(column).unwrap_or_default();
            let sending = count("sending").unsigned_abs();
            let standing = match (is_held, sending) {
                (true, _) => Standing::Working,
                (false, 0) => Standing::Ended,
                (false, _) => Standing::Dead,
            };
            Node {
                epoch: count("epoch"),
                name: format!("process {}", count("pid")),
                version: String::new(),
                accounts: None,
                since: count("started_at"),
                standing,
                lease_until: None,
                polls: false,
                sending,
            }
        });
        Ok(Nodes { now: now(), nodes: node.into_iter().collect() })
    }
}
