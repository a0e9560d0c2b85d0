//! How the program tells what it does: for people on a terminal, with fields for the journal under
//! systemd, one JSON object a line for everything else.
//!
//! `ACQUIRE_OUTBOX_LOG` says how much, `ACQUIRE_OUTBOX_LOG_FORMAT` how.

use crate::cli::note;
use libsystemd::logging::{Priority, connected_to_journal, journal_send};
use std::fmt::{self, Write as _};
use std::io::{IsTerminal, stderr};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Pretty,
    Journald,
    Json,
}

/// Sets it up for the whole process. What cannot be understood of the two variables is told, and the
/// default taken: no typing error in one shall keep a service from its work.
pub fn set_up() {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        // Told on stderr, it would panic there: a log that nobody reads any more stops nothing.
        .log_internal_errors(false);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format() {
        Format::Pretty => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
        Format::Journald => Journal.boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter())).init();
}

fn format() -> Format {
    let text = std::env::var("ACQUIRE_OUTBOX_LOG_FORMAT").unwrap_or_default();
    match text.trim() {
        "pretty" => return Format::Pretty,
        "journald" => return Format::Journald,
        "json" => return Format::Json,
        "" | "auto" => {}
        _ => note(
            "acquire-outbox: ACQUIRE_OUTBOX_LOG_FORMAT is none of pretty, journald, json and auto; \
             it is taken for auto",
        ),
    }
    if connected_to_journal() {
        Format::Journald
    } else if stderr().is_terminal() {
        Format::Pretty
    } else {
        Format::Json
    }
}

/// A level, or directives such as `warn,acquire_outbox=debug`.
fn filter() -> EnvFilter {
    let text = std::env::var("ACQUIRE_OUTBOX_LOG").unwrap_or_default();
    let text = if text.trim().is_empty() { "info" } else { text.trim() };
    // Alone on its own, a word that is no level would be read as a module's name: an empty log.
    let no_level = !text.contains([',', '=', ':', '[']) && text.parse::<LevelFilter>().is_err();
    match EnvFilter::try_new(text) {
        Ok(filter) if !no_level => filter,
        _ => {
            note(
                "acquire-outbox: ACQUIRE_OUTBOX_LOG is no level (error, warn, info, debug, trace \
                 or off); it is taken for info",
            );
            EnvFilter::new("info")
        }
    }
}

/// Sends each event to the journal: its words and fields as the message, so that plain `journalctl`
/// shows all of it, and each field by itself, so that `OUTBOX_JOB=17` finds a job.
struct Journal;

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut entry = Entry::default();
        event.record(&mut entry);
        let priority = match *event.metadata().level() {
            Level::ERROR => Priority::Error,
            Level::WARN => Priority::Warning,
            Level::INFO => Priority::Info,
            _ => Priority::Debug,
        };
        let identifier = ("SYSLOG_IDENTIFIER".to_owned(), "acquire-outbox".to_owned());
        let mut fields = entry.fields;
        fields.push(identifier);
        let message = entry.words + &entry.rest;
        if journal_send(priority, &message, fields.into_iter()).is_err() {
            note(message);
        }
    }
}

#[derive(Default)]
struct Entry {
    words: String,
    rest: String,
    fields: Vec<(String, String)>,
}

impl Entry {
    /// `shown`: how the value stands in the message, as it does on a terminal.
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
