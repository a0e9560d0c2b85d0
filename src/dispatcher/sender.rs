//! Sends what is claimed and takes the results, until they are on disk. It knows no database, so
//! it works while a cycle runs.

use super::bad_ends::BadEnds;
use super::jobs::{InFlight, Jobs, LONGEST_WAIT};
use super::upkeep::log_notice;
use crate::acquire::Lease;
use crate::config::Config;
use crate::dispatcher::attempt::{self, Stop};
use crate::dispatcher::routes::{Moment, Route, RouteId, Routes};
use crate::metrics::{Metrics, RouteMeter};
use crate::queue::claim::Room;
use crate::queue::ended::{Ended, Recorded};
use crate::queue::job::{Channel, Job, Millis, Status};
use crate::queue::outcome::{AttemptResult, Fault, Outcome, PageVerdict};
use crate::queue::report::Report;
use crate::queue::transition;
use crate::queue::transition::Signal;
use crate::queue::when::now;
use crate::store::{AnswerNote, Keeping};
use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{debug, error};

/// A job's id, and how its attempt ended.
type Finished = (i64, AttemptResult);

/// The half of the loop that needs no database.
pub(super) struct AttemptSender {
    pub(super) config: Config,
    pub(super) routes: Routes,
    pub(super) jobs: Jobs,
    pub(super) results: mpsc::UnboundedReceiver<Finished>,
    report: mpsc::UnboundedSender<Finished>,
    pub(super) stop: watch::Sender<Stop>,
    /// On disk as sent, since the start.
    pub(super) sent: u64,
    pub(super) metrics: Arc<Metrics>,
    pub(super) bad_ends: BadEnds,
    /// In the order of the routes' ids.
    meters: Vec<Arc<RouteMeter>>,
    /// No request begins after it.
    lease: Lease,
    /// `None` where the outbox has none: then nothing is claimed ahead of free places.
    pub(super) answer_note: Option<AnswerNote>,
}

impl AttemptSender {
    pub(super) fn new(
        config: Config,
        routes: Routes,
        metrics: Arc<Metrics>,
        lease: Lease,
        answer_note: Option<AnswerNote>,
    ) -> AttemptSender {
        let (report, results) = mpsc::unbounded_channel();
        let mut sender = AttemptSender {
            config,
            routes,
            jobs: Jobs::default(),
            results,
            report,
            stop: watch::Sender::new(Stop::No),
            sent: 0,
            metrics,
            bad_ends: BadEnds::default(),
            meters: Vec::new(),
            lease,
            answer_note,
        };
        sender.meter_routes();
        sender
    }

    /// A meter for each route, so that what has not happened yet is shown as 0. Requests in flight
    /// keep theirs, which count the same.
    pub(super) fn meter_routes(&mut self) {
        let meter = |route: &Route| {
            self.metrics.show_questions(&route.account, route.channel, &route.policy);
            Arc::new(self.metrics.route(&route.account, route.channel))
        };
        self.meters = self.routes.all().map(meter).collect();
        let accounts = self.routes.accounts().into_iter().map(str::to_owned).collect();
        self.metrics.configured(accounts);
    }

    /// The room for a cycle that begins now.
    pub(super) fn room(&mut self) -> Room {
        self.routes.room(self.jobs.load(), Instant::now())
    }

    /// A cycle has taken this long. Only places whose answers are kept are free before the next one.
    pub(super) fn cycle_took(&mut self, took: Duration) {
        self.metrics.cycle(took);
        self.routes.claim_ahead(Some(took).filter(|_| self.keeps_answers()));
    }

    /// Whether a place is free before its answer is on disk.
    pub(super) fn keeps_answers(&self) -> bool {
        self.answer_note.as_ref().is_some_and(AnswerNote::works)
    }

    /// All outcomes that are to be recorded, as [`Jobs::begin_recording`].
    pub(super) fn begin_recording(&mut self) -> Vec<Ended> {
        if let Some(note) = &mut self.answer_note {
            note.cycle_begins();
        }
        self.jobs.begin_recording()
    }

    /// Takes what a cycle has claimed: each job is sent as soon as there is a place. `cut` as in
    /// [`Routes::claimed`].
    pub(super) fn claimed(&mut self, claimed: Vec<Job>, cut: bool) {
        let mut counts: BTreeMap<RouteId, u32> = BTreeMap::new();
        let (at, wall) = (Instant::now(), now());
        for job in claimed {
            match self.routes.id(&job.account, job.channel) {
                Some(route) => {
                    *counts.entry(route).or_default() += 1;
                    self.jobs.wait(route, job, at);
                }
                None => self.give_back(None, &job, wall),
            }
        }
        self.routes.claimed(&counts, cut);
        self.send_waiting();
    }

