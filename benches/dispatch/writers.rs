//! Programs that insert jobs, in separate processes like real producers.

use crate::database::{Database, TEXT};
use crate::process::Process;
use crate::target::now_ns;
use anyhow::{Context, Result, anyhow};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

const WRITERS: usize = 8;

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
        println!("{}", serde_json::to_string(&committed)?);
        Ok(connection.close().await?)
    })
}

async fn insert(connection: &mut SqliteConnection, case: i64) -> Result<()> {
    sqlx::query("INSERT INTO outbox (channel, payload) VALUES ('chat', json_object('caseId', ?1, 'message', ?2))")
        .bind(case)
        .bind(TEXT)
        .execute(connection)
        .await?;
    Ok(())
}

#[derive(clap::Args)]
pub struct WritersArgs {
    #[arg(long)]
    database: PathBuf,
    #[arg(long)]
    seconds: u64,
}

/// Eight threads commit single jobs as fast as they can; prints how long each commit took, in
/// microseconds.
pub fn run_writers(args: &WritersArgs) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(args.seconds);
    let micros = thread::scope(|scope| {
        let writers: Vec<_> =
            (0..WRITERS).map(|_| scope.spawn(|| write_until(end, &args.database))).collect();
        let mut all = Vec::new();
        for writer in writers {
            all.extend(writer.join().map_err(|_| anyhow!("a writer panicked"))??);
        }
        anyhow::Ok(all)
    })?;
    println!("{}", serde_json::to_string(&micros)?);
    Ok(())
}

fn write_until(end: Instant, database: &Path) -> Result<Vec<f64>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = Database::options(database).connect().await?;
        let mut micros = Vec::new();
        while Instant::now() < end {
            let clock = Instant::now();
            // Rarely the same conversation twice.
            insert(&mut connection, fastrand::i64(1..1_000_000_000)).await?;
            micros.push(clock.elapsed().as_secs_f64() * 1e6);
        }
        Ok(micros)
    })
}

/// Starts a process that commits, and returns the cases and times of the commits.
pub fn commits(database: &Database, count: u64) -> Result<Vec<(i64, u64)>> {
    let mut command = crate::this_program("commits")?;
    command.arg("--database").arg(database.path()).args(["--count", &count.to_string()]);
    let mut process = Process::spawn("the committing producer", &mut command)?;
    let committed = process.line(Duration::from_secs(120))?;
    process.wait(Duration::from_secs(10))?;
    serde_json::from_str(&committed).context("the times of the commits")
}

/// The microseconds of each commit of 8 writers that write for `seconds`.
pub fn flat_out(database: &Database, seconds: u64) -> Result<Vec<f64>> {
    let mut command = crate::this_program("writers")?;
    command.arg("--database").arg(database.path()).args(["--seconds", &seconds.to_string()]);
    let mut process = Process::spawn("the writers", &mut command)?;
    let micros = process.line(Duration::from_secs(seconds + 30))?;
    process.wait(Duration::from_secs(10))?;
    serde_json::from_str(&micros).context("the times of the inserts")
}
