//! Waking up when another process commits.
//!
//! A commit writes the `-wal` file, which inotify tells at no cost while nothing happens. The
//! event comes before the commit can be read, so it is a reason to look for a while, not a fact.
//! The file is watched by its path: opening and closing it would drop SQLite's locks.

use inotify::{Inotify, WatchMask};
use std::io;
use std::path::{Path, PathBuf};
use tokio::io::unix::AsyncFd;
use tracing::{debug, warn};

/// Wakes the dispatcher; where the file system tells nothing, its slow look finds the commit.
pub struct Wake {
    events: Option<AsyncFd<Inotify>>,
}

impl Wake {
    /// Watches the write-ahead log of `database`, which exists while a connection is open.
    pub fn watch(database: &Path) -> Wake {
        let mut wal = database.as_os_str().to_owned();
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

    fn events(wal: &Path) -> io::Result<AsyncFd<Inotify>> {
        let inotify = Inotify::init()?;
        inotify.watches().add(wal, WatchMask::MODIFY)?;
        AsyncFd::new(inotify)
    }

    /// Resolves when the log has been written to since the last call, our own writes included:
    /// events that come while nobody waits are one event to the kernel.
    pub async fn changed(&mut self) {
        let Some(events) = &mut self.events else {
            return std::future::pending().await;
        };
        loop {
            let Ok(mut ready) = events.readable_mut().await else {
                self.events = None;
                return std::future::pending().await;
            };
            let mut buffer = [0; 4096];
            match ready.try_io(|inotify| inotify.get_mut().read_events(&mut buffer).map(|_| ())) {
                Ok(Ok(())) => return,
                Ok(Err(e)) => {
                    debug!(error = %e, "file events ended");
                    self.events = None;
                    return std::future::pending().await;
                }
                Err(_would_block) => {}
            }
        }
    }
}
