//! What the dispatcher counts and measures, for `/metrics` and the health checks.
//!
//! The dispatcher writes, the pages read. Each label set is looked up once, so an attempt costs only a
//! few increments. Labels never contain user input: accounts are the configured ones, all others are
//! fixed words.

mod follow_up_counts;
mod looks;
mod route_meter;

use crate::queue::ended::Ended;
use crate::queue::job::{Channel, Failure, Millis, Status};
use crate::queue::policy::{ChannelPolicy, OnUncertain};
use follow_up_counts::FollowUpCounts;
pub use follow_up_counts::FollowUpResult;
pub use looks::Look;
use looks::Looks;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use route_meter::AttemptLabels;
pub use route_meter::RouteMeter;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// In seconds.
const REQUEST_BUCKETS: [f64; 13] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// In seconds: a job may be sent within milliseconds, or after a day without a network.
const DUE_TO_SENT_BUCKETS: [f64; 16] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0,
    86400.0,
];
/// In seconds; mostly the time of the disk's sync.
const CYCLE_BUCKETS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];
/// A loop that has not turned for this long is stuck. One iteration may wait for several database locks,
/// a few seconds each.
const STUCK: Duration = Duration::from_secs(60);
/// The value before the first iteration of the loop.
const NEVER: u64 = u64::MAX;

/// What the daemon is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum DaemonState {
    /// Opens and migrates the database, and recovers what a crashed dispatcher left.
    Starting,
    /// Waits for the lock, which another dispatcher holds.
    Standby,
    /// Claims, sends and records.
    Dispatching,
    /// The database cannot be used at the moment; results wait in memory.
    Trouble,
    /// Waits for the requests in flight, then ends.
    Stopping,
}

