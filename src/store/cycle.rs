//! The hot path: one transaction, one round trip and one fsync record what has ended and claim
//! what there is room for.
//!
//! A statement through sqlx costs 80 us, so the whole transaction goes to the connection's
//! thread as one string of statements; rows tell by their first column whose they are.

use super::claim::{self, Claim, PAYLOAD, claim_sql};
use super::record::{self, Ended, RECORD};
use super::upkeep::{AGENDA, Agenda};
use super::{Store, StoreError};
use crate::job::{Channel, Job, Millis};
use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row};

/// How many rows one transaction moves at most by time: short, so that no producer waits long.
const DUE_BATCH: i64 = 500;

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
UPDATE outbox SET wait = CASE WHEN wait <> 'scheduled' THEN wait WHEN lane IS NULL THEN 'ready' ELSE 'parked' END,
    due_at = due_at
WHERE id IN (SELECT id FROM outbox WHERE wait = 'scheduled' AND due_at <= ?2 ORDER BY due_at LIMIT ?3 + 0);
";

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
    let mut all = [
        parts("ended_table", record::ENDED_TABLE),
        parts("record", RECORD),
        parts("due", DUE),
        parts("claim", &claim_sql(3, 5)),
        parts("payload", PAYLOAD),
    ]
    .concat();
    all.extend(super::upkeep::STATEMENTS.iter().flat_map(|(name, sql)| parts(name, sql)));
    all
}

impl Store {
    /// Records, moves what is due, claims: one transaction. On an error nothing of it happened
    /// (or, when only the COMMIT's answer was lost, [`Store::sending_before`] tells what did).
    pub async fn cycle(&mut self, work: &CycleWork<'_>) -> Result<CycleYield, StoreError> {
        let mut sql = String::from("BEGIN IMMEDIATE;\n");
        let mut args = SqliteArguments::default();
        let json = if work.record.is_empty() { String::new() } else { record::json(work.record) };
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
        match self.run_cycle(sql, args, work).await {
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
        work: &CycleWork<'_>,
    ) -> Result<CycleYield, StoreError> {
        let (mut lost, mut claimed) = (Vec::new(), Vec::new());
        let mut agenda = Agenda::default();
        let mut rows = sqlx::query_with(AssertSqlSafe(sql), args).fetch(&mut self.conn);
        while let Some(row) = rows.try_next().await? {
            match row.try_get::<&str, _>(0)? {
                "lost" => lost = ids(row.try_get(1)?)?,
                "claimed" => claimed = row.try_get(1)?,
                _ => agenda = Agenda::from_row(&row)?,
            }
        }
        drop(rows);
        if agenda.epoch != work.epoch {
            return Err(StoreError::Superseded);
        }
        let recorded = work.record.iter().map(|ended| ended.transition.id);
        let recorded = recorded.filter(|id| !lost.contains(id)).collect();
        let claimed: Vec<u8> = claimed;
        let claimed = match claimed.is_empty() {
            true => Vec::new(),
            false => self.jobs(&claimed, work.epoch).await?,
        };
        Ok(CycleYield { recorded, claimed, agenda })
    }

    /// The claimed jobs with their payloads. They are claimed by now: on an error none is sent, and
    /// the dispatcher finds and withdraws them.
    async fn jobs(&mut self, json: &[u8], epoch: i64) -> Result<Vec<Job>, StoreError> {
        let (mut jobs, without) = claim::jobs(json, epoch)?;
        for id in without {
            let payload: Vec<u8> =
                sqlx::query_scalar(PAYLOAD).bind(id).fetch_one(&mut self.conn).await?;
            if let Some(job) = jobs.iter_mut().find(|job| job.id == id) {
                job.payload = payload;
            }
        }
        Ok(jobs)
    }
}

/// Columns 1 to 9 of a row to recover.
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

fn ids(json: &str) -> Result<Vec<i64>, StoreError> {
    serde_json::from_str(json).map_err(|e| sqlx::Error::Decode(Box::new(e)).into())
}
