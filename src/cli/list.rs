//! `list`: jobs by filter, newest first.

use super::filter::FilterArgs;
use super::{Settings, output};
use acquire_outbox::config::DEFAULT_ACCOUNT;
use acquire_outbox::store::query::Delivery;
use acquire_outbox::store::{Page, now};
use anyhow::Result;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox list --status failed,uncertain
  acquire-outbox list --channel sms --source billing --limit 10
  acquire-outbox list --status failed --failure rejected --json

In a pipe it prints tab-separated lines under a header line. More than this, such as a time
range, is plain SQL: SELECT * FROM delivery_status WHERE ...";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    filters: FilterArgs,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// A JSON array with the columns of delivery_status
    #[arg(long)]
    json: bool,
}

pub async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let filter = args.filters.filter();
    let jobs = settings.open().await?.deliveries(&filter, &Page::newest(args.limit)).await?;
    if args.json {
        output::json(&jobs)?;
    } else {
        print(&jobs)?;
    }
    Ok(ExitCode::SUCCESS)
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
