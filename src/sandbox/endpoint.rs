//! The three endpoints that send: one request in, one fate out.

use super::answer::{Answer, Ids, Provider, accepted};
use super::log::Message;
use super::message::Sending;
use super::odd::{self, Shape};
use super::report;
use super::server::{KEEP_ALIVE, Shared, hang_up, respond, respond_with};
use crate::queue::job::{Channel, Millis};
use crate::queue::payload::Json;
use axum::body::to_bytes;
use axum::extract::{Query, Request};
use axum::http::{HeaderMap, StatusCode, Uri, header, request::Parts};
use axum::response::Response;
use chrono::Utc;
use secrecy::ExposeSecret;
use serde_json::Value;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// A request's body: as large as it may be, as long as it may take.
const BODY_LIMIT: usize = 32 << 20;
const BODY_TIME: Duration = Duration::from_secs(30);
/// Silence has an end too, for clients that wait for ever.
const SILENCE: Duration = Duration::from_secs(3600);

/// What becomes of a request.
struct Fate {
    /// The message's ids and how it reads back, where it was given an id.
    message: Option<(Ids, Sending)>,
    accepted: bool,
    ending: Ending,
}

enum Ending {
    Answer(Answer),
    /// On a connection that closes a second later, as announced.
    Closing(Answer),
    /// These bytes are the answer; its status is this.
    Bytes(u16, Vec<u8>),
    Silence,
    HangUp,
}

impl From<Answer> for Fate {
    /// Answered, and nothing accepted.
    fn from(answer: Answer) -> Self {
        Fate { message: None, accepted: false, ending: Ending::Answer(answer) }
    }
}

/// Takes one request: remembers it, then answers, stays silent or hangs up.
pub(super) async fn receive(shared: &Shared, channel: Channel, request: Request) -> Response {
    if shared.faults.draw_drop() {
        shared.report(|| report::line(channel, None, None, "dropped"));
        return hang_up();
    }
    let (parts, body) = request.into_parts();
    let raw = match tokio::time::timeout(BODY_TIME, to_bytes(body, BODY_LIMIT)).await {
        Ok(Ok(raw)) => raw,
        // Or the client went away, and then nobody reads this.
        Ok(Err(_)) => {
            let words = "the request is longer than the sandbox takes (32 MiB)";
            return respond(Answer::error(StatusCode::PAYLOAD_TOO_LARGE, words));
        }
        Err(_) => {
            let words = "the rest of the request did not come";
            return respond(Answer::error(StatusCode::REQUEST_TIMEOUT, words));
        }
    };
    let now = Utc::now().timestamp_millis();
    let fate = decide(shared, channel, &parts, &raw, now).unwrap_or_else(Fate::from);
    // Before any wait: what was accepted stays accepted when the client goes.
    remember(shared, channel, &parts, &raw, now, &fate);

    tokio::time::sleep(shared.faults.latency).await;
    match fate.ending {
        Ending::Answer(answer) => respond(answer),
        Ending::Closing(answer) => {
            let mut response = respond(answer);
            response.headers_mut().insert("keep-alive", KEEP_ALIVE);
            response
        }
        Ending::Bytes(_, bytes) => respond_with(bytes),
        Ending::HangUp => hang_up(),
        Ending::Silence => {
            tokio::time::sleep(SILENCE).await;
            hang_up()
        }
    }
}

/// Refusals are the error; a fate is what an acceptable request meets.
fn decide(
    shared: &Shared,
    channel: Channel,
    parts: &Parts,
    raw: &[u8],
    now: Millis,
) -> Result<Fate, Answer> {
    authorize(shared, &parts.headers)?;
    if let Some(status) = shared.faults.draw_error() {
        return Err(drawn_error(shared, status));
    }
    if !is_json(&parts.headers) {
        return Err(Answer::invalid("Content-Type must be application/json"));
    }
    let body = read_json(raw).ok_or_else(|| Answer::invalid("the body is not JSON"))?;
    let query = query(&parts.uri)?;
    let sending = Sending::check(channel, &query, &body).map_err(Answer::invalid)?;

    let before = || {
        let mut hasher = DefaultHasher::new();
        (channel, raw).hash(&mut hasher);
        shared.repeats.count(hasher.finish())
    };
    let mut provider = Provider::Takes;
    let mut silent = shared.faults.draw_silence();
    let mut dropped = false;
    // The magic cases of the module's documentation.
    match sending.case {
        900_400 => return Err(Answer::invalid("case is not active")),
        900_403 => {
            let ending = Ending::Bytes(403, odd::firewall());
            return Ok(Fate { message: None, accepted: false, ending });
        }
        900_404 => return Err(Answer::error(StatusCode::NOT_FOUND, "no such case")),
        900_429 if before() < 1 => {
            let refusal = Answer::error(StatusCode::TOO_MANY_REQUESTS, "too many requests");
            return Err(Answer { retry_after: Some(Duration::from_secs(1)), ..refusal });
        }
        900_503 if before() < 2 => {
            return Err(Answer::error(StatusCode::SERVICE_UNAVAILABLE, "down for maintenance"));
        }
        900_000 => silent = true,
        900_001 => dropped = true,
        900_021 if channel == Channel::Sms => provider = Provider::Refuses,
        _ => {}
    }
    let odd = shared.faults.draw_odd().map(|odd| &odd.shape);
    if let Some(Shape::Refuses(status, bytes)) = odd {
        let ending = Ending::Bytes(*status, bytes());
        return Ok(Fate { message: None, accepted: false, ending });
    }
    let ids = shared.next_ids(channel);
    let answer = || accepted(&sending, ids, provider, now);
    let ending = if dropped {
        Ending::HangUp
    } else if silent {
        Ending::Silence
    } else {
        match odd {
            Some(Shape::Accepts(bytes)) => Ending::Bytes(200, bytes(&answer().to_string(), ids.id)),
            Some(_) => Ending::Closing(Answer::ok(answer())),
            None => Ending::Answer(Answer::ok(answer())),
        }
    };
    Ok(Fate { message: Some((ids, sending)), accepted: provider == Provider::Takes, ending })
}

