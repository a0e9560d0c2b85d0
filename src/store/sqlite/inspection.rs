//! Whether an outbox can be used and what is wrong with it, for `check`; and what the file system
//! says about it, for the health page.

use super::lenient::Lenient;
use super::{Contents, Progress, RealPath, SqliteError, SqliteStore, disk};
use crate::queue::examination::{Depth, Examination, Healthy, Storage};
use crate::queue::policy::Purpose;
use sqlx::Connection;
use std::path::Path;

const CHANGES_NOTHING: &str = "DELETE FROM outbox WHERE 0";

/// What is wrong with the outbox.
#[derive(Debug, thiserror::Error)]
enum Finding {
    #[error("{0}")]
    Unusable(String),
    #[error("{0}")]
    Disk(String),
    #[error(
        "{}: they were missing or turned off; `acquire-outbox run` checks and queues such rows; a \
         program that turns the triggers off must be changed", untouched(*.rows, *.first)
    )]
    Untouched { rows: u64, first: i64 },
    #[error(
        "is older than what was sent from it, like a restored backup; the next `run` pauses everything \
         until a person decides, see docs/recipes.md"
    )]
    Behind,
    #[error("is damaged; restore a backup, or save what there is with `.recover`: {0}")]
    Damaged(String),
}

fn untouched(rows: u64, first: i64) -> String {
    match rows {
        1 => format!("1 job was written without the triggers and is in no queue (job {first})"),
        rows => format!(
            "{rows} jobs were written without the triggers and are in no queue (the first is job {first})"
        ),
    }
}

/// Asks only the file system: opening and closing the file would drop SQLite's locks.
pub(crate) fn storage(path: &Path) -> Storage {
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let real = RealPath::of(path).ok();
    Storage {
        bytes: bytes(path),
        log_bytes: real.as_ref().map_or(0, |real| bytes(&real.with_ending("-wal"))),
        shortage: disk::shortage(path),
        caution: real.as_ref().and_then(disk::caution),
    }
}

impl SqliteStore {
    /// Opens the outbox as it is, and takes the write lock for a moment; nothing is written.
    pub async fn examine(path: &Path, depth: Depth) -> Examination {
        let verdict = examined(path, depth).await.map_err(|finding| finding.to_string());
        Examination { verdict, caution: storage(path).caution }
    }

    /// What SQLite finds wrong with the file, at most ten sentences; reads all of it.
    pub async fn damage(&mut self) -> Result<Vec<String>, SqliteError> {
        let rows = sqlx::query("PRAGMA quick_check(10)").fetch_all(&mut self.conn).await?;
        Ok(rows.iter().map(|row| row.text_or_empty(0)).filter(|line| line != "ok").collect())
    }

    async fn write_nothing(&mut self) -> Result<(), SqliteError> {
        self.conn.begin_with("BEGIN IMMEDIATE").await?.rollback().await?;
        // Where it may not write to the file, SQLite gives the lock and refuses the first statement.
        sqlx::query(CHANGES_NOTHING).execute(&mut self.conn).await?;
        Ok(())
    }
}

async fn examined(path: &Path, depth: Depth) -> Result<Healthy, Finding> {
    let unusable = |e| Finding::Unusable(super::neutral(e, Some(path)).to_string());
    let real = RealPath::of(path).map_err(|e| unusable(e.into()))?;
    real.require_only_one().map_err(|e| unusable(e.into()))?;
    if path.exists() {
        disk::trial(&real).map_err(Finding::Disk)?;
    }
    let mut store = SqliteStore::open_existing(path).await.map_err(unusable)?;
    if store.is_sandbox() {
        Contents::SandboxOutbox.require(Purpose::Delivery, path).map_err(unusable)?;
    }
    if let Some(noted) = Progress::noted(&real)
        && store.is_behind(&noted).await.map_err(unusable)?
    {
        return Err(Finding::Behind);
    }
    let schema = store.schema_version().await.map_err(unusable)?;
    let flaws = store.flaws().await.map_err(unusable)?;
    if !flaws.is_empty() {
        return Err(unusable(SqliteError::Flawed { path: path.to_owned(), flaws }));
    }
    let untouched = store.untouched().await.map_err(unusable)?;
    if let Some(&first) = untouched.first.first() {
        return Err(Finding::Untouched { rows: untouched.count, first });
    }
    store.write_nothing().await.map_err(unusable)?;
    let set_aside = store.set_aside_summary(0).await.map_err(unusable)?.count;
    if depth == Depth::Full {
        let damage = store.damage().await.map_err(unusable)?;
        if !damage.is_empty() {
            return Err(Finding::Damaged(damage.join("; ")));
        }
    }
    Ok(Healthy { schema, set_aside })
}
