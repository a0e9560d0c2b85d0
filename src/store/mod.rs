//! The store: everything that is SQL, and nothing that is HTTP. Callers see one closed enum and one
//! error; which engine is behind it, only this folder knows.

mod error;
pub mod sqlite;
pub mod tenure;

pub use error::StoreError;
pub use sqlite::*;
pub use tenure::Tenure;

use crate::queue::block::Block;
use crate::queue::change::{Change, Refused};
use crate::queue::filter::{Filter, Page};
use crate::queue::job::{Channel, Millis};
use crate::queue::new_job::{Inserted, NewJob};
use crate::queue::overview::{AsideSummary, Census, FailureGroup, Overview, Pulse, Untouched};
use crate::queue::pause::Pause;
use crate::queue::policy::Purpose;
use crate::queue::story::{Delivery, Extent, Position, Story};
use crate::queue::transfer::{Export, ExportedJob, NewRow};
use std::path::Path;
use std::time::Duration;

/// An open outbox.
pub enum Store {
    Sqlite(SqliteStore),
}

impl Store {
    /// Creates the outbox where it is missing, brings it up to date and repairs it; gives what was wrong.
    pub async fn init(purpose: Purpose, path: &Path) -> Result<(Store, Vec<Flaw>), StoreError> {
        let opened = SqliteStore::init(purpose, path).await;
        let (store, repaired) = opened.map_err(|e| neutral(e, Some(path)))?;
        Ok((Store::Sqlite(store), repaired))
    }

    /// Opens the outbox, and creates and migrates it where that is needed.
    pub async fn open(path: &Path) -> Result<Store, StoreError> {
        Store::open_for(Purpose::Delivery, path).await
    }

    /// As [`Store::open`], for this purpose.
    pub async fn open_for(purpose: Purpose, path: &Path) -> Result<Store, StoreError> {
        let opened = SqliteStore::open_for(purpose, path).await;
        Ok(Store::Sqlite(opened.map_err(|e| neutral(e, Some(path)))?))
    }

    /// Opens an outbox that exists and has this version; changes nothing in the schema.
    pub async fn open_existing(path: &Path) -> Result<Store, StoreError> {
        let opened = SqliteStore::open_existing(path).await;
        Ok(Store::Sqlite(opened.map_err(|e| neutral(e, Some(path)))?))
    }

    /// As [`Store::open_existing`], only to read, each statement within a time limit.
    pub async fn open_to_read(path: &Path) -> Result<(Store, TimeLimit), StoreError> {
        let opened = SqliteStore::open_to_read(path).await;
        let (store, limit) = opened.map_err(|e| neutral(e, Some(path)))?;
        Ok((Store::Sqlite(store), limit))
    }

    /// An outbox in memory, with the same rules.
    pub async fn in_memory() -> Result<Store, StoreError> {
        Ok(Store::Sqlite(SqliteStore::in_memory().await.map_err(|e| neutral(e, None))?))
    }

    /// The path, as it was opened.
    pub fn path(&self) -> &Path {
        match self {
            Store::Sqlite(s) => s.path(),
        }
    }

    /// Whether the outbox was made for the sandbox.
    pub fn is_sandbox(&self) -> bool {
        match self {
            Store::Sqlite(s) => s.is_sandbox(),
        }
    }

