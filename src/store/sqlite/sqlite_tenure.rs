//! A dispatcher's work on a file: every call first makes sure that it is still the same file.

use super::answer_file::AnswerFile;
use super::files::Files;
use super::housekeeping::Timers;
use super::lock::DispatcherLock;
use super::progress::ProgressNote;
use super::reading::Unreadable;
use super::retries_clock::WallClock;
use super::row_by_row::IGNORED;
use super::wake::Wake;
use super::{SqliteError, SqliteStore};
use crate::queue::claim::{Agenda, Cycle, CycleDone, CycleResult};
use crate::queue::ended::{Ended, Recorded};
use crate::queue::job::{Failure, Job, Millis};
use crate::queue::overview::Left;
use crate::queue::report::{Notice, Report};
use crate::store::StoreError;
use std::path::Path;
use tracing::Level;

/// One dispatcher's tenure of one file.
pub struct SqliteTenure {
    pub(in crate::store) store: SqliteStore,
    pub(super) epoch: i64,
    /// When the epoch began; it distinguishes a copy of the file from another outbox.
    pub(super) started_at: i64,
    pub(super) files: Files,
    pub(super) note: Option<ProgressNote>,
    /// Until the dispatcher takes it.
    pub(in crate::store) answer_note: Option<AnswerFile>,
    pub(super) wake: Wake,
    pub(super) clock: WallClock,
    pub(super) timers: Timers,
    /// The data version as of the last cycle or `look`: a different one means that others have committed.
    pub(super) data_version: i64,
    /// Jobs whose delivery is not asked about, because the database refuses to change them.
    pub(super) unfollowed: Vec<i64>,
    /// What is still to be reported.
    pub(super) report: Report,
    /// Released last.
    pub(super) _lock: DispatcherLock,
}

impl SqliteTenure {
    pub(in crate::store) fn neutral(&self, e: SqliteError) -> StoreError {
        self.store.neutral(e)
    }

    /// See [`Tenure::cycle`](crate::store::Tenure::cycle).
    pub async fn cycle(&mut self, work: &Cycle<'_>) -> Result<CycleResult, SqliteError> {
        self.files.check()?;
        let done = match self.store.cycle(work, self.epoch).await {
            Err(e) if work.expecting && e.is_busy() => return Ok(CycleResult::Locked),
            Err(e) if e.is_of_a_row() => {
                return self.row_by_row(e, work).await.map(CycleResult::Done);
            }
            done => done?,
        };
        // A claim in a file that has gone is no claim: its request must not leave.
        self.files.check()?;
        let others_committed = self.data_version != done.seen;
        let mut agenda = done.agenda;
        // The agenda is read after the claim, which may have missed a commit between the two.
        agenda.others_committed = done.data_version != done.seen;
        self.data_version = done.data_version;
        if others_committed || agenda.others_committed {
            self.timers.others_committed();
        }
        // Each of them may have held back another job.
        agenda.others_committed |= !done.unreadable.is_empty();
        // A claim alone makes nothing ready, and otherwise two routes could keep waking each other.
        self.report.may_be_ready |= work.due || !work.record.is_empty() || others_committed;
        if work.due || !work.record.is_empty() || !done.claimed.is_empty() {
            self.wake.clear();
        }
        let expired = done.expired.iter().map(|channel| (*channel, Failure::Expired));
        self.report.failures.extend(expired);
        self.note_recorded(work.record);
        self.fail_unreadable(&done.unreadable, true).await?;
        let recorded = self.settle(work.record, done.unrecorded).await;
        Ok(CycleResult::Done(CycleDone {
            recorded,
            claimed: done.claimed,
            cut: done.cut,
            others_committed,
            agenda,
        }))
    }

    /// Some of the rows that a cycle did not record may still belong to this claim: then a trigger
    /// ignores the change, and the outcome is kept. If that also fails, the caller passes it again.
    async fn settle(&mut self, record: &[Ended], unrecorded: Vec<i64>) -> Recorded {
        let mut recorded = Recorded::default();
        for ended in record {
            let id = ended.transition.id;
            if !unrecorded.contains(&id) {
                recorded.ids.push(id);
            } else if !self.store.is_still_claimed(ended).await.unwrap_or(true) {
                recorded.lost.push(id);
            } else if self.store.keep_outcome(ended, IGNORED).await.is_ok() {
                self.report.notice(outcome_kept(id, IGNORED));
                recorded.ids.push(id);
            }
        }
        recorded.report = std::mem::take(&mut self.report);
        recorded
    }

    /// See [`Tenure::record`](crate::store::Tenure::record).
    pub async fn record(&mut self, ended: &[Ended]) -> Result<Recorded, SqliteError> {
        if self.files.check().is_err() {
            return self.record_in_copy(ended).await;
        }
        let done = self.store.record_or_keep(ended, self.epoch).await?;
        self.note_recorded(ended);
        Ok(self.recorded(ended, done))
    }

