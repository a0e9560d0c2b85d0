use anyhow::Result;
use std::process::ExitCode;
#[derive(clap::Args)]
pub struct Args {}
pub async fn run(_a: Args) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
