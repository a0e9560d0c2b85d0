//! The loop: claim, send, record.
//!
//! One cycle records what has ended and claims what there is room for in one transaction; a
//! claim is on disk before its request can leave. Between cycles it sleeps until an attempt
//! ends, another process commits, or something falls due.

mod attempt;
mod drain;
mod ending;
mod gates;
mod measure;
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
use crate::queue::claim::{Agenda, Cycle, CycleResult};
use crate::queue::when::now;
use crate::reload::Reload;
use crate::service::Service;
use crate::store::{StoreError, Tenure};
use pauses::PauseWatch;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tracing::trace;
use trouble::Trouble;
pub(crate) use upkeep::log;
use wire::Wire;
pub(crate) use wire::decide;

/// The slow look behind the wake-ups: for file systems without events, and for a clock that jumps.
const POLL: Duration = Duration::from_secs(1);
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
    tenure: Tenure,
    wire: Wire,
    agenda: Agenda,
    /// The holds as the database has them.
    shown_blocks: Vec<Block>,
    paused: PauseWatch,
    /// The log was written to since the last cycle: worth a claim, which gets the write lock when
    /// that commit is there.
    written: bool,
    /// That claim did not get the lock: the next look is followed by another.
    missed: bool,
    trouble: Option<Trouble>,
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
    /// On an outbox that has been taken over.
    pub fn new(
        tenure: Tenure,
        config: Config,
        routes: Routes,
        service: Service,
        metrics: Arc<Metrics>,
    ) -> Self {
        Dispatcher {
            tenure,
            wire: Wire::new(config, routes, metrics),
            agenda: Agenda::default(),
            shown_blocks: Vec::new(),
            paused: PauseWatch::new(),
            written: false,
            missed: false,
            trouble: None,
            ends: None,
            next_upkeep: Instant::now(),
            rest_until: Instant::now(),
            took: Duration::ZERO,
            service,
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
        reload: &mut Reload,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), StoreError> {
        tokio::pin!(shutdown);
        self.wire.meter_routes();
        self.wire.metrics.enter(DaemonState::Dispatching);
        self.resume_blocks().await?;
        loop {
            let more = match self.turn().await {
                Ok(more) => more,
                Err(StoreError::Superseded) => return Err(StoreError::Superseded),
                Err(e) if e.is_final() => return Err(self.leave(e).await),
                Err(e) => self.note_trouble(&e),
            };
            self.turned();
            self.say_status().await;
            if until == Until::Empty && !more && self.nothing_left().await {
                return self.tenure.close().await;
            }
            let (rests, idle_until) = (self.rests(), self.idle_until());
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                step = reload.next() => self.reload(step),
                Some(result) = self.wire.results.recv() => self.wire.ended(result),
                () = std::future::ready(()), if more => {}
                () = self.tenure.changed() => self.written = true,
                () = sleep_until(idle_until) => if !rests { self.look().await },
            }
            while let Ok(result) = self.wire.results.try_recv() {
                self.wire.ended(result);
            }
        }
        self.drain().await
    }

    /// At most one cycle, and what belongs beside it. True: there is more to do at once.
    async fn turn(&mut self) -> Result<bool, StoreError> {
        self.ends.take().map_or(Ok(()), Err)?;
        if self.rests() {
            return Ok(false);
        }
        self.tenure.check()?;
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
        // Before the rows that they explain.
        self.show_blocks().await?;
        let cycled = self.cycle().await?;
        if cycled == Cycled::Wrote {
            self.service.changed();
            // Another's commit may be among our own: as if it had been noticed just now.
            self.written = true;
        }
        let failed = self.fail_unknown_accounts().await?;
        let freed = self.upkeep().await?;
        self.end_trouble();
        Ok(cycled != Cycled::No || failed || freed)
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
        let record = std::mem::take(&mut self.wire.unrecorded);
        let recorded_some = !record.is_empty();
        let expecting = written && !due && record.is_empty() && self.trouble.is_none();
        let work = Cycle { record: &record, room: Some(&room), due, now: now(), expecting };
        let begun = Instant::now();
        let done = match self.wire.beside(self.tenure.cycle(&work)).await {
            Ok(CycleResult::Locked) => {
                self.wire.routes.missed();
                self.missed = true;
                // What has ended meanwhile is not waited for a second time.
                let none = self.wire.unrecorded.is_empty();
                return Ok(if none { Cycled::No } else { Cycled::InVain });
            }
            Ok(CycleResult::Done(done)) => done,
            Err(e) => {
                self.wire.keep(record);
                return Err(e);
            }
        };
        let took = begun.elapsed();
        self.took = took.min(REST);
        self.rest_until = Instant::now() + self.took;
        self.wire.metrics.cycle(took);
        trace!(
            recorded = done.recorded.ids.len(),
            claimed = done.claimed.len(),
            on_the_wire = self.wire.in_flight.len(),
            micros = took.as_micros(),
            "cycle"
        );
        self.wire.recorded(record, &done.recorded);
        self.wire.take_report(done.recorded.report);
        if done.others_committed {
            self.paused.may_have_changed();
        }
        let wrote = due || recorded_some || !done.claimed.is_empty();
        let mut claimed: Vec<_> =
            done.claimed.iter().map(|job| (job.account.clone(), job.channel)).collect();
        claimed.dedup();
        self.wire.routes.claimed(done.claimed, Instant::now(), done.cut);
        for (account, channel) in claimed {
            self.wire.advance(&account, channel);
        }
        self.saw(done.agenda);
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
        match self.tenure.look().await {
            Ok(agenda) => self.saw(agenda),
            Err(e) if e.is_final() => self.ends = Some(e),
            Err(e) => {
                self.note_trouble(&e);
            }
        }
    }

    fn saw(&mut self, agenda: Agenda) {
        if agenda.others_committed {
            self.paused.may_have_changed();
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
