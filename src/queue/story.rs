//! One job, with what an operator wants to know about it.

use super::act::Act;
use super::block::Block;
use super::doubt::{SeenCandidate, seen_from};
use super::job::Millis;
use super::overview::SetAside;
use super::pause::Pause;
use super::when::iso;
use serde::Serialize;

/// A row of `delivery_status`: a job without its payload.
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
    /// Times are ISO 8601, UTC, with milliseconds. A value that is not a time is passed on unchanged.
    pub created_at: String,
    pub send_at: Option<String>,
    pub next_attempt_at: Option<String>,
    pub finished_at: Option<String>,
    /// What became of a sent message: `delivered`, `seen`, `bounced` or `failed`.
    pub delivery: Option<String>,
    pub delivery_at: Option<String>,
    /// It is uncertain, and is being looked for at Acquire; no column of the view.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub verifying: bool,
    /// The case at Acquire: the one in the payload, or else the one that the answer named.
    pub case_id: Option<i64>,
    pub contact_id: Option<i64>,
}

impl Delivery {
    /// When a pending job is due.
    pub fn due(&self) -> Option<&str> {
        let due = self.next_attempt_at.as_deref().or(self.send_at.as_deref());
        due.filter(|_| self.status == "pending")
    }

    /// When a pending job is due, or when a finished one finished.
    pub fn due_or_finished(&self) -> Option<&str> {
        self.due().or(self.finished_at.as_deref())
    }
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

/// One job, with the columns that `delivery_status` leaves out.
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
    /// Why a pending job waits: ready, scheduled, backoff or parked; `verifying` if it is uncertain and
    /// looked for at Acquire.
    pub wait: Option<String>,
    pub due: Option<Millis>,
    pub retry: Option<Millis>,
    pub updated: Option<Millis>,
    /// When it is looked for at Acquire next.
    pub next_look: Option<Millis>,
    /// How often it has been looked for since its last attempt.
    pub looks: i64,
    /// What was found there: the column `verify_seen`.
    pub seen: Option<String>,
    /// When Acquire is asked what became of it, and when it last answered that.
    pub next_follow_up: Option<Millis>,
    pub followed: Option<Millis>,
}

impl Detail {
    /// `bounced at ...`, `delivered at ...; Acquire is asked again at ...`, `nothing yet; ...`; `None` if it was
    /// not asked about and will not be.
    pub fn what_became_of_it(&self) -> Option<String> {
        let row = &self.delivery;
        let known = match (&row.delivery, &row.delivery_at) {
            (Some(state), Some(at)) => Some(format!("{state} at {at}")),
            (Some(state), None) => Some(state.clone()),
            (None, _) => self.followed.map(|at| format!("nothing was known at {}", iso(at))),
        };
        let again = if known.is_some() { "again " } else { "" };
        let next = self.next_follow_up.map(|at| format!("Acquire is asked {again}at {}", iso(at)));
        let parts: Vec<_> = [known, next].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// `2 candidates: 8289 (2026-11-22T09:00:00.000Z, user, same), ...`; `None` if it was not looked for.
    pub fn seen_at_acquire(&self) -> Option<String> {
        let seen = seen_from(self.seen.as_deref()?);
        let one = |message: &SeenCandidate| {
            let created = message.created.map_or_else(|| "time unknown".to_owned(), iso);
            let sender = if message.sender.is_empty() { "sender unknown" } else { &message.sender };
            format!("{} ({created}, {sender}, {})", message.id, message.likeness)
        };
        let all = seen.iter().map(one).collect::<Vec<_>>().join(", ");
        Some(match seen.len() {
            0 => "no message like it".to_owned(),
            1 => format!("1 candidate: {all}"),
            count => format!("{count} candidates: {all}"),
        })
    }
}

/// What a parked job waits for: the head of its ordering key, and how many jobs there are before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ahead {
    pub holder: i64,
    pub holder_status: String,
    pub holder_retry: Option<Millis>,
    pub jobs: i64,
}

/// A job, its history and what holds it back, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    pub job: Detail,
    /// Its newest attempts, oldest first.
    pub history: Vec<AttemptRow>,
    /// How many attempts there are in all.
    pub attempts: i64,
    /// What people and programs have done to it, oldest first.
    pub acts: Vec<Act>,
    /// For a parked job.
    pub ahead: Option<Ahead>,
    /// The blocks of its account and channel.
    pub blocks: Vec<Block>,
    /// The pauses of its account and channel.
    pub pauses: Vec<Pause>,
    /// Why it is set aside, if it is.
    pub set_aside: Option<SetAside>,
}

/// How much of a job is read. -1 rows means all of them.
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

/// Where a ready job is in the queue of its account and channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Ready jobs that are claimed before it; counted up to twice [`Position::LIMIT`].
    pub ahead: u64,
    /// Jobs of its account and channel that are being sent.
    pub in_flight: u64,
    /// Jobs of the channel, over all accounts, that were sent or failed in the last minute.
    pub last_minute: u64,
}

impl Position {
    /// Counting further would cost more than the sentence is worth.
    pub const LIMIT: u64 = 10_000;
}
