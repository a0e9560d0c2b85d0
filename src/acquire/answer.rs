//! What an answer means: the contract's table, from facts read to an `Outcome`.

use super::denial;
use super::error::{self, Said, cap};
use super::hint;
use super::odd_json;
use super::receipt::{self, ProviderError, Reading, Steps};
use super::redact::Redactor;
use super::statuses::{self, Sort};
use super::wrapping::{self, Unwrapped};
use crate::outcome::{Fault, Outcome};
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::time::SystemTime;

/// The most that is ever read of an answer, compressed or decompressed.
pub(super) const LIMIT_BYTES: usize = 1024 * 1024;

/// An answer, as far as it was read.
pub(super) struct Answer<'a> {
    pub status: u16,
    pub headers: &'a HeaderMap,
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

/// A body that is cut short does not change what a status means; a 2xx counts if its JSON is
/// complete.
pub(super) fn judge(
    steps: Steps,
    answer: Answer<'_>,
    redactor: impl FnOnce() -> Redactor,
    now: SystemTime,
) -> Outcome {
    let Answer { status, headers, body, end } = &answer;
    let status = *status;
    let sort = statuses::sort(status);
    if sort == Sort::Success {
        return match usual(steps, body, end) {
            Some(reading) => accepted(reading, *end == End::TooLong),
            None => patiently(steps, &answer, &redactor()),
        };
    }
    let redactor = redactor();
    let said = Said::of(body, headers, *end != End::Whole);
    let who = if statuses::is_gateways(status) { "a gateway" } else { "Acquire" };
    let fault = || said.fault(who, status, &redactor);
    match sort {
        Sort::Refused => Outcome::AccountRefused { fault: refused(status, &said, &redactor) },
        Sort::Unknown => {
            Outcome::Unknown { fault: Fault::new(format!("http_{status}"), fault().message) }
        }
        Sort::NotNow => {
            let retry_after = hint::pause(status, headers, now);
            Outcome::Unavailable { fault: fault(), retry_after }
        }
        Sort::Final if is_acquires(&said, end) => {
            Outcome::Rejected { fault: fault(), receipt: Default::default() }
        }
        Sort::Final => {
            let fault = not_acquires(status, &said, &redactor);
            Outcome::NotAcquires { fault, verdict: Default::default() }
        }
        Sort::Success | Sort::NoStatus => {
            unreadable(format!("the answer's status {status} is not one that Acquire uses"))
        }
    }
}

/// A 4xx of Acquire's is JSON, or the beginning of it. Where the body ended before its first byte,
/// only the status counts.
fn is_acquires(said: &Said, end: &End) -> bool {
    said.json.is_some() || (matches!(end, End::Lost(_)) && said.text.trim().is_empty())
}

fn not_acquires(status: u16, said: &Said, redactor: &Redactor) -> Fault {
    let page = said.line(redactor);
    let page = if page.is_empty() { "it is empty" } else { &page };
    let sentence =
        format!("the answer {status} is not from Acquire, which answers in JSON: {page}");
    Fault::new(format!("http_{status}"), cap(sentence))
}

fn refused(status: u16, said: &Said, redactor: &Redactor) -> Fault {
    match status {
        401 => said.fault("Acquire", status, redactor),
        407 => Fault::new(
            "http_407",
            "a proxy on the way to Acquire requires a user and a password (407)",
        ),
        _ => Fault::new(
            format!("http_{status}"),
            format!(
                "Acquire answered {status}, a redirect, which is never followed: is base_url right?"
            ),
        ),
    }
}

/// Reads nearly every 2xx: JSON with an id and nothing else.
fn usual(steps: Steps, body: &[u8], end: &End) -> Option<Reading> {
    let reading = receipt::read(steps, body, *end == End::TooLong)?;
    (reading.provider.is_none() && reading.has_id()).then_some(reading)
}

