//! The state of the whole outbox, as people see it.

use super::block::Block;
use super::job::{Channel, Millis, Status};
use super::pause::Pause;
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

/// What `status` shows of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    pub counts: Vec<Count>,
    /// When the job became due that waits longest of those that could go out now.
    pub oldest_due: Option<Millis>,
    /// The same of each channel that has one.
    pub oldest_due_of: BTreeMap<String, Millis>,
    /// Over the last 1, 5 and 15 minutes.
    pub throughput: [Throughput; 3],
    /// The process that took the file over last; it may have ended.
    pub dispatcher_pid: Option<i64>,
    /// When it did.
    pub dispatcher_since: Option<Millis>,
    pub holds: Vec<Block>,
    pub pauses: Vec<Pause>,
    /// How many rows are set aside, and the first of them.
    pub aside: AsideSummary,
    pub untouched: Untouched,
    /// How the schema differs from what this program needs, a sentence each.
    pub flaws: Vec<String>,
}

/// How many jobs of a channel are in a state; of pending ones, for each reason why they wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    pub channel: String,
    pub status: String,
    /// `ready`, `scheduled`, `backoff` or `parked`; empty for a job that is not pending, or not in
    /// the queue yet.
    pub wait: String,
    pub count: i64,
}

/// All jobs, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census(pub Vec<Share>);

impl Census {
    /// How many there are; `None` stands for every channel, state or reason.
    pub fn of(&self, channel: Option<Channel>, status: Option<Status>, wait: Option<&str>) -> u64 {
        let shares = self.0.iter().filter(|share| {
            channel.is_none_or(|wanted| share.channel == wanted.as_str())
                && status.is_none_or(|wanted| share.status == wanted.as_str())
                && wait.is_none_or(|wanted| share.wait == wanted)
        });
        shares.map(|share| share.count.unsigned_abs()).sum()
    }
}

/// Which dispatcher works on the outbox, what waits longest, and what keeps jobs from being sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pulse {
    /// When the job became due that waits longest of those that could go out now.
    pub oldest_due: Option<Millis>,
    /// The process that took the file over last; it may have ended.
    pub pid: Option<i64>,
    pub since: Option<Millis>,
    pub blocks: Vec<Block>,
    pub pauses: Vec<Pause>,
    pub aside: AsideSummary,
}

/// Jobs that ended, or wait, with one and the same error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureGroup {
    /// `failed`, `uncertain`, or `pending` for what is tried again.
    pub status: String,
    /// Their channels, between commas.
    pub channels: String,
    pub error_code: Option<String>,
    pub error: Option<String>,
    pub count: i64,
    /// When the last of them was written.
    pub last: Millis,
}

/// Of each kind and channel so many jobs are looked at, the latest of those that have ended.
pub const LOOKED_AT: i64 = 500;

/// Jobs that wait, each number counted up to [`Backlog::LIMIT`] only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// To be claimed as soon as there is room.
    pub due: u64,
    /// For their time, a retry, or an earlier job of their ordering key.
    pub waiting: u64,
}

impl Backlog {
    /// A line of status is not worth counting a million rows.
    pub const LIMIT: u64 = 10_000;
}

/// The jobs that are pending when nothing is left to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Scheduled for a later time.
    pub scheduled: i64,
    /// When the next of them is due.
    pub next_due: Option<Millis>,
    /// Paused, or behind a paused job.
    pub paused: i64,
    /// They cannot be read, or their outcome cannot be recorded.
    pub set_aside: i64,
}

/// Rows that were written without the triggers: how many, and the first of them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Untouched {
    pub count: u64,
    pub first: Vec<i64>,
}

impl Untouched {
    /// The most that are counted.
    pub const COUNTED: i64 = 10_000;
    /// The most that are named.
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

/// How many rows are set aside, and the first of them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct AsideSummary {
    pub count: u64,
    pub first: Vec<SetAside>,
}
