//! Log events as journal entries.

use super::Logged;
use libsystemd::errors::SdError;
use libsystemd::logging::{Priority, journal_send};
use std::fmt::{self, Write as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Turns each event into an entry. The message contains the text and the fields, so that plain
/// `journalctl` shows both; each field is also stored separately, so that `OUTBOX_JOB=17` finds a job.
pub struct Journal;

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let priority = match *event.metadata().level() {
            Level::ERROR => Priority::Error,
            Level::WARN => Priority::Warning,
            Level::INFO => Priority::Info,
            _ => Priority::Debug,
        };
        let mut entry = Entry {
            priority,
            text: String::new(),
            shown_fields: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut entry);
        super::put(Logged::Entry(entry));
    }
}

/// An entry of the journal.
pub struct Entry {
    priority: Priority,
    text: String,
    shown_fields: String,
    fields: Vec<(String, String)>,
}

impl Entry {
    /// The text and the fields, on one line.
    pub fn message(&self) -> String {
        format!("{}{}", self.text, self.shown_fields)
    }

    /// Sends the entry. Blocks while the journal does not read.
    pub fn send(&self) -> Result<(), SdError> {
        let fields = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let identifier = ("SYSLOG_IDENTIFIER", "acquire-outbox");
        journal_send(self.priority, &self.message(), fields.chain([identifier]))
    }

    /// `shown` is the value as it appears in the message.
    fn add(&mut self, field: &Field, value: String, shown: &str) {
        if field.name() == "message" {
            self.text = value;
            return;
        }
        let _ = write!(self.shown_fields, " {}={shown}", field.name());
        self.fields.push((format!("OUTBOX_{}", field.name().to_uppercase()), value));
    }
}

impl Visit for Entry {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        self.add(field, value.clone(), &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned(), &format!("{value:?}"));
    }
}
