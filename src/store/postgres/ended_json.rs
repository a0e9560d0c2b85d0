//! An attempt that has ended, as `outbox_cycle` reads it and as `outbox_set_aside` and `outbox_answers` keep it.

use crate::queue::ended::Ended;
use crate::queue::job::{Millis, Status};
use crate::queue::transition::{AttemptKind, Transition, Wait};
use serde::Serialize;
use serde_json::{Map, Value};
use std::mem::take;

/// How far ahead a time of this decision is, in milliseconds. If the wall clock has been set back since the decision, no
/// wait becomes longer by that.
pub(super) fn distance(t: &Transition, at: Option<Millis>, now: Millis) -> Option<Millis> {
    at.map(|at| at.saturating_sub(now.max(t.updated_at)).max(0))
}

/// The composite type `outbox_ended`, without its NULLs. Times are distances from now, because all times in the
/// database are by its own clock.
#[derive(Serialize)]
struct Row<'a> {
    id: i64,
    claim: i64,
    attempt: i64,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verify_ms: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    follow_ms: Option<Millis>,
    attempts: i64,
    unspent: i64,
    uncertain_attempts: i64,
    keeps_budget: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<AttemptKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    ago_ms: Millis,
    duration_ms: i64,
}

impl Row<'_> {
    fn of(e: &Ended, now: Millis) -> Row<'_> {
        let t = &e.transition;
        let wait = t.wait.map(Wait::as_str);
        let delay =
            t.next_attempt_at.filter(|_| t.status == Status::Pending && wait == Some("backoff"));
        let receipt = &t.receipt.fields;
        Row {
            id: t.id,
            claim: t.fence_claim,
            attempt: t.fence_attempts,
            status: t.status.as_str(),
            wait,
            delay_ms: distance(t, delay, now),
            verify_ms: distance(t, t.verify_at, now),
            follow_ms: distance(t, t.follow_at, now),
            attempts: t.attempts,
            unspent: t.unspent,
            uncertain_attempts: t.uncertain_attempts,
            keeps_budget: t.budget_from.is_some(),
            message_id: t.receipt.message_id.as_deref(),
            receipt: (!receipt.is_empty()).then_some(receipt),
            failure: t.failure.map(|failure| failure.as_str()),
            error_code: t.fault.as_ref().map(|fault| fault.code.as_str()),
            error: t.fault.as_ref().map(|fault| fault.message.as_str()),
            outcome: t.history,
            http_status: e.http_status,
            ago_ms: now.saturating_sub(e.started_at).max(0),
            duration_ms: e.duration_ms.clamp(0, i64::from(i32::MAX)),
        }
    }

    fn json(&self) -> String {
        readable(serde_json::to_string(self).unwrap_or_default())
    }
}

/// The fields of [`Row`].
const FIELDS: [&str; 21] = [
    "id",
    "claim",
    "attempt",
    "status",
    "wait",
    "delay_ms",
    "verify_ms",
    "follow_ms",
    "attempts",
    "unspent",
    "uncertain_attempts",
    "keeps_budget",
    "message_id",
    "receipt",
    "failure",
    "error_code",
    "error",
    "outcome",
    "http_status",
    "ago_ms",
    "duration_ms",
];

/// Whether this version understands all of an outcome that another one may have written.
pub(super) fn is_known(ended: &Value) -> bool {
    let known = |ended: &Map<String, Value>| ended.keys().all(|name| FIELDS.contains(&&**name));
    ended.as_object().is_some_and(known)
}

/// All of them, as one JSON array; `None` for none.
pub(super) fn json(ended: &[Ended], now: Millis) -> Option<String> {
    if ended.is_empty() {
        return None;
    }
    arrays(&ended.iter().collect::<Vec<_>>(), now, usize::MAX).pop()
}

/// All of them, as JSON arrays of at most this many bytes each; a larger outcome has an array to itself.
pub(super) fn arrays(ended: &[&Ended], now: Millis, bytes: usize) -> Vec<String> {
    let mut arrays = Vec::new();
    let mut array = String::new();
    for one in ended {
        let row = Row::of(one, now).json();
        if !array.is_empty() && array.len().saturating_add(row.len() + 2) > bytes {
            arrays.push(take(&mut array) + "]");
        }
        array.push(if array.is_empty() { '[' } else { ',' });
        array.push_str(&row);
    }
    if !array.is_empty() {
        arrays.push(array + "]");
    }
    arrays
}

