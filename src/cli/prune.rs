//! `prune`: deletes finished jobs, by the retention settings, by id or by filter.

use super::change_jobs::{self, ChangeArgs};
use super::{GlobalFlags, output};
use crate::desk::retention;
use crate::queue::change::Change;
use crate::queue::when::now;
use anyhow::Result;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox prune                 by [retention], as `run` does
  acquire-outbox prune --dry-run
  acquire-outbox prune --status cancelled --older-than 7d
  acquire-outbox prune 17 18

Deleted jobs and their history cannot be restored. Only sent, failed and
cancelled jobs are deleted. Free space is reused, or returned to the disk by a
running daemon: see docs/retention.md.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(override_usage = "acquire-outbox prune\n       acquire-outbox prune ID...\n       \
                            acquire-outbox prune FILTERS")]
pub struct PruneArgs {
    #[command(flatten)]
    jobs: ChangeArgs,
}

pub async fn run(settings: &GlobalFlags, args: PruneArgs) -> Result<ExitCode> {
    if args.jobs.names_any() {
        return change_jobs::run(settings, Change::Prune, args.jobs).await;
    }
    let kept = settings.outline()?.retention;
    output::note(format!("the retention settings keep {}", retention::sentence(&kept)));
    let mut store = settings.open().await?;
    args.jobs.by_filters(&mut store, Change::Prune, &retention::expired(&kept, now())).await
}
