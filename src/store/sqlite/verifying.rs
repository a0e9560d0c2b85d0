//! Jobs whose outcome is unknown, while they are looked for at Acquire.

use super::lenient::Lenient;
use super::reading::{JOB_COLUMNS, Unreadable, job_from};
use super::row_by_row::IGNORED;
use super::set_aside::UNREADABLE;
use super::sqlite_tenure::SqliteTenure;
use super::{SqliteError, SqliteStore, history};
use crate::queue::doubt::{DoubtfulJob, may_look_alike, recipient_field};
use crate::queue::job::{Channel, Millis, Status};
use crate::queue::outcome_counts::{HistoryRow, MINUTE_MS, OutcomeCounts, floor};
use crate::queue::report::Notice;
use crate::queue::transition::{AttemptKind, Transition, Wait};
use crate::queue::verification::Sought;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;
use tracing::Level;

/// Another job's message still counts if it was recorded this long before the attempt: clocks differ.
const SLACK: Millis = 60_000;
/// At most this many jobs are compared with a message; if there are more, one of them counts as alike.
const RIVALS_AT_MOST: i64 = 1000;

/// `?3`: routes that are left alone, as `[[account, channel], ...]`; an empty channel means each.
pub(super) const TO_LOOK_FOR: &str = "\
SELECT o.id FROM outbox AS o WHERE o.wait = 'verifying' AND o.verify_at <= ?1
    AND NOT EXISTS (SELECT 1 FROM outbox_pauses AS p WHERE p.account IN ('', o.account) AND p.channel IN ('', o.channel))
    AND NOT EXISTS (SELECT 1 FROM json_each(?3) WHERE value ->> 0 = o.account AND value ->> 1 IN ('', o.channel))
    AND o.id NOT IN (SELECT job_id FROM outbox_set_aside)
ORDER BY o.verify_at LIMIT ?2";

static TAKE: LazyLock<String> = LazyLock::new(|| {
    let columns = JOB_COLUMNS.replace("claimed_by", "0 AS claimed_by");
    format!(
        "UPDATE outbox SET verify_at = ?2, verify_round = verify_round + 1, moves = moves + 1
         WHERE id = ?1 AND status = 'uncertain' AND wait = 'verifying'
         RETURNING {columns}, payload, verify_round, verify_from, verify_until"
    )
});

/// `?1`: a JSON array of ids. What SMS are called in their case is in their receipts.
pub(super) const RECORDED: &str = "\
SELECT o.message_id FROM json_each(?1) CROSS JOIN outbox AS o ON o.message_id = json_each.value
WHERE o.message_id IS NOT NULL AND o.channel = ?2 AND o.account = ?3 AND o.id <> ?4";
pub(super) const RECORDED_SMS: &str = "\
SELECT CAST(json_extract(o.receipt, '$.caseMessageId') AS TEXT) AS name FROM outbox AS o
WHERE o.status = 'sent' AND o.channel = 'sms' AND o.finished_at IS NOT NULL AND o.finished_at >= ?3 AND o.account = ?2
    AND o.id <> ?4 AND json_valid(o.receipt) AND name IN (SELECT value FROM json_each(?1))";

/// Jobs that may have a message at Acquire whose id is not known: those that are being sent, those that had
/// an attempt of unknown outcome at the time, and those that were sent then and got no id. One that leaves its
/// case out (`fill_missing`) may have been for any.
pub(super) const RIVALS: &str = "\
SELECT CAST(o.payload AS TEXT) FROM outbox AS o WHERE o.claimed_by IS NOT NULL AND +o.status = 'sending'
    AND o.account = ?1 AND o.channel = ?2 AND o.id <> ?3 AND CASE WHEN json_valid(o.payload) THEN ifnull(json_extract(o.payload, ?4), ?5) END = ?5
UNION ALL
SELECT CAST(o.payload AS TEXT) FROM outbox AS o WHERE o.verify_from IS NOT NULL AND o.message_id IS NULL
    AND o.account = ?1 AND o.channel = ?2 AND o.id <> ?3 AND +o.status <> 'sending'
    AND o.verify_from <= ?7 AND o.verify_until >= ?6
    AND CASE WHEN json_valid(o.payload) THEN ifnull(json_extract(o.payload, ?4), ?5) END = ?5
