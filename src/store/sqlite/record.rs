//! What a cycle records, as the JSON that its procedures read.

use crate::queue::ended::Ended;
use crate::queue::job::{Millis, Status};
use crate::queue::transition::{AttemptKind, Wait};
use serde::Serialize;
use serde::ser::{SerializeTuple, Serializer};
use serde_json::{Map, Value};

/// A row that is written as a JSON array. Its fields are the one list of its columns: the array, the
/// table that it goes into, and the statement that reads it are all made from them.
macro_rules! row_of_json {
    ($(#[$about:meta])* $name:ident<$life:lifetime> { $($column:ident: $kind:ty,)* }) => {
        $(#[$about])*
        pub(super) struct $name<$life> { $($column: $kind,)* }

        impl $name<'_> {
            pub(super) const COLUMNS: &'static [&'static str] = &[$(stringify!($column)),*];
        }

        impl Serialize for $name<'_> {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let mut row = to.serialize_tuple(Self::COLUMNS.len())?;
                $(row.serialize_element(&self.$column)?;)*
                row.end()
            }
        }
    };
}

row_of_json! {
    /// A job that was sent with nothing to note.
    SentRow<'a> {
        id: i64,
        attempts: i64,
        finished_at: Millis,
        message_id: Option<&'a str>,
        receipt: Option<&'a Map<String, Value>>,
        started_at: Millis,
        duration_ms: i64,
        http_status: Option<u16>,
    }
}

row_of_json! {
    /// Any other attempt that has ended.
    EndedRow<'a> {
        id: i64,
        fence_attempts: i64,
        fence_claim: i64,
        status: &'a str,
        updated_at: Millis,
        finished_at: Option<Millis>,
        message_id: Option<&'a str>,
        receipt: Option<&'a Map<String, Value>>,
        started_at: Millis,
        duration_ms: i64,
        outcome: Option<AttemptKind>,
        http_status: Option<u16>,
        attempts: i64,
        unspent: i64,
        uncertain_attempts: i64,
        budget_from: Option<Millis>,
        wait: Option<&'a str>,
        next_attempt_at: Option<Millis>,
        verify_at: Option<Millis>,
        follow_at: Option<Millis>,
        failure: Option<&'a str>,
        error_code: Option<&'a str>,
        error: Option<&'a str>,
    }
}

/// The tables of the two kinds, each with a view: what is inserted into the view is JSON, and its
/// rows arrive in the table.
pub(super) fn procedures() -> String {
    reader("outbox_cycle_sent", SentRow::COLUMNS) + &reader("outbox_cycle_ended", EndedRow::COLUMNS)
}

/// JSONB elements are passed on without being written and parsed as text; `->>` would build a path from
/// each number every time.
fn reader(table: &str, columns: &[&str]) -> String {
    let names = columns.join(", ");
    let value = |n: usize| format!("json_extract(value, '$[{n}]')");
    let values = (0..columns.len()).map(value).collect::<Vec<_>>().join(", ");
    format!(
        "CREATE TEMP TABLE {table} ({names});
CREATE TEMP VIEW {table}_json AS SELECT '' AS rows WHERE 0;
CREATE TEMP TRIGGER {table}_read INSTEAD OF INSERT ON {table}_json
BEGIN
    INSERT INTO {table} ({names})
    SELECT {values} FROM jsonb_each(NEW.rows);
END;
"
    )
}

/// What was sent with nothing to note under the claim of `epoch`, and all others; each `''` for none.
pub(super) fn json(ended: &[Ended], epoch: i64) -> (String, String) {
    let (sent, others): (Vec<_>, Vec<_>) =
        ended.iter().partition(|e| has_nothing_to_note(e, epoch));
    (array(sent.into_iter().map(sent_row)), array(others.into_iter().map(EndedRow::of)))
}

fn array(rows: impl Iterator<Item = impl Serialize>) -> String {
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    serde_json::to_string(&rows).expect("rows of texts and numbers are always JSON")
}

fn has_nothing_to_note(e: &Ended, epoch: i64) -> bool {
    let t = &e.transition;
    t.status == Status::Sent
        && t.fault.is_none()
        && t.follow_at.is_none()
        && t.history == Some(AttemptKind::Accepted)
        && t.fence_claim == epoch
        && t.finished_at == Some(t.updated_at)
}

fn sent_row(e: &Ended) -> SentRow<'_> {
    let t = &e.transition;
    SentRow {
        id: t.id,
        attempts: t.fence_attempts,
        finished_at: t.updated_at,
        message_id: t.receipt.message_id.as_deref(),
        receipt: receipt(e),
        started_at: e.started_at,
        duration_ms: e.duration_ms,
        http_status: e.http_status,
    }
}

impl EndedRow<'_> {
    pub(super) fn of(e: &Ended) -> EndedRow<'_> {
        let t = &e.transition;
        EndedRow {
            id: t.id,
            fence_attempts: t.fence_attempts,
            fence_claim: t.fence_claim,
            status: t.status.as_str(),
            updated_at: t.updated_at,
            finished_at: t.finished_at,
            message_id: t.receipt.message_id.as_deref(),
            receipt: receipt(e),
            started_at: e.started_at,
            duration_ms: e.duration_ms,
            outcome: t.history,
            http_status: e.http_status,
            attempts: t.attempts,
            unspent: t.unspent,
            uncertain_attempts: t.uncertain_attempts,
            budget_from: t.budget_from,
            wait: t.wait.map(Wait::as_str),
            next_attempt_at: t.next_attempt_at,
            verify_at: t.verify_at,
            follow_at: t.follow_at,
            failure: t.failure.map(|f| f.as_str()),
            error_code: t.fault.as_ref().map(|f| f.code.as_str()),
            error: t.fault.as_ref().map(|f| f.message.as_str()),
        }
    }
}

fn receipt(e: &Ended) -> Option<&Map<String, Value>> {
    let fields = &e.transition.receipt.fields;
    (!fields.is_empty()).then_some(fields)
}

/// An outcome as `outbox_set_aside` keeps it: an object with a name for each value, which another
/// version can read.
pub(super) fn to_keep(ended: &Ended) -> String {
    let values = serde_json::to_value(EndedRow::of(ended))
        .expect("a row of texts and numbers is always JSON");
    let values = values.as_array().cloned().unwrap_or_default();
    let named = EndedRow::COLUMNS.iter().map(|name| (*name).to_owned()).zip(values);
    Value::Object(named.collect()).to_string()
}

/// An outcome that was kept, as [`json`] gives it; `None` if it is not such an object.
pub(super) fn from_kept(kept: &str) -> Option<String> {
    let named: Map<String, Value> = serde_json::from_str(kept).ok()?;
    let values: Option<Vec<Value>> =
        EndedRow::COLUMNS.iter().map(|name| named.get(*name).cloned()).collect();
    Some(Value::Array(vec![Value::Array(values?)]).to_string())
}
