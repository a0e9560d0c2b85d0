//! The record: what ended attempts made of their jobs, in three statements for any number of them.

use crate::job::{Millis, Status};
use crate::transition::{AttemptKind, Transition, Wait};
use serde::Serialize;

/// An ended attempt, decided.
#[derive(Debug, Clone)]
pub struct Ended {
    pub transition: Transition,
    pub http_status: Option<u16>,
    pub started_at: Millis,
    pub duration_ms: i64,
}

/// Where a cycle's ended attempts stand while it records them; each connection has its own. What
/// stands after `http_status` is NULL for a job that was sent with nothing to note.
pub(super) const ENDED_TABLE: &str = "\
CREATE TEMP TABLE outbox_ended (
    id, fence_attempts, fence_claim, status, updated_at, finished_at, message_id, receipt,
    started_at, duration_ms, outcome, http_status,
    attempts, unspent, uncertain_attempts, budget_from, wait, next_attempt_at, failure, error_code,
    error);";

/// `?1`: the JSON of [`json`]. In JSONB, an element is handed on without being written and read as
/// text; materialized, because each mention of `value` copies it.
pub(super) const RECORD: &str = "\
WITH ended AS MATERIALIZED (SELECT value AS j, value->>12 AS more FROM jsonb_each(?1))
INSERT INTO temp.outbox_ended
SELECT j->>0, j->>1, j->>2, j->>3, j->>4, j->>5, j->>6, j->>7, j->>8, j->>9, j->>10, j->>11,
       more->>0, more->>1, more->>2, more->>3, more->>4, more->>5, more->>6, more->>7, more->>8
FROM ended;
INSERT OR IGNORE INTO outbox_attempts
    (job_id, attempt, started_at, duration_ms, outcome, http_status, error_code, error)
SELECT id, fence_attempts, started_at, duration_ms, outcome, http_status, error_code, error
FROM temp.outbox_ended WHERE outcome IS NOT NULL;
UPDATE outbox NOT INDEXED SET
    status = j.status, wait = j.wait, holds = CASE j.status WHEN 'pending' THEN holds END,
    claimed_by = NULL, attempts = ifnull(j.attempts, outbox.attempts), next_attempt_at = j.next_attempt_at,
    unspent = ifnull(j.unspent, outbox.unspent),
    uncertain_attempts = ifnull(j.uncertain_attempts, outbox.uncertain_attempts), budget_from = j.budget_from,
    message_id = j.message_id, receipt = j.receipt, failure = j.failure,
    error_code = CASE j.status WHEN 'pending' THEN ifnull(j.error_code, outbox.error_code) ELSE j.error_code END,
    error = CASE j.status WHEN 'pending' THEN ifnull(j.error, outbox.error) ELSE j.error END,
    finished_at = j.finished_at, updated_at = j.updated_at
FROM temp.outbox_ended AS j
WHERE outbox.id = j.id AND outbox.status = 'sending' AND outbox.claimed_by = j.fence_claim
  AND outbox.attempts = j.fence_attempts;
SELECT 'lost', json_group_array(j.id)
FROM temp.outbox_ended AS j LEFT JOIN outbox AS o ON o.id = j.id
WHERE (SELECT changes() < count(*) FROM temp.outbox_ended)
  AND (o.status, o.updated_at, o.claimed_by) IS NOT (j.status, j.updated_at, NULL);
DELETE FROM temp.outbox_ended;
";

/// One element of RECORD's JSON array; its order is the SQL's.
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

pub(super) fn json(ended: &[Ended]) -> String {
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
