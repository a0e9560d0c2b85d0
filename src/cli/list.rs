//! `list`: jobs by filter, in pages, newest first.

use super::filter::FilterArgs;
use super::{Settings, output, pause};
use acquire_outbox::config::DEFAULT_ACCOUNT;
use acquire_outbox::queue::filter::{Page, Sort};
use acquire_outbox::queue::pause::Pause;
use acquire_outbox::queue::story::Delivery;
use acquire_outbox::queue::when::now;
use acquire_outbox::store;
use anyhow::Result;
use serde::Serialize;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox list --status failed,uncertain
  acquire-outbox list --channel sms --source billing --limit 10
  acquire-outbox list --status failed --error 'no such case' --newer-than 2h
  acquire-outbox list --case 2069 --sort attempts
  acquire-outbox list --status failed --json --page 2

Quick on a table of any size: a state other than sent (--failure names one, too), --key, and the
newest jobs. Without such a state the other filters, and --sort by anything but id, may read the
whole table.

In a pipe it prints tab-separated lines under a header line. More than this is plain SQL:
SELECT * FROM delivery_status WHERE ...";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    filters: FilterArgs,
    /// What they are sorted by, largest first
    #[arg(long, value_enum, default_value = "id")]
    sort: Sort,
    /// Smallest first
    #[arg(long)]
    ascending: bool,
    /// The page: from 1 on, each of --limit jobs
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    page: u32,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// A JSON array with the columns of delivery_status
    #[arg(long)]
    json: bool,
}

/// A job as JSON.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    delivery: &'a Delivery,
    /// The outbox is for the sandbox: nothing in it is real.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sandbox: bool,
}

pub async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let filter = args.filters.filter();
    let offset = u64::from(args.page - 1) * u64::from(args.limit);
    let page = Page { sort: args.sort, ascending: args.ascending, limit: args.limit, offset };
    let mut store = settings.open().await?;
    let jobs = store.deliveries(&filter, &page).await?;
    if args.json {
        let sandbox = store.is_sandbox();
        let marked = |delivery| Listed { delivery, sandbox };
        output::json(&jobs.iter().map(marked).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&jobs)?;
    if output::to_people() {
        tell_pauses(&jobs, &store.pauses(store::ALL).await?);
        if jobs.len() == args.limit as usize {
            output::note(format!("there may be more: the same with --page {}", args.page + 1));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Why those that are pending may stay so.
fn tell_pauses(jobs: &[Delivery], pauses: &[Pause]) {
    let pending = || jobs.iter().filter(|job| job.status == "pending");
    for pause in pauses {
        if pending().any(|job| pause.concerns(&job.account, &job.channel)) {
            output::note(format!("paused: {}", pause::one(pause, now())));
        }
    }
}

pub(super) fn print(jobs: &[Delivery]) -> Result<()> {
    if jobs.is_empty() && output::to_people() {
        output::note("no such jobs");
        return Ok(());
    }
    if output::to_people() { for_people(jobs) } else { every_column(jobs) }.print()
}

/// What fits beside each other on a terminal; `show` has the rest.
fn for_people(jobs: &[Delivery]) -> output::Table {
    let now = now();
    let when = |time: &str| output::roughly(output::when(time, now));
    let mut table = output::Table::new([
        "id",
        "channel",
        "account",
        "status",
        "tries",
        "created",
        "due/done",
        "message id or error",
    ]);
    let one_account = jobs.iter().all(|job| job.account == DEFAULT_ACCOUNT);
    for job in jobs {
        let error = job.error.as_ref().or(job.error_code.as_ref());
        let detail = if job.status == "sent" { job.message_id.as_ref() } else { error };
        table.row([
            job.id.to_string(),
            job.channel.clone(),
            if one_account { String::new() } else { job.account.clone() },
            match &job.failure {
                Some(failure) => format!("{}: {failure}", job.status),
                None => job.status.clone(),
            },
            job.attempts.to_string(),
            when(&job.created_at),
            next(job).or(job.finished_at.as_deref()).map(when).unwrap_or_default(),
            detail.cloned().unwrap_or_default(),
        ]);
    }
    table
}

/// When a job that waits is due.
fn next(job: &Delivery) -> Option<&str> {
    let waits = job.status == "pending";
    job.next_attempt_at.as_deref().or(job.send_at.as_deref()).filter(|_| waits)
}

fn every_column(jobs: &[Delivery]) -> output::Table {
    let mut table = output::Table::new([
        "id",
        "channel",
        "account",
        "status",
        "failure",
        "attempts",
        "created",
        "next",
        "finished",
        "message_id",
        "error_code",
        "error",
    ]);
    for job in jobs {
        let text = |column: &Option<String>| column.clone().unwrap_or_default();
        table.row([
            job.id.to_string(),
            job.channel.clone(),
            job.account.clone(),
            job.status.clone(),
            text(&job.failure),
            job.attempts.to_string(),
            job.created_at.clone(),
            next(job).unwrap_or_default().to_owned(),
            text(&job.finished_at),
            text(&job.message_id),
            text(&job.error_code),
            text(&job.error),
        ]);
    }
    table
}
