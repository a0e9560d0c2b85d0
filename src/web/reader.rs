//! The dashboard's own connection: one reader at a time, opened when it is first needed and
//! reopened after every error.

use crate::config::Database;
use crate::store::{Store, StoreError};
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

/// How long a page may wait for its turn, and how long its queries may take together.
const WAIT: Duration = Duration::from_secs(5);
const QUERIES: Duration = Duration::from_secs(5);

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the server is busy with other pages; try again in a moment")]
    Busy,
    #[error("this took too long and was stopped; narrow the filter")]
    TooLong,
    #[error("the database cannot be read: {0}")]
    Store(StoreError),
}

impl From<StoreError> for ReadError {
    fn from(e: StoreError) -> ReadError {
        if e.is_interrupted() { ReadError::TooLong } else { ReadError::Store(e) }
    }
}

pub struct PageReader {
    database: Database,
    /// For the queries of a page together.
    limit: Duration,
    open: Mutex<Option<Store>>,
}

impl PageReader {
    pub fn of(database: &Database) -> PageReader {
        PageReader::within(QUERIES, database)
    }

    /// With another time limit than a page has.
    pub fn within(limit: Duration, database: &Database) -> PageReader {
        PageReader { database: database.clone(), limit, open: Mutex::new(None) }
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The connection, for one page; [`ReadGuard::done`] gives it back.
    pub async fn read(&self) -> Result<ReadGuard<'_>, ReadError> {
        let mut open = timeout(WAIT, self.open.lock()).await.map_err(|_| ReadError::Busy)?;
        if !open.as_ref().is_some_and(Store::is_current) {
            *open = None;
            *open = Some(Store::open_to_read(&self.database).await?);
        }
        if let Some(store) = open.as_ref() {
            store.limit(self.limit);
        }
        Ok(ReadGuard { open, done: false })
    }

    /// The last connection that closes puts the log into the database file.
    pub async fn close(&self) {
        if let Ok(mut open) = timeout(WAIT, self.open.lock()).await
            && let Some(store) = open.take()
        {
            let _ = store.close().await;
        }
    }
}

/// The connection while a page reads. Dropped without [`ReadGuard::done`], on an error or when the
/// client has gone, it is closed, and what it was reading ends: the next page opens another.
pub struct ReadGuard<'a> {
    open: MutexGuard<'a, Option<Store>>,
    done: bool,
}

impl ReadGuard<'_> {
    pub fn done(mut self) {
        self.done = true;
    }
}

impl Drop for ReadGuard<'_> {
    fn drop(&mut self) {
        if !self.done
            && let Some(store) = self.open.take()
        {
            // Otherwise its thread would continue with the query while the next pages run theirs.
            store.limit(Duration::ZERO);
        }
    }
}

impl Deref for ReadGuard<'_> {
    type Target = Store;

    fn deref(&self) -> &Store {
        self.open.as_ref().expect("open from the start to the drop")
    }
}

impl DerefMut for ReadGuard<'_> {
    fn deref_mut(&mut self) -> &mut Store {
        self.open.as_mut().expect("open from the start to the drop")
    }
}
