//! Something that does not work just now, an account or a route: nothing is sent there but single
//! probes, at growing intervals, until one gets through.

use super::Moment;
use crate::queue::block::Block;
use crate::queue::retry;
use crate::queue::retry::RetryPolicy;
use tokio::time::Instant;

pub(super) struct Probing {
    /// What people read of it.
    pub hold: Block,
    failures: u32,
    next: Instant,
    /// A probe is on its way.
    out: bool,
}

impl Probing {
    /// Begins; `hold.until` is set to the first probe's time.
    pub fn begin(hold: Block, policy: &RetryPolicy, now: Moment) -> Self {
        let mut probing = Probing { hold, failures: 0, next: now.at, out: false };
        probing.failed(policy, now);
        probing
    }

    /// Whether a probe may go out now.
    pub fn due(&self, now: Instant) -> bool {
        !self.out && self.next <= now
    }

    pub fn sent(&mut self) {
        self.out = true;
    }

    /// A request has ended, however it did.
    pub fn ended(&mut self) {
        self.out = false;
    }

    /// Another failure. Those of requests that were already out, which come before the next probe
    /// is due, count as one.
    pub fn failed(&mut self, policy: &RetryPolicy, now: Moment) {
        if self.next <= now.at {
            self.failures = self.failures.saturating_add(1);
            self.next = now.at + retry::delay(policy, self.failures);
            self.hold.until = Some(now.wall_at(self.next));
        }
    }

    /// What failed was replaced: a probe may go out at once, and the pauses begin anew.
    pub fn restart(&mut self, now: Moment) {
        self.failures = 0;
        self.out = false;
        self.next = now.at;
        self.hold.until = Some(now.wall);
    }

    /// When the next probe may go out, once none is out.
    pub fn next_at(&self) -> Instant {
        self.next
    }

    /// When the next probe may go out; `None` while one is on its way.
    pub fn next(&self) -> Option<Instant> {
        (!self.out).then_some(self.next)
    }
}
