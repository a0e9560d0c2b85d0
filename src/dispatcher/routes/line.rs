//! Jobs that are claimed ahead of the wire: each goes out as soon as a request of its route has ended.

use crate::queue::job::Job;
use std::collections::VecDeque;
use tokio::time::{Duration, Instant};

/// How long a claimed job waits for its place. As a rule it is a few milliseconds; where Acquire has
/// just become slow it goes back, so that it can be cancelled, paused or overtaken again.
pub(super) const AT_MOST: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(super) struct Line {
    /// With when each was claimed, the oldest first.
    jobs: VecDeque<(Instant, Job)>,
}

impl Line {
    pub fn len(&self) -> u32 {
        u32::try_from(self.jobs.len()).unwrap_or(u32::MAX)
    }

    pub fn push(&mut self, job: Job, now: Instant) {
        self.jobs.push_back((now, job));
    }

    pub fn pop(&mut self) -> Option<Job> {
        self.jobs.pop_front().map(|(_, job)| job)
    }

    pub fn drain(&mut self) -> impl Iterator<Item = Job> {
        self.jobs.drain(..).map(|(_, job)| job)
    }

    /// When the first has waited for too long.
    pub fn outdated_at(&self) -> Option<Instant> {
        self.jobs.front().map(|(since, _)| *since + AT_MOST)
    }

    /// Takes out what has waited for too long by `now`.
    pub fn outdated(&mut self, now: Instant) -> impl Iterator<Item = Job> {
        let count = self.jobs.partition_point(|(since, _)| *since + AT_MOST <= now);
        self.jobs.drain(..count).map(|(_, job)| job)
    }
}
