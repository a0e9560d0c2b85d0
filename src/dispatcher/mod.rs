//! The loop: claim, send, record.
//!
//! One cycle records what has ended and claims what there is room for in one transaction; a
//! claim is on disk before its request can leave. Between cycles it sleeps until an attempt
//! ends, another process commits, or something falls due.

mod aside;
mod attempt;
mod clock;
mod drain;
mod ending;
mod file;
mod jobs;
mod meters;
mod note_keeper;
mod outage;
mod pauses;
mod reason;
mod reconfigure;
pub mod routes;
mod sender;
mod shown_blocks;
mod signals;
mod status_line;
mod upkeep;

use crate::config::Config;
use crate::dispatcher::routes::Routes;
use crate::metrics::{Metrics, State};
use crate::queue::block::Block;
use crate::queue::claim::{Agenda, Cycle, CycleResult, Room};
use crate::queue::ended::Ended;
use crate::queue::job::Failure;
use crate::queue::when::now;
use crate::reload::Reload;
use crate::service::Service;
use crate::store::sqlite::wake::Wake;
use crate::store::{Store, StoreError};
use aside::AsideWatch;
use clock::WallClock;
use file::FileWatch;
pub use note_keeper::ProgressNote;
use outage::Outage;
use pauses::PauseWatch;
use reason::{Commit, Reason, Rest};
use sender::Sender;
pub(crate) use sender::decide;
use std::future::{Future, ready};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tracing::trace;

/// The slow poll behind the wake-ups: for file systems without events, and for a clock that jumps.
const POLL: Duration = Duration::from_secs(1);
/// How long a claim for [`Reason::Commit`] waits for the lock.
const FOR_A_COMMIT: Duration = Duration::from_millis(50);

/// What a step's cycle has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cycled {
    /// There was no reason for one, or no lock.
    No,
    /// It found nothing to claim, or must be tried again at once.
    FoundNothing,
    Wrote,
}

/// When [`Dispatcher::run`] returns by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Only when it is told to stop.
    Stopped,
    /// As soon as no job is due, being sent or in backoff. Jobs that are paused or for a later time
    /// are left.
    Empty,
}

/// Why the loop has ended in good order.
enum End {
    Stopped,
    Empty,
}

/// Everything the loop works with. Exactly one runs on a database file.
pub struct Dispatcher {
    store: Store,
    epoch: i64,
    sender: Sender,
    agenda: Agenda,
    commit: Commit,
    rest: Rest,
    outage: Option<Outage>,
    /// The blocks as the database has them.
    shown_blocks: Vec<Block>,
    paused: PauseWatch,
    aside: AsideWatch,
    file: FileWatch,
    clock: WallClock,
    next_upkeep: Instant,
    service: Service,
}

impl Dispatcher {
    /// `epoch` as [`Store::begin_epoch`] gave it, with the lock held.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when a file of the database has gone since.
    pub fn new(
        store: Store,
        epoch: i64,
        config: Config,
        routes: Routes,
        service: Service,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let file = FileWatch::of(&store)?;
        Ok(Dispatcher {
            store,
            epoch,
            sender: Sender::new(config, routes, metrics),
            agenda: Agenda::default(),
            commit: Commit::None,
            rest: Rest::none(),
            outage: None,
            shown_blocks: Vec::new(),
            paused: PauseWatch::new(),
            aside: AsideWatch::new(),
            file,
            clock: WallClock::new(),
            next_upkeep: Instant::now(),
            service,
        })
    }

    /// Dispatches until `shutdown` resolves (then drains) or, with [`Until::Empty`], until
    /// nothing is left to do.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] when another dispatcher works on the file; after a stop, the
    /// error that kept the last results from being recorded.
    pub async fn run(
        mut self,
        until: Until,
        wake: &mut Wake,
        reload: &mut Reload,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), StoreError> {
        self.sender.metrics.enter(State::Dispatching);
        self.restore_blocks().await?;
        self.start_clock().await?;
        self.file.started_at = self.store.epoch_started_at().await?;
        match self.dispatch(until, wake, reload, shutdown).await {
            Ok(End::Stopped) => self.drain().await,
            Ok(End::Empty) => self.store.close().await,
            Err(StoreError::Superseded) => Err(StoreError::Superseded),
            Err(e) => Err(self.leave(e).await),
        }
    }

