//! `retry`, `cancel` and `resolve`: by id, or by filter.

use super::GlobalFlags;
use super::change_jobs::{self, ChangeArgs};
use crate::desk::correcting::send_again;
use crate::queue::change::{Change, Refused, Resolution};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

const RETRY_EXAMPLES: &str = "\
Examples:
  acquire-outbox retry 17 18
  acquire-outbox retry --all               every failed job
  acquire-outbox retry --channel sms --failure exhausted --dry-run
  acquire-outbox retry --error-code http_404 --newer-than 2h
  acquire-outbox retry --status uncertain  may send a message a second time
  acquire-outbox retry --now --all         do not wait for the next attempt
  acquire-outbox retry --now --error-code http_503 --channel sms
  acquire-outbox show 17 --payload --json | jq .payload > 17.json
  acquire-outbox retry 17 --payload 17.json   after correcting it

Without --now, a filter selects failed jobs unless --status names other
states: failed, cancelled or uncertain. With --now, the command applies to
pending jobs in backoff: they become due and keep their budget. In SQL (but
not --now, which changes the dispatcher's columns):
  UPDATE outbox SET status = 'pending' WHERE id = 17";

const CANCEL_EXAMPLES: &str = "\
Examples:
  acquire-outbox cancel 17 18
  acquire-outbox cancel --source newsletter
  acquire-outbox cancel --all                         every pending job

A job that is being sent cannot be cancelled. In SQL:
  UPDATE outbox SET status = 'cancelled' WHERE id = 17";

const RESOLVE_EXAMPLES: &str = "\
Examples:
  acquire-outbox resolve 17 --sent           its case shows the message
  acquire-outbox resolve 17 --failed         it does not; do not send it again
  acquire-outbox resolve --case 2069 --failed
  acquire-outbox resolve 17 --verify         look for it at Acquire again
  acquire-outbox resolve --channel chat --verify
  acquire-outbox retry 17                    it does not; send it again

An uncertain job may have been delivered: its request was written, but no
answer was read. In SQL:
  UPDATE outbox SET status = 'sent' WHERE id = 17";

#[derive(clap::Args)]
#[command(after_help = RETRY_EXAMPLES)]
#[command(
    override_usage = "acquire-outbox retry ID...\n       acquire-outbox retry FILTERS\n       acquire-outbox retry ID --payload FILE"
)]
pub struct RetryArgs {
    /// Make pending jobs in backoff due now, instead of retrying finished ones
    #[arg(long)]
    now: bool,
    /// Replace the payload of one failed or cancelled job with the JSON object in this file, or on
    /// standard input (-); the earlier payload is kept with the job's acts
    #[arg(long, value_name = "FILE", conflicts_with_all = ["now", "all", "dry_run"])]
    payload: Option<PathBuf>,
    #[command(flatten)]
    jobs: ChangeArgs,
}

#[derive(clap::Args)]
#[command(after_help = CANCEL_EXAMPLES)]
#[command(override_usage = "acquire-outbox cancel ID...\n       acquire-outbox cancel FILTERS")]
pub struct CancelArgs {
    #[command(flatten)]
    jobs: ChangeArgs,
}

#[derive(clap::Args)]
#[command(after_help = RESOLVE_EXAMPLES)]
#[command(override_usage = "acquire-outbox resolve ID... <--sent|--failed|--verify>\n       \
                            acquire-outbox resolve FILTERS <--sent|--failed|--verify>")]
#[group(id = "resolution", required = true, multiple = false, args = ["sent", "failed", "verify"])]
pub struct ResolveArgs {
    /// The message was delivered
    #[arg(long)]
    sent: bool,
    /// The message was not delivered, and is not sent again
    #[arg(long)]
    failed: bool,
    /// Have the dispatcher look for the message at Acquire now
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    jobs: ChangeArgs,
}

pub async fn retry(settings: &GlobalFlags, args: RetryArgs) -> Result<ExitCode> {
    if let Some(file) = args.payload {
        let id = args.jobs.only_id()?;
        return corrected(settings, id, &file, &args.jobs).await;
    }
    let change = if args.now { Change::TryNow } else { Change::Retry };
    change_jobs::run(settings, change, args.jobs).await
}

/// Sends a job again with the payload in the file.
async fn corrected(
    settings: &GlobalFlags,
    id: i64,
    file: &Path,
    args: &ChangeArgs,
) -> Result<ExitCode> {
    let payload = match file.to_str() {
        Some("-") => io::read_to_string(io::stdin()).context("cannot read standard input")?,
        _ => fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?,
    };
    let mut store = settings.open().await?;
    let refused = match send_again(&mut store, id, payload.trim_end()).await {
        Ok(done) => done.err(),
        Err(e) => {
            let sentence = e.rule().map(str::to_owned).ok_or(e)?;
            Some(Refused { id, sentence })
        }
    };
    args.report_one(Change::Retry, refused)
}

pub async fn cancel(settings: &GlobalFlags, args: CancelArgs) -> Result<ExitCode> {
    change_jobs::run(settings, Change::Cancel, args.jobs).await
}

pub async fn resolve(settings: &GlobalFlags, args: ResolveArgs) -> Result<ExitCode> {
    let change = match (args.verify, args.sent) {
        (true, _) => Change::Verify,
        (_, true) => Change::Resolve(Resolution::Sent),
        _ => Change::Resolve(Resolution::Failed),
    };
    change_jobs::run(settings, change, args.jobs).await
}
