//! Deep tables with millions of rows. The first row of a kind is made by a producer's INSERT and the
//! daemon; the others are copies of it, whatever columns it has.

use crate::daemon::{Outbox, SOON};
use crate::database::{Database, TEXT};
use crate::target::{Answer, Target};
use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, SqliteConnection};

/// Rows per transaction.
const CHUNK: u64 = 250_000;
/// Far away from the conversations of the measured jobs.
const FIRST_CASE: u64 = 1_000_000_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// An integer of at least this is a time in milliseconds.
const FIRST_TIME: i64 = 1_000_000_000_000;

/// The kind of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// They can be claimed, each in a different conversation.
    Ready,
    /// Scheduled for tomorrow, a second apart.
    Scheduled,
    /// Behind a job whose next attempt is most of a day away.
    Parked,
    /// Sent within the last twenty days, each at the first attempt.
    Finished,
}

impl Depth {
    /// The time of copy `i` of a row that has this `time`.
    fn time(self, time: i64) -> String {
        match self {
            Depth::Finished => format!("{} + i", time - 20 * DAY_MS),
            Depth::Scheduled => format!("{time} + i"),
            Depth::Ready | Depth::Parked => time.to_string(),
        }
    }
}

impl Outbox {
    /// Adds this many rows. No other process may have the database open.
    pub fn deepen(&self, depth: Depth, rows: u64) -> Result<()> {
        let database = self.database();
        let last = database.number("SELECT ifnull(max(id), 0) FROM outbox")?.unsigned_abs();
        // The case of row `i` is FIRST_CASE + i.
        let case = FIRST_CASE + last + 1;
        match depth {
            Depth::Ready => insert(&database, case, "NULL", "NULL")?,
            Depth::Scheduled => {
                let tomorrow = format!("{DAY_MS} + CAST(unixepoch('subsec') * 1000 AS INTEGER)");
                insert(&database, case, "NULL", &tomorrow)?;
            }
            Depth::Parked => {
                insert(&database, case, "'stuck'", "NULL")?;
                self.stick()?;
                insert(&database, case, "'stuck'", "NULL")?;
            }
            Depth::Finished => {
                insert(&database, case, "NULL", "NULL")?;
                let target = Target::start(Answer::Chat)?;
                self.start(&target, true)?.wait(SOON)?;
            }
        }
        let first = database.number("SELECT max(id) FROM outbox")?.unsigned_abs();
        // Rows behind one job keep its conversation.
        let case = (depth != Depth::Parked).then(|| case.to_string());
        let copied = database.with(async |connection| {
            multiply(connection, depth, first, rows, case.as_deref()).await
        });
        copied.and_then(|()| self.sync())
    }

    /// Adds jobs until there are this many ready ones.
    pub fn keep_ready(&self, rows: u64) -> Result<()> {
        let ready = self.database().pending()?;
        if ready < rows { self.deepen(Depth::Ready, rows - ready) } else { Ok(()) }
    }

    /// Makes the only job fail once, so that its conversation waits for its next attempt.
    fn stick(&self) -> Result<()> {
        let target = Target::start(Answer::Unavailable)?;
        let retry = "[retry]\ninitial = \"20h\"\nmax = \"20h\"\njitter = 0.0\n";
        let daemon = self.run_with(&target, retry)?;
        crate::poll("a job that waits for its next attempt", SOON, || {
            let waiting = "SELECT count(*) FROM outbox WHERE next_attempt_at IS NOT NULL";
            Ok((self.database().number(waiting)? == 1).then_some(()))
        })?;
        daemon.stop(SOON).map(drop)
    }
}

impl Database {
    pub fn pending(&self) -> Result<u64> {
        Ok(self.number("SELECT count(*) FROM outbox WHERE status = 'pending'")?.unsigned_abs())
    }
}

fn insert(database: &Database, case: u64, key: &str, send_at: &str) -> Result<()> {
    database.execute(&format!(
        "INSERT INTO outbox (channel, payload, ordering_key, send_at)
         VALUES ('chat', json_object('caseId', {case}, 'message', '{TEXT}'), {key}, {send_at})"
    ))
}

/// Copies the row `first` and its history until there are `rows` of it. With the triggers, millions
/// would take minutes, so they are dropped and recreated.
async fn multiply(
    connection: &mut SqliteConnection,
    depth: Depth,
    first: u64,
    rows: u64,
    case: Option<&str>,
) -> Result<()> {
    run(connection, "PRAGMA synchronous = OFF").await?;
    let triggers: Vec<(String, String)> = sqlx::query_as(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'outbox' ORDER BY rowid",
    )
    .fetch_all(&mut *connection)
    .await?;
    for (name, _) in &triggers {
        run(connection, &format!("DROP TRIGGER {name}")).await?;
    }
    let tables = [("outbox", "id"), ("outbox_attempts", "job_id")];
    for (table, id) in tables {
        let Some(copy) = copy_statement(connection, table, id, depth, first, case).await? else {
            continue;
        };
        for start in (first + 1..first + rows).step_by(usize::try_from(CHUNK)?) {
            let end = (start + CHUNK).min(first + rows) - 1;
            let numbers = format!(
                "WITH RECURSIVE n (i) AS (SELECT {start} UNION ALL SELECT i + 1 FROM n WHERE i < {end})"
            );
            run(connection, &format!("{numbers} {copy}")).await?;
        }
    }
    for (_, sql) in triggers {
        run(connection, &sql).await?;
    }
    Ok(())
}

/// Copies the row of job `first` for each `i` of the table `n`; None if there is no such row.
async fn copy_statement(
    connection: &mut SqliteConnection,
    table: &str,
    id: &str,
    depth: Depth,
    first: u64,
    case: Option<&str>,
) -> Result<Option<String>> {
    let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info(?1)")
        .bind(table)
        .fetch_all(&mut *connection)
        .await?;
    let literals = columns.iter().map(|name| format!("quote({name})")).collect::<Vec<_>>();
    let row =
        format!("SELECT json_array({}) FROM {table} WHERE {id} = {first}", literals.join(", "));
    let row: Option<String> =
        sqlx::query_scalar(AssertSqlSafe(row)).fetch_optional(&mut *connection).await?;
    let Some(row) = row else { return Ok(None) };
    let literals: Vec<String> = serde_json::from_str(&row).context("a row's literals")?;
    let values = columns.iter().zip(literals).map(|(name, literal)| {
        match (name.as_str(), literal.parse::<i64>(), case) {
            (name, ..) if name == id => "i".to_owned(),
            ("message_id", ..) if literal != "NULL" => "CAST(8289 + i AS TEXT)".to_owned(),
            (_, Ok(time), _) if time >= FIRST_TIME => depth.time(time),
            (_, Err(_), Some(case)) => {
                literal.replace(case, &format!("' || ({FIRST_CASE} + i) || '"))
            }
            _ => literal,
        }
    });
    let values = values.collect::<Vec<_>>().join(", ");
    Ok(Some(format!("INSERT INTO {table} ({}) SELECT {values} FROM n", columns.join(", "))))
}

async fn run(connection: &mut SqliteConnection, sql: &str) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