UNION ALL
SELECT CAST(o.payload AS TEXT) FROM outbox AS o WHERE o.status = 'sent' AND o.message_id IS NULL
    AND o.account = ?1 AND o.channel = ?2 AND o.id <> ?3 AND o.verify_from IS NULL AND o.finished_at >= ?6
    AND CASE WHEN json_valid(o.payload) THEN ifnull(json_extract(o.payload, ?4), ?5) END = ?5
LIMIT ?8";

/// Grows `moves` by two: the triggers leave the rest to this transaction.
const RECORD: &str = "\
UPDATE outbox SET status = ?4, moves = moves + 2,
    wait = CASE WHEN ?4 = 'pending' AND lane IS NOT NULL AND holds IS NULL THEN 'parked' ELSE ?5 END,
    holds = CASE WHEN ?4 = 'pending' OR ?5 = 'verifying' THEN holds END,
    verify_at = ?6, next_attempt_at = ?7, uncertain_attempts = ?8, message_id = ?9, receipt = ?10, failure = ?11,
    error_code = ifnull(?12, error_code), error = ifnull(?13, error), finished_at = ?14, updated_at = ?15,
    verify_seen = ifnull(?16, verify_seen), follow_at = ?17
WHERE id = ?1 AND status = 'uncertain' AND wait = 'verifying' AND attempts = ?2 AND verify_round = ?3
RETURNING due_at";

const VERIFIED: &str = "\
INSERT INTO outbox_attempts (job_id, attempt, started_at, duration_ms, outcome)
SELECT id, attempts, ifnull(verify_from, updated_at), 0, 'verified' FROM outbox WHERE id = ?1
ON CONFLICT (job_id, attempt) DO UPDATE SET outcome = excluded.outcome";

/// A row that cannot be read is not looked for.
const GIVE_UP: &str = "\
UPDATE outbox SET wait = NULL, holds = NULL, verify_at = NULL, error_code = ?2, error = ?3, moves = moves + 1
WHERE id = ?1 AND status = 'uncertain' AND wait = 'verifying'";

const ELECT: &str = "INSERT INTO outbox_elect (lane) SELECT lane FROM outbox WHERE id = ?1";

/// A row that was to be taken.
enum Taken {
    Read(Box<DoubtfulJob>),
    Odd(Unreadable),
    /// The database refuses its change.
    Refused(i64, String),
}

impl SqliteTenure {
    /// See [`Tenure::take_sought`](crate::store::Tenure::take_sought).
    pub async fn take_sought(
        &mut self,
        limit: usize,
        without: &[(String, Option<Channel>)],
        now: Millis,
        lease: Duration,
    ) -> Result<Vec<DoubtfulJob>, SqliteError> {
        self.files.check()?;
        let ids = self.store.due_looks(limit, without, now).await?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let until = now.saturating_add(Millis::try_from(lease.as_millis()).unwrap_or(Millis::MAX));
        let mut doubts = Vec::new();
        for taken in self.store.take(&ids, until, now, self.epoch).await? {
            match taken {
                Taken::Read(doubt) => doubts.push(*doubt),
                Taken::Odd(row) => {
                    let sentence = "this row cannot be read and may have been sent: it is not verified, and set aside";
                    let notice = Notice::new(Level::ERROR, sentence).job(row.id);
                    self.report.notice(notice.reason(&row.sentence));
                    self.store.set_aside(row.id, &row.sentence).await?;
                }
                Taken::Refused(id, reason) => {
                    let sentence = "the database refuses to change this row, which is to be verified: it is set aside";
                    self.report.notice(Notice::new(Level::ERROR, sentence).job(id).reason(&reason));
                    self.store.set_aside(id, &reason).await?;
                }
            }
        }
        Ok(doubts)
    }

    /// See [`Tenure::recorded_ids`](crate::store::Tenure::recorded_ids).
    pub async fn recorded_ids(
        &mut self,
        sought: &Sought,
        ids: &[&str],
    ) -> Result<HashSet<String>, SqliteError> {
        recorded_ids(&mut self.store.conn, sought, ids).await
    }

