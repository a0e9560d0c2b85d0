//! Corrects next attempts when the wall clock is set. Their times are stored as wall-clock times, but
//! the waits are spans, so the times move with the clock; so do those of jobs that are verified. Scheduled jobs follow the wall clock. A machine
//! that was suspended looks the same, because its monotonic clock stopped: it waits for the rest of each
//! span after it resumes.

use super::sqlite_tenure::SqliteTenure;
use super::{SqliteError, SqliteStore};
use crate::queue::job::Millis;
use crate::queue::report::Notice;
use crate::store::tenure::ClockStep;
use tokio::time::Instant;
use tracing::Level;

/// How many rows one transaction moves at most, so that no producer waits long.
const BATCH: usize = 500;

/// A larger step means that the clock was set. A smaller one is drift, or the process was interrupted
/// between reading the two clocks.
const STEP_MS: Millis = 2000;

/// Both clocks at one moment, and the jobs that are still to be moved.
pub(super) struct WallClock {
    at: Instant,
    wall: Millis,
    owed: Vec<(Vec<i64>, Millis)>,
}

impl WallClock {
    pub(super) fn new() -> WallClock {
        WallClock { at: Instant::now(), wall: crate::queue::when::now(), owed: Vec::new() }
    }

    fn step(&self, at: Instant, wall: Millis) -> Option<ClockStep> {
        let passed = at.saturating_duration_since(self.at).as_millis();
        let by = wall - self.wall - Millis::try_from(passed).unwrap_or(Millis::MAX);
        (by.abs() >= STEP_MS).then_some(ClockStep { by, since: (self.wall + by, wall) })
    }
}

// Both read every job in backoff, but only after the clock was set and at the start.
pub(super) const IN_BACKOFF: &str = "\
SELECT id FROM outbox INDEXED BY outbox_backoff WHERE wait = 'backoff' AND updated_at NOT BETWEEN ?1 AND ?2
UNION ALL
SELECT id FROM outbox INDEXED BY outbox_verifying WHERE wait = 'verifying' AND updated_at NOT BETWEEN ?1 AND ?2";
pub(super) const BEGUN_LATER: &str = "\
SELECT id FROM outbox INDEXED BY outbox_backoff WHERE wait = 'backoff' AND updated_at > ?1
    AND updated_at <= 253402300799999
UNION ALL
SELECT id FROM outbox INDEXED BY outbox_verifying WHERE wait = 'verifying' AND updated_at > ?1
    AND updated_at <= 253402300799999";

// Finds each batch by its ids: the `+` keeps SQLite from using the index of all jobs in backoff.
pub(super) const MOVE_RETRIES: &str = "\
UPDATE outbox SET next_attempt_at = next_attempt_at + ?2, budget_from = budget_from + ?2,
    verify_at = verify_at + ?2, verify_from = verify_from + ?2, verify_until = verify_until + ?2,
    updated_at = updated_at + ?2, moves = moves + 1
WHERE (+wait = 'backoff' OR +wait = 'verifying') AND id IN (SELECT value FROM json_each(?1))";

pub(super) const PULL_IN: &str = "\
UPDATE outbox SET next_attempt_at = next_attempt_at - (updated_at - ?2),
    budget_from = budget_from - (updated_at - ?2), verify_at = verify_at - (updated_at - ?2),
    verify_from = verify_from - (updated_at - ?2), verify_until = verify_until - (updated_at - ?2), updated_at = ?2,
    moves = moves + 1
WHERE (+wait = 'backoff' OR +wait = 'verifying') AND updated_at > ?2 AND updated_at <= 253402300799999 AND id IN (SELECT value FROM json_each(?1))";

impl SqliteStore {
    /// The jobs in backoff, except those last written between `from` and `to`.
    async fn in_backoff(&mut self, from: Millis, to: Millis) -> Result<Vec<i64>, SqliteError> {
        Ok(sqlx::query_scalar(IN_BACKOFF).bind(from).bind(to).fetch_all(&mut self.conn).await?)
    }

