//! Which jobs are still to be sent, and which are left when none of them is due.

use super::lenient::Lenient;
use super::{SqliteError, SqliteStore};
use crate::queue::job::Millis;
use crate::queue::overview::Left;

/// Whether a job is being sent, or will be without a person or a later time: it is claimed, due or
/// in backoff, and not paused. A parked job goes after the first of its key, so it is not looked
/// for. A job that is set aside waits for a person. The rare cases are checked first.
const LEFT_TO_SEND: &str = "\
SELECT EXISTS (SELECT 1 FROM outbox AS o WHERE o.claimed_by IS NOT NULL AND +o.status = 'sending'
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
        + (SELECT count(*) FROM outbox WHERE wait = 'parked') AS paused,
    (SELECT count(*) FROM outbox_set_aside) AS set_aside";

impl SqliteStore {
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
    use sqlx::{AssertSqlSafe, Row};

    fn chat(account: &str, ordering_key: &str, send_at: &str) -> String {
        format!(
            "INSERT INTO outbox (channel, payload, account, ordering_key, send_at)
             VALUES ('chat', '{{\"caseId\": 1, \"message\": \"hi\"}}', '{account}', '{ordering_key}', {send_at});"
        )
    }

    #[tokio::test]
    async fn what_is_paused_or_for_later_and_what_waits_behind_it_is_not_left_to_send() {
        let (_folder, mut store) = outbox("").await;
        assert!(!store.is_any_left_to_send(now()).await.unwrap());
        let later = "datetime('now', '+1 day')";
        store.plain_sql(&chat("shop", "k", later)).await.unwrap();
        assert!(!store.is_any_left_to_send(now()).await.unwrap());
        let tomorrow = now() + 25 * 3_600_000;
        assert!(store.is_any_left_to_send(tomorrow).await.unwrap(), "by then it is due");
        store.plain_sql(&chat("shop", "k", "NULL")).await.unwrap();
        store.plain_sql(&chat("default", "k", "NULL")).await.unwrap();
        assert!(store.is_any_left_to_send(now()).await.unwrap());
        store.pause(Some("shop"), None, "").await.unwrap();
        assert!(!store.is_any_left_to_send(now()).await.unwrap());
        let left = store.left().await.unwrap();
        assert_eq!((left.scheduled, left.paused, left.set_aside), (1, 2, 0));
        assert!(left.next_due.is_some_and(|due| due > now() && due <= tomorrow));
        store.plain_sql(&chat("default", "other", "NULL")).await.unwrap();
        assert!(store.is_any_left_to_send(now()).await.unwrap());
    }

    #[tokio::test]
    async fn what_is_left_is_asked_of_the_indexes_of_what_waits() {
        let (_folder, mut store) = outbox("").await;
        for (sql, expected) in [(LEFT_TO_SEND, 4), (LEFT, 5)] {
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
}
