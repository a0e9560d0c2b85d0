//! A file that an outbox is carried to.

use super::{SqliteError, SqliteStore, history, neutral};
use crate::queue::carried::{CarriedAct, CarriedAttempt, CarriedJob, CarriedRest};
use crate::queue::outcome_counts::ROWS_AT_ONCE;
use crate::queue::policy::Purpose;
use crate::store::StoreError;
use libsqlite3_sys::{SQLITE_DBCONFIG_ENABLE_TRIGGER, SQLITE_OK, sqlite3_db_config};
use serde::Serialize;
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::ptr;

const JOBS: &str = include_str!("file_arrival.sql");

const ATTEMPTS: &str = "\
INSERT INTO outbox_attempts (job_id, attempt, started_at, duration_ms, outcome, http_status, error_code, error)
SELECT r.value ->> '$.job_id', r.value ->> '$.attempt', r.value ->> '$.started_at', r.value ->> '$.duration_ms',
    r.value ->> '$.outcome', r.value ->> '$.http_status', r.value ->> '$.error_code', r.value ->> '$.error'
FROM json_each(?1) AS r";

const ACTS: &str = "\
INSERT INTO outbox_acts (job_id, at, deed, origin, name, detail, payload)
SELECT r.value ->> '$.job_id', r.value ->> '$.at', r.value ->> '$.deed', r.value ->> '$.origin', r.value ->> '$.name',
    r.value ->> '$.detail', r.value ->> '$.payload'
FROM json_each(?1) AS r ORDER BY r.key";

const PAUSES: &str = "\
INSERT INTO outbox_pauses (account, channel, reason, since, until)
SELECT r.value ->> '$.account', r.value ->> '$.channel', r.value ->> '$.reason', r.value ->> '$.since', r.value ->> '$.until'
FROM json_each(?1) AS r";

const SET_ASIDE: &str = "\
INSERT INTO outbox_set_aside (job_id, since, reason)
SELECT r.value ->> '$.job_id', r.value ->> '$.since', r.value ->> '$.reason' FROM json_each(?1) AS r";

const SCRUBBING: &str = "\
INSERT INTO outbox_scrubbing (channel, finished_at, id)
SELECT r.value ->> '$.channel', r.value ->> '$.finished_at', r.value ->> '$.id' FROM json_each(?1) AS r";

/// The place of each pending job; of those with a key, the heads are elected afterwards.
const PLACES: &str = "\
UPDATE outbox SET due_at = coalesce(due_at, send_at, created_at),
    (lane, case_id, contact_id, recipient) =
        (SELECT l.lane, l.case_id, l.contact_id, l.recipient FROM outbox_lanes AS l WHERE l.id = outbox.id);
INSERT INTO outbox_recipients (job_id, address)
SELECT DISTINCT a.job_id, a.address FROM outbox_addresses AS a JOIN outbox AS o ON o.id = a.job_id
WHERE a.address <> o.recipient;
UPDATE outbox SET wait = CASE
        WHEN due_at > (SELECT now FROM outbox_clock) THEN 'scheduled'
        WHEN lane IS NOT NULL THEN 'parked'
        WHEN next_attempt_at > (SELECT now FROM outbox_clock) THEN 'backoff'
        ELSE 'ready' END
WHERE status = 'pending';
UPDATE outbox SET holds = 1 WHERE wait = 'verifying' AND lane IS NOT NULL
    AND id = (SELECT min(v.id) FROM outbox AS v WHERE v.wait = 'verifying' AND v.lane = outbox.lane)";

const ELECT: &str =
    "INSERT INTO outbox_elect (lane) SELECT DISTINCT lane FROM outbox WHERE wait = 'parked'";

const LAST_ID: &str = "\
INSERT INTO sqlite_sequence (name, seq) SELECT 'outbox', ?1
WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'outbox')";
const SAME_LAST_ID: &str = "UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'outbox'";

/// The file, with its write lock and without its triggers.
pub struct FileArrival {
    store: SqliteStore,
    path: PathBuf,
}

