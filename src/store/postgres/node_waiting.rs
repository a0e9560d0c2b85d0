//! What waits: the counts of the status line, whether anything is still to be sent, and what is left when
//! nothing is.

use super::PostgresError;
use super::node_session::NodeSession;
use crate::queue::job::Millis;
use crate::queue::overview::{Backlog, Left};
use crate::queue::when;
use crate::store::StoreError;
use sqlx::Row;

/// Reads only partial indexes, and only up to the limit of each.
const BACKLOG: &str = "\
SELECT (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE wait IN ('ready', 'arrived') LIMIT $1) a),
    (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE lane IS NOT NULL AND wait IN ('arrived', 'parked') AND wait = 'parked' LIMIT $1) a)
  + (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE wait = 'backoff' LIMIT $1) a)
  + (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE wait = 'scheduled' LIMIT $1) a)";
/// Whether a job is being sent, by any node, or will be without a person or a later time: it is claimed,
/// due, in backoff or looked for at Acquire, and not paused. A parked job goes after the head of its lane, so it is not looked
/// for; but its lane may be about to elect a new head. A job that is set aside waits for a person.
const LEFT_TO_SEND: &str = "\
WITH w AS (
    SELECT o.id, o.account, o.channel, true AS pausable FROM outbox o WHERE o.wait IN ('ready', 'arrived')
    UNION ALL SELECT o.id, o.account, o.channel, true FROM outbox o WHERE o.wait = 'backoff'
    UNION ALL SELECT o.id, o.account, o.channel, true FROM outbox o WHERE o.wait = 'verifying'
    UNION ALL SELECT o.id, o.account, o.channel, false FROM outbox o WHERE o.claimed_by IS NOT NULL AND o.status = 'sending'
    UNION ALL SELECT o.id, o.account, o.channel, false FROM outbox o WHERE o.wait = 'scheduled' AND o.due_at <= clock_timestamp() + $1 * interval '1 ms')
SELECT EXISTS (SELECT 1 FROM outbox_elections) OR EXISTS (SELECT 1 FROM w
    WHERE (NOT w.pausable OR NOT EXISTS (SELECT 1 FROM outbox_pauses p WHERE p.account IN ('', w.account) AND p.channel IN ('', w.channel)))
      AND NOT EXISTS (SELECT 1 FROM outbox_set_aside s WHERE s.job_id = w.id))";
const LEFT: &str = "\
SELECT (SELECT count(*) FROM outbox WHERE wait = 'scheduled'),
    (SELECT outbox_millis(min(due_at)) FROM outbox WHERE wait = 'scheduled'),
    (SELECT count(*) FROM outbox WHERE wait IN ('ready', 'arrived')) + (SELECT count(*) FROM outbox WHERE wait = 'backoff')
        + (SELECT count(*) FROM outbox WHERE wait = 'parked') + (SELECT count(*) FROM outbox WHERE wait = 'verifying'),
    (SELECT count(*) FROM outbox_set_aside)";

impl NodeSession {
    pub(super) async fn backlog(&mut self) -> Result<Backlog, StoreError> {
        let query = sqlx::query(BACKLOG).bind(i64::try_from(Backlog::LIMIT).unwrap_or(i64::MAX));
        let row = self.with(async move |conn| query.fetch_one(conn).await).await?;
        let count = |at: usize| row.try_get::<i64, _>(at).map(i64::unsigned_abs);
        let backlog = || Ok(Backlog { due: count(0)?, waiting: count(1)? });
        Ok(backlog().map_err(|e: sqlx::Error| PostgresError::from(e))?)
    }

    /// `None`: something is left to send by `now`.
    pub(super) async fn left(&mut self, now: Millis) -> Result<Option<Left>, StoreError> {
        let ahead = (now - when::now()).max(0);
        let left = sqlx::query_scalar(LEFT_TO_SEND).bind(ahead);
        let left = self.with(async move |conn| left.fetch_one(conn).await).await?;
        if left {
            return Ok(None);
        }
        let row = self.with(async |conn| sqlx::query(LEFT).fetch_one(conn).await).await?;
        let read = || {
            Ok(Left {
                scheduled: row.try_get(0)?,
                // As the row has it: it is only shown.
                next_due: row.try_get(1)?,
                paused: row.try_get(2)?,
                set_aside: row.try_get(3)?,
            })
        };
        Ok(Some(read().map_err(|e: sqlx::Error| PostgresError::from(e))?))
    }
}
