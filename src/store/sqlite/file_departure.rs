//! An outbox in a file that is carried to another place.

use super::{SqliteError, SqliteStore, neutral};
use crate::queue::carried::{
    CarriedAct, CarriedAttempt, CarriedJob, CarriedPart, CarriedPause, CarriedRest,
    CarriedScrubbing, CarriedSetAside, LOAD_BYTES, LOAD_JOBS, LeftBehind,
};
use crate::queue::outcome_counts::MINUTE_MS;
use crate::store::{ALL, StoreError};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};
use std::path::{Path, PathBuf};

const SENDING: &str = "\
SELECT count(*) FROM outbox WHERE claimed_by IS NOT NULL AND +status = 'sending'
    AND id NOT IN (SELECT job_id FROM outbox_set_aside)";

/// Where the next load ends: after this many jobs or bytes, but not before the first job.
const END: &str = "\
SELECT max(id), count(*) FROM (
    SELECT id, sum(length(CAST(payload AS BLOB))) OVER (ORDER BY id) - length(CAST(payload AS BLOB)) AS before
    FROM outbox WHERE id > ?1 ORDER BY id LIMIT ?2) WHERE before < ?3";

/// An outcome that could not be recorded is lost with its row's place: it is uncertain, which a person
/// resolves.
const JOBS: &str = "\
SELECT id, channel, payload, account, idempotency_key, ordering_key, priority, send_at, expires_at, max_attempts,
    source, created_at, CASE status WHEN 'sending' THEN 'uncertain' ELSE status END AS status, attempts,
    next_attempt_at, message_id, receipt, failure, error_code, error, updated_at, finished_at, due_at, unspent,
    uncertain_attempts, budget_from, verify_at, verify_from, verify_until, verify_seen, delivery, delivery_at, follow_at, followed_at
FROM outbox WHERE id > ?1 AND id <= ?2 ORDER BY id";

const ATTEMPTS: &str = "\
SELECT job_id, attempt, started_at, duration_ms, outcome, http_status, error_code, error
FROM outbox_attempts WHERE job_id > ?1 AND job_id <= ?2 ORDER BY job_id, attempt";

const ACTS: &str = "\
SELECT job_id, at, deed, origin, name, detail, payload FROM outbox_acts WHERE job_id > ?1 AND job_id <= ?2 ORDER BY id";

const LAST_ID: &str = "\
SELECT max(ifnull((SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'), 0), ifnull((SELECT max(id) FROM outbox), 0))";

/// The file, with its write lock.
pub struct FileDeparture {
    store: SqliteStore,
    path: PathBuf,
    /// The reason of the pause that it leaves behind, which is not carried over. `None`: a person had
    /// paused everything already.
    reason: Option<String>,
}

impl FileDeparture {
    /// Pauses everything, with this reason, unless a person has; then takes the write lock.
    pub async fn begin(path: &Path, reason: &str) -> Result<FileDeparture, StoreError> {
        let store = SqliteStore::open_existing(path).await.map_err(|e| neutral(e, Some(path)))?;
        let mut from =
            FileDeparture { store, path: path.to_owned(), reason: Some(reason.to_owned()) };
        let begun = from.pause_and_lock().await;
        let sending = begun.map_err(|e| from.neutral(e))?;
        if sending > 0 {
            return Err(StoreError::Unusable(format!(
                "{} still has jobs that are sending ({sending}); let `acquire-outbox run --until-empty` decide \
                 them (everything is paused now, so it sends nothing), and try again",
                path.display()
            )));
        }
        Ok(from)
    }

