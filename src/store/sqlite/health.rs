//! The health of the file itself: whether it is still the one that was opened, whether it is
//! damaged, and how long its write-ahead log has grown.

use super::lenient::Lenient;
use super::patience::Pace;
use super::{SqliteError, SqliteStore};
use sqlx::{AssertSqlSafe, Row};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A log longer than this is emptied; SQLite alone never shortens one that a reader let grow.
const LOG_BYTES: u64 = 16 * 1024 * 1024;
/// How long emptying the log may wait for readers. It holds the write lock: producers wait as long.
const LOG_WAIT: Duration = Duration::from_millis(100);

/// Which files a connection works on: the database, its log and its shared memory. None of them
/// is exchanged while a connection is open, unless somebody does it behind SQLite's back. What
/// is then written into the old ones is lost, and two logs at one database damage it.
#[derive(Debug)]
pub struct Files(Vec<(PathBuf, Inode)>);

type Inode = (u64, u64);

impl Files {
    /// Those that are there now, with `database` open and written to.
    ///
    /// # Errors
    /// [`SqliteError::Deleted`] for one that has gone already.
    pub fn of(database: &Path) -> Result<Files, SqliteError> {
        let real = database.canonicalize().unwrap_or_else(|_| database.to_owned());
        let beside = ["-wal", "-shm"].map(|ending| beside(&real, ending));
        let paths = std::iter::once(database.to_owned()).chain(beside);
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
                // Not to be told just now; the database itself will say what is wrong.
                Err(_) => {}
            }
        }
        Ok(())
    }
}

fn inode(path: &Path) -> std::io::Result<Inode> {
    std::fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

pub(super) const IS_OF_EPOCH: &str =
    "SELECT epoch = ?1 AND pid = ?2 AND started_at = ?3 FROM outbox_dispatcher";
pub(super) const EPOCH_STARTED_AT: &str = "SELECT ifnull(started_at, 0) FROM outbox_dispatcher";

impl SqliteError {
    /// The file is not what it was: writing on would lose or damage data, waiting mends nothing.
    pub fn is_final(&self) -> bool {
        match self {
            SqliteError::Superseded | SqliteError::Deleted(_) | SqliteError::Replaced(_) => true,
            _ => self.is_damage(),
        }
    }

    /// SQLite found a page that cannot be (11), or no database at all (26).
    pub fn is_damage(&self) -> bool {
        self.sqlite_code().is_some_and(|code| matches!(code & 0xff, 11 | 26))
    }
}

impl SqliteStore {
    /// Empties the log where it has grown long and nobody reads from it any more. True: it is
    /// still long, and another try later is worth it.
    pub async fn shorten_log(&mut self) -> Result<bool, SqliteError> {
        let log = beside(&self.path().canonicalize().unwrap_or_default(), "-wal");
        if std::fs::metadata(log).map_or(0, |log| log.len()) <= LOG_BYTES {
            return Ok(false);
        }
        // Most of the work first, without the write lock.
        let (copied, all) = self.checkpoint("PASSIVE").await?;
        if copied < all {
            return Ok(true);
        }
        self.patience.set(LOG_WAIT, Pace::Polite);
        let done = self.checkpoint("TRUNCATE").await;
        self.patience.set_usual();
        done.map(|(_, left)| left > 0)
    }

    /// Takes the write lock and lets go of it, waiting no longer than this; it writes nothing.
    ///
    /// # Errors
    /// What a write would meet; [`SqliteError::is_busy`] where another program has the lock.
    pub async fn try_write_lock(&mut self, wait: Duration) -> Result<(), SqliteError> {
        let reads_only: bool =
            sqlx::query_scalar("PRAGMA query_only").fetch_one(&mut self.conn).await?;
        self.patience.set(wait, Pace::Polite);
        sqlx::query("PRAGMA query_only = OFF").execute(&mut self.conn).await?;
        let locked = sqlx::raw_sql("BEGIN IMMEDIATE; ROLLBACK").execute(&mut self.conn).await;
        if reads_only {
            sqlx::query("PRAGMA query_only = ON").execute(&mut self.conn).await?;
        }
        self.patience.set_usual();
        locked?;
        Ok(())
    }

    /// How many frames of the log are in the database by now, and how many there are.
    pub(super) async fn checkpoint(&mut self, mode: &str) -> Result<(i64, i64), SqliteError> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut self.conn).await?;
        Ok((row.try_get(2)?, row.try_get(1)?))
    }

    /// Whether the file says that this process, under this epoch, is its dispatcher: a copy of
    /// the one that it has claimed from does, any other does not.
    pub async fn is_of_epoch(&mut self, epoch: i64, started_at: i64) -> Result<bool, SqliteError> {
        let row = sqlx::query(IS_OF_EPOCH)
            .bind(epoch)
            .bind(i64::from(std::process::id()))
            .bind(started_at)
            .fetch_optional(&mut self.conn)
            .await?;
        Ok(row.is_some_and(|row| row.whole(0) == Some(1)))
    }

    /// When the epoch that runs on this file began.
    pub async fn epoch_started_at(&mut self) -> Result<i64, SqliteError> {
        let row = sqlx::query(EPOCH_STARTED_AT).fetch_optional(&mut self.conn).await?;
        Ok(row.and_then(|row| row.whole(0)).unwrap_or_default())
    }
}
