//! How an error reads at the end of a command: one sentence, with what to do.

use acquire_outbox::config::ConfigError;
use acquire_outbox::daemon::DaemonError;
use acquire_outbox::lock::LockError;
use acquire_outbox::sandbox::SandboxError;
use acquire_outbox::store::StoreError;
use anyhow::{Error, Result, bail};
use std::path::Path;

/// The error with its contexts. The library's own errors quote their causes already, so these
/// are not told again.
pub fn told(error: &Error) -> String {
    if let Some(sentence) = of_store(error).and_then(of_sqlite) {
        return sentence;
    }
    let mut told = String::new();
    for cause in error.chain() {
        if !told.is_empty() {
            told.push_str(": ");
        }
        told.push_str(&cause.to_string());
        if cause.is::<LockError>() || matches!(cause.downcast_ref(), Some(DaemonError::Lock(_))) {
            told.push_str("; give this user write access to the database's folder");
        }
        let whole = cause.is::<ConfigError>()
            || cause.is::<DaemonError>()
            || cause.is::<LockError>()
            || cause.is::<SandboxError>()
            || cause.is::<StoreError>();
        if whole {
            break;
        }
    }
    told
}

pub(super) fn of_store(error: &Error) -> Option<&StoreError> {
    error.downcast_ref().or_else(|| match error.downcast_ref() {
        Some(DaemonError::Store(store)) => Some(store),
        _ => None,
    })
}

/// What SQLite refused, by its primary result code: <https://www.sqlite.org/rescode.html>.
pub fn of_sqlite(error: &StoreError) -> Option<String> {
    let (what, source) = match error {
        StoreError::Open { path, source } => (path.display().to_string(), source),
        StoreError::Sql(source) => ("the database".to_owned(), source),
        _ => return None,
    };
    let answer = source.as_database_error()?;
    let code: i32 = answer.code()?.parse().ok()?;
    Some(match code & 0xff {
        1 if is_of_the_schema(answer.message()) => format!(
            "{what}: {}; the schema is not as it must be: repair it with `acquire-outbox init`",
            answer.message()
        ),
        5 | 6 => format!("{what} is locked by another program; try again when that has ended"),
        8 => format!(
            "{what} cannot be written to; give this user write access to the file and its folder"
        ),
        11 => format!(
            "{what} is damaged; restore a backup, or save what there is with `.recover`: {}",
            answer.message()
        ),
        13 => format!("{what} cannot grow: the disk is full; make room and try again"),
        14 => format!(
            "{what} cannot be opened; it must be a file, not a folder, that this user may read \
             and write, in a folder that this user may write to"
        ),
        26 => format!("{what} is not a SQLite database; name the right file with --database"),
        _ => format!("{what}: {}", answer.message()),
    })
}

/// What SQLite says where a table, a view or a column of ours is not there.
fn is_of_the_schema(message: &str) -> bool {
    ["no such table", "no such column", "no such view", "error in trigger", "error in view"]
        .iter()
        .any(|start| message.starts_with(start))
}

/// For commands that create the file: SQLite, and the lock beside it, say less.
pub fn require_folder(path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            bail!("{} is no folder; create it first, or name another --database", folder.display())
        }
        _ => Ok(()),
    }
}
