//! Whether an outbox can be used and what is wrong with it, for `check`.

use super::pooling::begin_as;
use super::postgres_error::Location;
use super::{PostgresError, PostgresStore, within};
use crate::config::PostgresServer;
use crate::queue::examination::{Depth, Examination, Healthy};
use sqlx::{AssertSqlSafe, Row};
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

    async fn read_everything(&mut self) -> Result<(), PostgresError> {
        let scope = if self.units.is_some() { "LOCAL" } else { "SESSION" };
        let no_limit = format!("SET {scope} statement_timeout = 0");
        sqlx::raw_sql(AssertSqlSafe(no_limit)).execute(&mut self.conn).await?;
        for sql in READ_EVERYTHING {
            sqlx::raw_sql(sql).execute(&mut self.conn).await?;
        }
        Ok(())
    }

    /// Whether a write would succeed.
    pub async fn probe_write(&mut self, wait: Duration) -> Result<(), PostgresError> {
        self.take_time().await?;
        // A connection that only reads may do this, too.
        let mut tx = begin_as(&mut self.conn, "READ WRITE").await?;
        let wait = format!("SET LOCAL lock_timeout = {}", wait.as_millis().clamp(1, 60_000));
        sqlx::raw_sql(AssertSqlSafe(wait)).execute(&mut *tx).await?;
        sqlx::raw_sql(WRITE_LOCK).execute(&mut *tx).await?;
        tx.rollback().await?;
        Ok(())
    }
}

/// One call in a unit of work.
macro_rules! unit {
    ($store:ident.$call:ident($($argument:expr),*)) => {{
        $store.begin_unit().await?;
        let done = $store.$call($($argument),*).await;
        $store.end_unit(done).await?
    }};
}

async fn examined(
    server: &PostgresServer,
    depth: Depth,
    caution: &mut Option<String>,
) -> Result<Healthy, PostgresError> {
    let mut store = PostgresStore::open_existing(server).await?;
    *caution = unit!(store.caution());
    let place = Location::of(server);
    if store.is_sandbox() {
        return Err(PostgresError::ForSandbox(place));
    }
    let schema = unit!(store.schema_version());
    let flaws = unit!(store.flaws());
    if !flaws.is_empty() {
        return Err(PostgresError::Flawed { place, flaws: flaws.join("; ") });
    }
    let untouched = unit!(store.untouched());
    if let Some(&first) = untouched.first.first() {
        return Err(PostgresError::Untouched { rows: untouched.count, first });
    }
    unit!(store.probe_write(Duration::from_secs(5)));
    let set_aside = unit!(store.set_aside_summary(0)).count;
    if depth == Depth::Full {
        unit!(store.read_everything());
    }
    store.close().await?;
    Ok(Healthy { schema, set_aside })
}
