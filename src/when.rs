//! Times as people read them.

use crate::job::Millis;
use chrono::{DateTime, SecondsFormat};

/// ISO 8601, UTC, with milliseconds; as `delivery_status` has it.
pub fn iso(at: Millis) -> String {
    match DateTime::from_timestamp_millis(at) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::Millis, true),
        None => at.to_string(),
    }
}

/// `3m 20s ago`, `in 2h`.
pub fn relative(at: Millis, now: Millis) -> String {
    match at.saturating_sub(now) {
        -999..1000 => "now".to_owned(),
        left @ 1000.. => format!("in {}", span(left)),
        gone => format!("{} ago", span(gone.saturating_neg())),
    }
}

/// A length of time in its two largest units, days the largest of all: `2d 5h`.
pub fn span(millis: Millis) -> String {
    let seconds = millis.max(0) / 1000;
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let at = units.iter().position(|&(unit, _)| seconds >= unit).unwrap_or(units.len() - 1);
    let (unit, letter) = units[at];
    let first = format!("{}{letter}", seconds / unit);
    match units.get(at + 1).map(|&(next, letter)| (seconds % unit / next, letter)) {
        Some((rest @ 1.., letter)) => format!("{first} {rest}{letter}"),
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_their_two_largest_units() {
        assert_eq!(relative(3_723_000, 0), "in 1h 2m");
        assert_eq!(relative(0, 90_061_000), "1d 1h ago");
        assert_eq!(relative(40 * 86_400_000, 0), "in 40d");
        assert_eq!(relative(0, 60_000), "1m ago");
        assert_eq!(relative(10_500, 10_000), "now");
        assert_eq!(relative(10_000, 10_500), "now");
        assert!(relative(i64::MIN, 10_500).ends_with(" ago"));
        assert!(relative(i64::MAX, -10_500).starts_with("in "));
        assert_eq!(span(10), "0s");
        assert_eq!(span(3_605_000), "1h");
        assert_eq!(iso(1_764_000_000_123), "2025-11-24T16:00:00.123Z");
    }
}
