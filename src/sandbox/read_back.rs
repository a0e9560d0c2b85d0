//! The calls that read back what the sandbox accepted and still keeps.
//!
//! Every case exists and is active, from the moment that somebody asks for it: it begins with an event, as
//! the vendor's do. Every contact has at least one active case, with the contact's own id. Exceptions are
//! in the module's table of magic ids.

use super::endpoint::authorize;
use super::kept_message::{KeptMessage, Showing};
use super::message::DEFAULT_CONTACT;
use super::request_log::{ReceivedRequest, iso_text};
use super::response::Reply;
use super::server::SandboxState;
use crate::queue::job::Millis;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The most items that a page has, whatever is asked for.
const PAGE: usize = 20;
/// Every case is older than everything that is sent to it.
const CASE_AGE: Millis = 3_600_000;

type SandboxAnswer = Result<Reply, Reply>;

/// What the sandbox knows while it answers one question.
struct Archive<'a> {
    state: &'a SandboxState,
    requests: Vec<Arc<ReceivedRequest>>,
    now: Millis,
}

impl<'a> Archive<'a> {
    /// Refuses what is not authorized, or to be refused.
    fn open(state: &'a SandboxState, headers: &HeaderMap) -> Result<Archive<'a>, Reply> {
        authorize(state, headers)?;
        let faults = &state.faults.reading;
        if faults.forbidden {
            return Err(Reply::error(StatusCode::FORBIDDEN, "this key may not read messages"));
        }
        if faults.says_no {
            let error = json!({"error": {"code": "MESSAGES_NOT_AVAILABLE",
                "message": "messages are not available now", "data": null}});
            return Err(Reply::ok(error));
        }
        Ok(Archive { state, requests: state.log.messages(), now: state.now() })
    }

    fn showing(&self) -> Showing<'_> {
        Showing { faults: &self.state.faults.reading, now: self.now }
    }

    fn answer(&self, data: Value) -> SandboxAnswer {
        Ok(Reply::ok(self.state.faults.reading.applied(data)))
    }

    /// Oldest first.
    fn kept(&self) -> impl DoubleEndedIterator<Item = &KeptMessage> {
        let kept = self.requests.iter().filter_map(|request| request.kept.as_ref());
        kept.filter(|message| message.is_shown(self.showing()))
    }

    fn of_case(&self, case: i64) -> impl DoubleEndedIterator<Item = &KeptMessage> {
        self.kept().filter(move |message| message.case() == case)
    }

    fn opening(&self, case: i64) -> Value {
        json!({
            // Below the first id of a message, and so the first of its case.
            "id": 1 + case.rem_euclid(8000), "caseId": case, "threadId": case,
            "contactId": self.contact_of(case), "channel": "chat", "senderId": 0,
            "senderType": "contact", "type": "event", "message": "The visitor started chat.",
            "dateCreated": iso_text(self.now - CASE_AGE), "dateUpdated": null, "seen": "yes",
            "meta": {},
        })
    }

    fn case_messages(&self, case: i64) -> Vec<Value> {
        let sent = self.of_case(case).flat_map(|message| message.case_messages(self.showing()));
        [self.opening(case)].into_iter().chain(sent).collect()
    }

    fn contact_of(&self, case: i64) -> i64 {
        self.of_case(case).next_back().map_or(DEFAULT_CONTACT, KeptMessage::contact)
    }

    /// `None`: there is no such case.
    fn case(&self, case: i64, contact: Option<i64>, relations: &[&str]) -> Option<Value> {
        if case <= 0 || case == 900_404 {
            return None;
        }
        let contact = contact.unwrap_or_else(|| self.contact_of(case));
        let last = self.of_case(case).next_back();
        let timeline = last.map_or(case, KeptMessage::timeline);
        let channel = self.of_case(case).next().map_or(json!("chat"), |m| json!(m.sending.channel));
        let mut found = json!({
            "id": case, "threadId": case, "contactId": contact, "channel": channel,
            "title": format!("#{contact} has just started a chat"),
            "status": if case == 900_400 { "closed" } else { "active" },
            "dateCreated": iso_text(self.now - CASE_AGE),
            "dateUpdated": last.map(|message| iso_text(message.created)),
        });
        if relations.contains(&"timeline") {
            found["timeline"] = json!({"id": timeline, "threadId": case, "contactId": contact});
        }
        if relations.contains(&"messages") {
            found["messages"] = Value::from(self.case_messages(case));
        }
        if relations.contains(&"contact") {
            found["contact"] = json!({"id": contact});
        }
        if relations.contains(&"users") {
            found["users"] =
                json!([{"user": {"id": super::message::AGENT, "name": "Sandbox Agent"}}]);
        }
        Some(found)
    }

