//! Takes over a file: its lock, its schema, a new epoch, and the jobs that an earlier dispatcher left.

use super::answer_file::AnswerFile;
use super::files::Files;
use super::housekeeping::Timers;
use super::lock::DispatcherLock;
use super::progress::{Progress, ProgressNote};
use super::retries_clock::WallClock;
use super::sqlite_tenure::SqliteTenure;
use super::wake::Wake;
use super::{RealPath, RepairScope, SqliteError, SqliteStore, disk, listed};
use crate::queue::ended::Ended;
use crate::queue::job::{Job, Millis};
use crate::queue::policy::Purpose;
use crate::queue::report::{Notice, Report};
use crate::queue::when::now;
use crate::store::tenure::TakeOver;
use std::path::Path;
use std::time::Duration;
use tracing::Level;

/// How many rows one transaction of the recovery decides at most.
const RECOVERY_BATCH: i64 = 500;
/// How often a start tries a busy database, and how long it waits in between.
const START_TRIES: (u32, Duration) = (10, Duration::from_secs(1));

impl SqliteTenure {
    /// See [`Tenure::take_over`](crate::store::Tenure::take_over). If a link was changed while it waited
    /// for the lock, the lock belongs to another file, and it starts again.
    pub async fn take_over(
        database: &Path,
        purpose: Purpose,
        mut decide: impl FnMut(&Job, Millis) -> Ended,
        mut on_event: impl FnMut(TakeOver<'_>),
    ) -> Result<SqliteTenure, SqliteError> {
        // Before the lock, because a dispatcher must not even be a standby on a file that it may not use.
        let mut admitted = Some(admit(database, purpose, &mut on_event).await?);
        if let Some(caution) = disk::caution(&RealPath::of(database)?) {
            let sentence = format!("{}: {caution}", database.display());
            on_event(TakeOver::Noticed(Notice::new(Level::WARN, sentence)));
        }
        loop {
            let lock = match DispatcherLock::try_take(database)? {
                Some(lock) => lock,
                None => {
                    // A standby keeps no file open: it may be replaced meanwhile.
                    if let Some(store) = admitted.take() {
                        let _ = store.close().await;
                    }
                    on_event(TakeOver::StandingBy);
                    let lock = DispatcherLock::take(database).await?;
                    // Much may have changed since.
                    admitted = Some(admit(database, purpose, &mut on_event).await?);
                    lock
                }
            };
            on_event(TakeOver::Recovering);
            let mut tries = Tries::default();
            let opened = loop {
                let store = match admitted.take() {
                    Some(store) => Ok(store),
                    None => SqliteStore::admit(purpose, database).await,
                };
                match open(store, purpose, &lock, &mut on_event).await {
                    Ok(opened) => break opened,
                    Err(e) => tries.again(e, &mut on_event).await?,
                }
            };
            let Some((opened, before)) = opened else {
                let sentence = "the path now leads to another file: starting again";
                on_event(TakeOver::Noticed(Notice::new(Level::WARN, sentence)));
                admitted = Some(admit(database, purpose, &mut on_event).await?);
                continue;
            };
            let mut tenure = opened.with(lock)?;
            let mut tries = Tries::default();
            while let Err(e) = tenure.recover(&mut decide, &mut on_event).await {
                tries.again(e, &mut on_event).await?;
            }
            tenure.begin_note(before, &mut on_event).await?;
            tenure.wake = Wake::watch(tenure.path());
            return Ok(tenure);
        }
    }

    /// Decides the jobs that a dead dispatcher left `sending`: each may have been sent, and no answer was
    /// read. Only one dispatcher works on a file, so those of all earlier epochs have ended.
    async fn recover(
        &mut self,
        decide: &mut impl FnMut(&Job, Millis) -> Ended,
        on_event: &mut impl FnMut(TakeOver<'_>),
    ) -> Result<(), SqliteError> {
        loop {
            let (jobs, unreadable) = self.store.sending_before(self.epoch, RECOVERY_BATCH).await?;
            if jobs.is_empty() && unreadable.is_empty() {
                break;
            }
            self.store.doubt_unreadable(&unreadable).await?;
            for row in &unreadable {
                let sentence =
                    "this row cannot be read and may have been sent: it is uncertain and set aside";
                let notice = Notice::new(Level::ERROR, sentence).job(row.id);
                on_event(TakeOver::Noticed(notice.reason(&row.sentence)));
            }
            let ended: Vec<_> =
                jobs.iter().map(|(job, claimed_at)| decide(job, *claimed_at)).collect();
            let done = self.store.record_or_keep(&ended, self.epoch).await?;
            let recorded = self.recorded(&ended, done);
            for notice in recorded.report.notices {
                on_event(TakeOver::Noticed(notice));
            }
            let rows = recorded.ids.len() + unreadable.len();
            on_event(TakeOver::Recovered { jobs: &jobs, ended: &ended, rows });
        }
        let retries = self.store.pull_in_retries(now()).await?;
        if retries > 0 {
            let sentence =
                "the wall clock was set back: the pauses before next attempts start over";
            on_event(TakeOver::Noticed(Notice::new(Level::INFO, sentence).rows(retries)));
        }
        Ok(())
    }

    /// A restored file is noted only now, after everything in it was paused: if the start is interrupted,
    /// the next one detects the restored file again.
    async fn begin_note(
        &mut self,
        before: Option<Progress>,
        on_event: &mut impl FnMut(TakeOver<'_>),
    ) -> Result<(), SqliteError> {
        let mut progress = self.store.progress(self.epoch).await?;
        if let Some(before) = before.filter(|before| before.outbox == progress.outbox) {
            (progress.job, progress.attempt) = (before.job, before.attempt);
        }
        let database = RealPath::of(self.path())?;
        match AnswerFile::begin(&database, self.epoch, self.started_at) {
            Ok(note) => self.answer_note = Some(note),
            Err(e) => {
                let sentence = "the note of answers cannot be written: sending is slower, and after a kill more \
                    jobs have an unknown outcome";
                let notice = Notice::new(Level::WARN, sentence).reason(e.to_string());
                on_event(TakeOver::Noticed(notice));
            }
        }
        match ProgressNote::begin(&database, progress) {
            Ok(note) => self.note = Some(note),
            Err(e) => {
                let sentence =
                    "the progress note cannot be written: a restored backup will not be recognised";
                let notice = Notice::new(Level::WARN, sentence).reason(e.to_string());
                on_event(TakeOver::Noticed(notice));
            }
        }
        Ok(())
    }
}

/// Opens the file if a dispatcher for this purpose may work on it at all; a busy one is tried again.
async fn admit(
    database: &Path,
    purpose: Purpose,
    on_event: &mut impl FnMut(TakeOver<'_>),
) -> Result<SqliteStore, SqliteError> {
    let mut tries = Tries::default();
    loop {
        match SqliteStore::admit(purpose, database).await {
            Ok(store) => return Ok(store),
            Err(e) => tries.again(e, on_event).await?,
        }
    }
}

/// A file that has been opened and whose epoch has begun.
struct Opened {
    store: SqliteStore,
    epoch: i64,
    started_at: i64,
}

/// Prepares and repairs the file, which has been admitted, pauses everything if it is older than what was sent
/// from it, and begins an epoch. Also returns the progress that was noted. `None` if the lock or the path belongs
/// to another file.
async fn open(
    admitted: Result<SqliteStore, SqliteError>,
    purpose: Purpose,
    lock: &DispatcherLock,
    on_event: &mut impl FnMut(TakeOver<'_>),
) -> Result<Option<(Opened, Option<Progress>)>, SqliteError> {
    let store = admitted?;
    if !lock.guards(store.path()) || !store.is_current() {
        // Before the next one is open: the two may share a `-shm`, whose locks go when either is closed.
        let _ = store.close().await;
        return Ok(None);
    }
    let mut store = store.prepared(purpose).await?;
    lock.align();
    let repaired = store.repair(RepairScope::Rules).await?;
    if !repaired.is_empty() {
        let sentence = "triggers, views or indexes of the outbox were missing or changed and have been restored";
        let notice = Notice::new(Level::WARN, sentence).reason(listed(&repaired));
        on_event(TakeOver::Noticed(notice));
    }
    let mut before = Progress::noted(&RealPath::of(store.path())?);
    if let Some(noted) = &before
        && store.is_behind(noted).await?
    {
        let jobs = store.hold_restored(noted).await?;
        let sentence = "the database is older than what was sent from it, like a restored backup; \
            everything in it is paused: `acquire-outbox status` says what to do";
        let notice = Notice::new(Level::ERROR, sentence).rows(usize::try_from(jobs).unwrap_or(0));
        on_event(TakeOver::Noticed(notice));
        before = None;
    }
    store.create_procedures().await?;
    let answers = store.record_noted_answers().await?;
    if answers > 0 {
        let sentence =
            "answers that the last dispatcher had noted but not recorded have been recorded";
        on_event(TakeOver::Noticed(Notice::new(Level::INFO, sentence).rows(answers)));
    }
    let epoch = store.begin_epoch().await?;
    let started_at = store.epoch_started_at().await?;
    Ok(Some((Opened { store, epoch, started_at }, before)))
}

impl Opened {
    /// The epoch has been written, so all of the database's files exist now.
    fn with(self, lock: DispatcherLock) -> Result<SqliteTenure, SqliteError> {
        let Opened { store, epoch, started_at } = self;
        let files = Files::of(store.path())?;
        Ok(SqliteTenure {
            store,
            epoch,
            started_at,
            files,
            note: None,
            answer_note: None,
            wake: Wake::never(),
            clock: WallClock::new(),
            timers: Timers::new(),
            data_version: 0,
            unfollowed: Vec::new(),
            report: Report::default(),
            _lock: lock,
        })
    }
}

/// Counts how often a start has found the database busy.
#[derive(Default)]
struct Tries(u32);

impl Tries {
    /// Waits before the next try. Returns the error if it is a different one, or after too many tries.
    async fn again(
        &mut self,
        e: SqliteError,
        on_event: &mut impl FnMut(TakeOver<'_>),
    ) -> Result<(), SqliteError> {
        self.0 += 1;
        if !e.is_busy() || self.0 >= START_TRIES.0 {
            return Err(e);
        }
        let notice = Notice::new(Level::WARN, "the database is busy: trying again");
        on_event(TakeOver::Noticed(notice.reason(e.to_string())));
        tokio::time::sleep(START_TRIES.1).await;
        Ok(())
    }
}
