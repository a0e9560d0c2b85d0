//! An account or a route that does not work at present: only single probes are sent there, at
//! growing intervals, until one gets through.

use super::Moment;
use crate::queue::block::Block;
use crate::queue::retry;
use crate::queue::retry::RetryPolicy;
use tokio::time::Instant;

pub(super) struct Probing {
    /// As people see it.
    pub block: Block,
    failures: u32,
    next: Instant,
    /// A probe is out.
    out: bool,
}

impl Probing {
    /// Begins; `block.until` is set to the first probe's time.
    pub fn begin(block: Block, policy: &RetryPolicy, now: Moment) -> Self {
        let mut probing = Probing { block, failures: 0, next: now.at, out: false };
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
            self.block.until = Some(now.wall_at(self.next));
        }
    }

    /// What failed was replaced: a probe may go out at once, and the pauses start from the shortest.
    pub fn restart(&mut self, now: Moment) {
        self.failures = 0;
        self.out = false;
        self.next = now.at;
        self.block.until = Some(now.wall);
    }

    /// When the next probe may go out, once none is out.
    pub fn next_at(&self) -> Instant {
        self.next
    }

    /// When the next probe may go out; `None` while one is out.
    pub fn next(&self) -> Option<Instant> {
        (!self.out).then_some(self.next)
    }
}
