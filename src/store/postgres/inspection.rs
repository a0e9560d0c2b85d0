//! Whether an outbox can be used and what is wrong with it, for `check`.

use super::postgres_error::Location;
use super::{PostgresError, PostgresStore, within};
use crate::config::PostgresServer;
use crate::queue::examination::{Depth, Examination, Healthy};
use sqlx::{AssertSqlSafe, Connection, Row};
use std::time::Duration;

/// Conflicts with whatever keeps jobs from being written, and with no producer.
const WRITE_LOCK: &str = "LOCK TABLE outbox IN ROW EXCLUSIVE MODE";

const DURABILITY: &str = "SELECT current_setting('fsync'), current_setting('synchronous_commit')";

/// Each reads every value, so what cannot be read ends it.
const READ_EVERYTHING: [&str; 2] = [
    "SELECT count(hashtext(o::text)) FROM outbox o",
    "SELECT count(hashtext(a::text)) FROM outbox_attempts a",
];

impl PostgresStore {
    /// Opens the outbox as it is, and takes the lock of a write for a moment; nothing is written.
    pub async fn examine(server: &PostgresServer, depth: Depth) -> Examination {
        let mut caution = None;
        let examined = examined(server, depth, &mut caution);
        let verdict = match depth {
            Depth::Quick => within(Duration::from_secs(60), examined).await,
            Depth::Full => examined.await,
        };
        Examination { verdict: verdict.map_err(|e| e.to_string()), caution }
    }

    /// What the server's settings put at risk.
    async fn caution(&mut self) -> Result<Option<String>, PostgresError> {
        let row = sqlx::query(DURABILITY).fetch_one(&mut self.conn).await?;
        let (fsync, commit): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        Ok(if fsync == "off" {
            Some(
                "the server runs with fsync = off: when its machine fails, jobs are lost or sent \
                 twice, and the database may be damaged; turn it on"
                    .to_owned(),
            )
        } else if commit == "off" {
            Some(
                "synchronous_commit is off for this user: when the server fails, jobs that were \
                 inserted in its last moments are lost; turn it on"
                    .to_owned(),
            )
        } else {
            None
        })
    }

    /// Whether a write would succeed.
    pub async fn probe_write(&mut self, wait: Duration) -> Result<(), PostgresError> {
        self.take_time().await?;
        // A connection that only reads may do this, too.
        let mut tx = self.conn.begin_with("BEGIN READ WRITE").await?;
        let wait = format!("SET LOCAL lock_timeout = {}", wait.as_millis().clamp(1, 60_000));
        sqlx::raw_sql(AssertSqlSafe(wait)).execute(&mut *tx).await?;
        sqlx::raw_sql(WRITE_LOCK).execute(&mut *tx).await?;
        tx.rollback().await?;
        Ok(())
    }
}

async fn examined(
    server: &PostgresServer,
    depth: Depth,
    caution: &mut Option<String>,
) -> Result<Healthy, PostgresError> {
    let mut store = PostgresStore::open_existing(server).await?;
    *caution = store.caution().await?;
    let place = Location::of(server);
    if store.is_sandbox() {
        return Err(PostgresError::ForSandbox(place));
    }
    let schema = store.schema_version().await?;
    let flaws = store.flaws().await?;
    if !flaws.is_empty() {
        return Err(PostgresError::Flawed { place, flaws: flaws.join("; ") });
    }
    let untouched = store.untouched().await?;
    if let Some(&first) = untouched.first.first() {
        return Err(PostgresError::Untouched { rows: untouched.count, first });
    }
    store.probe_write(Duration::from_secs(5)).await?;
    let set_aside = store.set_aside_summary(0).await?.count;
    if depth == Depth::Full {
        sqlx::raw_sql("SET statement_timeout = 0").execute(&mut store.conn).await?;
        for sql in READ_EVERYTHING {
            sqlx::raw_sql(sql).execute(&mut store.conn).await?;
        }
    }
    store.close().await?;
    Ok(Healthy { schema, set_aside })
}
