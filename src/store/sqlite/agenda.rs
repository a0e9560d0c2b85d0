//! What comes next: when something falls due, which accounts have jobs, whether others have written.

use super::lenient::Lenient;
use super::{SqliteError, SqliteStore};
use crate::queue::claim::Agenda;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;

/// One seek each; the accounts by a skip-scan of the ready index, a seek per account. A value that
/// is not a time must not set the wake-up: the largest number excludes text, which sorts after all
/// numbers.
pub(super) const AGENDA: &str = "\
SELECT (SELECT min(due_at) FROM outbox WHERE wait = 'scheduled' AND due_at <= 253402300799999) AS scheduled,
    (SELECT min(next_attempt_at) FROM outbox WHERE wait = 'backoff' AND next_attempt_at <= 253402300799999) AS backoff,
    (SELECT min(until) FROM outbox_pauses WHERE until <= 253402300799999) AS pause,
    (SELECT min(verify_at) FROM outbox WHERE wait = 'verifying' AND verify_at <= 253402300799999) AS look,
    (SELECT min(follow_at) FROM outbox WHERE follow_at IS NOT NULL AND follow_at <= 253402300799999) AS follow,
    (SELECT min(expires_at) FROM outbox WHERE status = 'pending' AND expires_at <= 253402300799999) AS expiry,
    (WITH RECURSIVE a (name) AS (
        SELECT (SELECT account FROM outbox WHERE wait = 'ready' AND account >= '' ORDER BY account LIMIT 1)
        UNION ALL
        SELECT (SELECT account FROM outbox WHERE wait = 'ready' AND account > a.name ORDER BY account LIMIT 1)
        FROM a WHERE a.name IS NOT NULL)
     SELECT json_group_array(CASE typeof(name) WHEN 'blob' THEN NULL ELSE name END) FROM a WHERE name IS NOT NULL) AS accounts,
    (SELECT epoch FROM outbox_dispatcher) AS epoch,
    (SELECT data_version FROM pragma_data_version) AS data_version";

impl Agenda {
    /// The agenda and the data version as of which it was read, which changes whenever another
    /// connection has committed. Whether others have committed is left to the caller.
    pub(super) fn from_row(row: &SqliteRow) -> (Agenda, i64) {
        // A job expires after expires_at, not at it.
        let expiry = row.due("expiry").map(|at| at.saturating_add(1));
        // A name that is not UTF-8 text is not an account's: the search for stray rows finds it.
        let accounts: Vec<Value> =
            serde_json::from_str(&row.text_or_empty("accounts")).unwrap_or_default();
        let names = accounts.iter().filter_map(Value::as_str);
        let names = names.filter(|name| !name.contains(char::REPLACEMENT_CHARACTER));
        let due = [row.due("scheduled"), row.due("backoff"), row.due("pause"), expiry]
            .into_iter()
            .flatten()
            .min();
        let agenda = Agenda {
            // The column may hold any number, and callers subtract the time from it.
            next_due: due.map(|at| at.max(0)),
            next_look: row.due("look").map(|at| at.max(0)),
            next_follow_up: row.due("follow").map(|at| at.max(0)),
            ready_accounts: names.map(str::to_owned).collect(),
            others_committed: false,
        };
        (agenda, row.whole("data_version").unwrap_or_default())
    }
}

impl SqliteStore {
    /// Reads what comes next, without a write lock.
    pub(super) async fn look(&mut self) -> Result<(Agenda, i64), SqliteError> {
        Ok(Agenda::from_row(&sqlx::query(AGENDA).fetch_one(&mut self.conn).await?))
    }
}