    /// Sends what is claimed as long as there are places. What has expired, waited too long, or is of a
    /// route that is shut goes back.
    pub(super) fn send_waiting(&mut self) {
        self.keep_answers();
        for route in self.jobs.waiting_routes() {
            let (at, wall) = (Instant::now(), now());
            while let Some(since) = self.jobs.waiting_since(route) {
                let late = since + LONGEST_WAIT <= at;
                let back = late || !self.routes.may_send(route);
                if !back && self.jobs.places_taken(route) >= self.routes.of(route).places() {
                    break;
                }
                let Some(job) = self.jobs.next_waiting(route) else { break };
                if late {
                    self.routes.answers_late(route);
                }
                match back || job.expires_at.is_some_and(|expires| expires < wall) {
                    true => self.give_back(Some(route), &job, wall),
                    false => self.send(route, job),
                }
            }
        }
    }

    /// Keeps the answers that have arrived where a kill does not lose them; their places are then
    /// free. If that fails they are free once the answers are on disk.
    fn keep_answers(&mut self) {
        let Some(note) = &mut self.answer_note else { return };
        match note.keep(&self.jobs.unkept(), || self.jobs.needs_places()) {
            Keeping::Kept => {
                self.jobs.begin_keeping();
                self.jobs.kept();
            }
            Keeping::UnderWay => self.jobs.begin_keeping(),
            Keeping::NotKept => {}
        }
    }

    /// All that waits for a place goes back.
    pub(super) fn give_back_waiting(&mut self) {
        self.give_back_where(|_, _| true);
    }

    /// What waits for a place of these accounts and channels goes back.
    pub(super) fn give_back_where(&mut self, is_to: impl Fn(&str, Channel) -> bool) {
        let wall = now();
        for route in self.jobs.waiting_routes() {
            let of = self.routes.of(route);
            if !is_to(&of.account, of.channel) {
                continue;
            }
            while let Some(job) = self.jobs.next_waiting(route) {
                self.give_back(Some(route), &job, wall);
            }
        }
    }

    /// Starts a task for a claimed job; its result arrives in every case.
    fn send(&mut self, route: RouteId, mut job: Job) {
        let payload = std::mem::take(&mut job.payload);
        let (id, channel) = (job.id, job.channel);
        let endpoint = Arc::clone(&self.routes.of(route).endpoint);
        let meter = Arc::clone(&self.meters[route.index()]);
        meter.begun();
        self.jobs.send(InFlight {
            job,
            payload_bytes: payload.len(),
            route: Some(route),
            endpoint: Arc::clone(&endpoint),
            meter,
        });
        let (report, stop) = (self.report.clone(), self.stop.subscribe());
        let lease = self.lease.clone();
        tokio::spawn(async move {
            let attempt = attempt::attempt(channel, payload, &endpoint, &lease, stop).await;
            // This fails only when the dispatcher is gone; recovery then decides about the row.
            let _ = report.send((id, attempt));
        });
    }

    /// A claimed job that is not sent: as if it had not been claimed, at `claimed_at`.
    pub(super) fn give_back(&mut self, route: Option<RouteId>, job: &Job, claimed_at: Millis) {
        let attempt = AttemptResult {
            outcome: Outcome::Withdrawn,
            http_status: None,
            started_at: claimed_at,
            duration: Duration::ZERO,
        };
        let ended = decide(&self.config, job, attempt);
        self.jobs.end_unsent(ended);
        if let Some(route) = route {
            self.routes.probe_ended(route);
        }
    }

    /// Nothing more is sent: what is being claimed goes back, and so do requests that have not been
    /// written to their connections yet.
    pub(super) fn stop(&mut self) {
        self.routes.shut_all();
        self.give_back_waiting();
        self.stop.send_replace(Stop::Drain);
    }

