//! Times as people write and read them, and the wall clock.

use crate::queue::job::Millis;
use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat};

/// The largest offset from UTC that SQLite accepts, and that is in use.
const OFFSET_HOURS: i32 = 14;

/// Why text is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeFault {
    /// In no form that is supported.
    #[error(
        "must be Unix milliseconds as a whole number, or a time like 2026-11-22T09:00:00+02:00; \
         without an offset it is UTC"
    )]
    Form,
    /// Such as 30 February.
    #[error("there is no such day in the calendar")]
    Day,
    /// Such as 24:00, or 23:59:60.
    #[error("there is no such time of day; the last one is 23:59:59")]
    TimeOfDay,
    /// Such as +15:00.
    #[error("there is no such offset from UTC; the largest are -14:00 and +14:00")]
    Offset,
}

/// The wall clock in Unix milliseconds.
pub fn now() -> Millis {
    chrono::Utc::now().timestamp_millis()
}

/// Parses a date, optionally with a time of day, optionally with an offset (`Z`, `+02:00`, `+0200` or
/// `+02`); by default UTC. Days and times that do not exist are refused; SQLite would take 30 February
/// for 2 March.
///
/// # Errors
/// [`TimeFault`]
pub fn parse_time(text: &str) -> Result<Millis, TimeFault> {
    let text = text.trim();
    let (day, rest) = text.split_at_checked(10).ok_or(TimeFault::Form)?;
    let day = parse_day(day)?;
    let Some(rest) = rest.strip_prefix([' ', 'T', 't']) else {
        return if rest.is_empty() {
            utc(day.and_time(NaiveTime::MIN))
        } else {
            Err(TimeFault::Form)
        };
    };
    let time_end = rest.find(|c: char| !c.is_ascii_digit() && !":.".contains(c));
    let (time, offset) = rest.split_at(time_end.unwrap_or(rest.len()));
    let local = day.and_time(parse_time_of_day(time)?);
    let offset = parse_offset(offset.trim_start())?;
    utc(local.checked_sub_offset(offset).ok_or(TimeFault::Form)?)
}

fn utc(time: NaiveDateTime) -> Result<Millis, TimeFault> {
    Ok(time.and_utc().timestamp_millis())
}

/// `2026-11-22`
fn parse_day(text: &str) -> Result<NaiveDate, TimeFault> {
    let [year, month, day] = numbers(text, '-', [4, 2, 2])?;
    NaiveDate::from_ymd_opt(year.cast_signed(), month, day).ok_or(TimeFault::Day)
}

/// `09:00`, `09:00:00`, `09:00:00.123`
fn parse_time_of_day(text: &str) -> Result<NaiveTime, TimeFault> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let [hour, minute, second] = match whole.len() {
        5 if whole.len() == text.len() => {
            let [hour, minute] = numbers(whole, ':', [2, 2])?;
            [hour, minute, 0]
        }
        _ => numbers(whole, ':', [2, 2, 2])?,
    };
    if fraction.is_empty() || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(TimeFault::Form);
    }
    let nanos: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos = nanos.parse().map_err(|_| TimeFault::Form)?;
    NaiveTime::from_hms_nano_opt(hour, minute, second, nanos).ok_or(TimeFault::TimeOfDay)
}

/// Nothing, `Z`, `+02:00`, `+0200`, `+02`
fn parse_offset(text: &str) -> Result<FixedOffset, TimeFault> {
    let east = match text.as_bytes() {
        [] | [b'Z' | b'z'] => return FixedOffset::east_opt(0).ok_or(TimeFault::Offset),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return Err(TimeFault::Form),
    };
    let digits = &text[1..];
    let [hours, minutes] = match digits.len() {
        2 => [numbers::<1>(digits, ':', [2])?[0], 0],
        4 if digits.is_ascii() => {
            let (hours, minutes) = digits.split_at(2);
            [numbers::<1>(hours, ':', [2])?[0], numbers::<1>(minutes, ':', [2])?[0]]
        }
        _ => numbers(digits, ':', [2, 2])?,
    };
    let seconds = hours.cast_signed() * 3600 + minutes.cast_signed() * 60;
    if minutes > 59 || seconds > OFFSET_HOURS * 3600 {
        return Err(TimeFault::Offset);
    }
    FixedOffset::east_opt(east * seconds).ok_or(TimeFault::Offset)
}

