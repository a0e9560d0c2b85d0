//! A rate, by the governor crate. Time is a parameter.

use crate::config::Rate;
use governor::clock::{Clock, FakeRelativeClock as GivenClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use tokio::time::{Duration, Instant};

/// How much a paced route may catch up after a late wake-up.
pub(super) const CATCH_UP: Duration = Duration::from_millis(50);

/// What a route may begin now: one a period, and those that a late wake-up missed.
pub(super) struct Pace {
    limiter: RateLimiter<NotKeyed, InMemoryState, GivenClock, NoOpMiddleware<Nanos>>,
    /// Its time is what it was last told.
    clock: GivenClock,
    told: Option<Instant>,
    /// The limiter's cells that one request takes.
    cells: NonZeroU32,
    /// Taken from the limiter and not used; more than `most` are not saved.
    saved: u32,
    most: u32,
    /// When the limiter gives the next one.
    next: Option<Instant>,
}

impl Pace {
    pub fn new(rate: &Rate) -> Self {
        let period = (rate.per / rate.count.max(1)).max(Duration::from_nanos(1));
        let whole = |of: Duration, by: Duration| {
            NonZeroU32::new(
                u32::try_from(of.as_nanos().div_ceil(by.as_nanos())).unwrap_or(u32::MAX),
            )
            .expect("both are above zero")
        };
        // A long period is cut into cells of at most CATCH_UP: the limiter then lets a request be
        // early by one cell, so that the lateness of the one before is caught up.
        let cells = whole(period, CATCH_UP);
        let most = u32::try_from(CATCH_UP.as_nanos() / period.as_nanos()).unwrap_or(0) + 1;
        let burst = if cells.get() > 1 {
            cells.saturating_add(1)
        } else {
            NonZeroU32::new(most).expect("more than zero")
        };
        let quota = Quota::with_period(period / cells.get()).expect("a period above zero");
        let clock = GivenClock::default();
        let limiter = RateLimiter::direct_with_clock(quota.allow_burst(burst), clock.clone());
        Pace { limiter, clock, told: None, cells, saved: 0, most, next: None }
    }

    /// How many of `wanted` may begin at `now`; [`Pace::used`] takes them.
    pub fn allow(&mut self, wanted: u32, now: Instant) -> u32 {
        if let Some(told) = self.told {
            self.clock.advance(now.saturating_duration_since(told));
        }
        self.told = Some(self.told.map_or(now, |told| told.max(now)));
        loop {
            match self.limiter.check_n(self.cells).expect("the burst is at least one request's") {
                Ok(()) => self.saved = (self.saved + 1).min(self.most),
                Err(not_yet) => {
                    self.next = Some(now + not_yet.wait_time_from(self.clock.now()));
                    return self.saved.min(wanted);
                }
            }
        }
    }

    pub fn used(&mut self, count: u32) {
        self.saved = self.saved.saturating_sub(count);
    }

    /// When the next one may begin.
    pub fn next_at(&self, now: Instant) -> Instant {
        if self.saved > 0 { now } else { self.next.unwrap_or(now) }
    }
}
