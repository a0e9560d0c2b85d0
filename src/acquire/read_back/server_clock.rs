//! Acquire's clock, by the `Date` of an answer. It has a resolution of a second, and the answer took
//! some time, so a time by that clock is a span by ours.

use crate::queue::job::Millis;
use chrono::{DateTime, NaiveDateTime};
use reqwest::header::{DATE, HeaderMap};
use serde_json::Value;
use std::time::UNIX_EPOCH;

/// How far the other clock is ahead of ours: at least and at most, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServerClock {
    least: Millis,
    most: Millis,
}

/// A time by our clock, not known exactly; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeSpan {
    pub earliest: Millis,
    pub latest: Millis,
}

const SECOND: Millis = 1000;

impl ServerClock {
    /// `asked` and `answered`: when the request began and its answer came, by our clock.
    pub fn read(headers: &HeaderMap, asked: Millis, answered: Millis) -> Option<ServerClock> {
        let date = headers.get(DATE)?.to_str().ok()?;
        let date = httpdate::parse_http_date(date).ok()?.duration_since(UNIX_EPOCH).ok()?;
        let date = Millis::try_from(date.as_millis()).ok()?;
        let (least, most) = (date - answered, date + SECOND - asked);
        (least <= most).then_some(ServerClock { least, most })
    }

    /// When it was by our clock. Times on the second are taken to be cut to it.
    pub fn ours(self, theirs: Millis) -> TimeSpan {
        let cut = if theirs % SECOND == 0 { SECOND } else { 0 };
        TimeSpan {
            earliest: theirs.saturating_sub(self.most),
            latest: theirs.saturating_add(cut).saturating_sub(self.least),
        }
    }
}

impl TimeSpan {
    pub fn middle(self) -> Millis {
        self.earliest + (self.latest - self.earliest) / 2
    }
}

/// A time in an answer: ISO 8601 with an offset, or milliseconds. Without an offset it is not known
/// whose time of day it is, so it is no time.
pub(super) fn time_in(value: &Value) -> Option<Millis> {
    match value {
        Value::String(text) => {
            DateTime::parse_from_rfc3339(text.trim()).ok().map(|time| time.timestamp_millis())
        }
        // Seconds would be in 1970.
        Value::Number(number) => number.as_i64().filter(|millis| *millis > 100_000_000_000),
        _ => None,
    }
}

/// Whether a value is some time, even without an offset.
pub(super) fn is_a_time(value: &Value) -> bool {
    time_in(value).is_some()
        || value.as_str().is_some_and(|text| {
            NaiveDateTime::parse_from_str(text.trim(), "%Y-%m-%d %H:%M:%S%.f").is_ok()
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;
    use serde_json::json;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const DATED: Millis = 784_111_777_000;

    fn clock(asked: Millis, answered: Millis) -> ServerClock {
        let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
        let headers = HeaderMap::from_iter([(DATE, date)]);
        ServerClock::read(&headers, asked, answered).unwrap()
    }

    #[test]
    fn a_time_of_theirs_is_a_span_of_ours() {
        // Ours is an hour behind; the answer took 200 ms.
        let ours = DATED - 3_600_000;
        let clock = clock(ours + 100, ours + 300);
        let span = clock.ours(DATED - 10_001);
        assert!(span.earliest <= ours - 10_001 && ours - 10_001 <= span.latest, "{span:?}");
        assert!(span.latest - span.earliest <= 1200, "{span:?}");
        let cut = clock.ours(DATED - 10_000);
        assert_eq!(cut.latest - cut.earliest, span.latest - span.earliest + 1000);
    }

    #[test]
    fn an_answer_without_a_date_tells_nothing() {
        assert_eq!(ServerClock::read(&HeaderMap::new(), 1, 2), None);
        let headers = HeaderMap::from_iter([(DATE, HeaderValue::from_static("yesterday"))]);
        assert_eq!(ServerClock::read(&headers, 1, 2), None);
    }

    #[test]
    fn a_time_without_an_offset_is_not_known() {
        assert_eq!(time_in(&json!("2021-03-30T16:05:46.000Z")), Some(1_617_120_346_000));
        assert_eq!(time_in(&json!("2021-03-30T18:05:46+02:00")), Some(1_617_120_346_000));
        assert_eq!(time_in(&json!(1_617_120_346_000_i64)), Some(1_617_120_346_000));
        for value in [json!("2021-03-30 16:05:46"), json!(1_617_120_346), json!(null), json!("")] {
            assert_eq!(time_in(&value), None, "{value}");
        }
        assert!(is_a_time(&json!("2021-03-30 16:05:46")) && !is_a_time(&json!("soon")));
    }
}
