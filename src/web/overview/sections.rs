//! The parts of the overview.

use super::{LISTED, Seen};
use crate::metrics::{DaemonState, Minute};
use crate::queue::block::{Block, BlockKind};
use crate::queue::job::{Channel, Status};
use crate::queue::overview::{FailureGroup, LOOKED_AT};
use crate::queue::pause::Pause;
use crate::web::cache::Counted;
use crate::web::layout::Frame;
use crate::web::query::Query;
use crate::web::words::{jobs, length, number, short, status, time};
use maud::{Markup, html};
use std::collections::BTreeSet;
use std::time::Duration;

/// A count this old is told with its age.
const OLD: Duration = Duration::from_secs(5);

/// Who works on the queue.
pub fn state(seen: &Seen<'_>) -> Markup {
    let (class, sign, word) = match seen.daemon {
        DaemonState::Dispatching => ("good", "●", "Dispatching"),
        DaemonState::Starting => ("busy", "◌", "Starting"),
        DaemonState::Standby => ("busy", "◌", "Standing by"),
        DaemonState::Trouble => ("bad", "▲", "In trouble"),
        DaemonState::Stopping => ("busy", "◌", "Stopping"),
    };
    html! {
        div .state {
            p .lamp.(class) { span aria-hidden="true" { (sign) } " " strong { (word) } }
            p { (explained(seen)) }
            p .database { (seen.database.to_string()) }
        }
    }
}

fn explained(seen: &Seen<'_>) -> Markup {
    let holder = seen.pulse.pid.filter(|_| seen.held);
    let says = match (seen.daemon, holder) {
        (DaemonState::Trouble, _) => {
            "The database cannot be used: nothing is claimed, results wait in memory. The log says why."
        }
        (DaemonState::Stopping, _) => "What is on the wire is finished, then the program ends.",
        (DaemonState::Starting, _) => "It opens the database and decides what was left open.",
        (DaemonState::Standby, Some(pid)) => {
            return html! { "Process " (pid) " dispatches; this one takes over when it ends." };
        }
        (DaemonState::Standby, None) => "Another process has the lock.",
        (DaemonState::Dispatching, _) => {
            return html! {
                "Process " (std::process::id())
                @if let Some(since) = seen.pulse.since { ", since " (time(since, seen.now)) }
            };
        }
    };
    html! { (says) }
}

/// The figures that one looks for first.
pub fn tiles(seen: &Seen<'_>) -> Markup {
    let now = seen.now;
    let waiting =
        |wait| seen.census.value.as_ref().map(|c| c.of(None, Some(Status::Pending), Some(wait)));
    html! {
        dl .tiles {
            @for state in [Status::Pending, Status::Sending, Status::Uncertain, Status::Failed, Status::Sent, Status::Cancelled] {
                @let count = seen.census.value.as_ref().map(|census| census.of(None, Some(state), None));
                div .tile.(state.as_str()).none[count == Some(0)] {
                    dt { (status(state.as_str(), None)) }
                    dd {
                        a href=(Query::of_status(state).path()) { (known(count)) }
                        @if state == Status::Pending {
                            small {
                                (known(waiting("ready"))) " ready, " (known(waiting("backoff"))) " to retry, "
                                (known(waiting("scheduled"))) " for later, " (known(waiting("parked"))) " in line"
                            }
                        }
                    }
                }
            }
        }
        dl .facts {
            div { dt { "Sent a minute" } dd { (rate(&seen.hour)) } }
            div { dt { "From due to sent" } dd { (lateness(&seen.hour)) } }
            div { dt { "Oldest that is due" } dd {
                @match seen.pulse.oldest_due {
                    Some(due) => (time(due, now)),
                    None => "nothing is due",
                }
            } }
        }
        (age(&seen.census))
    }
}

fn known(count: Option<u64>) -> String {
    count.map_or_else(|| "…".to_owned(), number)
}

/// A note where counting is so dear that it is done seldom.
fn age<T>(counted: &Counted<T>) -> Markup {
    html! {
        @if counted.value.is_none() {
            p .hint { "There are so many jobs that counting took too long and was given up; it is tried again later." }
        } @else if counted.age >= OLD {
            p .hint { "Counted " (length(counted.age)) " ago: there are many, so they are counted seldom." }
        }
    }
}

