//! The state of the whole outbox.

use super::block::Block;
use super::job::{Channel, Millis, Status};
use super::outcome_counts::OutcomeCounts;
use super::pause::Pause;
use super::unreadable::UnreadableRoute;
use serde::Serialize;
use std::collections::BTreeMap;

/// How many jobs of a channel are in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    pub channel: String,
    pub status: String,
    pub count: i64,
}

/// How many jobs ended in the last minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throughput {
    pub minutes: u32,
    pub sent: i64,
    pub failed: i64,
}

/// The jobs of an account and channel that wait to be sent and are not for a later time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteBacklog {
    pub account: String,
    pub channel: String,
    pub jobs: u64,
    /// Since when the oldest of them has been due; a parked one counts as well.
    pub oldest_due: Option<Millis>,
    /// The same of those that could be sent at once.
    pub oldest_ready: Option<Millis>,
}

/// What a source has sent lately, and what of it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// `None`: jobs without a source.
    pub source: Option<String>,
    /// Its `retried` is not known.
    pub tally: OutcomeCounts,
    pub waiting: u64,
    pub oldest_due: Option<Millis>,
}

/// What `status` and the metrics read from the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    pub counts: Vec<Count>,
    /// How many of the uncertain jobs are being looked for at Acquire.
    pub verifying: i64,
    /// How many sent messages Acquire is still to be asked about.
    pub following: i64,
    /// How many were returned, or failed after they had been sent.
    pub undelivered: Undelivered,
    /// What cannot be read back.
    pub unreadable: Vec<UnreadableRoute>,
    /// Since when the oldest ready job has been due.
    pub oldest_due: Option<Millis>,
    /// The same by channel.
    pub oldest_due_of: BTreeMap<String, Millis>,
    pub backlogs: Vec<RouteBacklog>,
    /// When the last message of each channel was sent.
    pub last_sent: BTreeMap<String, Millis>,
    /// Over the last 1, 5 and 15 minutes.
    pub throughput: [Throughput; 3],
    /// The last process to take over the file; it may have ended.
    pub dispatcher_pid: Option<i64>,
    /// When it took over.
    pub dispatcher_since: Option<Millis>,
    pub blocks: Vec<Block>,
    pub pauses: Vec<Pause>,
    pub set_aside: SetAsideSummary,
    pub untouched: Untouched,
    /// How the schema differs from what this program needs, a sentence each.
    pub flaws: Vec<String>,
}

/// Sent messages that did not arrive, as far as Acquire was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Undelivered {
    pub bounced: i64,
    pub failed: i64,
}

impl Undelivered {
    /// Up to which number they are counted where that must be quick.
    pub const LIMIT: i64 = 10_000;

    pub fn total(self) -> i64 {
        self.bounced + self.failed
    }
}

/// How many jobs of a channel are in a state; pending jobs by the reason why they wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CensusRow {
    pub channel: String,
    pub status: String,
    /// `ready`, `scheduled`, `backoff` or `parked`; empty for a job that is not pending or not yet
    /// in the queue.
    pub wait: String,
    pub count: i64,
}

/// The number of jobs by channel, state and reason to wait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census(pub Vec<CensusRow>);

impl Census {
    /// How many jobs there are; `None` means every channel, state or reason.
    pub fn of(&self, channel: Option<Channel>, status: Option<Status>, wait: Option<&str>) -> u64 {
        let shares = self.0.iter().filter(|share| {
            channel.is_none_or(|wanted| share.channel == wanted.as_str())
                && status.is_none_or(|wanted| share.status == wanted.as_str())
                && wait.is_none_or(|wanted| share.wait == wanted)
        });
        shares.map(|share| share.count.unsigned_abs()).sum()
    }
}

/// Which process dispatches, how long the oldest ready job has been due, and what holds jobs back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Since when the oldest ready job has been due.
    pub oldest_due: Option<Millis>,
    /// When the last message of each channel was sent.
    pub last_sent: BTreeMap<String, Millis>,
    /// How many of the uncertain jobs are being looked for at Acquire.
    pub verifying: u64,
    /// Rows that were written without the triggers, counted up to [`Untouched::COUNTED`].
    pub untouched: u64,
    /// The last process to take over the file; it may have ended.
    pub pid: Option<i64>,
    pub since: Option<Millis>,
    /// Messages that did not arrive; each number is counted up to [`Undelivered::LIMIT`].
    pub undelivered: Undelivered,
    pub blocks: Vec<Block>,
    pub pauses: Vec<Pause>,
    pub set_aside: SetAsideSummary,
}

/// Jobs that have the same error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureGroup {
    /// `failed`, `uncertain`, or `pending` for jobs with another attempt to come.
    pub status: String,
    /// Their channels, separated by commas.
    pub channels: String,
    pub error_code: Option<String>,
    pub error: Option<String>,
    pub count: i64,
    /// When the last of them was written.
    pub last: Millis,
}

/// How many jobs of each state and channel the groups of failures are made from, newest first.
pub const LOOKED_AT: i64 = 500;

/// Waiting jobs; each number is counted up to [`Backlog::LIMIT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Claimed as soon as there is room.
    pub due: u64,
    /// Not due yet, or behind an earlier job of their ordering key.
    pub waiting: u64,
}

impl Backlog {
    /// Counting further would cost more than a line of status is worth.
    pub const LIMIT: u64 = 10_000;
}

/// The pending jobs that remain when nothing is left to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Scheduled for a later time.
    pub scheduled: i64,
    /// When the next of them is due.
    pub next_due: Option<Millis>,
    /// Paused, or behind a paused job.
    pub paused: i64,
    /// Jobs that cannot be read, or whose outcome cannot be recorded.
    pub set_aside: i64,
}

/// Rows that were written without the triggers: how many, and the first ones.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Untouched {
    pub count: u64,
    pub first: Vec<i64>,
}

impl Untouched {
    /// How many are counted at most.
    pub const COUNTED: i64 = 10_000;
    /// How many are named at most.
    pub const NAMED: i64 = 10;
}

/// A row of `outbox_set_aside`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SetAside {
    pub id: i64,
    /// Empty for a job that no longer exists.
    pub status: String,
    pub since: Millis,
    pub reason: String,
}

/// How many rows are set aside, and the first ones.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SetAsideSummary {
    pub count: u64,
    pub first: Vec<SetAside>,
}
