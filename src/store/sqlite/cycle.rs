//! The hot path: one transaction, one round trip and one fsync record what has ended and claim
//! what there is room for.
//!
//! A statement through sqlx costs 80 us, and wakes two threads. So the whole transaction is one
//! INSERT into a view of this connection, whose trigger does the work (`cycle.sql`), and its result
//! is one row.

use super::agenda::AGENDA;
use super::busy_handler::BusyWait;
use super::claimed_rows::{self, PAYLOAD, claimed_json};
use super::epoch::SENDING_BEFORE;
use super::lenient::Lenient;
use super::reading::{self, JOB_COLUMNS, Unreadable};
use super::{SqliteError, SqliteStore, history, record};
use crate::queue::claim::{Agenda, Cycle};
use crate::queue::job::{Channel, Job, Millis};
use crate::queue::outcome_counts::tallied;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};
use std::sync::LazyLock;
use std::time::Duration;

/// How long a cycle waits for another program's commit. If that takes longer, it is a long transaction or
/// a slow disk, and its end causes another file event.
const EXPECTING: Duration = Duration::from_millis(50);

/// The procedures that a dispatcher's connection needs for [`SqliteStore::cycle`].
#[doc(hidden)]
pub static PROCEDURES: LazyLock<String> =
    LazyLock::new(|| record::procedures() + include_str!("cycle.sql") + &history::procedures());

const RUN: &str = "INSERT INTO temp.outbox_cycle (sent, ended, claims, due, now, epoch, tallies) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// Only the INSERT writes; its result is read right after it.
static CYCLE: LazyLock<String> = LazyLock::new(|| format!("{RUN};\n{}", results(&claimed_json())));

/// The results without the claimed jobs, for when a claimed row cannot be put into JSON. `?1` is `?4`
/// above.
static RESULTS_ALONE: LazyLock<String> = LazyLock::new(|| results("NULL").replace("?4", "?1"));

/// The result of a cycle, and the agenda.
fn results(claimed: &str) -> String {
    const LOST: &str = "(SELECT json_group_array(id) FROM temp.outbox_cycle_lost)";
    const EXPIRED: &str = "CASE WHEN ?4 THEN (
        SELECT json_group_array(CASE typeof(channel) WHEN 'text' THEN channel END) FROM temp.outbox_cycle_expired) END";
    const SEEN: &str = "(SELECT data_version FROM temp.outbox_cycle_seen)";
    const CUT: &str = "EXISTS (SELECT 1 FROM temp.outbox_cycle_weighed)";
    format!(
        "{AGENDA},\n    {claimed} AS claimed,\n    {LOST} AS lost,\n    {EXPIRED} AS expired,
    {SEEN} AS seen,\n    {CUT} AS cut"
    )
}

/// The claimed jobs, row by row: `?1` is the epoch.
static CLAIMED_ROWS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {JOB_COLUMNS}, payload FROM outbox
         WHERE id IN (SELECT id FROM temp.outbox_cycle_claimed) AND +claimed_by = ?1
         ORDER BY priority DESC, due_at, id"
    )
});

/// The dispatcher's statements by name, without those of the procedures; for the test of their plans.
#[doc(hidden)]
pub fn statements() -> Vec<(String, String)> {
    let mut all = vec![
        ("results", results(&claimed_json())),
        ("payload", PAYLOAD.to_owned()),
        ("sending_before", SENDING_BEFORE.clone()),
    ];
    all.extend(super::statements::STATEMENTS.iter().map(|(name, sql)| (*name, (*sql).to_owned())));
    all.extend(super::stray_rows::statements());
    all.into_iter().map(|(name, sql)| (name.to_owned(), sql)).collect()
}

/// The elements of an array; empty if it is not an array.
fn elements(row: &SqliteRow, column: &str) -> Vec<Value> {
    row.text(column).and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default()
}

/// What is bound to one cycle, apart from the epoch.
struct Run {
    sent: String,
    others: String,
    /// For the history; `None`: it is worked out from the rows.
    tallies: Option<String>,
    claims: String,
    due: bool,
    now: Millis,
}