fn drawn_error(shared: &Shared, status: u16) -> Answer {
    // The shares were checked at the start: 300 to 599 are all statuses.
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let retry_after = match status.as_u16() {
        429 | 503 => shared.faults.retry_after,
        _ => None,
    };
    Answer {
        retry_after,
        ..Answer::error(status, "one of the errors that the sandbox was told to give")
    }
}

fn remember(
    shared: &Shared,
    channel: Channel,
    parts: &Parts,
    raw: &[u8],
    now: Millis,
    fate: &Fate,
) {
    let status = match &fate.ending {
        Ending::Answer(answer) | Ending::Closing(answer) => Some(answer.status.as_u16()),
        Ending::Bytes(status, _) => Some(*status),
        Ending::Silence | Ending::HangUp => None,
    };
    let id = fate.message.as_ref().map(|(ids, _)| ids.id);
    let body =
        read_json(raw).unwrap_or_else(|| Value::from(String::from_utf8_lossy(raw).into_owned()));
    shared.report(|| {
        let case = case_of(channel, &body);
        match (&fate.ending, status) {
            (Ending::HangUp, _) => report::line(channel, id, case, "dropped"),
            (_, Some(status)) => report::line(channel, id, case, status),
            (_, None) => report::line(channel, id, case, "no answer"),
        }
    });
    shared.log.push(Message {
        n: 0, // the log's to give
        received_at: now,
        channel,
        id,
        accepted: fate.accepted,
        status,
        query: query(&parts.uri).unwrap_or_default(),
        body,
        shown: fate.message.as_ref().map(|(ids, sending)| sending.shown(ids.case_message, now)),
        bytes: raw.len(),
    });
}

/// The case of any request, also one that was refused: a number, so never a text.
fn case_of(channel: Channel, body: &Value) -> Option<i64> {
    let pointer = match channel {
        Channel::Chat => "/caseId",
        Channel::Mail => "/data/caseId",
        Channel::Sms => "/threadId",
    };
    body.pointer(pointer).and_then(Value::as_i64)
}

/// The bearer key: present, and the configured one if there is one.
pub(super) fn authorize(shared: &Shared, headers: &HeaderMap) -> Result<(), Answer> {
    let refuse = |words: &str| Err(Answer::error(StatusCode::UNAUTHORIZED, words));
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim())
        .filter(|key| !key.is_empty());
    match (given, &shared.api_key) {
        (None, _) => refuse("a header `Authorization: Bearer {api_key}` is required"),
        (Some(given), Some(key)) if given != key.expose_secret() => refuse("the API key is wrong"),
        (Some(_), _) => Ok(()),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

pub(super) fn query(uri: &Uri) -> Result<BTreeMap<String, String>, Answer> {
    let Query(query) =
        Query::try_from_uri(uri).map_err(|_| Answer::invalid("the query cannot be read"))?;
    Ok(query)
}

/// JSON that is too deep or too large for a `Value` is valid all the same: it is shown as text.
fn read_json(raw: &[u8]) -> Option<Value> {
    fn value(json: Json) -> Value {
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => value.into(),
            Json::String(text) => text.into(),
            Json::Number(digits) => serde_json::from_str(&digits).unwrap_or(Value::String(digits)),
            Json::Deep { json, .. } => json.into(),
            Json::Array(items) => items.into_iter().map(value).collect(),
            Json::Object(fields) => {
                fields.into_iter().map(|(name, field)| (name, value(field))).collect()
            }
        }
    }
    let read = serde_json::from_slice(raw).ok();
    read.or_else(|| Json::parse(std::str::from_utf8(raw).ok()?).ok().map(value))
}
