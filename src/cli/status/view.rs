//! How `status` looks: a page of text, or JSON.

use super::Seen;
use crate::cli::output;
use acquire_outbox::desk::explain::resume_command;
use acquire_outbox::queue::block::{Block, BlockKind};
use acquire_outbox::queue::job::{Channel, Millis, Status};
use acquire_outbox::queue::overview::{AsideSummary, SetAside};
use acquire_outbox::queue::overview::{Count, Throughput};
use acquire_outbox::queue::pause::Pause;
use acquire_outbox::store::listed;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
pub struct Json<'a> {
    database: String,
    database_bytes: u64,
    wal_bytes: u64,
    /// Made for the sandbox: nothing in it reaches Acquire.
    sandbox: bool,
    at: String,
    dispatcher: Dispatcher,
    counts: &'a [Count],
    oldest_due_seconds: Option<i64>,
    /// Of the channels that have one.
    oldest_due_seconds_of: BTreeMap<&'a str, i64>,
    rates: Vec<JsonRate>,
    pauses: Vec<JsonPause<'a>>,
    holds: Vec<JsonHold<'a>>,
    /// Rows that cannot be read, recorded or moved: how many, and the first of them.
    set_aside: u64,
    set_aside_jobs: Vec<JsonAside<'a>>,
    /// Rows that were written without the triggers, counted up to 10,000.
    untouched: u64,
    untouched_jobs: &'a [i64],
    /// What in the schema is not as it should be.
    schema: Vec<String>,
}

/// Whether a dispatcher has the lock, which process it is, and since when.
#[derive(Serialize)]
struct Dispatcher {
    running: bool,
    pid: Option<i64>,
    since: Option<String>,
}

#[derive(Serialize)]
struct JsonRate {
    minutes: u32,
    sent_per_minute: f64,
    failed_per_minute: f64,
}

/// What is null is all of its kind.
#[derive(Serialize)]
struct JsonPause<'a> {
    account: Option<&'a str>,
    channel: Option<Channel>,
    reason: &'a str,
    since: String,
}

/// Times are ISO 8601; a hold of a whole account has no channel, and one of everything has no
/// account.
#[derive(Serialize)]
struct JsonHold<'a> {
    account: Option<&'a String>,
    channel: Option<&'a String>,
    kind: BlockKind,
    reason: &'a str,
    since: String,
    until: Option<String>,
}

#[derive(Serialize)]
struct JsonAside<'a> {
    id: i64,
    status: &'a str,
    since: String,
    reason: &'a str,
}

pub fn json(seen: &Seen) -> Json<'_> {
    let overview = &seen.overview;
    let age = |due: Millis| seen.now.saturating_sub(due).max(0) / 1000;
    Json {
        database: seen.database.to_string(),
        database_bytes: seen.storage.bytes,
        wal_bytes: seen.storage.log_bytes,
        sandbox: seen.sandbox,
        at: output::iso(seen.now),
        dispatcher: Dispatcher {
            running: seen.running,
            pid: overview.dispatcher_pid.filter(|_| seen.running),
            since: overview.dispatcher_since.filter(|_| seen.running).map(output::iso),
        },
        counts: &overview.counts,
        oldest_due_seconds: overview.oldest_due.map(age),
        oldest_due_seconds_of: overview
            .oldest_due_of
            .iter()
            .map(|(channel, due)| (channel.as_str(), age(*due)))
            .collect(),
        rates: overview.throughput.iter().map(JsonRate::from).collect(),
        pauses: overview.pauses.iter().map(JsonPause::from).collect(),
        holds: overview.holds.iter().map(JsonHold::from).collect(),
        set_aside: overview.aside.count,
        set_aside_jobs: overview.aside.first.iter().map(JsonAside::from).collect(),
        untouched: overview.untouched.count,
        untouched_jobs: &overview.untouched.first,
        schema: overview.flaws.clone(),
    }
}

impl From<&Throughput> for JsonRate {
    fn from(of: &Throughput) -> Self {
        let per_minute = |count: i64| count as f64 / f64::from(of.minutes);
        JsonRate {
            minutes: of.minutes,
            sent_per_minute: per_minute(of.sent),
            failed_per_minute: per_minute(of.failed),
        }
    }
}

impl<'a> From<&'a Pause> for JsonPause<'a> {
    fn from(pause: &'a Pause) -> Self {
        JsonPause {
            account: pause.account.as_deref(),
            channel: pause.channel,
            reason: &pause.reason,
            since: output::iso(pause.since),
        }
    }
}

impl<'a> From<&'a SetAside> for JsonAside<'a> {
    fn from(of: &'a SetAside) -> Self {
        let SetAside { id, status, since, reason } = of;
        JsonAside { id: *id, status, since: output::iso(*since), reason }
    }
}

impl<'a> From<&'a Block> for JsonHold<'a> {
    fn from(hold: &'a Block) -> Self {
        JsonHold {
            account: (!hold.account.is_empty()).then_some(&hold.account),
            channel: (!hold.channel.is_empty()).then_some(&hold.channel),
            kind: hold.kind,
            reason: &hold.reason,
            since: output::iso(hold.since),
            until: hold.until.map(output::iso),
        }
    }
}

