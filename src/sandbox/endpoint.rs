//! The three endpoints that send.

use super::kept_message::KeptMessage;
use super::message::Sending;
use super::odd::{self, Shape};
use super::request_log::{ReceivedRequest, report_line};
use super::response::{Provider, Reply, accepted};
use super::server::{KEEP_ALIVE, SandboxState, hang_up, respond_with};
use crate::http_server::bearer;
use crate::queue::job::{Channel, Millis};
use crate::queue::payload::Json;
use crate::queue::when::now;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Query, Request};
use axum::http::{HeaderMap, StatusCode, Uri, header, request::Parts};
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;
use serde_json::Value;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// How large a request's body may be, and how long it may take.
const BODY_LIMIT: usize = 32 << 20;
const BODY_TIME: Duration = Duration::from_secs(30);
/// Without an answer the connection is closed after this, in case the client waits forever.
const SILENCE: Duration = Duration::from_secs(3600);

/// How a request is answered.
struct Fate {
    /// The message, if it was given ids.
    message: Option<KeptMessage>,
    accepted: bool,
    ending: Ending,
}

enum Ending {
    Reply(Reply),
    /// On a connection that is closed after a second, as announced.
    Closing(Reply),
    /// The status, and all bytes of the answer.
    Bytes(u16, Vec<u8>),
    Silence,
    HangUp,
}

impl From<Reply> for Fate {
    /// An answer without accepting anything.
    fn from(answer: Reply) -> Self {
        Fate { message: None, accepted: false, ending: Ending::Reply(answer) }
    }
}

/// Receives a request and logs it, then answers, does not answer or hangs up.
pub(super) async fn receive(state: &SandboxState, channel: Channel, request: Request) -> Response {
    if state.faults.draw_drop() {
        state.report(|| report_line(channel, None, None, "dropped"));
        return hang_up();
    }
    let (parts, body) = request.into_parts();
    let raw = match tokio::time::timeout(BODY_TIME, to_bytes(body, BODY_LIMIT)).await {
        Ok(Ok(raw)) => raw,
        // Or the client has gone, and nobody reads this.
        Ok(Err(_)) => {
            let sentence = "the request is larger than the sandbox accepts (32 MiB)";
            return Reply::error(StatusCode::PAYLOAD_TOO_LARGE, sentence).into_response();
        }
        Err(_) => {
            let sentence = "the rest of the request did not arrive in time";
            return Reply::error(StatusCode::REQUEST_TIMEOUT, sentence).into_response();
        }
    };
    let submission = Submission { state, channel, parts, raw, now: now() };
    let fate = submission.decide().unwrap_or_else(Fate::from);
    // Before any wait: a message stays accepted if the client disconnects.
    submission.log(&fate);

    tokio::time::sleep(state.faults.latency).await;
    match fate.ending {
        Ending::Reply(reply) => reply.into_response(),
        Ending::Closing(reply) => ([("keep-alive", KEEP_ALIVE)], reply).into_response(),
        Ending::Bytes(_, bytes) => respond_with(bytes),
        Ending::HangUp => hang_up(),
        Ending::Silence => {
            tokio::time::sleep(SILENCE).await;
            hang_up()
        }
    }
}

/// A request whose body is complete.
struct Submission<'a> {
    state: &'a SandboxState,
    channel: Channel,
    parts: Parts,
    raw: Bytes,
    now: Millis,
}

