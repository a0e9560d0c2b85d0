//! One job, with what a person wants to know about it.

use super::block::Block;
use super::job::Millis;
use super::overview::SetAside;
use super::pause::Pause;
use serde::Serialize;

/// A row of `delivery_status`: what anyone may see of a job, without the payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    pub id: i64,
    pub channel: String,
    pub account: String,
    pub source: Option<String>,
    pub idempotency_key: Option<String>,
    pub status: String,
    pub attempts: i64,
    pub message_id: Option<String>,
    pub failure: Option<String>,
    pub error_code: Option<String>,
    pub error: Option<String>,
    /// Times are ISO 8601, UTC, with milliseconds; an odd value is shown as it is.
    pub created_at: String,
    pub send_at: Option<String>,
    pub next_attempt_at: Option<String>,
    pub finished_at: Option<String>,
}

/// A row of `outbox_attempts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptRow {
    pub attempt: i64,
    /// ISO 8601, UTC, with milliseconds.
    pub started_at: String,
    pub duration_ms: i64,
    pub outcome: String,
    pub http_status: Option<i64>,
    pub error_code: Option<String>,
    pub error: Option<String>,
}

/// One job with what a person wants to know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    pub delivery: Delivery,
    pub payload_bytes: i64,
    /// A JSON array of the payload's field names.
    pub payload_fields: String,
    /// A JSON object, or its beginning.
    pub receipt: Option<String>,
    pub receipt_bytes: Option<i64>,
    pub priority: i64,
    pub ordering_key: Option<String>,
    pub max_attempts: Option<i64>,
    pub expires: Option<Millis>,
    /// Why it is pending: ready, scheduled, backoff, parked.
    pub wait: Option<String>,
    pub due: Option<Millis>,
    pub retry: Option<Millis>,
    pub updated: Option<Millis>,
}

/// What goes before a parked job: the one that holds its lane, and how many in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ahead {
    pub holder: i64,
    pub holder_status: String,
    pub holder_retry: Option<Millis>,
    pub jobs: i64,
}

/// A job's whole story, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    pub job: Detail,
    /// The newest of its attempts, oldest first.
    pub history: Vec<AttemptRow>,
    /// How many attempts there are.
    pub attempts: i64,
    /// Only where the job is parked.
    pub ahead: Option<Ahead>,
    /// Those of its account and channel.
    pub holds: Vec<Block>,
    /// Those that concern it.
    pub pauses: Vec<Pause>,
    /// If it is set aside.
    pub aside: Option<SetAside>,
}

/// How much is read of what has no end of its own; -1 rows are all.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    pub attempts: i64,
    pub fields: i64,
    /// Characters of a field's name, and of an attempt's error.
    pub line: i64,
    /// Characters of the receipt.
    pub text: i64,
}

impl Extent {
    pub const ALL: Extent =
        Extent { attempts: -1, fields: -1, line: i32::MAX as i64, text: i32::MAX as i64 };
}

/// What goes before a ready job of its account and channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Ready jobs that are claimed before it; counted up to twice [`Position::LIMIT`].
    pub ahead: u64,
    /// On the wire.
    pub in_flight: u64,
    /// What the channel, over all accounts, has sent or failed in the last minute.
    pub last_minute: u64,
}

impl Position {
    /// A sentence is not worth counting a million rows.
    pub const LIMIT: u64 = 10_000;
}
