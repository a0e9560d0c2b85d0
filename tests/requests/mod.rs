//! The HTTP client against a TCP server that can misbehave in every way.

mod connection;
mod reading;
mod server;

use acquire_outbox::acquire::{AccountCheck, Connection, Endpoint, EndpointError, WriteGate};
use acquire_outbox::queue::job::Channel;
use acquire_outbox::queue::outcome::{AttemptResult, Fault, Outcome};
use acquire_outbox::queue::payload;
use acquire_outbox::queue::payload::Payload;
use secrecy::SecretString;
use serde_json::{Value, json};
use server::{Reply, json, serve};
use std::time::Duration;
use url::Url;

const KEY: &str = "key-5f9d1c7e";

fn endpoint_within(channel: Channel, base: &Url, limit: Duration) -> Endpoint {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let connection = Connection {
        base_url: base,
        api_key: &SecretString::from(KEY),
        user_type_parameter: "x-user-type",
        extra_roots: &[],
        request_timeout: limit,
        connect_timeout: limit,
        proxy: None,
        at_most_once: false,
        idle_connections: usize::MAX,
    };
    Endpoint::new(channel, &connection).unwrap()
}

fn endpoint(channel: Channel, base: &Url) -> Endpoint {
    endpoint_within(channel, base, Duration::from_secs(20))
}

fn payload_of(channel: Channel) -> Payload {
    let text = match channel {
        Channel::Chat => r#"{"caseId":2069,"message":"Dear Anne, your parcel is late"}"#,
        Channel::Mail => {
            r#"{"caseId":1128,"contactId":9156860,"from":"test@acquire.io","to":"user@gmail.com","subject":"test","textBody":"plain","htmlBody":"<p>html</p>"}"#
        }
        Channel::Sms => {
            r##"{"From":"+12513188609","To":"+919666929552","Body":"hi","contactId":751069,"threadId":2219,"timelineId":2108,"title":"#751069 has just started a chat"}"##
        }
    };
    payload::parse(channel, text).unwrap()
}

async fn chat(endpoint: &Endpoint) -> (AttemptResult, WriteGate) {
    let gate = WriteGate::new();
    let attempt = endpoint.send(&payload_of(Channel::Chat), &gate, 1).await;
    (attempt, gate)
}

/// Sends one chat message to a server that gives this reply.
async fn answered(reply: Reply) -> (AttemptResult, WriteGate) {
    let (base, _) = serve(vec![reply]).await;
    chat(&endpoint(Channel::Chat, &base)).await
}

fn fault(outcome: &Outcome) -> (&'static str, &Fault) {
    match outcome {
        Outcome::Accepted { note: Some(note), .. } => ("accepted", note),
        Outcome::Rejected { fault, .. } => ("rejected", fault),
        Outcome::Unavailable { fault, .. } => ("unavailable", fault),
        Outcome::AccountRefused { fault } => ("account", fault),
        Outcome::NotAcquires { fault, .. } => ("page", fault),
        Outcome::NotWritten { fault } => ("not written", fault),
        Outcome::Unknown { fault } => ("unknown", fault),
        Outcome::Invalid { fault } => ("invalid", fault),
        other => panic!("no fault in {other:?}"),
    }
}

fn assert_ended(attempt: &AttemptResult, kind: &str, code: &str) {
    let (was, fault) = fault(&attempt.outcome);
    assert_eq!((was, fault.code.as_str()), (kind, code), "{attempt:?}");
    assert!(!fault.message.contains(KEY) && !fault.message.contains("/api/v1"), "{fault:?}");
}

const ACCEPTED: &str = r#"{"data":{"id":8289,"caseId":2069,"threadId":1875}}"#;

fn accepted() -> Reply {
    Reply::Answer(json("200 OK", ACCEPTED))
}