    async fn pause_and_lock(&mut self) -> Result<i64, SqliteError> {
        let pauses = self.store.pauses(ALL).await?;
        let of_everything = pauses.iter().find(|pause| pause.is_of_everything());
        match &self.reason {
            Some(own) if of_everything.is_none_or(|pause| pause.reason == *own) => {
                self.store.pause(None, None, own, None).await?;
            }
            _ => self.reason = None,
        }
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut self.store.conn).await?;
        Ok(sqlx::query_scalar(SENDING).fetch_one(&mut self.store.conn).await?)
    }

    pub fn is_sandbox(&self) -> bool {
        self.store.is_sandbox()
    }

    fn neutral(&self, e: impl Into<SqliteError>) -> StoreError {
        neutral(e.into(), Some(&self.path))
    }

    pub async fn load(&mut self, after: i64) -> Result<CarriedPart, StoreError> {
        self.read(after).await.map_err(|e| self.neutral(e))
    }

    async fn read(&mut self, after: i64) -> Result<CarriedPart, SqliteError> {
        let conn = &mut self.store.conn;
        let end = sqlx::query(END).bind(after).bind(LOAD_JOBS).bind(LOAD_BYTES);
        let Some(last): Option<i64> = end.fetch_one(&mut *conn).await?.try_get(0)? else {
            return Ok(CarriedPart::default());
        };
        let rows = sqlx::query(JOBS).bind(after).bind(last).fetch_all(&mut *conn).await?;
        let mut load = CarriedPart { last: Some(last), ..CarriedPart::default() };
        for row in &rows {
            match CarriedJob::from_row(row) {
                Ok(job) => load.jobs.push(job),
                Err(_) => load.unreadable.push(LeftBehind {
                    id: row.try_get("id")?,
                    reason: "a column of it does not contain what it should".to_owned(),
                }),
            }
        }
        let is_carried = |id| load.jobs.binary_search_by_key(&id, |job| job.id).is_ok();
        let attempts = sqlx::query(ATTEMPTS).bind(after).bind(last).fetch_all(&mut *conn).await?;
        // An attempt that cannot be read says nothing that its job does not.
        let attempts = attempts.iter().filter_map(|row| CarriedAttempt::from_row(row).ok());
        load.attempts = attempts.filter(|of| is_carried(of.job_id)).collect();
        let acts = sqlx::query(ACTS).bind(after).bind(last).fetch_all(conn).await?;
        let acts = acts.iter().filter_map(|row| CarriedAct::from_row(row).ok());
        load.acts = acts.filter(|of| is_carried(of.job_id)).collect();
        Ok(load)
    }

    pub async fn rest(&mut self) -> Result<CarriedRest, StoreError> {
        self.read_rest().await.map_err(|e| self.neutral(e))
    }

    async fn read_rest(&mut self) -> Result<CarriedRest, SqliteError> {
        let conn = &mut self.store.conn;
        let pauses = "SELECT account, channel, reason, since, until FROM outbox_pauses";
        let pauses = readable(&sqlx::query(pauses).fetch_all(&mut *conn).await?);
        let own = |of: &CarriedPause| {
            of.account.is_empty()
                && of.channel.is_empty()
                && self.reason.as_ref() == Some(&of.reason)
        };
        let set_aside = "SELECT job_id, since, reason FROM outbox_set_aside";
        let scrubbing = "SELECT channel, finished_at, id FROM outbox_scrubbing";
        Ok(CarriedRest {
            pauses: pauses.into_iter().filter(|of| !own(of)).collect(),
            set_aside: readable(&sqlx::query(set_aside).fetch_all(&mut *conn).await?),
            scrubbing: readable(&sqlx::query(scrubbing).fetch_all(&mut *conn).await?),
            last_id: sqlx::query_scalar(LAST_ID).fetch_one(conn).await?,
            outcomes: self.store.history(0, MINUTE_MS).await?,
        })
    }

    /// Gives the write lock back and ends its own pause: nothing has been carried over.
    pub async fn undo(mut self) -> Result<(), StoreError> {
        let path = self.path.clone();
        let undone = async {
            sqlx::raw_sql("ROLLBACK").execute(&mut self.store.conn).await?;
            if self.reason.is_some() {
                self.store.resume(None, None).await?;
            }
            self.store.close().await
        };
        undone.await.map_err(|e| neutral(e, Some(&path)))
    }

    /// Gives the write lock back.
    pub async fn end(mut self) -> Result<(), StoreError> {
        let ended = sqlx::raw_sql("COMMIT").execute(&mut self.store.conn).await;
        ended.map_err(|e| neutral(e.into(), Some(&self.path)))?;
        let path = self.path;
        self.store.close().await.map_err(|e| neutral(e, Some(&path)))
    }
}

