//! Answers in the shape that the vendor documents: its example answers with this message's values.

use super::message::{AGENT, MessageSender, Sending};
use super::request_log::iso_text;
use crate::queue::job::{Channel, Millis};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use std::time::Duration;

/// An answer in JSON.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Value,
}

impl Reply {
    pub(super) fn ok(body: Value) -> Self {
        Reply { status: StatusCode::OK, retry_after: None, body }
    }

    /// An error of the vendor's type for the status.
    pub(super) fn error(status: StatusCode, message: impl Into<String>) -> Self {
        let kind = match status.as_u16() {
            401 => "ERROR_UNAUTHORIZED",
            403 => "ERROR_UNAUTHORIZED_ACCESS",
            404 => "ERROR_RECORD_NOT_FOUND",
            429 => "ERROR_TOO_MANY_REQUESTS",
            400..500 => "ERROR_INVALID_INPUT",
            _ => "ERROR_SERVER_ERROR",
        };
        let body = json!({"error": {"type": kind, "message": message.into()}});
        Reply { status, retry_after: None, body }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Reply::error(StatusCode::BAD_REQUEST, message)
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// The ids of a message: `id` in the answer, and that of the case message, which reads it back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids {
    pub(super) id: i64,
    pub(super) case_message: i64,
}

/// The SMS provider's result inside a 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    Accepts,
    /// The recipient has opted out: Twilio's 21610.
    Refuses,
}

macro_rules! template {
    ($file:literal) => {
        LazyLock::new(|| {
            serde_json::from_str(include_str!($file)).expect("the example answers are JSON")
        })
    };
}
static CHAT: LazyLock<Value> = template!("answers/chat.json");
static MAIL: LazyLock<Value> = template!("answers/mail.json");
static SMS: LazyLock<Value> = template!("answers/sms.json");

/// The answer to an accepted message.
pub(super) fn accepted(sending: &Sending, ids: Ids, provider: Provider, now: Millis) -> Value {
    let mut values = common(sending, ids, now);
    let (template, own) = match sending.channel {
        Channel::Chat => (&CHAT, chat(sending)),
        Channel::Mail => (&MAIL, mail(sending, ids)),
        Channel::Sms => (&SMS, sms(sending, ids, provider)),
    };
    if let Value::Object(own) = own {
        values.extend(own);
    }
    fill(template, &values)
}

fn common(sending: &Sending, ids: Ids, now: Millis) -> Map<String, Value> {
    let contact = sending.contact();
    let mut sender = match sending.sender {
        MessageSender::Agent => json!({
            "roles": [], "id": AGENT, "name": "Sandbox Agent", "firstName": "Sandbox Agent",
            "lastName": "", "photo": "", "email": "agent@example.com", "clientId": "",
            "parentId": 0, "type": "user", "accessLevel": null,
        }),
        MessageSender::Contact(id) => {
            json!({"type": "contact", "id": id, "name": format!("#{id}"), "photo": null})
        }
    };
    if sending.channel == Channel::Sms && sending.sender == MessageSender::Agent {
        sender["departments"] = json!([]);
        sender["meta"] = json!({"fields": {}});
        sender["metaDetails"] = json!({"isBotClient": false, "label": ""});
    }
    let title = match sending.field("title") {
        Value::String(title) => title,
        _ => format!("#{contact} has just started a chat"),
    };
    let values = json!({
        "id": ids.id, "caseMessageId": ids.case_message, "now": iso_text(now),
        "caseId": sending.case, "threadId": sending.case,
        "contactId": contact, "contactName": format!("#{contact}"), "title": title,
        "agentId": AGENT, "agentName": "Sandbox Agent",
        "sender": sender, "senderId": sending.sender_id(), "senderType": sending.sender_type(),
    });
    match values {
        Value::Object(values) => values,
        _ => Map::new(),
    }
}

fn chat(sending: &Sending) -> Value {
    let message = sending.field("message");
    json!({"type": message["type"], "message": message["message"]})
}

fn mail(sending: &Sending, ids: Ids) -> Value {
    let recipients = |name| -> Vec<Value> {
        let addresses = sending.field(name);
        let addresses = addresses.as_array().into_iter().flatten();
        addresses.map(|address| json!({"Name": "", "Email": address})).collect()
    };
    json!({
        "from": sending.field("from"),
        "to": recipients("to"), "cc": recipients("cc"), "bcc": recipients("bcc"),
        "recipient": sending.field("to")[0], "subject": sending.field("subject"),
        "textBody": sending.field("textBody"), "htmlBody": sending.field("htmlBody"),
        "attachments": sending.field("attachments"),
        "mailMsgId": ids.id, "mailboxMessageId": format!("0.{:016}", ids.id),
    })
}

fn sms(sending: &Sending, ids: Ids, provider: Provider) -> Value {
    let (status, provider_status, code, text) = match provider {
        Provider::Accepts => ("sent", "queued", Value::Null, Value::Null),
        Provider::Refuses => (
            "failed",
            "failed",
            Value::from(21610),
            Value::from("Attempt to send to unsubscribed recipient"),
        ),
    };
    let sid = format!("SM{:032x}", ids.id);
    let uri = format!("/2010-04-01/Accounts/ACsandbox/Messages/{sid}");
    let to = sending.field("To");
    json!({
        "from": sending.field("From"), "to": to, "body": sending.field("Body"),
        "phone": to.as_str().unwrap_or_default().trim_start_matches('+'),
        "timelineId": sending.field("timelineId"), "summary": "SMS by Sandbox Agent",
        "status": status, "providerStatus": provider_status,
        "errorCode": code, "errorMessage": text,
        "callSid": sid, "uri": format!("{uri}.json"), "mediaUri": format!("{uri}/Media.json"),
    })
}

/// Replaces each text `$name` of the template by that value. Inserted values are not replaced
/// again: a message may contain `$now`.
fn fill(template: &Value, values: &Map<String, Value>) -> Value {
    match template {
        Value::String(text) => {
            text.strip_prefix('$').and_then(|name| values.get(name)).unwrap_or(template).clone()
        }
        Value::Array(items) => items.iter().map(|item| fill(item, values)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), fill(field, values))).collect()
        }
        other => other.clone(),
    }
}
