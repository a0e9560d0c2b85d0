//! What a person may decide about a restored backup: jobs that wait in it become `uncertain`,
//! because they may have been delivered.

use super::{SqliteError, SqliteStore};
use crate::queue::job::Millis;
use crate::queue::when::now;
use sqlx::Connection;

/// How many jobs one transaction changes at most, so that no producer waits long.
const BATCH: i64 = 500;

/// Reads only the partial indexes of waiting jobs.
const DUE_UNTIL: &str = "\
SELECT json_group_array(id) FROM (
    SELECT id FROM outbox WHERE wait = 'ready' AND due_at <= ?1
    UNION ALL SELECT id FROM outbox WHERE wait = 'backoff' AND due_at <= ?1
    UNION ALL SELECT id FROM outbox WHERE wait = 'scheduled' AND due_at <= ?1
    UNION ALL SELECT id FROM outbox WHERE wait = 'parked' AND due_at <= ?1
    -- Somebody may have given it another time since the restore, and nobody knows when that was: it may have been
    -- due before. The INSERT is a row's first move.
    UNION ALL SELECT id FROM outbox WHERE wait = 'ready' AND due_at > ?1 AND moves > 1 AND created_at <= ?1
    UNION ALL SELECT id FROM outbox WHERE wait = 'backoff' AND due_at > ?1 AND moves > 1 AND created_at <= ?1
    UNION ALL SELECT id FROM outbox WHERE wait = 'scheduled' AND due_at > ?1 AND moves > 1 AND created_at <= ?1
    UNION ALL SELECT id FROM outbox WHERE wait = 'parked' AND due_at > ?1 AND moves > 1 AND created_at <= ?1
    LIMIT ?2)";

// The triggers only allow this as a claim and its record. That attempt represents the one that may have
// been made before the file was restored.
const CLAIM: &str = "\
UPDATE outbox SET status = 'sending', moves = moves + 1, wait = NULL, attempts = attempts + 1, next_attempt_at = NULL,
    claimed_by = (SELECT epoch FROM outbox_dispatcher), updated_at = ?2
WHERE status = 'pending' AND id IN (SELECT value FROM json_each(?1))";

const MAKE_UNCERTAIN: &str = "\
UPDATE outbox SET status = 'uncertain', holds = NULL, moves = moves + 1, claimed_by = NULL, attempts = attempts - 1,
    error_code = 'restored', error = 'a backup was restored; the message may have been sent after the backup was made',
    verify_from = ifnull(verify_from, min(due_at, created_at)), verify_until = ?2, updated_at = ?2
WHERE status = 'sending' AND id IN (SELECT value FROM json_each(?1))";

impl SqliteStore {
    /// Makes a batch of the pending jobs that were due by `until`, or may have been, uncertain. Returns how many; 0 if none
    /// was left. Everything must be paused.
    pub async fn resolve_restored(&mut self, until: Millis) -> Result<u64, SqliteError> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        let ids: String =
            sqlx::query_scalar(DUE_UNTIL).bind(until).bind(BATCH).fetch_one(&mut *tx).await?;
        let now = now();
        let claimed = sqlx::query(CLAIM).bind(&ids).bind(now).execute(&mut *tx).await?;
        sqlx::query(MAKE_UNCERTAIN).bind(&ids).bind(now).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(claimed.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::filter::{Filter, Page};
    use crate::queue::story::Delivery;
    use crate::store::sqlite::fixture::{chat, outbox};

    #[tokio::test]
    async fn what_was_due_becomes_uncertain_in_every_part_of_the_queue() {
        let later = chat(2, "datetime('now', '+1 day')");
        let jobs = [chat(1, "NULL").repeat(3), later, chat(3, "NULL")].concat();
        let (_folder, mut store) = outbox(&jobs).await;
        assert_eq!(store.resolve_restored(now() - 60_000).await.unwrap(), 0);
        assert_eq!(store.resolve_restored(now() + 60_000).await.unwrap(), 4);
        assert_eq!(store.resolve_restored(now() + 60_000).await.unwrap(), 0);
        let all = store.deliveries(&Filter::default(), &Page::newest(9)).await.unwrap();
        let states = |job: &Delivery| (job.id, job.status.clone(), job.attempts);
        let mut states: Vec<_> = all.iter().map(states).collect();
        states.sort();
        let uncertain = |id| (id, "uncertain".to_owned(), 0);
        let expected =
            [uncertain(1), uncertain(2), uncertain(3), (4, "pending".to_owned(), 0), uncertain(5)];
        assert_eq!(states, expected);
        // After a person's decision, the order of the key is complete again.
        store.execute_sql("UPDATE outbox SET status = 'pending' WHERE id = 2").await.unwrap();
        store.execute_sql("UPDATE outbox SET status = 'sent' WHERE id = 1").await.unwrap();
        store.execute_sql(&chat(1, "NULL")).await.unwrap();
        let ready = "SELECT count(*) FROM outbox WHERE wait = 'ready'";
        let ready: i64 = sqlx::query_scalar(ready).fetch_one(&mut store.conn).await.unwrap();
        assert_eq!(ready, 1);
    }

    #[tokio::test]
    async fn what_got_another_time_since_the_restore_becomes_uncertain_too() {
        let later = chat(2, "datetime('now', '+1 day')");
        let (_folder, mut store) = outbox(&[chat(1, "NULL"), later].concat()).await;
        let restored = now();
        while now() == restored {
            tokio::task::yield_now().await;
        }
        store.execute_sql(&chat(3, "NULL")).await.unwrap();
        let moved = "UPDATE outbox SET send_at = datetime('now', '+1 hour') WHERE id IN (1, 3)";
        store.execute_sql(moved).await.unwrap();
        // Nobody has touched 2, and 3 is new. Also if the pause was written after the change.
        assert_eq!(store.resolve_restored(restored).await.unwrap(), 1);
        let (_folder, mut later_paused) = outbox(&chat(1, "NULL")).await;
        let moved = "UPDATE outbox SET send_at = datetime('now', '+1 hour') WHERE id = 1";
        later_paused.execute_sql(moved).await.unwrap();
        assert_eq!(later_paused.resolve_restored(now()).await.unwrap(), 1);
        let uncertain = "SELECT id FROM outbox WHERE status = 'uncertain'";
        let uncertain: i64 =
            sqlx::query_scalar(uncertain).fetch_one(&mut store.conn).await.unwrap();
        assert_eq!(uncertain, 1);
    }
}