/// `N` numbers with the given numbers of digits.
fn numbers<const N: usize>(
    text: &str,
    between: char,
    digits: [usize; N],
) -> Result<[u32; N], TimeFault> {
    let mut parts = text.split(between);
    let mut all = [0; N];
    for (number, digits) in all.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits);
        let part = part.filter(|part| part.bytes().all(|digit| digit.is_ascii_digit()));
        *number = part.and_then(|part| part.parse().ok()).ok_or(TimeFault::Form)?;
    }
    if parts.next().is_some() { Err(TimeFault::Form) } else { Ok(all) }
}

/// ISO 8601, UTC, with milliseconds, as in `delivery_status`.
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

/// A length of time in its two largest units, of which days are the largest: `2d 5h`.
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
    fn times_are_parsed_in_every_form_that_sqlite_reads_and_default_to_utc() {
        for (text, expected) in [
            ("2031-02-28", "2031-02-28T00:00:00.000Z"),
            ("2028-02-29 09:00", "2028-02-29T09:00:00.000Z"),
            ("2031-02-28T09:00:07", "2031-02-28T09:00:07.000Z"),
            ("2031-02-28 09:00:07.1239", "2031-02-28T09:00:07.123Z"),
            ("2031-02-28T09:00:00Z", "2031-02-28T09:00:00.000Z"),
            ("2031-02-28t09:00z", "2031-02-28T09:00:00.000Z"),
            ("2031-02-28T09:00:00+02:00", "2031-02-28T07:00:00.000Z"),
            ("2031-02-28T09:00:00.5+0200", "2031-02-28T07:00:00.500Z"),
            ("2031-02-28 23:00:00 -05:30", "2031-03-01T04:30:00.000Z"),
            ("2031-02-28 09:00:00+02", "2031-02-28T07:00:00.000Z"),
            (" 2031-01-01 00:00:00+14:00 ", "2030-12-31T10:00:00.000Z"),
            ("1999-12-31", "1999-12-31T00:00:00.000Z"),
        ] {
            assert_eq!(parse_time(text).map(iso), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_day_or_time_that_does_not_exist_has_its_own_error() {
        for (text, fault) in [
            ("2031-02-30T09:00:00Z", TimeFault::Day),
            ("2031-02-29", TimeFault::Day),
            ("2100-02-29", TimeFault::Day),
            ("2031-04-31 09:00", TimeFault::Day),
            ("2031-13-01", TimeFault::Day),
            ("2031-00-10", TimeFault::Day),
            ("2031-01-00", TimeFault::Day),
            ("2031-01-01T24:00:00Z", TimeFault::TimeOfDay),
            ("2031-01-01T25:00", TimeFault::TimeOfDay),
            ("2031-01-01T09:60", TimeFault::TimeOfDay),
            ("2016-12-31T23:59:60Z", TimeFault::TimeOfDay),
            ("2031-01-01T09:00+14:01", TimeFault::Offset),
            ("2031-01-01T09:00-1530", TimeFault::Offset),
            ("2031-01-01T09:00+02:60", TimeFault::Offset),
            ("12031-01-01", TimeFault::Form),
            ("2031-1-1 09:00", TimeFault::Form),
            ("2031-W09-5", TimeFault::Form),
            ("2031-060", TimeFault::Form),
            ("01.02.2031 09:00", TimeFault::Form),
            ("1. Februar 2031", TimeFault::Form),
            ("09:00", TimeFault::Form),
            ("tomorrow", TimeFault::Form),
            ("now", TimeFault::Form),
            ("45987.375", TimeFault::Form),
            ("2461000.5", TimeFault::Form),
            ("2031-01-01T09:00 CET", TimeFault::Form),
            ("2031-01-01T09:00:00,5Z", TimeFault::Form),
            ("2031-01-01T09:00:00.Z", TimeFault::Form),
            ("2031-01-01T", TimeFault::Form),
            ("2031-01-01T9:00", TimeFault::Form),
            ("2031-01-01T09:00+é1", TimeFault::Form),
            ("2031-01-0é", TimeFault::Form),
            ("", TimeFault::Form),
        ] {
            assert_eq!(parse_time(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn times_are_shown_in_their_two_largest_units() {
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
