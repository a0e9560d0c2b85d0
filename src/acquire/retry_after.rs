//! How long a server asks clients to wait: `Retry-After`, and the headers of rate limiters.

use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest time that a server can block a channel.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// How long a 429 blocks the channel if its headers cannot be parsed.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(5);

/// Headers of rate limiters, the more precise ones first; each in seconds, or a time.
const RESET_HEADERS: [&str; 6] = [
    "x-ratelimit-reset-after",
    "x-rate-limit-reset-after",
    "ratelimit-reset",
    "x-ratelimit-reset",
    "x-rate-limit-reset",
    "x-ratelimit-reset-requests",
];

/// The delay that an answer asks for, at most [`RETRY_AFTER_MAX`]. `None`: it asks for none, or the
/// time has passed already. Times are compared with the answer's own `Date`, or with `now` if there
/// is none.
pub(super) fn requested_delay(
    status: u16,
    headers: &HeaderMap,
    now: SystemTime,
) -> Option<Duration> {
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let now = date.and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    let mut present = false;
    let mut header = |name: &str, parse: &dyn Fn(&str) -> Option<Duration>| {
        let value = headers.get(name)?;
        present = true;
        parse(value.to_str().ok()?.trim().trim_matches('"'))
    };
    let mut delay = header(RETRY_AFTER.as_str(), &|text| parse_delay(text, now));
    // Other answers have these headers as well, while there is still quota left.
    if status == 429 {
        let millis = |text: &str| text.parse().ok().map(Duration::from_millis);
        delay = delay.or_else(|| header("retry-after-ms", &millis));
        for name in RESET_HEADERS {
            delay = delay.or_else(|| header(name, &|text| parse_delay(text, now)));
        }
        delay = delay.or_else(|| header("ratelimit", &|text| parse_ratelimit(text, now)));
        delay = delay.or(present.then_some(RETRY_AFTER_DEFAULT));
    }
    delay.map(|delay| delay.min(RETRY_AFTER_MAX)).filter(|delay| !delay.is_zero())
}

/// Reads seconds, also with a fraction; a time, as in HTTP or ISO 8601 or as a number since 1970; or
/// a duration such as `6m0s`. A time in the past is zero.
fn parse_delay(text: &str, now: SystemTime) -> Option<Duration> {
    if let Some(number) = parse_decimal(text) {
        // Small numbers are a delay. 47 years' worth of seconds is a time, and larger numbers are
        // times in milli-, micro- or nanoseconds.
        let since_1970 = match number {
            ..1.5e9 => return Some(Duration::from_secs_f64(number)),
            ..1.5e12 => number,
            ..1.5e15 => number / 1e3,
            ..1.5e18 => number / 1e6,
            ..1.5e20 => number / 1e9,
            _ => return Some(RETRY_AFTER_MAX),
        };
        return Some(time_left(UNIX_EPOCH + Duration::from_secs_f64(since_1970), now));
    }
    if let Ok(time) = httpdate::parse_http_date(text) {
        return Some(time_left(time, now));
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time_left(time.into(), now));
    }
    humantime::parse_duration(text).ok()
}

fn time_left(until: SystemTime, now: SystemTime) -> Duration {
    until.duration_since(now).unwrap_or_default()
}

/// Digits with at most one point: no sign, no exponent, no `inf`.
fn parse_decimal(text: &str) -> Option<f64> {
    let starts_with_digit = text.starts_with(|c: char| c.is_ascii_digit());
    let is_decimal = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (starts_with_digit && is_decimal).then(|| text.parse().ok())?
}

/// `RateLimit` as in the IETF's drafts: `limit=10, remaining=0, reset=30`, and later
/// `"default";r=0;t=30`.
fn parse_ratelimit(text: &str, now: SystemTime) -> Option<Duration> {
    let mut parts = text.split([',', ';']).filter_map(|part| part.split_once('='));
    let (_, value) = parts.find(|(name, _)| matches!(name.trim(), "reset" | "t"))?;
    parse_delay(value.trim(), now)
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
        requested_delay(status, &headers.collect(), now()).map(|delay| delay.as_secs_f64())
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
    fn a_429_whose_headers_cannot_be_parsed_blocks_for_the_default_time() {
        for words in ["soon", "", "-5", "inf", "1e3"] {
            assert_eq!(asked(429, &[("retry-after", words)]), Some(5.0), "{words}");
        }
        assert_eq!(asked(429, &[("x-ratelimit-reset", "later")]), Some(5.0));
        assert_eq!(asked(429, &[("retry-after", "soon"), ("ratelimit-reset", "9")]), Some(9.0));
        // Parsed, but already over.
        assert_eq!(asked(429, &[("retry-after", "0")]), None);
        assert_eq!(asked(429, &[("retry-after", "Sun, 06 Nov 1994 08:49:29 GMT")]), None);
        assert_eq!(asked(429, &[]), None);
    }

    #[test]
    fn times_are_compared_with_the_clock_of_the_server() {
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
    fn headers_of_rate_limiters_count_for_a_429() {
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
