//! Recent failures, grouped by their error.

use super::lenient::Lenient;
use super::{SqliteError, SqliteStore};
use crate::queue::overview::{FailureGroup, LOOKED_AT};
use sqlx::FromRow;
use sqlx::sqlite::SqliteRow;

impl FromRow<'_, SqliteRow> for FailureGroup {
    fn from_row(row: &SqliteRow) -> sqlx::Result<FailureGroup> {
        Ok(FailureGroup {
            status: row.text_or_empty("status"),
            channels: row.text_or_empty("channels"),
            error_code: row.text("error_code"),
            error: row.text("error"),
            count: row.whole("count").unwrap_or_default(),
            last: row.whole("last").unwrap_or_default(),
        })
    }
}

const FAILURES: &str = "\
WITH failed (id) AS (
    SELECT * FROM (SELECT id FROM outbox WHERE status = 'failed' AND channel = 'chat' AND finished_at IS NOT NULL
                   ORDER BY finished_at DESC LIMIT ?1)
    UNION ALL
    SELECT * FROM (SELECT id FROM outbox WHERE status = 'failed' AND channel = 'mail' AND finished_at IS NOT NULL
                   ORDER BY finished_at DESC LIMIT ?1)
    UNION ALL
    SELECT * FROM (SELECT id FROM outbox WHERE status = 'failed' AND channel = 'sms' AND finished_at IS NOT NULL
                   ORDER BY finished_at DESC LIMIT ?1)),
found (id) AS (
    SELECT id FROM failed
    UNION ALL SELECT * FROM (SELECT id FROM outbox WHERE status = 'uncertain' LIMIT ?1)
    UNION ALL SELECT * FROM (SELECT id FROM outbox WHERE wait = 'backoff' LIMIT ?1))
SELECT o.status, group_concat(DISTINCT o.channel) AS channels, o.error_code, o.error, count(*) AS count,
    max(CASE typeof(o.updated_at) WHEN 'integer' THEN o.updated_at END) AS last
FROM found CROSS JOIN outbox o ON o.id = found.id
GROUP BY o.status, o.error_code, o.error
ORDER BY count(*) DESC, last DESC LIMIT ?2";

impl SqliteStore {
    /// The errors that most jobs have, of the latest [`LOOKED_AT`] of each kind.
    pub async fn failures(&mut self, limit: u32) -> Result<Vec<FailureGroup>, SqliteError> {
        let query = sqlx::query_as(FAILURES).bind(LOOKED_AT).bind(limit);
        Ok(query.fetch_all(&mut self.conn).await?)
    }
}

#[cfg(test)]
mod tests {
    use crate::store::sqlite::fixture::outbox;

    #[tokio::test]
    async fn jobs_with_one_error_are_one_group() {
        let (_folder, mut store) = outbox("").await;
        assert_eq!(store.failures(10).await.unwrap(), []);
        let expired = "INSERT INTO outbox (channel, payload, account, expires_at)
                       VALUES ('sms', '{\"From\": \"1\", \"To\": \"2\", \"Body\": \"hi\", \"contactId\": 1,
                               \"threadId\": 1, \"timelineId\": 1}', 'gone', datetime('now', '-1 day'));";
        store.execute_sql(&expired.repeat(3)).await.unwrap();
        let fail = "UPDATE outbox SET status = 'failed', failure = 'invalid', error_code = 'unknown_account',
                    error = 'no such account' WHERE status = 'pending'";
        store.execute_sql(fail).await.unwrap();
        let groups = store.failures(10).await.unwrap();
        assert_eq!(groups.len(), 1);
        let group = &groups[0];
        assert_eq!((group.count, group.channels.as_str()), (3, "sms"));
        assert_eq!(
            (group.status.as_str(), group.error.as_deref()),
            ("failed", Some("no such account"))
        );
    }
}