    /// The cases that something was sent to.
    fn known_cases(&self) -> Vec<i64> {
        let known: BTreeSet<i64> = self.kept().map(KeptMessage::case).collect();
        known.into_iter().collect()
    }

    fn cases_of_contact(&self, contact: i64) -> Vec<i64> {
        let known: BTreeSet<i64> = self
            .kept()
            .filter(|message| message.sending.contact == Some(contact))
            .map(KeptMessage::case)
            .collect();
        match contact {
            ..=0 | 900_404 => Vec::new(),
            900_002 => vec![contact, contact + 1],
            _ if known.is_empty() => vec![contact],
            _ => known.into_iter().collect(),
        }
    }
}

/// The parameters, several of a name included.
struct Question(Vec<(String, String)>);

impl Question {
    fn read(uri: &Uri) -> Question {
        let query = uri.query().unwrap_or_default().as_bytes();
        Question(url::form_urlencoded::parse(query).into_owned().collect())
    }

    fn all(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(known, _)| known == name);
        named.flat_map(|(_, value)| value.split(',')).collect()
    }

    fn integer(&self, name: &str) -> Result<Option<i64>, Reply> {
        let value = self.0.iter().find(|(known, value)| known == name && !value.is_empty());
        let number = value.map(|(_, value)| value.parse()).transpose();
        number.map_err(|_| Reply::invalid(format!("{name} must be an integer")))
    }

    /// `where=column|eq|value`, with one of these columns.
    fn condition(&self, columns: &[&str]) -> Result<Option<(&str, i64)>, Reply> {
        let Some((_, condition)) = self.0.iter().find(|(name, _)| name == "where") else {
            return Ok(None);
        };
        let parts: Vec<&str> = condition.split('|').collect();
        match parts[..] {
            [column, "eq", value] if columns.contains(&column) => {
                let number = value
                    .parse()
                    .map_err(|_| Reply::invalid(format!("where: {column} must be an integer")))?;
                Ok(Some((column, number)))
            }
            _ => Err(Reply::invalid(format!(
                "where must be COLUMN|eq|VALUE, with one of the columns {}",
                columns.join(", ")
            ))),
        }
    }

    /// One page: `{page, offset, limit, count, data}`.
    fn page(&self, all: Vec<Value>) -> Result<Value, Reply> {
        let number = |name: &str| Ok(self.integer(name)?.map(|n| usize::try_from(n).unwrap_or(0)));
        let limit = number("limit")?.unwrap_or(PAGE).clamp(1, PAGE);
        let offset = number("offset")?.unwrap_or(0);
        let (count, select) = (all.len(), self.all("select"));
        let relations = self.all("relations");
        let selected = |item: Value| match item {
            Value::Object(fields) if !select.is_empty() => fields
                .into_iter()
                .filter(|(name, _)| {
                    select.contains(&name.as_str()) || relations.contains(&name.as_str())
                })
                .collect::<Map<_, _>>()
                .into(),
            item => item,
        };
        let data: Vec<Value> = all.into_iter().skip(offset).take(limit).map(selected).collect();
        Ok(json!({"page": offset / limit, "offset": offset, "limit": limit, "count": count,
            "data": data}))
    }
}

/// `GET /crm/messenger/chat/messages?threadId=&contactId=`: threads with their last message.
pub(super) async fn threads(
    State(state): State<Arc<SandboxState>>,
    headers: HeaderMap,
    uri: Uri,
) -> SandboxAnswer {
    let archive = Archive::open(&state, &headers)?;
    let question = Question::read(&uri);
    let (thread, contact) = (question.integer("threadId")?, question.integer("contactId")?);
    let cases = match (thread, contact) {
        (Some(thread), _) => vec![thread],
        (None, Some(contact)) => archive.cases_of_contact(contact),
        (None, None) => archive.known_cases(),
    };
    let threads: Vec<Value> = cases
        .into_iter()
        .filter_map(|case| {
            let mut found = archive.case(case, contact, &["timeline", "users"])?;
            found["cases"] = json!([{"id": case, "status": found["status"]}]);
            found["lastMessage"] = archive.case_messages(case).pop()?;
            Some(found)
        })
        .collect();
    archive.answer(Value::from(threads))
}

