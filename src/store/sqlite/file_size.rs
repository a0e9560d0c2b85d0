//! The size of the files: free pages are returned to the file system, and a long write-ahead log is
//! emptied. The statistics that another program's ANALYZE made of the outbox's tables are deleted.

use super::busy_handler::BusyWait;
use super::{RealPath, SqliteError, SqliteStore};
use sqlx::{AssertSqlSafe, Row};
use std::time::Duration;

/// A longer log is emptied; SQLite itself never shortens one that grew because of a reader.
const LOG_BYTES: u64 = 16 * 1024 * 1024;
/// How long emptying the log may wait for readers. Producers wait as long, because it has the write lock.
const LOG_WAIT: Duration = Duration::from_millis(100);

/// Free pages that are kept for the next jobs: this many, or this fraction of the file if that is more.
const KEPT_PAGES: i64 = 1_000;
const KEPT_PART: i64 = 10;
/// How many pages one transaction returns; it may have to move as many.
const STEP: i64 = 250;

// 2 is incremental. An application's own file keeps the mode that it was created with.
pub(super) const SPACE: &str = "\
SELECT (SELECT auto_vacuum = 2 FROM pragma_auto_vacuum), (SELECT freelist_count FROM pragma_freelist_count),
    (SELECT page_count FROM pragma_page_count)";

/// What one step did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Shrunk {
    /// Pages that were returned.
    pub pages: u64,
    /// There are more to return.
    pub more: bool,
}

/// The file's pages.
struct Space {
    gives_back: bool,
    free: i64,
    all: i64,
}

impl Space {
    fn is_worth_it(&self) -> bool {
        self.gives_back && self.free > KEPT_PAGES && self.free > self.all / KEPT_PART
    }
}

// Our statements need no statistics. Statistics from when there were three jobs make SQLite scan the whole
// table even when there are a million.
const THERE: &str = "\
SELECT name FROM sqlite_schema WHERE name IN ('sqlite_stat1', 'sqlite_stat4') AND type = 'table'";

impl SqliteStore {
    /// Empties the log if it is long and nobody reads from it. True if it is still long, and another try
    /// later may help.
    pub async fn shorten_log(&mut self) -> Result<bool, SqliteError> {
        let log = RealPath::of(self.path())?.with_ending("-wal");
        if std::fs::metadata(log).map_or(0, |log| log.len()) <= LOG_BYTES {
            return Ok(false);
        }
        // Most of the work first, without the write lock.
        let (copied, all) = self.checkpoint("PASSIVE").await?;
        if copied < all {
            return Ok(true);
        }
        self.busy_handler.set(LOG_WAIT, BusyWait::Sleeping);
        let done = self.checkpoint("TRUNCATE").await;
        self.busy_handler.set_usual();
        done.map(|(_, left)| left > 0)
    }

