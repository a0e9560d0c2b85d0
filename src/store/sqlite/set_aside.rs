//! Sets rows aside so that one row does not stop the rest: rows that cannot be read, rows whose
//! outcome cannot be recorded, and rows that cannot be moved.
//!
//! `outbox_set_aside` has each with its reason. An outcome that cannot be recorded is kept there and
//! recorded later; until then nobody else decides its job.

use super::lenient::Lenient;
use super::reading::{LAST_COUNT, LAST_TIME, Unreadable};
use super::record;
use super::{SqliteError, SqliteStore};
use crate::queue::ended::Ended;
use crate::queue::overview::SetAside;
use crate::queue::overview::SetAsideSummary;
use crate::queue::when::now;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

/// A set-aside row that may work now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tryable {
    pub id: i64,
    /// Its outcome, if that could not be recorded.
    pub record: Option<String>,
}

/// What an unreadable row becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RowEnd {
    /// It was never sent.
    Failed,
    /// Its dispatcher ended while it was being sent.
    Uncertain,
}

pub(super) const UNREADABLE: &str = "unreadable_row";

const NOTE: &str = "\
INSERT INTO outbox_set_aside (job_id, since, reason, record) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (job_id) DO UPDATE SET reason = excluded.reason, record = ifnull(excluded.record, record)";
const FORGET: &str = "DELETE FROM outbox_set_aside WHERE job_id = ?1";
const LIST: &str = "\
SELECT a.job_id, o.status, a.since, a.reason FROM outbox_set_aside AS a LEFT JOIN outbox AS o ON o.id = a.job_id
ORDER BY a.job_id LIMIT ?1";
const ONE: &str = "\
SELECT a.job_id, '' AS status, a.since, a.reason FROM outbox_set_aside AS a WHERE a.job_id = ?1";
const COUNT: &str = "SELECT count(*) FROM outbox_set_aside";
/// Not finished rows: they wait for a person, not for the dispatcher.
pub(super) const TRYABLE: &str = "\
SELECT a.job_id, a.record FROM outbox_set_aside AS a CROSS JOIN outbox AS o NOT INDEXED ON o.id = a.job_id
WHERE (a.record IS NOT NULL AND o.status = 'sending') OR (a.record IS NULL AND o.status = 'pending')
ORDER BY a.job_id LIMIT 500";
/// Rows that have ended in another way since.
pub(super) const OVER: &str = "\
DELETE FROM outbox_set_aside WHERE job_id IN (
    SELECT a.job_id FROM outbox_set_aside AS a LEFT JOIN outbox AS o ON o.id = a.job_id
    WHERE o.id IS NULL OR o.status IN ('sent', 'cancelled') OR (a.record IS NOT NULL AND o.status <> 'sending')
        OR (o.status = 'failed' AND o.error_code IS NOT 'unreadable_row'))";
/// The same change as a claim; it is rolled back at once.
const CLAIM: &str = "\
UPDATE outbox SET status = 'sending', moves = moves + 1, wait = NULL, attempts = attempts + 1, claimed_by = ?2,
    next_attempt_at = NULL, updated_at = ?3, budget_from = ifnull(budget_from, ?3)
WHERE id = ?1 AND status = 'pending'";

