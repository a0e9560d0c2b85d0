//! How `status` looks: a page of text, or JSON.

use super::StatusReport;
use crate::cli::nodes::NodeJson;
use crate::cli::output;
use acquire_outbox::desk::assessment::Assessment;
use acquire_outbox::desk::vocabulary;
use acquire_outbox::queue::block::{Block, BlockKind};
use acquire_outbox::queue::job::{Channel, Millis, Status};
use acquire_outbox::queue::overview::{Count, Throughput};
use acquire_outbox::queue::overview::{SetAside, SetAsideSummary};
use acquire_outbox::queue::pause::Pause;
use acquire_outbox::queue::unreadable::UnreadableRoute;
use acquire_outbox::store::listed;
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
struct RateJson {
    minutes: u32,
    sent_per_minute: f64,
    failed_per_minute: f64,
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

pub fn json(report: &StatusReport) -> StatusJson<'_> {
    let overview = &report.overview;
    let age = |due: Millis| report.now.saturating_sub(due).max(0) / 1000;
    StatusJson {
        assessment: &report.assessment,
        database: report.database.to_string(),
        database_bytes: report.storage.bytes,
        wal_bytes: report.storage.log_bytes,
        sandbox: report.sandbox,
        at: output::iso(report.now),
        dispatcher: DispatcherJson {
            running: report.running,
            pid: overview.dispatcher_pid.filter(|_| report.running),
            since: overview.dispatcher_since.filter(|_| report.running).map(output::iso),
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
            since: output::iso(pause.since),
            until: pause.until.map(output::iso),
        }
    }
}

impl<'a> From<&'a UnreadableRoute> for UnreadableJson<'a> {
    fn from(of: &'a UnreadableRoute) -> Self {
        UnreadableJson {
            account: &of.account,
            channel: of.channel,
            purpose: of.purpose.as_str(),
            since: output::iso(of.since),
            error_code: &of.fault.code,
            error: &of.fault.message,
        }
    }
}

impl<'a> From<&'a SetAside> for SetAsideJson<'a> {
    fn from(of: &'a SetAside) -> Self {
        let SetAside { id, status, since, reason } = of;
        SetAsideJson { id: *id, status, since: output::iso(*since), reason }
    }
}

impl<'a> From<&'a Block> for BlockJson<'a> {
    fn from(block: &'a Block) -> Self {
        BlockJson {
            account: (!block.account.is_empty()).then_some(&block.account),
            channel: (!block.channel.is_empty()).then_some(&block.channel),
            kind: block.kind,
            reason: &block.reason,
            since: output::iso(block.since),
            until: block.until.map(output::iso),
        }
    }
}

pub fn text(report: &StatusReport) -> String {
    let overview = &report.overview;
    let mut parts = vec![
        verdict(&report.assessment),
        fields(report).text(),
        counts(report).text(),
        rates(report).text(),
    ];
    if !overview.pauses.is_empty() {
        parts.push(pauses(&overview.pauses, report.now).text());
    }
    if !overview.blocks.is_empty() {
        parts.push(blocks(&overview.blocks, report.now).text());
    }
    if overview.set_aside.count > 0 {
        parts.push(set_aside(&overview.set_aside, report.now).text());
    }
    parts.join("\n\n")
}

/// The verdict in the first line, and a line for each reason.
fn verdict(assessment: &Assessment) -> String {
    let word = assessment.condition.as_str();
    if assessment.concerns.is_empty() {
        return word.to_owned();
    }
    let mut table = output::Table::of_fields();
    for concern in &assessment.concerns {
        let jobs = concern.waiting().map(|jobs| format!(" ({})", output::jobs(jobs)));
        let text = format!("- {}{}", concern.text, jobs.unwrap_or_default());
        table.row([text, concern.remedy.to_string()]);
    }
    format!("{word}\n{}", table.text())
}

fn fields(report: &StatusReport) -> output::Table {
    let overview = &report.overview;
    let mut fields = output::Table::of_fields();
    let sizes = (output::bytes(report.storage.bytes), output::bytes(report.storage.log_bytes));
    let sizes = match report.storage.bytes {
        // The engine does not know.
        0 => String::new(),
        _ => format!(" ({}, log {})", sizes.0, sizes.1),
    };
    fields.row(["database", &format!("{}{sizes}", report.database)]);
    if report.sandbox {
        fields.row(["SANDBOX", "nothing in this outbox reaches Acquire"]);
    }
    fields.row(["dispatcher", &dispatcher(report)]);
    let oldest = overview.oldest_due.map(|due| age(due, report.now) + " ago");
    fields.row(["oldest due", &oldest.unwrap_or_else(|| "nothing is due".to_owned())]);
    if !overview.pauses.is_empty() {
        let all: Vec<_> = overview.pauses.iter().map(Pause::subject).collect();
        fields.row(["paused", &all.join(", ")]);
    }
    if !overview.flaws.is_empty() {
        let repair = format!("{}; repair it with `acquire-outbox init`", listed(&overview.flaws));
        fields.row(["schema", &repair]);
    }
    let untouched = &overview.untouched;
    if untouched.count > 0 {
        let sentence = format!(
            "{}; written while the triggers were missing or disabled, and not in the queue: \
             `acquire-outbox run` checks and queues them",
            named(untouched.count, untouched.first.iter().copied())
        );
        fields.row(["untouched", &sentence]);
    }
    if overview.verifying > 0 {
        let jobs = match overview.verifying {
            1 => "1 uncertain job is".to_owned(),
            jobs => format!("{jobs} uncertain jobs are"),
        };
        let sentence =
            format!("{jobs} being looked for at Acquire; `acquire-outbox show ID` says when next");
        fields.row(["verifying", &sentence]);
    }
    for route in &overview.unreadable {
        fields.row(["not readable", &route.to_string()]);
    }
    let undelivered = overview.undelivered;
    if undelivered.total() > 0 {
        let verb = if undelivered.bounced == 1 { "was" } else { "were" };
        let sentence = format!(
            "{} {verb} returned and {} failed after Acquire had accepted them; see `acquire-outbox list --delivery \
             bounced,failed`",
            undelivered.bounced, undelivered.failed
        );
        fields.row(["undelivered", &sentence]);
    }
    if overview.set_aside.count > 0 {
        let ids = overview.set_aside.first.iter().map(|of| of.id);
        fields.row(["set aside", &named(overview.set_aside.count, ids)]);
    }
    fields
}

