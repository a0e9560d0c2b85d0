//! How many jobs were sent, failed or will be tried again in each of the last sixty minutes; a ring
//! buffer.

use crate::queue::job::Millis;
use std::time::Duration;

const MINUTE_MS: Millis = 60_000;
const MINUTES: Millis = 60;

/// Upper bounds of the buckets, in milliseconds; another bucket has everything above the last.
const LATENCY_MS: [u32; 15] =
    [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 600_000, 3_600_000];

/// One minute by the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Minute {
    /// When it begins.
    pub begins_at: Millis,
    /// Jobs recorded as sent.
    pub sent: u32,
    /// Jobs that ended `failed`.
    pub failed: u32,
    /// Attempts that will be followed by another one.
    pub retried: u32,
    latency: [u32; LATENCY_MS.len() + 1],
}

impl Minute {
    /// The time from due to sent at this quantile (0 to 1), interpolated within its bucket and at most an
    /// hour; `None` if nothing was sent.
    pub fn latency(&self, quantile: f64) -> Option<Duration> {
        let wanted = quantile * f64::from(self.sent);
        let (mut before, mut lower) = (0.0, 0.0);
        for (count, bound) in self.latency.iter().zip(LATENCY_MS) {
            let (count, bound) = (f64::from(*count), f64::from(bound));
            if count > 0.0 && before + count >= wanted {
                let share = ((wanted - before) / count).max(0.0);
                let ms = lower + (bound - lower) * share;
                return Some(Duration::from_secs_f64(ms / 1000.0));
            }
            (before, lower) = (before + count, bound);
        }
        (self.sent > 0).then(|| Duration::from_secs_f64(lower / 1000.0))
    }

    /// The sum of both, for a period longer than a minute.
    pub fn with(mut self, other: &Minute) -> Minute {
        self.sent = self.sent.saturating_add(other.sent);
        self.failed = self.failed.saturating_add(other.failed);
        self.retried = self.retried.saturating_add(other.retried);
        for (own, others) in self.latency.iter_mut().zip(other.latency) {
            *own = own.saturating_add(others);
        }
        self
    }

    pub(super) fn sent(&mut self, late: Duration) {
        self.sent = self.sent.saturating_add(1);
        let at = LATENCY_MS.partition_point(|bound| u128::from(*bound) < late.as_millis());
        self.latency[at] = self.latency[at].saturating_add(1);
    }

    pub(super) fn failed(&mut self) {
        self.failed = self.failed.saturating_add(1);
    }

    pub(super) fn retried(&mut self) {
        self.retried = self.retried.saturating_add(1);
    }
}

/// The first event of a minute overwrites the minute that used its slot before, even if the clock was
/// set back.
pub(super) struct LastHour([Minute; MINUTES as usize]);

impl Default for LastHour {
    fn default() -> Self {
        LastHour([Minute::default(); MINUTES as usize])
    }
}

impl LastHour {
    pub(super) fn at(&mut self, now: Millis) -> &mut Minute {
        let begins_at = begin_of(now);
        let slot = &mut self.0[slot_of(begins_at)];
        if slot.begins_at != begins_at {
            *slot = Minute { begins_at, ..Minute::default() };
        }
        slot
    }

    pub(super) fn until(&self, now: Millis) -> Vec<Minute> {
        let minute = |ago: Millis| {
            let begins_at = begin_of(now) - ago * MINUTE_MS;
            let slot = self.0[slot_of(begins_at)];
            let is_it = slot.begins_at == begins_at;
            if is_it { slot } else { Minute { begins_at, ..Minute::default() } }
        };
        (0..MINUTES).rev().map(minute).collect()
    }
}

fn begin_of(now: Millis) -> Millis {
    now - now.rem_euclid(MINUTE_MS)
}

fn slot_of(begins_at: Millis) -> usize {
    usize::try_from((begins_at / MINUTE_MS).rem_euclid(MINUTES)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of some minute.
    const T: Millis = 1_700_000_040_000;

    #[test]
    fn an_hour_is_sixty_minutes_that_end_with_the_current_one() {
        let mut hour = LastHour::default();
        hour.at(T + 59_999).failed();
        hour.at(T + 60_000).retried();
        let seen = hour.until(T + 61_000);
        assert_eq!(seen.len(), 60);
        assert_eq!((seen[58].begins_at, seen[58].failed, seen[58].retried), (T, 1, 0));
        assert_eq!((seen[59].begins_at, seen[59].failed, seen[59].retried), (T + 60_000, 0, 1));
        assert_eq!(seen[0].begins_at, T + 60_000 - 59 * MINUTE_MS);
        assert!(seen[..58].iter().all(|minute| minute.failed + minute.retried == 0));
    }

    #[test]
    fn events_older_than_an_hour_are_forgotten() {
        let mut hour = LastHour::default();
        hour.at(T).failed();
        assert_eq!(hour.until(T + 59 * MINUTE_MS)[0].failed, 1);
        assert!(hour.until(T + 60 * MINUTE_MS).iter().all(|minute| minute.failed == 0));
        hour.at(T + 60 * MINUTE_MS).failed();
        assert_eq!(hour.until(T + 60 * MINUTE_MS)[59].failed, 1);
    }

    #[test]
    fn a_clock_that_was_set_back_shows_only_minutes_before_it() {
        let mut hour = LastHour::default();
        hour.at(T).failed();
        hour.at(T - 60 * MINUTE_MS).failed();
        let seen = hour.until(T - 60 * MINUTE_MS);
        assert_eq!(seen.iter().map(|minute| minute.failed).sum::<u32>(), 1);
    }

    #[test]
    fn a_quantile_lies_in_the_bucket_of_its_job() {
        let mut minute = Minute::default();
        assert_eq!(minute.latency(0.5), None);
        (0..95).for_each(|_| minute.sent(Duration::from_millis(8)));
        (0..5).for_each(|_| minute.sent(Duration::from_millis(700)));
        let ms = |quantile| minute.latency(quantile).unwrap().as_secs_f64() * 1000.0;
        assert!((5.0..=10.0).contains(&ms(0.5)), "{}", ms(0.5));
        assert!((5.0..=10.0).contains(&ms(0.95)), "{}", ms(0.95));
        assert!((500.0..=1000.0).contains(&ms(0.99)), "{}", ms(0.99));
        let twice = minute.with(&minute);
        assert_eq!((twice.sent, twice.latency(0.95)), (200, minute.latency(0.95)));
    }

    #[test]
    fn times_above_the_last_bound_count_as_that_bound() {
        let mut minute = Minute::default();
        minute.sent(Duration::from_secs(100_000));
        assert_eq!(minute.latency(0.5), Some(Duration::from_secs(3600)));
    }
}
