//! The store: everything that is SQL, and nothing that is HTTP. Callers see one closed enum and one
//! error; only this folder knows which engine is behind them.

mod answer_note;
mod error;
mod history_columns;
mod migrations;
mod move_over;
mod postgres;
mod read_back_work;
pub mod sqlite;
pub mod tenure;

pub use answer_note::{AnswerNote, Keeping};
pub use error::StoreError;
pub use move_over::{Unfit, move_over};
pub use sqlite::{listed, this_user, wait_until_closed};
pub use tenure::Tenure;

use crate::config::Database;
use crate::queue::act::Actor;
use crate::queue::change::{Change, Mode, Refused};
use crate::queue::correction::{Corrected, DraftFence};
use crate::queue::examination::{Depth, Examination, Storage};
use crate::queue::filter::Filter;
use crate::queue::job::{Channel, Millis};
use crate::queue::new_job::{Inserted, NewJob};
use crate::queue::policy::Purpose;
use crate::queue::role::{Reach, Role};
use crate::queue::transfer::NewRow;
use postgres::{PostgresStore, within};
use sqlite::{Contents, Flaw, SqliteStore, neutral};
use std::time::Duration;

/// The most jobs that one transaction changes, inserts or reads: short, so that no producer waits
/// long.
pub const BATCH: u32 = 500;

/// As a limit: none.
pub const ALL: u32 = u32::MAX;

/// What the server answers, waited for no longer than its connection allows.
macro_rules! ask {
    ($store:ident.$call:ident($($argument:expr),*)) => {{
        let patience = $store.patience();
        let asked = async {
            $store.begin_unit().await?;
            let done = $store.$call($($argument),*).await;
            $store.end_unit(done).await
        };
        within(patience, asked).await.map_err(|e| $store.neutral(e))
    }};
}

mod reads;

/// What [`Store::init`] would create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// The file and the outbox in it.
    Database,
    /// The outbox in a database that exists.
    Outbox,
}

/// An open outbox.
pub enum Store {
    Sqlite(SqliteStore),
    Postgres(Box<PostgresStore>),
}

/// Opening, and what can be asked without opening.
impl Store {
    /// Creates the outbox where it is missing, brings it up to date and repairs it. Also gives what
    /// was repaired, a sentence each.
    pub async fn init(
        purpose: Purpose,
        database: &Database,
    ) -> Result<(Store, Vec<String>), StoreError> {
        match database {
            Database::File(path) => {
                let opened = SqliteStore::init(purpose, path).await;
                let (store, repaired) = opened.map_err(|e| neutral(e, Some(path)))?;
                Ok((Store::Sqlite(store), repaired.iter().map(Flaw::to_string).collect()))
            }
            Database::Postgres(server) => {
                let (store, repaired) = PostgresStore::init(purpose, server).await?;
                Ok((Store::Postgres(Box::new(store)), repaired))
            }
        }
    }

    /// What of an outbox is not there yet, if anything; changes nothing.
    pub async fn absence(database: &Database) -> Result<Option<Absence>, StoreError> {
        match database {
            Database::File(path) => {
                let contents = Contents::of(path).await.map_err(|e| neutral(e, Some(path)))?;
                Ok(match contents {
                    Contents::Nothing => Some(Absence::Database),
                    Contents::NoOutbox => Some(Absence::Outbox),
                    _ => None,
                })
            }
            Database::Postgres(server) => {
                Ok(PostgresStore::is_absent(server).await?.then_some(Absence::Outbox))
            }
        }
    }

    /// The SQL that [`Store::init`] would execute to create the outbox or to bring it up to date, for
    /// those who let somebody else execute it. Changes nothing.
    pub async fn init_script(purpose: Purpose, database: &Database) -> Result<String, StoreError> {
        match database {
            Database::File(path) => {
                let script = SqliteStore::init_script(purpose, path).await;
                script.map_err(|e| neutral(e, Some(path)))
            }
            Database::Postgres(server) => Ok(PostgresStore::init_script(purpose, server).await?),
        }
    }

    /// Opens an outbox that exists and has this version; changes nothing in the schema.
    pub async fn open(database: &Database) -> Result<Store, StoreError> {
        match database {
            Database::File(path) => {
                let opened = SqliteStore::open_existing(path).await;
                Ok(Store::Sqlite(opened.map_err(|e| neutral(e, Some(path)))?))
            }
            Database::Postgres(server) => {
                Ok(Store::Postgres(Box::new(PostgresStore::open_existing(server).await?)))
            }
        }
    }

