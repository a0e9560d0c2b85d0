//! What is out: the jobs that are claimed, on their way through their routes, and what has become of
//! them until it is on disk. It knows no database, so that it goes on while a cycle runs.

use crate::acquire::Endpoint;
use crate::config::Config;
use crate::dispatcher::attempt::{self, Stop};
use crate::dispatcher::routes::{Moment, Routes};
use crate::metrics::{Metrics, RouteMeter};
use crate::queue::ended::{Ended, Recorded};
use crate::queue::job::{Channel, Job, Millis, Status};
use crate::queue::outcome::{AttemptResult, Outcome};
use crate::queue::transition;
use crate::queue::transition::Signal;
use crate::queue::when::now;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{debug, error};

/// The jobs that are claimed, by their way from the claim to the record.
pub(super) struct Wire {
    pub(super) config: Config,
    pub(super) routes: Routes,
    /// Requests that are out, by job id.
    pub(super) in_flight: HashMap<i64, Flight>,
    /// Ended and decided, not yet on disk.
    pub(super) unrecorded: Vec<Ended>,
    pub(super) results: mpsc::UnboundedReceiver<(Arc<Job>, AttemptResult)>,
    report: mpsc::UnboundedSender<(Arc<Job>, AttemptResult)>,
    pub(super) stop: watch::Sender<Stop>,
    /// On disk as sent, since the start.
    pub(super) sent: u64,
    pub(super) metrics: Arc<Metrics>,
    pub(super) meters: HashMap<String, [Option<RouteMeter>; Channel::ALL.len()]>,
}

/// A job whose request is out.
pub(super) struct Flight {
    /// Without its payload, which the request has taken.
    pub(super) job: Arc<Job>,
    endpoint: Arc<Endpoint>,
    /// How many bytes its payload has.
    payload: usize,
}

impl Wire {
    pub(super) fn new(config: Config, routes: Routes, metrics: Arc<Metrics>) -> Wire {
        let (report, results) = mpsc::unbounded_channel();
        Wire {
            config,
            routes,
            in_flight: HashMap::new(),
            unrecorded: Vec::new(),
            results,
            report,
            stop: watch::Sender::new(Stop::No),
            sent: 0,
            metrics,
            meters: HashMap::new(),
        }
    }

    /// Hands a claimed job to a task of its own, whose result comes back in any case.
    fn send(&mut self, mut job: Job) {
        let payload = std::mem::take(&mut job.payload);
        let job = Arc::new(job);
        let route = self.routes.of(&job.account, job.channel);
        let endpoint = route.expect("claims are made for routes only").endpoint.clone();
        let flight =
            Flight { job: job.clone(), endpoint: endpoint.clone(), payload: payload.len() };
        self.in_flight.insert(job.id, flight);
        self.meter(&job.account, job.channel).begun();
        let (report, stop) = (self.report.clone(), self.stop.subscribe());
        tokio::spawn(async move {
            let attempt = attempt::attempt(&job, payload, &endpoint, stop).await;
            // Nobody listens only when the dispatcher is gone; then recovery has the row.
            let _ = report.send((job, attempt));
        });
    }

    /// Nothing more is sent: what is claimed goes back, and so does what has not been written yet.
    pub(super) fn stop(&mut self) {
        self.routes.shut_all();
        self.give_back();
        self.stop.send_replace(Stop::Drain);
    }

