//! `/jobs`: the jobs that pass a filter, page by page, and the buttons to change them.

mod filter_form;

use super::Shared;
use super::actions::OFFERED;
use super::display::{number, short, status, time_of};
use super::error_page::ErrorPage;
use super::layout::{Frame, Tab};
use super::parameters::{JobQuery, ROWS};
use super::posted::FormFields;
use crate::desk::vocabulary::{change_labels, remark};
use crate::queue::filter::{Filter, Page};
use crate::queue::job::Millis;
use crate::queue::story::Delivery;
use crate::queue::when::now;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use std::sync::Arc;

/// The list.
pub async fn show(
    State(shared): State<Arc<Shared>>,
    frame: Frame,
    RawQuery(query): RawQuery,
) -> Result<Markup, ErrorPage> {
    let query = JobQuery::read(&FormFields::parse(query.unwrap_or_default().as_bytes()))?;
    let mut reading = shared.reader.read().await?;
    let mut rows = reading.deliveries(&query.filter, &query.page()).await?;
    reading.done();
    let more = rows.len() > ROWS as usize;
    rows.truncate(ROWS as usize);
    let all = count(&shared, &query.filter).await?;
    let content = html! {
        h1 { "Jobs" }
        (filter_form::filter(&query, &shared.accounts))
        @if frame.may_act() && !rows.is_empty() {
            form #act method="post" action="/jobs/confirm" {
                (frame.csrf())
                @for (name, value) in query.pairs() { input type="hidden" name=(name) value=(value); }
                (listing(&query, &rows, all, more, true))
                (change_buttons())
            }
        } @else {
            (listing(&query, &rows, all, more, false))
        }
    };
    Ok(frame.live_by_script(Tab::Jobs, "Jobs", &content))
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
                p .calm { @if query.page > 0 { "No more jobs." } @else { "No such jobs." } }
            } @else {
                (rows_of(rows, now(), checks))
            }
            (pages(query, rows.len(), all, more))
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
fn change_buttons() -> Markup {
    html! {
        fieldset .bulk {
            legend { "Change" }
            label { input type="radio" name="which" value="checked" checked; " the checked jobs" }
            label { input type="radio" name="which" value="all"; " all jobs that pass the filter" }
            div .buttons {
                @for labels in OFFERED.map(change_labels) {
                    button type="submit" name="change" value=(labels.name) { (labels.label) }
                }
            }
            p .hint { "You are asked before anything is changed." }
        }
    }
}

/// A table without buttons.
pub fn table(rows: &[Delivery], now: Millis) -> Markup {
    html! {
        @if rows.is_empty() { p .calm { "There are no jobs yet." } } @else { (rows_of(rows, now, false)) }
    }
}

fn rows_of(rows: &[Delivery], now: Millis, checks: bool) -> Markup {
    let one_account = rows.iter().all(|job| job.account == crate::config::DEFAULT_ACCOUNT);
    let sources = rows.iter().any(|job| job.source.is_some());
    html! {
        div .wide {
            table .cards.jobs {
                thead { tr {
                    @if checks { th scope="col" { span .visually-hidden { "Check" } } }
                    th scope="col" .num { "id" } th scope="col" { "channel" }
                    @if !one_account { th scope="col" { "account" } }
                    th scope="col" { "state" } th scope="col" .num { "tries" }
                    @if sources { th scope="col" { "source" } }
                    th scope="col" { "created" } th scope="col" { "due or done" }
                    th scope="col" { "message id or error" }
                } }
                tbody {
                    @for job in rows {
                        tr {
                            @if checks {
                                td .check { label { span .visually-hidden { "Job " (job.id) } input #{ "check-" (job.id) } type="checkbox" name="id" value=(job.id); } }
                            }
                            th scope="row" .num { a href={ "/jobs/" (job.id) } { (job.id) } }
                            td data-label="channel" { (job.channel) }
                            @if !one_account { td data-label="account" { (short(&job.account)) } }
                            td data-label="state" { (status(&job.status, remark(job))) }
                            td .num data-label="tries" { (job.attempts) }
                            @if sources { td data-label="source" { (short(job.source.as_deref().unwrap_or("–"))) } }
                            td data-label="created" { (time_of(&job.created_at, now)) }
                            td data-label="due/done" {
                                @match job.due_or_finished() { Some(at) => (time_of(at, now)), None => "–" }
                            }
                            td .error data-label=[job.error.is_none().then_some("message")] { (detail(job)) }
                        }
                    }
                }
            }
        }
    }
}

fn detail(job: &Delivery) -> Markup {
    html! {
        @if job.status == "sent" {
            (short(job.message_id.as_deref().unwrap_or("–")))
        } @else if job.error_code.is_some() || job.error.is_some() {
            @if let Some(code) = &job.error_code { code { (short(code)) } " " }
            (short(job.error.as_deref().unwrap_or_default()))
        } @else {
            "–"
        }
    }
}

/// `/search`: a job's id or idempotency key leads to the job, a case's number to its jobs, and any
/// other text to the jobs whose error contains it.
pub async fn search(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ErrorPage> {
    let fields = FormFields::parse(query.unwrap_or_default().as_bytes());
    let Some(text) = fields.get("q") else { return Ok(Redirect::to("/jobs").into_response()) };
    let mut reading = shared.reader.read().await?;
    let id = text.trim_start_matches('#').parse::<i64>().ok();
    let by_id = match id {
        Some(id) => reading.delivery(id).await?.map(|job| job.id),
        None => None,
    };
    let of_key = Filter { idempotency_key: Some(text.to_owned()), ..Filter::default() };
    let by_key = reading.deliveries(&of_key, &Page::newest(1)).await?.pop().map(|job| job.id);
    reading.done();
    let path = match (by_key.or(by_id), id) {
        (Some(job), _) => format!("/jobs/{job}"),
        (None, Some(_)) => {
            let case = Some(text.trim_start_matches('#').to_owned());
            JobQuery::of_filter(Filter { case, ..Filter::default() }).path()
        }
        (None, None) => {
            let error = Some(text.to_owned());
            JobQuery::of_filter(Filter { error, ..Filter::default() }).path()
        }
    };
    Ok(Redirect::to(&path).into_response())
}