/// Over the last five minutes that are over; it must not fall at each new minute.
fn rate(hour: &[Minute]) -> String {
    let over = hour.len().saturating_sub(1);
    let last = hour.get(over.saturating_sub(5)..over).unwrap_or_default();
    let now = hour.last().map_or(0, |minute| u64::from(minute.sent));
    let sent: u64 = last.iter().map(|minute| u64::from(minute.sent)).sum();
    match sent {
        0 => format!("{} in this one", number(now)),
        _ => format!("{} (5 min)", number(sent.div_ceil(5))),
    }
}

fn lateness(hour: &[Minute]) -> String {
    let all = hour.iter().fold(Minute::default(), |all, minute| all.with(minute));
    match (all.latency(0.5), all.latency(0.95)) {
        (Some(half), Some(most)) => {
            format!("half within {}, 95 % within {}", length(half), length(most))
        }
        _ => "nothing sent yet".to_owned(),
    }
}

/// A row per channel.
pub fn queue(seen: &Seen<'_>) -> Markup {
    html! {
        div .wide {
            table .cards {
                thead { tr {
                    th scope="col" { "channel" }
                    @for head in ["ready", "to retry", "for later", "in line"] { th scope="col" .num { (head) } }
                    @for state in Status::ALL.into_iter().skip(1) { th scope="col" .num { (state) } }
                    th scope="col" { "is" }
                } }
                tbody {
                    @for channel in Channel::ALL { (queue_row(seen, channel)) }
                }
            }
        }
    }
}

fn queue_row(seen: &Seen<'_>, channel: Channel) -> Markup {
    let count = |state, wait| {
        seen.census.value.as_ref().map(|census| census.of(Some(channel), Some(state), wait))
    };
    let waits = [
        ("ready", "ready"),
        ("backoff", "to retry"),
        ("scheduled", "for later"),
        ("parked", "in line"),
    ];
    let name = channel.as_str();
    html! {
        tr {
            th scope="row" { a href=(Query::of_channel(channel).path()) { (name) } }
            @for (wait, label) in waits {
                (figure(label, count(Status::Pending, Some(wait)), None))
            }
            @for state in Status::ALL.into_iter().skip(1) {
                (figure(state.as_str(), count(state, None), Some(Query::of(channel, state))))
            }
            td data-label="is" { (openness(seen, channel)) }
        }
    }
}

/// Whether its jobs go out: those of every account, or of some.
fn openness(seen: &Seen<'_>, channel: Channel) -> Markup {
    let concern = |pause: &&Pause| pause.channel.is_none_or(|own| own == channel);
    let pauses: Vec<&Pause> = seen.pauses.iter().filter(concern).collect();
    let concerns = |hold: &&Block| hold.channel.is_empty() || hold.channel == channel.as_str();
    let held: BTreeSet<&str> =
        seen.holds.iter().filter(concerns).map(|hold| hold.account.as_str()).collect();
    let (class, words) = match (pauses.as_slice(), held.len()) {
        (pauses, _) if pauses.iter().any(|pause| pause.account.is_none()) => ("busy", "❚❚ paused"),
        ([], 0) => ("good", "open"),
        ([], held) if held >= seen.accounts => ("bad", "▲ held"),
        ([], _) => ("bad", "▲ partly held"),
        _ => ("busy", "❚❚ partly paused"),
    };
    html! { span .mark.(class) { (words) } }
}

fn figure(label: &str, count: Option<u64>, link: Option<Query>) -> Markup {
    html! {
        td .num.zero[count == Some(0)] data-label=(label) {
            @match link.filter(|_| count.is_some_and(|count| count > 0)) {
                Some(query) => a href=(query.path()) { (known(count)) },
                None => (known(count)),
            }
        }
    }
}

/// Pauses, which people make, and holds, which Acquire and the network make.
pub fn blocks(seen: &Seen<'_>, frame: &Frame) -> Markup {
    html! {
        @if seen.holds.is_empty() && seen.pauses.is_empty() {
            p .calm { "Nothing: every account and channel is open." }
        } @else {
            div .wide {
                table .cards {
                    thead { tr {
                        th scope="col" { "account" } th scope="col" { "channel" }
                        th scope="col" { "because" } th scope="col" { "since" } th scope="col" { "until" }
                    } }
                    tbody {
                        @for pause in seen.pauses.iter().take(LISTED as usize) { (pause_row(pause, seen)) }
                        @for hold in seen.holds.iter().take(LISTED as usize) { (block_row(hold, seen)) }
                    }
                }
            }
        }
        @if seen.pauses.len().max(seen.holds.len()) > LISTED as usize {
            p .hint { "There are more; " code { "acquire-outbox status" } " has all of them." }
        }
        p .more { a href="/pauses" { @if frame.may_act() { "Pause or resume" } @else { "Pauses" } } }
    }
}