    /// Records into the file that has replaced ours, if it is a copy of it.
    async fn record_in_copy(&mut self, ended: &[Ended]) -> Result<Recorded, SqliteError> {
        if ended.is_empty() {
            return Ok(Recorded::default());
        }
        let mut copy = SqliteStore::open_existing(self.store.path()).await?;
        if !copy.is_of_epoch(self.epoch, self.started_at).await? {
            return Err(SqliteError::Superseded);
        }
        copy.create_procedures().await?;
        let done = copy.record_or_keep(ended, self.epoch).await?;
        copy.close().await?;
        Ok(self.recorded(ended, done))
    }

    pub(super) fn recorded(
        &mut self,
        ended: &[Ended],
        (unrecorded, kept): (Vec<i64>, Vec<(i64, String)>),
    ) -> Recorded {
        for (id, reason) in &kept {
            self.report.notice(outcome_kept(*id, reason));
        }
        self.report.may_be_ready |= !ended.is_empty();
        let ids = ended.iter().map(|e| e.transition.id);
        let (lost, ids) = ids.partition(|id| unrecorded.contains(id));
        Recorded { ids, lost, report: std::mem::take(&mut self.report) }
    }

    /// These are now on disk.
    pub(super) fn note_recorded(&mut self, ended: &[Ended]) {
        if let Some(note) = &mut self.note {
            note.recorded(ended);
        }
    }

    /// See [`Tenure::look`](crate::store::Tenure::look).
    pub async fn look(&mut self) -> Result<Agenda, SqliteError> {
        self.files.check()?;
        let (mut agenda, data_version) = self.store.look().await?;
        agenda.others_committed = data_version != self.data_version;
        self.data_version = data_version;
        if agenda.others_committed {
            self.timers.others_committed();
        }
        Ok(agenda)
    }

    pub async fn changed(&mut self) {
        self.wake.changed().await;
    }

    pub fn check(&self) -> Result<(), SqliteError> {
        self.files.check()
    }

    /// See [`Tenure::claims`](crate::store::Tenure::claims). Rows of them that cannot be read end
    /// here.
    pub async fn claims(
        &mut self,
        known: impl Fn(i64, Option<i64>) -> bool,
    ) -> Result<Vec<(Job, Millis)>, SqliteError> {
        let (mut jobs, mut unreadable) =
            self.store.sending_before(self.epoch + 1, i64::MAX).await?;
        unreadable.retain(|row| !known(row.id, None));
        self.fail_unreadable(&unreadable, true).await?;
        jobs.retain(|(job, _)| !known(job.id, Some(job.attempts)));
        Ok(jobs)
    }

    /// Ends rows that cannot be read; no request was made for any of them. `claimed`: by a claim
    /// that has counted an attempt.
    pub(super) async fn fail_unreadable(
        &mut self,
        rows: &[Unreadable],
        claimed: bool,
    ) -> Result<(), SqliteError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.store.fail_unreadable(rows, claimed).await?;
        for row in rows {
            let sentence = "this row cannot be read: it has failed and is set aside; the others are not affected";
            let notice = Notice::new(Level::ERROR, sentence).job(row.id).reason(&row.sentence);
            self.report.notice(notice);
            let channel = row.channel.map(|channel| (channel, Failure::Invalid));
            self.report.failures.extend(channel);
        }
        // Each may have held back another job.
        self.report.may_be_ready = true;
        Ok(())
    }

    /// See [`Tenure::fail_unknown_accounts`](crate::store::Tenure::fail_unknown_accounts). No other
    /// node works on this file, so this one's configuration decides.
    pub async fn fail_unknown_accounts(
        &mut self,
        accounts: &[String],
        known: &[&str],
    ) -> Result<Report, SqliteError> {
        for account in accounts {
            let known = known.join(", ");
            let sentence = format!("account: `{account}` is not configured; configured: {known}");
            let failed = self.store.fail_unknown_account(account, &sentence).await?;
            if failed.is_empty() {
                continue;
            }
            let sentence = format!(
                "jobs for the account `{account}`, which is not configured, failed as invalid"
            );
            self.report.notice(Notice::new(Level::WARN, sentence).rows(failed.len()));
            let failures = failed.into_iter().map(|channel| (channel, Failure::Invalid));
            self.report.failures.extend(failures);
            // Each may have held back a job of another account.
            self.report.may_be_ready = true;
        }
        Ok(std::mem::take(&mut self.report))
    }

    pub async fn left(&mut self, now: Millis) -> Result<Option<Left>, SqliteError> {
        match self.store.is_any_left_to_send(now).await? {
            true => Ok(None),
            false => self.store.left().await.map(Some),
        }
    }

    /// Closes the connection, and then releases the lock.
    pub async fn close(self) -> Result<(), SqliteError> {
        self.store.close().await
    }

    pub(super) fn path(&self) -> &Path {
        self.store.path()
    }
}

fn outcome_kept(id: i64, reason: &str) -> Notice {
    let sentence = "the outcome of this job cannot be recorded: it is kept, the job is set aside, and \
        recording is tried again";
    Notice::new(Level::ERROR, sentence).job(id).reason(reason)
}