/// What one cycle has done in the file.
pub(super) struct CycleInFile {
    /// These outcomes are not on disk. Their rows may have left this claim, or a trigger has ignored
    /// the change.
    pub unrecorded: Vec<i64>,
    pub claimed: Vec<Job>,
    /// Claimed rows that cannot be read as jobs; the caller ends them.
    pub unreadable: Vec<Unreadable>,
    pub cut: bool,
    /// The channels of those that expired, one each.
    pub expired: Vec<Channel>,
    /// The data version that the claim has seen.
    pub seen: i64,
    pub agenda: Agenda,
    /// The data version when the agenda was read.
    pub data_version: i64,
}

impl SqliteStore {
    /// Only for the dispatcher's connection.
    pub(super) async fn create_procedures(&mut self) -> Result<(), SqliteError> {
        sqlx::raw_sql(AssertSqlSafe(PROCEDURES.as_str())).execute(&mut self.conn).await?;
        Ok(())
    }

    /// Records, moves what is due, claims: one transaction. After an error either nothing
    /// happened or all of it: [`SqliteStore::sending_before`] shows which.
    pub(super) async fn cycle(
        &mut self,
        work: &Cycle<'_>,
        epoch: i64,
    ) -> Result<CycleInFile, SqliteError> {
        let (sent, others) = record::json(work.record, epoch);
        let run = Run {
            sent,
            others,
            tallies: Some(history::json(&tallied(work.record))),
            claims: claimed_rows::json(work.room),
            due: work.due,
            now: work.now,
        };
        if work.expecting {
            self.busy_handler.set(EXPECTING, BusyWait::Spinning);
        }
        let row = self.run(run, epoch).await;
        self.busy_handler.set_usual();
        let row = row?;
        match row.whole("epoch") {
            Some(now) if now == epoch => {}
            Some(_) => return Err(SqliteError::Superseded),
            None => self.restore_epoch(epoch).await?,
        }
        let (claimed, unreadable) = self.claimed(&row, work.now, epoch).await?;
        let channel = |word: &Value| word.as_str().and_then(|word| word.parse().ok());
        let (agenda, data_version) = Agenda::from_row(&row);
        Ok(CycleInFile {
            unrecorded: elements(&row, "lost").iter().filter_map(Value::as_i64).collect(),
            claimed,
            unreadable,
            cut: row.whole("cut") == Some(1),
            expired: elements(&row, "expired").iter().filter_map(channel).collect(),
            seen: row.whole("seen").unwrap_or_default(),
            agenda,
            data_version,
        })
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
            .bind(run.tallies)
            .fetch_one(&mut self.conn)
            .await;
        match done.map_err(SqliteError::from) {
            // Only the reading statement failed: the INSERT before it is on disk.
            Err(e) if e.refusal().is_some_and(|said| said.contains("JSON cannot hold BLOB")) => {
                let results = sqlx::query(AssertSqlSafe(RESULTS_ALONE.as_str())).bind(due);
                Ok(results.fetch_one(&mut self.conn).await?)
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
        let (sent, claims) = (String::new(), "[]".to_owned());
        let run = Run { sent, others, tallies: None, claims, due: false, now };
        let row = self.run(run, epoch).await?;
        Ok(elements(&row, "lost").iter().filter_map(Value::as_i64).collect())
    }

    /// Reads all of them at once or, if one is not as it should be, row by row.
    async fn claimed(
        &mut self,
        row: &SqliteRow,
        now: Millis,
        epoch: i64,
    ) -> Result<(Vec<Job>, Vec<Unreadable>), SqliteError> {
        if let Ok(Some(json)) = row.try_get::<Option<&[u8]>, _>("claimed")
            && let Ok(jobs) = self.jobs(json, epoch).await
        {
            return Ok((jobs, Vec::new()));
        }
        let rows = sqlx::query(AssertSqlSafe(CLAIMED_ROWS.as_str())).bind(epoch);
        let rows = rows.fetch_all(&mut self.conn).await?;
        let (jobs, unreadable) = reading::jobs_from(&rows, now);
        Ok((jobs.into_iter().map(|(job, _)| job).collect(), unreadable))
    }

    /// The claimed jobs with their payloads. They are already claimed: after an error none is
    /// sent, and the dispatcher finds them and gives them back.
    async fn jobs(&mut self, json: &[u8], epoch: i64) -> Result<Vec<Job>, SqliteError> {
        let (mut jobs, without) = claimed_rows::jobs(json, epoch)?;
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
