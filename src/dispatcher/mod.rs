//! The loop: claim, send, record.
//!
//! One cycle records what has ended and claims what there is room for in one transaction; a
//! claim is on disk before its request can leave. Between cycles it sleeps until an attempt
//! ends, another process commits, or something falls due.

mod asking;
mod attempt;
mod bad_ends;
mod ending;
mod follow_ups;
mod follower;
mod idling;
mod jobs;
mod outage;
mod pause_watch;
mod readability;
mod readers;
mod reason;
mod reconfigure;
pub mod routes;
mod sender;
mod shown_blocks;
mod signals;
mod status_line;
mod upkeep;
mod verdicts;
mod verifier;

use crate::config::Config;
use crate::dispatcher::routes::Routes;
use crate::metrics::{DaemonState, Metrics};
use crate::queue::claim::{Agenda, Cycle, CycleDone, CycleResult, Room};
use crate::queue::ended::Ended;
use crate::queue::when::now;
use crate::reload::Reload;
use crate::service::Service;
use crate::store::{StoreError, Tenure};
use asking::Asking;
use follower::FollowUpAnswer;
use outage::Outage;
use pause_watch::PauseWatch;
use readers::Readers;
use reason::{Commit, Reason, Rest};
use sender::AttemptSender;
pub(crate) use sender::{decide, interrupted};
use shown_blocks::ShownBlocks;
use std::future::{Future, ready};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tracing::{info, trace};
pub(crate) use upkeep::log_notice;
use verifier::Shown;

/// The slow poll behind the wake-ups: for file systems without events, and for a clock that jumps.
const POLL: Duration = Duration::from_secs(1);

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
    /// Only when asked to stop.
    Stopped,
    /// As soon as no job is due, being sent, verified or in backoff. Scheduled and paused jobs remain.
    Empty,
}

/// Why the loop has ended in good order.
enum LoopEnd {
    Stopped,
    Empty,
}

/// Everything the loop works with.
pub struct Dispatcher {
    tenure: Tenure,
    sender: AttemptSender,
    readers: Readers,
    verifier: Asking<Shown>,
    follower: Asking<FollowUpAnswer>,
    agenda: Agenda,
    commit: Commit,
    rest: Rest,
    outage: Option<Outage>,
    shown_blocks: ShownBlocks,
    paused: PauseWatch,
    next_upkeep: Instant,
    service: Service,
}

impl Dispatcher {
    /// On an outbox that has been taken over.
    pub fn new(
        mut tenure: Tenure,
        config: Config,
        routes: Routes,
        service: Service,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (lease, answer_note) = (tenure.lease(), tenure.answer_note());
        let sender = AttemptSender::new(config, routes, metrics, lease, answer_note);
        tenure.expect_requests(sender.longest_request());
        tenure.pace(&sender.routes.rates());
        Dispatcher {
            tenure,
            sender,
            readers: Readers::default(),
            verifier: verifier::looks(),
            follower: follower::follow_ups(),
            agenda: Agenda::default(),
            commit: Commit::None,
            rest: Rest::none(),
            outage: None,
            shown_blocks: ShownBlocks::default(),
            paused: PauseWatch::new(),
            next_upkeep: Instant::now(),
            service,
        }
    }

    /// Tells the service manager that it dispatches from now on.
    pub fn ready(&mut self) {
        self.service.ready();
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
        reload: &mut Reload,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), StoreError> {
        self.sender.metrics.enter(DaemonState::Dispatching);
        let restored = ShownBlocks::restore(&mut self.tenure, &mut self.sender.routes).await?;
        self.shown_blocks = restored;
        self.readers = readability::restore(&mut self.tenure, &self.sender.config).await?;
        match self.dispatch(until, reload, shutdown).await {
            Ok(LoopEnd::Stopped) => self.drain().await,
            Ok(LoopEnd::Empty) => {
                self.sender.bad_ends.end_window();
                self.sender.end_note().await;
                self.tenure.close().await
            }
            Err(StoreError::Superseded) => Err(StoreError::Superseded),
            Err(e) => Err(self.leave(e).await),
        }
    }

    /// # Errors
    /// Those after which nothing more may be written.
    async fn dispatch(
        &mut self,
        until: Until,
        reload: &mut Reload,
        shutdown: impl Future<Output = ()>,
    ) -> Result<LoopEnd, StoreError> {
        tokio::pin!(shutdown);
        loop {
            let stepped = self.step().await;
            let more = self.unless_outage(stepped)?.unwrap_or(false);
            self.note_step();
            self.show_status().await;
            if until == Until::Empty && !more && self.nothing_left().await {
                return Ok(LoopEnd::Empty);
            }
            let resting = self.rests_until().is_some();
            let idle_until = self.idle_until();
            tokio::select! {
                biased;
                () = &mut shutdown => return Ok(LoopEnd::Stopped),
                step = reload.next() => self.reload(step),
                () = self.sender.next_answer() => {}
                () = self.verifier.ended() => {}
                () = self.follower.ended() => {}
                () = ready(()), if more => {}
                () = self.tenure.changed() => self.commit = Commit::UnderWay,
                () = sleep_until(idle_until) => if !resting {
                    let polled = self.poll().await;
                    self.unless_outage(polled)?;
                },
            }
            self.sender.take_results();
        }
    }