    /// Awaits `work` while what is out goes on: what ends is taken, what has a place is sent.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(result) = self.results.recv() => self.ended(result),
            }
        }
    }

    /// Sends what is claimed for this route as long as it has places, and gives back what must not
    /// go out now.
    pub(super) fn advance(&mut self, account: &str, channel: Channel) {
        let now = Moment { at: Instant::now(), wall: now() };
        while let Some(job) = self.routes.next(account, channel, now) {
            self.send(job);
        }
        self.give_back();
    }

    /// What the routes have claimed and do not send goes back to the queue, unspent.
    pub(super) fn give_back(&mut self) {
        for job in self.routes.take_returned() {
            self.withdraw(&job, now());
        }
    }

    /// A claimed job that was never sent: as if it had not been claimed, at `claimed_at`.
    pub(super) fn withdraw(&mut self, job: &Job, claimed_at: Millis) {
        let attempt = AttemptResult {
            outcome: Outcome::Withdrawn,
            http_status: None,
            started_at: claimed_at,
            duration: Duration::ZERO,
        };
        self.unrecorded.push(decide(&self.config, job, attempt));
    }

    /// Decides what an ended attempt makes of its job, and of its route.
    pub(super) fn ended(&mut self, (job, mut attempt): (Arc<Job>, AttemptResult)) {
        let flown = self.in_flight.remove(&job.id);
        let route = self.routes.of(&job.account, job.channel);
        let current = flown
            .as_ref()
            .zip(route)
            .is_some_and(|(flown, r)| Arc::ptr_eq(&flown.endpoint, &r.endpoint));
        if let Outcome::NotAcquires { fault, verdict } = &mut attempt.outcome {
            *verdict = self.met_page(&job, fault, attempt.duration, current);
        }
        let duration = attempt.duration;
        let ended = decide(&self.config, &job, attempt);
        let request = ended.transition.history.map(|kind| (kind, duration));
        let took = request.map(|(_, took)| took);
        let payload = flown.as_ref().map_or(0, |flight| flight.payload);
        self.routes.has_back(payload);
        self.routes.ended(&job.account, job.channel, took);
        self.meter(&job.account, job.channel).ended(request);
        let transition = &ended.transition;
        let code = transition.fault.as_ref().map(|f| f.code.as_str());
        debug!(job = job.id, attempt = job.attempts, account = job.account, channel = %job.channel,
            status = %transition.status, code, "attempt ended");
        // What was sent with settings of before a reload tells nothing of the account as it is.
        let tells = current || matches!(transition.signal, Signal::RetryAfter { .. });
        // Where no request was made nothing was learnt of the account: the next job is its probe.
        let short = matches!(transition.signal, Signal::Shortage { .. });
        if short || (tells && transition.history.is_some()) {
            self.heed(&job, &transition.signal);
        }
        self.unrecorded.push(ended);
        self.advance(&job.account, job.channel);
    }

    /// What could not be recorded is recorded before anything later.
    pub(super) fn keep(&mut self, mut ended: Vec<Ended>) {
        ended.append(&mut self.unrecorded);
        self.unrecorded = ended;
    }

    /// What became of what had `ended`. What is neither on disk nor lost is recorded with the next.
    pub(super) fn recorded(&mut self, ended: Vec<Ended>, done: &Recorded) {
        if done.ids.len() == ended.len() {
            return self.on_disk(&ended);
        }
        let (on_disk, others): (Vec<_>, Vec<_>) =
            ended.into_iter().partition(|e| done.ids.contains(&e.transition.id));
        self.on_disk(&on_disk);
        let (lost, again): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|e| done.lost.contains(&e.transition.id));
        for lost in lost {
            let t = &lost.transition;
            error!(job = t.id, attempt = t.fence_attempts, status = %t.status,
                "the row no longer belonged to this claim; outbox_attempts alone has the outcome");
        }
        self.keep(again);
    }

    fn on_disk(&mut self, ended: &[Ended]) {
        self.metrics.recorded(ended);
        self.sent += ended.iter().filter(|e| e.transition.status == Status::Sent).count() as u64;
    }

    /// `limit`, or a time before which nothing will end any more: what waits in memory is not on
    /// disk yet, and will be there as of when it ended.
    pub(super) fn all_recorded_until(&self, limit: Millis) -> Millis {
        let waiting = self.unrecorded.iter().map(|ended| ended.transition.updated_at - 1);
        waiting.fold(limit, Millis::min)
    }

    /// A person needs them: after a restart their jobs are of unknown outcome.
    pub(super) fn tell_unrecorded(&self) {
        for ended in &self.unrecorded {
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
        channel: job.channel,
        due_at: job.due_at,
        http_status: attempt.http_status,
        started_at: attempt.started_at,
        duration_ms: i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX),
    }
}
