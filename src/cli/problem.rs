//! How an error reads at the end of a command: one sentence, with what to do.

use acquire_outbox::config::ConfigError;
use acquire_outbox::daemon::DaemonError;
use acquire_outbox::sandbox::SandboxError;
use acquire_outbox::store::sqlite::lock::LockError;
use acquire_outbox::store::{RealPath, StoreError, owner};
use anyhow::{Error, Result, bail};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The database that this process works on: SQLite's errors name no file.
static DATABASE: OnceLock<PathBuf> = OnceLock::new();

/// Errors from now on are about this database.
pub fn works_on(database: &Path) {
    let _ = DATABASE.set(database.to_owned());
}

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

fn of_store(error: &Error) -> Option<&StoreError> {
    error.downcast_ref().or_else(|| match error.downcast_ref() {
        Some(DaemonError::Store(store)) => Some(store),
        _ => None,
    })
}

/// The file must not be used under this name or for this purpose: trying again does not help.
pub fn is_of_the_file(error: &Error) -> bool {
    let of_lock = error.downcast_ref().or_else(|| match error.downcast_ref() {
        Some(DaemonError::Lock(lock)) => Some(lock),
        _ => None,
    });
    matches!(of_lock, Some(LockError::Path(_)))
        || matches!(
            of_store(error),
            Some(
                StoreError::ForSandbox(_)
                    | StoreError::NotForSandbox(_)
                    | StoreError::Path(_)
                    | StoreError::Flawed { .. }
                    | StoreError::Unfinished(_)
            )
        )
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
    let path = match error {
        StoreError::Open { path, .. } => Some(path.as_path()),
        _ => DATABASE.get().map(PathBuf::as_path),
    };
    // SQLite does not say which of its files is meant.
    if matches!(code & 0xff, 3 | 8 | 10 | 14 | 23)
        && let Some(real) = path.and_then(|path| RealPath::of(path).ok())
        && let Some(sentence) = owner::obstacle(&real)
    {
        return Some(sentence);
    }
    Some(match code & 0xff {
        1 if is_of_the_schema(answer.message()) => format!(
            "{what}: {}; the schema is not as it should be: repair it with `acquire-outbox init`",
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

/// What SQLite says where one of our tables, views or columns is missing.
fn is_of_the_schema(message: &str) -> bool {
    ["no such table", "no such column", "no such view", "error in trigger", "error in view"]
        .iter()
        .any(|start| message.starts_with(start))
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
