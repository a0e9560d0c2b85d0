//! `move`: moves an outbox to another place.

use super::{GlobalFlags, output};
use crate::config::{self, Flags};
use crate::store::{self, Unfit};
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox move --from outbox.db --to postgres://outbox@db/shop \\
      --to-schema messaging
  acquire-outbox move --from postgres://outbox@db/shop --to outbox.db

Stop the producers and every dispatcher first: while jobs are moved, programs
that write to the outbox have to wait. Ids, states, history, budgets and
pauses are kept. The new outbox must be empty; it is created if it is missing.
The old one keeps its jobs and is paused permanently, so that nothing is sent
twice. Point the producers and the configuration at the new one, and start it.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct MoveArgs {
    /// The outbox to move: a file, or postgres://user@host/database
    #[arg(long, value_name = "FILE|URL")]
    from: PathBuf,
    /// Its schema, in a PostgreSQL database [default: public]
    #[arg(long, value_name = "SCHEMA")]
    from_schema: Option<String>,
    /// The new outbox: a file, or postgres://user@host/database
    #[arg(long, value_name = "FILE|URL")]
    to: PathBuf,
    /// Its schema, in a PostgreSQL database [default: public]
    #[arg(long, value_name = "SCHEMA")]
    to_schema: Option<String>,
    /// Leave jobs behind that the other database cannot hold, instead of moving nothing
    #[arg(long)]
    leave_behind: bool,
}

pub async fn run(settings: &GlobalFlags, args: MoveArgs) -> Result<ExitCode> {
    settings.unused_by("move")?;
    let end = |database: PathBuf, schema: Option<String>| {
        let flags = Flags { database: Some(database), schema, ..Flags::default() };
        config::load_end(&flags, &|name| std::env::var_os(name))
    };
    let from = end(args.from, args.from_schema)?;
    let to = end(args.to, args.to_schema)?;
    let unfit = if args.leave_behind { Unfit::LeaveBehind } else { Unfit::Refuse };
    let mut told = 0;
    let progress = |jobs: u64| {
        if jobs / 100_000 > told {
            told = jobs / 100_000;
            output::note(format!("{} so far", output::jobs(jobs)));
        }
    };
    let carried = store::move_over(&from, &to, unfit, progress).await?;
    for left in &carried.left_behind {
        output::note(output::plain(&format!("left behind: job {}: {}", left.id, left.reason)));
    }
    let left = match carried.left_behind.len() {
        0 => String::new(),
        count => format!("; {} left behind", output::jobs(count as u64)),
    };
    output::line(format!(
        "{} and {} attempts moved to {to}{left}",
        output::jobs(carried.jobs),
        carried.attempts
    ))?;
    output::note(format!("{from} is paused: nothing in it is sent any more"));
    Ok(ExitCode::SUCCESS)
}
