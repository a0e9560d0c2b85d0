//! Translates what SQLite and the file system say into the store's error.

use super::lock::LockError;
use super::{PathError, RealPath, SqliteError, SqliteStore, owner};
use crate::store::StoreError;
use std::path::{Path, PathBuf};

impl SqliteStore {
    /// The error in the store's terms; its sentence names this database where SQLite does not.
    pub fn neutral(&self, e: SqliteError) -> StoreError {
        neutral(e, Some(self.path()))
    }
}

/// `path`: the database that the error is about, if it is known.
pub fn neutral(e: SqliteError, path: Option<&Path>) -> StoreError {
    if e.is_busy() {
        return StoreError::Busy(sentence(&e, path));
    }
    if e.is_interrupted() {
        return StoreError::TimeLimit(sentence(&e, path));
    }
    if e.is_damage() {
        return StoreError::Damaged(sentence(&e, path));
    }
    if let Some(rule) = e.trigger_sentence() {
        return StoreError::Refused { sentence: rule, by_rule: true };
    }
    if e.is_of_a_row() {
        let sentence = e.refusal().unwrap_or_else(|| e.to_string());
        return StoreError::Refused { sentence, by_rule: false };
    }
    let sentence = sentence(&e, path);
    match e {
        SqliteError::Superseded => StoreError::Superseded,
        SqliteError::Deleted(_) | SqliteError::Replaced(_) => StoreError::Gone(sentence),
        SqliteError::ForSandbox(_)
        | SqliteError::NotForSandbox(_)
        | SqliteError::Path(_)
        | SqliteError::Lock(LockError::Path(_))
        | SqliteError::Flawed { .. }
        | SqliteError::Unfinished(_) => StoreError::Unusable(sentence),
        SqliteError::Missing(_)
        | SqliteError::NoOutbox(_)
        | SqliteError::Older(_)
        | SqliteError::Newer(_)
        | SqliteError::Foreign(_)
        | SqliteError::Unrepaired { .. }
        | SqliteError::Migrate { .. } => StoreError::WrongVersion(sentence),
        SqliteError::Open { .. }
        | SqliteError::Lock(_)
        | SqliteError::Sql(_)
        | SqliteError::Refused(_) => StoreError::Other(sentence),
    }
}

fn sentence(e: &SqliteError, path: Option<&Path>) -> String {
    of_result_code(e, path).unwrap_or_else(|| e.to_string())
}

/// What SQLite refused, by its primary result code: <https://www.sqlite.org/rescode.html>.
fn of_result_code(error: &SqliteError, known: Option<&Path>) -> Option<String> {
    let (what, source) = match error {
        SqliteError::Open { path, source } => (path.display().to_string(), source),
        SqliteError::Sql(source) => ("the database".to_owned(), source),
        _ => return None,
    };
    let answer = source.as_database_error()?;
    let code: i32 = answer.code()?.parse().ok()?;
    let path = match error {
        SqliteError::Open { path, .. } => Some(path.clone()),
        _ => known.map(PathBuf::from),
    };
    // SQLite does not say which of its files is meant.
    if matches!(code & 0xff, 3 | 8 | 10 | 14 | 23)
        && let Some(real) = path.and_then(|path| RealPath::of(&path).ok())
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

impl From<SqliteError> for StoreError {
    fn from(e: SqliteError) -> StoreError {
        neutral(e, None)
    }
}

impl From<PathError> for StoreError {
    fn from(e: PathError) -> StoreError {
        neutral(SqliteError::Path(e), None)
    }
}

impl From<LockError> for StoreError {
    fn from(e: LockError) -> StoreError {
        neutral(SqliteError::Lock(e), None)
    }
}
