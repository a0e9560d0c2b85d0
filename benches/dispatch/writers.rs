//! Programs that insert jobs, in a process of their own, as producers are.

use crate::database::{Database, WORDS};
use crate::process::Process;
use crate::target::now_ns;
use anyhow::{Context, Result};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::path::PathBuf;
use std::time::Duration;

#[derive(clap::Args)]
pub struct CommitsArgs {
    #[arg(long)]
    database: PathBuf,
    #[arg(long)]
    count: i64,
}

/// Commits single jobs, 5 to 30 ms apart; prints for each its case and when the commit returned.
pub fn run_commits(args: &CommitsArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = Database::options(&args.database).connect().await?;
        let mut committed = Vec::new();
        for case in 1..=args.count {
            tokio::time::sleep(crate::random_pause()).await;
            insert(&mut connection, case).await?;
            committed.push((case, now_ns()));
        }
        // Its own checkpoint is none of a commit's business.
        println!("{}", serde_json::to_string(&committed)?);
        Ok(connection.close().await?)
    })
}

async fn insert(connection: &mut SqliteConnection, case: i64) -> Result<()> {
    sqlx::query("INSERT INTO outbox (channel, payload) VALUES ('chat', json_object('caseId', ?1, 'message', ?2))")
        .bind(case)
        .bind(WORDS)
        .execute(connection)
        .await?;
    Ok(())
}

/// The commits' cases and times, from a process that makes them now.
pub fn commits(database: &Database, count: u64) -> Result<Vec<(i64, u64)>> {
    let mut command = crate::this_program("commits")?;
    command.arg("--database").arg(database.path()).args(["--count", &count.to_string()]);
    let mut process = Process::spawn("the committing producer", &mut command)?;
    let committed = process.line(Duration::from_secs(120))?;
    process.wait(Duration::from_secs(10))?;
    serde_json::from_str(&committed).context("the times of the commits")
}