    /// # Errors
    /// Those after which nothing more may be written.
    async fn dispatch(
        &mut self,
        until: Until,
        wake: &mut Wake,
        reload: &mut Reload,
        shutdown: impl Future<Output = ()>,
    ) -> Result<End, StoreError> {
        tokio::pin!(shutdown);
        loop {
            let stepped = self.step(wake).await;
            let more = self.unless_outage(stepped)?.unwrap_or(false);
            self.note_step();
            self.show_status().await;
            if until == Until::Empty && !more && self.nothing_left().await {
                // A failure to count is no reason to fail now: all is done.
                let _ = self.tell_left().await;
                return Ok(End::Empty);
            }
            let resting = self.rests_until().is_some();
            let idle_until = self.idle_until();
            tokio::select! {
                biased;
                () = &mut shutdown => return Ok(End::Stopped),
                step = reload.next() => self.reload(step),
                Some(result) = self.sender.results.recv() => self.sender.ended(result),
                () = ready(()), if more => {}
                () = wake.changed() => self.commit = Commit::UnderWay,
                () = sleep_until(idle_until) => if !resting {
                    let polled = self.poll().await;
                    self.unless_outage(polled)?;
                },
            }
            self.sender.take_results();
        }
    }

    /// At most one cycle, and what comes before and after it. True: there is more to do at once.
    async fn step(&mut self, wake: &mut Wake) -> Result<bool, StoreError> {
        if self.rests_until().is_some() {
            return Ok(false);
        }
        self.file.check()?;
        if self.waits_in_outage() {
            return Ok(false);
        }
        if self.outage.is_some() {
            self.withdraw_strays().await?;
        }
        self.follow_clock().await?;
        self.sender.routes.unblock(Instant::now());
        self.follow_pauses().await?;
        self.follow_strays().await?;
        // Before the rows that they explain.
        self.show_blocks().await?;
        let cycled = self.cycle().await?;
        if cycled == Cycled::Wrote {
            self.service.changed();
            // Another's event may be among our own: as if it had come just now.
            wake.clear();
            self.commit = Commit::UnderWay;
        }
        let failed = self.fail_unknown_accounts().await?;
        self.keep_log_short().await?;
        self.upkeep().await?;
        self.end_outage();
        Ok(cycled != Cycled::No || failed)
    }

    /// Records, moves what is due and claims in one transaction, if there is a reason to.
    async fn cycle(&mut self) -> Result<Cycled, StoreError> {
        let commit = self.commit.take();
        if commit {
            self.sender.routes.expect_jobs();
        }
        let outcomes = self.sender.jobs.begin_recording();
        let room = self.sender.room();
        let Some(reason) = self.reason(commit, &outcomes, &room) else { return Ok(Cycled::No) };
        match self.transact(reason, &outcomes, &room).await {
            Ok(done) => self.follow_cycle(reason, outcomes, done).await,
            Err(e) if reason == Reason::Commit && e.is_busy() => {
                self.sender.routes.expect_none();
                self.commit = Commit::Missed;
                // What has ended meanwhile does not wait for the next poll.
                let none = self.sender.jobs.unrecorded() == 0;
                Ok(if none { Cycled::No } else { Cycled::FoundNothing })
            }
            Err(e) if e.is_of_a_row() => self.one_by_one(e, outcomes, reason == Reason::Due).await,
            Err(e) => {
                self.sender.jobs.not_recorded(outcomes);
                Err(e)
            }
        }
    }

    /// `None`: a cycle would do nothing, and there is nothing to record.
    fn reason(&self, commit: bool, outcomes: &[Ended], room: &Room) -> Option<Reason> {
        if self.agenda.next_due.is_some_and(|at| at <= now()) {
            Some(Reason::Due)
        } else if !outcomes.is_empty() {
            Some(Reason::Record)
        } else if !self.sender.routes.worth_claiming(room) {
            None
        } else if commit && self.outage.is_none() {
            Some(Reason::Commit)
        } else {
            Some(Reason::Claim)
        }
    }

