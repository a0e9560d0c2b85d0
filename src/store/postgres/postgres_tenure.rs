//! A node's tenure on PostgreSQL. Any number of nodes have one at once.

use super::answer_table::AnswerTable;
use super::bell::Bell;
use super::cycle_call::{ClaimedJob, CycleAnswer, CycleCall, NodeAgenda};
use super::node_process::NodeProcess;
use super::node_session::NodeSession;
use super::node_upkeep::NodeTimers;
use super::route_rooms::RouteRooms;
use crate::acquire::Lease;
use crate::queue::claim::{Agenda, Cycle, CycleDone, CycleResult};
use crate::queue::ended::{Ended, Recorded};
use crate::queue::job::{Channel, Failure, Job, Millis};
use crate::queue::overview::{Backlog, Left};
use crate::queue::pause::Pause;
use crate::queue::policy::Rate;
use crate::queue::report::Report;
use crate::queue::when::now;
use crate::store::StoreError;
use crate::store::tenure::ClockStep;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often a claim begins at the beginning of what can be claimed, and looks for other accounts' jobs.
const FULL_EVERY: Duration = Duration::from_secs(1);
/// Less often where that takes long, because an old snapshot keeps the entries of millions of claimed jobs: a
/// twentieth of the time at most.
const FULL_PAUSE: (u32, Duration) = (20, Duration::from_secs(60));
/// What a cycle takes at most, and for each job, unless something is in its way.
const SLOW: (Duration, Duration) = (Duration::from_millis(5), Duration::from_micros(150));
/// How long outcomes wait whose rows somebody has locked.
const LOCKED_PAUSE: Duration = Duration::from_millis(25);

/// One node's tenure.
pub struct PostgresTenure {
    pub(super) session: NodeSession,
    /// The node's name in `outbox_nodes`.
    pub(super) name: String,
    pub(super) rooms: RouteRooms,
    /// The accounts that the node's row has.
    pub(super) accounts: Vec<String>,
    ready_accounts: Vec<String>,
    next_full: Instant,
    /// As of the last answer.
    pauses: Option<i64>,
    pub(super) has_set_aside: bool,
    /// Nodes have died whose jobs are to be decided.
    pub(super) dead: bool,
    pub(super) next_burial: Instant,
    /// Outcomes whose rows somebody had locked when they were last to be recorded.
    locked: BTreeSet<i64>,
    pub(super) bell: Bell,
    pub(super) timers: NodeTimers,
    /// Jobs whose delivery is not asked about, because the database refuses to change them.
    pub(super) unfollowed: Vec<i64>,
    has_answer_note: bool,
    /// What is still to be reported.
    pub(super) report: Report,
    /// Dropped last: others on this machine see by it that the node has ended.
    pub(super) _process: NodeProcess,
}

impl PostgresTenure {
    pub(super) fn new(
        session: NodeSession,
        name: String,
        bell: Bell,
        process: NodeProcess,
    ) -> PostgresTenure {
        PostgresTenure {
            session,
            name,
            rooms: RouteRooms::default(),
            accounts: Vec::new(),
            ready_accounts: Vec::new(),
            next_full: Instant::now(),
            pauses: None,
            has_set_aside: false,
            dead: true,
            next_burial: Instant::now(),
            locked: BTreeSet::new(),
            bell,
            timers: NodeTimers::new(),
            unfollowed: Vec::new(),
            has_answer_note: false,
            report: Report::default(),
            _process: process,
        }
    }

    /// See [`Tenure::lease`](crate::store::Tenure::lease).
    pub fn lease(&self) -> Lease {
        self.session.lease.clone()
    }

    /// See [`Tenure::expect_requests`](crate::store::Tenure::expect_requests).
    pub fn expect_requests(&mut self, longest: Duration) {
        self.session.expect_requests(longest);
    }

    /// See [`Tenure::answer_note`](crate::store::Tenure::answer_note). Through a pooler that keeps no session there
    /// is none: each note would take several messages.
    pub fn answer_note(&mut self) -> Option<AnswerTable> {
        let has_one = std::mem::replace(&mut self.has_answer_note, true);
        let is_possible = !has_one && !self.session.is_pooled();
        is_possible.then(|| AnswerTable::of(&self.session))
    }

