//! Programs that write to a database of the cluster, in separate processes like real producers.

use super::cluster::ServerDatabase;
use crate::database::TEXT;
use crate::process::Process;
use crate::raw;
use crate::target::{Target, now_ns};
use anyhow::{Context, Result};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A table as an application would make it for itself, to measure what an INSERT costs without the outbox.
pub const PLAIN_SERVER_TABLE: &str = "CREATE TABLE plain (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, channel text NOT NULL, payload jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp())";
/// The outbox's columns and indexes, without its triggers.
pub const BARE_TABLE: &str = "CREATE TABLE bare (LIKE outbox INCLUDING ALL);
    ALTER TABLE bare ALTER COLUMN wait SET DEFAULT 'arrived', ALTER COLUMN lane SET DEFAULT (random() * 1e15)::bigint,
        ALTER COLUMN due_at SET DEFAULT clock_timestamp()";

#[derive(clap::Args)]
pub struct Where {
    /// The folder of the server's socket
    #[arg(long)]
    folder: PathBuf,
    #[arg(long)]
    name: String,
}

impl Where {
    async fn connect(&self) -> Result<PgConnection> {
        Ok(ServerDatabase::options(&self.folder, &self.name).connect().await?)
    }
}

#[derive(clap::Args)]
pub struct InsertsArgs {
    #[command(flatten)]
    database: Where,
    #[arg(long)]
    table: String,
    #[arg(long)]
    clients: u32,
    #[arg(long)]
    seconds: u64,
}

/// Clients that commit single jobs as fast as they can; prints how many a second, all together.
pub fn run_inserts(args: &InsertsArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let sql = insert_into(&args.table);
        let mut connections = Vec::new();
        for _ in 0..args.clients {
            let mut connection = args.database.connect().await?;
            // Plans and caches are there when the clock starts.
            insert(&mut connection, &sql, 1).await?;
            connections.push(connection);
        }
        let begun = Instant::now();
        let end = begun + Duration::from_secs(args.seconds);
        let clients = connections.into_iter().map(async |mut connection| {
            let mut count = 0;
            while Instant::now() < end {
                insert(&mut connection, &sql, fastrand::i64(1..1_000_000_000)).await?;
                count += 1;
            }
            anyhow::Ok(count)
        });
        let counts = futures_util::future::try_join_all(clients).await?;
        println!("{}", f64::from(counts.iter().sum::<u32>()) / begun.elapsed().as_secs_f64());
        Ok(())
    })
}

#[derive(clap::Args)]
pub struct ServerCommitsArgs {
    #[command(flatten)]
    database: Where,
    #[arg(long)]
    count: i64,
}

/// Commits single jobs, 5 to 30 ms apart; prints for each its case and when the commit returned.
pub fn run_commits(args: &ServerCommitsArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = args.database.connect().await?;
        let sql = insert_into("outbox");
        let mut committed = Vec::new();
        for case in 1..=args.count {
            tokio::time::sleep(crate::random_pause()).await;
            insert(&mut connection, &sql, case).await?;
            committed.push((case, now_ns()));
        }
        println!("{}", serde_json::to_string(&committed)?);
        Ok(())
    })
}

#[derive(clap::Args)]
pub struct ServerPacedArgs {
    #[command(flatten)]
    database: Where,
    #[arg(long)]
    url: String,
    #[arg(long)]
    count: u64,
}

/// A synced transaction and then a raw request, each after a pause of 5 to 30 ms; prints the microseconds of
/// both.
pub fn run_paced(args: &ServerPacedArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    rustls::crypto::ring::default_provider().install_default().ok();
    runtime.block_on(async {
        let client = raw::client()?;
        let mut connection = args.database.connect().await?;
        let sql = insert_into("plain");
        let mut micros = Vec::new();
        for case in 1..=args.count {
            tokio::time::sleep(crate::random_pause()).await;
            let clock = Instant::now();
            insert(&mut connection, &sql, case.cast_signed()).await?;
            let transaction = clock.elapsed().as_secs_f64() * 1e6;
            tokio::time::sleep(crate::random_pause()).await;
            let clock = Instant::now();
            raw::send(&client, &args.url, case, |body| !body.is_empty()).await?;
            micros.push((transaction, clock.elapsed().as_secs_f64() * 1e6));
        }
        println!("{}", serde_json::to_string(&micros)?);
        Ok(())
    })
}

fn insert_into(table: &str) -> String {
    format!(
        "INSERT INTO {table} (channel, payload) VALUES ('chat', jsonb_build_object('caseId', $1::bigint, 'message', $2::text))"
    )
}

async fn insert(connection: &mut PgConnection, sql: &str, case: i64) -> Result<()> {
    sqlx::query(AssertSqlSafe(sql)).bind(case).bind(TEXT).execute(connection).await?;
    Ok(())
}

/// Starts one of these programs.
fn start(part: &str, database: &ServerDatabase, more: &[&str]) -> Result<Process> {
    let mut command = crate::this_program(part)?;
    command.arg("--folder").arg(&database.folder).args(["--name", &database.name]).args(more);
    Process::spawn(part, &mut command)
}

impl ServerDatabase {
    /// Inserts per second of this many clients into a table.
    pub fn inserts_per_second(&self, table: &str, clients: u32, seconds: u64) -> Result<f64> {
        let (clients, wait) = (clients.to_string(), Duration::from_secs(seconds + 30));
        let more = ["--table", table, "--clients", &clients, "--seconds", &seconds.to_string()];
        let mut process = start("server-inserts", self, &more)?;
        let rate = process.line(wait)?;
        process.wait(Duration::from_secs(10))?;
        rate.parse().context("inserts per second")
    }

    /// The case of each commit, and when it returned.
    pub fn commits(&self, count: u64) -> Result<Vec<(i64, u64)>> {
        let mut process = start("server-commits", self, &["--count", &count.to_string()])?;
        let committed = process.line(Duration::from_secs(120))?;
        process.wait(Duration::from_secs(10))?;
        serde_json::from_str(&committed).context("the times of the commits")
    }

    /// The microseconds of a synced transaction in the table `plain`, and of a raw request, at the pace of
    /// [`ServerDatabase::commits`].
    pub fn paced_micros(&self, target: &Target, count: u64) -> Result<Vec<(f64, f64)>> {
        let url = format!("{}/crm/messenger/chat/add-message?x-user-type=user", target.base_url());
        let more = ["--url", &url, "--count", &count.to_string()];
        let mut process = start("server-paced", self, &more)?;
        let micros = process.line(Duration::from_secs(120))?;
        process.wait(Duration::from_secs(10))?;
        serde_json::from_str(&micros).context("the paced times")
    }
}
