//! The loop: claim, send, record.
//!
//! One cycle records what has ended and claims what there is room for in one transaction; a
//! claim is on disk before its request can leave. Between cycles it sleeps until an attempt
//! ends, another process commits, or something falls due.

mod clock;
mod drain;
mod file;
mod gates;
mod measure;
mod pauses;
mod service;
mod trouble;
mod upkeep;

use crate::acquire::Endpoint;
use crate::config::Config;
use crate::job::{Failure, Job, Status};
use crate::metrics::{Metrics, RouteMeter, State};
use crate::outcome::Attempt;
use crate::reload::Reload;
use crate::routes::Routes;
use crate::send::{self, Stop};
use crate::service::Service;
use crate::store::{Agenda, CycleWork, Ended, Hold, Store, StoreError, now};
use crate::transition::{self, Signal};
use crate::wake::Wake;
use clock::WallClock;
use file::FileWatch;
use pauses::PauseWatch;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, trace};
use trouble::Trouble;

/// The slow look behind the wake-ups: for file systems without events, and for a clock that jumps.
const POLL: Duration = Duration::from_secs(1);
/// How long a claim for what somebody is just writing waits for that commit. One that takes longer
/// is a long transaction's, or a slow disk's: it tells again, or the slow look is followed by a claim.
const WRITTEN: Duration = Duration::from_millis(50);
/// The longest rest after a cycle: see [`Dispatcher::rests`].
const REST: Duration = Duration::from_millis(5);

/// What came of a turn's cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cycled {
    No,
    /// Nothing was there to claim.
    InVain,
    Wrote,
}

/// When [`Dispatcher::run`] comes back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Only when it is told to stop.
    Stopped,
    /// As soon as no job is pending or sending, but for those that are paused.
    Empty,
}

/// Everything the loop works with. Exactly one runs on a database file.
pub struct Dispatcher {
    store: Store,
    epoch: i64,
    config: Config,
    routes: Routes,
    /// Claimed and not ended, by id, with the endpoint that each goes through.
    in_flight: HashMap<i64, (Arc<Job>, Arc<Endpoint>)>,
    /// Ended and decided, not yet on disk.
    unrecorded: Vec<Ended>,
    agenda: Agenda,
    /// The holds as the database has them.
    shown_holds: Vec<Hold>,
    paused: PauseWatch,
    results: mpsc::UnboundedReceiver<(Arc<Job>, Attempt)>,
    report: mpsc::UnboundedSender<(Arc<Job>, Attempt)>,
    stop: watch::Sender<Stop>,
    /// The log was written to since the last cycle: worth a claim, which gets the write lock when
    /// that commit is there.
    written: bool,
    /// That claim did not get the lock: the next look is followed by another.
    missed: bool,
    trouble: Option<Trouble>,
    file: FileWatch,
    clock: WallClock,
    /// Found by a look: the loop ends with it.
    ends: Option<StoreError>,
    next_upkeep: Instant,
    /// The end of the rest after the last cycle.
    rest_until: Instant,
    service: Service,
    /// On disk as sent, since the start.
    sent: u64,
    metrics: Arc<Metrics>,
    meters: Vec<RouteMeter>,
}

