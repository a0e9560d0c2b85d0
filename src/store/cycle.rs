//! The hot path: one transaction, one round trip and one fsync record what has ended and claim
//! what there is room for.
//!
//! A statement through sqlx costs 80 us, so the whole transaction goes to the connection's
//! thread as one string of statements; rows tell by their first column whose they are.

use super::upkeep::{AGENDA, Agenda};
use super::{Store, StoreError};
use crate::job::{Channel, Job, Millis};
use crate::transition::{AttemptKind, Transition, Wait};
use futures_util::TryStreamExt;
use serde::Serialize;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row};
use std::fmt::Write;

/// How many rows one transaction moves at most by time: short, so that no producer waits long.
const DUE_BATCH: i64 = 500;

/// Room for jobs of one account and channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub account: String,
    pub channel: Channel,
    pub limit: u32,
}

/// What one cycle is to do.
pub struct CycleWork<'a> {
    /// Attempts that have ended, with how long each took and when it began.
    pub record: &'a [Ended],
    pub claim: &'a [Claim],
    /// Move what has fallen due: scheduled, backoff, expired.
    pub due: bool,
    pub now: Millis,
    pub epoch: i64,
}

/// An ended attempt, decided.
#[derive(Debug, Clone)]
pub struct Ended {
    pub transition: Transition,
    pub http_status: Option<u16>,
    pub started_at: Millis,
    pub duration_ms: i64,
}

/// What one cycle has done.
#[derive(Debug, Default)]
pub struct CycleYield {
    /// The ids whose outcome is now on disk.
    pub recorded: Vec<i64>,
    /// Claimed, durable, in the order in which they are to be sent.
    pub claimed: Vec<Job>,
    /// What comes next.
    pub agenda: Agenda,
}

// Materialized: json_each writes an element out as text each time that its `value` is named.
const RECORD: &str = "\
WITH ended AS MATERIALIZED (SELECT value AS j FROM json_each(?1))
UPDATE outbox SET
    status = j.status, wait = j.wait, holds = CASE j.status WHEN 'pending' THEN holds END,
    claimed_by = NULL, attempts = j.attempts, next_attempt_at = j.next_attempt_at,
    unspent = j.unspent, uncertain_attempts = j.uncertain_attempts, budget_from = j.budget_from,
    message_id = j.message_id, receipt = j.receipt, failure = j.failure,
    error_code = CASE j.status WHEN 'pending' THEN ifnull(j.error_code, outbox.error_code) ELSE j.error_code END,
    error = CASE j.status WHEN 'pending' THEN ifnull(j.error, outbox.error) ELSE j.error END,
    finished_at = j.finished_at, updated_at = j.updated_at
FROM (SELECT j->>0 AS id, j->>1 AS fence_attempts, j->>2 AS fence_claim, j->>3 AS status,
             j->>4 AS wait, j->>5 AS next_attempt_at, j->>6 AS attempts, j->>7 AS unspent,
             j->>8 AS uncertain_attempts, j->>9 AS budget_from, j->>10 AS message_id,
             j->>11 AS receipt, j->>12 AS failure, j->>13 AS error_code, j->>14 AS error,
             j->>15 AS finished_at, j->>16 AS updated_at
      FROM ended) AS j
WHERE outbox.id = j.id AND outbox.status = 'sending' AND outbox.claimed_by = j.fence_claim
  AND outbox.attempts = j.fence_attempts
RETURNING 'recorded', outbox.id;
WITH ended AS MATERIALIZED (SELECT value AS j FROM json_each(?1))
INSERT OR IGNORE INTO outbox_attempts
    (job_id, attempt, started_at, duration_ms, outcome, http_status, error_code, error)
SELECT j->>0, j->>1, j->>17, j->>18, j->>19, j->>20, j->>13, j->>14
FROM ended WHERE j->>19 IS NOT NULL;
";

/// One element of RECORD's JSON array; its order is the SQL's.
#[derive(Serialize)]
struct RecordRow<'a>(
    i64,
    i64,
    i64,
    &'a str,
    Option<&'a str>,
    Option<Millis>,
    i64,
    i64,
    i64,
    Option<Millis>,
    Option<&'a str>,
    Option<String>,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    Option<Millis>,
    Millis,
    Millis,
    i64,
    Option<AttemptKind>,
    Option<u16>,
);

