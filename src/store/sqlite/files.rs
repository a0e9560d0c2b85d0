//! Whether the database's files are still those that were opened.

use super::{RealPath, SqliteError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Which files a connection works on: the database, its log and its shared memory. They are
/// only replaced while a connection is open if somebody does it behind SQLite's back. Writes to the
/// old files are then lost, and two logs for one database damage it.
#[derive(Debug)]
pub struct Files(Vec<(PathBuf, Inode)>);

/// Device and number.
pub(super) type Inode = (u64, u64);

impl Files {
    /// The files that exist now; `database` must be open and have been written to.
    ///
    /// # Errors
    /// [`SqliteError::Deleted`] if one of them is already gone.
    pub fn of(database: &Path) -> Result<Files, SqliteError> {
        let real = RealPath::of(database)?;
        let others = ["-wal", "-shm"].map(|ending| real.with_ending(ending));
        let paths = std::iter::once(database.to_owned()).chain(others);
        let known = |path: PathBuf| match inode(&path) {
            Ok(inode) => Ok((path, inode)),
            Err(_) => Err(SqliteError::Deleted(path)),
        };
        Ok(Files(paths.map(known).collect::<Result<_, _>>()?))
    }

    /// # Errors
    /// [`SqliteError::Deleted`] or [`SqliteError::Replaced`], with the file that it is about.
    pub fn check(&self) -> Result<(), SqliteError> {
        for (path, known) in &self.0 {
            match inode(path) {
                Ok(now) if now == *known => {}
                Ok(_) => return Err(SqliteError::Replaced(path.clone())),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    return Err(SqliteError::Deleted(path.clone()));
                }
                // Unknown at the moment; the database itself will report what is wrong.
                Err(_) => {}
            }
        }
        Ok(())
    }
}

pub(super) fn inode(path: &Path) -> std::io::Result<Inode> {
    std::fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

impl SqliteError {
    /// The file is no longer the one that was opened: writing would lose or damage data, and waiting does
    /// not help.
    pub fn is_final(&self) -> bool {
        match self {
            SqliteError::Superseded | SqliteError::Deleted(_) | SqliteError::Replaced(_) => true,
            _ => self.is_damage(),
        }
    }

    /// SQLite found a corrupt page (11), or the file is not a database (26).
    pub fn is_damage(&self) -> bool {
        self.sqlite_code().is_some_and(|code| matches!(code & 0xff, 11 | 26))
    }
}
