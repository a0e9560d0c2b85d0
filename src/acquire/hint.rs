//! How long a server asks to wait: `Retry-After`, and the headers that rate limiters use.

use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest that a hint can hold a channel.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// How long a 429 holds the channel when its hint cannot be read.
pub const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(5);

/// A rate limiter's own headers, the more exact ones first; all in seconds, or a time.
const RESETS: [&str; 6] = [
    "x-ratelimit-reset-after",
    "x-rate-limit-reset-after",
    "ratelimit-reset",
    "x-ratelimit-reset",
    "x-rate-limit-reset",
    "x-ratelimit-reset-requests",
];

/// The delay that an answer with this status asks for; `None`: it asks for none, or the time is
/// over already. At most [`RETRY_AFTER_MAX`]. Times are compared with the answer's own `Date`, or
/// without one with `now`.
pub(super) fn pause(status: u16, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let date = text(headers, DATE.as_str()).and_then(|d| httpdate::parse_http_date(d).ok());
    let now = date.unwrap_or(now);
    let mut given = false;
    let mut hint = |name: &str, read: &dyn Fn(&str) -> Option<Duration>| {
        let value = headers.get(name)?;
        given = true;
        read(value.to_str().ok()?.trim().trim_matches('"'))
    };
    let mut found = hint(RETRY_AFTER.as_str(), &|words| delay(words, now));
    // With another status they say how much is left, not that nothing is left.
    if status == 429 {
        let millis = |words: &str| words.parse().ok().map(Duration::from_millis);
        found = found.or_else(|| hint("retry-after-ms", &millis));
        for name in RESETS {
            found = found.or_else(|| hint(name, &|words| delay(words, now)));
        }
        found = found.or_else(|| hint("ratelimit", &|words| in_list(words, now)));
        found = found.or(given.then_some(RETRY_AFTER_DEFAULT));
    }
    found.map(|pause| pause.min(RETRY_AFTER_MAX)).filter(|pause| !pause.is_zero())
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Seconds, also fractions; a time, as in HTTP or ISO 8601 or as a number since 1970; a duration
/// such as `6m0s`. A time in the past is zero.
fn delay(words: &str, now: SystemTime) -> Option<Duration> {
    if let Some(number) = number(words) {
        // A number of half a century or more in seconds is a time, and so is one in milli-, micro-
        // or nanoseconds.
        let since_1970 = match number {
            ..1.5e9 => return Some(Duration::from_secs_f64(number)),
            ..1.5e12 => number,
            ..1.5e15 => number / 1e3,
            ..1.5e18 => number / 1e6,
            ..1.5e20 => number / 1e9,
            _ => return Some(RETRY_AFTER_MAX),
        };
        return Some(left(UNIX_EPOCH + Duration::from_secs_f64(since_1970), now));
    }
    if let Ok(time) = httpdate::parse_http_date(words) {
        return Some(left(time, now));
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(words) {
        return Some(left(time.into(), now));
    }
    humantime::parse_duration(words).ok()
}

fn left(until: SystemTime, now: SystemTime) -> Duration {
    until.duration_since(now).unwrap_or_default()
}

/// Digits with at most one point: no sign, no exponent, no `inf`.
fn number(words: &str) -> Option<f64> {
    let whole = words.starts_with(|c: char| c.is_ascii_digit());
    let plain = words.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (whole && plain).then(|| words.parse().ok())?
}

/// `RateLimit` as in the IETF's drafts: `limit=10, remaining=0, reset=30`, and later
/// `"default";r=0;t=30`.
fn in_list(words: &str, now: SystemTime) -> Option<Duration> {
    let mut parts = words.split([',', ';']).filter_map(|part| part.split_once('='));
    let (_, value) = parts.find(|(name, _)| matches!(name.trim(), "reset" | "t"))?;
    delay(value.trim(), now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    /// Sun, 06 Nov 1994 08:49:30 GMT.
    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(784_111_770)
    }

    fn asked(status: u16, headers: &[(&str, &str)]) -> Option<f64> {
        let headers = headers.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
        });
        pause(status, &headers.collect(), now()).map(|pause| pause.as_secs_f64())
    }

    #[test]
    fn retry_after_is_seconds_or_a_time_within_an_hour() {
        for (words, seconds) in [
            ("5", Some(5.0)),
            (" 5 ", Some(5.0)),
            ("\"5\"", Some(5.0)),
            ("2.7", Some(2.7)),
            ("2.", Some(2.0)),
            ("0.25", Some(0.25)),
            ("5s", Some(5.0)),
            ("2m30s", Some(150.0)),
            ("3600", Some(3600.0)),
            ("3601", Some(3600.0)),
            ("99999999999999999999999", Some(3600.0)),
            ("1999999999", Some(3600.0)),
            ("0", None),
            ("0.0", None),
            ("", None),
            ("-5", None),
            ("+5", None),
            ("1.2.3", None),
            (".", None),
            ("1e3", None),
            ("inf", None),
            ("NaN", None),
            ("soon", None),
            ("sp\u{e4}ter", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7.0)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(7.0)),
            ("Sun, 06 Nov 1994 08:49:30 GMT", None),
            ("Sun, 06 Nov 1994 08:49:29 GMT", None),
            ("Sat, 06 Nov 2094 08:49:37 GMT", Some(3600.0)),
            ("1994-11-06T08:49:37Z", Some(7.0)),
            ("1994-11-06T09:49:37.5+01:00", Some(7.5)),
        ] {
            for status in [408, 500, 503] {
                assert_eq!(asked(status, &[("retry-after", words)]), seconds, "{words}");
            }
        }
    }

    #[test]
    fn a_429_whose_hint_cannot_be_read_still_holds_a_while() {
        for words in ["soon", "", "-5", "inf", "1e3"] {
            assert_eq!(asked(429, &[("retry-after", words)]), Some(5.0), "{words}");
        }
        assert_eq!(asked(429, &[("x-ratelimit-reset", "later")]), Some(5.0));
        assert_eq!(asked(429, &[("retry-after", "soon"), ("ratelimit-reset", "9")]), Some(9.0));
        // It can be read, and is over already.
        assert_eq!(asked(429, &[("retry-after", "0")]), None);
        assert_eq!(asked(429, &[("retry-after", "Sun, 06 Nov 1994 08:49:29 GMT")]), None);
        assert_eq!(asked(429, &[]), None);
    }

    #[test]
    fn times_go_by_the_clock_of_the_server_that_wrote_them() {
        let five_minutes_ahead = ("date", "Sun, 06 Nov 1994 08:54:30 GMT");
        let until = ("retry-after", "Sun, 06 Nov 1994 08:54:40 GMT");
        assert_eq!(asked(503, &[five_minutes_ahead, until]), Some(10.0));
        assert_eq!(asked(503, &[until]), Some(310.0));
        assert_eq!(asked(503, &[("date", "today"), until]), Some(310.0));
        let five_minutes_behind = ("date", "Sun, 06 Nov 1994 08:44:30 GMT");
        let until = ("retry-after", "Sun, 06 Nov 1994 08:44:40 GMT");
        assert_eq!(asked(503, &[five_minutes_behind, until]), Some(10.0));
        assert_eq!(asked(503, &[five_minutes_behind, ("retry-after", "3")]), Some(3.0));
    }

    #[test]
    fn a_rate_limiter_says_when_it_starts_again() {
        let date = ("date", "Thu, 26 Nov 2026 06:00:00 GMT");
        for (name, value, seconds) in [
            ("x-ratelimit-reset", "30", Some(30.0)),
            ("X-RateLimit-Reset", "1795672830", Some(30.0)),
            ("x-ratelimit-reset", "1795672830.5", Some(30.5)),
            ("x-ratelimit-reset", "1795672830000", Some(30.0)),
            ("x-ratelimit-reset", "1795672830000000", Some(30.0)),
            ("x-ratelimit-reset", "2026-11-26T06:00:30Z", Some(30.0)),
            ("x-ratelimit-reset", "1795672000", None),
            ("x-ratelimit-reset", "99999999999999999999999999", Some(3600.0)),
            ("x-rate-limit-reset", "30", Some(30.0)),
            ("x-ratelimit-reset-after", "1.5", Some(1.5)),
            ("x-ratelimit-reset-requests", "6m0s", Some(360.0)),
            ("ratelimit-reset", "30", Some(30.0)),
            ("retry-after-ms", "1500", Some(1.5)),
            ("ratelimit", "limit=10, remaining=0, reset=30", Some(30.0)),
            ("ratelimit", "\"default\";r=0;t=30", Some(30.0)),
        ] {
            assert_eq!(asked(429, &[date, (name, value)]), seconds, "{name}: {value}");
            assert_eq!(asked(503, &[date, (name, value)]), None, "{name}: {value}");
        }
        assert_eq!(asked(429, &[("retry-after", "2"), ("x-ratelimit-reset", "30")]), Some(2.0));
    }
}
