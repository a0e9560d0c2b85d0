//! How far a ready job is from its claim.

use super::{SqliteError, SqliteStore};
use crate::queue::job::Millis;
use crate::queue::story::Position;
use sqlx::Row;

// The order of the claim: the index of what is ready, up to the job itself.
const TURN: &str = "\
SELECT
    (SELECT count(*) FROM (SELECT 1 FROM outbox AS w WHERE w.wait = 'ready' AND w.account = me.account
        AND w.channel = me.channel AND w.priority > me.priority LIMIT ?2 + 0))
  + (SELECT count(*) FROM (SELECT 1 FROM outbox AS w WHERE w.wait = 'ready' AND w.account = me.account
        AND w.channel = me.channel AND w.priority = me.priority AND (w.due_at, w.id) < (me.due_at, me.id) LIMIT ?2 + 0)),
    (SELECT count(*) FROM outbox AS c WHERE c.claimed_by IS NOT NULL AND c.account = me.account AND c.channel = me.channel),
    (SELECT count(*) FROM outbox AS f WHERE f.status IN ('sent', 'failed') AND f.channel = me.channel
        AND f.finished_at >= ?3 AND f.finished_at IS NOT NULL)
FROM outbox AS me WHERE me.id = ?1 AND me.wait = 'ready'";

impl SqliteStore {
    /// What goes before this job; `None` for one that is not ready.
    pub async fn position(
        &mut self,
        id: i64,
        now: Millis,
    ) -> Result<Option<Position>, SqliteError> {
        let row = sqlx::query(TURN)
            .bind(id)
            .bind(Position::LIMIT as i64)
            .bind(now - 60_000)
            .fetch_optional(&mut self.conn)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let count = |at: usize| Ok::<_, SqliteError>(row.try_get::<i64, _>(at)?.unsigned_abs());
        Ok(Some(Position { ahead: count(0)?, in_flight: count(1)?, last_minute: count(2)? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::when::now;
    use crate::store::sqlite::fixture::outbox;
    use sqlx::AssertSqlSafe;

    #[tokio::test]
    async fn what_goes_before_a_job_is_counted_in_the_order_of_the_claim() {
        let (_folder, mut store) = outbox("").await;
        let chat = |priority: i64, account: &str| {
            format!(
                "INSERT INTO outbox (channel, payload, priority, account, ordering_key)
                 VALUES ('chat', '{{\"caseId\": 1, \"message\": \"hi\"}}', {priority}, '{account}', '');"
            )
        };
        let jobs = [(0, "default"), (5, "default"), (0, "default"), (9, "shop"), (0, "default")];
        let jobs = jobs.map(|(priority, account)| chat(priority, account)).concat();
        store.plain_sql(&jobs).await.unwrap();
        let mut ahead = Vec::new();
        for id in 1..=5 {
            ahead.push(store.position(id, now()).await.unwrap().unwrap().ahead);
        }
        assert_eq!(ahead, [1, 0, 2, 0, 3]);
        store.plain_sql("UPDATE outbox SET status = 'cancelled' WHERE id = 5").await.unwrap();
        assert_eq!(store.position(5, now()).await.unwrap(), None);

        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {TURN}")))
            .fetch_all(&mut store.conn)
            .await
            .unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        let up_to_it = "SEARCH w USING COVERING INDEX outbox_ready \
                        (account=? AND channel=? AND priority=? AND due_at<?)";
        assert!(plan.contains(&up_to_it.to_owned()), "{plan:#?}");
        assert!(
            !plan.iter().any(|line| line.starts_with("SCAN f") || line == "SCAN c"),
            "{plan:#?}"
        );
    }
}