    /// As [`Store::open`], only to read; see [`Store::limit`].
    pub async fn open_to_read(database: &Database) -> Result<Store, StoreError> {
        match database {
            Database::File(path) => {
                let opened = SqliteStore::open_to_read(path).await;
                Ok(Store::Sqlite(opened.map_err(|e| neutral(e, Some(path)))?))
            }
            Database::Postgres(server) => {
                Ok(Store::Postgres(Box::new(PostgresStore::open_to_read(server).await?)))
            }
        }
    }

    /// An empty outbox in memory, with the same rules.
    pub async fn in_memory() -> Result<Store, StoreError> {
        Ok(Store::Sqlite(SqliteStore::in_memory().await.map_err(|e| neutral(e, None))?))
    }

    /// Whether the outbox can be used, and what is wrong with it. Opens it, takes the lock that a write
    /// needs for a moment, and changes nothing.
    pub async fn examine(database: &Database, depth: Depth) -> Examination {
        match database {
            Database::File(path) => SqliteStore::examine(path, depth).await,
            Database::Postgres(server) => PostgresStore::examine(server, depth).await,
        }
    }

    /// The SQL that gives these roles what they need; executes nothing.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] for an engine without roles.
    pub fn grants(database: &Database, roles: &[Role], reach: Reach) -> Result<String, StoreError> {
        match database {
            Database::File(path) => Err(StoreError::Unusable(format!(
                "{} is a file, which has no roles: who may use it is decided by its owner, group and \
                 mode; see docs/security.md",
                path.display()
            ))),
            Database::Postgres(server) => Ok(postgres::grants(server, roles, reach)),
        }
    }

    /// What is known of the outbox's storage; opens nothing and never waits.
    pub fn storage(database: &Database) -> Storage {
        match database {
            Database::File(path) => sqlite::storage(path),
            Database::Postgres(_) => Storage::default(),
        }
    }

    /// Whether a dispatcher works on the outbox or is about to.
    pub async fn dispatcher_is_running(database: &Database) -> Result<bool, StoreError> {
        match database {
            Database::File(path) => sqlite::is_held(path),
            Database::Postgres(server) => Ok(PostgresStore::dispatcher_is_running(server).await?),
        }
    }
}

/// The connection itself.
impl Store {
    /// Where the outbox is, as it was opened.
    pub fn database(&self) -> Database {
        match self {
            Store::Sqlite(s) => Database::File(s.path().to_owned()),
            Store::Postgres(s) => Database::Postgres(Box::new(s.server().clone())),
        }
    }

    /// Whether the outbox was made for the sandbox.
    pub fn is_sandbox(&self) -> bool {
        match self {
            Store::Sqlite(s) => s.is_sandbox(),
            Store::Postgres(s) => s.is_sandbox(),
        }
    }

    /// Whether this connection is still to the outbox at its place: it may have been replaced.
    pub fn is_current(&self) -> bool {
        match self {
            Store::Sqlite(s) => s.is_current(),
            Store::Postgres(s) => s.is_current(),
        }
    }

    /// How long the statements from now on may take together; a longer one ends with
    /// [`StoreError::TimeLimit`]. Has an effect only after [`Store::open_to_read`].
    pub fn limit(&self, limit: Duration) {
        match self {
            Store::Sqlite(s) => s.limit(limit),
            Store::Postgres(s) => s.limit(limit),
        }
    }

    /// Whether a write would succeed; takes and releases the lock that it would need.
    ///
    /// # Errors
    /// The error that a write would get; [`StoreError::is_busy`] if another program keeps the lock for
    /// longer than `wait`.
    pub async fn probe_write(&mut self, wait: Duration) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(s) => s.try_write_lock(wait).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.probe_write(wait)),
        }
    }

    /// Closes the connection.
    pub async fn close(self) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(s) => s.close().await.map_err(|e| neutral(e, None)),
            Store::Postgres(s) => Ok(s.close().await?),
        }
    }
}

