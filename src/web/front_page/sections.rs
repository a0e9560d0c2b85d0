//! The sections of the front page.

use super::{FrontPage, LISTED};
use crate::desk::vocabulary::{WAITS, block_reason};
use crate::metrics::DaemonState;
use crate::queue::block::{Block, BlockKind};
use crate::queue::follow_up::DeliveryState;
use crate::queue::job::{Channel, Status};
use crate::queue::outcome_counts::{Interval, OutcomeCounts};
use crate::queue::overview::{FailureGroup, LOOKED_AT, Undelivered};
use crate::queue::pause::Pause;
use crate::web::cache::Counted;
use crate::web::display::{jobs, length, number, short, status, time};
use crate::web::layout::Frame;
use crate::web::parameters::JobQuery;
use maud::{Markup, html};
use std::collections::BTreeSet;
use std::time::Duration;

/// Counts that are at least this old show their age.
const OLD: Duration = Duration::from_secs(5);

/// Which process dispatches.
pub fn state(page: &FrontPage<'_>) -> Markup {
    let (class, sign, word) = match page.daemon {
        DaemonState::Dispatching => ("good", "●", "Dispatching"),
        DaemonState::Starting => ("busy", "◌", "Starting"),
        DaemonState::Standby => ("busy", "◌", "Standing by"),
        DaemonState::Trouble => ("bad", "▲", "In trouble"),
        DaemonState::Stopping => ("busy", "◌", "Stopping"),
    };
    html! {
        div .state {
            p .lamp.(class) { span aria-hidden="true" { (sign) } " " strong { (word) } }
            p { (explained(page)) }
            p .database { (page.database.to_string()) }
        }
    }
}

fn explained(page: &FrontPage<'_>) -> Markup {
    let holder = page.pulse.pid.filter(|_| page.held);
    let says = match (page.daemon, holder) {
        (DaemonState::Trouble, _) => {
            "The database cannot be used: nothing is claimed, and results wait in memory. The log says why."
        }
        (DaemonState::Stopping, _) => {
            "Requests in flight are being finished; then the program exits."
        }
        (DaemonState::Starting, _) => {
            "The database is being opened, and jobs that an earlier process left in flight are being recovered."
        }
        (DaemonState::Standby, Some(pid)) => {
            return html! { "Process " (pid) " dispatches; this one takes over when it ends." };
        }
        (DaemonState::Standby, None) => {
            "Another dispatcher works on the outbox; this one takes over when it ends."
        }
        (DaemonState::Dispatching, _) => {
            return html! {
                "Process " (std::process::id())
                @if let Some(since) = page.pulse.since { ", since " (time(since, page.now)) }
            };
        }
    };
    html! { (says) }
}

/// The most important figures.
pub fn tiles(page: &FrontPage<'_>) -> Markup {
    let now = page.now;
    let waiting =
        |wait| page.census.value.as_ref().map(|c| c.of(None, Some(Status::Pending), Some(wait)));
    html! {
        dl .tiles {
            @for state in [Status::Pending, Status::Sending, Status::Uncertain, Status::Failed, Status::Sent, Status::Cancelled] {
                @let count = page.census.value.as_ref().map(|census| census.of(None, Some(state), None));
                div .tile.(state.as_str()).none[count == Some(0)] {
                    dt { (status(state.as_str(), None)) }
                    dd {
                        a href=(JobQuery::of_status(state).path()) { (known(count)) }
                        @if state == Status::Failed {
                            small { b { (number(page.day.failed)) } " in the last 24 hours" }
                        }
                        @if state == Status::Pending {
                            small {
                                @for (at, (wait, label)) in WAITS.into_iter().enumerate() {
                                    @if at > 0 { ", " }
                                    a href=(JobQuery::of_wait(None, wait).path()) { (known(waiting(wait.as_str()))) " " (label) }
                                }
                            }
                        }
                    }
                }
            }
        }
        dl .facts {
            div { dt { "Sent per minute" } dd { (rate(&page.hour)) } }
            div { dt { "From due to sent" } dd { (lateness(&page.hour)) } }
            div { dt { "Oldest due" } dd {
                @match page.pulse.oldest_due {
                    Some(due) => (time(due, now)),
                    None => "nothing is due",
                }
            } }
            @if page.pulse.undelivered.total() > 0 { (undelivered(page.pulse.undelivered)) }
        }
        (age(&page.census))
    }
}

/// Sent messages that did not arrive, with links to them.
fn undelivered(of: Undelivered) -> Markup {
    let counted = |count: i64| match count {
        Undelivered::LIMIT.. => format!("{} or more", number(count.unsigned_abs())),
        count => number(count.unsigned_abs()),
    };
    let kinds = [(of.bounced, DeliveryState::Bounced), (of.failed, DeliveryState::Failed)];
    html! {
        div #undelivered { dt { "Sent, not delivered" } dd {
            @for (at, (count, state)) in kinds.into_iter().filter(|(count, _)| *count > 0).enumerate() {
                @if at > 0 { ", " }
                a href=(JobQuery::of_deliveries(&[state]).path()) { (counted(count)) " " (state) }
            }
        } }
    }
}