fn readable<T: for<'r> FromRow<'r, SqliteRow>>(rows: &[SqliteRow]) -> Vec<T> {
    rows.iter().filter_map(|row| T::from_row(row).ok()).collect()
}

/// Strictly: a value of another type is an error.
impl FromRow<'_, SqliteRow> for CarriedJob {
    fn from_row(row: &SqliteRow) -> sqlx::Result<CarriedJob> {
        Ok(CarriedJob {
            id: row.try_get("id")?,
            channel: row.try_get("channel")?,
            payload: row.try_get("payload")?,
            account: row.try_get("account")?,
            idempotency_key: row.try_get("idempotency_key")?,
            ordering_key: row.try_get("ordering_key")?,
            priority: row.try_get("priority")?,
            send_at: row.try_get("send_at")?,
            expires_at: row.try_get("expires_at")?,
            max_attempts: row.try_get("max_attempts")?,
            source: row.try_get("source")?,
            created_at: row.try_get("created_at")?,
            status: row.try_get("status")?,
            attempts: row.try_get("attempts")?,
            next_attempt_at: row.try_get("next_attempt_at")?,
            message_id: row.try_get("message_id")?,
            receipt: row.try_get("receipt")?,
            failure: row.try_get("failure")?,
            error_code: row.try_get("error_code")?,
            error: row.try_get("error")?,
            updated_at: row.try_get("updated_at")?,
            finished_at: row.try_get("finished_at")?,
            due_at: row.try_get("due_at")?,
            unspent: row.try_get("unspent")?,
            uncertain_attempts: row.try_get("uncertain_attempts")?,
            budget_from: row.try_get("budget_from")?,
            verify_at: row.try_get("verify_at")?,
            verify_from: row.try_get("verify_from")?,
            verify_until: row.try_get("verify_until")?,
            verify_seen: row.try_get("verify_seen")?,
            delivery: row.try_get("delivery")?,
            delivery_at: row.try_get("delivery_at")?,
            follow_at: row.try_get("follow_at")?,
            followed_at: row.try_get("followed_at")?,
        })
    }
}

impl FromRow<'_, SqliteRow> for CarriedAttempt {
    fn from_row(row: &SqliteRow) -> sqlx::Result<CarriedAttempt> {
        Ok(CarriedAttempt {
            job_id: row.try_get("job_id")?,
            attempt: row.try_get("attempt")?,
            started_at: row.try_get("started_at")?,
            duration_ms: row.try_get("duration_ms")?,
            outcome: row.try_get("outcome")?,
            http_status: row.try_get("http_status")?,
            error_code: row.try_get("error_code")?,
            error: row.try_get("error")?,
        })
    }
}

impl FromRow<'_, SqliteRow> for CarriedAct {
    fn from_row(row: &SqliteRow) -> sqlx::Result<CarriedAct> {
        let (job_id, at, deed, origin, name, detail, payload) = FromRow::from_row(row)?;
        Ok(CarriedAct { job_id, at, deed, origin, name, detail, payload })
    }
}

impl FromRow<'_, SqliteRow> for CarriedPause {
    fn from_row(row: &SqliteRow) -> sqlx::Result<CarriedPause> {
        let (account, channel, reason, since, until) = FromRow::from_row(row)?;
        Ok(CarriedPause { account, channel, reason, since, until })
    }
}

impl FromRow<'_, SqliteRow> for CarriedSetAside {
    fn from_row(row: &SqliteRow) -> sqlx::Result<CarriedSetAside> {
        let (job_id, since, reason) = FromRow::from_row(row)?;
        Ok(CarriedSetAside { job_id, since, reason })
    }
}

impl FromRow<'_, SqliteRow> for CarriedScrubbing {
    fn from_row(row: &SqliteRow) -> sqlx::Result<CarriedScrubbing> {
        let (channel, finished_at, id) = FromRow::from_row(row)?;
        Ok(CarriedScrubbing { channel, finished_at, id })
    }
}
