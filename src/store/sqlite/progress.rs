//! A note next to the database of what was last recorded in it, so that a restored backup is
//! recognised: it does not know what was sent after it was made, and would send that again.
//!
//! The note's name does not begin with the database's, so it stays when somebody moves or deletes
//! `outbox.db*`, and copies made by SQLite do not include it. It may be behind the database, never
//! ahead of it.

use super::lenient::Lenient;
use super::{RealPath, SqliteError, SqliteStore, owner};
use crate::queue::ended::Ended;
use crate::queue::job::Millis;
use crate::queue::pause::RESTORED;
use crate::queue::when::now;
use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// The note always has this length, so each write replaces all of it.
const LENGTH: usize = 256;

/// How often the note is written at most: all jobs that end in this time share one write.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// How far the work on an outbox had come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Which outbox: a different one at the same path is new, not a restored backup.
    pub outbox: String,
    /// Which start of a dispatcher.
    pub epoch: i64,
    /// The attempt that was recorded last, by its job and its number; 0 before the first.
    pub job: i64,
    pub attempt: i64,
    /// When this was noted.
    pub at: Millis,
}

/// The note of a database, open for writing.
#[derive(Debug)]
struct NoteFile(File);

fn path_of(database: &RealPath) -> PathBuf {
    database.hidden("dispatcher-note")
}

/// Opens a note of this database, without following a link. One to write to is created where it is
/// missing, and given to the database's owner.
pub(super) fn open_note(path: &Path, database: &RealPath, access: OFlags) -> std::io::Result<File> {
    let how = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = match openat(CWD, path, how, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) if access == OFlags::WRONLY => {
            let new = how | OFlags::CREATE | OFlags::EXCL;
            openat(CWD, path, new, Mode::from_raw_mode(0o600))?
        }
        opened => opened?,
    };
    if access == OFlags::WRONLY
        && let Ok(like) = std::fs::metadata(database.as_path())
    {
        let _ = owner::align(path, &like);
    }
    Ok(File::from(opened))
}

impl Progress {
    /// What was last noted; `None` if there is no readable note.
    pub fn noted(database: &RealPath) -> Option<Progress> {
        let file = open_note(&path_of(database), database, OFlags::RDONLY).ok()?;
        let mut text = String::new();
        file.take(LENGTH as u64).read_to_string(&mut text).ok()?;
        serde_json::from_str(text.trim_end()).ok()
    }
}

impl NoteFile {
    /// Only what the database has on disk may be noted. The note is not synced: after a loss of
    /// power it may be older, or missing.
    fn write(&self, progress: &Progress) -> std::io::Result<()> {
        let mut text = serde_json::to_string(progress).expect("texts and numbers are always JSON");
        text.extend(std::iter::repeat_n(' ', (LENGTH - 1).saturating_sub(text.len())));
        text.push('\n');
        self.0.write_all_at(text.as_bytes(), 0)
    }
}

/// The note of the database that this dispatcher works on. Dropping it writes what is not written yet.
#[derive(Debug)]
pub(super) struct ProgressNote {
    file: NoteFile,
    progress: Progress,
    unwritten: bool,
    next_write: Instant,
}

impl ProgressNote {
    /// Begins the note with `progress`.
    ///
    /// # Errors
    /// If the note cannot be created; the dispatcher can work without it.
    pub(super) fn begin(database: &RealPath, progress: Progress) -> std::io::Result<ProgressNote> {
        let file = NoteFile(open_note(&path_of(database), database, OFlags::WRONLY)?);
        file.write(&progress)?;
        Ok(ProgressNote { file, progress, unwritten: false, next_write: Instant::now() })
    }

    /// Notes outcomes that are now on disk in the database.
    pub(super) fn recorded(&mut self, ended: &[Ended]) {
        let attempted = ended.iter().rev().map(|e| &e.transition).find(|t| t.history.is_some());
        if let Some(last) = attempted {
            (self.progress.job, self.progress.attempt) = (last.id, last.fence_attempts);
            self.unwritten = true;
            self.write_if_due();
        }
    }

