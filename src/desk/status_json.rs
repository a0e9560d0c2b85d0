//! The status as JSON: what `status --json`, `nodes --json` and `pauses --json` print, and `/api/status` answers.

use super::assessment::Assessment;
use super::outbox_status::OutboxStatus;
use crate::queue::block::{Block, BlockKind};
use crate::queue::job::{Channel, Millis};
use crate::queue::node::{Node, Standing};
use crate::queue::overview::{Count, SetAside, Throughput};
use crate::queue::pause::Pause;
use crate::queue::unreadable::UnreadableRoute;
use crate::queue::when::iso;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
pub struct StatusJson<'a> {
    /// `verdict` and `reasons`.
    #[serde(flatten)]
    assessment: &'a Assessment,
    database: String,
    database_bytes: u64,
    wal_bytes: u64,
    /// Made for the sandbox: nothing in it reaches Acquire.
    sandbox: bool,
    at: String,
    dispatcher: DispatcherJson,
    /// Those that are at work or have left something to decide.
    nodes: Vec<NodeJson<'a>>,
    counts: &'a [Count],
    oldest_due_seconds: Option<i64>,
    /// Of the channels that have one.
    oldest_due_seconds_of: BTreeMap<&'a str, i64>,
    rates: Vec<RateJson>,
    pauses: Vec<PauseJson<'a>>,
    holds: Vec<BlockJson<'a>>,
    /// How many of the uncertain jobs are being looked for at Acquire.
    verifying: i64,
    /// How many sent messages Acquire is still to be asked about.
    following: i64,
    undelivered: UndeliveredJson,
    /// What cannot be read back at Acquire, and so neither verified nor followed up.
    unreadable: Vec<UnreadableJson<'a>>,
    /// Rows that cannot be read, recorded or changed: how many, and the first ones.
    set_aside: u64,
    set_aside_jobs: Vec<SetAsideJson<'a>>,
    /// Rows that were written without the triggers, counted up to 10,000.
    untouched: u64,
    untouched_jobs: &'a [i64],
    /// How the schema differs from what it should be.
    schema: Vec<String>,
}

/// Whether a dispatcher works on it; which process, and since when, where there can be only one.
#[derive(Serialize)]
struct DispatcherJson {
    running: bool,
    pid: Option<i64>,
    since: Option<String>,
}

#[derive(Serialize)]
pub struct RateJson {
    minutes: u32,
    pub sent_per_minute: f64,
    pub failed_per_minute: f64,
}

/// Null means all of its kind.
#[derive(Serialize)]
pub struct PauseJson<'a> {
    account: Option<&'a str>,
    channel: Option<Channel>,
    reason: &'a str,
    since: String,
    /// When it ends by itself.
    until: Option<String>,
}

/// A block of a whole account has no channel, and a block of everything has no account.
#[derive(Serialize)]
struct BlockJson<'a> {
    account: Option<&'a String>,
    channel: Option<&'a String>,
    kind: BlockKind,
    reason: &'a str,
    since: String,
    until: Option<String>,
}

/// Sent messages that did not arrive, as far as Acquire was asked.
#[derive(Serialize)]
struct UndeliveredJson {
    bounced: i64,
    failed: i64,
}

#[derive(Serialize)]
struct UnreadableJson<'a> {
    account: &'a str,
    channel: Channel,
    /// `verify` or `follow_up`.
    purpose: &'a str,
    since: String,
    error_code: &'a str,
    error: &'a str,
}

#[derive(Serialize)]
struct SetAsideJson<'a> {
    id: i64,
    status: &'a str,
    since: String,
    reason: &'a str,
}

