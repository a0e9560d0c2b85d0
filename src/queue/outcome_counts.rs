//! What became of jobs over time: how many were sent, failed, became uncertain or were tried again in
//! each minute, hour and day, and how late.

use super::ended::Ended;
use super::job::{Millis, Status};
use std::time::Duration;

pub const MINUTE_MS: Millis = 60_000;
pub const HOUR_MS: Millis = 60 * MINUTE_MS;
pub const DAY_MS: Millis = 24 * HOUR_MS;

/// Upper bounds of the groups of lateness, in milliseconds; another group has everything above the last.
/// The columns `late_0` to `late_15` of `outbox_history` are these groups.
pub const LATE_MS: [Millis; 15] =
    [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 600_000, 3_600_000];
pub const LATE_GROUPS: usize = LATE_MS.len() + 1;

/// How many jobs ended in each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutcomeCounts {
    /// Jobs recorded as sent.
    pub sent: u64,
    /// Jobs that ended `failed`.
    pub failed: u64,
    /// Jobs that became uncertain and wait for a person.
    pub uncertain: u64,
    /// Attempts that will be followed by another one.
    pub retried: u64,
    /// Of those that were sent, how many in each group of [`LATE_MS`].
    pub late: [u64; LATE_GROUPS],
}

impl OutcomeCounts {
    /// One job that was sent, this long after it was due.
    pub fn of_sent(late: Millis) -> OutcomeCounts {
        let mut tally = OutcomeCounts { sent: 1, ..OutcomeCounts::default() };
        tally.late[late_group(late)] = 1;
        tally
    }

    /// What is counted of an attempt; `None` for nothing: its job was never sent, or is looked for at
    /// Acquire.
    pub fn of(ended: &Ended) -> Option<OutcomeCounts> {
        let t = &ended.transition;
        match t.status {
            Status::Sent => Some(OutcomeCounts::of_sent(t.updated_at.saturating_sub(ended.due_at))),
            Status::Failed => Some(OutcomeCounts { failed: 1, ..OutcomeCounts::default() }),
            Status::Uncertain if t.wait.is_none() => {
                Some(OutcomeCounts { uncertain: 1, ..OutcomeCounts::default() })
            }
            Status::Pending if t.history.is_some() => {
                Some(OutcomeCounts { retried: 1, ..OutcomeCounts::default() })
            }
            _ => None,
        }
    }

    pub fn add(&mut self, other: &OutcomeCounts) {
        self.sent = self.sent.saturating_add(other.sent);
        self.failed = self.failed.saturating_add(other.failed);
        self.uncertain = self.uncertain.saturating_add(other.uncertain);
        self.retried = self.retried.saturating_add(other.retried);
        for (own, others) in self.late.iter_mut().zip(other.late) {
            *own = own.saturating_add(others);
        }
    }

    /// Jobs that came to an end: sent, failed, or uncertain.
    pub fn ended(&self) -> u64 {
        self.sent.saturating_add(self.failed).saturating_add(self.uncertain)
    }

    /// The share of those that failed, from 0 to 1; 0 where nothing ended.
    pub fn failed_share(&self) -> f64 {
        if self.ended() == 0 { 0.0 } else { self.failed as f64 / self.ended() as f64 }
    }

    /// The time from due to sent at this quantile (0 to 1), interpolated within its group and at most an
    /// hour; `None` if nothing was sent.
    pub fn lateness(&self, quantile: f64) -> Option<Duration> {
        let wanted = quantile * self.sent as f64;
        let (mut before, mut lower) = (0.0, 0.0);
        for (count, bound) in self.late.iter().zip(LATE_MS) {
            let (count, bound) = (*count as f64, bound as f64);
            if count > 0.0 && before + count >= wanted {
                let share = ((wanted - before) / count).max(0.0);
                let ms = lower + (bound - lower) * share;
                return Some(Duration::from_secs_f64(ms / 1000.0));
            }
            (before, lower) = (before + count, bound);
        }
        (self.sent > 0).then(|| Duration::from_secs_f64(lower / 1000.0))
    }
}

/// The group of [`LATE_MS`] that this lateness belongs to.
pub fn late_group(late: Millis) -> usize {
    LATE_MS.partition_point(|bound| *bound < late)
}

/// What ended on one route in a minute, or in a longer step that the store was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    pub begins_at: Millis,
    pub account: String,
    pub channel: String,
    pub tally: OutcomeCounts,
}

/// How many rows one statement carries to another outbox.
pub const ROWS_AT_ONCE: usize = 2_000;

impl HistoryRow {
    /// The counts, in the order of the columns of `outbox_history`: sent, failed, uncertain, retried,
    /// and then by lateness.
    pub fn counts(&self) -> impl Iterator<Item = u64> {
        let t = &self.tally;
        [t.sent, t.failed, t.uncertain, t.retried].into_iter().chain(t.late)
    }
}