#[tokio::test]
async fn each_channel_sends_exactly_its_documented_request() {
    let cases = [
        (
            Channel::Chat,
            "POST /api/v1/crm/messenger/chat/add-message?x-user-type=user HTTP/1.1",
            r#"{"channel":"chat","message":{"type":"message","message":"Dear Anne, your parcel is late"},"caseId":2069}"#,
        ),
        (
            Channel::Mail,
            "POST /api/v1/mail/add-message HTTP/1.1",
            r#"{"data":{"caseId":1128,"contactId":9156860,"from":"test@acquire.io","to":["user@gmail.com"],"cc":[],"bcc":[],"subject":"test","type":"message","textBody":"plain","htmlBody":"<p>html</p>","attachments":[]}}"#,
        ),
        (
            Channel::Sms,
            "POST /api/v1/voip/send-sms?x-user-type=user HTTP/1.1",
            r##"{"Body":"hi","From":"+12513188609","To":"+919666929552","contactId":751069,"id":2219,"threadId":2219,"timelineId":2108,"isClosed":false,"isMultiChannel":false,"message":"hi","sms":"hi","markValue":"<p>hi</p>","msgType":"message","title":"#751069 has just started a chat"}"##,
        ),
    ];
    for (channel, line, body) in cases {
        let (base, seen) = serve(vec![accepted()]).await;
        let gate = WriteGate::new();
        let attempt = endpoint(channel, &base).send(&payload_of(channel), &gate, 77).await;
        assert!(matches!(attempt.outcome, Outcome::Accepted { .. }), "{attempt:?}");
        assert_eq!((attempt.http_status, attempt.started_at, gate.passed()), (Some(200), 77, true));

        let requests = seen.requests();
        let (head, sent) = requests[0].split_once("\r\n\r\n").unwrap();
        assert_eq!(sent, body);
        let mut lines = head.lines();
        assert_eq!(lines.next(), Some(line));
        let mut headers: Vec<_> = lines.map(str::to_owned).collect();
        headers.sort();
        let expected = [
            "accept: application/json".to_owned(),
            format!("authorization: Bearer {KEY}"),
            format!("content-length: {}", body.len()),
            "content-type: application/json".to_owned(),
            format!("host: 127.0.0.1:{}", base.port().unwrap()),
            format!("user-agent: acquire-outbox/{}", env!("CARGO_PKG_VERSION")),
        ];
        assert_eq!(headers, expected);
    }
}

