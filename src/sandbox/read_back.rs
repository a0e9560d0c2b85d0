//! The calls that read back what the sandbox accepted and still keeps.

use super::endpoint::{authorize, query};
use super::message::{CaseMessage, integer_parameter};
use super::request_log::{Log, ReceivedRequest};
use super::response::Reply;
use super::server::SandboxState;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The messages that can be read back, oldest first.
fn accepted(log: &Log) -> Vec<Arc<ReceivedRequest>> {
    log.messages().into_iter().filter(|message| message.shown.is_some()).collect()
}

fn shown(messages: &[Arc<ReceivedRequest>]) -> impl DoubleEndedIterator<Item = &CaseMessage> {
    messages.iter().filter_map(|message| message.shown.as_ref())
}

/// `GET /crm/messenger/chat/messages?threadId=&contactId=`: threads with their last message.
pub(super) async fn threads(
    State(state): State<Arc<SandboxState>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Reply, Reply> {
    authorize(&state, &headers)?;
    let query = query(&uri)?;
    let thread = integer_parameter(&query, "threadId").map_err(Reply::invalid)?;
    let contact = integer_parameter(&query, "contactId").map_err(Reply::invalid)?;
    let messages = accepted(&state.log);
    let mut last = BTreeMap::new();
    for message in shown(&messages) {
        if thread.is_none_or(|id| id == message.thread_id)
            && contact.is_none_or(|id| id == message.contact_id)
        {
            last.insert(message.thread_id, message);
        }
    }
    let threads: Vec<Value> = last
        .into_iter()
        .map(|(id, message)| {
            json!({"id": id, "threadId": id, "contactId": message.contact_id,
                "status": "active", "lastMessage": message})
        })
        .collect();
    Ok(Reply::ok(json!({"data": threads})))
}

/// `GET /crm/objects/case?where=id|eq|{caseId}&relations=messages`.
pub(super) async fn cases(
    State(state): State<Arc<SandboxState>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Reply, Reply> {
    authorize(&state, &headers)?;
    let query = query(&uri)?;
    let case: i64 = query
        .get("where")
        .and_then(|condition| condition.strip_prefix("id|eq|"))
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| {
            Reply::invalid("where must be id|eq|{caseId}: the sandbox supports no other condition")
        })?;
    let relations = query.get("relations").map(String::as_str).unwrap_or_default();
    let messages = accepted(&state.log);
    let messages: Vec<_> = shown(&messages).filter(|message| message.case_id == case).collect();
    let Some((first, last)) = messages.first().zip(messages.last()) else {
        return Ok(Reply::ok(json!({"data": {"data": []}})));
    };
    let mut found = json!({
        "id": case, "threadId": case, "contactId": last.contact_id, "channel": first.channel,
        "status": "active", "dateCreated": first.date_created, "dateUpdated": last.date_created,
    });
    if relations.split(',').any(|relation| relation == "messages") {
        found["messages"] = json!(messages);
    }
    Ok(Reply::ok(json!({"data": {"data": [found]}})))
}

/// `GET /crm/objects/case-message/{messageId}`.
pub(super) async fn case_message(
    State(state): State<Arc<SandboxState>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Reply, Reply> {
    authorize(&state, &headers)?;
    let id: i64 = id.parse().map_err(|_| Reply::invalid("messageId must be an integer"))?;
    let messages = accepted(&state.log);
    let message = shown(&messages).rfind(|message| message.id == id);
    let message = message.ok_or_else(|| Reply::error(StatusCode::NOT_FOUND, "no such message"))?;
    Ok(Reply::ok(json!({"data": message})))
}