    /// Closes the connection.
    pub async fn close(self) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(s) => s.close().await.map_err(|e| neutral(e, None)),
        }
    }

    /// How many rows are set aside, and the first `limit` of them.
    pub async fn asides(&mut self, limit: u32) -> Result<AsideSummary, StoreError> {
        match self {
            Store::Sqlite(s) => s.asides(limit).await.map_err(|e| s.neutral(e)),
        }
    }

    /// Counts all jobs; reads an entry of an index for each.
    pub async fn census(&mut self) -> Result<Census, StoreError> {
        match self {
            Store::Sqlite(s) => s.census().await.map_err(|e| s.neutral(e)),
        }
    }

    pub async fn pulse(&mut self, now: Millis) -> Result<Pulse, StoreError> {
        match self {
            Store::Sqlite(s) => s.pulse(now).await.map_err(|e| s.neutral(e)),
        }
    }

    /// Inserts one job; a taken idempotency key gives the job that has it.
    pub async fn insert(&mut self, job: &NewJob) -> Result<Inserted, StoreError> {
        match self {
            Store::Sqlite(s) => s.insert(job).await.map_err(|e| s.neutral(e)),
        }
    }

    /// Changes these jobs, each by itself, in one transaction; gives those that it could not.
    pub async fn change(
        &mut self,
        change: Change,
        ids: &[i64],
    ) -> Result<Vec<Refused>, StoreError> {
        match self {
            Store::Sqlite(s) => s.change(change, ids).await.map_err(|e| s.neutral(e)),
        }
    }

    /// What [`Store::change`] would refuse, as the database itself says it; changes nothing.
    pub async fn would_refuse(
        &mut self,
        change: Change,
        ids: &[i64],
    ) -> Result<Vec<Refused>, StoreError> {
        match self {
            Store::Sqlite(s) => s.would_refuse(change, ids).await.map_err(|e| s.neutral(e)),
        }
    }

    /// Up to [`BATCH`] ids above `after` that pass `filter`, ascending: each job comes once, even
    /// one that falls back into the filter's states meanwhile.
    pub async fn ids_after(&mut self, filter: &Filter, after: i64) -> Result<Vec<i64>, StoreError> {
        match self {
            Store::Sqlite(s) => s.ids_after(filter, after).await.map_err(|e| s.neutral(e)),
        }
    }

    /// Changes those of `ids` that still pass `filter` and can go this way, in one statement; gives
    /// their number.
    pub async fn change_where(
        &mut self,
        change: Change,
        filter: &Filter,
        ids: &[i64],
    ) -> Result<u64, StoreError> {
        match self {
            Store::Sqlite(s) => s.change_where(change, filter, ids).await.map_err(|e| s.neutral(e)),
        }
    }

    /// Takes and gives back the write lock, and writes nothing.
    pub async fn probe_write(&mut self) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(s) => s.probe_write().await.map_err(|e| s.neutral(e)),
        }
    }

    /// The errors that most jobs have, of the latest [`LOOKED_AT`] of each kind.
    pub async fn failures(&mut self, limit: u32) -> Result<Vec<FailureGroup>, StoreError> {
        match self {
            Store::Sqlite(s) => s.failures(limit).await.map_err(|e| s.neutral(e)),
        }
    }

    /// Takes the write lock and lets go of it, waiting no longer than this; it writes nothing.
    ///
    /// # Errors
    /// What a write would meet; [`StoreError::is_busy`] where another program has the lock.
    pub async fn try_write_lock(&mut self, wait: Duration) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(s) => s.try_write_lock(wait).await.map_err(|e| s.neutral(e)),
        }
    }

    /// The first of them.
    pub async fn blocks_up_to(&mut self, limit: u32) -> Result<Vec<Block>, StoreError> {
        match self {
            Store::Sqlite(s) => s.blocks_up_to(limit).await.map_err(|e| s.neutral(e)),
        }
    }

    /// Counts, the oldest job that is due, rates, and what holds jobs back.
    pub async fn overview(&mut self, now: Millis) -> Result<Overview, StoreError> {
        match self {
            Store::Sqlite(s) => s.overview(now).await.map_err(|e| s.neutral(e)),
        }
    }

    /// Everything that is paused.
    pub async fn pauses(&mut self) -> Result<Vec<Pause>, StoreError> {
        match self {
            Store::Sqlite(s) => s.pauses().await.map_err(|e| s.neutral(e)),
        }
    }

    /// The first of them, those of every account before all others.
    pub async fn pauses_up_to(&mut self, limit: u32) -> Result<Vec<Pause>, StoreError> {
        match self {
            Store::Sqlite(s) => s.pauses_up_to(limit).await.map_err(|e| s.neutral(e)),
        }
    }

    /// Pauses a channel, an account, a channel of an account, or (neither given) everything. What is
    /// paused already keeps its time and takes the new reason.
    pub async fn pause(
        &mut self,
        account: Option<&str>,
        channel: Option<Channel>,
        reason: &str,
    ) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(s) => s.pause(account, channel, reason).await.map_err(|e| s.neutral(e)),
        }
    }

    /// Ends exactly this pause; false: there is none. A wider one still holds its jobs.
    pub async fn resume(
        &mut self,
        account: Option<&str>,
        channel: Option<Channel>,
    ) -> Result<bool, StoreError> {
        match self {
            Store::Sqlite(s) => s.resume(account, channel).await.map_err(|e| s.neutral(e)),
        }
    }

    /// Executes `sql` as it stands; several statements are several transactions.
    pub async fn plain_sql(&mut self, sql: &str) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(s) => s.plain_sql(sql).await.map_err(|e| s.neutral(e)),
        }
    }

    /// What goes before this job; `None` for one that is not ready.
    pub async fn position(&mut self, id: i64, now: Millis) -> Result<Option<Position>, StoreError> {
        match self {
            Store::Sqlite(s) => s.position(id, now).await.map_err(|e| s.neutral(e)),
        }
    }

    /// Whether this is an older state of the outbox than what was noted of it.
    pub async fn is_behind(&mut self, noted: &Progress) -> Result<bool, StoreError> {
        match self {
            Store::Sqlite(s) => s.is_behind(noted).await.map_err(|e| s.neutral(e)),
        }
    }

    /// The jobs of a page of those that pass.
    pub async fn deliveries(
        &mut self,
        filter: &Filter,
        page: &Page,
    ) -> Result<Vec<Delivery>, StoreError> {
        match self {
            Store::Sqlite(s) => s.deliveries(filter, page).await.map_err(|e| s.neutral(e)),
        }
    }

    /// How many jobs pass.
    pub async fn count(&mut self, filter: &Filter) -> Result<u64, StoreError> {
        match self {
            Store::Sqlite(s) => s.count(filter).await.map_err(|e| s.neutral(e)),
        }
    }

    /// Of the job that was inserted last; 0 where there is none.
    pub async fn largest_id(&mut self) -> Result<i64, StoreError> {
        match self {
            Store::Sqlite(s) => s.largest_id().await.map_err(|e| s.neutral(e)),
        }
    }

    /// The ids of all jobs that pass as of now, ascending.
    pub async fn ids(&mut self, filter: &Filter) -> Result<Vec<i64>, StoreError> {
        match self {
            Store::Sqlite(s) => s.ids(filter).await.map_err(|e| s.neutral(e)),
        }
    }

    /// One job's row of `delivery_status`; `None` for an id that is not there.
    pub async fn delivery(&mut self, id: i64) -> Result<Option<Delivery>, StoreError> {
        match self {
            Store::Sqlite(s) => s.delivery(id).await.map_err(|e| s.neutral(e)),
        }
    }

    /// The text of a job's payload: people's words, for who asks for them by name.
    pub async fn payload(&mut self, id: i64) -> Result<Option<String>, StoreError> {
        match self {
            Store::Sqlite(s) => s.payload(id).await.map_err(|e| s.neutral(e)),
        }
    }

    /// The first characters of a job's payload.
    pub async fn payload_start(
        &mut self,
        id: i64,
        characters: i64,
    ) -> Result<Option<String>, StoreError> {
        match self {
            Store::Sqlite(s) => s.payload_start(id, characters).await.map_err(|e| s.neutral(e)),
        }
    }

    /// One job with its history and what stands before it; `None` for an id that is not there.
    pub async fn story(&mut self, id: i64) -> Result<Option<Story>, StoreError> {
        match self {
            Store::Sqlite(s) => s.story(id).await.map_err(|e| s.neutral(e)),
        }
    }

    /// As [`Store::story`], of a job of any size.
    pub async fn story_within(
        &mut self,
        id: i64,
        extent: Extent,
    ) -> Result<Option<Story>, StoreError> {
        match self {
            Store::Sqlite(s) => s.story_within(id, extent).await.map_err(|e| s.neutral(e)),
        }
    }

    /// The version of the schema that the file has.
    pub async fn schema_version(&mut self) -> Result<i64, StoreError> {
        match self {
            Store::Sqlite(s) => s.schema_version().await.map_err(|e| s.neutral(e)),
        }
    }

    /// What SQLite finds wrong with the file, at most ten sentences; reads all of it.
    pub async fn damage(&mut self) -> Result<Vec<String>, StoreError> {
        match self {
            Store::Sqlite(s) => s.damage().await.map_err(|e| s.neutral(e)),
        }
    }

    /// Makes uncertain some of the pending jobs that were due by `until`; gives how many, 0 when
    /// none is left. Everything must be paused.
    pub async fn settle_restored(&mut self, until: Millis) -> Result<u64, StoreError> {
        match self {
            Store::Sqlite(s) => s.settle_restored(until).await.map_err(|e| s.neutral(e)),
        }
    }

    /// In what the schema is not as it should be; empty if it is.
    pub async fn flaws(&mut self) -> Result<Vec<Flaw>, StoreError> {
        match self {
            Store::Sqlite(s) => s.flaws().await.map_err(|e| s.neutral(e)),
        }
    }

    /// Deletes the statistics of the outbox's tables, if there are any; no other table's. True: it did.
    pub async fn forget_statistics(&mut self) -> Result<bool, StoreError> {
        match self {
            Store::Sqlite(s) => s.forget_statistics().await.map_err(|e| s.neutral(e)),
        }
    }

    /// Rows that were written without the triggers, counted up to [`Untouched::COUNTED`].
    pub async fn untouched(&mut self) -> Result<Untouched, StoreError> {
        match self {
            Store::Sqlite(s) => s.untouched().await.map_err(|e| s.neutral(e)),
        }
    }

    /// For an import: its keys are spread over their index, so most rows need a different page.
    pub async fn keep_more_pages(&mut self) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(s) => s.keep_more_pages().await.map_err(|e| s.neutral(e)),
        }
    }

    /// Inserts the rows in their order by one statement, all of them or none, and gives the number
    /// of those that are new: one whose idempotency key is taken is passed over.
    pub async fn insert_rows(&mut self, rows: &[NewRow]) -> Result<u64, StoreError> {
        match self {
            Store::Sqlite(s) => s.insert_rows(rows).await.map_err(|e| s.neutral(e)),
        }
    }

    /// What [`Store::insert_rows`] would refuse, without writing: `None`, or the sentence of the
    /// rule that one of the rows breaks.
    pub async fn rehearse(&mut self, rows: &[NewRow]) -> Result<Option<String>, StoreError> {
        match self {
            Store::Sqlite(s) => s.rehearse(rows).await.map_err(|e| s.neutral(e)),
        }
    }

    /// The largest id there is; 0 where there is none.
    pub async fn last_id(&mut self) -> Result<i64, StoreError> {
        match self {
            Store::Sqlite(s) => s.last_id().await.map_err(|e| s.neutral(e)),
        }
    }

    /// Up to `limit` jobs above `after` and not above `last`, ascending. A read of its own: whoever
    /// takes all pages never keeps the write-ahead log from being emptied. A payload of more than
    /// 16 KiB is left out: [`Store::payload`] reads it.
    pub async fn outcomes(
        &mut self,
        export: &Export,
        after: i64,
        last: i64,
        limit: u32,
    ) -> Result<Vec<ExportedJob>, StoreError> {
        match self {
            Store::Sqlite(s) => {
                s.outcomes(export, after, last, limit).await.map_err(|e| s.neutral(e))
            }
        }
    }

    /// Whether no job is `pending` or `sending`, except those that are set aside and those that
    /// wait behind them.
    pub async fn is_empty(&mut self) -> Result<bool, StoreError> {
        match self {
            Store::Sqlite(s) => s.is_empty().await.map_err(|e| s.neutral(e)),
        }
    }
}
