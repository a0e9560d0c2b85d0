//! What is carried from one outbox to another: everything but the dispatcher's own affairs (claims,
//! blocks, places in the queue), which the other outbox makes for itself.

use super::job::Millis;
use super::outcome_counts::HistoryRow;
use serde::{Deserialize, Serialize};

/// A job with all of its columns. Its lane and its place in the queue are worked out where it arrives.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedJob {
    pub id: i64,
    pub channel: String,
    /// Contains message text, so this type has no `Debug`.
    pub payload: String,
    pub account: String,
    pub idempotency_key: Option<String>,
    pub ordering_key: Option<String>,
    pub priority: i64,
    pub send_at: Option<Millis>,
    pub expires_at: Option<Millis>,
    pub max_attempts: Option<i64>,
    pub source: Option<String>,
    pub created_at: Millis,
    pub status: String,
    pub attempts: i64,
    pub next_attempt_at: Option<Millis>,
    pub message_id: Option<String>,
    pub receipt: Option<String>,
    pub failure: Option<String>,
    pub error_code: Option<String>,
    pub error: Option<String>,
    pub updated_at: Option<Millis>,
    pub finished_at: Option<Millis>,
    /// With the id, its order among the jobs of its key.
    pub due_at: Option<Millis>,
    pub unspent: i64,
    pub uncertain_attempts: i64,
    pub budget_from: Option<Millis>,
    pub verify_at: Option<Millis>,
    pub verify_from: Option<Millis>,
    pub verify_until: Option<Millis>,
    pub verify_seen: Option<String>,
    pub delivery: Option<String>,
    pub delivery_at: Option<Millis>,
    pub follow_at: Option<Millis>,
    pub followed_at: Option<Millis>,
}

/// A row of `outbox_attempts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedAttempt {
    pub job_id: i64,
    pub attempt: i64,
    pub started_at: Millis,
    pub duration_ms: i64,
    pub outcome: String,
    pub http_status: Option<i64>,
    pub error_code: Option<String>,
    pub error: Option<String>,
}

/// A row of `outbox_acts`. Its payload is message text, so this type has no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedAct {
    pub job_id: i64,
    pub at: Millis,
    pub deed: String,
    pub origin: String,
    pub name: Option<String>,
    pub detail: Option<String>,
    pub payload: Option<String>,
}

/// Some jobs in the order of their ids, with their history.
#[derive(Default)]
pub struct CarriedPart {
    pub jobs: Vec<CarriedJob>,
    pub attempts: Vec<CarriedAttempt>,
    /// In their order.
    pub acts: Vec<CarriedAct>,
    /// Those that cannot be read, and why.
    pub unreadable: Vec<LeftBehind>,
    /// The last id that was looked at; `None`: there are no more.
    pub last: Option<i64>,
}

/// A row of `outbox_pauses`, its names as they are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedPause {
    pub account: String,
    pub channel: String,
    pub reason: String,
    pub since: Millis,
    pub until: Option<Millis>,
}

/// A row of `outbox_set_aside`. The outcome that could not be recorded stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedSetAside {
    pub job_id: i64,
    pub since: Millis,
    pub reason: String,
}

/// How far scrubbing has got in a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedScrubbing {
    pub channel: String,
    pub finished_at: Millis,
    pub id: i64,
}

/// What belongs to the outbox as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CarriedRest {
    pub pauses: Vec<CarriedPause>,
    pub set_aside: Vec<CarriedSetAside>,
    pub scrubbing: Vec<CarriedScrubbing>,
    /// What became of jobs over time, of all nodes together.
    pub outcomes: Vec<HistoryRow>,
    /// The highest id that was ever given: no id is given twice.
    pub last_id: i64,
}

/// A job that the other engine cannot hold, or that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBehind {
    pub id: i64,
    pub reason: String,
}

/// What was carried over.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Carried {
    pub jobs: u64,
    pub attempts: u64,
    pub left_behind: Vec<LeftBehind>,
}

/// How much one statement carries: this many jobs or bytes of payloads, whichever comes first.
pub const LOAD_JOBS: i64 = 500;
pub const LOAD_BYTES: i64 = 16 << 20;
