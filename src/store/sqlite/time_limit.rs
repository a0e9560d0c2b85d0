//! A connection that only reads, and whose statements have a time limit.

use super::{SqliteError, SqliteStore};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How many of SQLite's instructions run before the clock is read again: well under a millisecond.
const STEPS: i32 = 10_000;
/// KiB of pages that such a connection keeps.
const CACHE_KIB: u32 = 1024;

/// Until when the statements of a connection may run; then they end with an error for which
/// [`SqliteError::is_interrupted`] is true.
#[derive(Debug, Clone)]
pub(super) struct TimeLimit {
    from: Instant,
    /// Milliseconds after `from`.
    until: Arc<AtomicU64>,
}

impl TimeLimit {
    fn none_yet() -> TimeLimit {
        TimeLimit { from: Instant::now(), until: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Counts from now.
    fn set(&self, limit: Duration) {
        let until = self.from.elapsed() + limit;
        self.until.store(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether its connection is still open.
    #[cfg(test)]
    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.until) > 1
    }

    fn is_left(&self) -> bool {
        self.from.elapsed().as_millis() < u128::from(self.until.load(Ordering::Relaxed))
    }
}

impl SqliteStore {
    /// As [`SqliteStore::open_existing`], only to read.
    pub async fn open_to_read(path: &Path) -> Result<SqliteStore, SqliteError> {
        let mut store = SqliteStore::open_existing(path).await?;
        let pragmas = format!("PRAGMA query_only = ON; PRAGMA cache_size = -{CACHE_KIB}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(pragmas)).execute(&mut store.conn).await?;
        let limit = TimeLimit::none_yet();
        let of_handler = limit.clone();
        let mut handle = store.conn.lock_handle().await?;
        handle.set_progress_handler(STEPS, move || of_handler.is_left());
        drop(handle);
        store.limit = Some(limit);
        Ok(store)
    }

    /// How long the statements from now on may take together. Only a connection that was opened to
    /// read has a limit.
    pub fn limit(&self, limit: Duration) {
        if let Some(of_connection) = &self.limit {
            of_connection.set(limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const ENDLESS: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

    #[tokio::test]
    async fn a_statement_past_its_time_limit_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        SqliteStore::open(&path).await.unwrap();
        let mut store = SqliteStore::open_to_read(&path).await.unwrap();
        assert_eq!(store.pauses(1).await.unwrap(), []);
        store.limit(Duration::from_millis(20));
        assert!(store.execute_sql(ENDLESS).await.unwrap_err().is_interrupted());
        store.limit(Duration::from_secs(60));
        assert_eq!(store.pauses(1).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_connection_to_read_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        SqliteStore::open(&path).await.unwrap();
        let mut store = SqliteStore::open_to_read(&path).await.unwrap();
        let refused = store.pause(None, None, "", None).await.unwrap_err().to_string();
        assert!(refused.contains("readonly"), "{refused}");
    }

    #[tokio::test]
    async fn a_query_that_nobody_waits_for_any_more_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        SqliteStore::open(&path).await.unwrap();
        let mut store = SqliteStore::open_to_read(&path).await.unwrap();
        let limit = store.limit.clone().unwrap();
        store.limit(Duration::from_secs(3600));
        let query = store.execute_sql(ENDLESS);
        assert!(timeout(Duration::from_millis(50), query).await.is_err());
        store.limit(Duration::ZERO);
        drop(store);
        let closed = async {
            while limit.is_in_use() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(60), closed).await.expect("the query ends");
    }
}