/// Reads any other 2xx. The request cannot be repeated, so everything that can be read counts.
fn patiently(steps: Steps, answer: &Answer<'_>, redactor: &Redactor) -> Outcome {
    let Answer { status, headers, body, end } = answer;
    let Unwrapped { text, too_long, cut } = wrapping::unwrap(body, headers, *end != End::Whole);
    let too_long = too_long || *end == End::TooLong;
    let mut reading = odd_json::ids(steps, &text, too_long);
    if let Some(provider) = reading.as_mut().and_then(|reading| reading.provider.take()) {
        let fault = refused_by_provider(provider, redactor);
        return Outcome::Rejected { fault, receipt: reading.unwrap_or_default().into_receipt() };
    }
    if let Some(reading) = reading.take_if(|reading| reading.has_id()) {
        return accepted(reading, too_long);
    }
    let json = odd_json::value(&text, cut, Value::is_object);
    let said = Said { json, text, cut };
    // An answer that was cut short may have been about to say more.
    if (too_long || !cut || reading.is_some())
        && let Some(denied) = denial::of(&said)
    {
        let fault = denied.fault("Acquire", *status, redactor);
        let receipt = reading.unwrap_or_default().into_receipt();
        return Outcome::Rejected { fault, receipt };
    }
    // Every beginning could be that of a number.
    match (reading.filter(|_| !too_long || said.begins_an_object()), end) {
        (Some(reading), _) if reading.has_data || too_long => accepted(reading, too_long),
        (_, End::Lost(fault)) => {
            let sentence = begun(fault.message.clone(), &said, redactor);
            Outcome::Unknown { fault: Fault::new(fault.code.clone(), sentence) }
        }
        (Some(_), _) => {
            let sentence = format!("the answer {status} is JSON without `data`");
            unreadable(begun(sentence, &said, redactor))
        }
        (None, _) => unreadable(begun(format!("the answer {status} is not JSON"), &said, redactor)),
    }
}

/// A sentence about an answer, and the answer's beginning for the reader.
fn begun(sentence: String, said: &Said, redactor: &Redactor) -> String {
    match said.line(redactor).as_str() {
        "" => sentence,
        line => cap(format!("{sentence}: {line}")),
    }
}