    /// See [`Tenure::has_rival`](crate::store::Tenure::has_rival).
    pub async fn has_rival(&mut self, sought: &Sought) -> Result<bool, SqliteError> {
        let field = recipient_field(sought.channel);
        let payload: Option<Value> = serde_json::from_str(&sought.payload).ok();
        let recipient = payload.as_ref().and_then(|payload| payload.get(field)?.as_i64());
        let rivals = sqlx::query(RIVALS).bind(&sought.account).bind(sought.channel.as_str());
        let rivals = rivals.bind(sought.id).bind(format!("$.{field}")).bind(recipient);
        let rivals = rivals.bind(sought.since - SLACK).bind(sought.until + SLACK);
        let rows = rivals.bind(RIVALS_AT_MOST).fetch_all(&mut self.store.conn).await?;
        let alike = |row: &SqliteRow| {
            may_look_alike(sought.channel, &sought.payload, &row.text_or_empty(0))
        };
        Ok(rows.len() as i64 == RIVALS_AT_MOST || rows.iter().any(alike))
    }

    /// See [`Tenure::record_verdict`](crate::store::Tenure::record_verdict).
    pub async fn record_verdict(
        &mut self,
        sought: &Sought,
        transition: &Transition,
        seen: Option<&str>,
    ) -> Result<bool, SqliteError> {
        self.files.check()?;
        let recorded = self.store.record_verdict(sought, transition, seen, self.epoch).await?;
        self.report.may_be_ready |= recorded && transition.wait != Some(Wait::Verifying);
        Ok(recorded)
    }
}

impl SqliteStore {
    async fn due_looks(
        &mut self,
        limit: usize,
        without: &[(String, Option<Channel>)],
        now: Millis,
    ) -> Result<Vec<i64>, SqliteError> {
        let ids = sqlx::query_scalar(TO_LOOK_FOR).bind(now);
        let ids = ids.bind(i64::try_from(limit).unwrap_or(i64::MAX)).bind(left_alone(without));
        Ok(ids.fetch_all(&mut self.conn).await?)
    }

