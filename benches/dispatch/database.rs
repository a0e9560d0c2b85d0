//! The benchmark's access to the database file: plain SQL, like any producer.

use anyhow::{Context, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The text of every message.
pub const TEXT: &str = "Hello, this is a message of about a hundred characters, as long as what people write in a chat.";

/// A table without triggers, to measure what a commit costs by itself.
pub const PLAIN_TABLE: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    CREATE TABLE plain (id INTEGER PRIMARY KEY, words TEXT)";

/// One commit, synced.
pub async fn insert_plain(connection: &mut SqliteConnection) -> Result<()> {
    let insert = sqlx::query("INSERT INTO plain (words) VALUES (?1)").bind(TEXT);
    insert.execute(connection).await?;
    Ok(())
}

/// A database file, opened for each call as a script would.
pub struct Database {
    path: PathBuf,
}

impl Database {
    pub fn at(path: PathBuf) -> Database {
        Database { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SQLite's own defaults (in WAL mode every commit is synced), and waiting for the lock as a producer does.
    pub fn options(path: &Path) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(false)
            .busy_timeout(Duration::from_secs(5))
            .disable_statement_logging()
    }

    /// Inserts chat jobs as a producer does, in one transaction: `jobs` of them, over
    /// `conversations` whose numbers start at `first`.
    pub fn insert_chats(&self, jobs: u64, conversations: u64, first: u64) -> Result<()> {
        self.execute(&format!(
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {jobs})
             INSERT INTO outbox (channel, payload)
             SELECT 'chat', json_object('caseId', {first} + i % {conversations}, 'message', '{TEXT}') FROM n"
        ))
    }

    pub fn execute(&self, sql: &str) -> Result<()> {
        self.with(async |connection| {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
            Ok(())
        })
    }

    pub fn number(&self, sql: &str) -> Result<i64> {
        self.with(async |connection| {
            Ok(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await?)
        })
    }

    /// Runs `work` on a new connection; the last one to close checkpoints the WAL.
    pub fn with<T>(&self, work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T>) -> Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut connection = Database::options(&self.path).connect().await?;
            let value = work(&mut connection).await.context("the database")?;
            connection.close().await?;
            Ok(value)
        })
    }
}
