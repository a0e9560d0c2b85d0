//! `status`: counts, ages, rates, and what holds jobs back; once or repeatedly.

mod view;
mod watch;

use super::{GlobalFlags, output};
use acquire_outbox::config::Database;
use acquire_outbox::queue::examination::Storage;
use acquire_outbox::queue::job::Millis;
use acquire_outbox::queue::node::Nodes;
use acquire_outbox::queue::overview::Overview;
use acquire_outbox::queue::when::now;
use acquire_outbox::store::Store;
use anyhow::Result;
use std::process::ExitCode;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox status
  acquire-outbox status --watch              until Ctrl-C
  acquire-outbox status --json | jq .oldest_due_seconds
  acquire-outbox status --json --watch 60 >> status.jsonl

Rates are averages over the last 1, 5 and 15 minutes.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct StatusArgs {
    /// Repeat every SECONDS until Ctrl-C; on a terminal, in place
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1")]
    #[arg(value_parser = seconds)]
    watch: Option<Duration>,
    /// One JSON object; with --watch, one per line
    #[arg(long)]
    json: bool,
}

/// Everything that is shown, as of one moment.
struct StatusReport {
    database: Database,
    now: Millis,
    overview: Overview,
    /// Whether a dispatcher works on it.
    running: bool,
    /// Those that are at work or have left something to decide.
    nodes: Nodes,
    storage: Storage,
    sandbox: bool,
}

pub async fn run(settings: &GlobalFlags, args: StatusArgs) -> Result<ExitCode> {
    let mut store = settings.open().await?;
    if let Some(every) = args.watch {
        return watch::run(settings, store, every, args.json).await;
    }
    let report = StatusReport::read(&mut store).await?;
    if args.json {
        output::json(&view::json(&report))?;
    } else {
        output::line(view::text(&report))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl StatusReport {
    async fn read(store: &mut Store) -> Result<StatusReport> {
        let now = now();
        let overview = store.overview(now).await?;
        let database = store.database();
        Ok(StatusReport {
            running: Store::dispatcher_is_running(&database).await?,
            nodes: store.nodes(false).await?,
            storage: Store::storage(&database),
            sandbox: store.is_sandbox(),
            database,
            now,
            overview,
        })
    }
}

/// From a tenth of a second to a day.
fn seconds(text: &str) -> Result<Duration, String> {
    let parsed = text.parse().ok().filter(|seconds| (0.1..=86_400.0).contains(seconds));
    let seconds: f64 = parsed.ok_or("a number of seconds from 0.1 to 86400 is needed")?;
    Ok(Duration::from_secs_f64(seconds))
}
