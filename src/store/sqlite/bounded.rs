//! A connection that only reads, each statement within a time limit.

use super::{SqliteError, SqliteStore};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How many steps of SQLite's machine pass between two looks at the clock: well under a
/// millisecond's work.
const STEPS: i32 = 10_000;
/// KiB of pages that such a connection keeps.
const CACHE_KIB: u32 = 1024;

/// Until when the statements of a connection may run; past it they end with an error that
/// [`SqliteError::is_interrupted`] tells.
#[derive(Debug, Clone)]
pub struct TimeLimit {
    from: Instant,
    /// Milliseconds after `from`.
    until: Arc<AtomicU64>,
}

impl TimeLimit {
    fn none_yet() -> TimeLimit {
        TimeLimit { from: Instant::now(), until: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Counts from now.
    pub fn set(&self, limit: Duration) {
        let until = self.from.elapsed() + limit;
        self.until.store(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether its connection is still open.
    #[cfg(test)]
    pub fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.until) > 1
    }

    fn is_left(&self) -> bool {
        self.from.elapsed().as_millis() < u128::from(self.until.load(Ordering::Relaxed))
    }
}

impl SqliteStore {
    /// Opens an outbox that is there and of this version, to look at it.
    pub async fn open_to_read(path: &Path) -> Result<(SqliteStore, TimeLimit), SqliteError> {
        let mut store = SqliteStore::open_existing(path).await?;
        let pragmas = format!("PRAGMA query_only = ON; PRAGMA cache_size = -{CACHE_KIB}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(pragmas)).execute(&mut store.conn).await?;
        let limit = TimeLimit::none_yet();
        let of_handler = limit.clone();
        let mut handle = store.conn.lock_handle().await?;
        handle.set_progress_handler(STEPS, move || of_handler.is_left());
        drop(handle);
        Ok((store, limit))
    }
}

impl SqliteError {
    /// A statement ran longer than its [`TimeLimit`].
    pub fn is_interrupted(&self) -> bool {
        const SQLITE_INTERRUPT: i32 = 9;
        self.sqlite_code() == Some(SQLITE_INTERRUPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_statement_past_its_time_limit_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        SqliteStore::open(&path).await.unwrap();
        let (mut store, limit) = SqliteStore::open_to_read(&path).await.unwrap();
        assert_eq!(store.pauses().await.unwrap(), []);
        limit.set(Duration::from_millis(20));
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                       SELECT count(*) FROM n";
        assert!(store.plain_sql(endless).await.unwrap_err().is_interrupted());
        limit.set(Duration::from_secs(60));
        assert_eq!(store.pauses().await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_connection_to_read_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        SqliteStore::open(&path).await.unwrap();
        let (mut store, _) = SqliteStore::open_to_read(&path).await.unwrap();
        let refused = store.pause(None, None, "").await.unwrap_err().to_string();
        assert!(refused.contains("readonly"), "{refused}");
    }
}
