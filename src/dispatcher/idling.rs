//! How long the loop may sleep.

use super::{Dispatcher, POLL};
use crate::queue::when::now;
use std::time::Duration;
use tokio::time::Instant;

impl Dispatcher {
    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.rest.lasts_until(&self.sender.jobs, self.sender.keeps_answers())
    }

    /// When the next step is due if nothing happens before.
    pub(super) fn idle_until(&self) -> Instant {
        let at = Instant::now();
        let ping = self.service.next_ping();
        let first = if let Some(rested) = self.rests_until() {
            [Some(rested), ping, None, None, None]
        } else if let Some(outage) = &self.outage {
            [Some(outage.until), ping, None, None, None]
        } else {
            let due = self.agenda.next_due.map(|due| {
                at + Duration::from_millis(u64::try_from(due - now()).unwrap_or(0)).min(POLL)
            });
            let jobs = &self.sender.jobs;
            let opening = self.sender.routes.next_opening(jobs.load(), at);
            let look = self.verifier.next(self.agenda.next_look, at);
            let follow_up = self.follower.next(self.agenda.next_follow_up, at);
            let opening = [opening, jobs.longest_wait_ends(), look, follow_up];
            let opening = opening.into_iter().flatten().min();
            [Some(at + POLL), ping, due, opening, Some(self.next_upkeep)]
        };
        first.into_iter().flatten().min().unwrap_or(at)
    }
}