impl Dispatcher {
    /// `epoch` as [`Store::begin_epoch`] gave it, with the lock held.
    ///
    /// # Errors
    /// [`StoreError::Deleted`] when a file of the database has gone since.
    pub fn new(
        store: Store,
        epoch: i64,
        config: Config,
        routes: Routes,
        service: Service,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let (report, results) = mpsc::unbounded_channel();
        let file = FileWatch::of(&store)?;
        Ok(Dispatcher {
            store,
            epoch,
            config,
            routes,
            in_flight: HashMap::new(),
            unrecorded: Vec::new(),
            agenda: Agenda::default(),
            shown_holds: Vec::new(),
            paused: PauseWatch::new(),
            results,
            report,
            stop: watch::Sender::new(Stop::No),
            written: false,
            missed: false,
            trouble: None,
            file,
            clock: WallClock::new(),
            ends: None,
            next_upkeep: Instant::now(),
            rest_until: Instant::now(),
            service,
            sent: 0,
            metrics,
            meters: Vec::new(),
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
        tokio::pin!(shutdown);
        self.meter_routes();
        self.metrics.enter(State::Dispatching);
        self.resume_holds().await?;
        self.start_clock().await?;
        self.file.started_at = self.store.epoch_started_at().await?;
        loop {
            let more = match self.turn(wake).await {
                Ok(more) => more,
                Err(StoreError::Superseded) => return Err(StoreError::Superseded),
                Err(e) if e.is_final() => return Err(self.leave(e).await),
                Err(e) => self.note_trouble(&e),
            };
            self.turned();
            self.say_status().await;
            if until == Until::Empty && !more && self.nothing_left().await {
                return self.store.close().await;
            }
            let (rests, idle_until) = (self.rests(), self.idle_until());
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                step = reload.next() => self.reload(step),
                Some(result) = self.results.recv() => self.ended(result),
                () = std::future::ready(()), if more => {}
                () = wake.changed() => self.written = true,
                () = sleep_until(idle_until) => if !rests { self.look().await },
            }
            while let Ok(result) = self.results.try_recv() {
                self.ended(result);
            }
        }
        self.drain().await
    }

    /// At most one cycle, and what belongs beside it. True: there is more to do at once.
    async fn turn(&mut self, wake: &mut Wake) -> Result<bool, StoreError> {
        self.ends.take().map_or(Ok(()), Err)?;
        if self.rests() {
            return Ok(false);
        }
        self.file.check()?;
        if let Some(trouble) = &self.trouble {
            if trouble.until > Instant::now() {
                return Ok(false);
            }
            self.withdraw_strays().await?;
        }
        self.follow_clock().await?;
        self.routes.release(Instant::now());
        self.follow_pauses().await?;
        // Before the rows that they explain.
        self.show_holds().await?;
        let cycled = self.cycle().await?;
        if cycled == Cycled::Wrote {
            self.service.changed();
            // Another's event may be among our own: as if it had come just now.
            wake.clear();
            self.written = true;
        }
        let failed = self.fail_unknown_accounts().await?;
        self.keep_log_short().await?;
        self.upkeep().await?;
        self.end_trouble();
        Ok(cycled != Cycled::No || failed)
    }

    /// Records, moves what is due, claims and sends, if there is anything of it to do.
    async fn cycle(&mut self) -> Result<Cycled, StoreError> {
        let written = std::mem::take(&mut self.written);
        if written {
            self.routes.stir();
        }
        let room = self.routes.room(Instant::now());
        let due = self.agenda.next_due.is_some_and(|at| at <= now());
        if !due && self.unrecorded.is_empty() && !self.routes.worth_claiming(&room) {
            return Ok(Cycled::No);
        }
        let (record, epoch) = (&self.unrecorded, self.epoch);
        let hopes = written && !due && record.is_empty() && self.trouble.is_none();
        let patience = hopes.then_some(WRITTEN);
        let work = CycleWork { record, claim: &room, due, now: now(), epoch, patience };
        let begun = Instant::now();
        let done = match self.store.cycle(&work).await {
            Err(e) if hopes && e.is_busy() => {
                self.routes.claimed(&room, &[]);
                self.missed = true;
                return Ok(Cycled::No);
            }
            done => done?,
        };
        let took = begun.elapsed();
        self.rest_until = Instant::now() + took.min(REST);
        self.metrics.cycle(took);
        trace!(
            recorded = done.recorded.len(),
            claimed = done.claimed.len(),
            on_the_wire = self.in_flight.len(),
            micros = took.as_micros(),
            "cycle"
        );
        // A claim in a file that has gone is no claim: its request must not leave.
        self.file.check()?;
        self.failed(&done.expired, Failure::Expired);
        let recorded_some = !self.unrecorded.is_empty();
        self.forget_recorded(&done.recorded);
        // What was recorded or moved may have made jobs ready on any route; a claim alone makes
        // none, and two routes that stirred each other would never rest.
        let others_wrote = self.agenda.data_version != done.seen;
        if due || recorded_some || others_wrote {
            self.routes.stir();
        }
        if others_wrote {
            self.paused.may_have_changed();
        }
        self.routes.claimed(&room, &done.claimed);
        // The agenda is read after the claim: a commit between the two is one that the claim missed.
        self.agenda.data_version = done.seen;
        self.saw(done.agenda);
        let wrote = due || recorded_some || !done.claimed.is_empty();
        for job in done.claimed {
            self.send(job);
        }
        Ok(if wrote { Cycled::Wrote } else { Cycled::InVain })
    }

    /// A transaction costs the same for one job as for ten, and holds up every writer meanwhile. So
    /// after each the loop rests as long as it took, until a third of what is out has ended: that is
    /// recorded together, while the rest is on the wire. A loop with nothing out never rests.
    fn rests(&self) -> bool {
        self.in_flight.len() > 2 * self.unrecorded.len() && Instant::now() < self.rest_until
    }

    /// Hands a claimed job to a task of its own, whose result comes back in any case.
    fn send(&mut self, job: Job) {
        let job = Arc::new(job);
        let route = self.routes.of(&job.account, job.channel);
        let endpoint = route.expect("claims are made for routes only").endpoint.clone();
        self.in_flight.insert(job.id, (job.clone(), endpoint.clone()));
        self.meter(&job.account, job.channel).begun();
        let (report, stop) = (self.report.clone(), self.stop.subscribe());
        tokio::spawn(async move {
            let attempt = send::attempt(&job, &endpoint, stop).await;
            // Nobody listens only when the dispatcher is gone; then recovery has the row.
            let _ = report.send((job, attempt));
        });
    }

    /// Decides what an ended attempt makes of its job, and of its route.
    fn ended(&mut self, (job, attempt): (Arc<Job>, Attempt)) {
        let flown = self.in_flight.remove(&job.id);
        self.routes.ended(&job.account, job.channel);
        let ended = decide(&self.config, &job, &attempt);
        self.meter(&job.account, job.channel).ended(&attempt, ended.transition.history);
        let transition = &ended.transition;
        let code = transition.fault.as_ref().map(|f| f.code.as_str());
        debug!(job = job.id, attempt = job.attempts, account = job.account, channel = %job.channel,
            status = %transition.status, code, "attempt ended");
        let route = self.routes.of(&job.account, job.channel);
        let current = flown.zip(route).is_some_and(|((_, by), r)| Arc::ptr_eq(&by, &r.endpoint));
        // What was sent with settings of before a reload tells nothing of the account as it is.
        let tells = current || matches!(transition.signal, Signal::HoldChannel { .. });
        // Where no request was made nothing was learnt of the account: the next job is its probe.
        if tells && transition.history.is_some() {
            self.heed(&job, &transition.signal);
        }
        self.unrecorded.push(ended);
    }

    /// Drops what is on disk. What was not recorded was this claim's no more: its row was changed
    /// by other means, and its history alone tells of the attempt.
    fn forget_recorded(&mut self, recorded: &[i64]) {
        let ended = std::mem::take(&mut self.unrecorded);
        let all = ended.len() == recorded.len();
        let (kept, lost): (Vec<_>, Vec<_>) =
            ended.iter().partition(|e| all || recorded.contains(&e.transition.id));
        self.metrics.recorded(kept.iter().copied());
        self.sent += kept.iter().filter(|e| e.transition.status == Status::Sent).count() as u64;
        for lost in lost {
            let t = &lost.transition;
            error!(job = t.id, attempt = t.fence_attempts, status = %t.status,
                "the row was no longer this claim's; the outcome stands in outbox_attempts alone");
        }
    }

    /// Looks at what is due and whether another process has committed.
    async fn look(&mut self) {
        self.written |= std::mem::take(&mut self.missed);
        match self.store.look().await {
            Ok(agenda) => self.saw(agenda),
            Err(e) if e.is_final() => self.ends = Some(e),
            Err(e) => {
                self.note_trouble(&e);
            }
        }
    }

    fn saw(&mut self, agenda: Agenda) {
        if agenda.data_version != self.agenda.data_version {
            self.paused.may_have_changed();
            self.routes.stir();
            self.service.changed();
        }
        self.agenda = agenda;
    }

    fn idle_until(&self) -> Instant {
        let at = Instant::now();
        let ping = self.service.next_ping();
        if self.rests() {
            return ping.map_or(self.rest_until, |at| at.min(self.rest_until));
        }
        if let Some(trouble) = &self.trouble {
            return ping.map_or(trouble.until, |at| at.min(trouble.until));
        }
        let due = self.agenda.next_due.map(|due| {
            at + Duration::from_millis(u64::try_from(due - now()).unwrap_or(0)).min(POLL)
        });
        [Some(at + POLL), due, self.routes.next_opening(at), Some(self.next_upkeep), ping]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(at)
    }

    async fn nothing_left(&mut self) -> bool {
        self.in_flight.is_empty()
            && self.unrecorded.is_empty()
            && self.trouble.is_none()
            && self.none_left().await.unwrap_or(false)
    }
}

/// Decides and measures: what the store writes of an ended attempt.
pub(crate) fn decide(config: &Config, job: &Job, attempt: &Attempt) -> Ended {
    Ended {
        transition: transition::decide(job, attempt, &config.channels[&job.channel], now()),
        channel: job.channel,
        due_at: job.due_at,
        http_status: attempt.http_status,
        started_at: attempt.started_at,
        duration_ms: i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests;