/// Ends the row and puts all of the dispatcher's columns into a state that a retry can use. If
/// `attempts` cannot be read, the history gives the number.
fn end_statement(end: RowEnd) -> String {
    let (count, time) =
        (format!("BETWEEN 0 AND {LAST_COUNT}"), format!("BETWEEN 0 AND {LAST_TIME}"));
    let attempts = format!(
        "CASE WHEN typeof(attempts) = 'integer' AND attempts {count} THEN max(attempts - ?4, 0)
            ELSE ifnull((SELECT max(a.attempt) FROM outbox_attempts AS a WHERE a.job_id = outbox.id), 0) END"
    );
    let ended = match end {
        RowEnd::Failed => "status = 'failed', failure = 'invalid', finished_at = ?3",
        RowEnd::Uncertain => "status = 'uncertain', failure = NULL, finished_at = NULL",
    };
    format!(
        "UPDATE outbox SET {ended}, error_code = '{UNREADABLE}', error = ?2, updated_at = ?3, wait = NULL,
            holds = NULL, claimed_by = NULL, next_attempt_at = NULL, verify_at = NULL, budget_from = NULL,
            moves = moves + 1, attempts = {attempts},
            unspent = CASE WHEN typeof(unspent) = 'integer' AND unspent {count} THEN unspent ELSE 0 END,
            uncertain_attempts = CASE WHEN typeof(uncertain_attempts) = 'integer' AND uncertain_attempts {count}
                THEN uncertain_attempts ELSE 0 END,
            due_at = CASE WHEN typeof(due_at) = 'integer' AND due_at {time} THEN due_at END,
            message_id = CASE typeof(message_id) WHEN 'text' THEN message_id END,
            receipt = CASE typeof(receipt) WHEN 'text' THEN receipt END
         WHERE id = ?1 AND status IN ('pending', 'sending')"
    )
}

const HISTORY: &str = "\
INSERT OR IGNORE INTO outbox_attempts (job_id, attempt, started_at, duration_ms, outcome, error_code, error)
SELECT id, max(attempts, 1), ?2, 0, 'uncertain', error_code, error FROM outbox WHERE id = ?1";

impl SqliteStore {
    /// Ends rows that cannot be read and were never sent as `failed`, `invalid`. `claimed` means that a
    /// claim has counted an attempt. If the database refuses even this, the row is still set aside.
    pub(super) async fn fail_unreadable(
        &mut self,
        rows: &[Unreadable],
        claimed: bool,
    ) -> Result<(), SqliteError> {
        self.end_unreadable(rows, RowEnd::Failed, claimed).await
    }

    /// Makes rows that cannot be read and may have been sent `uncertain`.
    pub(super) async fn doubt_unreadable(
        &mut self,
        rows: &[Unreadable],
    ) -> Result<(), SqliteError> {
        self.end_unreadable(rows, RowEnd::Uncertain, false).await
    }

