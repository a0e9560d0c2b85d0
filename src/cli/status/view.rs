//! How `status` looks to people.

use super::paint;
use crate::cli::output;
use crate::desk::assessment::Assessment;
use crate::desk::outbox_status::OutboxStatus;
use crate::desk::status_json::RateJson;
use crate::desk::vocabulary;
use crate::queue::block::Block;
use crate::queue::job::{Channel, Millis, Status};
use crate::queue::overview::{Count, SetAsideSummary};
use crate::queue::pause::Pause;
use crate::store::listed;

pub fn text(report: &OutboxStatus) -> String {
    let overview = &report.overview;
    let mut parts = vec![
        verdict(&report.assessment),
        fields(report).text(),
        paint::counts(&counts(report).text()),
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
    let word = paint::verdict(assessment.condition);
    if assessment.concerns.is_empty() {
        return word.to_string();
    }
    let mut table = output::Table::of_fields();
    for concern in &assessment.concerns {
        let jobs = concern.waiting().map(|jobs| format!(" ({})", output::jobs(jobs)));
        let text = format!("- {}{}", concern.text, jobs.unwrap_or_default());
        table.row([text, concern.remedy.to_string()]);
    }
    format!("{word}\n{}", table.text())
}

fn fields(report: &OutboxStatus) -> output::Table {
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
        let sentence = format!(
            "{jobs} being verified at Acquire; `acquire-outbox show ID` says when the next lookup is due"
        );
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

fn dispatcher(report: &OutboxStatus) -> String {
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
fn counts(report: &OutboxStatus) -> output::Table {
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

fn rates(report: &OutboxStatus) -> output::Table {
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
