//! A connection to read with: for one page at a time, opened when it is first needed and reopened
//! after every error.

use crate::store::{Store, StoreError, TimeLimit};
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

/// How long a page may wait for the connection.
const WAIT: Duration = Duration::from_secs(5);
/// How long all queries of a page may take together.
const QUERIES: Duration = Duration::from_secs(5);

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("other pages are being read; try again in a moment")]
    Busy,
    #[error("this took too long; narrow the filter")]
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
    path: PathBuf,
    /// For all queries of a page together.
    limit: Duration,
    open: Mutex<Option<Open>>,
}

struct Open {
    store: Store,
    limit: TimeLimit,
    file: (u64, u64),
}

impl PageReader {
    pub fn of(database: &Path) -> PageReader {
        PageReader::within(QUERIES, database)
    }

    /// With its own time limit instead of a page's.
    pub fn within(limit: Duration, database: &Path) -> PageReader {
        PageReader { path: database.to_owned(), limit, open: Mutex::new(None) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The connection, for one page, until [`ReadGuard::done`].
    pub async fn read(&self) -> Result<ReadGuard<'_>, ReadError> {
        let mut open = timeout(WAIT, self.open.lock()).await.map_err(|_| ReadError::Busy)?;
        let file = inode(&self.path);
        let fits = open.as_ref().is_some_and(|open| Some(open.file) == file);
        if !fits {
            *open = None;
            let (store, limit) = Store::open_to_read(&self.path).await?;
            let file = inode(&self.path).unwrap_or_default();
            *open = Some(Open { store, limit, file });
        }
        if let Some(open) = open.as_ref() {
            open.limit.set(self.limit);
        }
        Ok(ReadGuard { open, done: false })
    }

    /// Closes the connection. The last one that closes checkpoints the write-ahead log.
    pub async fn close(&self) {
        if let Ok(mut open) = timeout(WAIT, self.open.lock()).await
            && let Some(open) = open.take()
        {
            let _ = open.store.close().await;
        }
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// The connection while a page reads. If this is dropped without [`ReadGuard::done`], after an error
/// or because the client has gone, the query is interrupted and the next page opens a new connection.
pub struct ReadGuard<'a> {
    open: MutexGuard<'a, Option<Open>>,
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
            && let Some(open) = self.open.take()
        {
            // Otherwise its thread would continue the query while other pages are read.
            open.limit.set(Duration::ZERO);
        }
    }
}

impl Deref for ReadGuard<'_> {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.open.as_ref().expect("it is open until it is dropped").store
    }
}

impl DerefMut for ReadGuard<'_> {
    fn deref_mut(&mut self) -> &mut Store {
        &mut self.open.as_mut().expect("it is open until it is dropped").store
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_query_that_nobody_waits_for_is_interrupted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        Store::open(&path).await.unwrap();
        let reader = PageReader::within(Duration::from_secs(3600), &path);
        let mut reading = reader.read().await.unwrap();
        let limit = reading.open.as_ref().unwrap().limit.clone();
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                       SELECT count(*) FROM n";
        assert!(timeout(Duration::from_millis(50), reading.plain_sql(endless)).await.is_err());
        drop(reading);
        let closed = async {
            while limit.is_in_use() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(60), closed).await.expect("the query ends");
        reader.read().await.unwrap().done();
    }
}