/// `GET /crm/objects/case?where=id|eq|N&relations=messages`, or `where=contactId|eq|N`.
pub(super) async fn cases(
    State(state): State<Arc<SandboxState>>,
    headers: HeaderMap,
    uri: Uri,
) -> SandboxAnswer {
    let archive = Archive::open(&state, &headers)?;
    let question = Question::read(&uri);
    let relations = question.all("relations");
    let found: Vec<Value> = match question.condition(&["id", "contactId"])? {
        Some(("id", case)) => archive.case(case, None, &relations).into_iter().collect(),
        Some((_, contact)) => {
            let cases = archive.cases_of_contact(contact);
            cases.iter().filter_map(|case| archive.case(*case, Some(contact), &relations)).collect()
        }
        None => {
            let cases = archive.known_cases();
            cases.iter().filter_map(|case| archive.case(*case, None, &relations)).collect()
        }
    };
    archive.answer(question.page(found)?)
}

/// `GET /crm/objects/case/{caseId}`.
pub(super) async fn case(
    State(state): State<Arc<SandboxState>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> SandboxAnswer {
    let archive = Archive::open(&state, &headers)?;
    let id: i64 = id.parse().map_err(|_| Reply::invalid("caseId must be an integer"))?;
    let found = archive.case(id, None, &["timeline", "contact", "users"]);
    archive.answer(found.ok_or_else(|| Reply::error(StatusCode::NOT_FOUND, "no such case"))?)
}

/// `GET /crm/objects/case-message?where=caseId|eq|N`, or `where=id|eq|N`.
pub(super) async fn case_messages(
    State(state): State<Arc<SandboxState>>,
    headers: HeaderMap,
    uri: Uri,
) -> SandboxAnswer {
    let archive = Archive::open(&state, &headers)?;
    let question = Question::read(&uri);
    let all = || {
        let cases = archive.known_cases();
        cases.into_iter().flat_map(|case| archive.case_messages(case))
    };
    let mut found: Vec<Value> = match question.condition(&["id", "caseId"])? {
        Some(("id", id)) => all().filter(|message| message["id"] == id).collect(),
        Some((_, case)) => archive.case_messages(case),
        None => all().collect(),
    };
    if question.all("relations").contains(&"case") {
        for message in &mut found {
            let case = message["caseId"].as_i64().unwrap_or_default();
            message["case"] = archive.case(case, None, &[]).unwrap_or_default();
        }
    }
    archive.answer(question.page(found)?)
}

/// `GET /crm/objects/case-message/{messageId}`.
pub(super) async fn case_message(
    State(state): State<Arc<SandboxState>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> SandboxAnswer {
    let archive = Archive::open(&state, &headers)?;
    let id: i64 = id.parse().map_err(|_| Reply::invalid("messageId must be an integer"))?;
    let mut all = archive.kept().flat_map(|message| message.case_messages(archive.showing()));
    let found = all.find(|message| message["id"] == id);
    archive.answer(found.ok_or_else(|| Reply::error(StatusCode::NOT_FOUND, "no such message"))?)
}

/// `GET /mail/messages?threadId=N`: the newest page; `previous` and `next` lead on from it.
pub(super) async fn mails(
    State(state): State<Arc<SandboxState>>,
    headers: HeaderMap,
    uri: Uri,
) -> SandboxAnswer {
    let archive = Archive::open(&state, &headers)?;
    let question = Question::read(&uri);
    let thread =
        question.integer("threadId")?.ok_or_else(|| Reply::invalid("threadId is required"))?;
    let mut mails: Vec<Map<String, Value>> =
        archive.of_case(thread).flat_map(|message| message.mails(archive.showing())).collect();
    let id = |mail: &Map<String, Value>| mail.get("id").and_then(Value::as_i64).unwrap_or_default();
    mails.sort_by_key(id);
    let cursor = |name: &str| question.0.iter().find(|(known, _)| known == name);
    let page: Vec<_> = match (cursor("next"), cursor("previous")) {
        (Some((_, at)), _) => {
            let at = read_cursor(at)?;
            mails.into_iter().filter(|mail| id(mail) > at).take(PAGE).collect()
        }
        (None, Some((_, at))) => {
            let at = read_cursor(at)?;
            let before: Vec<_> = mails.into_iter().filter(|mail| id(mail) < at).collect();
            let skipped = before.len().saturating_sub(PAGE);
            before.into_iter().skip(skipped).collect()
        }
        (None, None) => {
            let skipped = mails.len().saturating_sub(PAGE);
            mails.into_iter().skip(skipped).collect()
        }
    };
    let ends = [page.first(), page.last()].map(|mail| mail.map(|mail| format!("{:x}z", id(mail))));
    let [previous, next] = ends;
    archive.answer(json!({"previous": previous, "next": next, "messages": page}))
}

fn read_cursor(text: &str) -> Result<i64, Reply> {
    let id = text.strip_suffix('z').and_then(|hex| i64::from_str_radix(hex, 16).ok());
    id.ok_or_else(|| Reply::invalid("this is not the cursor of a page"))
}