fn pause_row(pause: &Pause, seen: &Seen<'_>) -> Markup {
    html! {
        tr {
            td data-label="account" { (short(pause.account.as_deref().unwrap_or("all"))) }
            td data-label="channel" { (pause.channel.map_or("all", Channel::as_str)) }
            td data-label="because" {
                span .mark.busy { "❚❚ paused" }
                @if !pause.reason.is_empty() { " " span .said { (short(&pause.reason)) } }
            }
            td data-label="since" { (time(pause.since, seen.now)) }
            td data-label="until" { "resumed" }
        }
    }
}

fn block_row(hold: &Block, seen: &Seen<'_>) -> Markup {
    let why = hold.kind.because();
    html! {
        tr {
            td data-label="account" { (if hold.account.is_empty() { "all" } else { &hold.account }) }
            td data-label="channel" { (if hold.channel.is_empty() { "all" } else { &hold.channel }) }
            td data-label="because" { span .mark.bad { "▲ " (why) } " " span .said { (short(&hold.reason)) } }
            td data-label="since" { (time(hold.since, seen.now)) }
            td data-label="until" {
                @match hold.until {
                    Some(until) if hold.kind == BlockKind::RetryAfter => (time(until, seen.now)),
                    Some(until) => { "tried again " (time(until, seen.now)) }
                    None => "it is answered again",
                }
            }
        }
    }
}

/// Jobs that are set aside, if there are any, with links to their pages.
pub fn aside(seen: &Seen<'_>) -> Markup {
    let aside = &seen.aside;
    html! {
        @if aside.count > 0 {
            section aria-labelledby="set-aside" {
                h2 #set-aside { "Set aside" }
                p .hint { (jobs(aside.count)) " cannot be read, recorded or moved; the others go on." }
                div .wide {
                    table .cards {
                        thead { tr {
                            th scope="col" .num { "id" } th scope="col" { "state" }
                            th scope="col" { "because" } th scope="col" { "since" }
                        } }
                        tbody {
                            @for of in aside.first.iter().take(super::ASIDE as usize) {
                                tr {
                                    th scope="row" .num { a href={ "/jobs/" (of.id) } { (of.id) } }
                                    td data-label="state" { (status(&of.status, None)) }
                                    td .error data-label="because" { (short(&of.reason)) }
                                    td data-label="since" { (time(of.since, seen.now)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A row per error, the ones that most jobs have first.
pub fn failures(seen: &Seen<'_>) -> Markup {
    let groups = seen.failures.value.as_deref().unwrap_or_default();
    html! {
        @if groups.is_empty() && seen.failures.value.is_some() {
            p .calm { "No job has failed, is uncertain or is tried again." }
        } @else if !groups.is_empty() {
            div .wide {
                table .cards {
                    thead { tr {
                        th scope="col" .num { "jobs" } th scope="col" { "state" } th scope="col" { "channels" }
                        th scope="col" { "error" } th scope="col" { "last" }
                    } }
                    tbody { @for group in groups { (failure_row(group, seen)) } }
                }
            }
            p .hint { "Of the latest " (number(LOOKED_AT.unsigned_abs())) " of each kind and channel." }
        }
        (age(&seen.failures))
    }
}

fn failure_row(group: &FailureGroup, seen: &Seen<'_>) -> Markup {
    html! {
        tr {
            td .num data-label="jobs" {
                a href=(Query::of_failures(group).path()) aria-label={ (group.count) " jobs with this error" } { (number(group.count.unsigned_abs())) }
            }
            td data-label="state" { (status(&group.status, None)) }
            td data-label="channels" { (group.channels.replace(',', ", ")) }
            td .error data-label="error" {
                @if let Some(code) = &group.error_code { code { (short(code)) } " " }
                (short(group.error.as_deref().unwrap_or_default()))
            }
            td data-label="last" { (time(group.last, seen.now)) }
        }
    }
}
