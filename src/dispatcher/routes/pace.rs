//! A rate, as a token bucket. Time is a parameter.

use crate::config::Rate;
use tokio::time::{Duration, Instant};

/// How much a paced route may catch up after a late wake-up.
pub(super) const CATCH_UP: Duration = Duration::from_millis(50);

/// What a route may begin now: one request per period, and those that a late wake-up missed.
pub(super) struct Pace {
    /// Tokens per nanosecond, and tokens per request: whole numbers, so that no rounding adds up.
    income: u128,
    price: u128,
    tokens: u128,
    filled_at: Option<Instant>,
}

impl Pace {
    pub fn new(rate: &Rate) -> Self {
        let (income, price) = (u128::from(rate.count.max(1)), rate.per.as_nanos());
        Pace { income, price, tokens: price, filled_at: None }
    }

    /// How many of `wanted` may begin at `now`; [`Pace::spend`] takes them.
    pub fn allow(&mut self, wanted: u32, now: Instant) -> u32 {
        let filled_at = self.filled_at.map_or(now, |before| before.max(now));
        let passed = filled_at - self.filled_at.unwrap_or(now);
        let most = self.price + self.income * CATCH_UP.as_nanos();
        self.tokens = most.min(self.tokens + self.income * passed.as_nanos());
        self.filled_at = Some(filled_at);
        u32::try_from(self.tokens / self.price).map_or(wanted, |allowed| allowed.min(wanted))
    }

    pub fn spend(&mut self, requests: u32) {
        self.tokens = self.tokens.saturating_sub(self.price * u128::from(requests));
    }

    /// When the next one may begin.
    pub fn next_at(&self, now: Instant) -> Instant {
        let missing = self.price.saturating_sub(self.tokens).div_ceil(self.income);
        let missing = Duration::from_nanos(u64::try_from(missing).unwrap_or(u64::MAX));
        self.filled_at.map_or(now, |filled_at| (filled_at + missing).max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_rate_is_exact_over_an_hour_though_each_wake_up_is_late(
            count in 1..20_000u32,
            seconds in prop::sample::select(vec![1u64, 60, 3600]),
            late in prop::collection::vec(0..5_000u64, 1..8),
        ) {
            let rate = Rate { count, per: Duration::from_secs(seconds) };
            let (mut pace, start) = (Pace::new(&rate), Instant::now());
            // 20,000 of the longest rates are enough to see an error of rounding.
            let span = HOUR.min(rate.per * 20_000 / count).max(rate.per);
            let (mut now, mut begun, mut wakes) = (start, 0u64, 0);
            loop {
                let allowed = pace.allow(u32::MAX, now);
                pace.spend(allowed);
                begun += u64::from(allowed);
                let due = pace.next_at(now);
                prop_assert!(due > now, "the loop would spin");
                now = due + Duration::from_micros(late[wakes % late.len()]);
                wakes += 1;
                if now > start + span {
                    break;
                }
            }
            let exact = span.as_nanos() * u128::from(count) / rate.per.as_nanos();
            let missed = 1 + (Duration::from_millis(5).as_nanos() * u128::from(count)).div_ceil(rate.per.as_nanos());
            prop_assert!(u128::from(begun) <= exact + 1, "{begun} of {exact}");
            prop_assert!(u128::from(begun) + missed >= exact, "{begun} of {exact}");
        }

        #[test]
        fn no_span_has_more_than_its_rate_and_what_may_be_caught_up(
            count in 1..5_000u32,
            steps in prop::collection::vec((0..400_000u64, 0..100u32), 1..200),
        ) {
            let rate = Rate { count, per: Duration::from_secs(1) };
            let (mut pace, mut now, mut begun) = (Pace::new(&rate), Instant::now(), Vec::new());
            for (micros, wanted) in steps {
                now += Duration::from_micros(micros);
                let allowed = pace.allow(wanted, now);
                pace.spend(allowed);
                begun.push((now, allowed));
            }
            for first in (0..begun.len()).step_by(7) {
                let sum: u32 = begun[first..].iter().map(|(_, count)| count).sum();
                let span = (now - begun[first].0 + CATCH_UP).as_secs_f64();
                prop_assert!(f64::from(sum) <= 1.001 + span * f64::from(count), "{sum} in {span}");
            }
        }
    }

    #[test]
    fn a_rate_of_a_million_in_an_hour_is_exact_after_a_late_wake_up_each_millisecond() {
        let mut pace = Pace::new(&Rate { count: 999_999, per: HOUR });
        let (start, mut begun) = (Instant::now(), 0);
        for millis in 0..=3_600_000 {
            let allowed = pace.allow(u32::MAX, start + Duration::from_millis(millis));
            pace.spend(allowed);
            begun += allowed;
        }
        assert_eq!(begun, 1_000_000, "one at once, and the rate");
    }
}
