//! A job as a node reads it, and those that are being sent under a claim.

use super::node_session::NodeSession;
use crate::queue::job::{Job, Millis};
use crate::queue::when::now;
use crate::store::StoreError;
use sqlx::Row;
use sqlx::postgres::PgRow;

/// Those that are `sending` under these claims, without their payloads, with when each was claimed. An
/// outcome that is kept in `outbox_set_aside` is recorded later; until then nobody decides its job.
const SENDING: &str = "\
SELECT o.id AS job, o.channel, o.account, o.attempts::bigint, o.claimed_by, o.unspent::bigint, o.uncertain_attempts::bigint,
    outbox_millis(o.budget_from) AS budget_from, o.max_attempts::bigint, outbox_millis(o.due_at) AS due_at,
    outbox_millis(o.expires_at) AS expires_at, outbox_millis(o.updated_at) AS claimed_at, outbox_millis(clock_timestamp()) AS now
FROM outbox o
WHERE o.claimed_by = ANY ($1) AND o.status = 'sending'
    AND NOT EXISTS (SELECT 1 FROM outbox_set_aside s WHERE s.job_id = o.id AND s.record IS NOT NULL)
    AND o.id <> ALL ($3)
ORDER BY o.id LIMIT $2";

/// Without its payload; `claim`: the epoch that has claimed it.
pub(super) fn read(row: &PgRow, claim: i64) -> Result<Job, sqlx::Error> {
    let channel: &str = row.try_get("channel")?;
    Ok(Job {
        id: row.try_get("job")?,
        channel: channel.parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
        account: row.try_get("account")?,
        payload: Vec::new(),
        attempts: row.try_get("attempts")?,
        claim,
        unspent: row.try_get("unspent")?,
        uncertain_attempts: row.try_get("uncertain_attempts")?,
        budget_from: row.try_get::<Option<Millis>, _>("budget_from")?.unwrap_or_default(),
        max_attempts: row.try_get("max_attempts")?,
        due_at: row.try_get("due_at")?,
        expires_at: row.try_get("expires_at")?,
    })
}

/// From the database's clock to the local one.
pub(super) fn shift(job: &mut Job, by: Millis) {
    job.budget_from += by;
    job.due_at += by;
    job.expires_at = job.expires_at.map(|at| at + by);
}

impl NodeSession {
    /// Up to `limit` jobs that are being sent under the claims of these nodes, apart from those in `except`.
    pub(super) async fn sending(
        &mut self,
        epochs: &[i64],
        limit: i64,
        except: &[i64],
    ) -> Result<Vec<(Job, Millis)>, StoreError> {
        let query = sqlx::query(SENDING).bind(epochs).bind(limit).bind(except);
        let rows = self.with(async move |conn| query.fetch_all(conn).await).await?;
        let read = |row: &PgRow| {
            let by = now() - row.try_get::<Millis, _>("now")?;
            let by = if by.abs() < 1_000 { 0 } else { by };
            let mut job = read(row, row.try_get("claimed_by")?)?;
            shift(&mut job, by);
            Ok((job, row.try_get::<Option<Millis>, _>("claimed_at")?.unwrap_or_default() + by))
        };
        let jobs: Result<_, sqlx::Error> = rows.iter().map(read).collect();
        Ok(jobs.map_err(super::PostgresError::from)?)
    }
}
