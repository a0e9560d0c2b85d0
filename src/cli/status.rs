//! `status`: counts, ages, rates, and what holds jobs back; once or repeatedly.

mod by;
mod paint;
mod view;

pub(super) use view::pauses as pause_table;

use super::watch::{Watched, WatchedView, repeat, seconds};
use super::{GlobalFlags, output};
use crate::desk::outbox_status::OutboxStatus;
use crate::desk::status_json;
use crate::store::Store;
use anyhow::Result;
use std::process::ExitCode;
use std::time::Duration;

/// The exit status of `--check`.
const NOBODY_DISPATCHES: u8 = 3;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox status
  acquire-outbox status --watch              until Ctrl-C
  acquire-outbox status --by source          sent, failed, waiting for each
  acquire-outbox status --json | jq .oldest_due_seconds
  acquire-outbox status --json --watch 60 >> status.jsonl
  acquire-outbox status --check > /dev/null || alert

The first line is the verdict: well, attention or down. Its reasons are below
it, with what to do about each. Rates are averages over the last 1, 5 and 15
minutes. On a terminal it is in colour, unless NO_COLOR or CLICOLOR=0 is set.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct StatusArgs {
    /// Repeat every SECONDS until Ctrl-C; on a terminal, in place
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1")]
    #[arg(value_parser = seconds)]
    watch: Option<Duration>,
    /// Exit with status 3 if no dispatcher works on the outbox
    #[arg(long, conflicts_with = "watch")]
    check: bool,
    /// Show a row for each account or source instead: sent, failed, waiting, oldest due
    #[arg(
        long,
        value_name = "account|source",
        conflicts_with_all = ["watch", "check"],
        hide_possible_values = true
    )]
    by: Option<by::By>,
    /// One JSON object; with --watch, one per line
    #[arg(long)]
    json: bool,
}

pub async fn run(settings: &GlobalFlags, args: StatusArgs) -> Result<ExitCode> {
    let mut store = settings.open().await?;
    if let Some(every) = args.watch {
        let watched = if args.json { Watched::Json } else { Watched::Text };
        return repeat(settings, store, every, watched, watched).await;
    }
    if let Some(by) = args.by {
        by::run(&mut store, by, args.json).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = OutboxStatus::read(&mut store).await?;
    if args.json {
        output::json(&status_json::json(&report))?;
    } else {
        output::line(view::text(&report))?;
    }
    match args.check && !report.running {
        true => Ok(NOBODY_DISPATCHES.into()),
        false => Ok(ExitCode::SUCCESS),
    }
}

impl WatchedView for Watched {
    async fn read(&self, store: &mut Store) -> Result<String> {
        let report = OutboxStatus::read(store).await?;
        Ok(match self {
            Watched::Json => serde_json::to_string(&status_json::json(&report))?,
            Watched::Text => view::text(&report),
        })
    }
}