/// `3 jobs: 17, 18, ...`
fn named(count: u64, first: impl Iterator<Item = i64>) -> String {
    let ids: Vec<_> = first.map(|id| id.to_string()).collect();
    let more = if count > ids.len() as u64 { ", ..." } else { "" };
    format!("{}: {}{more}", output::jobs(count), ids.join(", "))
}

fn dispatcher(report: &StatusReport) -> String {
    let overview = &report.overview;
    if !report.running {
        let others = match vocabulary::nodes(&report.nodes) {
            nodes if nodes.is_empty() => nodes,
            nodes => format!(" ({nodes})"),
        };
        return format!("not running{others}; start one with `acquire-outbox run`");
    }
    // Only an engine with several nodes grants leases.
    if report.nodes.nodes.iter().any(|node| node.lease_until.is_some()) {
        let names: Vec<_> = report.nodes.working().map(|node| node.name.as_str()).collect();
        return format!("{}: {}", vocabulary::nodes(&report.nodes), names.join(", "));
    }
    let pid = overview.dispatcher_pid.map(|pid| format!(", process {pid}")).unwrap_or_default();
    let since = overview.dispatcher_since.map(|since| {
        format!(" since {} ({})", output::iso(since), output::relative(since, report.now))
    });
    format!("running{pid}{}", since.unwrap_or_default())
}

fn age(due: Millis, now: Millis) -> String {
    output::span(now.saturating_sub(due).max(0))
}

/// A row per channel, a column per state.
fn counts(report: &StatusReport) -> output::Table {
    let overview = &report.overview;
    let states = Status::ALL.map(Status::as_str);
    let header = ["channel"].into_iter().chain(states).chain(["oldest due"]);
    let mut table = output::Table::new(header);
    for channel in Channel::ALL {
        let of = |status: Status| {
            let this = |c: &&Count| c.channel == channel.as_str() && c.status == status.as_str();
            overview.counts.iter().find(this).map_or(0, |c| c.count).to_string()
        };
        let due = overview.oldest_due_of.get(channel.as_str());
        let oldest = due.map(|due| age(*due, report.now)).unwrap_or_default();
        table.row([channel.to_string()].into_iter().chain(Status::ALL.map(of)).chain([oldest]));
    }
    table
}

fn rates(report: &StatusReport) -> output::Table {
    let mut table = output::Table::new(["per minute, over the last", "sent", "failed"]);
    for rate in report.overview.throughput.iter() {
        let span = if rate.minutes == 1 { "minute" } else { "minutes" };
        let shown = RateJson::from(rate);
        table.row([
            format!("{} {span}", rate.minutes),
            format!("{:.1}", shown.sent_per_minute),
            format!("{:.1}", shown.failed_per_minute),
        ]);
    }
    table
}

pub fn pauses(pauses: &[Pause], now: Millis) -> output::Table {
    let mut table = output::Table::new(["paused", "since", "until", "reason", "end it with"]);
    for pause in pauses {
        table.row([
            pause.subject(),
            output::when(&output::iso(pause.since), now),
            pause.until.map(|at| output::when(&output::iso(at), now)).unwrap_or_default(),
            pause.reason.clone(),
            vocabulary::resume_command(pause),
        ]);
    }
    table
}

fn set_aside(set_aside: &SetAsideSummary, now: Millis) -> output::Table {
    let mut table = output::Table::new(["set aside", "status", "since", "reason"]);
    for of in &set_aside.first {
        let since = output::when(&output::iso(of.since), now);
        table.row([of.id.to_string(), of.status.clone(), since, of.reason.clone()]);
    }
    table
}

fn blocks(blocks: &[Block], now: Millis) -> output::Table {
    let mut table = output::Table::new(["account", "channel", "blocked because", "since", "until"]);
    for block in blocks {
        let why = vocabulary::block_reason(block.kind);
        let named = |name: &str| if name.is_empty() { "all".to_owned() } else { name.to_owned() };
        let until = block.until.map(|at| output::when(&output::iso(at), now)).unwrap_or_default();
        table.row([
            named(&block.account),
            named(&block.channel),
            format!("{why}: {}", block.reason),
            output::when(&output::iso(block.since), now),
            until,
        ]);
    }
    table
}
