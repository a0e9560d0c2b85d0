//! Until when this node may begin requests.

use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A time of the clock that keeps running while the machine is suspended, in nanoseconds; unlike the wall
/// clock, nobody sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(i64);

impl BootTime {
    pub fn now() -> BootTime {
        let now = clock_gettime(ClockId::Boottime);
        BootTime(now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec))
    }

    pub fn after(self, time: Duration) -> BootTime {
        BootTime(self.0.saturating_add(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)))
    }
}

/// The right to begin requests; clones share it. Where several nodes work on an outbox it ends, unless
/// it is renewed, before any other node may decide this one's jobs.
#[derive(Debug, Clone)]
pub struct Lease(Arc<AtomicI64>);

impl Lease {
    /// Where an outbox has one dispatcher, it lasts as long as that runs.
    pub fn unlimited() -> Lease {
        Lease(Arc::new(AtomicI64::new(i64::MAX)))
    }

    pub fn until(BootTime(end): BootTime) -> Lease {
        Lease(Arc::new(AtomicI64::new(end)))
    }

    pub fn renew(&self, BootTime(end): BootTime) {
        self.0.store(end, Ordering::SeqCst);
    }

    /// No request begins from now on.
    pub fn end(&self) {
        self.0.store(i64::MIN, Ordering::SeqCst);
    }

    pub fn has_ended(&self) -> bool {
        BootTime::now().0 >= self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_by_its_time_or_at_once() {
        assert!(!Lease::unlimited().has_ended());
        let lease = Lease::until(BootTime::now());
        assert!(lease.has_ended());
        lease.renew(BootTime::now().after(Duration::from_secs(60)));
        assert!(!lease.has_ended());
        lease.clone().end();
        assert!(lease.has_ended());
    }
}
