//! Opening the database file: how a connection is set up, and when it is closed.

use super::SqliteError;
use super::busy_handler::BusyHandler;
use super::contents::{self, Contents};
use super::files::{Inode, inode};
use super::lenient::unless_missing;
use super::owner;
use super::real_path::RealPath;
use super::time_limit::TimeLimit;
use crate::queue::act::Actor;
use crate::queue::policy::Purpose;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// One connection to the file that holds the outbox.
pub struct SqliteStore {
    pub(super) conn: SqliteConnection,
    pub(super) busy_handler: BusyHandler,
    pub(super) sandbox: bool,
    /// Who is noted as the author of acts on jobs.
    pub(super) actor: Option<Actor>,
    /// Of a connection that only reads.
    pub(super) limit: Option<TimeLimit>,
    path: PathBuf,
    /// The file that was opened.
    file: Option<Inode>,
}

/// SQLite makes its files 0644; here the umask alone decides, so that a group may write the
/// database, and with it the `-wal` and `-shm` files, which take its mode. Before there is a
/// connection: closing the file later would drop SQLite's locks. Errors are left to SQLite, which
/// opens the file next.
fn create_by_umask(path: &RealPath) {
    let mut new = std::fs::OpenOptions::new();
    if let Ok(made) = new.write(true).create_new(true).open(path.as_path()) {
        owner::give_to_folder(&made, path.folder());
    }
}

/// A file with nothing in it is set up so that it can shrink again. An application's own file stays
/// as it is.
fn is_new(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |file| file.len() == 0)
}

impl SqliteStore {
    /// Opens `path` for deliveries, creates the file when it is missing, and migrates the outbox in it.
    #[cfg(test)]
    pub async fn open(path: &Path) -> Result<SqliteStore, SqliteError> {
        SqliteStore::open_for(Purpose::Delivery, path).await
    }

    /// Opens `path`, creates the file when it is missing, and migrates the outbox in it. A new outbox
    /// for the sandbox is marked; an existing one must have this purpose, and is not touched
    /// otherwise.
    pub async fn open_for(purpose: Purpose, path: &Path) -> Result<SqliteStore, SqliteError> {
        RealPath::of(path)?.require_only_one()?;
        Contents::of(path).await?.require(purpose, path)?;
        SqliteStore::connect(path, true).await?.prepared(purpose).await
    }

    /// Opens the outbox in `path` for a dispatcher, which changes nothing yet. A connection reads the whole
    /// schema, which takes longer than anything else at a start; so this one is kept and
    /// [`prepared`](Self::prepared) once the lock is held.
    pub(super) async fn admit(purpose: Purpose, path: &Path) -> Result<SqliteStore, SqliteError> {
        RealPath::of(path)?.require_only_one()?;
        let (contents, store) = Contents::opened(path).await?;
        match (purpose, contents, store) {
            // The file belongs to an application; `init --sandbox` can add an outbox.
            (Purpose::Sandbox, Contents::NoOutbox, _) => {
                Err(SqliteError::NotForSandbox(path.to_owned()))
            }
            (_, Contents::Nothing, _) | (_, _, None) => Err(SqliteError::Missing(path.to_owned())),
            (_, Contents::NoOutbox, _) => Err(SqliteError::NoOutbox(path.to_owned())),
            (purpose, contents, Some(store)) => {
                contents.require(purpose, path)?;
                Ok(store)
            }
        }
    }

    /// Migrates an outbox that was found to have this purpose, or adds one to a file without.
    pub(super) async fn prepared(mut self, purpose: Purpose) -> Result<SqliteStore, SqliteError> {
        // A file keeps this mode, but an outbox that was loaded from a dump does not have it yet.
        sqlx::query("PRAGMA journal_mode = WAL")
            .execute(&mut self.conn)
            .await
            .map_err(|source| SqliteError::Open { path: self.path.clone(), source })?;
        self.migrate(purpose).await?;
        // `-wal` and `-shm` may exist only since then.
        owner::align_companions(&RealPath::of(&self.path)?);
        self.sandbox = purpose == Purpose::Sandbox;
        self.forget_statistics().await?;
        Ok(self)
    }