    /// How many frames of the log have been copied to the database, and how many there are.
    pub(super) async fn checkpoint(&mut self, mode: &str) -> Result<(i64, i64), SqliteError> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut self.conn).await?;
        Ok((row.try_get(2)?, row.try_get(1)?))
    }

    /// Deletes the statistics of the outbox's tables, but of no others. True if there were any.
    pub async fn forget_statistics(&mut self) -> Result<bool, SqliteError> {
        let tables: Vec<String> = sqlx::query_scalar(THERE).fetch_all(&mut self.conn).await?;
        let mut any = false;
        for table in tables {
            // No write lock where there is nothing to delete.
            let (found, delete) = match table.as_str() {
                "sqlite_stat1" => (
                    "SELECT EXISTS (SELECT 1 FROM sqlite_stat1 WHERE tbl GLOB 'outbox*')",
                    "DELETE FROM sqlite_stat1 WHERE tbl GLOB 'outbox*'",
                ),
                _ => (
                    "SELECT EXISTS (SELECT 1 FROM sqlite_stat4 WHERE tbl GLOB 'outbox*')",
                    "DELETE FROM sqlite_stat4 WHERE tbl GLOB 'outbox*'",
                ),
            };
            if sqlx::query_scalar(found).fetch_one(&mut self.conn).await? {
                sqlx::query(delete).execute(&mut self.conn).await?;
                any = true;
            }
        }
        if any {
            // This analyzes nothing: it makes SQLite reload the statistics that are left.
            sqlx::query("ANALYZE sqlite_schema").execute(&mut self.conn).await?;
        }
        Ok(any)
    }

    /// Returns some free pages, if there are many and the file's mode allows it.
    pub async fn shrink(&mut self) -> Result<Shrunk, SqliteError> {
        let before = self.space().await?;
        if !before.is_worth_it() {
            return Ok(Shrunk::default());
        }
        let give_back = AssertSqlSafe(format!("PRAGMA incremental_vacuum({STEP})"));
        sqlx::query(give_back).execute(&mut self.conn).await?;
        let after = self.space().await?;
        let more = after.is_worth_it() && after.free < before.free;
        if !more {
            // The file itself gets shorter only at a checkpoint, and nobody may write for a long time.
            self.checkpoint("PASSIVE").await?;
        }
        Ok(Shrunk { pages: u64::try_from(before.all - after.all).unwrap_or(0), more })
    }

    async fn space(&mut self) -> Result<Space, SqliteError> {
        let row = sqlx::query(SPACE).fetch_one(&mut self.conn).await?;
        Ok(Space { gives_back: row.try_get(0)?, free: row.try_get(1)?, all: row.try_get(2)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::when::now;
    use crate::store::sqlite::statements;
    use std::path::Path;

    /// 2,000 rows of 4 KB, and then none of them.
    const FILL_AND_EMPTY: &str = "
        INSERT INTO outbox (channel, payload) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
            SELECT 'chat', json_object('caseId', i, 'message', hex(randomblob(2000))) FROM n;
        UPDATE outbox SET status = 'cancelled';";

    async fn emptied(path: &Path) -> SqliteStore {
        let mut store = SqliteStore::open(path).await.unwrap();
        store.execute_sql(FILL_AND_EMPTY).await.unwrap();
        while store.prune(crate::queue::job::Status::Cancelled, now() + 1).await.unwrap().more {}
        store
    }

    fn bytes(path: &Path) -> u64 {
        std::fs::metadata(path).unwrap().len()
    }

    #[tokio::test]
    async fn our_own_file_returns_all_free_pages_except_a_reserve() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        let mut store = emptied(&path).await;
        let full = store.space().await.unwrap();
        assert!(full.free > 2_000, "{}", full.free);
        let mut steps = 1;
        while store.shrink().await.unwrap().more {
            steps += 1;
        }
        assert!(steps >= (full.free - KEPT_PAGES) / STEP, "{steps} steps");
        let left = store.space().await.unwrap();
        assert!((KEPT_PAGES - STEP..=KEPT_PAGES).contains(&left.free), "{}", left.free);
        assert_eq!(bytes(&path), 4096 * left.all.unsigned_abs(), "shorter on disk as well");
        assert!(store.damage().await.unwrap().is_empty());
        assert_eq!(store.shrink().await.unwrap(), Shrunk::default());
    }

    #[tokio::test]
    async fn an_applications_own_file_stays_as_it_was_made() {
        let folder = tempfile::tempdir().unwrap();
        for (name, mode) in [("none.db", 0), ("full.db", 1), ("incremental.db", 2)] {
            let path = folder.path().join(name);
            let made = format!("PRAGMA auto_vacuum = {mode}; CREATE TABLE own (x)");
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
            let options = options.create_if_missing(true);
            let mut own = sqlx::ConnectOptions::connect(&options).await.unwrap();
            sqlx::raw_sql(sqlx::AssertSqlSafe(made)).execute(&mut own).await.unwrap();
            let mut store = SqliteStore::open(&path).await.unwrap();
            let is: i64 =
                sqlx::query_scalar("PRAGMA auto_vacuum").fetch_one(&mut store.conn).await.unwrap();
            assert_eq!(is, mode, "{name}");
        }
    }

    #[tokio::test]
    async fn a_file_whose_mode_does_not_allow_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let options = options.create_if_missing(true);
        let mut own = sqlx::ConnectOptions::connect(&options).await.unwrap();
        sqlx::raw_sql("CREATE TABLE own (x)").execute(&mut own).await.unwrap();
        let mut store = emptied(&path).await;
        assert_eq!(store.shrink().await.unwrap(), Shrunk::default());
        assert!(store.space().await.unwrap().free > 2_000);
    }

    /// Whether `move_retries` scans the whole table.
    async fn scans(store: &mut SqliteStore) -> bool {
        let is_it = |(name, _): &(String, String)| name == "move_retries";
        let sql = statements().into_iter().find(is_it).unwrap().1;
        let plan = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
        let plan = plan.fetch_all(&mut store.conn).await.unwrap();
        plan.iter().any(|row| row.get::<&str, _>("detail") == "SCAN outbox")
    }

    #[tokio::test]
    async fn a_table_that_was_analyzed_when_it_was_small_is_not_scanned_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        let mut store = SqliteStore::open(&path).await.unwrap();
        assert!(!store.forget_statistics().await.unwrap());

        let mut other = SqliteStore::open_existing(&path).await.unwrap();
        let small = "CREATE TABLE own (x); CREATE INDEX own_x ON own (x); INSERT INTO own VALUES (1);
            INSERT INTO outbox (channel, payload) VALUES ('chat', '{\"caseId\": 1, \"message\": \"m\"}');
            ANALYZE";
        other.execute_sql(small).await.unwrap();
        store.look().await.unwrap();
        assert!(scans(&mut store).await, "old statistics cause a scan");

        assert!(store.forget_statistics().await.unwrap());
        assert!(!scans(&mut store).await);
        let left: Vec<String> =
            sqlx::query_scalar("SELECT DISTINCT tbl FROM sqlite_stat1 WHERE tbl GLOB 'o*'")
                .fetch_all(&mut store.conn)
                .await
                .unwrap();
        assert_eq!(left, ["own"]);

        other.execute_sql("ANALYZE").await.unwrap();
        let mut next = SqliteStore::open(&path).await.unwrap();
        assert!(!scans(&mut next).await);
    }
}
