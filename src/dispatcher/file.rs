//! The file under the loop: it is looked at before anything is claimed or sent, kept from
//! growing, and left when it is not what it was.

use super::Dispatcher;
use super::drain::LAST_RECORDS;
use super::note_keeper::ProgressNote;
use crate::dispatcher::attempt::Stop;
use crate::metrics::State;
use crate::queue::ended::Ended;
use crate::store::{Files, Store, StoreError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info};

/// How often the length of the log is looked at, and how soon again while it stays long.
const LOG_EVERY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(5));

/// What the loop knows of its file.
pub(super) struct FileWatch {
    files: Files,
    /// When our epoch began: with it, a copy of the file is told from another outbox.
    pub(super) started_at: i64,
    next_log: Instant,
    pub(super) note: Option<ProgressNote>,
}

impl FileWatch {
    /// Of a store that has been written to: only then are all of the files there.
    pub(super) fn of(store: &Store) -> Result<FileWatch, StoreError> {
        let files = Files::of(store.path())?;
        Ok(FileWatch { files, started_at: 0, next_log: Instant::now() + LOG_EVERY.0, note: None })
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        Ok(self.files.check()?)
    }

    /// These are now on disk.
    pub(super) fn recorded(&mut self, ended: &[Ended]) {
        if let Some(note) = &mut self.note {
            note.recorded(ended);
        }
    }
}

impl Dispatcher {
    /// Keeps this note up to date with what is recorded.
    pub fn keep_note(&mut self, note: Option<ProgressNote>) {
        self.file.note = note;
    }

    /// Keeps the log short; where it fails the next try comes soon enough.
    pub(super) async fn keep_log_short(&mut self) -> Result<(), StoreError> {
        if let Some(note) = &mut self.file.note {
            note.write_if_due();
        }
        if self.file.next_log > Instant::now() {
            return Ok(());
        }
        let still_long = self.store.shorten_log().await?;
        self.file.next_log = Instant::now() + if still_long { LOG_EVERY.1 } else { LOG_EVERY.0 };
        Ok(())
    }

    /// The file is not what it was. Nothing more is claimed or written into it; answers that are
    /// still to come are waited for, and go where they can: into a copy of the file that has
    /// taken its place, and else into the log.
    pub(super) async fn leave(mut self, e: StoreError) -> StoreError {
        error!(error = %e, in_flight = self.sender.jobs.in_flight(),
            "ending: waiting for the answers on the wire, sending nothing more");
        self.sender.metrics.enter(State::Stopping);
        self.sender.stop();
        let mut deadline = Instant::now() + self.sender.config.shutdown_timeout;
        while self.sender.jobs.in_flight() > 0 {
            match timeout_at(deadline, self.sender.results.recv()).await {
                Ok(Some(result)) => self.sender.ended(result),
                _ if *self.sender.stop.borrow() == Stop::Abort => break,
                _ => {
                    self.sender.stop.send_replace(Stop::Abort);
                    deadline = Instant::now() + LAST_RECORDS;
                }
            }
        }
        if let Err(why) = self.record_elsewhere(&e).await {
            info!(error = %why, "the results cannot be recorded in the file that is there now");
        }
        self.sender.log_unrecorded();
        // Where only the log's name has gone, this saves what is in it into the database.
        let _ = self.store.close().await;
        e
    }

    async fn record_elsewhere(&mut self, e: &StoreError) -> Result<(), StoreError> {
        if self.sender.jobs.unrecorded() == 0 {
            return Ok(());
        }
        if e.is_damage() {
            return self.record().await;
        }
        let mut there = Store::open_existing(self.store.path()).await?;
        if !there.is_of_epoch(self.epoch, self.file.started_at).await? {
            return Err(StoreError::Superseded);
        }
        let outcomes = self.sender.jobs.begin_recording();
        match there.record(&outcomes, self.epoch).await {
            Ok(recorded) => self.sender.recorded(&outcomes, &recorded),
            Err(e) => {
                self.sender.jobs.not_recorded(outcomes);
                return Err(e);
            }
        }
        there.close().await
    }
}
