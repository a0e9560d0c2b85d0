//! What SQLite and the file system say, and its translation into the store's error.

use super::lock::LockError;
use super::schema::{Flaw, listed};
use super::{PathError, RealPath, SqliteStore, owner};
use crate::store::StoreError;
use sqlx::migrate::MigrateError;
use std::path::{Path, PathBuf};

/// Why the database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SqliteError {
    #[error(
        "there is no database at {0}; name another one with --database, or create it with \
         `acquire-outbox init`"
    )]
    Missing(PathBuf),
    /// A folder on the way is closed to this user: a sentence with what to do.
    #[error("{0}")]
    Hidden(String),
    #[error(
        "{0} holds no outbox; name another file with --database, or add one with `acquire-outbox init`"
    )]
    NoOutbox(PathBuf),
    #[error(
        "{0} was made by an older acquire-outbox; bring it up to date with `acquire-outbox init`"
    )]
    Older(PathBuf),
    #[error("{0} was made by a newer acquire-outbox; use that version or a later one")]
    Newer(PathBuf),
    #[error(
        "{0} was made for the sandbox: nothing in it may reach Acquire; work on it with \
         `acquire-outbox run --sandbox`, or name another file with --database and make it with \
         `acquire-outbox init`"
    )]
    ForSandbox(PathBuf),
    #[error(
        "{0} was not made for the sandbox, which would mark its messages as sent without sending them; \
         make another file for the sandbox (`acquire-outbox init --sandbox --database sandbox.db`) and \
         name it with --database, or leave --sandbox out to deliver what is in this one"
    )]
    NotForSandbox(PathBuf),
    #[error(
        "{0} was made by a build of acquire-outbox from before its first release; carry its jobs over \
         into a new outbox with carry-over.sql, which keeps their ids and their history: see \
         \"An outbox made by an earlier build\" in docs/operating.md"
    )]
    EarlierBuild(PathBuf),
    #[error("{0} is not a folder; create it first, or name another --database")]
    NoFolder(PathBuf),
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(
        "{0} has the tables of an outbox but no record of its version, like a copy of the schema \
         alone; complete it with `acquire-outbox init`"
    )]
    Unfinished(PathBuf),
    #[error(
        "{0} has a table `outbox` that another program made; name another file with --database"
    )]
    Foreign(PathBuf),
    #[error("the schema of {path} is not as it should be: {}; repair it with `acquire-outbox init`", listed(.flaws))]
    Flawed { path: PathBuf, flaws: Vec<Flaw> },
    #[error(
        "table {table} cannot be rebuilt: {problem}; correct these rows with SQL, or restore a backup, \
         and then run `acquire-outbox init` again"
    )]
    Unrepaired { table: String, problem: String },
    #[error("the migration of {path} failed: {source}")]
    Migrate { path: PathBuf, source: Box<MigrateError> },
    #[error("cannot open {path}: {source}")]
    Open { path: PathBuf, source: sqlx::Error },
    #[error("the database answered: {0}")]
    Sql(#[from] sqlx::Error),
    /// Row after row was refused: the error is not about one of them.
    #[error("the database refuses every change: {0}")]
    Refused(String),
    #[error("another dispatcher has taken over this database")]
    Superseded,
    #[error("{0} was deleted while the dispatcher worked on it; put it back, or restore a copy")]
    Deleted(PathBuf),
    #[error("{0} was replaced by another file while the dispatcher worked on it")]
    Replaced(PathBuf),
}

impl SqliteError {
    /// Another connection holds the lock; the same call may go through later.
    pub fn is_busy(&self) -> bool {
        // The primary result code is the low byte: 5 is SQLITE_BUSY, 6 SQLITE_LOCKED.
        self.sqlite_code().is_some_and(|code| matches!(code & 0xff, 5 | 6))
    }

    /// SQLite's result code, where the error is SQLite's.
    pub(super) fn sqlite_code(&self) -> Option<i32> {
        let (SqliteError::Sql(e) | SqliteError::Open { source: e, .. }) = self else { return None };
        e.as_database_error().and_then(|e| e.code()).and_then(|code| code.parse().ok())
    }

    /// The sentence of a trigger that refused a statement, without SQLite's wrapping.
    pub fn refusal(&self) -> Option<String> {
        match self {
            SqliteError::Sql(sqlx::Error::Database(e)) => Some(e.message().to_owned()),
            _ => None,
        }
    }

    /// The sentence of a trigger that refused a statement: `None` for every other error.
    pub fn trigger_sentence(&self) -> Option<String> {
        const SQLITE_CONSTRAINT_TRIGGER: &str = "1811";
        let SqliteError::Sql(sqlx::Error::Database(e)) = self else { return None };
        (e.code().as_deref() == Some(SQLITE_CONSTRAINT_TRIGGER)).then(|| e.message().to_owned())
    }

    /// A statement ran longer than its connection may read.
    pub fn is_interrupted(&self) -> bool {
        const SQLITE_INTERRUPT: i32 = 9;
        self.sqlite_code() == Some(SQLITE_INTERRUPT)
    }
}

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
        | SqliteError::EarlierBuild(_)
        | SqliteError::Newer(_)
        | SqliteError::Foreign(_)
        | SqliteError::Unrepaired { .. }
        | SqliteError::Migrate { .. } => StoreError::WrongVersion(sentence),
        SqliteError::NoFolder(_)
        | SqliteError::Hidden(_)
        | SqliteError::Open { .. }
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

impl From<LockError> for StoreError {
    fn from(e: LockError) -> StoreError {
        neutral(SqliteError::Lock(e), None)
    }
}

impl From<PathError> for StoreError {
    fn from(e: PathError) -> StoreError {
        neutral(SqliteError::Path(e), None)
    }
}
