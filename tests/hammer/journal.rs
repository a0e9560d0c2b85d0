//! What everybody did to each message, as the test knows it without asking the database.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Instant;

/// Whether the producer's commit took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The connection was lost before the answer.
    Unknown,
    Committed(Instant),
    /// Rolled back, or refused.
    Never,
}

/// One message.
#[derive(Clone, Debug)]
pub struct Message {
    pub producer: usize,
    /// The lane; empty for none.
    pub key: String,
    pub id: i64,
    /// When its INSERT was sent.
    pub begun: Instant,
    pub fate: Fate,
    /// Has been given another place, or was retried by an operator: nothing is known of its order.
    pub loose: bool,
    /// Operators' retries that took place, or may have.
    pub retries: usize,
    /// A DELETE took place, or may have.
    pub may_be_deleted: bool,
    /// The answer to a DELETE was lost: a later one that finds no row proves nothing.
    pub is_deletion_unknown: bool,
    pub is_cancelled: bool,
    notes: Vec<(Instant, String)>,
}

/// Everything that the test has done.
pub struct Journal {
    begun: Instant,
    messages: Mutex<HashMap<String, Message>>,
    /// What happened to nodes and servers.
    events: Mutex<Vec<(Instant, String)>>,
    tally: Mutex<BTreeMap<&'static str, u64>>,
    wrong: Mutex<Vec<String>>,
}

impl Journal {
    pub fn new() -> Journal {
        Journal {
            begun: Instant::now(),
            messages: Mutex::default(),
            events: Mutex::default(),
            tally: Mutex::default(),
            wrong: Mutex::default(),
        }
    }

    pub fn begin(&self, name: &str, producer: usize, key: &str) {
        let message = Message {
            producer,
            key: key.to_owned(),
            id: 0,
            begun: Instant::now(),
            fate: Fate::Unknown,
            loose: false,
            retries: 0,
            may_be_deleted: false,
            is_deletion_unknown: false,
            is_cancelled: false,
            notes: Vec::new(),
        };
        self.messages.lock().unwrap().insert(name.to_owned(), message);
    }

    /// Changes what is known of a message, with a line for its history.
    pub fn note(&self, name: &str, what: impl Into<String>, change: impl FnOnce(&mut Message)) {
        let mut messages = self.messages.lock().unwrap();
        let message = messages.get_mut(name).expect("a message that has begun");
        message.notes.push((Instant::now(), what.into()));
        change(message);
    }

    pub fn messages(&self) -> HashMap<String, Message> {
        self.messages.lock().unwrap().clone()
    }

    pub fn event(&self, what: impl Into<String>) {
        self.events.lock().unwrap().push((Instant::now(), what.into()));
    }

    pub fn count(&self, what: &'static str, more: u64) {
        *self.tally.lock().unwrap().entry(what).or_default() += more;
    }

    /// The figures, for a line in docs/reliability.md.
    pub fn figures(&self) -> String {
        let tally = self.tally.lock().unwrap();
        tally.iter().map(|(what, n)| format!("{n} {what}")).collect::<Vec<_>>().join(", ")
    }

    /// Something that must not be; the run goes on to its end.
    pub fn wrong(&self, what: impl Into<String>) {
        let what = what.into();
        // Its first line alone: the rest may be a history, which has all events in it.
        self.event(format!("WRONG: {}", what.lines().next().unwrap_or_default()));
        self.wrong.lock().unwrap().push(what);
    }

    pub fn wrongs(&self) -> Vec<String> {
        self.wrong.lock().unwrap().clone()
    }

    /// When something happened, in seconds from the beginning.
    pub fn seconds(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.begun).as_secs_f64()
    }

    /// What was done to a message and, around it, to everything.
    pub fn history(&self, name: &str) -> String {
        let mut lines: Vec<(Instant, String)> = Vec::new();
        if let Some(message) = self.messages.lock().unwrap().get(name) {
            let Message { key, id, loose, retries, .. } = message;
            lines.push((
                message.begun,
                format!("INSERT sent, key {key:?}, id {id}, loose {loose}, {retries} retries"),
            ));
            lines.extend(message.notes.clone());
        }
        lines.extend(self.events.lock().unwrap().clone());
        lines.sort();
        let mut text = String::new();
        for (at, what) in lines {
            writeln!(text, "  {:9.3} {what}", self.seconds(at)).unwrap();
        }
        text
    }
}
