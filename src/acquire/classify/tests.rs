use super::*;
use crate::acquire::{chat_request, sms_request};
use reqwest::header::{HeaderValue, RETRY_AFTER};
use std::time::Duration;

fn classified_by(map: FieldMap, status: u16, body: &[u8], end: BodyEnd) -> Outcome {
    let answer = RawAnswer { status, headers: &HeaderMap::new(), body, end };
    let redactor = || Redactor::new("key-key-key", &["Dear Anne, your parcel"]);
    classify(map, answer, redactor, SystemTime::UNIX_EPOCH)
}

fn classified(status: u16, body: &str, end: BodyEnd) -> Outcome {
    classified_by(sms_request::field_action, status, body.as_bytes(), end)
}

fn lost() -> BodyEnd {
    BodyEnd::Lost(Fault::new("connection_lost", "gone"))
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
fn every_status_has_the_outcome_in_the_table_however_its_body_ends() {
    for status in (100..=199).chain(300..=999u16) {
        let expected = match StatusClass::of(status) {
            StatusClass::AccountRefused => "account",
            StatusClass::Unavailable => "unavailable",
            StatusClass::ClientError => "rejected",
            _ => "unknown",
        };
        let begun = r#"{"x":"#;
        for (body, end) in
            [("{}", BodyEnd::Complete), (begun, lost()), ("", lost()), (begun, BodyEnd::TooLong)]
        {
            let (kind, code) = code(&classified(status, body, end));
            assert_eq!(kind, expected, "{status}");
            match status {
                300..=599 => assert_eq!(code, format!("http_{status}")),
                _ => assert_eq!(code, "response_unreadable"),
            }
        }
    }
}

#[test]
fn a_4xx_is_acquires_if_it_is_json() {
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
            assert_eq!(code(&classified(status, body, BodyEnd::Complete)).0, kind, "{body}");
        }
        for status in [408, 429, 503] {
            assert_eq!(
                code(&classified(status, body, BodyEnd::Complete)).0,
                "unavailable",
                "{body}"
            );
        }
    }
    assert_eq!(code(&classified(404, "<htm", lost())).0, "page");
    for nothing in ["", " \r\n"] {
        for (status, kind) in [(400, "rejected"), (422, "rejected"), (403, "page"), (404, "page")] {
            assert_eq!(code(&classified(status, nothing, BodyEnd::Complete)).0, kind, "{status}");
        }
    }
}

#[test]
fn a_truncated_error_keeps_its_type_and_message() {
    let body = r#"{"error":{"type":"ERROR_INVALID_INPUT","message":"No such ca"#;
    let Outcome::Rejected { fault, .. } = classified(400, body, lost()) else { panic!() };
    assert_eq!(fault.code, "ERROR_INVALID_INPUT");
    assert_eq!(fault.message, "Acquire answered 400: No such ca");
    let body = r#"{"error":{"type":"ERROR_INVALID_INPUT","message":"'Dear An"#;
    let Outcome::Rejected { fault, .. } = classified(400, body, lost()) else { panic!() };
    assert_eq!(fault.message, "Acquire answered 400: ' [...]");
}