    /// Writes any news, at most once a second.
    pub(super) fn write_if_due(&mut self) {
        if self.unwritten && self.next_write <= Instant::now() {
            self.write();
        }
    }

    /// A failed write is repeated a second later: a note that is behind does no harm.
    fn write(&mut self) {
        self.progress.at = now();
        self.next_write = Instant::now() + WRITE_EVERY;
        self.unwritten = self.file.write(&self.progress).is_err();
    }
}

impl Drop for ProgressNote {
    fn drop(&mut self) {
        if self.unwritten {
            self.write();
        }
    }
}

/// Identifies an outbox and its copies: when it was created, and how long that took.
const IDENTITY: &str = "\
SELECT ifnull(min(installed_on || '/' || execution_time), '') FROM outbox_migrations
WHERE version = (SELECT min(version) FROM outbox_migrations)";

/// Whether the database lacks an attempt that was recorded in it. A deleted job's history is gone,
/// but the sequence still counts its id.
const LACKS: &str = "\
SELECT CASE
    WHEN EXISTS (SELECT 1 FROM outbox_attempts WHERE job_id = ?1 AND attempt = ?2) THEN 0
    WHEN EXISTS (SELECT 1 FROM outbox WHERE id = ?1)
        THEN (SELECT attempts < ?2 FROM outbox WHERE id = ?1)
    ELSE ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0) < ?1 END";

const PAUSE_ALL: &str = "\
INSERT INTO outbox_pauses (account, channel, reason) VALUES ('', '', ?1)
ON CONFLICT (account, channel) DO UPDATE SET reason = excluded.reason, since = excluded.since
WHERE since <= ?2";

impl SqliteStore {
    /// Which outbox this is.
    pub async fn identity(&mut self) -> Result<String, SqliteError> {
        Ok(sqlx::query_scalar(IDENTITY).fetch_one(&mut self.conn).await?)
    }

    /// Whether this is an older state of the outbox than the one that was noted.
    pub async fn is_behind(&mut self, noted: &Progress) -> Result<bool, SqliteError> {
        if self.identity().await? != noted.outbox {
            return Ok(false);
        }
        let epoch = sqlx::query("SELECT epoch FROM outbox_dispatcher");
        let epoch = epoch.fetch_optional(&mut self.conn).await?.and_then(|row| row.whole(0));
        // A missing or damaged row is repaired at each start and does not mean that the file is older.
        if epoch.is_some_and(|epoch| epoch < noted.epoch) {
            return Ok(true);
        }
        let lacks = sqlx::query(LACKS).bind(noted.job).bind(noted.attempt);
        Ok(noted.job > 0 && lacks.fetch_one(&mut self.conn).await?.whole(0) == Some(1))
    }

    /// Pauses everything, because jobs that wait in a restored file may have been sent since. A pause
    /// of everything that a person made after the note stays as it is. Returns the number of jobs.
    pub async fn hold_restored(&mut self, noted: &Progress) -> Result<i64, SqliteError> {
        let waiting = "SELECT count(*) FROM outbox WHERE status IN ('pending', 'sending')";
        let jobs: i64 = sqlx::query_scalar(waiting).fetch_one(&mut self.conn).await?;
        if jobs > 0 {
            let since = crate::queue::when::iso(noted.at);
            let reason = format!(
                "{RESTORED}the file is older than what was sent from it until {since}, and jobs that wait \
                 in it may have been sent already. `acquire-outbox resume --restored` makes those jobs \
                 uncertain and sends new ones; `acquire-outbox resume --all` sends them all again"
            );
            sqlx::query(PAUSE_ALL).bind(reason).bind(noted.at).execute(&mut self.conn).await?;
        }
        Ok(jobs)
    }

    /// The progress to note at the start of an epoch.
    pub async fn progress(&mut self, epoch: i64) -> Result<Progress, SqliteError> {
        Ok(Progress { outbox: self.identity().await?, epoch, job: 0, attempt: 0, at: now() })
    }
}