impl FileArrival {
    /// Creates the outbox where it is missing.
    pub async fn begin(path: &Path, purpose: Purpose) -> Result<FileArrival, StoreError> {
        let opened = SqliteStore::init(purpose, path).await;
        let (store, _) = opened.map_err(|e| neutral(e, Some(path)))?;
        let mut to = FileArrival { store, path: path.to_owned() };
        let is_empty = to.lock().await.map_err(|e| to.neutral(e))?;
        match is_empty {
            true => Ok(to),
            false => Err(StoreError::Unusable(format!(
                "{} has jobs already; name an empty outbox, or a file that does not exist",
                path.display()
            ))),
        }
    }

    async fn lock(&mut self) -> Result<bool, SqliteError> {
        set_triggers(&mut self.store, false).await?;
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut self.store.conn).await?;
        let empty = "SELECT NOT EXISTS (SELECT 1 FROM outbox)";
        Ok(sqlx::query_scalar(empty).fetch_one(&mut self.store.conn).await?)
    }

    fn neutral(&self, e: impl Into<SqliteError>) -> StoreError {
        neutral(e.into(), Some(&self.path))
    }

    /// All of them or, after an error, none.
    pub async fn put(&mut self, jobs: &[CarriedJob]) -> Result<(), StoreError> {
        self.insert(JOBS, jobs).await
    }

    pub async fn put_attempts(&mut self, attempts: &[CarriedAttempt]) -> Result<(), StoreError> {
        self.insert(ATTEMPTS, attempts).await
    }

    pub async fn put_acts(&mut self, acts: &[CarriedAct]) -> Result<(), StoreError> {
        self.insert(ACTS, acts).await
    }

    async fn insert(
        &mut self,
        sql: &'static str,
        rows: &[impl Serialize],
    ) -> Result<(), StoreError> {
        let json = serde_json::to_string(rows).expect("text and numbers are always JSON");
        let done = sqlx::query(sql).bind(json).execute(&mut self.store.conn).await;
        done.map(drop).map_err(|e| self.neutral(e))
    }

    /// Gives every job its place in the queue, and commits.
    pub async fn settle(mut self, rest: &CarriedRest) -> Result<(), StoreError> {
        self.insert(PAUSES, &rest.pauses).await?;
        self.insert(SET_ASIDE, &rest.set_aside).await?;
        self.insert(SCRUBBING, &rest.scrubbing).await?;
        for rows in rest.outcomes.chunks(ROWS_AT_ONCE) {
            let put = history::add_rows(&mut self.store.conn, rows).await;
            put.map_err(|e| self.neutral(e))?;
        }
        self.place(rest.last_id).await.map_err(|e| self.neutral(e))?;
        let path = self.path;
        self.store.close().await.map_err(|e| neutral(e, Some(&path)))
    }

    async fn place(&mut self, last_id: i64) -> Result<(), SqliteError> {
        sqlx::raw_sql(PLACES).execute(&mut self.store.conn).await?;
        for statement in [LAST_ID, SAME_LAST_ID] {
            sqlx::query(statement).bind(last_id).execute(&mut self.store.conn).await?;
        }
        // The election is a trigger.
        set_triggers(&mut self.store, true).await?;
        sqlx::raw_sql(ELECT).execute(&mut self.store.conn).await?;
        sqlx::raw_sql("COMMIT").execute(&mut self.store.conn).await?;
        Ok(())
    }
}

/// Of this connection alone.
async fn set_triggers(store: &mut SqliteStore, on: bool) -> Result<(), SqliteError> {
    let mut conn = store.conn.lock_handle().await?;
    let nowhere = ptr::null_mut::<c_int>();
    // SAFETY: the handle is the locked connection's; this option takes an int and a pointer that may be
    // null.
    let set = unsafe {
        sqlite3_db_config(
            conn.as_raw_handle().as_ptr(),
            SQLITE_DBCONFIG_ENABLE_TRIGGER,
            c_int::from(on),
            nowhere,
        )
    };
    match set {
        SQLITE_OK => Ok(()),
        code => Err(sqlx::Error::Protocol(format!("sqlite3_db_config answered {code}")).into()),
    }
}
