//! `list`: jobs by filter, in pages, newest first.

use super::filter_flags::FilterFlags;
use super::watch::{Watched, WatchedView, repeat, seconds};
use super::{GlobalFlags, output, possible_values};
use crate::config::DEFAULT_ACCOUNT;
use crate::desk::{job_json, vocabulary};
use crate::queue::filter::{Filter, Page, SortBy};
use crate::queue::pause::Pause;
use crate::queue::story::Delivery;
use crate::queue::when::now;
use crate::store::{ALL, Store};
use anyhow::Result;
use std::process::ExitCode;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox list --status failed,uncertain
  acquire-outbox list --channel sms --source billing --limit 10
  acquire-outbox list --status failed --error 'no such case' --newer-than 2h
  acquire-outbox list --case 2069 --sort attempts
  acquire-outbox list --bounced  or --delivery bounced,failed
  acquire-outbox list --status failed --json --page 2
  acquire-outbox list --status pending,sending --watch

These are fast on a table of any size: a state other than sent (--failure
implies one), --case, --contact, --to, --message-id, --key, --source,
--finished, --bounced and the newest jobs. Without one of them, the other
filters and --sort by anything but id may read the whole table.

--to does not find scrubbed messages: their addresses are gone. Their contacts
are kept.

In a pipe it prints tab-separated lines under a header line. For anything else
use SQL: SELECT * FROM delivery_status WHERE ...";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ListArgs {
    #[command(flatten)]
    filters: FilterFlags,
    /// What to sort by, largest first
    #[arg(long, default_value = "id", value_parser = possible_values::sort_by())]
    sort: SortBy,
    /// Smallest first
    #[arg(long)]
    ascending: bool,
    /// Which page of --limit jobs, counted from 1
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    page: u32,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Repeat every SECONDS until Ctrl-C; on a terminal, in place
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1")]
    #[arg(value_parser = seconds)]
    watch: Option<Duration>,
    /// A JSON array with the columns of delivery_status; with --watch, one per line
    #[arg(long)]
    json: bool,
}

pub async fn run(settings: &GlobalFlags, args: ListArgs) -> Result<ExitCode> {
    let filter = args.filters.filter();
    let offset = u64::from(args.page - 1) * u64::from(args.limit);
    let page = Page { sort: args.sort, ascending: args.ascending, limit: args.limit, offset };
    let mut store = settings.open().await?;
    if let Some(every) = args.watch {
        let watched = if args.json { Watched::Json } else { Watched::Text };
        let view = JobsView { filter, page, watched };
        return repeat(settings, store, every, watched, view).await;
    }
    let jobs = store.deliveries(&filter, &page).await?;
    if args.json {
        output::json(&job_json::listed(&jobs, store.is_sandbox()))?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&jobs)?;
    if output::to_people() {
        note_pauses(&jobs, &store.pauses(ALL).await?);
        if jobs.len() == args.limit as usize {
            output::note(format!("there may be more; see --page {}", args.page + 1));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A page of jobs, for `--watch`.
struct JobsView {
    filter: Filter,
    page: Page,
    watched: Watched,
}

impl WatchedView for JobsView {
    async fn read(&self, store: &mut Store) -> Result<String> {
        let jobs = store.deliveries(&self.filter, &self.page).await?;
        Ok(match self.watched {
            Watched::Json => serde_json::to_string(&job_json::listed(&jobs, store.is_sandbox()))?,
            Watched::Text => table(&jobs).text(),
        })
    }
}

/// The pauses that hold back a listed job.
fn note_pauses(jobs: &[Delivery], pauses: &[Pause]) {
    let pending = || jobs.iter().filter(|job| job.status == "pending");
    for pause in pauses {
        if pending().any(|job| pause.concerns(&job.account, &job.channel)) {
            let pause = vocabulary::pause(pause, now());
            output::note(output::plain(&format!("paused: {pause}")));
        }
    }
}

pub(super) fn print(jobs: &[Delivery]) -> Result<()> {
    if jobs.is_empty() && output::to_people() {
        output::note("no such jobs");
        return Ok(());
    }
    table(jobs).print()
}

fn table(jobs: &[Delivery]) -> output::Table {
    if output::to_people() { for_people(jobs) } else { every_column(jobs) }
}

/// The columns that fit on a terminal; `show` has the others. A narrow one keeps its room for the error.
fn for_people(jobs: &[Delivery]) -> output::Table {
    let now = now();
    let wide = |text: String| if output::is_narrow() { String::new() } else { text };
    let when = |time: &str| output::roughly(output::when(time, now));
    let mut table = output::Table::new([
        "id",
        "channel",
        "account",
        "case",
        "contact",
        "status",
        "attempts",
        "created",
        "due/done",
        "message id or error",
    ])
    .one_line_each();
    let one_account = jobs.iter().all(|job| job.account == DEFAULT_ACCOUNT);
    for job in jobs {
        let error = job.error.as_ref().or(job.error_code.as_ref());
        let detail = if job.status == "sent" { job.message_id.as_ref() } else { error };
        table.row([
            job.id.to_string(),
            job.channel.clone(),
            if one_account { String::new() } else { job.account.clone() },
            number(job.case_id),
            wide(number(job.contact_id)),
            vocabulary::state(job),
            wide(job.attempts.to_string()),
            when(&job.created_at),
            job.due_or_finished().map(when).unwrap_or_default(),
            detail.cloned().unwrap_or_default(),
        ]);
    }
    table
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
        "delivery",
        "delivery_at",
        "case_id",
        "contact_id",
    ]);
    for job in jobs {
        let text = |column: &Option<String>| column.clone().unwrap_or_default();
        table.row([
            job.id.to_string(),
            job.channel.clone(),
            job.account.clone(),
            job.status.clone(),
            match job.verifying {
                true => "verifying".to_owned(),
                false => text(&job.failure),
            },
            job.attempts.to_string(),
            job.created_at.clone(),
            job.due().unwrap_or_default().to_owned(),
            text(&job.finished_at),
            text(&job.message_id),
            text(&job.error_code),
            text(&job.error),
            text(&job.delivery),
            text(&job.delivery_at),
            number(job.case_id),
            number(job.contact_id),
        ]);
    }
    table
}

fn number(id: Option<i64>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}
