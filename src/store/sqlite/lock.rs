//! Only one dispatcher works on a file: it has a lock that the kernel releases when its process ends.
//!
//! The lock is on a separate file next to the database, because locking the database file outside
//! SQLite would drop SQLite's locks. The lock file gets the database's mode and owner.

use super::{PathError, RealPath, owner};
use crate::store::StoreError;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const ENDING: &str = ".dispatcher-lock";

/// Held by the dispatcher for as long as it runs.
#[derive(Debug)]
pub struct DispatcherLock {
    file: File,
    database: RealPath,
}

/// The lock file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{sentence}; as root: `chown --reference={database} {lock}`, and the same with `chmod`",
        database = .database.display(), lock = .lock.display())]
    Refused { sentence: String, database: PathBuf, lock: PathBuf },
    #[error(
        "{sentence}; give this user write access to the folder: the lock file is created there"
    )]
    Folder { sentence: String },
    #[error("{} is not a regular file, so it cannot be the lock; remove it", .0.display())]
    NotPlain(PathBuf),
    #[error("cannot lock {}: {source}", .lock.display())]
    Failed { lock: PathBuf, source: io::Error },
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Whether a dispatcher has the lock, without creating its file.
///
/// This takes a shared lock for an instant, so that two callers do not see each other. A dispatcher
/// that starts in that instant waits for it.
pub fn is_held(database: &Path) -> Result<bool, StoreError> {
    Ok(find(database)?)
}

fn find(database: &Path) -> Result<bool, LockError> {
    let database = RealPath::of(database)?;
    let path = database.with_ending(ENDING);
    let file = match opened(&path, OFlags::RDONLY) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(false),
        Err(errno) => return Err(failed(&database, errno)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(LockError::Failed { lock: path, source }),
    }
}

impl DispatcherLock {
    /// Takes the lock if it is free; `None` when another dispatcher has it.
    pub fn try_take(database: &Path) -> Result<Option<DispatcherLock>, LockError> {
        let database = RealPath::of(database)?;
        let path = database.with_ending(ENDING);
        loop {
            let file = open(&database)?;
            match file.try_lock() {
                Ok(()) if is_still(&file, &path) => {
                    return Ok(Some(DispatcherLock { file, database }));
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => {
                    return Err(LockError::Failed { lock: path, source });
                }
            }
        }
    }

    /// Waits until the lock is free. Dropping the future leaves a thread waiting in the kernel,
    /// which ends with the process.
    pub async fn take(database: &Path) -> Result<DispatcherLock, LockError> {
        let database = RealPath::of(database)?;
        let lock = database.with_ending(ENDING);
        let (done, taken) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || done.send(wait_for(database)));
        match taken.await {
            Ok(result) => result,
            Err(_) => {
                let source = io::Error::other("the waiting thread ended");
                Err(LockError::Failed { lock, source })
            }
        }
    }

    /// Whether this is still the lock of the file that the path leads to: a link may have been changed
    /// or the lock file removed since it was taken.
    pub fn guards(&self, database: &Path) -> bool {
        let lock = self.database.with_ending(ENDING);
        RealPath::of(database).is_ok_and(|real| real == self.database)
            && is_still(&self.file, &lock)
    }

    /// Gives the lock file to the database's owner: the database may be newer than the lock.
    pub fn align(&self) {
        if let Ok(like) = std::fs::metadata(self.database.as_path()) {
            let _ = owner::align(&self.database.with_ending(ENDING), &like);
        }
    }
}

fn wait_for(database: RealPath) -> Result<DispatcherLock, LockError> {
    let path = database.with_ending(ENDING);
    loop {
        let file = open(&database)?;
        match file.lock() {
            Ok(()) if is_still(&file, &path) => return Ok(DispatcherLock { file, database }),
            // Somebody has removed or replaced the file: the lock of the new one counts.
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(LockError::Failed { lock: path, source }),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Write access is needed only on network file systems, which implement one kind of lock with
/// another.
fn open(database: &RealPath) -> Result<File, LockError> {
    let path = database.with_ending(ENDING);
    loop {
        let mut tried = opened(&path, OFlags::RDWR);
        if matches!(tried, Err(Errno::ACCESS | Errno::PERM | Errno::ROFS)) {
            tried = opened(&path, OFlags::RDONLY);
        }
        if matches!(tried, Err(Errno::NOENT)) {
            tried = opened(&path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL);
            if let (Ok(_), Ok(like)) = (&tried, std::fs::metadata(database.as_path())) {
                let _ = owner::align(&path, &like);
            }
        }
        match tried {
            Ok(file) if file.metadata().is_ok_and(|found| found.is_file()) => return Ok(file),
            Ok(_) | Err(Errno::LOOP) => return Err(LockError::NotPlain(path)),
            // Another process has just created it.
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed(database, errno)),
        }
    }
}

/// Follows no link that somebody may have put there, and does not wait for a FIFO.
fn opened(path: &Path, how: OFlags) -> rustix::io::Result<File> {
    let never = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    openat(CWD, path, how | never, Mode::from_raw_mode(0o666)).map(File::from)
}

fn failed(database: &RealPath, errno: Errno) -> LockError {
    use rustix::fs::Access;
    let lock = database.with_ending(ENDING);
    if let Some(sentence) = owner::refused(&lock, Access::READ_OK, "read") {
        return LockError::Refused { sentence, database: database.as_path().to_owned(), lock };
    }
    let folder = owner::refused(database.folder(), Access::WRITE_OK | Access::EXEC_OK, "write to");
    match folder {
        Some(sentence) => LockError::Folder { sentence },
        None if errno == Errno::LOOP => LockError::NotPlain(lock),
        None => LockError::Failed { lock, source: errno.into() },
    }
}

fn is_still(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => ours.dev() == there.dev() && ours.ino() == there.ino(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn whether_the_lock_is_held_is_told_without_creating_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("outbox.db");
        let file = RealPath::of(&database).unwrap().with_ending(ENDING);
        assert!(!is_held(&database).unwrap());
        assert!(!file.exists());
        let lock = DispatcherLock::try_take(&database).unwrap().unwrap();
        assert!(is_held(&database).unwrap());
        drop(lock);
        assert!(!is_held(&database).unwrap());
    }

    #[test]
    fn a_link_to_a_file_that_is_not_there_yet_has_that_files_lock() {
        let folder = tempfile::tempdir().unwrap();
        let (link, file) = (folder.path().join("link.db"), folder.path().join("outbox.db"));
        symlink("outbox.db", &link).unwrap();
        let lock = DispatcherLock::try_take(&link).unwrap().unwrap();
        assert!(lock.guards(&link) && lock.guards(&file));
        std::fs::write(&file, "").unwrap();
        assert!(DispatcherLock::try_take(&link).unwrap().is_none());
        assert!(DispatcherLock::try_take(&file).unwrap().is_none());
        std::fs::remove_file(&link).unwrap();
        symlink("another.db", &link).unwrap();
        assert!(!lock.guards(&link));
    }

    #[test]
    fn the_locks_file_has_the_mode_of_the_database_and_is_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("outbox.db");
        std::fs::write(&database, "").unwrap();
        std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o660)).unwrap();
        let file = RealPath::of(&database).unwrap().with_ending(ENDING);
        let lock = DispatcherLock::try_take(&database).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o660);
        drop(lock);
        std::fs::remove_file(&file).unwrap();
        symlink("elsewhere", &file).unwrap();
        assert!(matches!(DispatcherLock::try_take(&database), Err(LockError::NotPlain(_))));
        assert!(!folder.path().join("elsewhere").exists());
    }
}
