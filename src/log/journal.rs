//! Events as entries of the journal.

use super::Logged;
use libsystemd::errors::SdError;
use libsystemd::logging::{Priority, journal_send};
use std::fmt::{self, Write as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Makes each event an entry: its text and fields as the message, so that plain `journalctl` shows
/// all of it, and each field separately, so that `OUTBOX_JOB=17` finds a job.
pub struct Journal;

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let priority = match *event.metadata().level() {
            Level::ERROR => Priority::Error,
            Level::WARN => Priority::Warning,
            Level::INFO => Priority::Info,
            _ => Priority::Debug,
        };
        let mut entry =
            Entry { priority, words: String::new(), rest: String::new(), fields: Vec::new() };
        event.record(&mut entry);
        super::put(Logged::Entry(entry));
    }
}

/// An event, for the journal.
pub struct Entry {
    priority: Priority,
    words: String,
    rest: String,
    fields: Vec<(String, String)>,
}

impl Entry {
    /// On one line.
    pub fn message(&self) -> String {
        format!("{}{}", self.words, self.rest)
    }

    /// Sends it; blocks while the journal does not read.
    pub fn send(&self) -> Result<(), SdError> {
        let fields = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let identifier = ("SYSLOG_IDENTIFIER", "acquire-outbox");
        journal_send(self.priority, &self.message(), fields.chain([identifier]))
    }

    /// `shown`: how the value is written in the message, as on a terminal.
    fn add(&mut self, field: &Field, value: String, shown: &str) {
        if field.name() == "message" {
            self.words = value;
            return;
        }
        let _ = write!(self.rest, " {}={shown}", field.name());
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
