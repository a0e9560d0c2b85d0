//! The counts of the status line.

use super::{SqliteError, SqliteStore};
use crate::queue::overview::Backlog;
use sqlx::Row;

// Partial indexes alone are read, and no more than the limit of each.
pub(super) const BACKLOG: &str = "\
SELECT (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE wait = 'ready' LIMIT ?1 + 0)),
    (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE wait = 'parked' LIMIT ?1 + 0))
  + (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE wait = 'backoff' LIMIT ?1 + 0))
  + (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE wait = 'scheduled' LIMIT ?1 + 0))";

impl SqliteStore {
    /// What waits, each kind counted up to [`Backlog::LIMIT`].
    pub async fn backlog(&mut self) -> Result<Backlog, SqliteError> {
        let row =
            sqlx::query(BACKLOG).bind(Backlog::LIMIT as i64).fetch_one(&mut self.conn).await?;
        Ok(Backlog {
            due: row.try_get::<i64, _>(0)?.unsigned_abs(),
            waiting: row.try_get::<i64, _>(1)?.unsigned_abs(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::fixture::outbox;
    use sqlx::Executor;

    #[tokio::test]
    async fn what_is_due_is_told_from_what_waits() {
        let (_folder, mut store) = outbox("").await;
        store
            .conn
            .execute(
                "INSERT INTO outbox (channel, payload, send_at)
                 SELECT 'chat', json_object('caseId', column1, 'message', 'hi'), column2
                 FROM (VALUES (1, NULL), (1, NULL), (2, NULL), (3, datetime('now', '+1 hour')))",
            )
            .await
            .unwrap();
        // The second of case 1 is parked, the one of case 3 scheduled.
        assert_eq!(store.backlog().await.unwrap(), Backlog { due: 2, waiting: 2 });
    }

    #[tokio::test]
    async fn the_counts_read_partial_indexes_alone() {
        let (_folder, mut store) = outbox("").await;
        let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {BACKLOG}")))
            .bind(10)
            .fetch_all(&mut store.conn)
            .await
            .unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        let scans: Vec<_> = plan.iter().filter(|d| d.contains(" outbox")).collect();
        assert_eq!(scans.len(), 4, "{plan:?}");
        assert!(scans.iter().all(|d| d.contains("COVERING INDEX outbox_")), "{plan:?}");
    }
}