impl Submission<'_> {
    /// Checks the request and decides how it is answered. The error is a refusal.
    fn decide(&self) -> Result<Fate, Reply> {
        let &Submission { state, channel, ref parts, ref raw, .. } = self;
        authorize(state, &parts.headers)?;
        if let Some(status) = state.faults.draw_error() {
            return Err(drawn_error(state, status));
        }
        if !is_json(&parts.headers) {
            return Err(Reply::invalid("Content-Type must be application/json"));
        }
        let body = read_json(raw).ok_or_else(|| Reply::invalid("the body is not JSON"))?;
        let query = query(&parts.uri)?;
        self.answer(Sending::check(channel, &query, &body).map_err(Reply::invalid)?)
    }

    /// Decides how a valid request is answered.
    fn answer(&self, sending: Sending) -> Result<Fate, Reply> {
        let &Submission { state, channel, ref raw, now, .. } = self;
        let before = || {
            let mut hasher = DefaultHasher::new();
            (channel, raw).hash(&mut hasher);
            state.repeats.count(hasher.finish())
        };
        let mut provider = Provider::Accepts;
        let mut silent = state.faults.draw_silence();
        let mut dropped = state.faults.draw_lost();
        // The magic cases of the module's documentation.
        match sending.case {
            900_400 => return Err(Reply::invalid("case is not active")),
            900_403 => {
                let ending = Ending::Bytes(403, odd::firewall());
                return Ok(Fate { message: None, accepted: false, ending });
            }
            900_404 => return Err(Reply::error(StatusCode::NOT_FOUND, "no such case")),
            900_429 if before() < 1 => {
                let refusal = Reply::error(StatusCode::TOO_MANY_REQUESTS, "too many requests");
                return Err(Reply { retry_after: Some(Duration::from_secs(1)), ..refusal });
            }
            900_503 if before() < 2 => {
                return Err(Reply::error(StatusCode::SERVICE_UNAVAILABLE, "down for maintenance"));
            }
            900_000 => silent = true,
            900_001 => dropped = true,
            900_021 if channel == Channel::Sms => provider = Provider::Refuses,
            _ => {}
        }
        let odd = state.faults.draw_odd().map(|odd| &odd.shape);
        if let Some(Shape::Refuses(status, bytes)) = odd {
            let ending = Ending::Bytes(*status, bytes());
            return Ok(Fate { message: None, accepted: false, ending });
        }
        let ids = state.next_ids(channel);
        let created = state.at(now);
        let answer = || accepted(&sending, ids, provider, created);
        let ending = if dropped {
            Ending::HangUp
        } else if silent {
            Ending::Silence
        } else {
            match odd {
                Some(Shape::Accepts(bytes)) => {
                    Ending::Bytes(200, bytes(&answer().to_string(), ids.id))
                }
                Some(_) => Ending::Closing(Reply::ok(answer())),
                None => Ending::Reply(Reply::ok(answer())),
            }
        };
        let reading = &state.faults.reading;
        let twin = reading.draw_twice().then(|| state.next_ids(channel));
        let bounces = channel != Channel::Chat && reading.draw_bounced();
        let message = Some(KeptMessage { ids, twin, sending, created, bounces });
        Ok(Fate { message, accepted: provider == Provider::Accepts, ending })
    }

    fn log(&self, fate: &Fate) {
        let &Submission { state, channel, ref parts, ref raw, now } = self;
        let status = match &fate.ending {
            Ending::Reply(reply) | Ending::Closing(reply) => Some(reply.status.as_u16()),
            Ending::Bytes(status, _) => Some(*status),
            Ending::Silence | Ending::HangUp => None,
        };
        let id = fate.message.as_ref().map(|message| message.ids.id);
        let body = read_json(raw)
            .unwrap_or_else(|| Value::from(String::from_utf8_lossy(raw).into_owned()));
        state.report(|| {
            let case = case_of(channel, &body);
            match (&fate.ending, status) {
                (Ending::HangUp, _) => report_line(channel, id, case, "dropped"),
                (_, Some(status)) => report_line(channel, id, case, status),
                (_, None) => report_line(channel, id, case, "no answer"),
            }
        });
        state.log.push(ReceivedRequest {
            n: 0, // set by the log
            received_at: now,
            channel,
            id,
            accepted: fate.accepted,
            status,
            query: query(&parts.uri).unwrap_or_default(),
            body,
            kept: fate.message.clone(),
            bytes: raw.len(),
        });
    }
}

fn drawn_error(state: &SandboxState, status: u16) -> Reply {
    // The shares were checked at the start: 300 to 599 are all statuses.
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let retry_after = match status.as_u16() {
        429 | 503 => state.faults.retry_after,
        _ => None,
    };
    Reply { retry_after, ..Reply::error(status, "a random error, as the sandbox was told to send") }
}

/// The case of any request, including refused ones.
fn case_of(channel: Channel, body: &Value) -> Option<i64> {
    let pointer = match channel {
        Channel::Chat => "/caseId",
        Channel::Mail => "/data/caseId",
        Channel::Sms => "/threadId",
    };
    body.pointer(pointer).and_then(Value::as_i64)
}

/// Requires a bearer key; the configured one, if there is one.
pub(super) fn authorize(state: &SandboxState, headers: &HeaderMap) -> Result<(), Reply> {
    let refuse = |sentence| Err(Reply::error(StatusCode::UNAUTHORIZED, sentence));
    match (bearer(headers).filter(|key| !key.is_empty()), &state.api_key) {
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

fn query(uri: &Uri) -> Result<BTreeMap<String, String>, Reply> {
    let Query(query) =
        Query::try_from_uri(uri).map_err(|_| Reply::invalid("the query cannot be read"))?;
    Ok(query)
}

/// JSON that is too deep or has too large numbers for a `Value` is still valid: these parts become
/// text.
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