fn refused_by_provider(provider: ProviderError, redactor: &Redactor) -> Fault {
    let code = provider.code.filter(|code| !code.is_empty()).map_or_else(
        || "provider_error".to_owned(),
        |code| cap(error::code_of(code.trim(), redactor)),
    );
    let words = provider.words.map(|words| redactor.line(&words)).filter(|w| !w.is_empty());
    let sentence = match words {
        Some(words) => format!("the SMS provider refused it: {words}"),
        None => format!("the SMS provider refused it: {code}"),
    };
    Fault::new(code, cap(sentence))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acquire::{chat, sms};
    use reqwest::header::{HeaderValue, RETRY_AFTER};
    use std::time::Duration;

    fn judged_as(steps: Steps, status: u16, body: &[u8], end: End) -> Outcome {
        let answer = Answer { status, headers: &HeaderMap::new(), body, end };
        let redactor = || Redactor::new("key-key-key", &["Dear Anne, your parcel"]);
        judge(steps, answer, redactor, SystemTime::UNIX_EPOCH)
    }

    fn judged(status: u16, body: &str, end: End) -> Outcome {
        judged_as(sms::step, status, body.as_bytes(), end)
    }

    fn lost() -> End {
        End::Lost(Fault::new("connection_lost", "gone"))
    }

    fn code(outcome: &Outcome) -> (&'static str, String) {
        match outcome {
            Outcome::Accepted { note, .. } => {
                ("accepted", note.as_ref().map(|note| note.code.clone()).unwrap_or_default())
            }
            Outcome::Rejected { fault, .. } => ("rejected", fault.code.clone()),
            Outcome::Unavailable { fault, .. } => ("unavailable", fault.code.clone()),
            Outcome::AccountRefused { fault } => ("account", fault.code.clone()),
            Outcome::NotAcquires { fault, .. } => ("page", fault.code.clone()),
            Outcome::Unknown { fault } => ("unknown", fault.code.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_status_has_its_row_of_the_table_however_its_body_ends() {
        for status in (100..=199).chain(300..=999u16) {
            let expected = match statuses::sort(status) {
                Sort::Refused => "account",
                Sort::NotNow => "unavailable",
                Sort::Final => "rejected",
                _ => "unknown",
            };
            let begun = r#"{"x":"#;
            for (body, end) in
                [("{}", End::Whole), (begun, lost()), ("", lost()), (begun, End::TooLong)]
            {
                let (kind, code) = code(&judged(status, body, end));
                assert_eq!(kind, expected, "{status}");
                match status {
                    300..=599 => assert_eq!(code, format!("http_{status}")),
                    _ => assert_eq!(code, "response_unreadable"),
                }
            }
        }
    }

    #[test]
    fn a_4xx_is_acquires_when_it_is_json() {
        for (body, kind) in [
            ("{}", "rejected"),
            ("[]", "rejected"),
            ("\u{feff}{}", "rejected"),
            (r#""no such case""#, "rejected"),
            (r#"Notice: x {"message":"no"}"#, "rejected"),
            ("", "page"),
            (" \r\n", "page"),
            ("404", "page"),
            ("null", "page"),
            ("default backend - 404", "page"),
            ("no {braces} here", "page"),
            (r#"<html>{"message":"no"}</html>"#, "page"),
            (r#"{"message":"no""#, "page"),
        ] {
            for status in [400, 403, 404, 413, 451, 499 - 1] {
                assert_eq!(code(&judged(status, body, End::Whole)).0, kind, "{body}");
            }
            for status in [408, 429, 503] {
                assert_eq!(code(&judged(status, body, End::Whole)).0, "unavailable", "{body}");
            }
        }
        assert_eq!(code(&judged(404, "<htm", lost())).0, "page");
    }

    #[test]
    fn an_error_that_broke_off_keeps_its_type_and_words() {
        let body = r#"{"error":{"type":"ERROR_INVALID_INPUT","message":"No such ca"#;
        let Outcome::Rejected { fault, .. } = judged(400, body, lost()) else { panic!() };
        assert_eq!(fault.code, "ERROR_INVALID_INPUT");
        assert_eq!(fault.message, "Acquire answered 400: No such ca");
        let body = r#"{"error":{"type":"ERROR_INVALID_INPUT","message":"'Dear An"#;
        let Outcome::Rejected { fault, .. } = judged(400, body, lost()) else { panic!() };
        assert_eq!(fault.message, "Acquire answered 400: ' [...]");
    }

    #[test]
    fn a_2xx_is_accepted_for_its_data_alone() {
        let whole = r#"{"data":{"data":{"id":339}}}"#;
        for (body, end, expected) in [
            (whole, End::Whole, ("accepted", "")),
            (whole, lost(), ("accepted", "")),
            (r#"{"data":{}}"#, End::Whole, ("accepted", "no_message_id")),
            (r#"{"data":{}}"#, lost(), ("accepted", "no_message_id")),
            (r#"{"data":{"data":{"id":339},"#, End::TooLong, ("accepted", "answer_too_large")),
            (r#"{"x":"#, End::TooLong, ("accepted", "answer_too_large")),
            (r#"<html>"#, End::TooLong, ("unknown", "response_unreadable")),
            ("  ", End::TooLong, ("unknown", "response_unreadable")),
            ("-1", End::TooLong, ("unknown", "response_unreadable")),
            ("[1", End::TooLong, ("unknown", "response_unreadable")),
            (&whole[..whole.len() - 1], End::Whole, ("unknown", "response_unreadable")),
            (&whole[..whole.len() - 1], lost(), ("unknown", "connection_lost")),
            (r#"{"data":null}"#, lost(), ("unknown", "connection_lost")),
            ("", End::Whole, ("unknown", "response_unreadable")),
            ("", lost(), ("unknown", "connection_lost")),
            (r#"{"data":null}"#, End::Whole, ("unknown", "response_unreadable")),
        ] {
            for status in [200, 201, 202, 218] {
                let (kind, code) = code(&judged(status, body, end.clone()));
                assert_eq!((kind, code.as_str()), expected, "{body}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_kept_for_the_reader_without_key_and_texts() {
        for (body, end, words) in [
            ("<h1>Welcome</h1>", End::Whole, "the answer 200 is not JSON: <h1>Welcome</h1>"),
            ("", End::Whole, "the answer 200 is not JSON"),
            (
                r#"{"ok":"yes"}"#,
                End::Whole,
                r#"the answer 200 is JSON without `data`: {"ok":"yes"}"#,
            ),
            (r#"{"data":{"id":8"#, lost(), r#"gone: {"data":{"id":8"#),
            ("key-key-key", End::Whole, "the answer 200 is not JSON: [...]"),
            (r#"{"m":"Dear Anne, you"#, lost(), r#"gone: {"m":" [...]"#),
        ] {
            let Outcome::Unknown { fault } = judged(200, body, end) else { panic!("{body}") };
            assert_eq!(fault.message, words);
        }
        let long = "y".repeat(5000);
        let Outcome::Unknown { fault } = judged(200, &long, End::Whole) else { panic!() };
        assert!(fault.message.len() <= error::SENTENCE_BYTES);
    }

    #[test]
    fn a_2xx_that_says_no_is_a_rejection_with_code_and_words() {
        for (body, code, words) in [
            (
                r#"{"error":{"code":"CHAT_ALREADY_JOINED","message":"You are in","data":null}}"#,
                "CHAT_ALREADY_JOINED",
                "You are in",
            ),
            (r#"{"error":"CHAT_CLOSED","message":"No"}"#, "CHAT_CLOSED", "No"),
            (r#"{"error":"It is closed","data":null}"#, "http_200", "It is closed"),
            (r#"{"error":"It is closed","data":{}}"#, "http_200", "It is closed"),
            (r#"{"errors":[{"code":"CLOSED","message":"No"}]}"#, "CLOSED", "No"),
            (r#"{"error":{"code":1017,"message":"No"}}"#, "1017", "No"),
            (r#"{"error":{"code":"CLOSED"},"message":"No"}"#, "CLOSED", "No"),
            (r#"{"message":"ok","error":{"code":"CLOSED","message":"No"}}"#, "CLOSED", "No"),
            (r#"{"error":true,"message":"No"}"#, "http_200", "No"),
            (r#"{"success":false,"message":"No"}"#, "http_200", "No"),
            (r#"{"success":"false","code":"CHAT_CLOSED","message":"No"}"#, "CHAT_CLOSED", "No"),
            (r#"{"ok":false,"error":{"message":"No"}}"#, "http_200", "No"),
            (r#"{"status":"error","message":"No"}"#, "http_200", "No"),
            (r#"{"code":"ERROR_INVALID_INPUT","message":"No"}"#, "ERROR_INVALID_INPUT", "No"),
            (r#"{"data":{"error":{"code":"CHAT_CLOSED","message":"No"}}}"#, "CHAT_CLOSED", "No"),
            (r#"{"data":{"success":false,"message":"No"}}"#, "http_200", "No"),
            (
                "\u{feff}{\"error\":{\"code\":\"CHAT_CLOSED\",\"message\":\"No\"}}",
                "CHAT_CLOSED",
                "No",
            ),
        ] {
            for steps in [chat::step as Steps, sms::step] {
                match judged_as(steps, 200, body.as_bytes(), End::Whole) {
                    Outcome::Rejected { fault, .. } => {
                        assert_eq!(fault.code, code, "{body}");
                        assert_eq!(fault.message, format!("Acquire answered 200: {words}"));
                    }
                    other => panic!("{body}: {other:?}"),
                }
            }
        }
        let no = r#"{"success":false,"data":{"threadId":7,"data":{"caseId":8,"error":"No"}}}"#;
        let Outcome::Rejected { receipt, .. } = judged(200, no, End::Whole) else { panic!() };
        assert_eq!(Value::Object(receipt.fields), serde_json::json!({"threadId": 7, "caseId": 8}));
    }

    #[test]
    fn an_error_that_says_nothing_is_no_refusal_and_an_id_counts_more() {
        for (body, expected) in [
            (r#"{"error":null,"data":{"id":1}}"#, "accepted"),
            (r#"{"error":"old","success":false,"data":{"id":1}}"#, "accepted"),
            (r#"{"error":null,"data":{}}"#, "accepted"),
            (r#"{"error":"","errors":[],"success":true,"data":{}}"#, "accepted"),
            (r#"{"error":null}"#, "unknown"),
            (r#"{"error":false,"message":"queued"}"#, "unknown"),
            (r#"{"message":"queued"}"#, "unknown"),
            (r#"{"x":{"error":"No"}}"#, "unknown"),
        ] {
            let outcome = judged_as(chat::step, 200, body.as_bytes(), End::Whole);
            assert_eq!(code(&outcome).0, expected, "{body}");
        }
        // It may have been about to say more.
        let begun = r#"{"error":{"code":"CHAT_CLOSED","message":"No"}"#;
        assert_eq!(code(&judged(200, begun, lost())).0, "unknown");
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
            for before in ["", "\u{feff}"] {
                let body = format!(r#"{before}{{"data":{{"data":{{"id":339,"meta":{meta}}}}}}}"#);
                match judged(200, &body, End::Whole) {
                    Outcome::Rejected { fault, receipt } => {
                        assert_eq!(fault.code, code);
                        assert_eq!(fault.message, format!("the SMS provider refused it: {words}"));
                        assert_eq!(receipt.message_id.as_deref(), Some("339"));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        let body = br#"{"data":{"id":1,"data":{"meta":{"errorCode":1}}}}"#;
        assert_eq!(code(&judged_as(chat::step, 200, body, End::Whole)).0, "accepted");
    }

    #[test]
    fn a_hint_is_heard_from_what_did_not_pass_the_message_on() {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]);
        for status in [408, 429, 500, 503, 521] {
            let answer = Answer { status, headers: &headers, body: b"", end: End::Whole };
            let redactor = || Redactor::new("k", &[]);
            let outcome = judge(sms::step, answer, redactor, SystemTime::UNIX_EPOCH);
            let Outcome::Unavailable { retry_after, .. } = outcome else { panic!("{status}") };
            assert_eq!(retry_after, Some(Duration::from_secs(7)));
        }
    }
}
