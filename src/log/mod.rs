//! The program's log: text on a terminal, entries with fields in the journal under systemd, and
//! otherwise one JSON object per line.
//!
//! `ACQUIRE_OUTBOX_LOG` sets the level, `ACQUIRE_OUTBOX_LOG_FORMAT` the format.
//!
//! A service never waits for its log: a [`Spool`]'s thread writes to stderr or the journal.

mod journal;

use crate::spool::{self, Outlet, Spool};
use journal::{Entry, Journal};
use libsystemd::logging::connected_to_journal;
use prometheus_client::metrics::counter::Counter;
use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{self, IsTerminal, Write, stderr};
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;
use std::time::Duration;
use tracing::{error, warn};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// How long the process waits for the last lines when it ends.
const FLUSH_TIME: Duration = Duration::from_secs(2);

/// Set only in a process that runs as a service.
static SPOOL: OnceLock<Spool<Logged>> = OnceLock::new();

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogFormat {
    Pretty,
    Journald,
    Json,
}

/// A line of the log.
enum Logged {
    /// With its line ending.
    Text(Vec<u8>),
    Entry(Entry),
    /// Shown in the last line of a terminal until the next line or progress; empty clears it.
    Progress(String),
}

/// Dropping it waits, for a limited time, until the last lines are written.
#[must_use = "the last lines are lost without it"]
pub struct LastLines(());

impl Drop for LastLines {
    fn drop(&mut self) {
        flush(FLUSH_TIME);
    }
}

/// Sets up the log of the whole process. With `service`, a slow reader of the log does not block the
/// process. An invalid value of either variable is reported and the default is used: a typing error
/// must not stop a service.
pub fn set_up(service: bool) -> LastLines {
    if service
        && let Ok(stderr) = spool::unlocked(&stderr())
        && let Ok(spool) = Spool::start("log", Stderr { out: stderr, shows_progress: false })
    {
        let _ = SPOOL.set(spool);
        panic::set_hook(Box::new(log_panic));
    }
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(LogWriter)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        // These errors would be printed to stderr directly, which panics if its reader has gone.
        .log_internal_errors(false);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format() {
        LogFormat::Pretty => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
        LogFormat::Journald => Journal.boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter())).init();
    LastLines(())
}

/// Writes a line of plain text, in order with the other lines. It is lost if nobody reads the log.
pub fn note(text: impl AsRef<str>) {
    put(Logged::Text(format!("{}\n", text.as_ref()).into_bytes()));
}

/// Shows how far the program is in the last line of a terminal, of a service only.
pub fn progress(text: impl Into<String>) {
    put(Logged::Progress(text.into()));
}

/// Waits until all lines are written, for at most `limit`.
pub fn flush(limit: Duration) {
    if let Some(spool) = SPOOL.get() {
        spool.flush(limit);
    }
}

/// How many lines were lost.
pub fn lost() -> Counter {
    SPOOL.get().map(Spool::lost).unwrap_or_default()
}

fn put(line: Logged) {
    match (SPOOL.get(), line) {
        (Some(spool), line) => spool.put(line),
        // A command waits for whoever reads its output.
        (None, Logged::Text(text)) => drop(stderr().lock().write_all(&text)),
        (None, Logged::Progress(_)) => {}
        (None, Logged::Entry(entry)) => entry.send().unwrap_or_else(|_| note(entry.message())),
    }
}

struct Stderr {
    out: File,
    shows_progress: bool,
}

/// To the beginning of the line, and clear it.
const CLEAR_LINE: &[u8] = b"\r\x1b[2K";

impl Outlet for Stderr {
    type Item = Logged;

    fn write(&mut self, line: Logged) -> io::Result<()> {
        if std::mem::take(&mut self.shows_progress) {
            self.out.write_all(CLEAR_LINE)?;
        }
        match line {
            Logged::Text(text) => self.out.write_all(&text),
            Logged::Entry(entry) => match entry.send() {
                Ok(()) => Ok(()),
                Err(_) => self.out.write_all(format!("{}\n", entry.message()).as_bytes()),
            },
            Logged::Progress(text) => {
                self.shows_progress = !text.is_empty();
                self.out.write_all(text.as_bytes())
            }
        }
    }

    fn report_lost(&mut self, lines: u64) {
        warn!(lines, "log lines were lost: they could not be written in time");
    }
}

/// Gets each event as one line.
struct LogWriter;

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LogWriter;

    fn make_writer(&'a self) -> LogWriter {
        LogWriter
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        put(Logged::Text(line.to_owned()));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Replaces the standard hook, which writes to stderr directly and prints the panic's message, which may
/// quote values.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(&backtrace);
    let reason = reason(panic.payload());
    match backtrace {
        Some(backtrace) => error!(place, reason, %backtrace, "a panic; this is a bug"),
        None => error!(place, reason, "a panic; this is a bug"),
    }
}

/// Only text from the source code: text formatted at run time may quote a message.
fn reason(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref().copied().unwrap_or("omitted: its text may quote a message")
}

fn format() -> LogFormat {
    let text = std::env::var("ACQUIRE_OUTBOX_LOG_FORMAT").unwrap_or_default();
    match text.trim() {
        "pretty" => return LogFormat::Pretty,
        "journald" => return LogFormat::Journald,
        "json" => return LogFormat::Json,
        "" | "auto" => {}
        _ => note(
            "acquire-outbox: ACQUIRE_OUTBOX_LOG_FORMAT must be pretty, journald, json or auto; \
             using auto",
        ),
    }
    if connected_to_journal() {
        LogFormat::Journald
    } else if stderr().is_terminal() {
        LogFormat::Pretty
    } else {
        LogFormat::Json
    }
}

/// A level, or directives such as `warn,acquire_outbox=debug`.
fn filter() -> Targets {
    let text = std::env::var("ACQUIRE_OUTBOX_LOG").unwrap_or_default();
    let text = if text.trim().is_empty() { "info" } else { text.trim() };
    // A single word that is not a level would be taken for a module's name, and the log would be
    // empty.
    let no_level = !text.contains([',', '=', ':']) && text.parse::<LevelFilter>().is_err();
    match text.parse::<Targets>() {
        Ok(filter) if !no_level => filter,
        _ => {
            note(
                "acquire-outbox: ACQUIRE_OUTBOX_LOG is not a level (error, warn, info, debug, trace \
                 or off); using info",
            );
            Targets::new().with_default(LevelFilter::INFO)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_logged_without_what_it_quotes() {
        assert_eq!(reason(&"the fence holds"), "the fence holds");
        assert!(!reason(&"byte 3 of Dear Ada".to_owned()).contains("Ada"));
    }
}
