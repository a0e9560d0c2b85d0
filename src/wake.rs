//! Waking up when another process commits.
//!
//! A commit writes the `-wal` file, which inotify tells at no cost while nothing happens. The
//! event comes before the commit can be read, so it is a reason to look for a while, not a fact.
//! The file is watched by its path: opening and closing it would drop SQLite's locks.

use futures_util::{FutureExt, StreamExt};
use inotify::{EventStream, Inotify, WatchMask};
use std::io;
use std::path::{Path, PathBuf};
use tracing::{debug, warn};

/// Room for many events of one file, which carry no name.
const BUFFER_BYTES: usize = 4096;

/// Wakes the dispatcher; where the file system tells nothing, its slow look finds the commit.
pub struct Wake {
    events: Option<EventStream<Vec<u8>>>,
}

impl Wake {
    /// Watches the write-ahead log of `database`, which exists while a connection is open.
    /// SQLite names it after the file that a symbolic link leads to.
    pub fn watch(database: &Path) -> Wake {
        let real = database.canonicalize().unwrap_or_else(|_| database.to_owned());
        let mut wal = real.into_os_string();
        wal.push("-wal");
        match Self::events(&PathBuf::from(wal)) {
            Ok(events) => Wake { events: Some(events) },
            Err(e) => {
                warn!(error = %e, "no file events for the database: it is looked at once a second");
                Wake { events: None }
            }
        }
    }

    /// Never wakes.
    pub fn never() -> Wake {
        Wake { events: None }
    }

    fn events(wal: &Path) -> io::Result<EventStream<Vec<u8>>> {
        let inotify = Inotify::init()?;
        inotify.watches().add(wal, WatchMask::MODIFY)?;
        inotify.into_event_stream(vec![0; BUFFER_BYTES])
    }

    /// Forgets what has been told so far. Right after a commit of our own that is our own writes,
    /// and others' that our transaction has already seen: nobody else writes while we hold the lock.
    pub fn clear(&mut self) {
        while let Some(events) = &mut self.events {
            match events.next().now_or_never() {
                Some(Some(Ok(_))) => {}
                Some(_) => self.events = None,
                None => return,
            }
        }
    }

    /// Resolves when the log has been written to since the last call, our own writes included:
    /// events that come while nobody waits are one event to the kernel.
    pub async fn changed(&mut self) {
        let Some(events) = &mut self.events else {
            return std::future::pending().await;
        };
        match events.next().await {
            Some(Ok(_)) => {}
            ended => {
                debug!(event = ?ended.map(|e| e.map(|_| ())), "file events ended");
                self.events = None;
                std::future::pending().await
            }
        }
    }
}
