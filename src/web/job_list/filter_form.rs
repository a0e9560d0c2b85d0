//! The form that filters the list. It submits to an address that can be bookmarked.

use crate::queue::filter::{Filter, SortBy, WaitState};
use crate::queue::follow_up::DeliveryState;
use crate::queue::job::{Channel, Failure, Millis, Status};
use crate::queue::when::now;
use crate::web::parameters::{JobQuery, minute};
use maud::{Markup, html};

const DAY: Millis = 24 * 60 * 60 * 1000;

pub fn filter(query: &JobQuery, accounts: &[String]) -> Markup {
    let of = &query.filter;
    html! {
        form .filter action="/jobs" {
            details .fold open {
                summary { h2 { "Filter" } }
                fieldset .states {
                    legend { "State" }
                    @for state in Status::ALL {
                        label { input type="checkbox" name="status" value=(state) checked[of.statuses.contains(&state)]; " " (state) }
                    }
                }
                div .fields {
                    (choice("channel", "Channel", of.channel.map(Channel::as_str), &Channel::ALL.map(Channel::as_str)))
                    (text("source", "Source", of.source.as_deref(), ""))
                    (text("error", "Error text", of.error.as_deref(), ""))
                    div .buttons {
                        button .primary type="submit" { "Show" }
                        @if *query != JobQuery::default() { a .button href="/jobs" { "All jobs" } }
                    }
                }
                fieldset .states {
                    legend { "Delivery" }
                    @for state in DeliveryState::ALL {
                        label { input type="checkbox" name="delivery" value=(state) checked[of.deliveries.contains(&state)]; " " (state) }
                    }
                }
                (days(query))
                details open[has_more(query)] {
                    summary { "More" }
                    div .fields {
                        label { "Account"
                            input name="account" list="accounts" value=[of.account.as_deref()];
                        }
                        datalist #accounts { @for account in accounts { option value=(account) {} } }
                        (choice("wait", "Waiting", of.wait.map(WaitState::as_str), &WaitState::ALL.map(WaitState::as_str)))
                        (choice("failure", "Failed because", of.failure.map(Failure::as_str), &Failure::ALL.map(Failure::as_str)))
                        (text("code", "Error code", of.error_code.as_deref(), "http_503"))
                        (text("case", "Case", of.case.as_deref(), "2069"))
                        (text("contact", "Contact", of.contact.as_deref(), "751069"))
                        (text("message", "Message id", of.message_id.as_deref(), ""))
                        (text("key", "Idempotency key", of.idempotency_key.as_deref(), ""))
                        (moment("since", "Created since (UTC)", of.created_since.map(minute)))
                        (moment("before", "Created before (UTC)", of.created_before.map(minute)))
                        (moment("ended", "Finished since (UTC)", of.finished_since.map(minute)))
                        (moment("done", "Finished before (UTC)", of.finished_before.map(minute)))
                        label { "Sort by"
                            select name="sort" {
                                @for sort in SortBy::ALL { option value=(sort) selected[sort == query.sort] { (sort) } }
                            }
                        }
                        label { "Order"
                            select name="order" {
                                option value="descending" { "largest first" }
                                option value="ascending" selected[query.ascending] { "smallest first" }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What failed, by the day (UTC).
fn days(query: &JobQuery) -> Markup {
    let today = now() - now().rem_euclid(DAY);
    let failed = |since, before| JobQuery {
        filter: Filter {
            finished_since: Some(since),
            finished_before: before,
            ..Filter::of_states(&[Status::Failed])
        },
        ..JobQuery::default()
    };
    let days = [
        ("Failed today", failed(today, None)),
        ("Failed yesterday", failed(today - DAY, Some(today))),
        ("Failed in the last 7 days", failed(today - 6 * DAY, None)),
        ("Uncertain", JobQuery::of_status(Status::Uncertain)),
    ];
    html! {
        p .presets {
            @for (label, preset) in days {
                a href=(preset.path()) aria-current=[(preset == *query).then_some("true")] { (label) } " "
            }
        }
    }
}

/// Whether the query uses fields of the folded part of the form.
fn has_more(query: &JobQuery) -> bool {
    let shown = Filter {
        statuses: query.filter.statuses.clone(),
        deliveries: query.filter.deliveries.clone(),
        channel: query.filter.channel,
        source: query.filter.source.clone(),
        error: query.filter.error.clone(),
        ..Filter::default()
    };
    query.filter != shown || query.sort != SortBy::default() || query.ascending
}

fn choice(field: &str, label: &str, chosen: Option<&str>, from: &[&str]) -> Markup {
    html! {
        label { (label)
            select name=(field) {
                option value="" { "any" }
                @for word in from { option value=(word) selected[chosen == Some(*word)] { (word) } }
            }
        }
    }
}

fn text(field: &str, label: &str, given: Option<&str>, example: &str) -> Markup {
    html! {
        label { (label)
            input name=(field) value=[given] placeholder=[(!example.is_empty()).then_some(example)]
                autocomplete="off" autocapitalize="off" spellcheck="false";
        }
    }
}

fn moment(field: &str, label: &str, given: Option<String>) -> Markup {
    html! {
        label { (label) input type="datetime-local" name=(field) value=[given] step="any"; }
    }
}
