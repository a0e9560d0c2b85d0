//! `list`: jobs by filter, newest first.

use super::{Settings, output};
use acquire_outbox::job::{Channel, Failure, Status};
use acquire_outbox::store::now;
use acquire_outbox::store::query::{Delivery, Filter};
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
    /// Only jobs in this state; several between commas
    #[arg(long, value_enum, value_delimiter = ',')]
    status: Vec<Status>,
    /// Only jobs of this channel
    #[arg(long, value_enum)]
    channel: Option<Channel>,
    /// Only jobs of this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Only jobs with this source label
    #[arg(long, value_name = "LABEL")]
    source: Option<String>,
    /// Only jobs that failed for this reason
    #[arg(long, value_enum)]
    failure: Option<Failure>,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// A JSON array with the columns of delivery_status
    #[arg(long)]
    json: bool,
}

pub async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let filter = Filter {
        statuses: args.status,
        channel: args.channel,
        account: args.account,
        source: args.source,
        failure: args.failure,
    };
    let jobs = settings.open().await?.deliveries(&filter, args.limit).await?;
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
    let now = now();
    let when =
        |time: &Option<String>| time.as_deref().map_or(String::new(), |t| output::when(t, now));
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
        let next = match job.status.as_str() {
            "pending" => job.next_attempt_at.as_ref().or(job.send_at.as_ref()).cloned(),
            _ => None,
        };
        table.row([
            job.id.to_string(),
            job.channel.clone(),
            job.account.clone(),
            job.status.clone(),
            text(&job.failure),
            job.attempts.to_string(),
            output::when(&job.created_at, now),
            when(&next),
            when(&job.finished_at),
            text(&job.message_id),
            text(&job.error_code),
            text(&job.error),
        ]);
    }
    table.print()
}
