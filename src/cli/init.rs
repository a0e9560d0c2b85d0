//! `init`: creates the database, or brings its outbox up to date.

use super::{Settings, output, problem};
use acquire_outbox::config;
use acquire_outbox::store::Store;
use anyhow::Result;
use std::process::ExitCode;

pub async fn run(settings: &Settings) -> Result<ExitCode> {
    let path = config::load_database(&settings.flags(), &|name| std::env::var_os(name))?;
    problem::require_folder(&path)?;
    let (store, repaired) = Store::init(&path).await?;
    store.close().await?;
    for flaw in &repaired {
        output::note(format!("repaired: {flaw}"));
    }
    output::line(format!("outbox ready in {}", path.display()))?;
    output::note(
        "Next: `acquire-outbox check` looks at your account, `acquire-outbox run` delivers; \
         `acquire-outbox run --sandbox` tries it out without an account.",
    );
    Ok(ExitCode::SUCCESS)
}