fn known(count: Option<u64>) -> String {
    count.map_or_else(|| "…".to_owned(), number)
}

/// A note if counting is so expensive that it is done rarely.
pub fn age<T>(counted: &Counted<T>) -> Markup {
    html! {
        @if counted.value.is_none() {
            p .hint { "Counting took too long and will be repeated later." }
        } @else if counted.age >= OLD {
            p .hint { "Counted " (length(counted.age)) " ago: with this many jobs, counts are refreshed less often." }
        }
    }
}

/// Over the last five whole minutes: with the current one, it would drop at each new minute.
fn rate(hour: &[Interval]) -> String {
    let over = hour.len().saturating_sub(1);
    let last = hour.get(over.saturating_sub(5)..over).unwrap_or_default();
    let now = hour.last().map_or(0, |minute| minute.tally.sent);
    let sent: u64 = last.iter().map(|minute| minute.tally.sent).sum();
    match sent {
        0 => format!("{} so far this minute", number(now)),
        _ => format!("{} (5-minute average)", number(sent.div_ceil(5))),
    }
}

fn lateness(hour: &[Interval]) -> String {
    let mut all = OutcomeCounts::default();
    hour.iter().for_each(|minute| all.add(&minute.tally));
    match (all.lateness(0.5), all.lateness(0.95)) {
        (Some(half), Some(most)) => {
            format!("half within {}, 95% within {}", length(half), length(most))
        }
        _ => "nothing sent in the last hour".to_owned(),
    }
}

/// A row per channel.
pub fn queue(page: &FrontPage<'_>) -> Markup {
    html! {
        div .wide {
            table .cards {
                thead { tr {
                    th scope="col" { "channel" }
                    @for (_, label) in WAITS { th scope="col" .num { (label) } }
                    @for state in Status::ALL.into_iter().skip(1) { th scope="col" .num { (state) } }
                    th scope="col" { "routes" }
                } }
                tbody {
                    @for channel in Channel::ALL { (queue_row(page, channel)) }
                }
            }
        }
    }
}

fn queue_row(page: &FrontPage<'_>, channel: Channel) -> Markup {
    let count = |state, wait| {
        page.census.value.as_ref().map(|census| census.of(Some(channel), Some(state), wait))
    };
    let name = channel.as_str();
    html! {
        tr {
            th scope="row" { a href=(JobQuery::of_channel(channel).path()) { (name) } }
            @for (wait, label) in WAITS {
                (figure(label, count(Status::Pending, Some(wait.as_str())), Some(JobQuery::of_wait(Some(channel), wait))))
            }
            @for state in Status::ALL.into_iter().skip(1) {
                (figure(state.as_str(), count(state, None), Some(JobQuery::of(channel, state))))
            }
            td data-label="routes" { (openness(page, channel)) }
        }
    }
}

/// Whether the routes of the channel are open: those of every account, or of some.
fn openness(page: &FrontPage<'_>, channel: Channel) -> Markup {
    let concern = |pause: &&Pause| pause.channel.is_none_or(|own| own == channel);
    let pauses: Vec<&Pause> = page.pulse.pauses.iter().filter(concern).collect();
    let concerns = |block: &&Block| block.channel.is_empty() || block.channel == channel.as_str();
    let blocked: BTreeSet<&str> =
        page.pulse.blocks.iter().filter(concerns).map(|block| block.account.as_str()).collect();
    let (class, label) = match (pauses.as_slice(), blocked.len()) {
        (pauses, _) if pauses.iter().any(|pause| pause.account.is_none()) => ("busy", "❚❚ paused"),
        ([], 0) => ("good", "open"),
        ([], blocked) if blocked >= page.accounts => ("bad", "▲ blocked"),
        ([], _) => ("bad", "▲ partly blocked"),
        _ => ("busy", "❚❚ partly paused"),
    };
    html! { span .mark.(class) { (label) } }
}

fn figure(label: &str, count: Option<u64>, link: Option<JobQuery>) -> Markup {
    html! {
        td .num.zero[count == Some(0)] data-label=(label) {
            @match link.filter(|_| count.is_some_and(|count| count > 0)) {
                Some(query) => a href=(query.path()) { (known(count)) },
                None => (known(count)),
            }
        }
    }
}

