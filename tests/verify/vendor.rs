//! Acquire as a test needs it here: it remembers what it accepted, loses answers when told to, and shows
//! the messages of a case.

use crate::support::{Reply, Request, Server};
use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// What becomes of a message that is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Answered,
    /// Accepted, and the answer is lost; shown after this time.
    LostAnswer(Duration),
    /// The connection is lost before the message is accepted.
    LostRequest,
}

/// An answer of any kind to a question what a case has; `None`: the true one.
type Reading = Box<dyn Fn(&Request) -> Option<Reply> + Send>;

struct Message {
    id: u64,
    case: u64,
    text: String,
    created: SystemTime,
    shown_after: Duration,
}

struct State {
    messages: Vec<Message>,
    /// How often each text was sent.
    sent: BTreeMap<String, u32>,
    reading: Reading,
    looks: u64,
}

pub struct Vendor {
    pub server: Server,
    state: Arc<Mutex<State>>,
}

impl Vendor {
    /// `fate`: of a text, sent for the n-th time, from 1.
    pub fn new(fate: impl Fn(&str, u32) -> Fate + Send + Sync + 'static) -> Vendor {
        let state = Arc::new(Mutex::new(State {
            messages: Vec::new(),
            sent: BTreeMap::new(),
            reading: Box::new(|_| None),
            looks: 0,
        }));
        let own = Arc::clone(&state);
        let server = Server::answering(move |request| {
            let date = httpdate::fmt_http_date(SystemTime::now());
            answer(&own, request, &fate).header("date", date)
        });
        Vendor { server, state }
    }

    /// From now on this answers the questions what a case has, unless it gives `None`.
    pub fn read_by(&self, reading: impl Fn(&Request) -> Option<Reply> + Send + 'static) {
        self.state.lock().unwrap().reading = Box::new(reading);
    }

    /// A message of somebody else's in a case.
    pub fn put(&self, case: u64, text: &str) {
        accept(&mut self.state.lock().unwrap(), case, text, Duration::ZERO);
    }

    /// How many messages have this text.
    pub fn copies(&self, text: &str) -> usize {
        self.state.lock().unwrap().messages.iter().filter(|message| message.text == text).count()
    }

    /// The texts that it has more than once.
    pub fn twice(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let mut texts: Vec<_> = state.messages.iter().map(|message| message.text.clone()).collect();
        texts.sort();
        let twice = texts.windows(2).filter(|pair| pair[0] == pair[1]);
        twice.map(|pair| pair[0].clone()).collect()
    }

    /// How many questions what a case has were answered.
    pub fn looks(&self) -> u64 {
        self.state.lock().unwrap().looks
    }
}

fn accept(state: &mut State, case: u64, text: &str, shown_after: Duration) -> u64 {
    let id = 9000 + state.messages.len() as u64;
    let created = SystemTime::now();
    state.messages.push(Message { id, case, text: text.to_owned(), created, shown_after });
    id
}

fn answer(
    state: &Mutex<State>,
    request: &Request,
    fate: &(impl Fn(&str, u32) -> Fate + Send + Sync),
) -> Reply {
    let mut state = state.lock().unwrap();
    if request.method == "GET" {
        state.looks += 1;
        return (state.reading)(request).unwrap_or_else(|| read(&state, &request.target));
    }
    let text = request.words();
    let times = state.sent.entry(text.clone()).or_default();
    *times += 1;
    let fate = fate(&text, *times);
    let case = request.json()["caseId"].as_u64().unwrap_or_default();
    match fate {
        Fate::LostRequest => Reply::drop(),
        Fate::LostAnswer(shown_after) => {
            accept(&mut state, case, &text, shown_after);
            Reply::drop()
        }
        Fate::Answered => {
            let id = accept(&mut state, case, &text, Duration::ZERO);
            Reply::json(200, json!({"data": {"id": id, "caseId": case, "threadId": case}}))
        }
    }
}

/// The documented shape: a page of a case's messages, or the case with them.
fn read(state: &State, target: &str) -> Reply {
    let query: BTreeMap<String, String> = url::form_urlencoded::parse(
        target.split_once('?').map_or("", |(_, query)| query).as_bytes(),
    )
    .into_owned()
    .collect();
    let case: u64 = query["where"].rsplit('|').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let opening = json!({"id": 1, "caseId": case, "senderId": 0, "senderType": "contact",
        "type": "event", "message": "The visitor started chat.",
        "dateCreated": "2021-03-30T16:05:46.000Z", "dateUpdated": null, "seen": "yes", "meta": {}});
    let now = SystemTime::now();
    let shown = state
        .messages
        .iter()
        .filter(|message| message.case == case && message.created + message.shown_after <= now);
    let all: Vec<Value> = [opening].into_iter().chain(shown.map(message)).collect();
    if !target.contains("/case-message") {
        let case = json!({"id": case, "status": "active", "messages": all});
        return Reply::json(
            200,
            json!({"data": {"page": 0, "offset": 0, "limit": 20, "count": 1, "data": [case]}}),
        );
    }
    let offset: usize = query.get("offset").and_then(|n| n.parse().ok()).unwrap_or(0);
    let page: Vec<_> = all.iter().skip(offset).take(20).collect();
    Reply::json(
        200,
        json!({"data": {"page": offset / 20, "offset": offset, "limit": 20,
        "count": all.len(), "data": page}}),
    )
}

fn message(of: &Message) -> Value {
    let created =
        DateTime::<chrono::Utc>::from(of.created).to_rfc3339_opts(SecondsFormat::Millis, true);
    json!({"id": of.id, "caseId": of.case, "senderId": 25, "senderType": "user", "type": "message",
        "message": of.text, "dateCreated": created, "dateUpdated": null, "seen": "no", "meta": {}})
}