/// The outcomes by minute and route: a few rows for however many jobs.
pub fn tallied<'a>(ended: impl IntoIterator<Item = &'a Ended>) -> Vec<HistoryRow> {
    let mut rows: Vec<HistoryRow> = Vec::new();
    for one in ended {
        let Some(tally) = OutcomeCounts::of(one) else { continue };
        let begins_at = floor(one.transition.updated_at, MINUTE_MS);
        let channel = one.channel.as_str();
        let same = |row: &&mut HistoryRow| {
            row.begins_at == begins_at && row.account == one.account && row.channel == channel
        };
        match rows.iter_mut().find(same) {
            Some(row) => row.tally.add(&tally),
            None => rows.push(HistoryRow {
                begins_at,
                account: one.account.clone(),
                channel: channel.to_owned(),
                tally,
            }),
        }
    }
    rows
}

/// How far back a picture of the history goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Window {
    #[default]
    Hour,
    Day,
    Week,
    Month,
}

impl Window {
    pub const ALL: [Window; 4] = [Window::Hour, Window::Day, Window::Week, Window::Month];

    /// In an address, and on a link.
    pub fn as_str(self) -> &'static str {
        match self {
            Window::Hour => "1h",
            Window::Day => "24h",
            Window::Week => "7d",
            Window::Month => "30d",
        }
    }

    /// `hour`: how a sentence ends that begins with "in the last".
    pub fn noun(self) -> &'static str {
        match self {
            Window::Hour => "hour",
            Window::Day => "24 hours",
            Window::Week => "7 days",
            Window::Month => "30 days",
        }
    }

    /// How long one bar is, in milliseconds.
    pub fn step(self) -> Millis {
        match self {
            Window::Hour => MINUTE_MS,
            Window::Day => HOUR_MS,
            Window::Week => 6 * HOUR_MS,
            Window::Month => DAY_MS,
        }
    }

    /// How many bars there are.
    pub fn steps(self) -> Millis {
        match self {
            Window::Hour => 60,
            Window::Day => 24,
            Window::Week => 28,
            Window::Month => 30,
        }
    }

    /// When its first bar begins; its last one is not over yet.
    pub fn since(self, now: Millis) -> Millis {
        floor(now, self.step()) - (self.steps() - 1) * self.step()
    }

    /// Every bar, also where nothing happened, over all routes.
    pub fn filled(self, rows: &[HistoryRow], now: Millis) -> Vec<Interval> {
        let since = self.since(now);
        let mut intervals: Vec<_> = (0..self.steps())
            .map(|at| Interval {
                begins_at: since + at * self.step(),
                tally: OutcomeCounts::default(),
            })
            .collect();
        for row in rows {
            let at = usize::try_from((row.begins_at - since).div_euclid(self.step()));
            if let Some(interval) = at.ok().and_then(|at| intervals.get_mut(at)) {
                interval.tally.add(&row.tally);
            }
        }
        intervals
    }
}

/// A bar of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    pub begins_at: Millis,
    pub tally: OutcomeCounts,
}

/// The beginning of the step, by UTC, that `at` lies in.
pub fn floor(at: Millis, step: Millis) -> Millis {
    at - at.rem_euclid(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The beginning of some minute.
    const T: Millis = 1_700_000_040_000;

    fn row(begins_at: Millis, failed: u64) -> HistoryRow {
        let tally = OutcomeCounts { failed, ..OutcomeCounts::default() };
        HistoryRow { begins_at, account: "a".into(), channel: "sms".into(), tally }
    }

    #[test]
    fn a_window_ends_with_the_current_step_and_has_empty_ones_too() {
        for window in Window::ALL {
            let step = window.step();
            let rows = [row(T, 1), row(floor(T, step), 2), row(T - window.steps() * step, 4)];
            let filled = window.filled(&rows, T + 1);
            assert_eq!(filled.len(), usize::try_from(window.steps()).unwrap());
            let last = filled.last().unwrap();
            assert_eq!((last.begins_at, last.tally.failed), (floor(T, step), 3));
            let others = &filled[..filled.len() - 1];
            assert!(others.iter().all(|interval| interval.tally.failed == 0), "{window:?}");
        }
    }

    #[test]
    fn a_quantile_lies_in_the_group_of_its_job() {
        let mut tally = OutcomeCounts::default();
        assert_eq!(tally.lateness(0.5), None);
        (0..95).for_each(|_| tally.add(&OutcomeCounts::of_sent(8)));
        (0..5).for_each(|_| tally.add(&OutcomeCounts::of_sent(700)));
        let ms = |quantile| tally.lateness(quantile).unwrap().as_secs_f64() * 1000.0;
        assert!((5.0..=10.0).contains(&ms(0.5)), "{}", ms(0.5));
        assert!((5.0..=10.0).contains(&ms(0.95)), "{}", ms(0.95));
        assert!((500.0..=1000.0).contains(&ms(0.99)), "{}", ms(0.99));
    }

    #[test]
    fn times_above_the_last_bound_count_as_that_bound() {
        assert_eq!(
            OutcomeCounts::of_sent(100_000_000).lateness(0.5),
            Some(Duration::from_secs(3600))
        );
        assert_eq!((late_group(5), late_group(6), late_group(3_600_001)), (0, 1, 15));
    }

    #[test]
    fn the_share_of_failures_is_of_what_ended() {
        let tally = OutcomeCounts {
            sent: 2,
            failed: 1,
            uncertain: 1,
            retried: 9,
            ..OutcomeCounts::default()
        };
        assert!((tally.failed_share() - 0.25).abs() < 1e-9);
        assert!(OutcomeCounts::default().failed_share().abs() < 1e-9);
    }
}