/// An outcome whose distances were measured `ms` milliseconds ago, with those distances as of now.
pub(super) fn later(mut ended: Value, ms: Millis) -> Value {
    let by = |field: &str| if field == "ago_ms" { ms } else { -ms };
    for field in ["ago_ms", "delay_ms", "verify_ms", "follow_ms"] {
        if let Some(before) = ended.get(field).and_then(Value::as_i64) {
            ended[field] = before.saturating_add(by(field)).max(0).into();
        }
    }
    ended
}

/// As `outbox_set_aside` keeps one that cannot be recorded.
pub(super) fn to_keep(ended: &Ended, now: Millis) -> String {
    Row::of(ended, now).json()
}

/// PostgreSQL's texts cannot have a NUL character; an answer's can.
pub(super) fn readable(json: String) -> String {
    if !json.contains("\\u0000") {
        return json;
    }
    serde_json::from_str(&json).map_or(json, |value| without_nul(value).to_string())
}

fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(values) => values.into_iter().map(without_nul).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            let clean =
                fields.map(|(name, value)| (name.replace('\0', "\u{fffd}"), without_nul(value)));
            Value::Object(Map::from_iter(clean))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::job::{Channel, Job};
    use crate::queue::transition::look_again;
    use serde_json::json;

    #[test]
    fn a_clock_that_is_set_back_makes_no_wait_longer() {
        let job = Job {
            id: 1,
            channel: Channel::Chat,
            account: "default".to_owned(),
            payload: Vec::new(),
            attempts: 1,
            claim: 1,
            unspent: 0,
            uncertain_attempts: 0,
            budget_from: 0,
            max_attempts: None,
            due_at: 0,
            expires_at: None,
        };
        let decided = look_again(&job, 5_000, 4_000);
        for (now, expected) in [(4_000, 1_000), (4_300, 700), (9_000, 0), (100, 1_000)] {
            assert_eq!(distance(&decided, decided.verify_at, now), Some(expected), "at {now}");
        }
    }

    #[test]
    fn distances_that_were_measured_earlier_are_counted_from_then() {
        let ended = json!({ "id": 1, "ago_ms": 5, "delay_ms": 1_000, "follow_ms": 90 });
        let expected = json!({ "id": 1, "ago_ms": 105, "delay_ms": 900, "follow_ms": 0 });
        assert_eq!(later(ended, 100), expected);
    }

    #[test]
    fn what_is_written_here_is_known_and_what_another_version_adds_is_not() {
        let all = Row {
            id: 1,
            claim: 1,
            attempt: 1,
            status: "sent",
            wait: Some("backoff"),
            delay_ms: Some(1),
            verify_ms: Some(1),
            follow_ms: Some(1),
            attempts: 1,
            unspent: 1,
            uncertain_attempts: 1,
            keeps_budget: true,
            message_id: Some("1"),
            receipt: Some(&Map::new()),
            failure: Some("rejected"),
            error_code: Some("code"),
            error: Some("error"),
            outcome: Some(AttemptKind::Accepted),
            http_status: Some(200),
            ago_ms: 1,
            duration_ms: 1,
        };
        let mut all = serde_json::to_value(&all).unwrap();
        assert_eq!(all.as_object().unwrap().len(), FIELDS.len());
        assert!(is_known(&all));
        all["newer"] = 1.into();
        assert!(!is_known(&all) && !is_known(&json!([])));
    }

    #[test]
    fn what_postgresql_cannot_hold_is_replaced() {
        let said = json!([{ "a\0": "x\0y", "n": 1, "literal": "\\u0000" }]);
        let clean: Value = serde_json::from_str(&readable(said.to_string())).unwrap();
        assert_eq!(clean, json!([{ "a\u{fffd}": "x\u{fffd}y", "n": 1, "literal": "\\u0000" }]));
    }
}
