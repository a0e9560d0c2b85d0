//! The dashboard's own connection: one reader at a time, opened when it is first needed and
//! anew after every error.

use crate::store::{Store, StoreError, TimeLimit};
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

/// How long a page may wait for its turn, and how long its queries may take together.
const TURN: Duration = Duration::from_secs(5);
const QUERIES: Duration = Duration::from_secs(5);

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("others are reading just now; try again in a moment")]
    Busy,
    #[error("this took too long and was given up; narrow the filter")]
    TooLong,
    #[error("the database cannot be read: {0}")]
    Store(StoreError),
}

impl From<StoreError> for ReadError {
    fn from(e: StoreError) -> ReadError {
        if e.is_interrupted() { ReadError::TooLong } else { ReadError::Store(e) }
    }
}

pub struct Reader {
    path: PathBuf,
    /// For the queries of a page together.
    limit: Duration,
    open: Mutex<Option<Open>>,
}

struct Open {
    store: Store,
    limit: TimeLimit,
    file: (u64, u64),
}

impl Reader {
    pub fn of(database: &Path) -> Reader {
        Reader::within(QUERIES, database)
    }

    /// With another time limit than a page has.
    pub fn within(limit: Duration, database: &Path) -> Reader {
        Reader { path: database.to_owned(), limit, open: Mutex::new(None) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The connection, for one page; [`Reading::done`] gives it back.
    pub async fn read(&self) -> Result<Reading<'_>, ReadError> {
        let mut open = timeout(TURN, self.open.lock()).await.map_err(|_| ReadError::Busy)?;
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
        Ok(Reading { open, done: false })
    }

    /// The last connection that closes puts the log into the database file.
    pub async fn close(&self) {
        if let Ok(mut open) = timeout(TURN, self.open.lock()).await
            && let Some(open) = open.take()
        {
            let _ = open.store.close().await;
        }
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// The connection while a page reads. Dropped without [`Reading::done`], on an error or when the
/// client has gone, it is closed, and what it was reading ends: the next page opens another.
pub struct Reading<'a> {
    open: MutexGuard<'a, Option<Open>>,
    done: bool,
}

impl Reading<'_> {
    pub fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if !self.done
            && let Some(open) = self.open.take()
        {
            // Its thread would go on with the query, beside those of the pages that come next.
            open.limit.set(Duration::ZERO);
        }
    }
}

impl Deref for Reading<'_> {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.open.as_ref().expect("open from the start to the drop").store
    }
}

impl DerefMut for Reading<'_> {
    fn deref_mut(&mut self) -> &mut Store {
        &mut self.open.as_mut().expect("open from the start to the drop").store
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_query_that_nobody_waits_for_any_more_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.db");
        Store::open(&path).await.unwrap();
        let reader = Reader::within(Duration::from_secs(3600), &path);
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
