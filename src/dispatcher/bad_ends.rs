//! Warns of jobs that end failed or uncertain: a line each, but no flood. A line has no error text: Acquire
//! may quote a recipient in it.

use crate::queue::ended::Ended;
use crate::queue::job::{Channel, Failure, Status};
use std::time::Duration;
use tokio::time::Instant;
use tracing::warn;

/// How many lines one window may have; further jobs are only counted.
const LINES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// What was logged in this window, and what was not.
#[derive(Default)]
pub(super) struct BadEnds {
    since: Option<Instant>,
    lines: u32,
    unlogged: u64,
}

impl BadEnds {
    /// These outcomes are on disk.
    pub(super) fn recorded(&mut self, outcomes: &[Ended]) {
        for ended in outcomes {
            let t = &ended.transition;
            let is_bad = match t.status {
                Status::Failed => true,
                // While it is being verified at Acquire, nobody has to do anything.
                Status::Uncertain => t.wait.is_none(),
                _ => false,
            };
            if !is_bad || !self.may_log(Instant::now()) {
                continue;
            }
            let failure = t.failure.map(Failure::as_str);
            let code = t.fault.as_ref().map(|fault| fault.code.as_str());
            let sentence = match t.status {
                Status::Failed => "a job has failed",
                _ => "a job is uncertain: a person must decide",
            };
            warn!(job = t.id, attempt = t.fence_attempts, channel = %ended.channel, failure, code,
                "{sentence}; see `acquire-outbox show {}`", t.id);
        }
    }

    /// A job failed without a request.
    pub(super) fn failed(&mut self, channel: Channel, failure: Failure) {
        // The store has already logged the others.
        if failure == Failure::Expired && self.may_log(Instant::now()) {
            warn!(%channel, failure = failure.as_str(), "a job has failed: its expires_at has passed");
        }
    }

    /// Logs what was only counted, when the window is over.
    pub(super) fn follow(&mut self, at: Instant) {
        if self.since.is_some_and(|since| at >= since + WINDOW) {
            self.end_window();
        }
    }

    /// Logs what was only counted.
    pub(super) fn end_window(&mut self) {
        if self.unlogged > 0 {
            warn!(
                jobs = self.unlogged,
                "more jobs have failed or are uncertain: see `acquire-outbox list --status failed,uncertain`"
            );
        }
        *self = BadEnds::default();
    }

    fn may_log(&mut self, at: Instant) -> bool {
        self.follow(at);
        self.since.get_or_insert(at);
        let may = self.lines < LINES;
        if may {
            self.lines += 1;
        } else {
            self.unlogged += 1;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_ten_lines_and_a_count_each_minute() {
        let (mut ends, start) = (BadEnds::default(), Instant::now());
        let logged = (0..25).filter(|_| ends.may_log(start)).count();
        assert_eq!((logged, ends.unlogged), (10, 15));
        ends.follow(start + WINDOW / 2);
        assert_eq!(ends.unlogged, 15);
        assert!(ends.may_log(start + WINDOW));
        assert_eq!(ends.unlogged, 0);
    }
}
