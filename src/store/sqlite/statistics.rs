//! What ANALYZE leaves behind of the outbox, by whichever program: it is taken away.
//!
//! The statements need no statistics. Those of a day when there were three jobs say that reading
//! the whole table is the quickest way to any of them, and are believed when there are a million.

use super::{SqliteError, SqliteStore};

const THERE: &str = "\
SELECT name FROM sqlite_schema WHERE name IN ('sqlite_stat1', 'sqlite_stat4') AND type = 'table'";

impl SqliteStore {
    /// Deletes the statistics of the outbox's tables, if there are any; no other table's. True: it did.
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
            // Analyzes nothing: it reads anew what there is.
            sqlx::query("ANALYZE sqlite_schema").execute(&mut self.conn).await?;
        }
        Ok(any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::statements;
    use sqlx::{AssertSqlSafe, Row};

    /// Whether the move of the retries reads the whole table.
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
        other.plain_sql(small).await.unwrap();
        store.look().await.unwrap();
        assert!(scans(&mut store).await, "what this is about");

        assert!(store.forget_statistics().await.unwrap());
        assert!(!scans(&mut store).await);
        let left: Vec<String> =
            sqlx::query_scalar("SELECT DISTINCT tbl FROM sqlite_stat1 WHERE tbl GLOB 'o*'")
                .fetch_all(&mut store.conn)
                .await
                .unwrap();
        assert_eq!(left, ["own"]);

        other.plain_sql("ANALYZE").await.unwrap();
        let mut next = SqliteStore::open(&path).await.unwrap();
        assert!(!scans(&mut next).await);
    }
}