fn record_json(ended: &[Ended]) -> String {
    let rows: Vec<_> = ended
        .iter()
        .map(|e| {
            let t = &e.transition;
            let fields = &t.receipt.fields;
            let receipt = (!fields.is_empty()).then(|| {
                serde_json::to_string(fields).expect("a map with text keys is always JSON")
            });
            RecordRow(
                t.id,
                t.fence_attempts,
                t.fence_claim,
                t.status.as_str(),
                t.wait.map(|w| match w {
                    Wait::Ready => "ready",
                    Wait::Backoff => "backoff",
                }),
                t.next_attempt_at,
                t.attempts,
                t.unspent,
                t.uncertain_attempts,
                t.budget_from,
                t.receipt.message_id.as_deref(),
                receipt,
                t.failure.map(|f| f.as_str()),
                t.fault.as_ref().map(|f| f.code.as_str()),
                t.fault.as_ref().map(|f| f.message.as_str()),
                t.finished_at,
                t.updated_at,
                e.started_at,
                e.duration_ms,
                t.history,
                e.http_status,
            )
        })
        .collect();
    serde_json::to_string(&rows).expect("rows of texts and numbers are always JSON")
}

// `LIMIT ?` alone makes SQLite prepare its statement anew for each value bound; `? + 0` does not.

// What has fallen due. A scheduled job with a lane takes its place there (trigger outbox_due), which
// may make a later row of the same UPDATE the holder of its lane: that one stays so.
const DUE: &str = "\
UPDATE outbox SET status = 'failed', failure = 'expired', error_code = 'expired',
    error = CASE WHEN uncertain_attempts > 0
        THEN 'expires_at passed; an earlier attempt, whose outcome is unknown, may have arrived'
        ELSE 'expires_at passed before the message was sent' END
WHERE id IN (SELECT id FROM outbox WHERE status = 'pending' AND expires_at IS NOT NULL AND expires_at < ?2
             ORDER BY expires_at LIMIT ?3 + 0);
UPDATE outbox SET wait = 'ready'
WHERE id IN (SELECT id FROM outbox WHERE wait = 'backoff' AND next_attempt_at <= ?2
             ORDER BY next_attempt_at LIMIT ?3 + 0);
UPDATE outbox SET wait = CASE WHEN wait <> 'scheduled' THEN wait WHEN lane IS NULL THEN 'ready' ELSE 'parked' END
WHERE id IN (SELECT id FROM outbox WHERE wait = 'scheduled' AND due_at <= ?2 ORDER BY due_at LIMIT ?3 + 0);
";

/// The claim of every route with room, as one UPDATE. `epoch` fences it: a dispatcher that has
/// been superseded claims nothing.
fn claim_sql(routes: usize, first_arg: usize) -> String {
    let mut sql = String::from(
        "UPDATE outbox SET status = 'sending', wait = NULL, attempts = attempts + 1, claimed_by = ?4,
    next_attempt_at = NULL, updated_at = ?2, budget_from = ifnull(budget_from, ?2)
WHERE (SELECT epoch FROM outbox_dispatcher) = ?4 AND status = 'pending' AND id IN (\n",
    );
    for route in 0..routes {
        if route > 0 {
            sql.push_str("    UNION ALL\n");
        }
        let arg = first_arg + route * 3;
        let _ = writeln!(
            sql,
            "    SELECT id FROM (SELECT id FROM outbox WHERE wait = 'ready' AND account = ?{} AND channel = ?{}
        AND (expires_at IS NULL OR expires_at >= ?2) ORDER BY priority DESC, due_at, id LIMIT ?{} + 0)",
            arg,
            arg + 1,
            arg + 2
        );
    }
    sql.push_str(
        ") RETURNING 'claimed', id, channel, account, payload, attempts, unspent, uncertain_attempts,
    budget_from, max_attempts, priority, due_at;\n",
    );
    sql
}

/// The dispatcher's statements by name, with the claim of three routes; for the test of their plans.
#[doc(hidden)]
pub fn statements() -> Vec<(String, String)> {
    let parts = |name: &str, sql: &str| {
        let part = |(n, part): (usize, &str)| (format!("{name} {n}"), part.trim().to_owned());
        sql.split(";\n")
            .enumerate()
            .map(part)
            .filter(|(_, sql)| !sql.is_empty())
            .collect::<Vec<_>>()
    };
    let mut all =
        [parts("record", RECORD), parts("due", DUE), parts("claim", &claim_sql(3, 5))].concat();
    all.extend(super::upkeep::STATEMENTS.iter().flat_map(|(name, sql)| parts(name, sql)));
    all
}

