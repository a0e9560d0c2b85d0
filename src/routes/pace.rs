//! A rate, by a token bucket of the governor crate.

use crate::config::Rate;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use tokio::time::{Duration, Instant};

/// How much a paced route may catch up after a late wake-up.
const CATCH_UP: Duration = Duration::from_millis(50);

/// What a route may begin now. Tokens that a claim did not use are kept.
pub(super) struct Pace {
    limiter: DefaultDirectRateLimiter,
    clock: DefaultClock,
    tokens: u32,
    /// When the limiter gives the next token, as far as it has been asked.
    next: Option<Instant>,
}

impl Pace {
    pub fn new(rate: &Rate) -> Self {
        let period = (rate.per / rate.count.max(1)).max(Duration::from_nanos(1));
        let caught_up = u32::try_from(CATCH_UP.as_nanos() / period.as_nanos()).unwrap_or(0);
        let quota = Quota::with_period(period)
            .expect("a period above zero")
            .allow_burst(NonZeroU32::new(caught_up + 2).expect("more than zero"));
        Pace {
            limiter: RateLimiter::direct(quota),
            clock: DefaultClock::default(),
            tokens: 0,
            next: None,
        }
    }

    /// How many of `wanted` may begin now.
    pub fn allow(&mut self, wanted: u32) -> u32 {
        self.next = None;
        while self.tokens < wanted {
            match self.limiter.check() {
                Ok(()) => self.tokens += 1,
                Err(not_yet) => {
                    self.next = Some(Instant::now() + not_yet.wait_time_from(self.clock.now()));
                    break;
                }
            }
        }
        self.tokens.min(wanted)
    }

    pub fn used(&mut self, count: u32) {
        self.tokens = self.tokens.saturating_sub(count);
    }

    /// When the next one may begin.
    pub fn next_at(&self, now: Instant) -> Instant {
        if self.tokens > 0 { now } else { self.next.unwrap_or(now) }
    }
}
