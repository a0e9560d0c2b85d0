//! `init`: creates the database, or brings its outbox up to date.

use super::{Settings, output};
use acquire_outbox::config;
use acquire_outbox::store::Store;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::ExitCode;

pub async fn run(settings: &Settings) -> Result<ExitCode> {
    let path = config::load_database(&settings.flags(), &|name| std::env::var_os(name))?;
    require_folder(&path)?;
    Store::open(&path).await?.close().await?;
    output::line(format!("outbox ready in {}", path.display()))?;
    eprintln!(
        "Next: `acquire-outbox check` looks at your account, `acquire-outbox run` delivers; \
         `acquire-outbox run --sandbox` tries it out without an account."
    );
    Ok(ExitCode::SUCCESS)
}

/// SQLite says no more than "unable to open database file".
fn require_folder(path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            bail!("{} is no folder; create it first, or name another --database", folder.display())
        }
        _ => Ok(()),
    }
}
