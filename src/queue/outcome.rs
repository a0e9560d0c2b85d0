//! How an attempt can end: what happened, not what to do about it.

use crate::queue::job::Millis;
use serde_json::{Map, Value};
use std::time::Duration;

/// The error of an attempt, for programs and for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The `error_code`: `ERROR_INVALID_INPUT`, `http_503`, `timeout`, `connect`, `tls`, ...
    pub code: String,
    /// The `error`: one sentence. It is stored and logged, so it has neither a key nor message text.
    pub message: String,
}

impl Fault {
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Fault { code: code.into(), message: message.into() }
    }
}

/// The ids and statuses in an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Receipt {
    /// Acquire's id of the message (`data.id`; SMS: `data.data.id`).
    pub message_id: Option<String>,
    /// Every id and status found, with the vendor's names; the column `receipt`.
    pub fields: Map<String, Value>,
}

/// What to do about a page that Acquire did not write. Only the dispatcher, which sees the answers to
/// other messages, can tell whether the page is about one message or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageVerdict {
    /// Every message may get the page: this one waits at least for this time.
    Again { pause: Duration },
    /// Acquire has answered other messages since: the page is about this one.
    OnlyThisMessage,
}

impl Default for PageVerdict {
    /// The value until the dispatcher decides.
    fn default() -> Self {
        PageVerdict::Again { pause: Duration::ZERO }
    }
}

/// How one attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Acquire has the message. `note` says what was unusual about the answer (`no_message_id`,
    /// `answer_too_large`).
    Accepted { receipt: Receipt, note: Option<Fault> },
    /// Acquire rejected the message: a 4xx in JSON, or a 2xx that reports a failure. The receipt has the
    /// ids if the failure is an SMS provider's.
    Rejected { fault: Fault, receipt: Receipt },
    /// Not delivered, try later: 408, 425, 429, 500, 503, and statuses of a gateway that did not pass it
    /// on. `retry_after` blocks the route for that time.
    Unavailable { fault: Fault, retry_after: Option<Duration> },
    /// 401 or a redirect: about the account, not about the message.
    AccountRefused { fault: Fault },
    /// A 4xx that Acquire did not write, such as a proxy's page.
    NotAcquires { fault: Fault, verdict: PageVerdict },
    /// The request was not written: DNS, connect or TLS failed.
    NotWritten { fault: Fault },
    /// The request may have arrived, but no complete answer was read.
    Unknown { fault: Fault },
    /// The payload is not valid for the channel; no request was made.
    Invalid { fault: Fault },
    /// Ids that the payload leaves out could not be asked for; no request was made. That says nothing about
    /// the message or the route.
    NotFilled { fault: Fault },
    /// This machine ran out of a resource before the request was written. That says nothing about the
    /// message or the account.
    Shortage { fault: Fault, resource: LocalResource },
    /// Stopped before the request was written.
    Withdrawn,
}

/// What this machine can run out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalResource {
    /// File descriptors, of this process or of the machine.
    Descriptors,
    /// Kernel memory.
    Memory,
    /// Threads: the process's task limit.
    Threads,
    /// Local ports, for one remote address only.
    Ports,
}

impl LocalResource {
    /// The `error_code`.
    pub fn code(self) -> &'static str {
        match self {
            LocalResource::Descriptors => "no_descriptors",
            LocalResource::Memory => "no_memory",
            LocalResource::Threads => "no_threads",
            LocalResource::Ports => "no_ports",
        }
    }
}

/// The outcome of an attempt, and the measurements for its row in `outbox_attempts`.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptResult {
    pub outcome: Outcome,
    /// `None`: there was no answer.
    pub http_status: Option<u16>,
    /// When the request began.
    pub started_at: Millis,
    /// From `started_at` to the end, by the monotonic clock.
    pub duration: Duration,
}