    /// Opens an outbox that exists and has this version; changes nothing in the schema.
    pub async fn open_existing(path: &Path) -> Result<SqliteStore, SqliteError> {
        RealPath::of(path)?.require_only_one()?;
        if !contents::is_there(path)? {
            return Err(SqliteError::Missing(path.to_owned()));
        }
        let mut store = SqliteStore::connect(path, false).await?;
        store.check_version().await?;
        store.sandbox = unless_missing(contents::is_marked(&mut store.conn).await)?;
        Ok(store)
    }

    /// An empty outbox in memory; its rules are those of a real one.
    pub async fn in_memory() -> Result<SqliteStore, SqliteError> {
        let in_memory = Path::new(":memory:");
        let mut store = SqliteStore::connect_to(in_memory, in_memory, false, false).await?;
        store.migrate(Purpose::Delivery).await?;
        Ok(store)
    }

    /// `create`: creates the file where it is missing, and sets WAL mode. Without it, the file is
    /// not changed.
    pub(super) async fn connect(path: &Path, create: bool) -> Result<SqliteStore, SqliteError> {
        let real = RealPath::of(path)?;
        let ours = create && is_new(path);
        if create {
            create_by_umask(&real);
        }
        let mut store = SqliteStore::connect_to(path, real.as_path(), create, ours).await?;
        // A first read: from then on `-wal` and `-shm` exist.
        sqlx::query("SELECT 1 FROM sqlite_schema LIMIT 1")
            .execute(&mut store.conn)
            .await
            .map_err(|source| SqliteError::Open { path: path.to_owned(), source })?;
        owner::align_companions(&real);
        store.file = inode(path).ok();
        Ok(store)
    }

    async fn connect_to(
        path: &Path,
        file: &Path,
        create: bool,
        ours: bool,
    ) -> Result<SqliteStore, SqliteError> {
        let open_connection = OpenConnection::begin();
        let mut options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(create)
            .synchronous(SqliteSynchronous::Full)
            // SQLite drops the collation, and with it the guard, when it has closed the file.
            .collation("outbox_closing", move |a, b| {
                let _ = &open_connection;
                a.cmp(b)
            })
            // A statement's own journal, too: on disk it cost a fifth of each cycle.
            .pragma("temp_store", "MEMORY")
            // What is deleted, and what a row that grows leaves behind, is overwritten with zeros:
            // no message text survives its deletion. docs/retention.md has the cost.
            .pragma("secure_delete", "ON")
            .disable_statement_logging();
        if create {
            options = options.journal_mode(SqliteJournalMode::Wal);
        }
        if ours {
            options = options.auto_vacuum(SqliteAutoVacuum::Incremental);
        }
        let open = |source| SqliteError::Open { path: path.to_owned(), source };
        let mut conn = options.connect().await.map_err(open)?;
        let busy_handler = BusyHandler::of(&mut conn).await.map_err(open)?;
        let path = path.to_owned();
        Ok(SqliteStore {
            conn,
            busy_handler,
            sandbox: false,
            actor: None,
            limit: None,
            path,
            file: None,
        })
    }

    /// The file's path, as it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to the file that was opened.
    pub fn is_current(&self) -> bool {
        inode(&self.path).ok() == self.file
    }

    /// Closes the connection; the last one in any process checkpoints the WAL into the file.
    pub async fn close(self) -> Result<(), SqliteError> {
        Ok(self.conn.close().await?)
    }
}

/// How many connections of this process are open.
static OPEN: Mutex<usize> = Mutex::new(0);
static CLOSED: Condvar = Condvar::new();

/// One connection; SQLite drops it at the very end of closing.
struct OpenConnection(());

impl OpenConnection {
    fn begin() -> OpenConnection {
        *OPEN.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        OpenConnection(())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        *OPEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        CLOSED.notify_all();
    }
}

/// Waits until every connection is closed. A dropped connection is closed by another thread, which
/// the end of the process would interrupt: `-wal` and `-shm` would stay behind and belong to this
/// user.
pub fn wait_until_closed(limit: Duration) {
    let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = CLOSED.wait_timeout_while(open, limit, |open| *open > 0);
}
