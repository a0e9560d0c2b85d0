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
mod gates;
mod measure;
mod note_keeper;
mod pauses;
pub mod routes;
mod service;
mod trouble;
mod upkeep;
mod wire;

use crate::config::Config;
use crate::dispatcher::routes::Routes;
use crate::metrics::{DaemonState, Metrics};
use crate::queue::block::Block;
use crate::queue::claim::{Agenda, Cycle};
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
use pauses::PauseWatch;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tracing::trace;
use trouble::Trouble;
use wire::Wire;
pub(crate) use wire::decide;

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
    /// As soon as no job is due, being sent or in backoff. Jobs that are paused or for a later time
    /// are left.
    Empty,
}

/// Everything the loop works with. Exactly one runs on a database file.
pub struct Dispatcher {
    store: Store,
    epoch: i64,
    wire: Wire,
    agenda: Agenda,
    /// The holds as the database has them.
    shown_blocks: Vec<Block>,
    paused: PauseWatch,
    aside: AsideWatch,
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
    /// How long the last cycle took, [`REST`] at most.
    took: Duration,
    service: Service,
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
        let file = FileWatch::of(&store)?;
        Ok(Dispatcher {
            store,
            epoch,
            wire: Wire::new(config, routes, metrics),
            agenda: Agenda::default(),
            shown_blocks: Vec::new(),
            paused: PauseWatch::new(),
            aside: AsideWatch::new(),
            written: false,
            missed: false,
            trouble: None,
            file,
            clock: WallClock::new(),
            ends: None,
            next_upkeep: Instant::now(),
            rest_until: Instant::now(),
            took: Duration::ZERO,
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
        tokio::pin!(shutdown);
        self.wire.meter_routes();
        self.wire.metrics.enter(DaemonState::Dispatching);
        self.resume_blocks().await?;
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
                // A failure to count is no reason to fail now: all is done.
                let _ = self.tell_left().await;
                return self.store.close().await;
            }
            let (rests, idle_until) = (self.rests(), self.idle_until());
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                step = reload.next() => self.reload(step),
                Some(result) = self.wire.results.recv() => self.wire.ended(result),
                () = std::future::ready(()), if more => {}
                () = wake.changed() => self.written = true,
                () = sleep_until(idle_until) => if !rests { self.look().await },
            }
            while let Ok(result) = self.wire.results.try_recv() {
                self.wire.ended(result);
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
        self.wire.routes.release(Instant::now());
        self.wire.give_back();
        self.follow_pauses().await?;
        self.follow_strays().await?;
        // Before the rows that they explain.
        self.show_blocks().await?;
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
            self.wire.routes.stir();
        }
        let room = self.wire.routes.room(Instant::now(), self.took);
        let due = self.agenda.next_due.is_some_and(|at| at <= now());
        if !due && self.wire.unrecorded.is_empty() && !self.wire.routes.worth_claiming(&room) {
            return Ok(Cycled::No);
        }
        let (record, epoch) = (std::mem::take(&mut self.wire.unrecorded), self.epoch);
        let recorded_some = !record.is_empty();
        let hopes = written && !due && record.is_empty() && self.trouble.is_none();
        let patience = hopes.then_some(WRITTEN);
        let work = Cycle { record: &record, claim: Some(&room), due, now: now(), epoch, patience };
        let begun = Instant::now();
        let done = match self.wire.beside(self.store.cycle(&work)).await {
            Err(e) if hopes && e.is_busy() => {
                self.wire.routes.missed();
                self.missed = true;
                // What has ended meanwhile is not waited for a second time.
                let none = self.wire.unrecorded.is_empty();
                return Ok(if none { Cycled::No } else { Cycled::InVain });
            }
            done => done,
        };
        let took = begun.elapsed();
        // A claim in a file that has gone is no claim: its request must not leave.
        let done = match done.and_then(|done| self.file.check().map(|()| done)) {
            Ok(done) => done,
            Err(e) if e.is_of_a_row() => {
                return self.one_by_one(e, record, due).await;
            }
            Err(e) => {
                self.wire.keep(record);
                return Err(e);
            }
        };
        self.took = took.min(REST);
        self.rest_until = Instant::now() + self.took;
        self.wire.metrics.cycle(took);
        trace!(
            recorded = done.recorded.len(),
            claimed = done.claimed.len(),
            on_the_wire = self.wire.in_flight.len(),
            micros = took.as_micros(),
            "cycle"
        );
        self.wire.failed(&done.expired, Failure::Expired);
        self.file.recorded(&record);
        match done.recorded.len() == record.len() {
            true => self.wire.recorded(&record, &done.recorded),
            false => self.keep_ignored(record, done.recorded).await,
        }
        // What was recorded or moved may have made jobs ready on any route; a claim alone makes
        // none, and two routes that stirred each other would never rest.
        let others_wrote = self.agenda.data_version != done.seen;
        if due || recorded_some || others_wrote {
            self.wire.routes.stir();
        }
        if others_wrote {
            self.paused.may_have_changed();
            self.aside.may_have_changed();
        }
        let wrote = due || recorded_some || !done.claimed.is_empty();
        let mut claimed: Vec<_> =
            done.claimed.iter().map(|job| (job.account.clone(), job.channel)).collect();
        claimed.dedup();
        self.wire.routes.claimed(done.claimed, Instant::now(), done.cut);
        for (account, channel) in claimed {
            self.wire.advance(&account, channel);
        }
        // The agenda is read after the claim: a commit between the two is one that the claim missed.
        self.agenda.data_version = done.seen;
        self.saw(done.agenda);
        self.fail_unreadable(&done.unreadable, true).await?;
        Ok(if wrote { Cycled::Wrote } else { Cycled::InVain })
    }

    /// A transaction costs the same for one job as for ten, and holds up every writer meanwhile. So
    /// after each the loop rests as long as it took, until a third of what is out has ended: that is
    /// recorded together, while the rest is on the wire. A loop with nothing out never rests.
    fn rests(&self) -> bool {
        let wire = &self.wire;
        wire.in_flight.len() > 2 * wire.unrecorded.len() && Instant::now() < self.rest_until
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
            self.aside.may_have_changed();
            self.wire.routes.stir();
            self.service.changed();
        }
        self.wire.routes.contend(&agenda.ready_accounts);
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
        [Some(at + POLL), due, self.wire.routes.next_opening(at), Some(self.next_upkeep), ping]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(at)
    }
}

#[cfg(test)]
mod tests;
