//! A cycle's work, row by row: for when the database refuses one of them.

use super::lenient::Lenient;
use super::{SqliteError, SqliteStore, sweep};
use crate::queue::ended::Ended;
use crate::queue::ended::Recorded;
use crate::queue::job::{Channel, Millis};
use crate::queue::when::now;

/// The rows that have fallen due and were moved, and those that could not be.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct DueEach {
    pub moved: usize,
    pub expired: Vec<Channel>,
    pub refused: Vec<(i64, String)>,
}

/// This many are tried of each route; a cycle seldom chooses more.
const FIRST: i64 = 64;

// These find and move rows as the cycle does: see cycle.sql.
const EXPIRED: &str = "\
SELECT id, channel FROM outbox WHERE status = 'pending' AND expires_at IS NOT NULL AND expires_at < ?1
    AND id NOT IN (SELECT job_id FROM outbox_set_aside) ORDER BY expires_at LIMIT 500";
const RETRIES: &str = "\
SELECT id, channel FROM outbox WHERE wait = 'backoff' AND next_attempt_at <= ?1
    AND id NOT IN (SELECT job_id FROM outbox_set_aside) ORDER BY next_attempt_at LIMIT 500";
const SCHEDULED: &str = "\
SELECT id, channel FROM outbox WHERE wait = 'scheduled' AND due_at <= ?1
    AND id NOT IN (SELECT job_id FROM outbox_set_aside) ORDER BY due_at LIMIT 500";
const EXPIRE: &str = "\
UPDATE outbox SET status = 'failed', moves = moves + 1, failure = 'expired', error_code = 'expired',
    error = CASE WHEN uncertain_attempts > 0
        THEN 'expires_at passed; an earlier attempt, whose outcome is unknown, may have arrived'
        ELSE 'expires_at passed before the message was sent' END
WHERE id = ?1 AND status = 'pending' AND expires_at < ?2";
const RETRY: &str = "\
UPDATE outbox SET wait = 'ready', moves = moves + 1 WHERE id = ?1 AND wait = 'backoff' AND next_attempt_at <= ?2";
const START: &str = "\
UPDATE outbox SET wait = CASE WHEN lane IS NULL THEN 'ready' ELSE 'parked' END, due_at = due_at, moves = moves + 1
WHERE id = ?1 AND wait = 'scheduled' AND due_at <= ?2";
const CLAIMABLE: &str = "\
SELECT id FROM outbox WHERE wait = 'ready' AND account = ?1 AND channel = ?2 AND (expires_at IS NULL OR expires_at >= ?3)
    AND id NOT IN (SELECT job_id FROM outbox_set_aside) ORDER BY priority DESC, due_at, id LIMIT ?4";
const STILL_CLAIMED: &str = "\
SELECT 1 FROM outbox WHERE id = ?1 AND status = 'sending' AND claimed_by IS ?2 AND attempts = ?3";

impl SqliteStore {
    /// Records what has ended: all together or, where the database refuses one, each by itself; the
    /// outcome of a refused one is kept.
    pub async fn record_or_keep(
        &mut self,
        ended: &[Ended],
        epoch: i64,
    ) -> Result<Recorded, SqliteError> {
        match self.record(ended, epoch).await {
            Ok(ids) => return Ok(Recorded { ids, aside: Vec::new() }),
            Err(e) if !e.is_of_a_row() => return Err(e),
            Err(_) => {}
        }
        let mut recorded = Recorded::default();
        for one in ended {
            match self.record(std::slice::from_ref(one), epoch).await {
                Ok(ids) => recorded.ids.extend(ids),
                Err(e) if e.is_of_a_row() => {
                    let reason = e.refusal().unwrap_or_else(|| e.to_string());
                    self.keep_outcome(one, &reason).await?;
                    recorded.aside.push((one.transition.id, reason));
                }
                Err(e) => return Err(e),
            }
        }
        Ok(recorded)
    }

    /// Whether the row is as this attempt's claim left it.
    pub async fn is_still_claimed(&mut self, ended: &Ended) -> Result<bool, SqliteError> {
        let t = &ended.transition;
        let query =
            sqlx::query(STILL_CLAIMED).bind(t.id).bind(t.fence_claim).bind(t.fence_attempts);
        Ok(query.fetch_optional(&mut self.conn).await?.is_some())
    }

    /// Moves what has fallen due, each by itself.
    pub async fn move_due_each(&mut self, at: Millis) -> Result<DueEach, SqliteError> {
        let mut due = DueEach::default();
        for (find, update) in [(EXPIRED, EXPIRE), (RETRIES, RETRY), (SCHEDULED, START)] {
            for row in sqlx::query(find).bind(at).fetch_all(&mut self.conn).await? {
                let id = row.whole(0).unwrap_or_default();
                let moved = sqlx::query(update).bind(id).bind(at).execute(&mut self.conn).await;
                match moved.map_err(SqliteError::from) {
                    Ok(_) => {
                        due.moved += 1;
                        if update == EXPIRE {
                            due.expired.extend(row.words(1).parse::<Channel>().ok());
                        }
                    }
                    Err(e) if e.is_of_a_row() => {
                        due.refused.push((id, e.refusal().unwrap_or_else(|| e.to_string())));
                    }
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(due)
    }

    /// The first rows that a claim would choose of each route.
    pub async fn claimable(&mut self, at: Millis) -> Result<Vec<i64>, SqliteError> {
        let mut ids = Vec::new();
        for route in sqlx::query(sweep::ROUTES).fetch_all(&mut self.conn).await? {
            let query = sqlx::query(CLAIMABLE).bind(route.words(1)).bind(route.words(2));
            let rows = query.bind(at).bind(FIRST).fetch_all(&mut self.conn).await?;
            ids.extend(rows.iter().filter_map(|row| row.whole(0)));
        }
        Ok(ids)
    }

    /// Whether a pending row that is set aside can now be moved: then it is no longer set aside.
    pub async fn try_move(&mut self, id: i64, epoch: i64) -> Result<(), SqliteError> {
        let at = now();
        for update in [EXPIRE, RETRY, START] {
            sqlx::query(update).bind(id).bind(at).execute(&mut self.conn).await?;
        }
        self.would_claim(id, epoch).await?;
        self.forget_aside(id).await
    }
}
