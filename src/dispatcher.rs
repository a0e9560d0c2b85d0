//! The loop: claim, send, record.
//!
//! One cycle records what has ended and claims what there is room for in one transaction; a
//! claim is on disk before its request can leave. Between cycles it sleeps until an attempt
//! ends, another process commits, or something falls due.

mod clock;
mod file;

use crate::config::Config;
use crate::job::{Job, Status};
use crate::outcome::{Attempt, Outcome};
use crate::routes::{Moment, Routes};
use crate::send::{self, Stop};
use crate::store::{Agenda, CycleWork, Ended, Hold, HoldKind, Store, StoreError, now};
use crate::transition::{self, Signal};
use crate::wake::Wake;
use clock::WallClock;
use file::FileWatch;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{debug, error, info, warn};

/// The slow look behind the wake-ups: for file systems without events, and for a clock that jumps.
const POLL: Duration = Duration::from_secs(1);
/// After a file event: how long its commit is looked for, and how long without a pause.
const ALERT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(5));
/// After a commit of our own: how often, and how long apart, it is looked for one whose event
/// was taken for ours.
const AFTER_OWN: (u32, Duration) = (3, Duration::from_millis(2));
/// The pause after a failed transaction, doubled from the first to the second.
const ERROR_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long the last results may take to be recorded, once nothing is on the wire any more.
const LAST_RECORDS: Duration = Duration::from_secs(10);
/// The most rows of one upkeep transaction, and how often there is one when it finds little.
const UPKEEP_BATCH: i64 = 500;
const UPKEEP_EVERY: Duration = Duration::from_secs(60);

/// When [`Dispatcher::run`] comes back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Only when it is told to stop.
    Stopped,
    /// As soon as no job is pending or sending.
    Empty,
}

/// Everything the loop works with. Exactly one runs on a database file.
pub struct Dispatcher {
    store: Store,
    epoch: i64,
    config: Config,
    routes: Routes,
    /// Claimed and not ended, by id.
    in_flight: HashMap<i64, Arc<Job>>,
    /// Ended and decided, not yet on disk.
    unrecorded: Vec<Ended>,
    agenda: Agenda,
    /// The holds as the database has them.
    shown_holds: Vec<Hold>,
    results: mpsc::UnboundedReceiver<(Arc<Job>, Attempt)>,
    report: mpsc::UnboundedSender<(Arc<Job>, Attempt)>,
    stop: watch::Sender<Stop>,
    alert: Alert,
    trouble: Option<Trouble>,
    file: FileWatch,
    clock: WallClock,
    /// Found by a look: the loop ends with it.
    ends: Option<StoreError>,
    next_upkeep: Instant,
}

/// Whether there is reason to look for a commit that cannot be read yet.
#[derive(Debug, Clone, Copy)]
enum Alert {
    None,
    /// The log was written to at this time, and the commit has not been seen.
    Written(Instant),
    /// We wrote ourselves; so many looks are left.
    Own(u32),
}

/// The database cannot be used just now: nothing is claimed, results wait in memory.
struct Trouble {
    pause: Duration,
    until: Instant,
}