/// What producers do.
impl Store {
    /// Inserts one job; a taken idempotency key gives the job that has it.
    pub async fn insert(&mut self, job: &NewJob) -> Result<Inserted, StoreError> {
        match self {
            Store::Sqlite(s) => s.insert(job).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.insert(job)),
        }
    }

    /// Inserts the rows in their order in one transaction, all of them or none, and gives the number
    /// of those that are new: one whose idempotency key is taken is skipped. [`Mode::Rehearse`]
    /// only checks them, and gives 0.
    ///
    /// # Errors
    /// [`StoreError::rule`]: the sentence of the rule that one of the rows breaks.
    pub async fn import(&mut self, rows: &[NewRow], mode: Mode) -> Result<u64, StoreError> {
        match self {
            Store::Sqlite(s) => s.import(rows, mode).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.import(rows, mode)),
        }
    }

    /// Executes SQL of a producer's, as any program may. Several statements are several transactions on
    /// SQLite, and one on PostgreSQL.
    pub async fn execute_sql(&mut self, sql: &str) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(s) => s.execute_sql(sql).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.execute_sql(sql)),
        }
    }
}

/// What operators do.
impl Store {
    /// From now on what is done to jobs through this connection is noted as done by this command or page;
    /// otherwise as done by SQL.
    pub fn act_as(&mut self, actor: Actor) {
        match self {
            Store::Sqlite(s) => s.act_as(actor),
            Store::Postgres(s) => s.act_as(actor),
        }
    }

    /// Gives a failed or cancelled job another payload and retries it, in one transaction, if nobody has changed it
    /// since it was drafted. The earlier payload is kept with its acts.
    ///
    /// # Errors
    /// [`StoreError::rule`]: the sentence of the rule that the payload breaks.
    pub async fn correct(
        &mut self,
        drafted: &DraftFence,
        payload: &str,
    ) -> Result<Corrected, StoreError> {
        match self {
            Store::Sqlite(s) => s.correct(drafted, payload).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.correct(drafted, payload)),
        }
    }

    /// Changes these jobs, each by itself, in one transaction; gives those that it could not, with
    /// the reason. [`Mode::Rehearse`] gives the same and changes nothing.
    pub async fn change(
        &mut self,
        change: Change,
        ids: &[i64],
        mode: Mode,
    ) -> Result<Vec<Refused>, StoreError> {
        match self {
            Store::Sqlite(s) => s.change(change, ids, mode).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.change(change, ids, mode)),
        }
    }

    /// Changes those of `ids` that still pass `filter` and can be changed this way, in one
    /// transaction; gives their number.
    pub async fn change_where(
        &mut self,
        change: Change,
        filter: &Filter,
        ids: &[i64],
    ) -> Result<u64, StoreError> {
        match self {
            Store::Sqlite(s) => s.change_where(change, filter, ids).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.change_where(change, filter, ids)),
        }
    }

    /// Makes uncertain up to [`BATCH`] of the pending jobs that were due by `until`; gives how many,
    /// 0 when none is left. Everything must be paused.
    pub async fn resolve_restored(&mut self, until: Millis) -> Result<u64, StoreError> {
        match self {
            Store::Sqlite(s) => s.resolve_restored(until).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.resolve_restored(until)),
        }
    }

    /// Pauses a channel, an account, a channel of an account, or (neither given) everything. What is
    /// paused already keeps its beginning, and takes the new reason and end. `length`: how long from now on,
    /// by the clock of the dispatchers, which then end it; `None`: until a person does.
    pub async fn pause(
        &mut self,
        account: Option<&str>,
        channel: Option<Channel>,
        reason: &str,
        length: Option<Duration>,
    ) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(s) => {
                s.pause(account, channel, reason, length).await.map_err(|e| s.neutral(e))
            }
            Store::Postgres(s) => ask!(s.pause(account, channel, reason, length)),
        }
    }

    /// From now on payloads of exactly these channels may leave out the ids of their case: the rules of an
    /// INSERT follow.
    pub async fn fill_missing(&mut self, channels: &[Channel]) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(s) => s.fill_missing(channels).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.fill_missing(channels)),
        }
    }

    /// Ends exactly this pause; false: there is none. A wider one still keeps its jobs back.
    pub async fn resume(
        &mut self,
        account: Option<&str>,
        channel: Option<Channel>,
    ) -> Result<bool, StoreError> {
        match self {
            Store::Sqlite(s) => s.resume(account, channel).await.map_err(|e| s.neutral(e)),
            Store::Postgres(s) => ask!(s.resume(account, channel)),
        }
    }
}
