//! What the dispatcher does beside its cycles: take the file over, recover, look.

use super::lenient::Lenient;
use super::reading;
use super::reading::{JOB_COLUMNS, LAST_COUNT};
use super::{SqliteError, SqliteStore, aside, backlog, clock, erase, health, holds, shrink};
use crate::queue::claim::Agenda;
use crate::queue::claim::Cycle;
use crate::queue::claim::Unreadable;
use crate::queue::ended::Ended;
use crate::queue::job::{Channel, Job, Millis};
use crate::queue::when::now;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteRow;
use std::sync::LazyLock;

/// One seek each; the accounts by a skip-scan of the ready index, a seek per account. A value that
/// is not a time must not set the wake-up: the largest number excludes text, which sorts after all
/// numbers.
pub(super) const AGENDA: &str = "\
SELECT 'agenda',
    (SELECT min(due_at) FROM outbox WHERE wait = 'scheduled' AND due_at <= 253402300799999),
    (SELECT min(next_attempt_at) FROM outbox WHERE wait = 'backoff' AND next_attempt_at <= 253402300799999),
    (SELECT min(expires_at) FROM outbox WHERE status = 'pending' AND expires_at <= 253402300799999),
    (WITH RECURSIVE a (name) AS (
        SELECT (SELECT account FROM outbox WHERE wait = 'ready' AND account >= '' ORDER BY account LIMIT 1)
        UNION ALL
        SELECT (SELECT account FROM outbox WHERE wait = 'ready' AND account > a.name ORDER BY account LIMIT 1)
        FROM a WHERE a.name IS NOT NULL)
     SELECT json_group_array(CASE typeof(name) WHEN 'blob' THEN NULL ELSE name END) FROM a WHERE name IS NOT NULL),
    (SELECT epoch FROM outbox_dispatcher),
    (SELECT data_version FROM pragma_data_version)";

/// A claim that no dispatcher can have made counts as an earlier one. Rows that are set aside are
/// decided already.
pub(super) static SENDING_BEFORE: LazyLock<String> = LazyLock::new(|| {
    let part = |claims: &str| {
        format!(
            "SELECT {JOB_COLUMNS} FROM outbox WHERE claimed_by IS NOT NULL AND claimed_by {claims}
                 AND +status = 'sending' AND id NOT IN (SELECT job_id FROM outbox_set_aside)"
        )
    };
    format!("{} UNION ALL {} LIMIT ?2", part("< ?1"), part(&format!("> {LAST_COUNT}")))
});

const FAIL_UNKNOWN_ACCOUNT: &str = "\
UPDATE outbox SET status = 'failed', failure = 'invalid', error_code = 'unknown_account', error = ?2
WHERE id IN (
    SELECT o.id FROM outbox AS o WHERE o.wait = 'ready' AND o.account = ?1 AND NOT EXISTS (
        SELECT 1 FROM outbox_pauses AS p WHERE p.account IN ('', o.account) AND p.channel IN ('', o.channel))
        AND o.id NOT IN (SELECT job_id FROM outbox_set_aside)
    LIMIT ?3)
RETURNING channel";

/// The next that [`FAIL_UNKNOWN_ACCOUNT`] would take.
const NEXT_OF_ACCOUNT: &str = "\
INSERT OR IGNORE INTO outbox_set_aside (job_id, since, reason)
SELECT o.id, ?2, ?3 FROM outbox AS o WHERE o.wait = 'ready' AND o.account = ?1 AND NOT EXISTS (
    SELECT 1 FROM outbox_pauses AS p WHERE p.account IN ('', o.account) AND p.channel IN ('', o.channel))
    AND o.id NOT IN (SELECT job_id FROM outbox_set_aside) LIMIT 1";

// A parked job has a holder before it, and that is one of these.
const ANY_LEFT: &str = "\
SELECT EXISTS (SELECT 1 FROM outbox WHERE wait = 'ready' AND id NOT IN (SELECT job_id FROM outbox_set_aside))
    OR EXISTS (SELECT 1 FROM outbox WHERE wait = 'backoff' AND id NOT IN (SELECT job_id FROM outbox_set_aside))
    OR EXISTS (SELECT 1 FROM outbox WHERE wait = 'scheduled' AND id NOT IN (SELECT job_id FROM outbox_set_aside))
    OR EXISTS (SELECT 1 FROM outbox WHERE claimed_by IS NOT NULL AND +status = 'sending'
        AND id NOT IN (SELECT job_id FROM outbox_set_aside))";

/// Later than every existing claim, even if the row with the epoch was lost.
const BEGIN_EPOCH: &str = "\
INSERT INTO outbox_dispatcher (one, epoch, pid, started_at)
SELECT 1, 1 + CAST(ifnull(max(claimed_by), 0) AS INTEGER), ?1, ?2
FROM outbox WHERE claimed_by BETWEEN 0 AND 1000000000000
ON CONFLICT (one) DO UPDATE SET pid = excluded.pid, started_at = excluded.started_at,
    epoch = max(excluded.epoch, 1 + CASE WHEN typeof(epoch) = 'integer' AND epoch BETWEEN 0 AND 1000000000000
        THEN epoch ELSE 0 END)
RETURNING epoch";

const RESTORE_EPOCH: &str = "\
INSERT INTO outbox_dispatcher (one, epoch, pid, started_at) VALUES (1, ?1, ?2, ?3)
ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch WHERE typeof(epoch) <> 'integer'";

