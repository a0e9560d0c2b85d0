//! One dispatcher a file: a lock that the kernel releases with its process, however it ends.
//!
//! It stands on a file of its own beside the database: locking the database's own file from
//! outside SQLite would drop SQLite's locks.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Held by the dispatcher for as long as it runs.
#[derive(Debug)]
pub struct DispatcherLock {
    _file: File,
}

/// The lock file could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot lock {path}: {source}")]
pub struct LockError {
    path: PathBuf,
    source: io::Error,
}

/// The lock file of a database: two names of one file have the same.
pub fn path_of(database: &Path) -> PathBuf {
    let real = database.canonicalize().unwrap_or_else(|_| database.to_owned());
    let mut path = real.into_os_string();
    path.push(".dispatcher-lock");
    path.into()
}

/// Whether a dispatcher has the lock, without creating its file.
///
/// The question takes a shared lock for an instant, so that two who ask do not see each other; a
/// dispatcher that starts in that very instant stands by for as long.
pub fn is_held(database: &Path) -> Result<bool, LockError> {
    let path = path_of(database);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(LockError { path, source }),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(LockError { path, source }),
    }
}

impl DispatcherLock {
    /// Takes the lock if it is free; `None` when another dispatcher has it.
    pub fn try_take(database: &Path) -> Result<Option<DispatcherLock>, LockError> {
        let path = path_of(database);
        loop {
            let file = open(&path)?;
            match file.try_lock() {
                Ok(()) if is_still(&file, &path) => {
                    return Ok(Some(DispatcherLock { _file: file }));
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(LockError { path, source }),
            }
        }
    }

    /// Waits until the lock is free. Dropping the future leaves a thread waiting in the kernel,
    /// which ends with the process.
    pub async fn take(database: &Path) -> Result<DispatcherLock, LockError> {
        let path = path_of(database);
        let (done, taken) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || done.send(wait_for(&path)));
        match taken.await {
            Ok(result) => result,
            Err(_) => {
                let source = io::Error::other("the waiting thread ended");
                Err(LockError { path: path_of(database), source })
            }
        }
    }
}

fn wait_for(path: &Path) -> Result<DispatcherLock, LockError> {
    loop {
        let file = open(path)?;
        match file.lock() {
            Ok(()) if is_still(&file, path) => return Ok(DispatcherLock { _file: file }),
            // Somebody removed or replaced the file: the lock of the new one counts.
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(LockError { path: path.to_owned(), source }),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn open(path: &Path) -> Result<File, LockError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|source| LockError { path: path.to_owned(), source })
}

fn is_still(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(there)) => ours.dev() == there.dev() && ours.ino() == there.ino(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_the_lock_is_held_is_told_without_creating_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("outbox.db");
        assert!(!is_held(&database).unwrap());
        assert!(!path_of(&database).exists());
        let lock = DispatcherLock::try_take(&database).unwrap().unwrap();
        assert!(is_held(&database).unwrap());
        drop(lock);
        assert!(!is_held(&database).unwrap());
    }
}
