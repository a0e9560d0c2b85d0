//! `retry`, `cancel` and `resolve`: by id, or by filter.

use super::Settings;
use super::bulk::{self, BulkArgs};
use acquire_outbox::queue::change::Change;
use acquire_outbox::queue::job::Status;
use anyhow::Result;
use std::process::ExitCode;

const RETRY_EXAMPLES: &str = "\
Examples:
  acquire-outbox retry 17 18
  acquire-outbox retry --all                          every failed job
  acquire-outbox retry --channel sms --failure exhausted --dry-run
  acquire-outbox retry --error-code http_404 --newer-than 2h
  acquire-outbox retry --status uncertain             may send a message a second time

A filter takes failed jobs unless --status names others: failed, cancelled or uncertain. In SQL:
  UPDATE outbox SET status = 'pending' WHERE id = 17";

const CANCEL_EXAMPLES: &str = "\
Examples:
  acquire-outbox cancel 17 18
  acquire-outbox cancel --source newsletter
  acquire-outbox cancel --all                         every job that waits

A job that is being sent cannot be cancelled. In SQL:
  UPDATE outbox SET status = 'cancelled' WHERE id = 17";

const RESOLVE_EXAMPLES: &str = "\
Examples:
  acquire-outbox resolve 17 --sent                    it arrived, as its case at Acquire shows
  acquire-outbox resolve 17 --failed                  it did not, and is not to be sent again
  acquire-outbox resolve --case 2069 --failed
  acquire-outbox retry 17                             it did not: send it again

An uncertain job may have been delivered: its request was written, and no answer was read. In SQL:
  UPDATE outbox SET status = 'sent' WHERE id = 17";

#[derive(clap::Args)]
#[command(after_help = RETRY_EXAMPLES)]
#[command(override_usage = "acquire-outbox retry ID...\n       acquire-outbox retry FILTERS")]
pub struct RetryArgs {
    #[command(flatten)]
    bulk: BulkArgs,
}

#[derive(clap::Args)]
#[command(after_help = CANCEL_EXAMPLES)]
#[command(override_usage = "acquire-outbox cancel ID...\n       acquire-outbox cancel FILTERS")]
pub struct CancelArgs {
    #[command(flatten)]
    bulk: BulkArgs,
}

#[derive(clap::Args)]
#[command(after_help = RESOLVE_EXAMPLES)]
#[command(override_usage = "acquire-outbox resolve ID... <--sent|--failed>\n       \
                            acquire-outbox resolve FILTERS <--sent|--failed>")]
#[group(id = "resolution", required = true, multiple = false, args = ["sent", "failed"])]
pub struct ResolveArgs {
    /// The message has arrived
    #[arg(long)]
    sent: bool,
    /// It has not, and is not sent again
    #[arg(long)]
    failed: bool,
    #[command(flatten)]
    bulk: BulkArgs,
}

pub async fn retry(settings: &Settings, args: RetryArgs) -> Result<ExitCode> {
    bulk::change(settings, Change::Retry, &[Status::Failed], args.bulk).await
}

pub async fn cancel(settings: &Settings, args: CancelArgs) -> Result<ExitCode> {
    bulk::change(settings, Change::Cancel, &[Status::Pending], args.bulk).await
}

pub async fn resolve(settings: &Settings, args: ResolveArgs) -> Result<ExitCode> {
    let to = if args.sent { Change::ResolveSent } else { Change::ResolveFailed };
    bulk::change(settings, to, &[Status::Uncertain], args.bulk).await
}