    /// Moves the times of a batch of these jobs by `by` milliseconds and removes their ids from the
    /// list; there are more until it is empty.
    async fn move_retries(&mut self, ids: &mut Vec<i64>, by: Millis) -> Result<(), SqliteError> {
        let rest = ids.len().saturating_sub(BATCH);
        self.for_each(MOVE_RETRIES, &ids[rest..], by).await?;
        ids.truncate(rest);
        Ok(())
    }

    /// Restarts waits that seem to have begun after `now`: the clock was set back while no dispatcher
    /// ran. Returns how many.
    pub(super) async fn pull_in_retries(&mut self, now: Millis) -> Result<usize, SqliteError> {
        let ids: Vec<i64> =
            sqlx::query_scalar(BEGUN_LATER).bind(now).fetch_all(&mut self.conn).await?;
        for batch in ids.chunks(BATCH) {
            self.for_each(PULL_IN, batch, now).await?;
        }
        Ok(ids.len())
    }

    /// All in one statement, or one by one if the database refuses a row, which then keeps its time.
    async fn for_each(
        &mut self,
        statement: &'static str,
        ids: &[i64],
        time: Millis,
    ) -> Result<(), SqliteError> {
        let update = sqlx::query(statement).bind(format!("{ids:?}")).bind(time);
        match update.execute(&mut self.conn).await.map_err(SqliteError::from) {
            Err(e) if e.is_of_a_row() => {}
            done => return done.map(|_| ()),
        }
        for id in ids {
            let update = sqlx::query(statement).bind(format!("[{id}]")).bind(time);
            match update.execute(&mut self.conn).await.map_err(SqliteError::from) {
                Err(e) if !e.is_of_a_row() => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }
}

impl SqliteTenure {
    /// See [`Tenure::follow_clock`](crate::store::Tenure::follow_clock).
    pub async fn follow_clock(&mut self, now: Millis) -> Result<Option<ClockStep>, SqliteError> {
        let at = Instant::now();
        let step = self.clock.step(at, now);
        if let Some(ClockStep { by, since }) = step {
            let ids = self.store.in_backoff(since.0, since.1).await?;
            let sentence = format!(
                "the wall clock was changed by {} s: the pauses before next attempts keep their length",
                by / 1000
            );
            self.report.notice(Notice::new(Level::INFO, sentence).rows(ids.len()));
            self.clock.owed.push((ids, by));
            // Before anything ends by the clock as it is now: scrubbing notes how far it has got.
            self.timers.batch_soon();
        }
        (self.clock.at, self.clock.wall) = (at, now);
        if step.is_some() {
            return Ok(step);
        }
        while let Some((ids, by)) = self.clock.owed.last_mut() {
            match ids.is_empty() {
                true => drop(self.clock.owed.pop()),
                false => self.store.move_retries(ids, *by).await?,
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn clock() -> WallClock {
        WallClock { at: Instant::now(), wall: 1_000_000, owed: Vec::new() }
    }

    #[test]
    fn clocks_that_go_together_are_no_step_however_long_the_look_took() {
        let clock = clock();
        let later = clock.at + Duration::from_secs(7200);
        assert_eq!(clock.step(later, 1_000_000 + 7_200_000), None);
        assert_eq!(clock.step(later, 1_000_000 + 7_201_999), None);
    }

    #[test]
    fn a_step_is_the_difference_and_tells_what_was_written_after_it() {
        let clock = clock();
        let later = clock.at + Duration::from_secs(1);
        let ahead = ClockStep { by: 3_600_000, since: (4_600_000, 4_601_000) };
        assert_eq!(clock.step(later, 4_601_000), Some(ahead));
        let back = ClockStep { by: -600_000, since: (400_000, 401_000) };
        assert_eq!(clock.step(later, 401_000), Some(back));
    }
}
