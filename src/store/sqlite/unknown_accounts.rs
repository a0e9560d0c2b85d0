//! Fails jobs of accounts that are not configured: nothing could send them.

use super::lenient::Lenient;
use super::{SqliteError, SqliteStore, history};
use crate::queue::job::Channel;
use crate::queue::when::now;

pub(super) const FAIL_UNKNOWN_ACCOUNT: &str = "\
UPDATE outbox SET status = 'failed', failure = 'invalid', error_code = 'unknown_account', error = ?2
WHERE id IN (
    SELECT o.id FROM outbox AS o WHERE o.wait = 'ready' AND o.account = ?1 AND NOT EXISTS (
        SELECT 1 FROM outbox_pauses AS p WHERE p.account IN ('', o.account) AND p.channel IN ('', o.channel))
        AND o.id NOT IN (SELECT job_id FROM outbox_set_aside)
    LIMIT ?3)
RETURNING channel";

/// The next that [`FAIL_UNKNOWN_ACCOUNT`] would take.
const NEXT_OF_ACCOUNT: &str = "\
INSERT OR IGNORE INTO outbox_set_aside (job_id, since, reason)
SELECT o.id, ?2, ?3 FROM outbox AS o WHERE o.wait = 'ready' AND o.account = ?1 AND NOT EXISTS (
    SELECT 1 FROM outbox_pauses AS p WHERE p.account IN ('', o.account) AND p.channel IN ('', o.channel))
    AND o.id NOT IN (SELECT job_id FROM outbox_set_aside) LIMIT 1";

impl SqliteStore {
    /// Fails up to 500 ready jobs of an account that is not configured; returns the channel of each.
    pub(super) async fn fail_unknown_account(
        &mut self,
        account: &str,
        sentence: &str,
    ) -> Result<Vec<Channel>, SqliteError> {
        let mut failed = Vec::new();
        // One at a time if the database refuses one of them, because it does not say which.
        for limit in [500, 1] {
            let update = sqlx::query(FAIL_UNKNOWN_ACCOUNT).bind(account).bind(sentence).bind(limit);
            match update.fetch_all(&mut self.conn).await.map_err(SqliteError::from) {
                Err(e) if e.is_of_a_row() && limit > 1 => {}
                Err(e) if e.is_of_a_row() => {
                    self.set_aside_ready(account, &e.refusal().unwrap_or_else(|| e.to_string()))
                        .await?;
                }
                done => {
                    failed = done?;
                    break;
                }
            }
        }
        let failed: Vec<Channel> =
            failed.iter().filter_map(|row| row.text_or_empty(0).parse().ok()).collect();
        history::add_rows(&mut self.conn, &history::failed(account, &failed, now())).await?;
        Ok(failed)
    }

    async fn set_aside_ready(&mut self, account: &str, reason: &str) -> Result<(), SqliteError> {
        let next = sqlx::query(NEXT_OF_ACCOUNT).bind(account).bind(now()).bind(reason);
        next.execute(&mut self.conn).await?;
        Ok(())
    }
}