impl DaemonState {
    const ALL: [DaemonState; 5] = [
        DaemonState::Starting,
        DaemonState::Standby,
        DaemonState::Dispatching,
        DaemonState::Trouble,
        DaemonState::Stopping,
    ];
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RouteLabels {
    pub account: String,
    pub channel: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FinishedLabels {
    channel: &'static str,
    status: &'static str,
    /// Empty for jobs that did not fail.
    failure: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ChannelLabel {
    pub channel: &'static str,
}

type Histograms = Family<ChannelLabel, Histogram, fn() -> Histogram>;

/// Shared by the dispatcher and the pages.
pub struct Metrics {
    begun: Instant,
    started_at: Millis,
    registry: Registry,
    attempts: Family<AttemptLabels, Counter>,
    looks: Looks,
    follow_ups: FollowUpCounts,
    in_flight: Family<RouteLabels, Gauge>,
    channels: [ChannelMeter; 3],
    cycle: Histogram,
    state: AtomicU8,
    /// The database is a restored backup, and is paused until a person decides.
    restored: AtomicBool,
    /// Milliseconds after `begun`.
    last_turn: AtomicU64,
    accounts: Mutex<Vec<String>>,
}

/// How many jobs have ended, over all channels.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    pub sent: u64,
    pub failed: u64,
    pub uncertain: u64,
}

/// The metrics of a channel, over all accounts.
struct ChannelMeter {
    sent: Counter,
    uncertain: Counter,
    /// In the order of [`Failure::ALL`].
    failed: [Counter; 4],
    request: Histogram,
    due_to_sent: Histogram,
}

impl Metrics {
    /// For a process that begins now; `lost_lines` counts the log lines that were dropped.
    pub fn of_this_process(lost_lines: Counter) -> Arc<Metrics> {
        let mut metrics = Metrics::new(Instant::now(), crate::queue::when::now());
        let help = "Log lines that were dropped because they could not be written in time";
        metrics.registry.register("log_lines_lost", help, lost_lines);
        Arc::new(metrics)
    }

    /// For a process that began at this time, on either clock.
    pub fn new(begun: Instant, started_at: Millis) -> Metrics {
        let mut registry = Registry::with_prefix("acquire_outbox");
        let attempts = Family::default();
        let finished = Family::default();
        let in_flight = Family::default();
        let request: Histograms = Family::new_with_constructor(|| Histogram::new(REQUEST_BUCKETS));
        let due_to_sent: Histograms =
            Family::new_with_constructor(|| Histogram::new(DUE_TO_SENT_BUCKETS));
        let cycle = Histogram::new(CYCLE_BUCKETS);
        registry.register("attempts", "Requests that have ended, by outcome", attempts.clone());
        let looks = Looks::register(&mut registry);
        let follow_ups = FollowUpCounts::register(&mut registry);
        registry.register(
            "finished",
            "Jobs that the dispatcher has finished, by state and failure",
            finished.clone(),
        );
        registry.register("in_flight", "Requests in flight", in_flight.clone());
        let mut seconds = |name: &str, help: &str, metric: Histograms| {
            registry.register_with_unit(name, help, Unit::Seconds, metric);
        };
        seconds(
            "request_duration",
            "Duration of a request, from connecting to the last byte of the answer",
            request.clone(),
        );
        seconds(
            "due_to_sent",
            "Time from when a job became due until it was recorded as sent, including further attempts",
            due_to_sent.clone(),
        );
        registry.register_with_unit(
            "cycle_duration",
            "Duration of the transaction that records and claims",
            Unit::Seconds,
            cycle.clone(),
        );
        let channels =
            Channel::ALL.map(|c| ChannelMeter::new(c.as_str(), &finished, &request, &due_to_sent));
        Metrics {
            begun,
            started_at,
            registry,
            attempts,
            looks,
            follow_ups,
            in_flight,
            channels,
            cycle,
            state: AtomicU8::new(DaemonState::Starting as u8),
            restored: AtomicBool::new(false),
            last_turn: AtomicU64::new(NEVER),
            accounts: Mutex::default(),
        }
    }

    /// Looks up the label sets of a route.
    pub fn route(&self, account: &str, channel: Channel) -> RouteMeter {
        let labels = RouteLabels { account: account.to_owned(), channel: channel.as_str() };
        let in_flight = self.in_flight.get_or_create_owned(&labels);
        let request = self.channels[channel as usize].request.clone();
        RouteMeter::new(labels, &self.attempts, in_flight, request)
    }

    /// Shows the counters of the questions about a route's messages that its policy asks Acquire. Shown for every
    /// route, they would be most of the page.
    pub fn show_questions(&self, account: &str, channel: Channel, policy: &ChannelPolicy) {
        if policy.on_uncertain == OnUncertain::Verify {
            self.looks.show(account, channel);
        }
        if policy.follow_up.is_some() {
            self.follow_ups.show(account, channel);
        }
    }

    /// A message was looked up at Acquire.
    pub fn looked(&self, account: &str, channel: Channel, look: Look) {
        self.looks.count(account, channel, look);
    }

    /// Acquire was asked what became of a message.
    pub fn followed_up(&self, account: &str, channel: Channel, result: FollowUpResult) {
        self.follow_ups.count(account, channel, result);
    }

    /// These outcomes have been recorded.
    pub fn recorded<'a>(&self, ended: impl IntoIterator<Item = &'a Ended>) {
        for e in ended {
            let t = &e.transition;
            let channel = &self.channels[e.channel as usize];
            match t.status {
                Status::Sent => {
                    let late = millis(t.updated_at.saturating_sub(e.due_at));
                    channel.sent.inc();
                    channel.due_to_sent.observe(late.as_secs_f64());
                }
                Status::Failed => {
                    let failure = t.failure.unwrap_or(Failure::Rejected);
                    channel.failed[failure as usize].inc();
                }
                Status::Uncertain if t.wait.is_none() => drop(channel.uncertain.inc()),
                _ => {}
            }
        }
    }

    /// A job failed without an attempt: it expired, or its account is not configured.
    pub fn failed(&self, channel: Channel, failure: Failure) {
        self.channels[channel as usize].failed[failure as usize].inc();
    }

    /// How many jobs have ended since the start of the process.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for channel in &self.channels {
            totals.sent += channel.sent.get();
            totals.uncertain += channel.uncertain.get();
            totals.failed += channel.failed.iter().map(Counter::get).sum::<u64>();
        }
        totals
    }

    /// The transaction of a cycle has ended.
    pub fn cycle(&self, took: Duration) {
        self.cycle.observe(took.as_secs_f64());
    }

    /// The loop has completed an iteration.
    pub fn turned(&self, now: Instant) {
        let after = now.saturating_duration_since(self.begun).as_millis();
        self.last_turn.store(u64::try_from(after).unwrap_or(NEVER - 1), Ordering::Relaxed);
    }

    /// The time since the loop's last iteration; `None` before the first.
    pub fn last_turn(&self, now: Instant) -> Option<Duration> {
        let after = self.last_turn.load(Ordering::Relaxed);
        (after != NEVER).then(|| {
            now.saturating_duration_since(self.begun).saturating_sub(Duration::from_millis(after))
        })
    }

    /// How long the loop has not turned, if that is too long. While it starts, stands by or stops, it need not
    /// turn; other limits apply.
    pub fn stuck_for(&self, now: Instant) -> Option<Duration> {
        if !matches!(self.state(), DaemonState::Dispatching | DaemonState::Trouble) {
            return None;
        }
        self.last_turn(now).filter(|age| *age > STUCK)
    }

    /// Sets the configured accounts.
    pub fn configured(&self, accounts: Vec<String>) {
        *self.accounts.lock().unwrap_or_else(PoisonError::into_inner) = accounts;
    }

    /// The configured accounts; empty until the dispatcher has started.
    pub fn accounts(&self) -> Vec<String> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets what the daemon is doing.
    pub fn enter(&self, state: DaemonState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// What the daemon is doing.
    pub fn state(&self) -> DaemonState {
        DaemonState::ALL[usize::from(self.state.load(Ordering::Relaxed))]
    }

    /// Sets whether the database is a restored backup, paused until a person decides.
    pub fn hold_restored(&self, is: bool) {
        self.restored.store(is, Ordering::Relaxed);
    }

    /// As set by [`Metrics::hold_restored`].
    pub fn holds_restored(&self) -> bool {
        self.restored.load(Ordering::Relaxed)
    }

    /// When the process began.
    pub fn started_at(&self) -> Millis {
        self.started_at
    }

    /// For the encoder.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

impl ChannelMeter {
    fn new(
        channel: &'static str,
        finished: &Family<FinishedLabels, Counter>,
        request: &Histograms,
        due_to_sent: &Histograms,
    ) -> ChannelMeter {
        let counter = |status: Status, failure| {
            let labels = FinishedLabels { channel, status: status.as_str(), failure };
            finished.get_or_create_owned(&labels)
        };
        ChannelMeter {
            sent: counter(Status::Sent, ""),
            uncertain: counter(Status::Uncertain, ""),
            failed: Failure::ALL.map(|failure| counter(Status::Failed, failure.as_str())),
            request: request.get_or_create_owned(&ChannelLabel { channel }),
            due_to_sent: due_to_sent.get_or_create_owned(&ChannelLabel { channel }),
        }
    }
}

fn millis(span: Millis) -> Duration {
    Duration::from_millis(u64::try_from(span).unwrap_or(0))
}

#[cfg(test)]
mod tests;