    /// See [`Tenure::pace`](crate::store::Tenure::pace).
    pub fn pace(&mut self, rates: &[(String, Channel, Rate)]) {
        self.rooms.pace(rates);
    }

    /// See [`Tenure::cycle`](crate::store::Tenure::cycle).
    pub async fn cycle(&mut self, work: &Cycle<'_>) -> Result<CycleResult, StoreError> {
        if let Some(room) = work.room {
            self.rooms.change(room);
            self.publish_accounts().await?;
            self.publish_rates().await?;
        }
        self.wait_for_locked(work.record).await;
        let full = work.expecting || self.next_full <= Instant::now();
        let share = work.room.map_or(0, |room| room.share);
        let ahead = work.now - now();
        let call = CycleCall {
            rooms: match work.room {
                Some(_) => self.rooms.json(share, full, &self.ready_accounts),
                None => serde_json::Value::Array(Vec::new()),
            },
            places: work.room.map_or(0, |room| room.places),
            due: work.due,
            full,
            // What has passed since the caller looked at its clock is no difference.
            ahead: if ahead.abs() < 1_000 { 0 } else { ahead },
            ..CycleCall::recording(work.record)
        };
        let call = match work.room {
            Some(room) => {
                let passed_over = Some(&room.passed_over[..]).filter(|ids| !ids.is_empty());
                CycleCall { bytes: room.bytes, passed_over, ..call }
            }
            None => call,
        };
        let begun = Instant::now();
        let answer = match self.session.cycle(call).await {
            Err(e) if e.is_of_a_row() => {
                return self.row_by_row(e, work).await.map(CycleResult::Done);
            }
            answer => answer?,
        };
        let took = begun.elapsed();
        if full {
            let pause = (took * FULL_PAUSE.0).clamp(FULL_EVERY, FULL_PAUSE.1);
            self.next_full = Instant::now() + pause;
        }
        let jobs = u32::try_from(answer.claimed.len() + work.record.len()).unwrap_or(u32::MAX);
        let slow = took > SLOW.0 + SLOW.1 * jobs;
        let skips = work.room.is_some_and(|room| !room.passed_over.is_empty());
        let slow = full.then_some(slow && !skips);
        Ok(CycleResult::Done(self.follow(work, share, slow, answer)))
    }

    /// Takes over what a cycle has done.
    fn follow(
        &mut self,
        work: &Cycle<'_>,
        share: u32,
        slow: Option<bool>,
        answer: CycleAnswer,
    ) -> CycleDone {
        let CycleAnswer { claimed, locked, lost, agenda } = answer;
        let of_route =
            |c: &ClaimedJob| (c.job.account.clone(), c.job.channel, c.priority, c.due_at);
        let of_routes: Vec<_> = claimed.iter().map(of_route).collect();
        if work.room.is_some() {
            self.rooms.claimed(&of_routes, share, agenda.cut, slow);
        }
        if !claimed.is_empty() {
            self.bell.awake();
        }
        self.report.may_be_ready |= work.due || !work.record.is_empty();
        let expired = agenda.expired.iter().map(|channel| (*channel, Failure::Expired));
        self.report.failures.extend(expired);
        let cut = agenda.cut;
        let agenda = self.agenda(agenda);
        let others_committed = agenda.others_committed;
        let recorded = self.recorded(work.record, lost, locked);
        CycleDone {
            recorded,
            claimed: claimed.into_iter().map(|claimed| claimed.job).collect(),
            cut,
            others_committed,
            agenda,
        }
    }

    /// What comes next; `others_committed` says that a pause has changed, or that there is more to do.
    fn agenda(&mut self, agenda: NodeAgenda) -> Agenda {
        let paused = self.pauses.replace(agenda.pauses) != Some(agenda.pauses);
        self.dead |= agenda.dead;
        self.has_set_aside = agenda.set_aside;
        let (next_due, next_look) = (agenda.next_due(), agenda.next_look());
        let next_follow_up = agenda.next_follow_up();
        if let Some(accounts) = agenda.accounts {
            self.ready_accounts = accounts;
        }
        self.report.may_be_ready |= agenda.more;
        Agenda {
            next_look,
            next_follow_up,
            next_due,
            ready_accounts: self.ready_accounts.clone(),
            others_committed: paused || agenda.more,
        }
    }

