//! The backoff: how long to wait before the next attempt. Only this file uses the `backoff` crate.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

/// When the next attempt follows a failed one, and when to give up. The configuration ensures the
/// ranges.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// The delay after the first failed attempt. Above zero, at most `max`. Default 1 s.
    pub initial: Duration,
    /// Each further failure multiplies the delay by this, 1 to 10. Default 2.
    pub multiplier: f64,
    /// The longest delay before jitter. Default 15 min.
    pub max: Duration,
    /// The delay is varied by at most this fraction of it, 0 to 1. Default 0.2.
    pub jitter: f64,
    /// The attempts of one budget, including the first; at least 1. Default 20.
    pub max_attempts: u32,
    /// No attempt begins later than this after the first of its budget. Default 24 h.
    pub give_up_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            initial: Duration::from_secs(1),
            multiplier: 2.0,
            max: Duration::from_secs(15 * 60),
            jitter: 0.2,
            max_attempts: 20,
            give_up_after: Duration::from_secs(24 * 60 * 60),
        }
    }
}

impl RetryPolicy {
    /// The delay after the `failures`-th failed attempt (from 1; 0 counts as 1), without jitter:
    /// `initial * multiplier^(failures - 1)`, at most `max`.
    pub fn base_delay(&self, failures: u32) -> Duration {
        let exponent = f64::from(failures.saturating_sub(1));
        let secs = self.initial.as_secs_f64() * self.multiplier.powf(exponent);
        // After enough failures the power is infinite, which is not a duration.
        Duration::try_from_secs_f64(secs).map_or(self.max, |base| base.min(self.max))
    }
}

/// The delay after the `failures`-th failed attempt (from 1; 0 counts as 1), between
/// `base * (1 - jitter)` and `base * (1 + jitter)`, where base is [`RetryPolicy::base_delay`].
///
/// It depends only on the policy and the number, so a restart does not change the schedule.
pub fn delay(policy: &RetryPolicy, failures: u32) -> Duration {
    let base = policy.base_delay(failures);
    let mut schedule = ExponentialBackoff {
        current_interval: base,
        initial_interval: policy.initial,
        multiplier: policy.multiplier,
        max_interval: policy.max,
        randomization_factor: policy.jitter,
        max_elapsed_time: None,
        ..ExponentialBackoff::default()
    };
    let drawn = schedule.next_backoff().unwrap_or(base);
    // The crate's rounding can be off by a nanosecond.
    drawn.max(scaled(base, 1.0 - policy.jitter)).min(scaled(base, 1.0 + policy.jitter))
}

fn scaled(base: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(base.as_secs_f64() * factor.max(0.0)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policies() -> impl Strategy<Value = RetryPolicy> {
        let day = 86_400_000_u64;
        (1..=day, 1.0..=10.0_f64, 0..=day, 0.0..=1.0_f64).prop_map(
            |(initial, multiplier, further, jitter)| RetryPolicy {
                initial: Duration::from_millis(initial),
                multiplier,
                max: Duration::from_millis(initial + further),
                jitter,
                ..RetryPolicy::default()
            },
        )
    }

    proptest! {
        #[test]
        fn a_delay_stays_within_its_jitter(policy in policies(), failures in any::<u32>()) {
            let base = policy.base_delay(failures);
            let delayed = delay(&policy, failures);
            prop_assert!(delayed >= scaled(base, 1.0 - policy.jitter), "{delayed:?} for {base:?}");
            prop_assert!(delayed <= scaled(base, 1.0 + policy.jitter), "{delayed:?} for {base:?}");
        }

        #[test]
        fn the_base_is_never_below_initial_nor_above_max(
            policy in policies(),
            failures in any::<u32>(),
        ) {
            let base = policy.base_delay(failures);
            // The seconds pass through a float, which may lose a nanosecond.
            prop_assert!(base + Duration::from_nanos(1) >= policy.initial);
            prop_assert!(base <= policy.max);
        }

        #[test]
        fn a_further_failure_never_shortens_the_base(policy in policies(), failures in 1..10_000_u32) {
            prop_assert!(policy.base_delay(failures) <= policy.base_delay(failures + 1));
        }

        #[test]
        fn without_jitter_the_delay_is_the_base(policy in policies(), failures in any::<u32>()) {
            let policy = RetryPolicy { jitter: 0.0, ..policy };
            let (base, delayed) = (policy.base_delay(failures), delay(&policy, failures));
            prop_assert!(delayed.abs_diff(base) <= Duration::from_nanos(1), "{delayed:?} for {base:?}");
        }
    }

    #[test]
    fn the_default_doubles_from_a_second_to_a_quarter_of_an_hour() {
        let policy = RetryPolicy::default();
        let seconds = [1, 2, 3, 4, 10, 11, 20].map(|n| policy.base_delay(n).as_secs());
        assert_eq!(seconds, [1, 2, 4, 8, 512, 900, 900]);
        assert_eq!(policy.base_delay(0), policy.base_delay(1));
    }

    #[test]
    fn jitter_varies_delays_in_both_directions() {
        let policy = RetryPolicy { jitter: 0.5, ..RetryPolicy::default() };
        let delays: Vec<_> = (0..500).map(|_| delay(&policy, 1).as_secs_f64()).collect();
        assert!(delays.iter().any(|delayed| *delayed < 0.7));
        assert!(delays.iter().any(|delayed| *delayed > 1.3));
    }

    #[test]
    fn a_jitter_below_a_nanosecond_changes_nothing() {
        let initial = Duration::from_millis(1);
        let policy = RetryPolicy { initial, jitter: 0.4e-6, ..RetryPolicy::default() };
        for _ in 0..500 {
            assert_eq!(delay(&policy, 1), initial);
        }
    }

    #[test]
    fn no_number_of_failures_and_no_duration_overflows() {
        let endless = RetryPolicy {
            initial: Duration::MAX,
            max: Duration::MAX,
            multiplier: 10.0,
            jitter: 1.0,
            ..RetryPolicy::default()
        };
        for failures in [0, 1, 2, 64, 1_000, u32::MAX] {
            delay(&endless, failures);
        }
        assert_eq!(RetryPolicy::default().base_delay(u32::MAX), Duration::from_secs(900));
    }
}