impl Store {
    /// Records, moves what is due, claims: one transaction. On an error nothing of it happened
    /// (or, when only the COMMIT's answer was lost, [`Store::claimed_ids`] tells what did).
    pub async fn cycle(&mut self, work: &CycleWork<'_>) -> Result<CycleYield, StoreError> {
        let mut sql = String::from("BEGIN IMMEDIATE;\n");
        let mut args = SqliteArguments::default();
        let json = if work.record.is_empty() { String::new() } else { record_json(work.record) };
        let bind = |e: sqlx::error::BoxDynError| StoreError::Sql(sqlx::Error::Encode(e));
        args.add(json).map_err(bind)?;
        args.add(work.now).map_err(bind)?;
        args.add(DUE_BATCH).map_err(bind)?;
        args.add(work.epoch).map_err(bind)?;
        if !work.record.is_empty() {
            sql.push_str(RECORD);
        }
        if work.due {
            sql.push_str(DUE);
        }
        if !work.claim.is_empty() {
            sql.push_str(&claim_sql(work.claim.len(), 5));
            for claim in work.claim {
                args.add(claim.account.clone()).map_err(bind)?;
                args.add(claim.channel.as_str()).map_err(bind)?;
                args.add(i64::from(claim.limit)).map_err(bind)?;
            }
        }
        sql.push_str(AGENDA);
        sql.push_str(";\nCOMMIT;");
        match self.run_cycle(sql, args, work.epoch).await {
            Ok(done) => Ok(done),
            Err(e) => {
                // The statement that failed may have left its transaction open.
                let _ = sqlx::query("ROLLBACK").execute(&mut self.conn).await;
                Err(e)
            }
        }
    }

    async fn run_cycle(
        &mut self,
        sql: String,
        args: SqliteArguments,
        epoch: i64,
    ) -> Result<CycleYield, StoreError> {
        let mut done = CycleYield::default();
        let mut claimed = Vec::new();
        let mut rows = sqlx::query_with(AssertSqlSafe(sql), args).fetch(&mut self.conn);
        while let Some(row) = rows.try_next().await? {
            match row.try_get::<&str, _>(0)? {
                "recorded" => done.recorded.push(row.try_get(1)?),
                "claimed" => claimed.push(claimed_job(&row, epoch)?),
                _ => done.agenda = Agenda::from_row(&row)?,
            }
        }
        drop(rows);
        if done.agenda.epoch != epoch {
            return Err(StoreError::Superseded);
        }
        claimed.sort_by_key(|(order, _)| *order);
        done.claimed = claimed.into_iter().map(|(_, job)| job).collect();
        Ok(done)
    }

    /// The ids that are `sending` under `epoch`: after an error of a COMMIT, what really happened.
    pub async fn claimed_ids(&mut self, epoch: i64) -> Result<Vec<i64>, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT id FROM outbox WHERE claimed_by = ?1 AND claimed_by IS NOT NULL",
        )
        .bind(epoch)
        .fetch_all(&mut self.conn)
        .await?)
    }
}

/// A row of the claim: its place in the order of sending, and the job.
fn claimed_job(row: &SqliteRow, epoch: i64) -> Result<((i64, Millis, i64), Job), StoreError> {
    let job = Job { channel: column_word(row, 2)?, ..job_from(row, epoch)? };
    let priority: i64 = row.try_get(10)?;
    Ok(((-priority, row.try_get(11)?, job.id), job))
}

/// Columns 1 to 9 of a claim or of a row to recover.
pub(super) fn job_from(row: &SqliteRow, claim: i64) -> Result<Job, StoreError> {
    Ok(Job {
        id: row.try_get(1)?,
        channel: column_word(row, 2)?,
        account: row.try_get(3)?,
        payload: row.try_get(4)?,
        attempts: row.try_get(5)?,
        claim,
        unspent: row.try_get(6)?,
        uncertain_attempts: row.try_get(7)?,
        budget_from: row.try_get(8)?,
        max_attempts: row.try_get(9)?,
    })
}

fn column_word(row: &SqliteRow, column: usize) -> Result<Channel, StoreError> {
    let word: &str = row.try_get(column)?;
    word.parse().map_err(|e: crate::job::UnknownWord| sqlx::Error::Decode(Box::new(e)).into())
}