/// What `status --json` prints.
pub fn json(report: &OutboxStatus) -> StatusJson<'_> {
    let overview = &report.overview;
    let age = |due: Millis| report.now.saturating_sub(due).max(0) / 1000;
    StatusJson {
        assessment: &report.assessment,
        database: report.database.to_string(),
        database_bytes: report.storage.bytes,
        wal_bytes: report.storage.log_bytes,
        sandbox: report.sandbox,
        at: iso(report.now),
        dispatcher: DispatcherJson {
            running: report.running,
            pid: overview.dispatcher_pid.filter(|_| report.running),
            since: overview.dispatcher_since.filter(|_| report.running).map(iso),
        },
        nodes: report.nodes.nodes.iter().map(NodeJson::from).collect(),
        counts: &overview.counts,
        oldest_due_seconds: overview.oldest_due.map(age),
        oldest_due_seconds_of: overview
            .oldest_due_of
            .iter()
            .map(|(channel, due)| (channel.as_str(), age(*due)))
            .collect(),
        rates: overview.throughput.iter().map(RateJson::from).collect(),
        pauses: overview.pauses.iter().map(PauseJson::from).collect(),
        holds: overview.blocks.iter().map(BlockJson::from).collect(),
        verifying: overview.verifying,
        following: overview.following,
        undelivered: UndeliveredJson {
            bounced: overview.undelivered.bounced,
            failed: overview.undelivered.failed,
        },
        unreadable: overview.unreadable.iter().map(UnreadableJson::from).collect(),
        set_aside: overview.set_aside.count,
        set_aside_jobs: overview.set_aside.first.iter().map(SetAsideJson::from).collect(),
        untouched: overview.untouched.count,
        untouched_jobs: &overview.untouched.first,
        schema: overview.flaws.clone(),
    }
}

impl From<&Throughput> for RateJson {
    fn from(of: &Throughput) -> Self {
        let per_minute = |count: i64| count as f64 / f64::from(of.minutes);
        RateJson {
            minutes: of.minutes,
            sent_per_minute: per_minute(of.sent),
            failed_per_minute: per_minute(of.failed),
        }
    }
}

impl<'a> From<&'a Pause> for PauseJson<'a> {
    fn from(pause: &'a Pause) -> Self {
        PauseJson {
            account: pause.account.as_deref(),
            channel: pause.channel,
            reason: &pause.reason,
            since: iso(pause.since),
            until: pause.until.map(iso),
        }
    }
}

impl<'a> From<&'a UnreadableRoute> for UnreadableJson<'a> {
    fn from(of: &'a UnreadableRoute) -> Self {
        UnreadableJson {
            account: &of.account,
            channel: of.channel,
            purpose: of.purpose.as_str(),
            since: iso(of.since),
            error_code: &of.fault.code,
            error: &of.fault.message,
        }
    }
}

impl<'a> From<&'a SetAside> for SetAsideJson<'a> {
    fn from(of: &'a SetAside) -> Self {
        let SetAside { id, status, since, reason } = of;
        SetAsideJson { id: *id, status, since: iso(*since), reason }
    }
}

impl<'a> From<&'a Block> for BlockJson<'a> {
    fn from(block: &'a Block) -> Self {
        BlockJson {
            account: (!block.account.is_empty()).then_some(&block.account),
            channel: (!block.channel.is_empty()).then_some(&block.channel),
            kind: block.kind,
            reason: &block.reason,
            since: iso(block.since),
            until: block.until.map(iso),
        }
    }
}

/// A node, in `nodes --json` and in the status.
#[derive(Serialize)]
pub struct NodeJson<'a> {
    epoch: i64,
    name: &'a str,
    version: Option<&'a str>,
    standing: Standing,
    since: String,
    lease_until: Option<String>,
    /// Whether it looks for new jobs itself, because a pooler keeps it from being notified.
    polls: bool,
    sending: u64,
    accounts: Option<&'a [String]>,
}

impl<'a> From<&'a Node> for NodeJson<'a> {
    fn from(node: &'a Node) -> Self {
        NodeJson {
            epoch: node.epoch,
            name: &node.name,
            version: Some(node.version.as_str()).filter(|version| !version.is_empty()),
            standing: node.standing,
            since: iso(node.since),
            lease_until: node.lease_until.map(iso),
            polls: node.polls,
            sending: node.sending,
            accounts: node.accounts.as_deref(),
        }
    }
}
