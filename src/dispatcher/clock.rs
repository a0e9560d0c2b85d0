//! A wall clock that is set while jobs wait for their next attempt. Their times are by the wall's,
//! for everybody to read; their pauses are spans, so their times move with the clock. What is
//! scheduled follows the wall clock. A machine that slept looks the same, because its monotonic
//! clock stood still: what was left of a pause is waited for after it woke up.

use super::Dispatcher;
use crate::queue::job::Millis;
use crate::queue::when::now;
use crate::store::StoreError;
use tokio::time::Instant;
use tracing::info;

/// From here on it was set. Below it is drift, or a look that was interrupted between its clocks.
const STEP_MS: Millis = 2000;

/// Both clocks, as they were together, and what is still to be moved.
pub(super) struct WallClock {
    at: Instant,
    wall: Millis,
    owed: Vec<(Vec<i64>, Millis)>,
}

/// The wall clock went another way than the monotonic one.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    by: Millis,
    /// What was written at these times was written by the clock as it is now.
    since: (Millis, Millis),
}

impl WallClock {
    pub(super) fn new() -> WallClock {
        WallClock { at: Instant::now(), wall: now(), owed: Vec::new() }
    }

    fn step(&self, at: Instant, wall: Millis) -> Option<Step> {
        let passed = at.saturating_duration_since(self.at).as_millis();
        let by = wall - self.wall - Millis::try_from(passed).unwrap_or(Millis::MAX);
        (by.abs() >= STEP_MS).then_some(Step { by, since: (self.wall + by, wall) })
    }
}

impl Dispatcher {
    /// A clock that was set back before the start.
    pub(super) async fn start_clock(&mut self) -> Result<(), StoreError> {
        let retries = self.store.pull_in_retries(now()).await?;
        if retries > 0 {
            info!(retries, "the wall clock was set back: the pauses of retries begin anew");
        }
        Ok(())
    }

    /// Moves the retries along when the clock was set.
    pub(super) async fn follow_clock(&mut self) -> Result<(), StoreError> {
        let (at, wall) = (Instant::now(), now());
        if let Some(Step { by, since }) = self.clock.step(at, wall) {
            let ids = self.store.in_backoff(since.0, since.1).await?;
            info!(
                by_seconds = by / 1000,
                retries = ids.len(),
                "the wall clock was set: retries keep their pauses"
            );
            let decided_before = |updated_at: Millis| updated_at < since.0 || updated_at > since.1;
            for ended in self.sender.jobs.to_record_mut() {
                let t = &mut ended.transition;
                if decided_before(t.updated_at) {
                    t.next_attempt_at = t.next_attempt_at.map(|at| at + by);
                    t.budget_from = t.budget_from.map(|at| at + by);
                    t.updated_at += by;
                }
            }
            self.clock.owed.push((ids, by));
            // Before anything ends by the clock as it is now: scrubbing notes where it stands.
            self.next_upkeep = at;
        }
        (self.clock.at, self.clock.wall) = (at, wall);
        if self.clock.owed.is_empty() {
            return Ok(());
        }
        while let Some((ids, by)) = self.clock.owed.last_mut() {
            match ids.is_empty() {
                true => drop(self.clock.owed.pop()),
                false => self.store.move_retries(ids, *by).await?,
            }
        }
        let agenda = self.store.look().await?;
        self.saw(agenda);
        Ok(())
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
        let ahead = Step { by: 3_600_000, since: (4_600_000, 4_601_000) };
        assert_eq!(clock.step(later, 4_601_000), Some(ahead));
        let back = Step { by: -600_000, since: (400_000, 401_000) };
        assert_eq!(clock.step(later, 401_000), Some(back));
    }
}
