//! `retry` and `cancel`: by id, or by filter.

use super::{Settings, output, whole};
use acquire_outbox::job::{Channel, Failure, Status};
use acquire_outbox::store::edit::{BATCH, Change};
use acquire_outbox::store::{Filter, Store};
use anyhow::Result;
use std::process::ExitCode;

const RETRY_EXAMPLES: &str = "\
Examples:
  acquire-outbox retry 17 18
  acquire-outbox retry --all                          every failed job
  acquire-outbox retry --channel sms --failure exhausted
  acquire-outbox retry --status uncertain             may send a message a second time

A filter takes failed jobs unless --status names others. In SQL:
  UPDATE outbox SET status = 'pending' WHERE id = 17";

const CANCEL_EXAMPLES: &str = "\
Examples:
  acquire-outbox cancel 17 18
  acquire-outbox cancel --source newsletter
  acquire-outbox cancel --all                         every job that waits

A job that is being sent cannot be cancelled. In SQL:
  UPDATE outbox SET status = 'cancelled' WHERE id = 17";

#[derive(clap::Args)]
#[command(after_help = RETRY_EXAMPLES)]
#[command(override_usage = "acquire-outbox retry ID...\n       acquire-outbox retry FILTERS")]
#[group(id = "which_to_retry", required = true, multiple = true)]
pub struct RetryArgs {
    /// The jobs, by id
    #[arg(value_name = "ID", value_parser = whole, allow_negative_numbers = true)]
    #[arg(conflicts_with_all = ["status", "channel", "account", "source", "failure", "all"])]
    ids: Vec<i64>,
    /// Jobs in this state: failed, cancelled or uncertain; several between commas
    #[arg(long, value_delimiter = ',', value_parser = retryable)]
    status: Vec<Status>,
    /// Jobs of this channel
    #[arg(long, value_enum)]
    channel: Option<Channel>,
    /// Jobs of this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Jobs with this source label
    #[arg(long, value_name = "LABEL")]
    source: Option<String>,
    /// Jobs that failed for this reason
    #[arg(long, value_enum)]
    failure: Option<Failure>,
    /// Every failed job, where no other filter says less
    #[arg(long)]
    all: bool,
}

#[derive(clap::Args)]
#[command(after_help = CANCEL_EXAMPLES)]
#[command(override_usage = "acquire-outbox cancel ID...\n       acquire-outbox cancel FILTERS")]
#[group(id = "which_to_cancel", required = true, multiple = true)]
pub struct CancelArgs {
    /// The jobs, by id
    #[arg(value_name = "ID", value_parser = whole, allow_negative_numbers = true)]
    #[arg(conflicts_with_all = ["status", "channel", "account", "source", "all"])]
    ids: Vec<i64>,
    /// Jobs in this state: pending, the only one that can be cancelled
    #[arg(long, value_delimiter = ',', value_parser = cancellable)]
    status: Vec<Status>,
    /// Jobs of this channel
    #[arg(long, value_enum)]
    channel: Option<Channel>,
    /// Jobs of this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Jobs with this source label
    #[arg(long, value_name = "LABEL")]
    source: Option<String>,
    /// Every job that waits, where no other filter says less
    #[arg(long)]
    all: bool,
}

pub async fn retry(settings: &Settings, args: RetryArgs) -> Result<ExitCode> {
    let statuses = if args.status.is_empty() { vec![Status::Failed] } else { args.status };
    let filter = Filter {
        statuses,
        channel: args.channel,
        account: args.account,
        source: args.source,
        failure: args.failure,
        ..Filter::default()
    };
    change(settings, Change::Redrive, &args.ids, &filter).await
}

pub async fn cancel(settings: &Settings, args: CancelArgs) -> Result<ExitCode> {
    let filter = Filter {
        statuses: vec![Status::Pending],
        channel: args.channel,
        account: args.account,
        source: args.source,
        ..Filter::default()
    };
    change(settings, Change::Cancel, &args.ids, &filter).await
}

async fn change(
    settings: &Settings,
    change: Change,
    ids: &[i64],
    filter: &Filter,
) -> Result<ExitCode> {
    let mut store = settings.open().await?;
    let (changed, refused) = if ids.is_empty() {
        (by_filter(&mut store, change, filter).await?, 0)
    } else {
        by_id(&mut store, change, ids).await?
    };
    let done = match change {
        Change::Redrive => "re-driven",
        Change::Cancel => "cancelled",
        Change::ResolveSent | Change::ResolveFailed => "resolved",
    };
    output::line(format!("{} {done}", output::jobs(changed)))?;
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How many were changed, and how many could not be.
async fn by_id(store: &mut Store, change: Change, ids: &[i64]) -> Result<(u64, usize)> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let mut refused = 0;
    for batch in ids.chunks(BATCH) {
        for job in store.change(change, batch).await? {
            output::note(format!("job {}: {}", job.id, output::plain(&job.sentence)));
            refused += 1;
        }
    }
    Ok(((ids.len() - refused) as u64, refused))
}

async fn by_filter(store: &mut Store, change: Change, filter: &Filter) -> Result<u64> {
    let (mut changed, mut after) = (0, i64::MIN);
    loop {
        let ids = store.ids_after(filter, after).await?;
        let Some(&last) = ids.last() else { return Ok(changed) };
        changed += store.change_where(change, filter, &ids).await?;
        after = last;
    }
}

fn retryable(word: &str) -> Result<Status, String> {
    changeable(Change::Redrive, word)
}

fn cancellable(word: &str) -> Result<Status, String> {
    changeable(Change::Cancel, word)
}

fn changeable(change: Change, word: &str) -> Result<Status, String> {
    let known = change.from();
    known.iter().copied().find(|status| status.as_str() == word).ok_or_else(|| {
        let words: Vec<_> = known.iter().map(|status| status.as_str()).collect();
        format!("must be {}", words.join(" or "))
    })
}
