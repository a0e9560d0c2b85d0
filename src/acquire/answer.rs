//! What an answer means: the contract's table, from facts read to an `Outcome`.

use super::error::{self, cap};
use super::receipt::{self, Reading, Steps};
use super::redact::Redactor;
use crate::outcome::{Fault, Outcome};
use std::time::{Duration, SystemTime};

/// As much of an answer as is ever read.
pub(super) const LIMIT_BYTES: usize = 1024 * 1024;

/// The longest that a `Retry-After` can hold a channel.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// An answer, as far as it was read.
pub(super) struct Answer<'a> {
    pub status: u16,
    /// The `Retry-After` header, as it was sent.
    pub retry_after: Option<&'a str>,
    /// At most `LIMIT_BYTES`.
    pub body: &'a [u8],
    pub end: End,
}

/// How the reading of a body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    /// More than `LIMIT_BYTES`; the rest was not read.
    TooLong,
    /// The rest never came.
    Lost(Fault),
}

pub(super) fn judge(
    steps: Steps,
    answer: Answer<'_>,
    redactor: impl FnOnce() -> Redactor,
    now: SystemTime,
) -> Outcome {
    let Answer { status, retry_after, body, end } = answer;
    let cut = match end {
        End::Whole => false,
        End::TooLong => true,
        End::Lost(fault) => return Outcome::Unknown { fault },
    };
    match status {
        200..=299 => success(steps, status, body, cut, redactor),
        401 | 300..=399 => Outcome::AccountRefused { fault: refused(status, body, &redactor()) },
        502 | 504 => {
            let words = error::fault(status, body, &redactor()).message;
            Outcome::Unknown { fault: Fault::new(format!("http_{status}"), words) }
        }
        408 | 425 | 429 | 500..=599 => Outcome::Unavailable {
            fault: error::fault(status, body, &redactor()),
            retry_after: retry_after.and_then(|header| delay(header, now)),
        },
        400..=499 => Outcome::Rejected {
            fault: error::fault(status, body, &redactor()),
            receipt: Default::default(),
        },
        _ => unreadable(format!("the answer's status {status} is none that Acquire gives")),
    }
}

fn refused(status: u16, body: &[u8], redactor: &Redactor) -> Fault {
    match status {
        401 => error::fault(status, body, redactor),
        _ => Fault::new(
            format!("http_{status}"),
            format!(
                "Acquire answered {status}, a redirect, which is never followed: is base_url right?"
            ),
        ),
    }
}

fn success(
    steps: Steps,
    status: u16,
    body: &[u8],
    cut: bool,
    redactor: impl FnOnce() -> Redactor,
) -> Outcome {
    let Some(mut reading) = receipt::read(steps, body, cut) else {
        return unreadable(format!("the answer {status} is not JSON"));
    };
    if let Some(provider) = reading.provider.take() {
        let redactor = redactor();
        let code = provider.code.filter(|code| !code.is_empty()).map_or_else(
            || "provider_error".to_owned(),
            |code| cap(error::code(code.trim(), &redactor)),
        );
        let words = provider.words.map(|words| redactor.line(&words)).filter(|w| !w.is_empty());
        let sentence = match words {
            Some(words) => format!("the SMS provider refused it: {words}"),
            None => format!("the SMS provider refused it: {code}"),
        };
        let fault = Fault::new(code, cap(sentence));
        return Outcome::Rejected { fault, receipt: reading.into_receipt() };
    }
    if !cut && !reading.has_data {
        return unreadable(format!("the answer {status} is JSON without `data`"));
    }
    accepted(reading, cut)
}

fn accepted(reading: Reading, cut: bool) -> Outcome {
    let receipt = reading.into_receipt();
    let note = if cut {
        Some(Fault::new("answer_too_large", "accepted, with an answer of more than 1 MiB"))
    } else if receipt.message_id.is_none() {
        Some(Fault::new("no_message_id", "accepted, with an answer that has no id of the message"))
    } else {
        None
    };
    Outcome::Accepted { receipt, note }
}

fn unreadable(sentence: String) -> Outcome {
    Outcome::Unknown { fault: Fault::new("response_unreadable", sentence) }
}

