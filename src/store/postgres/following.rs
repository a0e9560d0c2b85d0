//! Sent messages, while Acquire is asked what became of them. The fence is a time by the database's clock;
//! when they were sent is by this machine's.

use super::node_session::{Beat, NodeSession, millis};
use super::verifying::{ahead, left_alone};
use super::{PostgresError, PostgresTenure};
use crate::queue::follow_up::{DeliveryEvent, FollowedJob};
use crate::queue::job::{Channel, Millis};
use crate::queue::report::Notice;
use crate::queue::when::now;
use crate::store::StoreError;
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::time::Duration;
use tracing::Level;

const TAKE: &str = "\
SELECT * FROM outbox_take_follow_ups($1, $2, $3 * interval '1 ms', $4 * interval '1 ms', $5, $6::text::jsonb, $7 * interval '1 ms',
    $8 * interval '1 ms', $9)";
/// Whose row it is that the database refuses to change: the one that a take of one comes to.
const FIRST: &str = "SELECT outbox_due_follow_ups(1, $1::text::jsonb, $2 * interval '1 ms', $3)";
const RECORD: &str = "\
SELECT outbox_record_follow_up($1, $2, $3 * interval '1 ms', $4 * interval '1 ms', $5, $6, $7, $8, $9, $10)";

impl PostgresTenure {
    /// See [`Tenure::take_follow_ups`](crate::store::Tenure::take_follow_ups).
    pub async fn take_follow_ups(
        &mut self,
        limit: usize,
        without: &[(String, Option<Channel>)],
        now: Millis,
        lease: Duration,
    ) -> Result<Vec<FollowedJob>, StoreError> {
        let (without, ahead) = (left_alone(without), ahead(now));
        for limit in [limit, 1] {
            let refused = self.unfollowed.clone();
            let take = Take { limit, without: without.clone(), ahead, lease, refused };
            match self.session.take_follow_ups(take).await {
                // Perhaps it is another than the first.
                Err(e) if e.is_of_a_row() && limit > 1 => {}
                Err(e) if e.is_of_a_row() => self.leave_unfollowed(&without, ahead, &e).await?,
                taken => return taken,
            }
        }
        Ok(Vec::new())
    }

    async fn leave_unfollowed(
        &mut self,
        without: &str,
        ahead: Millis,
        e: &StoreError,
    ) -> Result<(), StoreError> {
        let refused = self.unfollowed.clone();
        let first = sqlx::query_scalar(FIRST).bind(without).bind(ahead).bind(refused);
        let id: Option<i64> =
            self.session.with(async move |conn| first.fetch_optional(conn).await).await?;
        if let Some(id) = id {
            let sentence = "the database refuses to change this row, so it is not asked what became of the message";
            let notice = Notice::new(Level::ERROR, sentence).job(id).reason(e.to_string());
            self.report.notice(notice);
            self.unfollowed.push(id);
        }
        Ok(())
    }

    /// See [`Tenure::record_follow_up`](crate::store::Tenure::record_follow_up).
    pub async fn record_follow_up(
        &mut self,
        job: &FollowedJob,
        event: Option<DeliveryEvent>,
        answered: bool,
        next: Option<Millis>,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let (id, fence) = (job.id, job.fence);
        let state = event.map(|event| event.state.as_str());
        let at = event.and_then(|event| event.at);
        let wait = next.map(|next| next.saturating_sub(now).max(0));
        let record = async move |conn: &mut sqlx::PgConnection, beat: Beat| {
            let query = sqlx::query_scalar(RECORD).bind(beat.epoch).bind(beat.cycle);
            let query = query.bind(beat.lease_ms).bind(beat.request_ms).bind(id).bind(fence);
            query.bind(state).bind(at).bind(wait).bind(answered).fetch_one(conn).await
        };
        self.session.transact(record).await
    }
}

/// What one call takes.
struct Take {
    limit: usize,
    without: String,
    ahead: Millis,
    lease: Duration,
    refused: Vec<i64>,
}

impl NodeSession {
    async fn take_follow_ups(&mut self, of: Take) -> Result<Vec<FollowedJob>, StoreError> {
        let take = async move |conn: &mut sqlx::PgConnection, beat: Beat| {
            let query = sqlx::query(TAKE).bind(beat.epoch).bind(beat.cycle);
            let query = query.bind(beat.lease_ms).bind(beat.request_ms);
            let query = query.bind(i32::try_from(of.limit).unwrap_or(i32::MAX)).bind(of.without);
            let query = query.bind(millis(of.lease)).bind(of.ahead).bind(of.refused);
            query.fetch_all(conn).await
        };
        let rows = self.transact(take).await?;
        let jobs: Result<_, sqlx::Error> = rows.iter().map(followed).collect();
        Ok(jobs.map_err(PostgresError::from)?)
    }
}

fn followed(row: &PgRow) -> Result<FollowedJob, sqlx::Error> {
    let by = now() - row.try_get::<Millis, _>("now")?;
    let channel: &str = row.try_get("channel")?;
    let case: Option<&str> = row.try_get("case_id")?;
    Ok(FollowedJob {
        id: row.try_get("job")?,
        fence: row.try_get("fence")?,
        channel: channel
            .parse()
            .map_err(|_| sqlx::Error::Decode("there is no such channel".into()))?,
        account: row.try_get("account")?,
        message_id: row.try_get("message_id")?,
        case_message_id: row.try_get("case_message_id")?,
        case: case.and_then(|id| id.parse().ok()),
        sent_at: row.try_get::<Millis, _>("sent_at")? + by,
    })
}