    async fn end_unreadable(
        &mut self,
        rows: &[Unreadable],
        end: RowEnd,
        claimed: bool,
    ) -> Result<(), SqliteError> {
        let now = now();
        let statement = end_statement(end);
        for row in rows {
            let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
            let update = sqlx::query(AssertSqlSafe(statement.as_str())).bind(row.id);
            let update = update.bind(&row.sentence).bind(now).bind(i64::from(claimed));
            let done = update.execute(&mut *tx).await.map_err(SqliteError::from);
            let reason = match &done {
                Ok(_) => row.sentence.clone(),
                Err(e) if e.is_of_a_row() => {
                    format!("{}; and the row cannot be ended: {e}", row.sentence)
                }
                Err(_) => return done.map(|_| ()),
            };
            if done.is_ok() && end == RowEnd::Uncertain {
                sqlx::query(HISTORY).bind(row.id).bind(now).execute(&mut *tx).await?;
            }
            note(&mut tx, row.id, &reason, None).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Sets aside a row that cannot be moved, until [`SqliteStore::release`].
    pub(super) async fn set_aside(&mut self, id: i64, reason: &str) -> Result<(), SqliteError> {
        note(&mut self.conn, id, reason, None).await
    }

    /// Keeps an outcome that cannot be recorded on disk, so that no restart sends its job again.
    pub(super) async fn keep_outcome(
        &mut self,
        ended: &Ended,
        reason: &str,
    ) -> Result<(), SqliteError> {
        let record = record::to_keep(ended);
        note(&mut self.conn, ended.transition.id, reason, Some(&record)).await
    }

    /// The row is no longer set aside.
    pub(super) async fn release(&mut self, id: i64) -> Result<(), SqliteError> {
        sqlx::query(FORGET).bind(id).execute(&mut self.conn).await?;
        Ok(())
    }

    /// Releases the rows that have ended in another way, and returns those that may work now.
    pub(super) async fn tryable(&mut self) -> Result<Vec<Tryable>, SqliteError> {
        sqlx::query(OVER).execute(&mut self.conn).await?;
        let rows = sqlx::query(TRYABLE).fetch_all(&mut self.conn).await?;
        let tryable =
            |row: &SqliteRow| Tryable { id: row.whole(0).unwrap_or_default(), record: row.text(1) };
        Ok(rows.iter().map(tryable).collect())
    }

    /// Whether any row is set aside.
    pub(super) async fn has_set_aside(&mut self) -> Result<bool, SqliteError> {
        let row = sqlx::query("SELECT EXISTS (SELECT 1 FROM outbox_set_aside)");
        Ok(row.fetch_one(&mut self.conn).await?.whole(0) == Some(1))
    }

    /// Records a kept outcome. False if the row no longer belonged to this claim.
    pub(super) async fn record_kept(
        &mut self,
        id: i64,
        kept: &str,
        epoch: i64,
    ) -> Result<bool, SqliteError> {
        let Some(ended) = record::from_kept(kept) else { return Ok(false) };
        let lost = self.record_json(ended, now(), epoch).await?;
        let done = !lost.contains(&id);
        if done {
            self.release(id).await?;
        }
        Ok(done)
    }

    /// An error if a claim of this job would fail now; claims nothing.
    pub(super) async fn would_claim(&mut self, id: i64, epoch: i64) -> Result<(), SqliteError> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        let claim = sqlx::query(CLAIM).bind(id).bind(epoch).bind(now());
        let claimed = claim.execute(&mut *tx).await;
        // A trigger may already have ended the transaction.
        let _ = tx.rollback().await;
        claimed?;
        Ok(())
    }

    /// How many rows are set aside, and the first `limit` of them.
    pub async fn set_aside_summary(&mut self, limit: u32) -> Result<SetAsideSummary, SqliteError> {
        summary(&mut self.conn, limit).await
    }
}

async fn summary(conn: &mut SqliteConnection, limit: u32) -> Result<SetAsideSummary, SqliteError> {
    let rows = sqlx::query(LIST).bind(limit).fetch_all(&mut *conn).await?;
    let first = rows.iter().map(set_aside_from).collect();
    let count = sqlx::query(COUNT).fetch_one(conn).await?.whole(0).unwrap_or_default();
    Ok(SetAsideSummary { count: count.unsigned_abs(), first })
}

/// The entry of this job, if it is set aside.
pub(super) async fn one(
    conn: &mut SqliteConnection,
    id: i64,
) -> Result<Option<SetAside>, SqliteError> {
    let row = sqlx::query(ONE).bind(id).fetch_optional(conn).await?;
    Ok(row.as_ref().map(set_aside_from))
}

fn set_aside_from(row: &SqliteRow) -> SetAside {
    SetAside {
        id: row.whole(0).unwrap_or_default(),
        status: row.text_or_empty(1),
        since: row.whole(2).unwrap_or_default(),
        reason: row.text_or_empty(3),
    }
}

async fn note(
    conn: &mut SqliteConnection,
    id: i64,
    reason: &str,
    record: Option<&str>,
) -> Result<(), SqliteError> {
    let note = sqlx::query(NOTE).bind(id).bind(now()).bind(reason).bind(record);
    note.execute(conn).await?;
    Ok(())
}

impl SqliteError {
    /// Whether the error is about the statement's rows, not about the file: a constraint or a trigger
    /// refuses a row, or a value cannot be read. Other rows may work.
    pub fn is_of_a_row(&self) -> bool {
        // Primary result codes: 1 ERROR, 18 TOOBIG, 19 CONSTRAINT, 20 MISMATCH.
        match self {
            SqliteError::Sql(
                sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::Decode(_)
                | sqlx::Error::RowNotFound,
            ) => true,
            _ => self.sqlite_code().is_some_and(|code| matches!(code & 0xff, 1 | 18 | 19 | 20)),
        }
    }
}