    /// Awaits `work` and handles the results that arrive in the meantime.
    pub(super) async fn while_sending<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.next_answer() => self.take_results(),
            }
        }
    }

    /// Handles the next result, or whether answers have been kept, whichever is known first. Cancel-safe.
    pub(super) async fn next_answer(&mut self) {
        let note = &mut self.answer_note;
        let kept = async {
            match note {
                Some(note) => note.kept().await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(result) = self.results.recv() => self.ended(result),
            is_kept = kept => match is_kept {
                true => self.jobs.kept(),
                false => self.jobs.not_kept(),
            },
        }
    }

    /// Takes the results that have arrived by now, and sends what has waited for their places.
    pub(super) fn take_results(&mut self) {
        while let Ok(result) = self.results.try_recv() {
            self.ended(result);
        }
        self.send_waiting();
    }

    /// Decides what an ended attempt makes of its job, and of its route.
    pub(super) fn ended(&mut self, (id, mut attempt): Finished) {
        let AttemptSender { jobs, routes, config, .. } = self;
        let Some(InFlight { job, route, endpoint, meter, .. }) = jobs.request(id) else {
            error!(job = id, "an attempt ended for a job that was not being sent; this is a bug");
            return;
        };
        // What was sent with settings from before a reload says nothing about the account as it is now.
        let route = *route;
        let current = route.filter(|id| Arc::ptr_eq(endpoint, &routes.of(*id).endpoint));
        if let Outcome::NotAcquires { fault, verdict } = &mut attempt.outcome {
            *verdict = match current {
                Some(current) => routes.judge_page(job, current, fault, attempt.duration),
                None => PageVerdict::Again { pause: config.retry.initial },
            };
        }
        let duration = attempt.duration;
        let ended = decide(config, job, attempt);
        let transition = &ended.transition;
        let request = transition.history.map(|kind| (kind, duration));
        meter.ended(request);
        let code = transition.fault.as_ref().map(|f| f.code.as_str());
        debug!(job = id, attempt = job.attempts, account = job.account, channel = %job.channel,
            status = %transition.status, code, "attempt ended");
        if let Some(route) = route {
            routes.probe_ended(route);
            routes.answered_in(route, request.map(|(_, duration)| duration));
            // If no request was made, nothing was learnt about the account: the next job is its probe.
            let learnt = match transition.signal {
                Signal::Shortage { .. } => true,
                Signal::RetryAfter { .. } => request.is_some(),
                _ => request.is_some() && current.is_some(),
            };
            if learnt {
                routes.react(job, route, &transition.signal, Moment::now());
            }
        }
        self.jobs.end(ended);
    }

    /// What became of outcomes that were to be recorded. One that is neither on disk nor lost is
    /// recorded with the next.
    pub(super) fn recorded(&mut self, outcomes: Vec<Ended>, done: &Recorded) {
        if done.ids.len() == outcomes.len() {
            self.noted_are_on_disk();
            return self.on_disk(&outcomes);
        }
        let (on_disk, others): (Vec<_>, Vec<_>) =
            outcomes.into_iter().partition(|e| done.ids.contains(&e.transition.id));
        self.on_disk(&on_disk);
        let (lost, again): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|e| done.lost.contains(&e.transition.id));
        for lost in &lost {
            let t = &lost.transition;
            error!(job = t.id, attempt = t.fence_attempts, status = %t.status,
                "the row no longer belonged to this claim; only outbox_attempts has the outcome");
        }
        self.jobs.recorded(&lost);
        if again.is_empty() {
            self.noted_are_on_disk();
        }
        self.jobs.not_recorded(again);
    }

    /// Call it before the tenure is closed.
    pub(super) async fn end_note(&mut self) {
        if let Some(note) = &mut self.answer_note {
            note.end().await;
        }
    }

    fn noted_are_on_disk(&mut self) {
        if let Some(note) = &mut self.answer_note {
            note.cycle_recorded();
        }
    }

    fn on_disk(&mut self, outcomes: &[Ended]) {
        self.metrics.recorded(outcomes);
        self.bad_ends.recorded(outcomes);
        let sent = outcomes.iter().filter(|e| e.transition.status == Status::Sent).count();
        self.sent += sent as u64;
        self.jobs.recorded(outcomes);
    }

    /// No request takes longer, from its first byte to its end.
    pub(super) fn longest_request(&self) -> Duration {
        let channels = self.config.channels.values();
        let longest = channels.map(|policy| policy.request_timeout + policy.connect_timeout);
        longest.max().unwrap_or_default()
    }

    /// Logs and counts what the store has done by itself, and lets the routes claim.
    pub(super) fn take_report(&mut self, report: Report) {
        for notice in &report.notices {
            log_notice(notice);
        }
        for (channel, failure) in report.failures {
            self.metrics.failed(channel, failure);
            self.bad_ends.failed(channel, failure);
        }
        if report.may_be_ready {
            self.routes.expect_jobs();
        }
    }

    /// For a person: after a restart the outcomes of these jobs are unknown.
    pub(super) fn log_unrecorded(&self) {
        for ended in self.jobs.to_record() {
            let t = &ended.transition;
            let message_id = t.receipt.message_id.as_deref();
            let code = t.fault.as_ref().map(|fault| fault.code.as_str());
            error!(job = t.id, attempt = t.fence_attempts, status = %t.status, message_id, code,
                "this outcome could not be recorded");
        }
    }
}

/// Decides and measures: what the store writes of an ended attempt.
pub(crate) fn decide(config: &Config, job: &Job, attempt: AttemptResult) -> Ended {
    let policy = &config.channels[&job.channel];
    let mut transition = transition::decide(job, attempt.outcome, policy, now());
    let receipt = &mut transition.receipt.fields;
    if config.sandbox && (transition.status == Status::Sent || !receipt.is_empty()) {
        // Anybody who reads the row must see that these ids are not from Acquire.
        receipt.insert("sandbox".to_owned(), true.into());
    }
    Ended {
        transition,
        account: job.account.clone(),
        channel: job.channel,
        due_at: job.due_at,
        http_status: attempt.http_status,
        started_at: attempt.started_at,
        duration_ms: i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX),
    }
}

/// The attempt of a dispatcher that has ended: the request may have been sent, and no answer was read.
pub(crate) fn interrupted(claimed_at: Millis) -> AttemptResult {
    let message = "the dispatcher ended while the request may have been in flight";
    AttemptResult {
        outcome: Outcome::Unknown { fault: Fault::new("interrupted", message) },
        http_status: None,
        started_at: claimed_at,
        duration: Duration::from_millis(u64::try_from(now() - claimed_at).unwrap_or(0)),
    }
}
