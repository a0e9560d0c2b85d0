//! What a cycle records, as the JSON that its procedure reads.

use crate::job::{Channel, Millis, Status};
use crate::transition::{AttemptKind, Transition, Wait};
use serde::Serialize;

/// An ended attempt, decided.
#[derive(Debug, Clone)]
pub struct Ended {
    pub transition: Transition,
    /// Its job's, for the counts.
    pub channel: Channel,
    pub due_at: Millis,
    pub http_status: Option<u16>,
    pub started_at: Millis,
    pub duration_ms: i64,
}

/// One element of the JSON array that a cycle records; its order is that of the table `outbox_cycle_ended`.
#[derive(Serialize)]
struct RecordRow<'a>(
    i64,
    i64,
    i64,
    &'a str,
    Millis,
    Option<Millis>,
    Option<&'a str>,
    Option<String>,
    Millis,
    i64,
    Option<AttemptKind>,
    Option<u16>,
    Option<More<'a>>,
);

/// What a job that was sent with nothing to note has no more use for, or keeps.
#[derive(Serialize)]
struct More<'a>(
    i64,
    i64,
    i64,
    Option<Millis>,
    Option<&'a str>,
    Option<Millis>,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
);

/// `''` for none.
pub(super) fn json(ended: &[Ended]) -> String {
    if ended.is_empty() {
        return String::new();
    }
    let rows: Vec<_> = ended.iter().map(row).collect();
    serde_json::to_string(&rows).expect("rows of texts and numbers are always JSON")
}

fn row(e: &Ended) -> RecordRow<'_> {
    let t = &e.transition;
    let fields = &t.receipt.fields;
    let receipt = (!fields.is_empty())
        .then(|| serde_json::to_string(fields).expect("a map with text keys is always JSON"));
    let more = More(
        t.attempts,
        t.unspent,
        t.uncertain_attempts,
        t.budget_from,
        t.wait.map(|w| match w {
            Wait::Ready => "ready",
            Wait::Backoff => "backoff",
        }),
        t.next_attempt_at,
        t.failure.map(|f| f.as_str()),
        t.fault.as_ref().map(|f| f.code.as_str()),
        t.fault.as_ref().map(|f| f.message.as_str()),
    );
    RecordRow(
        t.id,
        t.fence_attempts,
        t.fence_claim,
        t.status.as_str(),
        t.updated_at,
        t.finished_at,
        t.receipt.message_id.as_deref(),
        receipt,
        e.started_at,
        e.duration_ms,
        t.history,
        e.http_status,
        (t.status != Status::Sent || t.fault.is_some()).then_some(more),
    )
}
