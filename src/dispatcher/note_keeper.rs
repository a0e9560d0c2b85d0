//! Keeps the note of how far the work has come: see [`crate::store::Progress`].

use crate::queue::ended::Ended;
use crate::queue::when::now;
use crate::store::{NoteFile, Progress, RealPath};
use std::time::Duration;
use tokio::time::Instant;
use tracing::warn;

/// Hundreds of jobs may end in this time, and they share one write.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// The note of the database that this dispatcher works on. What is not written yet is written on
/// drop.
#[derive(Debug)]
pub struct ProgressNote {
    file: NoteFile,
    progress: Progress,
    unwritten: bool,
    next_write: Instant,
}

impl ProgressNote {
    /// Begins with this; `None`, and a warning, where the note cannot be created: the work goes on
    /// without it.
    pub fn begin(database: &RealPath, progress: Progress) -> Option<ProgressNote> {
        let begun = NoteFile::open(database).and_then(|file| {
            file.write(&progress)?;
            Ok(file)
        });
        match begun {
            Ok(file) => {
                Some(ProgressNote { file, progress, unwritten: false, next_write: Instant::now() })
            }
            Err(e) => {
                warn!(error = %e, "the note of what was sent cannot be written: a restored backup will not be recognised");
                None
            }
        }
    }

    /// These are now on disk in the database.
    pub(super) fn recorded(&mut self, ended: &[Ended]) {
        let attempted = ended.iter().rev().map(|e| &e.transition).find(|t| t.history.is_some());
        if let Some(last) = attempted {
            (self.progress.job, self.progress.attempt) = (last.id, last.fence_attempts);
            self.unwritten = true;
            self.write_if_due();
        }
    }

    /// Writes what is new, at most once a second.
    pub(super) fn write_if_due(&mut self) {
        if self.unwritten && self.next_write <= Instant::now() {
            self.write();
        }
    }

    /// A failed write is tried again in a second: a note that is behind does no harm.
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
