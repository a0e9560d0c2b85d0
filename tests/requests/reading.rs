//! The reader against servers that are not what the vendor documents, or are so in another way.

use acquire_outbox::acquire::Connection;
use acquire_outbox::acquire::read_back::{AccountReader, CaseQuestion};
use acquire_outbox::queue::job::{Channel, Millis};
use acquire_outbox::queue::verification::{Likeness, Reading, Sought};
use acquire_outbox::queue::when::{iso, now};
use axum::Json;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use url::Url;

const SECRET: &str = "Your order 4711 is ready";

/// A question: its path without `/api/v1`, and its parameters; of a repeated one the last.
struct Asked {
    path: String,
    parameters: HashMap<String, String>,
}

impl Asked {
    fn offset(&self) -> usize {
        self.parameters.get("offset").map_or(0, |offset| offset.parse().unwrap())
    }

    fn is_list(&self) -> bool {
        self.path == "/crm/objects/case-message"
    }
}

async fn reader(answer: impl Fn(&Asked) -> Response + Send + Sync + 'static) -> AccountReader {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let answer = Arc::new(answer);
    let service = axum::Router::new().fallback(async move |request: Request| {
        let query = request.uri().query().unwrap_or_default().as_bytes();
        let parameters = url::form_urlencoded::parse(query).into_owned().collect();
        let path = request.uri().path().trim_start_matches("/api/v1").to_owned();
        answer(&Asked { path, parameters })
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = Url::parse(&format!("http://{}/api/v1", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, service).await });
    let connection = Connection {
        base_url: &base,
        api_key: &SecretString::from("key-5f9d1c7e"),
        user_type_parameter: "x-user-type",
        extra_roots: &[],
        request_timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(20),
        proxy: None,
        at_most_once: false,
        idle_connections: 4,
    };
    AccountReader::new(&connection).unwrap()
}

fn ok(body: Value) -> Response {
    Json(body).into_response()
}

fn refused(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

fn message(id: usize, created: Millis, text: &str) -> Value {
    json!({"id": id, "caseId": 2069, "senderType": "user", "type": "message", "message": text,
        "dateCreated": iso(created), "dateUpdated": null, "seen": "no", "meta": {}})
}

/// Looks for a chat that was sent in this half minute: the machine may be slow.
async fn look(reader: &AccountReader) -> Reading {
    let sought = Sought {
        id: 1,
        round: 1,
        attempts: 1,
        channel: Channel::Chat,
        account: "default".to_owned(),
        payload: json!({"caseId": 2069, "message": SECRET}).to_string(),
        since: now() - 30_000,
        until: now() + 30_000,
        is_last: false,
    };
    reader.look_for(&sought).await
}

/// `complete`, `partial CODE`, ..., and how many candidates are the same.
fn told(reading: &Reading) -> (String, usize) {
    let (end, candidates) = match reading {
        Reading::Complete { candidates } => ("complete".to_owned(), &candidates[..]),
        Reading::Partial { candidates, fault } => {
            (format!("partial {}", fault.code), &candidates[..])
        }
        Reading::Later { fault, .. } => (format!("later {}", fault.code), &[][..]),
        Reading::Impossible { fault } => (format!("impossible {}", fault.code), &[][..]),
        Reading::Nowhere { fault } => (format!("nowhere {}", fault.code), &[][..]),
    };
    (end, candidates.iter().filter(|seen| seen.likeness == Likeness::Same).count())
}

fn list(items: &[Value], asked: &Asked, limit: usize) -> Value {
    let page: Vec<_> = items.iter().skip(asked.offset()).take(limit).collect();
    json!({"data": {"page": 0, "offset": asked.offset(), "limit": limit, "count": items.len(),
        "data": page}})
}

/// Hours of messages, and the one that was sent just now among them, second to last.
fn history(length: usize) -> Vec<Value> {
    let (now, count) = (now(), length as Millis);
    let text = |n: usize| if n + 2 == length { SECRET.to_owned() } else { format!("another {n}") };
    let created = |n: usize| now - (count - 2 - n as Millis) * 60_000;
    (0..length).map(|n| message(100 + n, created(n), &text(n))).collect()
}

#[tokio::test]
async fn a_list_is_read_to_its_end_in_whatever_order_it_is() {
    for length in [2, 19, 20, 21, 40, 41, 137, 2000] {
        for descending in [false, true] {
            let mut all = history(length);
            if descending {
                all.reverse();
            }
            let reader = reader(move |asked| match asked.is_list() {
                true => ok(list(&all, asked, 20)),
                false => refused(404, json!({"error": "ERROR_RECORD_NOT_FOUND"})),
            })
            .await;
            let reading = look(&reader).await;
            assert_eq!(
                told(&reading),
                ("complete".into(), 1),
                "{length} {descending}: {reading:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_list_without_a_count_or_with_that_of_the_page_is_read_to_its_end() {
    for count in [json!(null), json!(20), json!("137")] {
        let all = history(137);
        let reader = reader(move |asked| {
            let mut page = list(&all, asked, 20);
            page["data"]["count"] = count.clone();
            ok(page)
        })
        .await;
        assert_eq!(told(&look(&reader).await), ("complete".into(), 1));
    }
    // A server that gives smaller pages than it was asked for.
    let all = history(64);
    let reader = reader(move |asked| ok(list(&all, asked, 7))).await;
    assert_eq!(told(&look(&reader).await).1, 1);
}

#[tokio::test]
async fn a_list_that_cannot_be_read_to_its_end_is_no_proof() {
    // `offset` has no effect.
    let all = history(60);
    let reader =
        reader(move |_| ok(json!({"data": {"count": 60, "limit": 20, "data": &all[..20]}}))).await;
    assert_eq!(told(&look(&reader).await), ("partial read_incomplete".into(), 0));
}

#[tokio::test]
async fn a_list_that_does_not_filter_or_does_not_say_the_case_is_not_used() {
    let other = json!({"caseId": 1});
    for change in [other, json!({"caseId": null})] {
        let reader = reader(move |asked| {
            let mut seen = message(1, now(), SECRET);
            if asked.is_list() {
                seen["caseId"] = change["caseId"].clone();
                return ok(json!({"data": {"count": 1, "limit": 20, "data": [seen]}}));
            }
            ok(json!({"data": {"data": [{"id": 2069, "messages": [seen]}]}}))
        })
        .await;
        // The case's own messages are used instead.
        assert_eq!(told(&look(&reader).await), ("complete".into(), 1));
    }
}

#[tokio::test]
async fn an_empty_list_counts_only_if_the_case_confirms_it() {
    for (case, expected) in [
        (json!({"id": "2069", "messages": []}), "complete"),
        (json!({"id": 2069}), "partial read_incomplete"),
        (json!({"id": 7, "messages": []}), "partial read_incomplete"),
    ] {
        let reader = reader(move |asked| match asked.is_list() {
            true => ok(json!({"data": {"count": 0, "limit": 20, "data": []}})),
            false => ok(json!({"data": {"count": 1, "data": [case]}})),
        })
        .await;
        assert_eq!(told(&look(&reader).await), (expected.to_owned(), 0));
    }
    // A case whose messages fill a page may have more.
    let reader = reader(|asked| match asked.is_list() {
        true => refused(400, json!({"error": "ERROR_INVALID_INPUT"})),
        false => {
            let messages: Vec<_> = (0..20).map(|n| message(n, now(), "another")).collect();
            ok(json!({"data": {"data": [{"id": 2069, "messages": messages}]}}))
        }
    })
    .await;
    assert_eq!(told(&look(&reader).await), ("partial read_incomplete".into(), 0));
}

#[tokio::test]
async fn what_an_answer_means_for_the_look_and_no_text_in_its_error() {
    let page = || ([("content-type", "text/html")], format!("<html>{SECRET}</html>"));
    type Answer = Box<dyn Fn() -> Response + Send + Sync>;
    let cases: Vec<(Answer, &str)> = vec![
        (Box::new(|| refused(401, json!({"error": SECRET}))), "later http_401"),
        (Box::new(|| refused(503, json!({"rows": [SECRET]}))), "later http_503"),
        (Box::new(|| refused(429, json!({}))), "later http_429"),
        (Box::new(|| refused(502, json!({}))), "later http_502"),
        (Box::new(|| refused(400, json!({"rows": [SECRET]}))), "impossible http_400"),
        (
            Box::new(|| refused(403, json!({"error": {"type": "ERROR_UNAUTHORIZED_ACCESS"}}))),
            "impossible http_403",
        ),
        (Box::new(move || (StatusCode::FORBIDDEN, page()).into_response()), "partial http_403"),
        (Box::new(move || page().into_response()), "partial response_unreadable"),
        (
            Box::new(|| ok(json!({"error": {"code": "NO", "message": SECRET, "data": null}}))),
            "partial NO",
        ),
        (Box::new(|| ok(json!({"success": false, "rows": [SECRET]}))), "partial http_200"),
        (Box::new(|| ok(json!({"rows": [SECRET]}))), "impossible read_shape"),
        (Box::new(|| ok(json!({"data": {"rows": [SECRET]}}))), "impossible read_shape"),
        (Box::new(|| ok(json!({"data": {"data": [SECRET]}}))), "impossible read_shape"),
        (Box::new(|| ok(json!({"data": 7}))), "impossible read_shape"),
        (
            Box::new(|| ok(json!({"data": {"data": ["x".repeat(1 << 20)]}}))),
            "partial answer_too_large",
        ),
    ];
    for (answer, expected) in cases {
        let reader = reader(move |_| answer()).await;
        let reading = look(&reader).await;
        assert_eq!(told(&reading).0, expected, "{reading:?}");
        assert!(!format!("{reading:?}").contains("4711"), "{reading:?}");
    }
}

#[tokio::test]
async fn a_retry_after_is_handed_on() {
    let reader =
        reader(|_| (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "7")], "{}").into_response())
            .await;
    let reading = look(&reader).await;
    let wait = Some(Duration::from_secs(7));
    assert!(matches!(reading, Reading::Later { retry_after, .. } if retry_after == wait));
}

#[tokio::test]
async fn cases_of_other_contacts_are_not_taken_for_this_ones() {
    let of = async |cases: Value| {
        let reader = reader(move |_| ok(json!({"data": {"limit": 100, "data": cases}}))).await;
        reader.cases(CaseQuestion::Contact(5)).await.map_err(|unread| unread.fault.code)
    };
    let case = json!({"id": "7", "contactId": "5", "status": "active", "channel": "chat",
        "timeline": {"id": 8, "threadId": 9}});
    let [found] = &of(json!([case])).await.unwrap()[..] else { panic!("one case") };
    assert_eq!((found.case_id, found.contact_id, found.is_active()), (7, Some(5), true));
    assert_eq!((found.thread_id, found.timeline_id), (Some(9), Some(8)));
    assert_eq!(of(json!([{"id": 7, "contactId": 6}])).await, Err("read_shape".to_owned()));
    assert_eq!(of(json!([{"id": 7}])).await, Err("read_shape".to_owned()));
    assert_eq!(of(json!([])).await, Ok(vec![]));
}
