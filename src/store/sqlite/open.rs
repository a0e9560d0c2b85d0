//! Opening the database file: pragmas, migration, versions.

use super::busy_handler::BusyHandler;
use super::closing::OpenConnection;
use super::lenient::unless_missing;
use super::lock::LockError;
use super::owner;
use super::purpose;
use super::purpose::Contents;
use super::real_path::{PathError, RealPath};
use super::schema::{Flaw, listed};
use crate::queue::policy::Purpose;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};
use std::path::{Path, PathBuf};

/// Our own, so that an application's migrations live in the same file.
pub(super) const MIGRATIONS_TABLE: &str = "outbox_migrations";

/// One connection to the file that holds the outbox.
pub struct SqliteStore {
    pub(super) conn: SqliteConnection,
    pub(super) busy_handler: BusyHandler,
    pub(super) sandbox: bool,
    path: PathBuf,
}

/// Why the database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SqliteError {
    #[error("there is no database at {0}; create it with `acquire-outbox init`")]
    Missing(PathBuf),
    #[error("{0} holds no outbox yet; add it with `acquire-outbox init`")]
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
}

/// SQLite makes its files 0644; here the umask alone decides, so that a group may write the
/// database, and with it the `-wal` and `-shm` files, which take its mode. Before there is a
/// connection: closing the file later would drop SQLite's locks. What goes wrong, SQLite says.
fn create_by_umask(path: &RealPath) {
    let mut new = std::fs::OpenOptions::new();
    if let Ok(made) = new.write(true).create_new(true).open(path.as_path()) {
        owner::give_to_folder(&made, path.folder());
    }
}

/// Nothing is in it yet: it is ours to make, so that it can shrink again. An application's own
/// file stays as that made it.
fn is_new(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |file| file.len() == 0)
}

pub(super) fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!("./migrations");
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    migrator
}

impl SqliteStore {
    /// Opens `path`, creates the file when it is missing, and migrates the outbox in it.
    pub async fn open(path: &Path) -> Result<SqliteStore, SqliteError> {
        SqliteStore::open_for(Purpose::Delivery, path).await
    }

    /// As [`SqliteStore::open`]. A new outbox for the sandbox is marked; an existing one must have this
    /// purpose, and is not touched otherwise.
    pub async fn open_for(purpose: Purpose, path: &Path) -> Result<SqliteStore, SqliteError> {
        RealPath::of(path)?.require_only_one()?;
        Contents::of(path).await?.require(purpose, path)?;
        let mut store = SqliteStore::connect(path, true).await?;
        store.migrate(purpose).await?;
        store.sandbox = purpose == Purpose::Sandbox;
        store.forget_statistics().await?;
        Ok(store)
    }

    /// Opens an outbox that is there and of this version; changes nothing in the schema.
    pub async fn open_existing(path: &Path) -> Result<SqliteStore, SqliteError> {
        if !path.exists() {
            return Err(SqliteError::Missing(path.to_owned()));
        }
        let mut store = SqliteStore::connect(path, false).await?;
        store.check_version().await?;
        store.sandbox = unless_missing(purpose::is_marked(&mut store.conn).await)?;
        Ok(store)
    }

    /// An outbox of its own in memory: its rules are those of a real one.
    pub async fn in_memory() -> Result<SqliteStore, SqliteError> {
        let in_memory = Path::new(":memory:");
        let mut store = SqliteStore::connect_to(in_memory, in_memory, false, false).await?;
        store.migrate(Purpose::Delivery).await?;
        Ok(store)
    }

    /// `create`: creates the file where it is missing, and sets WAL mode. Without it, a file that
    /// somebody only looks at is not changed.
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
            // words that are to be gone are gone. docs/retention.md has what it costs.
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
        Ok(SqliteStore { conn, busy_handler, sandbox: false, path: path.to_owned() })
    }

    /// One transaction, begun with the write lock: two programs may start at once.
    pub(super) async fn migrate(&mut self, purpose: Purpose) -> Result<(), SqliteError> {
        if self.is_unfinished().await? {
            return Err(SqliteError::Unfinished(self.path.clone()));
        }
        let migrator = migrator();
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        let before = Contents::in_it(&mut tx).await?;
        before.require(purpose, &self.path)?;
        match migrator.run_direct(None, &mut *tx, false).await {
            Ok(()) => {}
            Err(MigrateError::VersionMissing(_)) => {
                return Err(SqliteError::Newer(self.path.clone()));
            }
            Err(e) => {
                return Err(SqliteError::Migrate { path: self.path.clone(), source: Box::new(e) });
            }
        }
        if purpose == Purpose::Sandbox && before == Contents::NoOutbox {
            purpose::set_mark(&mut tx).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn check_version(&mut self) -> Result<(), SqliteError> {
        if self.is_unfinished().await? {
            return Err(SqliteError::Unfinished(self.path.clone()));
        }
        let known = migrator().iter().map(|m| m.version).max().unwrap_or(0);
        let has_table: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM sqlite_schema WHERE name = 'outbox_migrations'")
                .fetch_optional(&mut self.conn)
                .await?;
        if has_table.is_none() {
            return Err(SqliteError::NoOutbox(self.path.clone()));
        }
        let version: i64 = sqlx::query_scalar(
            "SELECT ifnull(max(version), 0) FROM outbox_migrations WHERE success",
        )
        .fetch_one(&mut self.conn)
        .await?;
        match version.cmp(&known) {
            std::cmp::Ordering::Less => Err(SqliteError::Older(self.path.clone())),
            std::cmp::Ordering::Greater => Err(SqliteError::Newer(self.path.clone())),
            std::cmp::Ordering::Equal => Ok(()),
        }
    }

    /// The file's path, as it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes the connection; the last one in any process checkpoints the WAL into the file.
    pub async fn close(self) -> Result<(), SqliteError> {
        Ok(self.conn.close().await?)
    }
}
