//! What a cycle records, as the JSON that its procedure reads.

use crate::queue::ended::Ended;
use crate::queue::job::{Millis, Status};
use crate::queue::transition::{AttemptKind, Transition, Wait};
use serde::Serialize;
use serde_json::{Map, Value};

/// A job that was sent with nothing to note; the order is that of the table `outbox_cycle_sent`.
#[derive(Serialize)]
struct SentRow<'a>(
    i64,
    i64,
    Millis,
    Option<&'a str>,
    Option<&'a Map<String, Value>>,
    Millis,
    i64,
    Option<u16>,
);

/// Any other attempt that has ended; the order is that of the table `outbox_cycle_ended`.
#[derive(Serialize)]
struct EndedRow<'a>(
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

/// What was sent with nothing to note under the claim of `epoch`, and all others; each `''` for none.
pub(super) fn json(ended: &[Ended], epoch: i64) -> (String, String) {
    let (sent, others): (Vec<_>, Vec<_>) = ended.iter().partition(|e| is_plain(e, epoch));
    (array(sent.into_iter().map(sent_row)), array(others.into_iter().map(ended_row)))
}

fn array(rows: impl Iterator<Item = impl Serialize>) -> String {
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    serde_json::to_string(&rows).expect("rows of texts and numbers are always JSON")
}

fn is_plain(e: &Ended, epoch: i64) -> bool {
    let t = &e.transition;
    t.status == Status::Sent
        && t.fault.is_none()
        && t.history == Some(AttemptKind::Accepted)
        && t.fence_claim == epoch
        && t.finished_at == Some(t.updated_at)
}

fn sent_row(e: &Ended) -> SentRow<'_> {
    let t = &e.transition;
    SentRow(
        t.id,
        t.fence_attempts,
        t.updated_at,
        t.receipt.message_id.as_deref(),
        (!t.receipt.fields.is_empty()).then_some(&t.receipt.fields),
        e.started_at,
        e.duration_ms,
        e.http_status,
    )
}

fn ended_row(e: &Ended) -> EndedRow<'_> {
    let t = &e.transition;
    EndedRow(
        t.id,
        t.fence_attempts,
        t.fence_claim,
        t.status.as_str(),
        t.updated_at,
        t.finished_at,
        t.receipt.message_id.as_deref(),
        receipt(t),
        e.started_at,
        e.duration_ms,
        t.history,
        e.http_status,
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
    )
}

/// The columns of the table `outbox_cycle_ended`, in their order.
const COLUMNS: [&str; 21] = [
    "id",
    "fence_attempts",
    "fence_claim",
    "status",
    "updated_at",
    "finished_at",
    "message_id",
    "receipt",
    "started_at",
    "duration_ms",
    "outcome",
    "http_status",
    "attempts",
    "unspent",
    "uncertain_attempts",
    "budget_from",
    "wait",
    "next_attempt_at",
    "failure",
    "error_code",
    "error",
];

/// An outcome as `outbox_set_aside` keeps it: an object with a name for each value.
pub(super) fn kept(ended: &Ended) -> String {
    let values =
        serde_json::to_value(ended_row(ended)).expect("a row of texts and numbers is always JSON");
    let values = values.as_array().cloned().unwrap_or_default();
    let named = COLUMNS.iter().map(|name| (*name).to_owned()).zip(values);
    Value::Object(named.collect()).to_string()
}

/// An outcome that was kept, as [`json`] gives it; `None` if it is not such an object.
pub(super) fn unkept(kept: &str) -> Option<String> {
    let named: Map<String, Value> = serde_json::from_str(kept).ok()?;
    let values: Option<Vec<Value>> = COLUMNS.iter().map(|name| named.get(*name).cloned()).collect();
    Some(Value::Array(vec![Value::Array(values?)]).to_string())
}

fn receipt(t: &Transition) -> Option<String> {
    let fields = &t.receipt.fields;
    (!fields.is_empty())
        .then(|| serde_json::to_string(fields).expect("a map with text keys is always JSON"))
}