impl Dispatcher {
    /// `epoch` as [`Store::begin_epoch`] gave it, with the lock held.
    pub fn new(store: Store, epoch: i64, config: Config, routes: Routes) -> Self {
        let (report, results) = mpsc::unbounded_channel();
        let file = FileWatch::of(&store);
        Dispatcher {
            store,
            epoch,
            config,
            routes,
            in_flight: HashMap::new(),
            unrecorded: Vec::new(),
            agenda: Agenda::default(),
            shown_holds: Vec::new(),
            results,
            report,
            stop: watch::Sender::new(Stop::No),
            alert: Alert::None,
            trouble: None,
            file,
            clock: WallClock::new(),
            ends: None,
            next_upkeep: Instant::now(),
        }
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
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), StoreError> {
        tokio::pin!(shutdown);
        self.resume_holds().await?;
        self.start_clock().await?;
        self.file.started_at = self.store.epoch_started_at().await?;
        loop {
            let more = match self.turn(wake).await {
                Ok(more) => {
                    self.end_trouble();
                    more
                }
                Err(StoreError::Superseded) => return Err(StoreError::Superseded),
                Err(e) if e.is_final() => return Err(self.leave(e).await),
                Err(e) => self.note_trouble(&e),
            };
            if until == Until::Empty && !more && self.nothing_left().await {
                return self.store.close().await;
            }
            let idle_until = self.idle_until();
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(result) = self.results.recv() => self.ended(result),
                () = std::future::ready(()), if more => {}
                () = look_pause(self.alert) => self.look().await,
                () = wake.changed() => self.alert = Alert::Written(Instant::now()),
                () = sleep_until(idle_until) => self.look().await,
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
        self.file.check()?;
        if let Some(trouble) = &self.trouble {
            if trouble.until > Instant::now() {
                return Ok(false);
            }
            self.withdraw_strays().await?;
        }
        self.follow_clock().await?;
        self.routes.release(Instant::now());
        let cycled = self.cycle().await?;
        if cycled {
            wake.clear();
            self.alert = Alert::Own(AFTER_OWN.0);
        }
        let failed = self.fail_unknown_accounts().await?;
        self.show_holds().await?;
        self.keep_log_short().await?;
        self.upkeep().await?;
        Ok(cycled || failed)
    }

    /// Records, moves what is due, claims and sends, if there is anything of it to do.
    async fn cycle(&mut self) -> Result<bool, StoreError> {
        let room = self.routes.room(Instant::now());
        let due = self.agenda.next_due.is_some_and(|at| at <= now());
        if !due && self.unrecorded.is_empty() && !self.routes.worth_claiming(&room) {
            return Ok(false);
        }
        let (record, epoch) = (&self.unrecorded, self.epoch);
        let work = CycleWork { record, claim: &room, due, now: now(), epoch };
        let done = self.store.cycle(&work).await?;
        // A claim in a file that has gone is no claim: its request must not leave.
        self.file.check()?;
        self.forget_recorded(&done.recorded);
        // What was recorded, moved or committed may have made jobs ready on any route.
        self.routes.stir();
        self.saw(done.agenda);
        self.routes.claimed(&room, &done.claimed);
        for job in done.claimed {
            self.send(job);
        }
        Ok(true)
    }

    /// Hands a claimed job to a task of its own, whose result comes back in any case.
    fn send(&mut self, job: Job) {
        let job = Arc::new(job);
        self.in_flight.insert(job.id, job.clone());
        let route = self.routes.of(&job.account, job.channel);
        let endpoint = route.expect("claims are made for routes only").endpoint.clone();
        let (report, stop) = (self.report.clone(), self.stop.subscribe());
        tokio::spawn(async move {
            let attempt = send::attempt(&job, &endpoint, stop).await;
            // Nobody listens only when the dispatcher is gone; then recovery has the row.
            let _ = report.send((job, attempt));
        });
    }

    /// Decides what an ended attempt makes of its job, and of its route.
    fn ended(&mut self, (job, attempt): (Arc<Job>, Attempt)) {
        self.in_flight.remove(&job.id);
        self.routes.ended(&job.account, job.channel);
        let ended = decide(&self.config, &job, &attempt);
        let transition = &ended.transition;
        let code = transition.fault.as_ref().map(|f| f.code.as_str());
        debug!(job = job.id, attempt = job.attempts, status = %transition.status, code, "attempt ended");
        self.heed(&job, &transition.signal);
        self.unrecorded.push(ended);
    }

    /// The gates react at once, before the outcome is on disk.
    fn heed(&mut self, job: &Job, signal: &Signal) {
        let now = Moment { at: Instant::now(), wall: now() };
        let account = job.account.as_str();
        match signal {
            Signal::None => self.routes.probe_failed(account, now),
            Signal::AccountWorks => self.account_works(account),
            Signal::AccountRefused { fault } => {
                let (next, news) = self.routes.refuse(account, &fault.message, now);
                if news {
                    let next_probe_ms = (next - now.at).as_millis();
                    warn!(
                        account,
                        code = fault.code,
                        next_probe_ms,
                        "Acquire refuses the account: \
                        its jobs wait while single probes go out; check its key and address"
                    );
                }
            }
            Signal::HoldChannel { pause, fault } => {
                self.account_works(account);
                self.routes.hold(account, job.channel, *pause, &fault.message, now);
                warn!(account, channel = %job.channel, code = fault.code, seconds = pause.as_secs(),
                    "Acquire asked for a pause: the channel waits");
            }
        }
    }

    fn account_works(&mut self, account: &str) {
        if self.routes.accept(account) {
            info!(account, "Acquire accepts the account again");
        }
    }

    /// Drops what is on disk. What was not recorded was this claim's no more: its row was changed
    /// by other means, and its history alone tells of the attempt.
    fn forget_recorded(&mut self, recorded: &[i64]) {
        let ended = std::mem::take(&mut self.unrecorded);
        if ended.len() == recorded.len() {
            return;
        }
        for lost in ended.iter().filter(|e| !recorded.contains(&e.transition.id)) {
            let t = &lost.transition;
            error!(job = t.id, attempt = t.fence_attempts, status = %t.status,
                "the row was no longer this claim's; the outcome stands in outbox_attempts alone");
        }
    }

    /// Jobs of accounts that nobody has configured fail with a sentence; true: there are more.
    async fn fail_unknown_accounts(&mut self) -> Result<bool, StoreError> {
        let accounts = std::mem::take(&mut self.agenda.ready_accounts);
        let mut more = false;
        for account in accounts.iter().filter(|name| !self.routes.has_account(name)) {
            let known = self.routes.accounts().join(", ");
            let sentence = format!("account: `{account}` is not configured; configured: {known}");
            let failed = self.store.fail_unknown_account(account, &sentence).await?;
            warn!(account, failed, "jobs for an account that is not configured failed as invalid");
            more = true;
            self.agenda = self.store.look().await?;
        }
        Ok(more)
    }

    /// A refusal is found out anew by the first request; a Retry-After still runs.
    async fn resume_holds(&mut self) -> Result<(), StoreError> {
        self.shown_holds = self.store.holds().await?;
        let now = Moment { at: Instant::now(), wall: now() };
        for hold in self.shown_holds.iter().filter(|h| h.kind == HoldKind::RetryAfter) {
            let until = hold.until.unwrap_or(0);
            // No longer than it was: the clock may have been set back since.
            let left = (until - now.wall).min(until - hold.since);
            let left = u64::try_from(left).unwrap_or(0);
            if let (Ok(channel), 1..) = (hold.channel.parse(), left) {
                let pause = Duration::from_millis(left);
                self.routes.hold(&hold.account, channel, pause, &hold.reason, now);
            }
        }
        Ok(())
    }

    /// Keeps the holds in the database those of the routes, for `status` and `show`.
    async fn show_holds(&mut self) -> Result<(), StoreError> {
        let holds = self.routes.holds();
        if holds != self.shown_holds {
            self.store.replace_holds(&holds).await?;
            self.shown_holds = holds;
        }
        Ok(())
    }

    /// Retention, in batches; a full batch is followed by another soon.
    async fn upkeep(&mut self) -> Result<(), StoreError> {
        if self.next_upkeep > Instant::now() {
            return Ok(());
        }
        let kept = &self.config.retention;
        let limits = [
            (Status::Sent, kept.sent),
            (Status::Failed, kept.failed),
            (Status::Cancelled, kept.cancelled),
        ];
        let mut pause = UPKEEP_EVERY;
        for (status, age) in limits {
            let Some(age) = age else { continue };
            let before = now() - i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            let pruned = self.store.prune(status, before, UPKEEP_BATCH).await?;
            if pruned > 0 {
                debug!(%status, pruned, "finished jobs pruned");
            }
            if pruned == UPKEEP_BATCH as u64 {
                pause = Duration::from_millis(200);
            }
        }
        self.next_upkeep = Instant::now() + pause;
        Ok(())
    }

    /// Looks at what is due and whether another process has committed.
    async fn look(&mut self) {
        match self.store.look().await {
            Ok(agenda) => self.saw(agenda),
            Err(e) if e.is_final() => self.ends = Some(e),
            Err(e) => {
                self.note_trouble(&e);
            }
        }
        self.alert = match self.alert {
            Alert::Written(since) if since.elapsed() <= ALERT.0 => self.alert,
            Alert::Own(left @ 2..) => Alert::Own(left - 1),
            _ => Alert::None,
        };
    }

    fn saw(&mut self, agenda: Agenda) {
        if agenda.data_version != self.agenda.data_version {
            self.alert = Alert::None;
            self.routes.stir();
        }
        self.agenda = agenda;
    }

    fn idle_until(&self) -> Instant {
        let at = Instant::now();
        if let Some(trouble) = &self.trouble {
            return trouble.until;
        }
        let due = self.agenda.next_due.map(|due| {
            at + Duration::from_millis(u64::try_from(due - now()).unwrap_or(0)).min(POLL)
        });
        [Some(at + POLL), due, self.routes.next_opening(at), Some(self.next_upkeep)]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(at)
    }

    async fn nothing_left(&mut self) -> bool {
        self.in_flight.is_empty()
            && self.unrecorded.is_empty()
            && self.trouble.is_none()
            && self.store.is_empty().await.unwrap_or(false)
    }

    /// Once per change, not per try.
    fn note_trouble(&mut self, e: &StoreError) -> bool {
        let pause = match &self.trouble {
            None => {
                error!(error = %e, results_waiting = self.unrecorded.len(),
                    "the database cannot be used: nothing is claimed, results wait in memory");
                ERROR_PAUSE.0
            }
            Some(trouble) => (trouble.pause * 2).min(ERROR_PAUSE.1),
        };
        self.trouble = Some(Trouble { pause, until: Instant::now() + pause });
        false
    }

    fn end_trouble(&mut self) {
        if self.trouble.as_ref().is_some_and(|t| t.until <= Instant::now()) {
            self.trouble = None;
            info!("the database can be used again");
        }
    }

    /// After an error a COMMIT may have taken place all the same: what it claimed was never sent.
    async fn withdraw_strays(&mut self) -> Result<(), StoreError> {
        let known = |id: &i64| {
            self.in_flight.contains_key(id)
                || self.unrecorded.iter().any(|e| e.transition.id == *id)
        };
        let sending = self.store.sending_before(self.epoch + 1, i64::MAX).await?;
        let strays: Vec<_> = sending.into_iter().filter(|(job, _)| !known(&job.id)).collect();
        for (job, claimed_at) in strays {
            let outcome = Outcome::Withdrawn;
            let attempt = Attempt {
                outcome,
                http_status: None,
                started_at: claimed_at,
                duration: Duration::ZERO,
            };
            self.unrecorded.push(decide(&self.config, &job, &attempt));
        }
        Ok(())
    }

    /// The orderly end: nothing new, what has not been written goes back, what is on the wire is
    /// waited for and recorded; at the deadline it is given up as of unknown outcome.
    async fn drain(mut self) -> Result<(), StoreError> {
        let limit = self.config.shutdown_timeout;
        info!(
            in_flight = self.in_flight.len(),
            seconds = limit.as_secs(),
            "stopping: finishing what is on the wire"
        );
        self.stop.send_replace(Stop::Drain);
        let mut deadline = Instant::now() + limit;
        while !self.in_flight.is_empty() {
            match timeout_at(deadline, self.results.recv()).await {
                Ok(Some(result)) => self.ended(result),
                Ok(None) => break,
                Err(_) if *self.stop.borrow() == Stop::Drain => {
                    warn!(
                        in_flight = self.in_flight.len(),
                        "the deadline has passed: giving up what is on the wire"
                    );
                    self.stop.send_replace(Stop::Abort);
                    deadline = Instant::now() + LAST_RECORDS;
                }
                Err(_) => break,
            }
            while let Ok(result) = self.results.try_recv() {
                self.ended(result);
            }
            // An error here is not the last word: the end tries again.
            let _ = self.record().await;
        }
        let deadline = Instant::now() + LAST_RECORDS;
        while let Err(e) = self.record().await {
            if Instant::now() >= deadline {
                error!(error = %e, unrecorded = self.unrecorded.len(), "the last results could not be recorded");
                self.tell_unrecorded();
                return Err(e);
            }
            sleep(ERROR_PAUSE.0).await;
        }
        info!("stopped");
        self.store.close().await
    }

    async fn record(&mut self) -> Result<(), StoreError> {
        if !self.unrecorded.is_empty() {
            let recorded = self.store.record(&self.unrecorded, self.epoch).await?;
            self.forget_recorded(&recorded);
        }
        Ok(())
    }
}

/// Decides and measures: what the store writes of an ended attempt.
pub(crate) fn decide(config: &Config, job: &Job, attempt: &Attempt) -> Ended {
    Ended {
        transition: transition::decide(job, attempt, &config.channels[&job.channel], now()),
        http_status: attempt.http_status,
        started_at: attempt.started_at,
        duration_ms: i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX),
    }
}

/// The pause before the next look for a commit; without an alert, for ever.
async fn look_pause(alert: Alert) {
    match alert {
        Alert::None => std::future::pending().await,
        Alert::Own(_) => sleep(AFTER_OWN.1).await,
        Alert::Written(since) if since.elapsed() < ALERT.1 => tokio::task::yield_now().await,
        Alert::Written(_) => sleep(Duration::from_millis(1)).await,
    }
}
