//! Waking up when another process commits.
//!
//! A commit writes the `-wal` file, and inotify reports that at no cost while nothing happens. The
//! event arrives before the commit can be read: its writer still has the write lock, and the claim
//! that follows waits for it. The file is watched by its path, because opening and closing it would
//! drop SQLite's locks.

use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use tracing::warn;

/// Room for many events of one file, which carry no name.
const BUFFER_BYTES: usize = 4096;

/// Wakes the dispatcher. If the file system has no events, a poll once a second finds the commits.
pub struct Wake {
    events: Option<Events>,
}

/// One inotify queue, as a stream to wait for and as a handle to empty it.
struct Events {
    stream: EventStream<Vec<u8>>,
    queue: Inotify,
}

impl Wake {
    /// Watches the write-ahead log of `database`, which exists while a connection is open.
    /// SQLite names it after the file that a symbolic link leads to.
    pub fn watch(database: &Path) -> Wake {
        let real = database.canonicalize().unwrap_or_else(|_| database.to_owned());
        let mut wal = real.into_os_string();
        wal.push("-wal");
        let mut wake = Wake::never();
        match Self::events(&PathBuf::from(wal)) {
            Ok(events) => wake.events = Some(events),
            Err(e) => wake.go_without(&e),
        }
        wake
    }

    /// Never wakes.
    pub fn never() -> Wake {
        Wake { events: None }
    }

    fn events(wal: &Path) -> io::Result<Events> {
        let inotify = Inotify::init()?;
        inotify.watches().add(wal, WatchMask::MODIFY)?;
        let queue = inotify.as_fd().try_clone_to_owned()?.into();
        Ok(Events { stream: inotify.into_event_stream(vec![0; BUFFER_BYTES])?, queue })
    }

    /// Discards the events so far. Right after our own commit, these are our own writes, and
    /// others' that our transaction has already seen: nobody else writes while we hold the lock.
    ///
    /// It reads from the kernel, not from the stream, because the runtime may not know yet that
    /// there is something to read.
    pub fn clear(&mut self) {
        while let Some(events) = &mut self.events {
            match events.queue.read_events(&mut [0; BUFFER_BYTES]) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) => self.go_without(&e),
            }
        }
    }

    /// Resolves when the log has been written to since the last call, also by us. The kernel merges
    /// events that arrive while nobody waits into one.
    pub async fn changed(&mut self) {
        while let Some(events) = &mut self.events {
            match events.stream.next().await {
                Some(Ok(_)) => return,
                Some(Err(e)) => self.go_without(&e),
                None => self.go_without(&io::ErrorKind::UnexpectedEof.into()),
            }
        }
        std::future::pending().await
    }

    /// Logged once: from now on only the poll finds the commits.
    fn go_without(&mut self, e: &io::Error) {
        warn!(error = %e, "no file events for the database: it is polled once a second");
        self.events = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::fs::File;
    use std::io::Write;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// So the kernel's queue (16384 events) never overflows, even if nobody reads it for a long time.
    #[tokio::test]
    async fn writes_that_nobody_waits_for_are_one_event() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = File::create(folder.path().join("outbox.db-wal")).unwrap();
        let mut wake = Wake::watch(&folder.path().join("outbox.db"));
        for _ in 0..20_000 {
            log.write_all(b"x").unwrap();
        }
        wake.changed().await;
        assert!(wake.changed().now_or_never().is_none());
        log.write_all(b"x").unwrap();
        wake.changed().await;
    }

    /// When this returns, the runtime knows about everything that happened before.
    async fn the_runtime_has_caught_up() {
        let (mut from, mut to) = tokio::net::UnixStream::pair().unwrap();
        from.write_u8(1).await.unwrap();
        to.read_u8().await.unwrap();
    }

    #[tokio::test]
    async fn events_that_are_cleared_before_the_runtime_knows_of_them_wake_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = File::create(folder.path().join("outbox.db-wal")).unwrap();
        let mut wake = Wake::watch(&folder.path().join("outbox.db"));
        the_runtime_has_caught_up().await;
        log.write_all(b"ours").unwrap();
        wake.clear();
        the_runtime_has_caught_up().await;
        assert!(wake.changed().now_or_never().is_none());
        log.set_len(0).unwrap();
        wake.changed().await;
    }
}
