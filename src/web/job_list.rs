//! `/jobs`: the jobs that pass a filter, page by page, and the buttons to change them.

mod filter_form;
mod job_table;

use super::Shared;
use super::actions::OFFERED;
use super::display::number;
use super::error_page::ErrorPage;
use super::layout::{Frame, Tab};
use super::parameters::{JobQuery, ROWS};
use super::posted::FormFields;
use crate::desk::vocabulary::change_labels;
use crate::queue::change::Change;
use crate::queue::filter::Filter;
use crate::queue::job::Millis;
use crate::queue::story::Delivery;
use crate::queue::when::now;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use job_table::rows_of;
use maud::{Markup, html};
use std::sync::Arc;

/// The list.
pub async fn show(
    State(shared): State<Arc<Shared>>,
    frame: Frame,
    RawQuery(query): RawQuery,
) -> Result<Response, ErrorPage> {
    let fields = FormFields::parse(query.unwrap_or_default().as_bytes());
    let query = JobQuery::read(&fields)?;
    // A form sends its empty fields, too: without them the address is short enough to share.
    if fields.0.iter().any(|(_, value)| value.trim().is_empty()) {
        return Ok(Redirect::to(&query.path()).into_response());
    }
    let mut reading = shared.reader.read().await?;
    let mut rows = reading.deliveries(&query.filter, &query.page()).await?;
    reading.done();
    let more = rows.len() > ROWS as usize;
    rows.truncate(ROWS as usize);
    let all = count(&shared, &query.filter).await?;
    let offered = fitting(&query.filter);
    let content = html! {
        h1 { "Jobs" }
        @if frame.may_act() { p .more { a #send-message href="/send" { "Send a message →" } } }
        (filter_form::filter(&query, &shared.accounts))
        @if frame.may_act() && !rows.is_empty() && !offered.is_empty() {
            form #act method="post" action="/jobs/confirm" {
                (frame.csrf())
                @for (name, value) in query.pairs() { input type="hidden" name=(name) value=(value); }
                (listing(&query, &rows, all, more, true))
                (change_buttons(&offered))
            }
        } @else {
            (listing(&query, &rows, all, more, false))
        }
    };
    Ok(frame.live_by_script(Tab::Jobs, "Jobs", &content).into_response())
}

/// The changes that are possible in a state that the filter lets through.
fn fitting(filter: &Filter) -> Vec<Change> {
    let possible = |change: &Change| {
        let states = &filter.statuses;
        states.is_empty() || states.iter().any(|state| change.from().contains(state))
    };
    OFFERED.into_iter().filter(possible).collect()
}

/// How many jobs pass, if the cached census knows it.
async fn count(shared: &Shared, filter: &Filter) -> Result<Option<u64>, ErrorPage> {
    let plain = Filter { statuses: Vec::new(), channel: None, ..filter.clone() };
    if !plain.is_empty() {
        return Ok(None);
    }
    let census = shared.census().await?;
    let of = |status| census.value.as_ref().map(|census| census.of(filter.channel, status, None));
    if filter.statuses.is_empty() {
        return Ok(of(None));
    }
    Ok(filter.statuses.iter().map(|status| of(Some(*status))).sum())
}

fn listing(
    query: &JobQuery,
    rows: &[Delivery],
    all: Option<u64>,
    more: bool,
    checks: bool,
) -> Markup {
    html! {
        div #list data-live {
            @if rows.is_empty() {
                p .calm { @if query.page > 0 { "No more jobs." } @else { "No jobs match." } }
            } @else {
                (rows_of(rows, now(), Some(query), checks))
            }
            (pages(query, rows.len(), all, more))
            @if !rows.is_empty() {
                p .more {
                    "Download all that match: " a href=(query.export_path("csv")) download { "CSV" } ", "
                    a href=(query.export_path("jsonl")) download { "JSON lines" }
                }
            }
        }
    }
}

fn pages(query: &JobQuery, rows: usize, all: Option<u64>, more: bool) -> Markup {
    let first = query.page * u64::from(ROWS) + 1;
    html! {
        nav .pages aria-label="Pages of the list" {
            @if query.page > 0 { a rel="prev" href=(query.at_page(query.page - 1).path()) { "← Newer" } }
            @if rows > 0 {
                span {
                    (number(first)) " to " (number(first + rows as u64 - 1))
                    @if let Some(all) = all { " of " (number(all.max(first + rows as u64 - 1))) }
                }
            }
            @if more { a rel="next" href=(query.at_page(query.page + 1).path()) { "Older →" } }
        }
    }
}

/// Changes of the checked jobs, or of all that pass; a page asks before anything is changed.
fn change_buttons(offered: &[Change]) -> Markup {
    html! {
        fieldset .bulk {
            legend { "Change" }
            label { input type="radio" name="which" value="checked" checked; " the selected jobs" }
            label { input type="radio" name="which" value="all"; " all jobs that match" }
            div .buttons {
                @for labels in offered.iter().copied().map(change_labels) {
                    button type="submit" name="change" value=(labels.name) { (labels.label) }
                }
            }
            p .hint { "You will be asked to confirm before anything is changed." }
        }
    }
}

/// A table without buttons.
pub fn table(rows: &[Delivery], now: Millis) -> Markup {
    html! {
        @if rows.is_empty() { p .calm { "There are no jobs yet." } } @else { (rows_of(rows, now, None, false)) }
    }
}