    /// At most one cycle, and what comes before and after it. True: there is more to do at once.
    async fn step(&mut self) -> Result<bool, StoreError> {
        if self.rests_until().is_some() {
            return Ok(false);
        }
        self.tenure.check()?;
        if let Some(outage) = &self.outage {
            if outage.pauses() {
                return Ok(false);
            }
            self.withdraw_strays().await?;
        }
        self.follow_clock().await?;
        self.bury().await?;
        self.sender.routes.unblock(Instant::now());
        self.follow_pauses().await?;
        // Before the rows that they explain.
        self.shown_blocks.follow(&mut self.tenure, &self.sender.routes).await?;
        let cycled = self.cycle().await?;
        self.follow_pauses().await?;
        if cycled == Cycled::Wrote {
            self.service.changed();
            // Somebody else's commit may be among our own: treat it as if it had just been noticed.
            self.commit = Commit::UnderWay;
        }
        let failed = self.fail_unknown_accounts().await?;
        let verified = self.verify().await?;
        self.follow_up().await?;
        let freed = self.upkeep().await?;
        self.end_outage();
        Ok(cycled != Cycled::No || failed || verified || freed)
    }

    /// Records, moves what is due and claims in one transaction, if there is a reason to.
    async fn cycle(&mut self) -> Result<Cycled, StoreError> {
        let commit = self.commit.take();
        if commit {
            self.sender.routes.expect_jobs();
        }
        let outcomes = self.sender.begin_recording();
        let room = self.sender.room();
        let Some(reason) = self.reason(commit, &outcomes, &room) else { return Ok(Cycled::No) };
        match self.transact(reason, &outcomes, &room).await {
            Ok(CycleResult::Done(done)) => Ok(self.follow_cycle(reason, outcomes, done)),
            Ok(CycleResult::Locked) => {
                self.sender.routes.expect_none();
                self.commit = Commit::Missed;
                // Attempts that have ended since do not wait for the next poll.
                let none = self.sender.jobs.unrecorded() == 0;
                Ok(if none { Cycled::No } else { Cycled::FoundNothing })
            }
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
            room: Some(room),
            due: reason == Reason::Due,
            now: now(),
            expecting: reason == Reason::Commit,
        };
        let begun = Instant::now();
        let result = self.sender.while_sending(self.tenure.cycle(&work)).await?;
        if let CycleResult::Done(done) = &result {
            let took = begun.elapsed();
            self.rest = Rest::after(took);
            self.sender.cycle_took(took);
            trace!(
                ?reason,
                recorded = done.recorded.ids.len(),
                claimed = done.claimed.len(),
                in_flight = self.sender.jobs.in_flight(),
                micros = took.as_micros(),
                "cycle"
            );
        }
        Ok(result)
    }

    /// Takes over what a cycle has done.
    fn follow_cycle(&mut self, reason: Reason, outcomes: Vec<Ended>, done: CycleDone) -> Cycled {
        let moved = reason == Reason::Due || !outcomes.is_empty();
        let wrote = moved || !done.claimed.is_empty();
        self.sender.recorded(outcomes, &done.recorded);
        self.sender.take_report(done.recorded.report);
        // A cycle that moves what is due also ends the pauses whose time has come.
        if done.others_committed || reason == Reason::Due {
            self.paused.may_have_changed();
        }
        self.sender.claimed(done.claimed, done.cut);
        self.saw(done.agenda);
        if wrote { Cycled::Wrote } else { Cycled::FoundNothing }
    }

    async fn follow_pauses(&mut self) -> Result<(), StoreError> {
        let at_once = self.sender.jobs.has_waiting();
        if self.paused.follow(&mut self.tenure, at_once).await? {
            // What they claim from now on leaves the pauses' jobs alone; these were claimed before.
            let paused = &self.paused;
            self.sender.give_back_where(|account, channel| paused.keeps_back(account, channel));
            self.sender.metrics.hold_restored(self.paused.has_restored());
            self.service.changed();
        }
        Ok(())
    }

    /// `None` where an error begins or prolongs an outage.
    ///
    /// # Errors
    /// Those after which nothing more may be written.
    fn unless_outage<T>(&mut self, done: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match done {
            Ok(done) => Ok(Some(done)),
            Err(e) if e.is_final() => Err(e),
            Err(e) => {
                let unrecorded = self.sender.jobs.unrecorded();
                self.outage = Some(Outage::after(self.outage.take(), &e, unrecorded));
                self.sender.metrics.enter(DaemonState::Trouble);
                self.service.changed();
                Ok(None)
            }
        }
    }

    fn end_outage(&mut self) {
        if self.outage.take().is_some() {
            self.sender.metrics.enter(DaemonState::Dispatching);
            self.service.changed();
            info!("the database can be used again");
        }
    }

    /// Reports an iteration of the loop to the watchdog and the health checks.
    fn note_step(&mut self) {
        let at = Instant::now();
        self.sender.bad_ends.follow(at);
        self.sender.metrics.turned(at.into_std());
        self.service.turned();
    }

    /// Looks at what is due and whether another process has committed.
    async fn poll(&mut self) -> Result<(), StoreError> {
        self.commit.retry_missed();
        let agenda = self.tenure.look().await?;
        self.saw(agenda);
        Ok(())
    }

    fn saw(&mut self, agenda: Agenda) {
        if agenda.others_committed {
            self.paused.may_have_changed();
            self.sender.routes.expect_jobs();
            self.service.changed();
        }
        self.sender.routes.contend(&agenda.ready_accounts);
        self.agenda = agenda;
    }
}

#[cfg(test)]
mod tests;
