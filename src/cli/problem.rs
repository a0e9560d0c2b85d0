//! How an error reads at the end of a command: one sentence, with what to do.

use acquire_outbox::config::ConfigError;
use acquire_outbox::daemon::DaemonError;
use acquire_outbox::sandbox::SandboxError;
use acquire_outbox::store::{RealPath, StoreError};
use anyhow::{Error, Result, bail};
use std::path::Path;

/// The error with its contexts. The library's own errors quote their causes already, so these
/// are not told again.
pub fn told(error: &Error) -> String {
    let mut told = String::new();
    for cause in error.chain() {
        if !told.is_empty() {
            told.push_str(": ");
        }
        told.push_str(&cause.to_string());
        let whole = cause.is::<ConfigError>()
            || cause.is::<DaemonError>()
            || cause.is::<SandboxError>()
            || cause.is::<StoreError>();
        if whole {
            break;
        }
    }
    told
}

fn of_store(error: &Error) -> Option<&StoreError> {
    error.downcast_ref().or_else(|| match error.downcast_ref() {
        Some(DaemonError::Store(store)) => Some(store),
        _ => None,
    })
}

/// The file must not be used under this name or for this purpose: trying again does not help.
pub fn is_of_the_file(error: &Error) -> bool {
    matches!(of_store(error), Some(StoreError::Unusable(_)))
}

/// For commands that create the file: the errors of SQLite and of the lock say less.
pub fn require_folder(path: &Path) -> Result<()> {
    let real = RealPath::of(path).map_err(StoreError::from)?;
    let folder = real.folder();
    if folder.is_dir() {
        return Ok(());
    }
    // As it was typed, unless a link was followed.
    let typed = path.parent().filter(|typed| !typed.as_os_str().is_empty() && !typed.is_dir());
    let folder = typed.unwrap_or(folder).display();
    bail!("{folder} is not a folder; create it first, or name another --database")
}