    pub(super) fn recorded(
        &mut self,
        record: &[Ended],
        lost: Vec<i64>,
        locked: Vec<i64>,
    ) -> Recorded {
        let ids = record.iter().map(|ended| ended.transition.id);
        let ids = ids.filter(|id| !lost.contains(id) && !locked.contains(id)).collect();
        self.locked = locked.into_iter().collect();
        Recorded { ids, lost, report: std::mem::take(&mut self.report) }
    }

    /// Where there is nothing but outcomes whose rows were locked, the next try is not at once.
    async fn wait_for_locked(&mut self, record: &[Ended]) {
        let all_locked = record.iter().all(|ended| self.locked.contains(&ended.transition.id));
        if !record.is_empty() && all_locked {
            sleep(LOCKED_PAUSE).await;
        }
    }

    /// See [`Tenure::record`](crate::store::Tenure::record).
    pub async fn record(&mut self, ended: &[Ended]) -> Result<Recorded, StoreError> {
        self.wait_for_locked(ended).await;
        match self.session.cycle(CycleCall::recording(ended)).await {
            Err(e) if e.is_of_a_row() => self.record_or_keep(ended).await,
            answer => {
                let CycleAnswer { lost, locked, agenda, .. } = answer?;
                self.report.may_be_ready |= !ended.is_empty();
                self.agenda(agenda);
                Ok(self.recorded(ended, lost, locked))
            }
        }
    }

    /// See [`Tenure::look`](crate::store::Tenure::look).
    pub async fn look(&mut self) -> Result<Agenda, StoreError> {
        let found = self.session.look().await?;
        let waiting = found.elections || found.accounts.as_ref().is_some_and(|a| !a.is_empty());
        let mut agenda = self.agenda(found);
        // Whoever has inserted jobs that are still there has committed.
        agenda.others_committed |= waiting;
        Ok(agenda)
    }

    /// See [`Tenure::changed`](crate::store::Tenure::changed).
    pub async fn changed(&mut self) {
        self.bell.rung().await;
    }

    /// See [`Tenure::check`](crate::store::Tenure::check).
    pub fn check(&self) -> Result<(), StoreError> {
        self.session.check()
    }

    /// All times are the database's: nobody has to follow this machine's clock.
    pub async fn follow_clock(&mut self, _: Millis) -> Result<Option<ClockStep>, StoreError> {
        Ok(None)
    }

    /// See [`Tenure::claims`](crate::store::Tenure::claims).
    pub async fn claims(
        &mut self,
        known: impl Fn(i64, Option<i64>) -> bool,
    ) -> Result<Vec<(Job, Millis)>, StoreError> {
        let mut jobs = self.session.sending(&[self.session.epoch], i64::MAX, &[]).await?;
        jobs.retain(|(job, _)| !known(job.id, Some(job.attempts)));
        Ok(jobs)
    }

    /// See [`Tenure::pauses`](crate::store::Tenure::pauses).
    pub async fn pauses(&mut self, limit: u32) -> Result<Vec<Pause>, StoreError> {
        Ok(self.session.with_store(async move |store| store.pauses(limit).await).await?)
    }

    /// See [`Tenure::backlog`](crate::store::Tenure::backlog).
    pub async fn backlog(&mut self) -> Result<Backlog, StoreError> {
        self.session.backlog().await
    }

    /// See [`Tenure::left`](crate::store::Tenure::left).
    pub async fn left(&mut self, now: Millis) -> Result<Option<Left>, StoreError> {
        self.session.left(now).await
    }

    /// See [`Tenure::close`](crate::store::Tenure::close).
    pub async fn close(mut self) -> Result<(), StoreError> {
        self.bell.end();
        self.session.close().await
    }
}
