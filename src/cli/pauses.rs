//! `pauses`: what people have paused, since when and why.

use super::status::pause_table;
use super::{GlobalFlags, output};
use crate::desk::status_json::PauseJson;
use crate::queue::when::now;
use crate::store::ALL;
use anyhow::Result;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  acquire-outbox pauses
  acquire-outbox pauses --json

The last column has the command that ends the pause.")]
pub struct PausesArgs {
    /// A JSON array; null means every account, or every channel
    #[arg(long)]
    json: bool,
}

pub async fn run(settings: &GlobalFlags, args: PausesArgs) -> Result<ExitCode> {
    let pauses = settings.open().await?.pauses(ALL).await?;
    if args.json {
        output::json(&pauses.iter().map(PauseJson::from).collect::<Vec<_>>())?;
    } else if pauses.is_empty() && output::to_people() {
        output::note("nothing is paused");
    } else {
        pause_table(&pauses, now()).print()?;
    }
    Ok(ExitCode::SUCCESS)
}
