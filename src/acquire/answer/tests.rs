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
    for nothing in ["", " \r\n"] {
        for (status, kind) in [(400, "rejected"), (422, "rejected"), (403, "page"), (404, "page")] {
            assert_eq!(code(&judged(status, nothing, End::Whole)).0, kind, "{status}");
        }
    }
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
        (r#"{"ok":"yes"}"#, End::Whole, r#"the answer 200 is JSON without `data`: {"ok":"yes"}"#),
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
        ("\u{feff}{\"error\":{\"code\":\"CHAT_CLOSED\",\"message\":\"No\"}}", "CHAT_CLOSED", "No"),
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
        (r#"{"errorCode":30007,"errorMessage":"Carrier violation"}"#, "30007", "Carrier violation"),
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
