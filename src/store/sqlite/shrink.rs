//! The file shrinks again: pages that nothing uses any more go back to the file system.

use super::{SqliteError, SqliteStore};
use sqlx::{AssertSqlSafe, Row};

/// Free pages that are kept for what comes next: so many, or this part of the file.
const KEPT_PAGES: i64 = 1_000;
const KEPT_PART: i64 = 10;
/// Pages that one transaction gives back: as many may have to be moved.
const STEP: i64 = 250;

// 2: incremental. An application's own file, or one of before, is as it was made.
pub(super) const SPACE: &str = "\
SELECT (SELECT auto_vacuum = 2 FROM pragma_auto_vacuum), (SELECT freelist_count FROM pragma_freelist_count),
    (SELECT page_count FROM pragma_page_count)";

/// What one step has done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Shrunk {
    /// Pages given back.
    pub pages: u64,
    /// There are more than are kept.
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

impl SqliteStore {
    /// Gives back some free pages, where there are many and the file is one that can.
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
            // The file itself gets shorter by a checkpoint, and nobody may write for a long time.
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
    use std::path::Path;

    /// 2,000 rows of 4 KB, and then none of them.
    const FILL_AND_EMPTY: &str = "
        INSERT INTO outbox (channel, payload) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
            SELECT 'chat', json_object('caseId', i, 'message', hex(randomblob(2000))) FROM n;
        UPDATE outbox SET status = 'cancelled';";

    async fn emptied(path: &Path) -> SqliteStore {
        let mut store = SqliteStore::open(path).await.unwrap();
        store.plain_sql(FILL_AND_EMPTY).await.unwrap();
        while store.prune(crate::queue::job::Status::Cancelled, now() + 1).await.unwrap().more {}
        store
    }

    fn bytes(path: &Path) -> u64 {
        std::fs::metadata(path).unwrap().len()
    }

    #[tokio::test]
    async fn a_file_of_our_own_gives_back_what_is_free_but_for_a_stock() {
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
        assert_eq!(bytes(&path), 4096 * left.all.unsigned_abs(), "shorter on the disk, too");
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
    async fn a_file_that_cannot_give_back_is_left_alone() {
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
}