/// Pauses, which operators make, and blocks, which Acquire and the network cause.
pub fn blocks(page: &FrontPage<'_>, frame: &Frame) -> Markup {
    html! {
        @if page.pulse.blocks.is_empty() && page.pulse.pauses.is_empty() {
            p .calm { "Nothing: every account and channel is open." }
        } @else {
            div .wide {
                table .cards {
                    thead { tr {
                        th scope="col" { "account" } th scope="col" { "channel" }
                        th scope="col" { "reason" } th scope="col" { "since" } th scope="col" { "until" }
                    } }
                    tbody {
                        @for pause in page.pulse.pauses.iter().take(LISTED as usize) { (pause_row(pause, page)) }
                        @for block in page.pulse.blocks.iter().take(LISTED as usize) { (block_row(block, page)) }
                    }
                }
            }
        }
        @if page.pulse.pauses.len().max(page.pulse.blocks.len()) > LISTED as usize {
            p .hint { "There are more; " code { "acquire-outbox status" } " lists all of them." }
        }
        p .more { a href="/pauses" { @if frame.may_act() { "Pause or resume" } @else { "Pauses" } } }
    }
}

fn pause_row(pause: &Pause, page: &FrontPage<'_>) -> Markup {
    html! {
        tr {
            td data-label="account" { (short(pause.account.as_deref().unwrap_or("all"))) }
            td data-label="channel" { (pause.channel.map_or("all", Channel::as_str)) }
            td data-label="reason" {
                span .mark.busy { "❚❚ paused" }
                @if !pause.reason.is_empty() { " " span .said { (short(&pause.reason)) } }
            }
            td data-label="since" { (time(pause.since, page.now)) }
            td data-label="until" {
                @match pause.until { Some(until) => (time(until, page.now)), None => "resumed" }
            }
        }
    }
}

fn block_row(block: &Block, page: &FrontPage<'_>) -> Markup {
    let why = block_reason(block.kind);
    html! {
        tr {
            td data-label="account" { (if block.account.is_empty() { "all" } else { &block.account }) }
            td data-label="channel" { (if block.channel.is_empty() { "all" } else { &block.channel }) }
            td data-label="reason" { span .mark.bad { "▲ " (why) } " " span .said { (short(&block.reason)) } }
            td data-label="since" { (time(block.since, page.now)) }
            td data-label="until" {
                @match block.until {
                    Some(until) if block.kind == BlockKind::RetryAfter => (time(until, page.now)),
                    Some(until) => { "next probe " (time(until, page.now)) }
                    None => "Acquire answers again",
                }
            }
        }
    }
}

/// Jobs that are set aside, if there are any, with links to their pages.
pub fn set_aside(page: &FrontPage<'_>) -> Markup {
    let aside = &page.pulse.set_aside;
    html! {
        @if aside.count > 0 {
            section aria-labelledby="set-aside" {
                h2 #set-aside { "Set aside" }
                p .hint { (jobs(aside.count)) " cannot be read, recorded or changed; all others are sent as usual." }
                div .wide {
                    table .cards {
                        thead { tr {
                            th scope="col" .num { "id" } th scope="col" { "state" }
                            th scope="col" { "reason" } th scope="col" { "since" }
                        } }
                        tbody {
                            @for of in aside.first.iter().take(super::SET_ASIDE as usize) {
                                tr {
                                    th scope="row" .num { a href={ "/jobs/" (of.id) } { (of.id) } }
                                    td data-label="state" { (status(&of.status, None)) }
                                    td .error data-label="reason" { (short(&of.reason)) }
                                    td data-label="since" { (time(of.since, page.now)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A row per error, the most frequent ones first.
pub fn failures(page: &FrontPage<'_>) -> Markup {
    let groups = page.failures.value.as_deref().unwrap_or_default();
    html! {
        @if groups.is_empty() && page.failures.value.is_some() {
            p .calm { "No job has failed, is uncertain or is waiting for its next attempt." }
        } @else if !groups.is_empty() {
            div .wide {
                table .cards {
                    thead { tr {
                        th scope="col" .num { "jobs" } th scope="col" { "state" } th scope="col" { "channels" }
                        th scope="col" { "error" } th scope="col" { "last" }
                    } }
                    tbody { @for group in groups { (failure_row(group, page)) } }
                }
            }
            p .hint { "Counted over the latest " (number(LOOKED_AT.unsigned_abs())) " jobs of each state and channel." }
        }
        (age(&page.failures))
    }
}

fn failure_row(group: &FailureGroup, page: &FrontPage<'_>) -> Markup {
    html! {
        tr {
            td .num data-label="jobs" {
                a href=(JobQuery::of_failures(group).path()) aria-label={ (jobs(group.count.unsigned_abs())) " with this error" } { (number(group.count.unsigned_abs())) }
            }
            td data-label="state" { (status(&group.status, None)) }
            td data-label="channels" { (group.channels.replace(',', ", ")) }
            td .error data-label="error" {
                @if let Some(code) = &group.error_code { code { (short(code)) } " " }
                (short(group.error.as_deref().unwrap_or_default()))
            }
            td data-label="last" { (time(group.last, page.now)) }
        }
    }
}
