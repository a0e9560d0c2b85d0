//! A cycle's work, row by row, for when the database refuses one of the rows.

use super::lenient::Lenient;
use super::sqlite_tenure::SqliteTenure;
use super::{SqliteError, SqliteStore, history, stray_rows};
use crate::queue::claim::{Agenda, Cycle, CycleDone, Room};
use crate::queue::ended::Ended;
use crate::queue::job::{Channel, Failure, Millis};
use crate::queue::report::Notice;
use crate::queue::when::now;
use tracing::Level;

/// The rows that have fallen due and were moved, and those that could not be.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct DueEach {
    pub moved: usize,
    /// With their accounts.
    pub expired: Vec<(String, Channel)>,
    pub refused: Vec<(i64, String)>,
}

/// If this many rows fail and none succeeds, the error is not about a single row.
const NOT_ONE: usize = 16;
/// An application's trigger has RAISE(IGNORE).
pub(super) const IGNORED: &str = "the change was ignored without an error; look for a trigger with RAISE(IGNORE) on the table outbox";

/// How many rows of each route are tried; a cycle rarely chooses more.
const FIRST: i64 = 64;

// These find and move rows as the cycle does: see cycle.sql.
const EXPIRED: &str = "\
SELECT id, channel, account FROM outbox WHERE status = 'pending' AND expires_at IS NOT NULL AND expires_at < ?1
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
    /// Records outcomes, all together or, if the database refuses one, each by itself; the outcome of a
    /// refused one is kept. Returns the ids of those that are not on disk, and of those that were kept,
    /// with the reasons.
    pub(super) async fn record_or_keep(
        &mut self,
        ended: &[Ended],
        epoch: i64,
    ) -> Result<(Vec<i64>, Vec<(i64, String)>), SqliteError> {
        match self.record(ended, epoch).await {
            Ok(unrecorded) => return Ok((unrecorded, Vec::new())),
            Err(e) if !e.is_of_a_row() => return Err(e),
            Err(_) => {}
        }
        let (mut unrecorded, mut kept) = (Vec::new(), Vec::new());
        for one in ended {
            match self.record(std::slice::from_ref(one), epoch).await {
                Ok(lost) => unrecorded.extend(lost),
                Err(e) if e.is_of_a_row() => {
                    let reason = e.refusal().unwrap_or_else(|| e.to_string());
                    self.keep_outcome(one, &reason).await?;
                    kept.push((one.transition.id, reason));
                }
                Err(e) => return Err(e),
            }
        }
        Ok((unrecorded, kept))
    }

    /// Records without claiming; returns the ids of those that are not on disk.
    async fn record(&mut self, ended: &[Ended], epoch: i64) -> Result<Vec<i64>, SqliteError> {
        let (room, due, expecting) = (None, false, false);
        let work = Cycle { record: ended, room, due, now: now(), expecting };
        Ok(self.cycle(&work, epoch).await?.unrecorded)
    }

    /// Whether the row is still as this attempt's claim left it.
    pub(super) async fn is_still_claimed(&mut self, ended: &Ended) -> Result<bool, SqliteError> {
        let t = &ended.transition;
        let query =
            sqlx::query(STILL_CLAIMED).bind(t.id).bind(t.fence_claim).bind(t.fence_attempts);
        Ok(query.fetch_optional(&mut self.conn).await?.is_some())
    }

    /// Moves what has fallen due, each by itself.
    async fn move_due_each(&mut self, at: Millis) -> Result<DueEach, SqliteError> {
        let mut due = DueEach::default();
        for (find, update) in [(EXPIRED, EXPIRE), (RETRIES, RETRY), (SCHEDULED, START)] {
            for row in sqlx::query(find).bind(at).fetch_all(&mut self.conn).await? {
                let id = row.whole(0).unwrap_or_default();
                let moved = sqlx::query(update).bind(id).bind(at).execute(&mut self.conn).await;
                match moved.map_err(SqliteError::from) {
                    Ok(_) => {
                        due.moved += 1;
                        if update == EXPIRE {
                            let channel = row.text_or_empty(1).parse::<Channel>().ok();
                            due.expired.extend(channel.map(|of| (row.text_or_empty(2), of)));
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
    async fn claimable(&mut self, at: Millis) -> Result<Vec<i64>, SqliteError> {
        let mut ids = Vec::new();
        for route in sqlx::query(stray_rows::ROUTES).fetch_all(&mut self.conn).await? {
            let query =
                sqlx::query(CLAIMABLE).bind(route.text_or_empty(1)).bind(route.text_or_empty(2));
            let rows = query.bind(at).bind(FIRST).fetch_all(&mut self.conn).await?;
            ids.extend(rows.iter().filter_map(|row| row.whole(0)));
        }
        Ok(ids)
    }

    /// Releases a pending row that is set aside if it can now be moved.
    pub(super) async fn try_move(&mut self, id: i64, epoch: i64) -> Result<(), SqliteError> {
        let at = now();
        for update in [EXPIRE, RETRY, START] {
            sqlx::query(update).bind(id).bind(at).execute(&mut self.conn).await?;
        }
        self.would_claim(id, epoch).await?;
        self.release(id).await
    }
}

impl SqliteTenure {
    /// Repeats a cycle that failed because of one of its rows, row by row. Rows that fail are set aside, and
    /// the next cycle claims.
    pub(super) async fn row_by_row(
        &mut self,
        e: SqliteError,
        work: &Cycle<'_>,
    ) -> Result<CycleDone, SqliteError> {
        let sentence = "the database refuses a row: looking for it; the others are not affected";
        self.report.notice(Notice::new(Level::WARN, sentence).reason(e.to_string()));
        let done = self.store.record_or_keep(work.record, self.epoch).await?;
        self.note_recorded(work.record);
        let mut found = !work.record.is_empty();
        if work.due {
            let moved = self.store.move_due_each(work.now).await?;
            let mut counted = Vec::new();
            for (account, channel) in &moved.expired {
                counted.extend(history::failed(account, &[*channel], work.now));
            }
            history::add_rows(&mut self.store.conn, &counted).await?;
            let expired = moved.expired.iter().map(|(_, channel)| (*channel, Failure::Expired));
            self.report.failures.extend(expired);
            found |= self.set_refused_aside(moved.moved, moved.refused, &e).await?;
        }
        let (mut passed, mut refused) = (0, Vec::new());
        for id in self.store.claimable(work.now).await? {
            match self.store.would_claim(id, self.epoch).await {
                Ok(()) => passed += 1,
                Err(e) if e.is_of_a_row() => refused.push((id, e.to_string())),
                Err(e) => return Err(e),
            }
            if passed == 0 && refused.len() == NOT_ONE {
                break;
            }
        }
        found |= self.set_refused_aside(passed, refused, &e).await?;
        if !found {
            return Err(e);
        }
        // The connection remembers the rooms, as after each cycle.
        let room = work.room.map(|room| Room { places: 0, ..room.clone() });
        let (record, due, now, expecting) = (&[][..], false, work.now, false);
        let rest = Cycle { record, room: room.as_ref(), due, now, expecting };
        let rest = self.store.cycle(&rest, self.epoch).await?;
        self.data_version = rest.data_version;
        self.wake.clear();
        // Nothing was claimed, and the others can be now.
        let agenda = Agenda { others_committed: true, ..rest.agenda };
        let recorded = self.recorded(work.record, done);
        Ok(CycleDone { recorded, agenda, ..CycleDone::default() })
    }

    /// Sets aside the rows that were refused while others passed; if none passed, the error is not about
    /// single rows. True if any were refused.
    async fn set_refused_aside(
        &mut self,
        passed: usize,
        refused: Vec<(i64, String)>,
        e: &SqliteError,
    ) -> Result<bool, SqliteError> {
        if passed == 0 && refused.len() >= NOT_ONE {
            return Err(SqliteError::Refused(e.to_string()));
        }
        for (id, reason) in &refused {
            self.store.set_aside(*id, reason).await?;
            let sentence =
                "the database refuses this row: it is set aside; the others are not affected";
            self.report.notice(Notice::new(Level::ERROR, sentence).job(*id).reason(reason));
        }
        Ok(!refused.is_empty())
    }
}
