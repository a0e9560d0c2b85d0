//! An attempt that has ended, and what was recorded of it.

use super::job::{Channel, Millis};
use super::report::Report;
use super::transition::Transition;

/// An ended attempt, decided.
#[derive(Debug, Clone)]
pub struct Ended {
    pub transition: Transition,
    /// Its job's, for the counts.
    pub account: String,
    pub channel: Channel,
    pub due_at: Millis,
    pub http_status: Option<u16>,
    pub started_at: Millis,
    pub duration_ms: i64,
}

/// What became of outcomes that were to be recorded. One that is in neither list is not on disk:
/// give it again.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// On disk: in the job's row or, where the database refuses that, kept in `outbox_set_aside`.
    pub ids: Vec<i64>,
    /// The row no longer belonged to this claim; `outbox_attempts` alone has the outcome.
    pub lost: Vec<i64>,
    pub report: Report,
}
