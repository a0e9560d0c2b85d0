//! What waits: the counts of the status line, whether anything is still to be sent, and what is left
//! when nothing is.

use super::lenient::Lenient;
use super::{SqliteError, SqliteStore};
use crate::queue::job::Millis;
use crate::queue::overview::{Backlog, Left};
use sqlx::Row;

/// Whether a job is being sent, or will be without a person or a later time: it is claimed, due or
/// in backoff, or looked for at Acquire, and not paused. A parked job goes after the first of its key, so it is not looked
/// for. A job that is set aside waits for a person. The rare cases are checked first.
const LEFT_TO_SEND: &str = "\
SELECT EXISTS (SELECT 1 FROM outbox AS o WHERE o.claimed_by IS NOT NULL AND +o.status = 'sending'
        AND o.id NOT IN (SELECT job_id FROM outbox_set_aside))
    OR EXISTS (SELECT 1 FROM outbox AS o WHERE o.wait = 'verifying' AND NOT EXISTS (
        SELECT 1 FROM outbox_pauses AS p WHERE p.account IN ('', o.account) AND p.channel IN ('', o.channel))
        AND o.id NOT IN (SELECT job_id FROM outbox_set_aside))
    OR EXISTS (SELECT 1 FROM outbox AS o WHERE o.wait = 'backoff' AND NOT EXISTS (
        SELECT 1 FROM outbox_pauses AS p WHERE p.account IN ('', o.account) AND p.channel IN ('', o.channel))
        AND o.id NOT IN (SELECT job_id FROM outbox_set_aside))
    OR EXISTS (SELECT 1 FROM outbox AS o WHERE o.wait = 'scheduled' AND o.due_at <= ?1
        AND o.id NOT IN (SELECT job_id FROM outbox_set_aside))
    OR EXISTS (SELECT 1 FROM outbox AS o WHERE o.wait = 'ready' AND NOT EXISTS (
        SELECT 1 FROM outbox_pauses AS p WHERE p.account IN ('', o.account) AND p.channel IN ('', o.channel))
        AND o.id NOT IN (SELECT job_id FROM outbox_set_aside))";

const LEFT: &str = "\
SELECT (SELECT count(*) FROM outbox WHERE wait = 'scheduled') AS scheduled,
    (SELECT min(due_at) FROM outbox WHERE wait = 'scheduled' AND due_at < 253402300800000) AS next_due,
    (SELECT count(*) FROM outbox WHERE wait = 'ready') + (SELECT count(*) FROM outbox WHERE wait = 'backoff')
        + (SELECT count(*) FROM outbox WHERE wait = 'parked') + (SELECT count(*) FROM outbox WHERE wait = 'verifying') AS paused,
    (SELECT count(*) FROM outbox_set_aside) AS set_aside";

// A parked job has a head, which is one of these.
pub(super) const ANY_LEFT: &str = "\
SELECT EXISTS (SELECT 1 FROM outbox WHERE wait = 'ready' AND id NOT IN (SELECT job_id FROM outbox_set_aside))
    OR EXISTS (SELECT 1 FROM outbox WHERE wait = 'backoff' AND id NOT IN (SELECT job_id FROM outbox_set_aside))
    OR EXISTS (SELECT 1 FROM outbox WHERE wait = 'scheduled' AND id NOT IN (SELECT job_id FROM outbox_set_aside))
    OR EXISTS (SELECT 1 FROM outbox WHERE claimed_by IS NOT NULL AND +status = 'sending'
        AND id NOT IN (SELECT job_id FROM outbox_set_aside))";

// Reads only partial indexes, and only up to the limit of each.
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

    /// Whether no job is `pending` or `sending`, except those that are set aside and those that
    /// wait behind them.
    pub async fn is_empty(&mut self) -> Result<bool, SqliteError> {
        let left: i64 = sqlx::query_scalar(ANY_LEFT).fetch_one(&mut self.conn).await?;
        Ok(left == 0)
    }

    /// Whether any job is being sent, or will be without a person or a time later than `now`.
    pub async fn is_any_left_to_send(&mut self, now: Millis) -> Result<bool, SqliteError> {
        Ok(sqlx::query_scalar(LEFT_TO_SEND).bind(now).fetch_one(&mut self.conn).await?)
    }

    /// Counts the jobs that are left when nothing is left to send.
    pub async fn left(&mut self) -> Result<Left, SqliteError> {
        let row = sqlx::query(LEFT).fetch_one(&mut self.conn).await?;
        let count = |column: &str| row.whole(column).unwrap_or_default();
        Ok(Left {
            scheduled: count("scheduled"),
            next_due: row.due("next_due"),
            paused: count("paused"),
            set_aside: count("set_aside"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::when::now;
    use crate::store::sqlite::fixture::outbox;
    use sqlx::{AssertSqlSafe, Executor, Row};

    fn chat(account: &str, ordering_key: &str, send_at: &str) -> String {
        format!(
            "INSERT INTO outbox (channel, payload, account, ordering_key, send_at)
             VALUES ('chat', '{{\"caseId\": 1, \"message\": \"hi\"}}', '{account}', '{ordering_key}', {send_at});"
        )
    }

    #[tokio::test]
    async fn what_is_paused_or_scheduled_and_what_waits_behind_it_is_not_left_to_send() {
        let (_folder, mut store) = outbox("").await;
        assert!(!store.is_any_left_to_send(now()).await.unwrap());
        let later = "datetime('now', '+1 day')";
        store.execute_sql(&chat("shop", "k", later)).await.unwrap();
        assert!(!store.is_any_left_to_send(now()).await.unwrap());
        let tomorrow = now() + 25 * 3_600_000;
        assert!(store.is_any_left_to_send(tomorrow).await.unwrap(), "by then it is due");
        store.execute_sql(&chat("shop", "k", "NULL")).await.unwrap();
        store.execute_sql(&chat("default", "k", "NULL")).await.unwrap();
        assert!(store.is_any_left_to_send(now()).await.unwrap());
        store.pause(Some("shop"), None, "", None).await.unwrap();
        assert!(!store.is_any_left_to_send(now()).await.unwrap());
        let left = store.left().await.unwrap();
        assert_eq!((left.scheduled, left.paused, left.set_aside), (1, 2, 0));
        assert!(left.next_due.is_some_and(|due| due > now() && due <= tomorrow));
        store.execute_sql(&chat("default", "other", "NULL")).await.unwrap();
        assert!(store.is_any_left_to_send(now()).await.unwrap());
    }

    #[tokio::test]
    async fn what_is_left_is_asked_of_the_indexes_of_what_waits() {
        let (_folder, mut store) = outbox("").await;
        for (sql, expected) in [(LEFT_TO_SEND, 5), (LEFT, 6)] {
            let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
                .fetch_all(&mut store.conn)
                .await
                .unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
            let of_jobs =
                |line: &&String| [" o ", " outbox "].iter().any(|table| line.contains(table));
            let reads: Vec<_> = plan.iter().filter(of_jobs).collect();
            assert_eq!(reads.len(), expected, "{plan:#?}");
            assert!(reads.iter().all(|line| line.contains("INDEX outbox_")), "{plan:#?}");
        }
    }

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
