//! `list`: jobs by filter, newest first.

use super::{Settings, output};
use acquire_outbox::job::{Channel, Failure, Status};
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
        eprintln!("no such jobs");
        return Ok(());
    }
    output::deliveries(jobs).print()
}
