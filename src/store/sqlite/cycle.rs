//! The hot path: one transaction, one round trip and one fsync record what has ended and claim
//! what there is room for.
//!
//! A statement through sqlx costs 80 us, and wakes two threads. So the whole transaction is one
//! INSERT into a view of this connection, whose trigger does the work (`cycle.sql`), and what came
//! of it is one row.

use super::claim;
use super::claim::{CLAIMED, PAYLOAD};
use super::lenient::Lenient;
use super::patience::Pace;
use super::reading;
use super::reading::JOB_COLUMNS;
use super::record;
use super::upkeep::{AGENDA, SENDING_BEFORE};
use super::{SqliteError, SqliteStore};
use crate::queue::claim::Agenda;
use crate::queue::claim::Cycle;
use crate::queue::claim::CycleResult;
use crate::queue::claim::Unreadable;
use crate::queue::job::{Job, Millis};
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};
use std::sync::LazyLock;

/// The procedures that a connection needs for [`SqliteStore::cycle`].
#[doc(hidden)]
pub const PROCEDURES: &str = include_str!("cycle.sql");

const RUN: &str = "INSERT INTO temp.outbox_cycle (sent, ended, claims, due, now, epoch) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// Only the INSERT writes; the row of what came of it is read right after it.
static CYCLE: LazyLock<String> = LazyLock::new(|| format!("{RUN};\n{}", yields(CLAIMED)));

/// The results without the claim, for when a claimed row cannot be put into JSON. `?1`: as `?4`
/// above.
static YIELDS_ALONE: LazyLock<String> = LazyLock::new(|| yields("NULL").replace("?4", "?1"));

/// After the agenda's columns: what was claimed, what the fence refused, and what has expired.
fn yields(claimed: &str) -> String {
    const LOST: &str = "(SELECT json_group_array(id) FROM temp.outbox_cycle_lost)";
    const EXPIRED: &str = "CASE WHEN ?4 THEN (
        SELECT json_group_array(CASE typeof(channel) WHEN 'text' THEN channel END) FROM temp.outbox_cycle_expired) END";
    const SEEN: &str = "(SELECT data_version FROM temp.outbox_cycle_seen)";
    const CUT: &str = "EXISTS (SELECT 1 FROM temp.outbox_cycle_weighed)";
    format!("{AGENDA},\n    {claimed},\n    {LOST},\n    {EXPIRED},\n    {SEEN},\n    {CUT}")
}

/// The claimed jobs, row by row: `?1` is the epoch.
static CLAIMED_ROWS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {JOB_COLUMNS}, payload FROM outbox
         WHERE id IN (SELECT id FROM temp.outbox_cycle_claimed) AND +claimed_by = ?1
         ORDER BY priority DESC, due_at, id"
    )
});

/// The dispatcher's statements by name, beside the procedures; for the test of their plans.
#[doc(hidden)]
pub fn statements() -> Vec<(String, String)> {
    let mut all = vec![
        ("yields", yields(CLAIMED)),
        ("payload", PAYLOAD.to_owned()),
        ("sending_before", SENDING_BEFORE.clone()),
    ];
    all.extend(super::upkeep::STATEMENTS.iter().map(|(name, sql)| (*name, (*sql).to_owned())));
    all.extend(super::sweep::statements());
    all.into_iter().map(|(name, sql)| (name.to_owned(), sql)).collect()
}

/// The elements of an array; empty if it is not an array.
fn elements(row: &SqliteRow, column: usize) -> Vec<Value> {
    row.text(column).and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default()
}

/// What is bound to one cycle, apart from the epoch.
struct Run {
    sent: String,
    others: String,
    claims: String,
    due: bool,
    now: Millis,
}

impl SqliteStore {
    /// Records, moves what is due, claims: one transaction. On an error nothing of it happened, or
    /// all of it without an answer: [`SqliteStore::sending_before`] tells which.
    pub async fn cycle(&mut self, work: &Cycle<'_>) -> Result<CycleResult, SqliteError> {
        if let Some(limit) = work.patience {
            self.patience.set(limit, Pace::Awake);
        }
        let (sent, others) = record::json(work.record, work.epoch);
        let run =
            Run { sent, others, claims: claim::json(work.claim), due: work.due, now: work.now };
        let row = self.run(run, work.epoch).await;
        self.patience.set_usual();
        let row = row?;
        let agenda = Agenda::from_row(&row);
        match row.whole(5) {
            Some(epoch) if epoch == work.epoch => {}
            Some(_) => return Err(SqliteError::Superseded),
            None => self.restore_epoch(work.epoch).await?,
        }
        let (claimed, unreadable) = self.claimed(&row, work).await?;
        let lost: Vec<i64> = elements(&row, 8).iter().filter_map(Value::as_i64).collect();
        let channel = |word: &Value| word.as_str().and_then(|word| word.parse().ok());
        let expired = elements(&row, 9).iter().filter_map(channel).collect();
        let recorded = work.record.iter().map(|ended| ended.transition.id);
        let recorded = recorded.filter(|id| !lost.contains(id)).collect();
        let (seen, cut) = (row.whole(10).unwrap_or_default(), row.whole(11) == Some(1));
        Ok(CycleResult { recorded, claimed, unreadable, cut, expired, seen, agenda })
    }

    async fn run(&mut self, run: Run, epoch: i64) -> Result<SqliteRow, SqliteError> {
        let due = run.due;
        let done = sqlx::query(AssertSqlSafe(CYCLE.as_str()))
            .bind(run.sent)
            .bind(run.others)
            .bind(run.claims)
            .bind(due)
            .bind(run.now)
            .bind(epoch)
            .fetch_one(&mut self.conn)
            .await;
        match done.map_err(SqliteError::from) {
            // Only the reading statement failed: the INSERT before it is on disk.
            Err(e) if e.refusal().is_some_and(|said| said.contains("JSON cannot hold BLOB")) => {
                let yields = sqlx::query(AssertSqlSafe(YIELDS_ALONE.as_str())).bind(due);
                Ok(yields.fetch_one(&mut self.conn).await?)
            }
            done => done,
        }
    }

    /// Records outcomes that are JSON already; gives the ids that the fence refused.
    pub(super) async fn record_json(
        &mut self,
        others: String,
        now: Millis,
        epoch: i64,
    ) -> Result<Vec<i64>, SqliteError> {
        let run = Run { sent: String::new(), others, claims: "[]".to_owned(), due: false, now };
        let row = self.run(run, epoch).await?;
        Ok(elements(&row, 8).iter().filter_map(Value::as_i64).collect())
    }

    /// All together where each is as it should be, else row by row.
    async fn claimed(
        &mut self,
        row: &SqliteRow,
        work: &Cycle<'_>,
    ) -> Result<(Vec<Job>, Vec<Unreadable>), SqliteError> {
        if let Ok(Some(json)) = row.try_get::<Option<&[u8]>, _>(7)
            && let Ok(jobs) = self.jobs(json, work.epoch).await
        {
            return Ok((jobs, Vec::new()));
        }
        let rows = sqlx::query(AssertSqlSafe(CLAIMED_ROWS.as_str())).bind(work.epoch);
        let rows = rows.fetch_all(&mut self.conn).await?;
        let (jobs, unreadable) = reading::jobs_from(&rows, work.now);
        Ok((jobs.into_iter().map(|(job, _)| job).collect(), unreadable))
    }

    /// The claimed jobs with their payloads. They are claimed by now: on an error none is sent, and
    /// the dispatcher finds and withdraws them.
    async fn jobs(&mut self, json: &[u8], epoch: i64) -> Result<Vec<Job>, SqliteError> {
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
