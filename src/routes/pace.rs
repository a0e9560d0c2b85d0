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
    /// Taken from the limiter and not used; more than `most` are not saved.
    tokens: u32,
    most: u32,
    /// When the limiter gives the next one.
    next: Option<Instant>,
}

impl Pace {
    pub fn new(rate: &Rate) -> Self {
        let period = (rate.per / rate.count.max(1)).max(Duration::from_nanos(1));
        let missed = u32::try_from(CATCH_UP.as_nanos() / period.as_nanos()).unwrap_or(0);
        // One more than is ever used at once: so that a late request does not delay the next.
        let burst = NonZeroU32::new(missed + 2).expect("more than zero");
        let quota = Quota::with_period(period).expect("a period above zero").allow_burst(burst);
        let clock = GivenClock::default();
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        Pace { limiter, clock, told: None, tokens: 0, most: missed + 1, next: None }
    }

    /// How many of `wanted` may begin at `now`; [`Pace::used`] takes them.
    pub fn allow(&mut self, wanted: u32, now: Instant) -> u32 {
        if let Some(told) = self.told {
            self.clock.advance(now.saturating_duration_since(told));
        }
        self.told = Some(self.told.map_or(now, |told| told.max(now)));
        loop {
            match self.limiter.check() {
                Ok(()) => self.tokens = (self.tokens + 1).min(self.most),
                Err(not_yet) => {
                    self.next = Some(now + not_yet.wait_time_from(self.clock.now()));
                    return self.tokens.min(wanted);
                }
            }
        }
    }

    pub fn used(&mut self, count: u32) {
        self.tokens = self.tokens.saturating_sub(count);
    }

    /// When the next one may begin.
    pub fn next_at(&self, now: Instant) -> Instant {
        if self.tokens > 0 { now } else { self.next.unwrap_or(now) }
    }
}
