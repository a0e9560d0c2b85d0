//! Deep tables: rows by the million, as the triggers and the daemon would have left them.

use crate::database::{Database, WORDS};
use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, SqliteConnection};
use std::fs::File;

/// Rows of one transaction.
const CHUNK: u64 = 250_000;
/// Far from the conversations of the jobs that are measured.
const FIRST_CASE: u64 = 1_000_000_000;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Why the rows are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Can be claimed, each in a conversation of its own.
    Ready,
    /// For tomorrow, and the seconds after.
    Scheduled,
    /// Behind the job of [`Database::stick`].
    Parked,
    /// Sent within the last twenty days, each at the first attempt.
    Finished,
}

impl Depth {
    /// Inserts a row for each `i` of the table `n`, which is its id, at the time `now`.
    fn statements(self) -> Vec<String> {
        let insert = |columns: &str, values: &str| {
            format!(
                "INSERT INTO outbox (id, channel, payload, lane, {columns})
                 SELECT i, 'chat', json_object('caseId', {FIRST_CASE} + i, 'message', '{WORDS}'),
                        'case:chat/' || ({FIRST_CASE} + i) || '/default', {values} FROM n, clock"
            )
        };
        match self {
            Depth::Ready => {
                vec![insert("due_at, updated_at, wait, holds", "now, now, 'ready', 1")]
            }
            Depth::Scheduled => {
                let at = format!("now + {DAY_MS} + i");
                vec![insert("send_at, due_at, updated_at, wait", &format!("{at}, {at}, now, 'scheduled'"))]
            }
            Depth::Parked => vec![format!(
                "INSERT INTO outbox (id, channel, payload, ordering_key, lane, due_at, updated_at, wait)
                 SELECT i, 'chat', json_object('caseId', {FIRST_CASE}, 'message', '{WORDS}'),
                        'stuck', 'key:stuck', now, now, 'parked' FROM n, clock"
            )],
            Depth::Finished => {
                let at = format!("now - {} + i", 20 * DAY_MS);
                vec![
                    insert(
                        "created_at, due_at, updated_at, budget_from, finished_at, status, attempts, message_id, receipt",
                        &format!(
                            "{at}, {at}, {at} + 9, {at} + 2, {at} + 9, 'sent', 1, 8289 + i,
                             json_object('id', 8289 + i, 'caseId', {FIRST_CASE} + i, 'threadId', 1875,
                                         'contactId', 597759, 'dateCreated', '2021-03-30T16:05:46.000Z')"
                        ),
                    ),
                    format!(
                        "INSERT INTO outbox_attempts (job_id, attempt, started_at, duration_ms, outcome, http_status)
                         SELECT i, 1, {at} + 2, 7, 'accepted', 200 FROM n, clock"
                    ),
                ]
            }
        }
    }
}

impl Database {
    /// Adds so many rows. By the triggers, millions would take minutes: they are taken away, the
    /// rows written with what the triggers would have put into them, and the same triggers made
    /// again. No other process may have the database open.
    pub fn deepen(&self, depth: Depth, rows: u64) -> Result<()> {
        self.with(async |connection| {
            sqlx::raw_sql("PRAGMA synchronous = OFF").execute(&mut *connection).await?;
            let triggers: Vec<(String, String)> = sqlx::query_as(
                "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'outbox' ORDER BY rowid",
            )
            .fetch_all(&mut *connection)
            .await?;
            for (name, _) in &triggers {
                run(connection, format!("DROP TRIGGER {name}")).await?;
            }
            let last: Option<i64> =
                sqlx::query_scalar("SELECT max(id) FROM outbox").fetch_one(&mut *connection).await?;
            let first = last.unwrap_or(0).unsigned_abs() + 1;
            for start in (first..first + rows).step_by(usize::try_from(CHUNK)?) {
                let end = (start + CHUNK).min(first + rows) - 1;
                run(connection, chunk(depth, start, end)).await?;
            }
            for (_, sql) in triggers {
                run(connection, sql).await?;
            }
            Ok(())
        })?;
        // No connection of this process is open any more, whose locks the close would drop.
        File::open(self.path())?.sync_all().context("the deep table")
    }

    /// One conversation whose first job waits for a retry that is a day away, written as the
    /// daemon writes it, so that [`Depth::Parked`] has something to wait behind.
    pub fn stick(&self) -> Result<()> {
        self.execute(&format!(
            "BEGIN;
             INSERT INTO outbox (channel, payload, ordering_key)
             VALUES ('chat', json_object('caseId', {FIRST_CASE}, 'message', '{WORDS}'), 'stuck');
             UPDATE outbox SET status = 'sending', moves = moves + 1, wait = NULL, attempts = 1, claimed_by = 0,
                 budget_from = updated_at
             WHERE lane = 'key:stuck';
             UPDATE outbox SET status = 'pending', wait = 'backoff', moves = moves + 1, claimed_by = NULL,
                 next_attempt_at = updated_at + {DAY_MS}, error_code = 'http_503', error = 'unavailable'
             WHERE lane = 'key:stuck';
             INSERT INTO outbox_attempts (job_id, attempt, started_at, duration_ms, outcome, http_status)
             SELECT id, 1, updated_at, 7, 'retry', 503 FROM outbox WHERE lane = 'key:stuck';
             COMMIT"
        ))
    }

    /// Adds what is missing to so many ready jobs.
    pub fn keep_ready(&self, rows: u64) -> Result<()> {
        let ready = self.ready()?;
        if ready < rows { self.deepen(Depth::Ready, rows - ready) } else { Ok(()) }
    }

    pub fn ready(&self) -> Result<u64> {
        Ok(self.number("SELECT count(*) FROM outbox WHERE wait = 'ready'")?.unsigned_abs())
    }
}

/// The rows with the ids from `start` to `end`, in one transaction.
fn chunk(depth: Depth, start: u64, end: u64) -> String {
    let tables = format!(
        "WITH RECURSIVE n (i) AS (SELECT {start} UNION ALL SELECT i + 1 FROM n WHERE i < {end}),
              clock (now) AS MATERIALIZED (SELECT now FROM outbox_clock)"
    );
    let statements: Vec<_> =
        depth.statements().iter().map(|insert| format!("{tables} {insert};")).collect();
    format!("BEGIN; {} COMMIT", statements.concat())
}

async fn run(connection: &mut SqliteConnection, sql: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