    /// The cycle's transaction, while requests are sent and results taken.
    async fn transact(
        &mut self,
        reason: Reason,
        outcomes: &[Ended],
        room: &Room,
    ) -> Result<CycleResult, StoreError> {
        let work = Cycle {
            record: outcomes,
            claim: Some(room),
            due: reason == Reason::Due,
            now: now(),
            epoch: self.epoch,
            patience: (reason == Reason::Commit).then_some(FOR_A_COMMIT),
        };
        let begun = Instant::now();
        let done = self.sender.while_sending(self.store.cycle(&work)).await?;
        // A claim in a file that has gone is no claim: its request must not leave.
        self.file.check()?;
        let took = begun.elapsed();
        self.rest = Rest::after(took);
        self.sender.metrics.cycle(took);
        trace!(
            ?reason,
            recorded = done.recorded.len(),
            claimed = done.claimed.len(),
            in_flight = self.sender.jobs.in_flight(),
            micros = took.as_micros(),
            "cycle"
        );
        Ok(done)
    }

    /// Takes over what a cycle has done.
    async fn follow_cycle(
        &mut self,
        reason: Reason,
        outcomes: Vec<Ended>,
        done: CycleResult,
    ) -> Result<Cycled, StoreError> {
        let moved = reason == Reason::Due || !outcomes.is_empty();
        let wrote = moved || !done.claimed.is_empty();
        self.sender.failed(&done.expired, Failure::Expired);
        self.file.recorded(&outcomes);
        match done.recorded.len() == outcomes.len() {
            true => self.sender.recorded(&outcomes, &done.recorded),
            false => self.keep_ignored(outcomes, done.recorded).await,
        }
        // What was recorded or moved may have made jobs ready on any route; a claim alone makes
        // none, and two routes that expected jobs of each other would never rest.
        if moved {
            self.sender.routes.expect_jobs();
        }
        self.saw_commits(done.seen);
        self.sender.claimed(done.claimed, done.cut);
        // The agenda is read after the claim: a commit between the two is one that the claim missed.
        self.saw(done.agenda);
        self.fail_unreadable(&done.unreadable, true).await?;
        Ok(if wrote { Cycled::Wrote } else { Cycled::FoundNothing })
    }

    /// Looks at what is due and whether another process has committed.
    async fn poll(&mut self) -> Result<(), StoreError> {
        self.commit.retry_missed();
        let agenda = self.store.look().await?;
        self.saw(agenda);
        Ok(())
    }

    fn saw(&mut self, agenda: Agenda) {
        self.saw_commits(agenda.data_version);
        self.sender.routes.contend(&agenda.ready_accounts);
        self.agenda = agenda;
    }

    /// The database as of this version has been read.
    fn saw_commits(&mut self, data_version: i64) {
        if data_version != self.agenda.data_version {
            self.agenda.data_version = data_version;
            self.paused.may_have_changed();
            self.aside.may_have_changed();
            self.sender.routes.expect_jobs();
            self.service.changed();
        }
    }

    fn rests_until(&self) -> Option<Instant> {
        self.rest.lasts_until(&self.sender.jobs)
    }

    /// When the next step is due if nothing happens before.
    fn idle_until(&self) -> Instant {
        let at = Instant::now();
        let ping = self.service.next_ping();
        let first = if let Some(rested) = self.rests_until() {
            [Some(rested), ping, None, None, None]
        } else if let Some(outage) = &self.outage {
            [Some(outage.until), ping, None, None, None]
        } else {
            let due = self.agenda.next_due.map(|due| {
                at + Duration::from_millis(u64::try_from(due - now()).unwrap_or(0)).min(POLL)
            });
            let opening = self.sender.routes.next_opening(self.sender.jobs.load(), at);
            [Some(at + POLL), ping, due, opening, Some(self.next_upkeep)]
        };
        first.into_iter().flatten().min().unwrap_or(at)
    }
}

#[cfg(test)]
mod tests;