#[tokio::test]
async fn a_contact_is_named_in_the_accounts_own_query_parameter() {
    let (base, seen) = serve(vec![accepted()]).await;
    let connection = Connection {
        base_url: &base.join("/api/v1/").unwrap(),
        api_key: &SecretString::from(KEY),
        user_type_parameter: "-x-user-type",
        extra_roots: &[],
        request_timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(20),
        proxy: None,
        at_most_once: false,
        idle_connections: usize::MAX,
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let endpoint = Endpoint::new(Channel::Chat, &connection).unwrap();
    let payload = payload::parse(
        Channel::Chat,
        r#"{"caseId":2069,"message":"Hello","userType":"contact","contactId":597759}"#,
    )
    .unwrap();
    endpoint.send(&payload, &WriteGate::new(), 1).await;
    assert!(seen.requests()[0].starts_with(
        "POST /api/v1/crm/messenger/chat/add-message?-x-user-type=contact&contactId=597759 HTTP/1.1\r\n"
    ));
}

#[tokio::test]
async fn the_receipt_has_the_ids() {
    let (attempt, _) = answered(accepted()).await;
    let Outcome::Accepted { receipt, note: None } = attempt.outcome else { panic!("{attempt:?}") };
    assert_eq!(receipt.message_id.as_deref(), Some("8289"));
    assert_eq!(
        Value::Object(receipt.fields),
        json!({"id": 8289, "caseId": 2069, "threadId": 1875})
    );
}

#[tokio::test]
async fn the_vendors_published_answers_are_read() {
    for (channel, answer, id, fields) in [
        (
            Channel::Chat,
            include_str!("published/chat-answer.json"),
            "8289",
            json!({"id": 8289, "caseId": 2069, "threadId": 1875, "contactId": 597759,
                   "dateCreated": "2021-03-30T16:05:46.000Z"}),
        ),
        (
            Channel::Mail,
            include_str!("published/mail-answer.json"),
            "407",
            json!({"id": 407, "caseMessageId": 407, "caseId": 90, "inboxId": 1, "mailId": 1,
                   "mailMsgId": 13, "mailboxMessageId": "0.5345358743514836",
                   "dateCreated": "2021-03-12T09:21:20.000Z",
                   "scheduleAt": "2021-03-12T09:21:20.000Z"}),
        ),
        (
            Channel::Sms,
            include_str!("published/sms-answer.json"),
            "339",
            json!({"id": 339, "caseMessageId": 8653, "caseId": 2219, "threadId": 2219,
                   "timelineId": 2108, "contactId": 751069, "status": "sent",
                   "callSid": "SMf7dc149c12e54cbd9864d543ac8bd041",
                   "dateCreated": "2021-04-01T16:35:05.000Z"}),
        ),
    ] {
        let (base, _) = serve(vec![Reply::Answer(json("200 OK", answer))]).await;
        let attempt =
            endpoint(channel, &base).send(&payload_of(channel), &WriteGate::new(), 1).await;
        let Outcome::Accepted { receipt, note: None } = attempt.outcome else {
            panic!("{attempt:?}")
        };
        assert_eq!(receipt.message_id.as_deref(), Some(id));
        assert_eq!(Value::Object(receipt.fields), fields);
    }
}

#[tokio::test]
async fn each_status_has_its_outcome_in_the_table() {
    let vendor = r#"{"error":{"type":"ERROR_INVALID_INPUT","message":"No such case"}}"#;
    for (status, body, kind, code) in [
        ("200 OK", r#"{"data":{}}"#, "accepted", "no_message_id"),
        ("200 OK", "<html>", "unknown", "response_unreadable"),
        ("200 OK", r#"{"ok":true}"#, "unknown", "response_unreadable"),
        ("301 Moved", "", "account", "http_301"),
        ("304 Not Modified", "", "account", "http_304"),
        ("400 Bad Request", vendor, "rejected", "ERROR_INVALID_INPUT"),
        ("401 Unauthorized", "", "account", "http_401"),
        ("403 Forbidden", "<html>", "page", "http_403"),
        ("403 Forbidden", "{}", "rejected", "http_403"),
        ("404 Not Found", "", "page", "http_404"),
        ("407 Proxy Authentication Required", "", "account", "http_407"),
        ("408 Request Timeout", "", "unavailable", "http_408"),
        ("413 Payload Too Large", "too large", "page", "http_413"),
        ("422 Unprocessable", vendor, "rejected", "ERROR_INVALID_INPUT"),
        ("425 Too Early", "", "unavailable", "http_425"),
        ("429 Too Many Requests", "", "unavailable", "http_429"),
        ("500 Server Error", "", "unavailable", "http_500"),
        ("502 Bad Gateway", vendor, "unknown", "http_502"),
        ("503 Unavailable", "", "unavailable", "http_503"),
        ("504 Gateway Timeout", "", "unknown", "http_504"),
        ("507 Insufficient Storage", "", "unavailable", "http_507"),
        ("499 Client Closed", vendor, "unknown", "http_499"),
        ("520 Unknown", "", "unknown", "http_520"),
        ("521 Down", "", "unavailable", "http_521"),
        ("524 Timeout", "", "unknown", "http_524"),
        ("999 Denied", "", "unknown", "response_unreadable"),
    ] {
        let (attempt, gate) = answered(Reply::Answer(json(status, body))).await;
        assert_ended(&attempt, kind, code);
        assert_eq!(attempt.http_status, Some(status[..3].parse().unwrap()));
        assert!(gate.passed() && !gate.shut());
    }
    let (attempt, _) = answered(Reply::Answer("HTTP/1.1 204 No Content\r\n\r\n".into())).await;
    assert_ended(&attempt, "unknown", "response_unreadable");
}

#[tokio::test]
async fn retry_after_is_read() {
    let answer = "HTTP/1.1 429 Slow Down\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
    let (attempt, _) = answered(Reply::Answer(answer.into())).await;
    let Outcome::Unavailable { retry_after, .. } = attempt.outcome else { panic!("{attempt:?}") };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn half_of_a_2xx_is_unknown_and_its_beginning_is_quoted() {
    let half = r#"{"data":{"id":1}"#;
    for head in ["content-length: 900\r\n\r\n", "transfer-encoding: chunked\r\n\r\n10\r\n"] {
        let answer = format!("HTTP/1.1 200 OK\r\n{head}{half}");
        let (attempt, _) = answered(Reply::AnswerAndClose(answer)).await;
        assert_ended(&attempt, "unknown", "connection_lost");
        assert!(fault(&attempt.outcome).1.message.ends_with(half), "{attempt:?}");
        assert_eq!(attempt.http_status, Some(200));
    }
    let (attempt, _) = answered(Reply::AnswerAndClose("HTTP/1.1 200 OK\r\ncontent-".into())).await;
    assert_ended(&attempt, "unknown", "connection_lost");
    let until_closed = format!("HTTP/1.1 200 OK\r\n\r\n{ACCEPTED}");
    let (attempt, _) = answered(Reply::AnswerAndClose(until_closed)).await;
    assert!(matches!(attempt.outcome, Outcome::Accepted { note: None, .. }), "{attempt:?}");
}

#[tokio::test]
async fn a_truncated_body_does_not_change_what_a_status_means() {
    for (status, kind) in [
        ("400 Bad", "rejected"),
        ("401 No", "account"),
        ("302 Moved", "account"),
        ("429 Slow Down", "unavailable"),
        ("503 Down", "unavailable"),
        ("502 Gateway", "unknown"),
    ] {
        for body in ["", "{", r#"{"message":"no"#] {
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 900\r\n\r\n{body}");
            let (attempt, _) = answered(Reply::AnswerAndClose(answer)).await;
            assert_ended(&attempt, kind, &format!("http_{}", &status[..3]));
        }
    }
}

#[tokio::test]
async fn what_is_not_http_is_unreadable() {
    for garbage in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/9.9 what\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzebra\r\n",
    ] {
        let (attempt, _) = answered(Reply::AnswerAndClose(garbage.into())).await;
        assert_ended(&attempt, "unknown", "response_unreadable");
    }
}

#[tokio::test]
async fn the_first_megabyte_of_a_longer_answer_is_read() {
    let body = format!(r#"{{"data":{{"id":8289,"x":"{}","caseId":1}}}}"#, "x".repeat(3 << 20));
    let (attempt, _) = answered(Reply::Answer(json("200 OK", &body))).await;
    let Outcome::Accepted { receipt, note: Some(note) } = attempt.outcome else {
        panic!("{attempt:?}")
    };
    assert_eq!(note.code, "answer_too_large");
    assert_eq!(receipt.message_id.as_deref(), Some("8289"));
    assert_eq!(Value::Object(receipt.fields), json!({"id": 8289}));

    let (attempt, _) = answered(Reply::Answer(json("200 OK", &"x".repeat(3 << 20)))).await;
    assert_ended(&attempt, "unknown", "response_unreadable");
    let (attempt, _) = answered(Reply::Answer(json("400 Bad", &"x".repeat(3 << 20)))).await;
    assert_ended(&attempt, "page", "http_400");
    assert!(fault(&attempt.outcome).1.message.len() <= 1024);
}

#[tokio::test]
async fn an_answer_of_exactly_one_megabyte_is_complete() {
    let filler = (1 << 20) - r#"{"data":{"id":8289,"x":""}}"#.len();
    let body = format!(r#"{{"data":{{"id":8289,"x":"{}"}}}}"#, "x".repeat(filler));
    assert_eq!(body.len(), 1 << 20);
    let (attempt, _) = answered(Reply::Answer(json("200 OK", &body))).await;
    assert!(matches!(attempt.outcome, Outcome::Accepted { note: None, .. }));
}

#[tokio::test]
async fn key_and_message_text_in_an_answer_are_redacted() {
    let quoted = format!(
        r#"{{"message":"Bearer {KEY}: 'Dear Anne, your parcel is late' is no message","type":"ERROR_{KEY}"}}"#
    );
    for status in ["400 Bad", "401 No", "500 Down", "502 Gateway"] {
        let (attempt, _) = answered(Reply::Answer(json(status, &quoted))).await;
        let shown = format!("{attempt:?}");
        assert!(!shown.contains(KEY) && !shown.contains("Anne"), "{shown}");
        assert!(shown.contains("Bearer [...]: '[...]' is no message"), "{shown}");
    }
}

#[tokio::test]
async fn checking_an_account_sends_no_message() {
    for (reply, expected) in [
        (json("200 OK", r#"{"data":{"data":[]}}"#), "ok"),
        (json("401 No", ""), "refused"),
        (json("302 Moved", ""), "refused"),
        (json("503 Down", ""), "unexpected"),
        (json("404 No", ""), "unexpected"),
        (json("200 OK", "<html>hotel login</html>"), "unexpected"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_owned(), "unreachable"),
    ] {
        let (base, seen) = serve(vec![Reply::AnswerAndClose(reply)]).await;
        let was = match endpoint(Channel::Mail, &base).check_account().await {
            AccountCheck::Accepted => "ok",
            AccountCheck::AccountRefused(_) => "refused",
            AccountCheck::Unreachable(_) => "unreachable",
            AccountCheck::Unexpected(_) => "unexpected",
        };
        assert_eq!(was, expected);
        let request = &seen.requests()[0];
        assert!(request.starts_with("GET /api/v1/crm/objects/case?where=id%7Ceq%7C0 HTTP/1.1\r\n"));
        assert!(request.contains(&format!("authorization: Bearer {KEY}\r\n")), "{request}");
    }
}

#[test]
fn an_endpoint_needs_a_url_without_a_password_and_a_key_that_fits_a_header() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let of = |base: &str, key: &str| {
        let connection = Connection {
            base_url: &Url::parse(base).unwrap(),
            api_key: &SecretString::from(key),
            user_type_parameter: "x-user-type",
            extra_roots: &[],
            request_timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(1),
            proxy: None,
            at_most_once: false,
            idle_connections: usize::MAX,
        };
        Endpoint::new(Channel::Chat, &connection)
    };
    for base in ["ftp://a/b", "data:x", "https://me:secret@a/b", "unix:/run/x"] {
        assert!(matches!(of(base, KEY), Err(EndpointError::BaseUrl)), "{base}");
    }
    let error = of("https://a/b", "two\nlines").unwrap_err();
    assert!(matches!(error, EndpointError::Key) && !error.to_string().contains("two"));
    assert!(!format!("{:?}", of("https://a/b", KEY).unwrap()).contains(KEY));
}
