//! Every way an attempt can end, as facts: what came back, not what to do about it.

use crate::queue::job::Millis;
use serde_json::{Map, Value};
use std::time::Duration;

/// The last error of an attempt, in two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// For programs: `ERROR_INVALID_INPUT`, `http_503`, `timeout`, `connect`, `tls`, ...
    pub code: String,
    /// For people: one sentence, without a key and without the message's text.
    pub message: String,
}

impl Fault {
    /// `message` is stored and logged: no key, none of the message's words.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Fault { code: code.into(), message: message.into() }
    }
}

/// The ids and statuses that an answer carried.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Receipt {
    /// Acquire's id of the message (`data.id`; SMS: `data.data.id`).
    pub message_id: Option<String>,
    /// Every id and status found, in the vendor's names; the `receipt` column.
    pub fields: Map<String, Value>,
}

/// What happens to a message that got a page that Acquire did not write.
/// [`Routes::page`](crate::dispatcher::routes::Routes::page), which knows about the other messages, decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageVerdict {
    /// Every message may get the page: this one waits at least this long.
    Again { pause: Duration },
    /// Acquire has answered other messages in the meantime: the page is about this one.
    ItAlone,
}

impl Default for PageVerdict {
    /// Not decided yet.
    fn default() -> Self {
        PageVerdict::Again { pause: Duration::ZERO }
    }
}

/// How one attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Acquire has the message. `note` is what was odd about the answer
    /// (`no_message_id`, `answer_too_large`).
    Accepted { receipt: Receipt, note: Option<Fault> },
    /// Acquire refused the message for good: a 4xx in JSON, or a 2xx that reports a failure. With
    /// an SMS provider's error the receipt has the ids.
    Rejected { fault: Fault, receipt: Receipt },
    /// Not now: 408, 425, 429, 500, 503, and other statuses of a gateway that did not pass it on.
    /// `retry_after` holds the channel.
    Unavailable { fault: Fault, retry_after: Option<Duration> },
    /// 401 or a redirect: the account is refused or misconfigured, not the message.
    AccountRefused { fault: Fault },
    /// A 4xx that Acquire did not write: a page from something on the way, for this message or for
    /// all.
    NotAcquires { fault: Fault, verdict: PageVerdict },
    /// No byte of the request left: DNS, connect, TLS.
    NotWritten { fault: Fault },
    /// The request may have arrived and no whole answer was read.
    Unknown { fault: Fault },
    /// The payload breaks the channel's rules: no request was made.
    Invalid { fault: Fault },
    /// This machine ran out of something before a byte of the request left. It says nothing about
    /// the message or the account.
    Shortage { fault: Fault, scarce: Scarce },
    /// Shutdown came before a byte of the request left.
    Withdrawn,
}

/// What a machine can run out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scarce {
    /// File descriptors, of this process or of the whole machine.
    Descriptors,
    /// Memory of the kernel.
    Memory,
    /// Threads, or tasks that the process may have.
    Threads,
    /// Local ports for one address: other addresses can be reached.
    Ports,
}

impl Scarce {
    /// The `error_code`.
    pub fn code(self) -> &'static str {
        match self {
            Scarce::Descriptors => "no_descriptors",
            Scarce::Memory => "no_memory",
            Scarce::Threads => "no_threads",
            Scarce::Ports => "no_ports",
        }
    }
}

/// An attempt that has ended: the outcome and the measurements for its row in `outbox_attempts`.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// How it ended.
    pub outcome: Outcome,
    /// The answer's HTTP status, where one came.
    pub http_status: Option<u16>,
    /// When its request was begun.
    pub started_at: Millis,
    /// From `started_at` to its end, by the monotonic clock.
    pub duration: Duration,
}