    /// All that can be taken, in one transaction.
    async fn take(
        &mut self,
        ids: &[i64],
        lease_until: Millis,
        now: Millis,
        epoch: i64,
    ) -> Result<Vec<Taken>, SqliteError> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        require_epoch(&mut tx, epoch).await?;
        let mut taken = Vec::new();
        for &id in ids {
            let take = sqlx::query(AssertSqlSafe(TAKE.as_str())).bind(id).bind(lease_until);
            match take.fetch_optional(&mut *tx).await.map_err(SqliteError::from) {
                Ok(Some(row)) => match doubt_from(&row, now) {
                    Ok(doubt) => taken.push(Taken::Read(Box::new(doubt))),
                    Err(odd) => {
                        let give_up = sqlx::query(GIVE_UP).bind(id).bind(UNREADABLE);
                        give_up.bind(&odd.sentence).execute(&mut *tx).await?;
                        sqlx::query(ELECT).bind(id).execute(&mut *tx).await?;
                        taken.push(Taken::Odd(odd));
                    }
                },
                Ok(None) if is_verifying(&mut tx, id).await? => {
                    taken.push(Taken::Refused(id, IGNORED.to_owned()));
                }
                // Somebody has resolved it in the meantime.
                Ok(None) => {}
                Err(e) if e.is_of_a_row() => taken.push(Taken::Refused(id, e.to_string())),
                Err(e) => return Err(e),
            }
        }
        tx.commit().await?;
        Ok(taken)
    }

    async fn record_verdict(
        &mut self,
        sought: &Sought,
        t: &Transition,
        seen: Option<&str>,
        epoch: i64,
    ) -> Result<bool, SqliteError> {
        let receipt = (!t.receipt.fields.is_empty())
            .then(|| Value::Object(t.receipt.fields.clone()).to_string());
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        require_epoch(&mut tx, epoch).await?;
        if let Some(id) = &t.receipt.message_id
            && !recorded_ids(&mut tx, sought, &[id]).await?.is_empty()
        {
            return Ok(false);
        }
        let done = sqlx::query(RECORD)
            .bind(sought.id)
            .bind(sought.attempts)
            .bind(sought.round)
            .bind(t.status.as_str())
            .bind(t.wait.map(Wait::as_str))
            .bind(t.verify_at)
            .bind(t.next_attempt_at)
            .bind(t.uncertain_attempts)
            .bind(t.receipt.message_id.as_deref())
            .bind(receipt)
            .bind(t.failure.map(|failure| failure.as_str()))
            .bind(t.fault.as_ref().map(|fault| fault.code.as_str()))
            .bind(t.fault.as_ref().map(|fault| fault.message.as_str()))
            .bind(t.finished_at)
            .bind(t.updated_at)
            .bind(seen)
            .bind(t.follow_at)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(done) = done else { return Ok(false) };
        if t.wait.is_none() && t.status != Status::Pending {
            let due_at = done.whole(0).unwrap_or(sought.since);
            history::add_rows(&mut tx, &[counted(sought, t, due_at)]).await?;
        }
        if t.history == Some(AttemptKind::Verified) {
            sqlx::query(VERIFIED).bind(sought.id).execute(&mut *tx).await?;
        }
        if t.wait != Some(Wait::Verifying) {
            sqlx::query(ELECT).bind(sought.id).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}

/// Routes as `TO_LOOK_FOR` reads them.
pub(super) fn left_alone(without: &[(String, Option<Channel>)]) -> String {
    let channel = |channel: &Option<Channel>| channel.map_or("", Channel::as_str);
    let without: Vec<_> = without.iter().map(|(name, of)| (name, channel(of))).collect();
    serde_json::to_string(&without).expect("texts are always JSON")
}

/// What the history counts of a verified job.
fn counted(sought: &Sought, t: &Transition, due_at: Millis) -> HistoryRow {
    let tally = match t.status {
        Status::Sent => OutcomeCounts::of_sent(t.updated_at.saturating_sub(due_at)),
        Status::Failed => OutcomeCounts { failed: 1, ..OutcomeCounts::default() },
        _ => OutcomeCounts { uncertain: 1, ..OutcomeCounts::default() },
    };
    let (account, channel) = (sought.account.clone(), sought.channel.to_string());
    HistoryRow { begins_at: floor(t.updated_at, MINUTE_MS), account, channel, tally }
}

pub(super) async fn require_epoch(
    tx: &mut SqliteConnection,
    epoch: i64,
) -> Result<(), SqliteError> {
    let row = sqlx::query("SELECT epoch FROM outbox_dispatcher").fetch_optional(tx).await?;
    match row.and_then(|row| row.whole(0)) {
        Some(now) if now != epoch => Err(SqliteError::Superseded),
        _ => Ok(()),
    }
}

async fn is_verifying(tx: &mut SqliteConnection, id: i64) -> Result<bool, SqliteError> {
    let query =
        "SELECT 1 FROM outbox WHERE id = ?1 AND status = 'uncertain' AND wait = 'verifying'";
    Ok(sqlx::query(query).bind(id).fetch_optional(tx).await?.is_some())
}

/// The names among `ids` that other jobs of the same route have.
async fn recorded_ids(
    conn: &mut SqliteConnection,
    sought: &Sought,
    ids: &[&str],
) -> Result<HashSet<String>, SqliteError> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let ids = serde_json::to_string(ids).expect("texts are always JSON");
    let recorded = sqlx::query(RECORDED).bind(&ids).bind(sought.channel.as_str());
    let recorded = recorded.bind(&sought.account).bind(sought.id);
    let mut rows = recorded.fetch_all(&mut *conn).await?;
    if sought.channel == Channel::Sms {
        let receipts = sqlx::query(RECORDED_SMS).bind(&ids).bind(&sought.account);
        let receipts = receipts.bind(sought.since - SLACK).bind(sought.id);
        rows.extend(receipts.fetch_all(&mut *conn).await?);
    }
    Ok(rows.iter().filter_map(|row| row.text(0)).collect())
}

fn doubt_from(row: &SqliteRow, now: Millis) -> Result<DoubtfulJob, Unreadable> {
    let (mut job, updated_at) = job_from(row, now)?;
    let payload = std::mem::take(&mut job.payload);
    let sought = Sought {
        id: job.id,
        round: row.whole("verify_round").unwrap_or_default(),
        attempts: job.attempts,
        channel: job.channel,
        account: job.account.clone(),
        payload: String::from_utf8_lossy(&payload).into_owned(),
        since: row.whole("verify_from").unwrap_or(updated_at),
        until: row.whole("verify_until").unwrap_or(updated_at),
        is_last: false,
    };
    Ok(DoubtfulJob { job, sought })
}
