//! `/search`: what the search box finds, in every reading of what was typed.
//!
//! The box uses POST, so that a phone number or an address appears in no history, proxy log or referrer.

use super::Shared;
use super::display::{jobs, number, short};
use super::error_page::ErrorPage;
use super::job_list::table;
use super::layout::{Frame, Tab};
use super::parameters::JobQuery;
use super::posted::{FormFields, fields, require_from_here, says_where};
use crate::desk::finding::{COUNTED, FindResult, FoundReading, TextReading, either, find};
use crate::queue::filter::Filter;
use crate::queue::when::now;
use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Jobs of one reading that the page shows. Of a number or an address there is no list.
const SHOWN: u32 = 20;

/// For a link: `/search?q=2069`. Text that is nothing else leads to the errors that contain it; the box only offers
/// that, because the text would be in the address.
pub async fn search(
    State(shared): State<Arc<Shared>>,
    frame: Frame,
    RawQuery(query): RawQuery,
) -> Result<Response, ErrorPage> {
    let fields = FormFields::parse(query.unwrap_or_default().as_bytes());
    answer(&shared, &frame, &fields, true).await
}

/// For the box.
pub async fn search_posted(
    State(shared): State<Arc<Shared>>,
    frame: Frame,
    request: Request,
) -> Result<Response, ErrorPage> {
    if says_where(request.headers()) {
        require_from_here(request.headers(), &shared)?;
    }
    let fields = fields(request, &shared).await?;
    answer(&shared, &frame, &fields, false).await
}

async fn answer(
    shared: &Shared,
    frame: &Frame,
    fields: &FormFields,
    in_address: bool,
) -> Result<Response, ErrorPage> {
    let Some(text) = fields.get("q") else { return Ok(Redirect::to("/jobs").into_response()) };
    let mut reading = shared.reader.read().await?;
    let found = find(&mut reading, text, SHOWN).await?;
    reading.done();
    if let [only] = &found.findings[..]
        && let Some(path) = path_of(only)
    {
        return Ok(Redirect::to(&path).into_response());
    }
    let by_person = found.tried.iter().any(|reading| reading.is_personal());
    if found.findings.is_empty() && in_address && !by_person {
        return Ok(Redirect::to(&of_error(text)).into_response());
    }
    let page = html! {
        h1 { "Search" }
        @if found.findings.is_empty() { (nothing(text, &found)) }
        @for finding in &found.findings { (section(text, finding)) }
        @if !found.withheld.is_empty() {
            p .hint { "Not searched as " (either(&found.withheld)) ": this role may not read messages." }
        }
    };
    Ok(frame.still(Tab::Jobs, "Search", &page).into_response())
}

/// The one job, or the list; `None` for a list whose address would name a person.
fn path_of(finding: &FoundReading) -> Option<String> {
    match &finding.jobs[..] {
        [job] if finding.count == 1 => Some(format!("/jobs/{}", job.id)),
        _ if finding.reading.is_personal() => None,
        _ => Some(JobQuery::of_filter(finding.filter.clone()).path()),
    }
}

/// The jobs whose error contains the text, for text that is nothing else.
fn of_error(text: &str) -> String {
    JobQuery::of_filter(Filter { error: Some(text.to_owned()), ..Filter::default() }).path()
}

fn nothing(text: &str, found: &FindResult) -> Markup {
    let by_person = found.tried.iter().any(|reading| reading.is_personal());
    html! {
        p .calm { "No jobs found. Searched for it as " (either(&found.tried)) "." }
        @if by_person {
            p .hint { "A scrubbed message can no longer be found by its number or address, only by its contact or case." }
        } @else {
            p { a .button href=(of_error(text)) { "Search error texts" } }
        }
    }
}

fn section(text: &str, finding: &FoundReading) -> Markup {
    let shown = finding.jobs.len() as u64;
    let count = match finding.count {
        COUNTED.. => format!("{} jobs or more", number(COUNTED)),
        count => jobs(count),
    };
    html! {
        section .reading {
            h2 {
                (finding.reading.noun()) " " (short(text.trim_start_matches('#')))
                @if finding.reading != TextReading::Job { ": " (count) }
            }
            (table(&finding.jobs, now()))
            @if finding.count > shown {
                @if finding.reading.is_personal() {
                    p .hint { "The newest " (number(shown)) " are shown." }
                } @else {
                    p .more { a href=(JobQuery::of_filter(finding.filter.clone()).path()) { "All " (count) } }
                }
            }
            @if finding.reading.is_personal() { (contacts(finding)) }
        }
    }
}

/// Who receives these messages, scrubbed ones included.
fn contacts(finding: &FoundReading) -> Markup {
    let ids: BTreeSet<_> = finding.jobs.iter().filter_map(|job| job.contact_id).collect();
    html! {
        @if !ids.is_empty() {
            p .more {
                "All messages to "
                @for (at, id) in ids.iter().enumerate() {
                    @let of = Filter { contact: Some(id.to_string()), ..Filter::default() };
                    @if at > 0 { ", " } a href=(JobQuery::of_filter(of).path()) { "contact " (id) }
                }
            }
        }
    }
}
