//! What a path leads to, and whether a dispatcher of some purpose may use it: messages in a sandbox's
//! database never reach Acquire, and the sandbox never uses any other database.

use super::versions::is_of_earlier_build;
use super::{RealPath, SqliteError, SqliteStore, owner};
use crate::queue::policy::Purpose;
use sqlx::SqliteConnection;
use std::path::Path;

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    Nothing,
    /// A database without an outbox, or an empty file.
    NoOutbox,
    /// An outbox whose messages are real.
    Outbox,
    /// An outbox that was made for the sandbox.
    SandboxOutbox,
    /// An outbox from before the first release.
    EarlierBuild,
}

impl Contents {
    /// Reads the file without changing it.
    ///
    /// # Errors
    /// [`SqliteError::NoFolder`] where there is no file and none can be made.
    pub async fn of(path: &Path) -> Result<Contents, SqliteError> {
        let (contents, store) = Contents::opened(path).await?;
        if let Some(store) = store {
            store.close().await?;
        }
        Ok(contents)
    }

    /// The same, with the connection that read them; there is none where there is no file.
    pub(super) async fn opened(
        path: &Path,
    ) -> Result<(Contents, Option<SqliteStore>), SqliteError> {
        if !is_there(path)? {
            require_folder(path)?;
            return Ok((Contents::Nothing, None));
        }
        let mut store = SqliteStore::connect(path, false).await?;
        match Contents::in_it(&mut store.conn).await {
            Ok(contents) => Ok((contents, Some(store))),
            Err(e) => {
                store.close().await?;
                Err(e)
            }
        }
    }

    pub(super) async fn in_it(conn: &mut SqliteConnection) -> Result<Contents, SqliteError> {
        if is_of_earlier_build(conn).await? {
            return Ok(Contents::EarlierBuild);
        }
        // An outbox that lost its row of `outbox_dispatcher` has no mark.
        let outbox = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('outbox', 'outbox_migrations')";
        let tables: i64 = sqlx::query_scalar(outbox).fetch_one(&mut *conn).await?;
        if tables == 0 {
            return Ok(Contents::NoOutbox);
        }
        let column =
            "SELECT count(*) FROM pragma_table_info('outbox_dispatcher') WHERE name = 'sandbox'";
        let has_column: i64 = sqlx::query_scalar(column).fetch_one(&mut *conn).await?;
        if has_column == 0 {
            return Ok(Contents::Outbox);
        }
        Ok(if is_marked(conn).await? { Contents::SandboxOutbox } else { Contents::Outbox })
    }

    /// # Errors Why a dispatcher of this purpose does not work on it.
    pub fn require(self, purpose: Purpose, path: &Path) -> Result<(), SqliteError> {
        match (purpose, self) {
            (_, Contents::EarlierBuild) => Err(SqliteError::EarlierBuild(path.to_owned())),
            (Purpose::Delivery, Contents::SandboxOutbox) => {
                Err(SqliteError::ForSandbox(path.to_owned()))
            }
            (Purpose::Sandbox, Contents::Outbox) => {
                Err(SqliteError::NotForSandbox(path.to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// Whether there is a file.
///
/// # Errors
/// [`SqliteError::Hidden`] where this user may not look.
pub(super) fn is_there(path: &Path) -> Result<bool, SqliteError> {
    match RealPath::of(path).ok().and_then(|real| owner::hidden(&real)) {
        Some(sentence) => Err(SqliteError::Hidden(sentence)),
        None => Ok(path.exists()),
    }
}

/// The errors of SQLite and of the lock say less.
fn require_folder(path: &Path) -> Result<(), SqliteError> {
    let real = RealPath::of(path)?;
    let folder = real.folder();
    if folder.is_dir() {
        return Ok(());
    }
    // As it was typed, unless a link was followed.
    let typed = path.parent().filter(|typed| !typed.as_os_str().is_empty() && !typed.is_dir());
    Err(SqliteError::NoFolder(typed.unwrap_or(folder).to_owned()))
}

pub(super) async fn is_marked(conn: &mut SqliteConnection) -> Result<bool, SqliteError> {
    let sql = "SELECT ifnull(max(sandbox), 0) <> 0 FROM outbox_dispatcher";
    Ok(sqlx::query_scalar(sql).fetch_one(conn).await?)
}

pub(super) async fn set_mark(conn: &mut SqliteConnection) -> Result<(), SqliteError> {
    sqlx::query("UPDATE outbox_dispatcher SET sandbox = 1").execute(conn).await?;
    Ok(())
}

impl SqliteStore {
    /// Whether the outbox was made for the sandbox.
    pub fn is_sandbox(&self) -> bool {
        self.sandbox
    }
}