#[test]
fn a_2xx_is_accepted_for_its_data_alone() {
    let whole = r#"{"data":{"data":{"id":339}}}"#;
    for (body, end, expected) in [
        (whole, BodyEnd::Complete, ("accepted", "")),
        (whole, lost(), ("accepted", "")),
        (r#"{"data":{}}"#, BodyEnd::Complete, ("accepted", "no_message_id")),
        (r#"{"data":{}}"#, lost(), ("accepted", "no_message_id")),
        (r#"{"data":{"data":{"id":339},"#, BodyEnd::TooLong, ("accepted", "answer_too_large")),
        (r#"{"x":"#, BodyEnd::TooLong, ("accepted", "answer_too_large")),
        (r#"<html>"#, BodyEnd::TooLong, ("unknown", "response_unreadable")),
        ("  ", BodyEnd::TooLong, ("unknown", "response_unreadable")),
        ("-1", BodyEnd::TooLong, ("unknown", "response_unreadable")),
        ("[1", BodyEnd::TooLong, ("unknown", "response_unreadable")),
        (&whole[..whole.len() - 1], BodyEnd::Complete, ("unknown", "response_unreadable")),
        (&whole[..whole.len() - 1], lost(), ("unknown", "connection_lost")),
        (r#"{"data":null}"#, lost(), ("unknown", "connection_lost")),
        ("", BodyEnd::Complete, ("unknown", "response_unreadable")),
        ("", lost(), ("unknown", "connection_lost")),
        (r#"{"data":null}"#, BodyEnd::Complete, ("unknown", "response_unreadable")),
    ] {
        for status in [200, 201, 202, 218] {
            let (kind, code) = code(&classified(status, body, end.clone()));
            assert_eq!((kind, code.as_str()), expected, "{body}");
        }
    }
}

#[test]
fn an_unreadable_answer_is_quoted_without_key_and_message_text() {
    for (body, end, words) in [
        ("<h1>Welcome</h1>", BodyEnd::Complete, "the 200 answer is not JSON: <h1>Welcome</h1>"),
        ("", BodyEnd::Complete, "the 200 answer is not JSON"),
        (
            r#"{"ok":"yes"}"#,
            BodyEnd::Complete,
            r#"the 200 answer is JSON without `data`: {"ok":"yes"}"#,
        ),
        (r#"{"data":{"id":8"#, lost(), r#"gone: {"data":{"id":8"#),
        ("key-key-key", BodyEnd::Complete, "the 200 answer is not JSON: [...]"),
        (r#"{"m":"Dear Anne, you"#, lost(), r#"gone: {"m":" [...]"#),
    ] {
        let Outcome::Unknown { fault } = classified(200, body, end) else { panic!("{body}") };
        assert_eq!(fault.message, words);
    }
    let long = "y".repeat(5000);
    let Outcome::Unknown { fault } = classified(200, &long, BodyEnd::Complete) else { panic!() };
    assert!(fault.message.len() <= error_answer::SENTENCE_BYTES);
}

#[test]
fn a_2xx_that_reports_a_failure_is_a_rejection_with_code_and_message() {
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
        for map in [chat_request::field_action as FieldMap, sms_request::field_action] {
            match classified_by(map, 200, body.as_bytes(), BodyEnd::Complete) {
                Outcome::Rejected { fault, .. } => {
                    assert_eq!(fault.code, code, "{body}");
                    assert_eq!(fault.message, format!("Acquire answered 200: {words}"));
                }
                other => panic!("{body}: {other:?}"),
            }
        }
    }
    let no = r#"{"success":false,"data":{"threadId":7,"data":{"caseId":8,"error":"No"}}}"#;
    let Outcome::Rejected { receipt, .. } = classified(200, no, BodyEnd::Complete) else {
        panic!()
    };
    assert_eq!(Value::Object(receipt.fields), serde_json::json!({"threadId": 7, "caseId": 8}));
}

#[test]
fn an_empty_error_is_not_a_rejection_and_an_id_counts_for_more() {
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
        let outcome =
            classified_by(chat_request::field_action, 200, body.as_bytes(), BodyEnd::Complete);
        assert_eq!(code(&outcome).0, expected, "{body}");
    }
    // It may have gone on to report success.
    let begun = r#"{"error":{"code":"CHAT_CLOSED","message":"No"}"#;
    assert_eq!(code(&classified(200, begun, lost())).0, "unknown");
}

#[test]
fn a_providers_error_inside_a_2xx_is_a_rejection_that_keeps_the_ids() {
    for (meta, code, words) in [
        (r#"{"errorCode":30007,"errorMessage":"Carrier violation"}"#, "30007", "Carrier violation"),
        (r#"{"errorCode":"21610","errorMessage":null}"#, "21610", "21610"),
        (r#"{"errorCode":null,"errorMessage":"Stopped"}"#, "provider_error", "Stopped"),
        (r#"{"errorCode":{"a":1}}"#, "provider_error", "provider_error"),
    ] {
        for before in ["", "\u{feff}"] {
            let body = format!(r#"{before}{{"data":{{"data":{{"id":339,"meta":{meta}}}}}}}"#);
            match classified(200, &body, BodyEnd::Complete) {
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
    assert_eq!(
        code(&classified_by(chat_request::field_action, 200, body, BodyEnd::Complete)).0,
        "accepted"
    );
}

#[test]
fn retry_after_counts_if_the_message_was_not_passed_on() {
    let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]);
    for status in [408, 429, 500, 503, 521] {
        let answer = RawAnswer { status, headers: &headers, body: b"", end: BodyEnd::Complete };
        let redactor = || Redactor::new("k", &[]);
        let outcome = classify(sms_request::field_action, answer, redactor, SystemTime::UNIX_EPOCH);
        let Outcome::Unavailable { retry_after, .. } = outcome else { panic!("{status}") };
        assert_eq!(retry_after, Some(Duration::from_secs(7)));
    }
}