/// What the dispatcher does beside its cycles, by name.
pub(super) const STATEMENTS: [(&str, &str); 22] = [
    ("agenda", AGENDA),
    ("aside_tryable", aside::TRYABLE),
    ("aside_over", aside::OVER),
    ("fail_unknown_account", FAIL_UNKNOWN_ACCOUNT),
    ("any_left", ANY_LEFT),
    ("prunable", erase::PRUNABLE),
    ("prune", erase::PRUNE),
    ("scrubbed_until", erase::SCRUBBED_UNTIL),
    ("scrubbable", erase::SCRUBBABLE),
    ("scrub", erase::SCRUB),
    ("mark", erase::MARK),
    ("forget_taken_keys", erase::FORGET_TAKEN_KEYS),
    ("space", shrink::SPACE),
    ("begin_epoch", BEGIN_EPOCH),
    ("in_backoff", clock::IN_BACKOFF),
    ("begun_later", clock::BEGUN_LATER),
    ("move_retries", clock::MOVE_RETRIES),
    ("pull_in", clock::PULL_IN),
    ("backlog", backlog::BACKLOG),
    ("holds", holds::HOLDS),
    ("is_of_epoch", health::IS_OF_EPOCH),
    ("epoch_started_at", health::EPOCH_STARTED_AT),
];

impl Agenda {
    pub(super) fn from_row(row: &SqliteRow) -> Agenda {
        // A job expires after expires_at, not at it.
        let expiry = row.due(3).map(|at| at.saturating_add(1));
        // A name that is not UTF-8 text is not an account's: the sweep finds its rows.
        let accounts: Vec<Value> = serde_json::from_str(&row.words(4)).unwrap_or_default();
        let names = accounts.iter().filter_map(Value::as_str);
        let names = names.filter(|name| !name.contains(char::REPLACEMENT_CHARACTER));
        Agenda {
            next_due: [row.due(1), row.due(2), expiry].into_iter().flatten().min(),
            ready_accounts: names.map(str::to_owned).collect(),
            data_version: row.whole(6).unwrap_or_default(),
        }
    }
}

impl SqliteStore {
    /// Takes the file over: a new epoch, which every claim carries. Call it with the lock held.
    pub async fn begin_epoch(&mut self) -> Result<i64, SqliteError> {
        Ok(sqlx::query_scalar(BEGIN_EPOCH)
            .bind(i64::from(std::process::id()))
            .bind(now())
            .fetch_one(&mut self.conn)
            .await?)
    }

    /// Reads what comes next, without a write lock.
    pub async fn look(&mut self) -> Result<Agenda, SqliteError> {
        Ok(Agenda::from_row(&sqlx::query(AGENDA).fetch_one(&mut self.conn).await?))
    }

    /// Puts this epoch back where the file has none.
    pub(super) async fn restore_epoch(&mut self, epoch: i64) -> Result<(), SqliteError> {
        let restore = sqlx::query(RESTORE_EPOCH).bind(epoch).bind(i64::from(std::process::id()));
        restore.bind(now()).execute(&mut self.conn).await?;
        Ok(())
    }

    /// At most `limit` jobs that are `sending` under a claim before `epoch`, without their
    /// payloads, with when each was claimed; and those of them that cannot be read.
    pub async fn sending_before(
        &mut self,
        epoch: i64,
        limit: i64,
    ) -> Result<(Vec<(Job, Millis)>, Vec<Unreadable>), SqliteError> {
        let rows = sqlx::query(AssertSqlSafe(SENDING_BEFORE.as_str())).bind(epoch).bind(limit);
        Ok(reading::jobs_from(&rows.fetch_all(&mut self.conn).await?, now()))
    }

    /// Records decided attempts without claiming; what recovery uses.
    pub async fn record(&mut self, ended: &[Ended], epoch: i64) -> Result<Vec<i64>, SqliteError> {
        let (claim, patience) = (None, None);
        let work = Cycle { record: ended, claim, due: false, now: now(), epoch, patience };
        Ok(self.cycle(&work).await?.recorded)
    }

    /// Fails up to 500 ready jobs of an account that is not configured; gives the channel of each.
    pub async fn fail_unknown_account(
        &mut self,
        account: &str,
        sentence: &str,
    ) -> Result<Vec<Channel>, SqliteError> {
        let mut failed = Vec::new();
        // One at a time where the database refuses one of them: it does not say which.
        for limit in [500, 1] {
            let update = sqlx::query(FAIL_UNKNOWN_ACCOUNT).bind(account).bind(sentence).bind(limit);
            match update.fetch_all(&mut self.conn).await.map_err(SqliteError::from) {
                Err(e) if e.is_of_a_row() && limit > 1 => {}
                Err(e) if e.is_of_a_row() => {
                    self.set_aside_ready(account, &e.refusal().unwrap_or_else(|| e.to_string()))
                        .await?;
                }
                done => {
                    failed = done?;
                    break;
                }
            }
        }
        Ok(failed.iter().filter_map(|row| row.words(0).parse().ok()).collect())
    }

    async fn set_aside_ready(&mut self, account: &str, reason: &str) -> Result<(), SqliteError> {
        let next = sqlx::query(NEXT_OF_ACCOUNT).bind(account).bind(now()).bind(reason);
        next.execute(&mut self.conn).await?;
        Ok(())
    }

    /// Whether no job is `pending` or `sending`, except those that are set aside and those that
    /// wait behind them.
    pub async fn is_empty(&mut self) -> Result<bool, SqliteError> {
        let left: i64 = sqlx::query_scalar(ANY_LEFT).fetch_one(&mut self.conn).await?;
        Ok(left == 0)
    }
}
