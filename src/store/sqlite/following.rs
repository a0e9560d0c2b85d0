//! Sent messages, while Acquire is asked what became of them.

use super::lenient::Lenient;
use super::row_by_row::IGNORED;
use super::sqlite_tenure::SqliteTenure;
use super::verifying::{left_alone, require_epoch};
use super::{SqliteError, SqliteStore};
use crate::queue::follow_up::{DeliveryEvent, FollowedJob};
use crate::queue::job::{Channel, Millis};
use crate::queue::report::Notice;
use sqlx::Connection;
use sqlx::sqlite::SqliteRow;
use std::time::Duration;
use tracing::Level;

/// `?3`: as in `TO_LOOK_FOR`; `?4`: jobs that the database refuses to change.
pub(super) const TO_FOLLOW: &str = "\
SELECT o.id FROM outbox AS o WHERE o.follow_at IS NOT NULL AND o.follow_at <= ?1 AND +o.status = 'sent'
    AND NOT EXISTS (SELECT 1 FROM outbox_pauses AS p WHERE p.account IN ('', o.account) AND p.channel IN ('', o.channel))
    AND NOT EXISTS (SELECT 1 FROM json_each(?3) WHERE value ->> 0 = o.account AND value ->> 1 IN ('', o.channel))
    AND o.id NOT IN (SELECT value FROM json_each(?4))
ORDER BY o.follow_at LIMIT ?2";

pub(super) const TAKE: &str = "\
UPDATE outbox SET follow_at = ?2, moves = moves + 1 WHERE id = ?1 AND status = 'sent' AND follow_at IS NOT NULL
RETURNING id, channel, account, message_id, ifnull(finished_at, updated_at) AS sent_at, follow_at AS fence,
    CASE WHEN json_valid(receipt) THEN json_extract(receipt, '$.caseMessageId') END AS case_message_id,
    ifnull(CASE WHEN json_valid(receipt) THEN json_extract(receipt, '$.caseId') END,
           CASE WHEN json_valid(payload) THEN json_extract(payload, '$.caseId') END) AS case_id";

/// What cannot be read as a message of ours is not asked about.
const GIVE_UP: &str = "UPDATE outbox SET follow_at = NULL, moves = moves + 1 WHERE id = ?1";

pub(super) const RECORD: &str = "\
UPDATE outbox SET follow_at = ?3, followed_at = CASE WHEN ?4 THEN ?5 ELSE followed_at END,
    delivery = ifnull(?6, delivery),
    delivery_at = CASE WHEN ?6 IS NULL THEN delivery_at WHEN ?7 IS NOT NULL THEN ?7
        WHEN ?6 IS NOT delivery THEN ?5 ELSE delivery_at END,
    moves = moves + 1
WHERE id = ?1 AND status = 'sent' AND follow_at = ?2";

impl SqliteTenure {
    /// See [`Tenure::take_follow_ups`](crate::store::Tenure::take_follow_ups).
    pub async fn take_follow_ups(
        &mut self,
        limit: usize,
        without: &[(String, Option<Channel>)],
        now: Millis,
        lease: Duration,
    ) -> Result<Vec<FollowedJob>, SqliteError> {
        self.files.check()?;
        let refused = serde_json::to_string(&self.unfollowed).expect("numbers are always JSON");
        let due = sqlx::query_scalar(TO_FOLLOW).bind(now);
        let due = due.bind(i64::try_from(limit).unwrap_or(i64::MAX)).bind(left_alone(without));
        let ids: Vec<i64> = due.bind(refused).fetch_all(&mut self.store.conn).await?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let until = now.saturating_add(Millis::try_from(lease.as_millis()).unwrap_or(Millis::MAX));
        let (jobs, refused) = self.store.take_followed(&ids, until, self.epoch).await?;
        for (id, reason) in refused {
            let sentence = "the database refuses to change this row, so it is not asked what became of the message";
            self.report.notice(Notice::new(Level::ERROR, sentence).job(id).reason(&reason));
            self.unfollowed.push(id);
        }
        Ok(jobs)
    }

    /// See [`Tenure::record_follow_up`](crate::store::Tenure::record_follow_up).
    pub async fn record_follow_up(
        &mut self,
        job: &FollowedJob,
        event: Option<DeliveryEvent>,
        answered: bool,
        next: Option<Millis>,
        now: Millis,
    ) -> Result<bool, SqliteError> {
        self.files.check()?;
        let mut tx = self.store.conn.begin_with("BEGIN IMMEDIATE").await?;
        require_epoch(&mut tx, self.epoch).await?;
        let done = sqlx::query(RECORD)
            .bind(job.id)
            .bind(job.fence)
            .bind(next)
            .bind(answered)
            .bind(now)
            .bind(event.map(|event| event.state.as_str()))
            .bind(event.and_then(|event| event.at))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}

/// What was taken, and what the database refused to change, with the reason.
type TakenJobs = (Vec<FollowedJob>, Vec<(i64, String)>);

impl SqliteStore {
    /// In one transaction.
    async fn take_followed(
        &mut self,
        ids: &[i64],
        lease_until: Millis,
        epoch: i64,
    ) -> Result<TakenJobs, SqliteError> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        require_epoch(&mut tx, epoch).await?;
        let (mut jobs, mut refused) = (Vec::new(), Vec::new());
        for &id in ids {
            let take = sqlx::query(TAKE).bind(id).bind(lease_until);
            match take.fetch_optional(&mut *tx).await.map_err(SqliteError::from) {
                Ok(Some(row)) => match followed(&row) {
                    Some(job) => jobs.push(job),
                    None => {
                        sqlx::query(GIVE_UP).bind(id).execute(&mut *tx).await?;
                    }
                },
                Ok(None) => refused.push((id, IGNORED.to_owned())),
                Err(e) if e.is_of_a_row() => refused.push((id, e.to_string())),
                Err(e) => return Err(e),
            }
        }
        tx.commit().await?;
        Ok((jobs, refused))
    }
}

fn followed(row: &SqliteRow) -> Option<FollowedJob> {
    Some(FollowedJob {
        id: row.whole("id")?,
        fence: row.whole("fence")?,
        channel: row.text("channel")?.parse().ok()?,
        account: row.text("account")?,
        message_id: row.text("message_id"),
        case_message_id: row.text("case_message_id"),
        case: row.text("case_id").and_then(|id| id.parse().ok()),
        sent_at: row.whole("sent_at")?,
    })
}