pub fn text(seen: &Seen) -> String {
    let overview = &seen.overview;
    let mut parts = vec![fields(seen).text(), counts(seen).text(), rates(seen).text()];
    if !overview.pauses.is_empty() {
        parts.push(pauses(&overview.pauses, seen.now).text());
    }
    if !overview.holds.is_empty() {
        parts.push(blocks(&overview.holds, seen.now).text());
    }
    if overview.aside.count > 0 {
        parts.push(aside(&overview.aside, seen.now).text());
    }
    parts.join("\n\n")
}

fn fields(seen: &Seen) -> output::Table {
    let overview = &seen.overview;
    let mut fields = output::Table::of_fields();
    let sizes = (output::bytes(seen.storage.bytes), output::bytes(seen.storage.log_bytes));
    let database = format!("{} ({}, log {})", seen.database, sizes.0, sizes.1);
    fields.row(["database", &database]);
    if seen.sandbox {
        fields.row(["SANDBOX", "nothing in this outbox reaches Acquire"]);
    }
    fields.row(["dispatcher", &dispatcher(seen)]);
    let oldest = overview.oldest_due.map(|due| age(due, seen.now) + " ago");
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
        let told = format!(
            "{}; written while the triggers were missing or turned off, and in no queue: \
             `acquire-outbox run` checks and queues them",
            named(untouched.count, untouched.first.iter().copied())
        );
        fields.row(["untouched", &told]);
    }
    if overview.aside.count > 0 {
        let ids = overview.aside.first.iter().map(|of| of.id);
        fields.row(["set aside", &named(overview.aside.count, ids)]);
    }
    fields
}

/// `3 jobs: 17, 18, ...`
fn named(count: u64, first: impl Iterator<Item = i64>) -> String {
    let ids: Vec<_> = first.map(|id| id.to_string()).collect();
    let more = if count > ids.len() as u64 { ", ..." } else { "" };
    format!("{}: {}{more}", output::jobs(count), ids.join(", "))
}

fn dispatcher(seen: &Seen) -> String {
    let overview = &seen.overview;
    if !seen.running {
        return "not running; start one with `acquire-outbox run`".to_owned();
    }
    let pid = overview.dispatcher_pid.map(|pid| format!(", process {pid}")).unwrap_or_default();
    let since = overview.dispatcher_since.map(|since| {
        format!(" since {} ({})", output::iso(since), output::relative(since, seen.now))
    });
    format!("running{pid}{}", since.unwrap_or_default())
}

fn age(due: Millis, now: Millis) -> String {
    output::span(now.saturating_sub(due).max(0))
}

/// A row per channel, a column per state.
fn counts(seen: &Seen) -> output::Table {
    let overview = &seen.overview;
    let states = Status::ALL.map(Status::as_str);
    let header = ["channel"].into_iter().chain(states).chain(["oldest due"]);
    let mut table = output::Table::new(header);
    for channel in Channel::ALL {
        let of = |status: Status| {
            let this = |c: &&Count| c.channel == channel.as_str() && c.status == status.as_str();
            overview.counts.iter().find(this).map_or(0, |c| c.count).to_string()
        };
        let due = overview.oldest_due_of.get(channel.as_str());
        let oldest = due.map(|due| age(*due, seen.now)).unwrap_or_default();
        table.row([channel.to_string()].into_iter().chain(Status::ALL.map(of)).chain([oldest]));
    }
    table
}

fn rates(seen: &Seen) -> output::Table {
    let mut table = output::Table::new(["per minute, over the last", "sent", "failed"]);
    for rate in seen.overview.throughput.iter() {
        let span = if rate.minutes == 1 { "minute" } else { "minutes" };
        let shown = JsonRate::from(rate);
        table.row([
            format!("{} {span}", rate.minutes),
            format!("{:.1}", shown.sent_per_minute),
            format!("{:.1}", shown.failed_per_minute),
        ]);
    }
    table
}

fn pauses(pauses: &[Pause], now: Millis) -> output::Table {
    let mut table = output::Table::new(["paused", "since", "reason", "end it with"]);
    for pause in pauses {
        table.row([
            pause.subject(),
            output::when(&output::iso(pause.since), now),
            pause.reason.clone(),
            resume_command(pause),
        ]);
    }
    table
}

fn aside(aside: &AsideSummary, now: Millis) -> output::Table {
    let mut table = output::Table::new(["set aside", "status", "since", "reason"]);
    for of in &aside.first {
        let since = output::when(&output::iso(of.since), now);
        table.row([of.id.to_string(), of.status.clone(), since, of.reason.clone()]);
    }
    table
}

fn blocks(holds: &[Block], now: Millis) -> output::Table {
    let mut table = output::Table::new(["account", "channel", "held because", "since", "until"]);
    for hold in holds {
        let why = hold.kind.because();
        let named = |name: &str| if name.is_empty() { "all".to_owned() } else { name.to_owned() };
        let until = hold.until.map(|at| output::when(&output::iso(at), now)).unwrap_or_default();
        table.row([
            named(&hold.account),
            named(&hold.channel),
            format!("{why}: {}", hold.reason),
            output::when(&output::iso(hold.since), now),
            until,
        ]);
    }
    table
}
