//! Rows to insert.

use super::{Engine, now_ms};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Unix milliseconds, this many seconds from now; negative: ago.
pub fn from_now(seconds: f64) -> i64 {
    now_ms() + (seconds * 1000.0) as i64
}

/// A row to insert: channel and payload, and any other column as an SQL expression.
#[derive(Clone, Debug)]
pub struct Job {
    channel: &'static str,
    payload: Value,
    columns: Vec<(String, String)>,
}

impl Job {
    pub fn new(channel: &'static str, payload: Value) -> Job {
        Job { channel, payload, columns: Vec::new() }
    }

    pub fn chat(case: i64, words: &str) -> Job {
        Job::new("chat", json!({"caseId": case, "message": words}))
    }

    pub fn mail(case: i64, subject: &str) -> Job {
        let payload = json!({
            "caseId": case, "contactId": 9_156_860, "from": "test@acquire.io",
            "to": ["user@gmail.com"], "subject": subject, "htmlBody": "<p>html</p>"
        });
        Job::new("mail", payload)
    }

    pub fn sms(thread: i64, words: &str) -> Job {
        let payload = json!({
            "From": "+12513188609", "To": "+919666929552", "Body": words,
            "contactId": 751_069, "threadId": thread, "timelineId": 2108
        });
        Job::new("sms", payload)
    }

    /// Sets a field of the payload.
    pub fn field(mut self, name: &str, value: Value) -> Job {
        self.payload[name] = value;
        self
    }

    /// Sets a column to an SQL expression that both engines read: `column("ordering_key", "'a'")`.
    pub fn column(mut self, name: &str, expression: &str) -> Job {
        self.columns.push((name.to_owned(), expression.to_owned()));
        self
    }

    /// Sets a column to a time, in Unix milliseconds.
    pub fn at(self, column: &str, ms: i64) -> Job {
        self.column(column, &Engine::of_this_run().time(ms))
    }

    /// Scheduled: not sent as long as any test runs.
    pub fn tomorrow(self) -> Job {
        self.at("send_at", from_now(86_400.0))
    }

    pub fn sql(&self) -> String {
        format!("{} VALUES ({})", self.insert(), self.values())
    }

    /// One statement for neighbours with the same columns: to compile an INSERT takes longer than to run it.
    pub fn all(jobs: impl IntoIterator<Item = Job>) -> String {
        let mut sql = String::new();
        let mut before = String::new();
        for job in jobs {
            let insert = job.insert();
            if insert == before {
                write!(sql, ", ({})", job.values()).unwrap();
            } else {
                write!(sql, "; {insert} VALUES ({})", job.values()).unwrap();
            }
            before = insert;
        }
        format!("BEGIN{sql}; COMMIT")
    }

    fn insert(&self) -> String {
        let mut names = "channel, payload".to_owned();
        for (name, _) in &self.columns {
            write!(names, ", {name}").unwrap();
        }
        format!("INSERT INTO outbox ({names})")
    }

    fn values(&self) -> String {
        let payload = self.payload.to_string().replace('\'', "''");
        let mut values = format!("'{}', '{payload}'", self.channel);
        for (_, expression) in &self.columns {
            write!(values, ", {expression}").unwrap();
        }
        values
    }
}