/// `Retry-After`: whole seconds or an HTTP date, at most an hour; anything else, and what is
/// over already, is `None`.
fn delay(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    let delay = if !header.is_empty() && header.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit are more than an hour.
        header.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs)
    } else {
        httpdate::parse_http_date(header).ok()?.duration_since(now).ok()?
    };
    Some(delay.min(RETRY_AFTER_MAX)).filter(|delay| !delay.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acquire::{chat, sms};

    fn judged(status: u16, retry_after: Option<&str>, body: &str, end: End) -> Outcome {
        let answer = Answer { status, retry_after, body: body.as_bytes(), end };
        judge(sms::step, answer, || Redactor::new("key-key-key", &[]), SystemTime::UNIX_EPOCH)
    }

    fn code(outcome: &Outcome) -> (&'static str, String) {
        match outcome {
            Outcome::Accepted { note, .. } => {
                ("accepted", note.as_ref().map(|note| note.code.clone()).unwrap_or_default())
            }
            Outcome::Rejected { fault, .. } => ("rejected", fault.code.clone()),
            Outcome::Unavailable { fault, .. } => ("unavailable", fault.code.clone()),
            Outcome::AccountRefused { fault } => ("account", fault.code.clone()),
            Outcome::Unknown { fault } => ("unknown", fault.code.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_status_has_its_row_of_the_table() {
        for status in 100..=999u16 {
            let (kind, code) = code(&judged(status, None, "{}", End::Whole));
            let expected = match status {
                401 | 300..=399 => "account",
                408 | 425 | 429 => "unavailable",
                400..=499 => "rejected",
                502 | 504 => "unknown",
                500..=599 => "unavailable",
                _ => "unknown",
            };
            assert_eq!(kind, expected, "{status}");
            match status {
                300..=599 => assert_eq!(code, format!("http_{status}")),
                _ => assert_eq!(code, "response_unreadable"),
            }
        }
    }

    #[test]
    fn a_2xx_is_accepted_for_its_data_alone() {
        for (body, end, expected) in [
            (r#"{"data":{"data":{"id":339}}}"#, End::Whole, ("accepted", "")),
            (r#"{"data":{}}"#, End::Whole, ("accepted", "no_message_id")),
            (r#"{"data":{"data":{"id":339},"#, End::TooLong, ("accepted", "answer_too_large")),
            (r#"{"x":"#, End::TooLong, ("accepted", "answer_too_large")),
            (r#"<html>"#, End::TooLong, ("unknown", "response_unreadable")),
            (r#"{"data":{"data":{"id":339}"#, End::Whole, ("unknown", "response_unreadable")),
            ("", End::Whole, ("unknown", "response_unreadable")),
            (r#"{"data":null}"#, End::Whole, ("unknown", "response_unreadable")),
        ] {
            for status in [200, 201, 202] {
                let (kind, code) = code(&judged(status, None, body, end.clone()));
                assert_eq!((kind, code.as_str()), expected, "{body}");
            }
        }
    }

    #[test]
    fn a_provider_refuses_inside_a_2xx_and_the_ids_are_kept() {
        for (meta, code, words) in [
            (
                r#"{"errorCode":30007,"errorMessage":"Carrier violation"}"#,
                "30007",
                "Carrier violation",
            ),
            (r#"{"errorCode":"21610","errorMessage":null}"#, "21610", "21610"),
            (r#"{"errorCode":null,"errorMessage":"Stopped"}"#, "provider_error", "Stopped"),
            (r#"{"errorCode":{"a":1}}"#, "provider_error", "provider_error"),
        ] {
            let body = format!(r#"{{"data":{{"data":{{"id":339,"meta":{meta}}}}}}}"#);
            match judged(200, None, &body, End::Whole) {
                Outcome::Rejected { fault, receipt } => {
                    assert_eq!(fault.code, code);
                    assert_eq!(fault.message, format!("the SMS provider refused it: {words}"));
                    assert_eq!(receipt.message_id.as_deref(), Some("339"));
                }
                other => panic!("{other:?}"),
            }
        }
        let answer = Answer {
            status: 200,
            retry_after: None,
            body: br#"{"data":{"id":1,"data":{"meta":{"errorCode":1}}}}"#,
            end: End::Whole,
        };
        let outcome = judge(chat::step, answer, || Redactor::new("k", &[]), SystemTime::UNIX_EPOCH);
        assert_eq!(code(&outcome).0, "accepted");
    }

    #[test]
    fn no_whole_answer_is_no_answer() {
        for status in [200, 302, 400, 401, 429, 503] {
            let lost = End::Lost(Fault::new("connection_lost", "gone"));
            assert_eq!(
                code(&judged(status, None, "{}", lost)),
                ("unknown", "connection_lost".into())
            );
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_within_an_hour() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        for (header, seconds) in [
            ("5", Some(5)),
            (" 5 ", Some(5)),
            ("3600", Some(3600)),
            ("3601", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("0", None),
            ("", None),
            ("-5", None),
            ("+5", None),
            ("1.5", None),
            ("5s", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:30 GMT", None),
            ("Sun, 06 Nov 1994 08:49:29 GMT", None),
            ("Sat, 06 Nov 2094 08:49:37 GMT", Some(3600)),
        ] {
            assert_eq!(delay(header, now), seconds.map(Duration::from_secs), "{header}");
        }
        for status in [408, 429, 500, 503] {
            let Outcome::Unavailable { retry_after, .. } =
                judged(status, Some("7"), "", End::Whole)
            else {
                panic!("{status}")
            };
            assert_eq!(retry_after, Some(Duration::from_secs(7)));
        }
    }
}
