//! The raw limit: what reqwest alone can do against the same server, with the same connections
//! and the same bytes, without a database and without a queue.

use crate::database::{Database, PLAIN_TABLE, insert_plain};
use crate::process::{Ended, Process};
use crate::target::{Answer, Target, now_ns};
use acquire_outbox::acquire::outcome_of;
use acquire_outbox::queue::job::Channel;
use acquire_outbox::queue::outcome::Outcome;
use anyhow::{Context, Result, ensure};
use reqwest::Client;
use serde::Deserialize;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What is done with a complete answer.
pub type Read = fn(&[u8]) -> bool;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Reading {
    /// Read to the end and discarded
    Only,
    /// `data.id` by serde_json
    Id,
    /// The ids of an SMS answer, by the daemon's own parser
    Sms,
}

impl Reading {
    fn name(self) -> &'static str {
        match self {
            Reading::Only => "only",
            Reading::Id => "id",
            Reading::Sms => "sms",
        }
    }

    fn function(self) -> Read {
        match self {
            Reading::Only => |body| !body.is_empty(),
            Reading::Id => |body| {
                serde_json::from_slice::<Accepted>(body).is_ok_and(|answer| answer.data.id > 0)
            },
            Reading::Sms => |body| {
                let outcome = outcome_of(Channel::Sms, 200, None, body, ("no-such-key", &[]));
                matches!(outcome, Outcome::Accepted { receipt, .. } if receipt.message_id.is_some())
            },
        }
    }
}

#[derive(Deserialize)]
struct Accepted {
    data: Id,
}

#[derive(Deserialize)]
struct Id {
    id: i64,
}

#[derive(clap::Args)]
pub struct Args {
    #[arg(long)]
    url: String,
    #[arg(long)]
    requests: u64,
    #[arg(long)]
    concurrency: u64,
    #[arg(long, value_enum)]
    reading: Reading,
    /// Send one request after the other, 5 to 30 ms apart, each after a commit to a table of this new
    /// database with the same pause; print how long each commit took and when each request was sent
    #[arg(long)]
    paced: Option<PathBuf>,
    /// Open this outbox, read a job and commit once before the only request
    #[arg(long, conflicts_with = "paced")]
    after: Option<PathBuf>,
}

/// The client's process.
pub fn run(args: &Args) -> Result<()> {
    // The daemon's runtime; a single thread is slower here.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    rustls::crypto::ring::default_provider().install_default().ok();
    runtime.block_on(async {
        let client = client()?;
        match (&args.paced, &args.after) {
            (Some(database), _) => paced(&client, args, database).await,
            (_, Some(outbox)) => after_opening(&client, args, outbox).await,
            _ => flat_out(&client, args).await,
        }
    })
}

/// With the settings of the daemon's.
pub fn client() -> Result<Client> {
    let client = Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .http1_only()
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never());
    Ok(client.build()?)
}

async fn flat_out(client: &Client, args: &Args) -> Result<()> {
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = Vec::new();
    for _ in 0..args.concurrency {
        let (client, next, url) = (client.clone(), Arc::clone(&next), args.url.clone());
        let (requests, read) = (args.requests, args.reading.function());
        workers.push(tokio::spawn(async move {
            loop {
                let case = next.fetch_add(1, Ordering::Relaxed) + 1;
                if case > requests {
                    return anyhow::Ok(());
                }
                send(&client, &url, case, read).await?;
            }
        }));
    }
    for worker in workers {
        worker.await.context("a worker")??;
    }
    Ok(())
}

async fn paced(client: &Client, args: &Args, database: &Path) -> Result<()> {
    let read = args.reading.function();
    let mut connection = Database::options(database).create_if_missing(true).connect().await?;
    sqlx::raw_sql(PLAIN_TABLE).execute(&mut connection).await?;
    let mut sent = Vec::new();
    for case in 1..=args.requests {
        tokio::time::sleep(crate::random_pause()).await;
        let clock = Instant::now();
        insert_plain(&mut connection).await?;
        let micros = clock.elapsed().as_secs_f64() * 1e6;
        tokio::time::sleep(crate::random_pause()).await;
        sent.push((micros, case, now_ns()));
        send(client, &args.url, case, read).await?;
    }
    println!("{}", serde_json::to_string(&sent)?);
    Ok(connection.close().await?)
}

async fn after_opening(client: &Client, args: &Args, outbox: &Path) -> Result<()> {
    let mut connection = Database::options(outbox).connect().await?;
    let job = "SELECT payload FROM outbox WHERE id = (SELECT max(id) FROM outbox)";
    let _payload: String = sqlx::query_scalar(job).fetch_one(&mut connection).await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut connection).await?;
    // A commit that changes nothing.
    let same = format!("PRAGMA user_version = {version}");
    sqlx::raw_sql(AssertSqlSafe(same)).execute(&mut connection).await?;
    send(client, &args.url, 1, args.reading.function()).await?;
    Ok(connection.close().await?)
}

/// One request; `read` says whether the answer is as it has to be.
pub async fn send(client: &Client, url: &str, case: u64, read: Read) -> Result<()> {
    let body = format!(
        r#"{{"channel":"chat","message":{{"type":"message","message":"{}"}},"caseId":{case}}}"#,
        crate::database::TEXT
    );
    let request = client
        .post(url)
        .header("authorization", "Bearer bench")
        .header("accept", "application/json")
        .header("content-type", "application/json")
        .body(body);
    let answer = request.send().await?.bytes().await?;
    ensure!(read(&answer), "an answer without the ids");
    Ok(())
}

fn start(target: &Target, requests: u64, concurrency: u64, more: &[&str]) -> Result<Process> {
    let url = format!("{}/crm/messenger/chat/add-message?x-user-type=user", target.base_url());
    let mut command = crate::this_program("raw")?;
    command.args(["--url", &url, "--requests", &requests.to_string()]);
    command.args(["--concurrency", &concurrency.to_string()]).args(more);
    Process::spawn("the raw client", &mut command)
}

/// Sends this many requests from a separate process.
pub fn measure(
    target: &Target,
    requests: u64,
    concurrency: u64,
    reading: Reading,
) -> Result<Ended> {
    start(target, requests, concurrency, &["--reading", reading.name()])?
        .wait(Duration::from_secs(120))
}

/// For single messages with pauses, in microseconds: the time of a synced INSERT, and the time of a request
/// from its call to its arrival.
pub fn paced_micros(count: u64) -> Result<Vec<(f64, f64)>> {
    let mut target = Target::recording(Answer::Chat)?;
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("plain.db");
    let database = database.to_str().context("a temporary folder's name")?;
    let mut process = start(&target, count, 1, &["--reading", "id", "--paced", database])?;
    let sent = process.line(Duration::from_secs(120))?;
    process.wait(Duration::from_secs(10))?;
    let sent: Vec<(f64, i64, u64)> = serde_json::from_str(&sent).context("the paced times")?;
    let calls: Vec<_> = sent.iter().map(|(_, case, at)| (*case, *at)).collect();
    let arrivals = crate::rows::wake::latencies(&calls, &target.report()?)?;
    Ok(sent.iter().map(|(micros, ..)| *micros).zip(arrivals).collect())
}

/// A process that does the minimum that a daemon must do until its first request.
pub fn first_request(target: &Target, outbox: &Database) -> Result<Ended> {
    let path = outbox.path().to_str().context("a temporary folder's name")?;
    start(target, 1, 1, &["--reading", "id", "--after", path])?.wait(Duration::from_secs(60))
}
