//! The question before a change.

use super::ChangeRequest;
use crate::desk::changes::Selection;
use crate::desk::vocabulary::{change_labels, decline, deed, question};
use crate::queue::change::Change;
use crate::queue::filter::{Filter, Page};
use crate::queue::job::Status;
use crate::queue::story::Delivery;
use crate::queue::when::now;
use crate::web::Shared;
use crate::web::display::{jobs, number};
use crate::web::error_page::ErrorPage;
use crate::web::job_list::table;
use crate::web::layout::{Frame, Tab};
use crate::web::parameters::JobQuery;
use crate::web::posted::Posted;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use std::sync::Arc;

/// How many of the jobs the question shows.
const SHOWN: u32 = 10;

/// How many of the checked jobs that cannot be changed are named.
const NAMED: usize = 5;

/// The jobs that a change is about.
struct FoundJobs {
    count: u64,
    some: Vec<Delivery>,
    /// Checked, but in a state in which the change is not possible.
    unfit: Vec<Delivery>,
}

/// `POST /jobs/confirm`: a page that asks, and changes nothing.
pub async fn ask(State(shared): State<Arc<Shared>>, posted: Posted) -> Result<Response, ErrorPage> {
    if let Some(back) = super::nothing_checked(&shared, &posted) {
        return Ok(back.into_response());
    }
    let mut request = ChangeRequest::read(&posted.fields)?;
    let FoundJobs { count, some, unfit } = find(&shared, &mut request).await?;
    let frame = Frame::of(&shared, posted.caller).await;
    let ChangeRequest { change, selection, back } = request;
    let labels = change_labels(change);
    let jobs = jobs(count);
    let title = question(change, &jobs);
    let content = html! {
        @if count == 0 {
            h1 { "Nothing to do" }
            p { "None of these jobs is in a state that allows this." }
            (left_alone(&unfit))
            p { a .button href=(back) { "Back" } }
        } @else {
            h1 { (title) }
            p { (labels.meaning) }
            (left_alone(&unfit))
            @if matches!(selection, Selection::Filter(_)) { p .hint { "Jobs that are inserted from now on are not affected." } }
            @if change == Change::Retry && may_be_uncertain(&selection, &some) {
                p .notice.bad { "An uncertain message may have been delivered. If it is sent again, it may arrive a second time." }
            }
            form .confirm method="post" action="/jobs/change" {
                (frame.csrf())
                input type="hidden" name="change" value=(labels.name);
                input type="hidden" name="back" value=(back);
                (hidden(&selection))
                div .buttons {
                    button .primary type="submit" autofocus { (deed(change, &jobs)) }
                    a .button href=(back) { (decline(change)) }
                }
            }
            (table(&some, now()))
            @if count > some.len() as u64 {
                p .hint { "and " (number(count - some.len() as u64)) " more" }
            }
        }
    };
    Ok(frame.still(Tab::Jobs, &title, &content).into_response())
}

/// The jobs of the selection. A filter is limited to the jobs of this moment, and checked ones to those that the
/// change is possible for.
async fn find(shared: &Shared, request: &mut ChangeRequest) -> Result<FoundJobs, ErrorPage> {
    let mut reading = shared.reader.read().await?;
    let possible = request.change.from();
    let found = match &mut request.selection {
        Selection::Ids(ids) => {
            let mut checked = Vec::new();
            for id in ids.iter() {
                checked.extend(reading.delivery(*id).await?);
            }
            let is_fit = |job: &Delivery| possible.iter().any(|state| state.as_str() == job.status);
            let (mut some, unfit): (Vec<_>, Vec<_>) = checked.into_iter().partition(is_fit);
            *ids = some.iter().map(|job| job.id).collect();
            some.truncate(SHOWN as usize);
            FoundJobs { count: ids.len() as u64, some, unfit }
        }
        Selection::Filter(filter) => {
            filter.up_to_id = Some(reading.last_id().await?);
            let some = reading.deliveries(filter, &Page::newest(SHOWN)).await?;
            FoundJobs { count: reading.count(filter).await?, some, unfit: Vec::new() }
        }
    };
    reading.done();
    Ok(found)
}

/// `Not changed: job 7 (sent), job 9 (sending), and 3 more.`
fn left_alone(unfit: &[Delivery]) -> Markup {
    let mut named: Vec<_> =
        unfit.iter().take(NAMED).map(|job| format!("job {} ({})", job.id, job.status)).collect();
    if unfit.len() > NAMED {
        named.push(format!("and {} more", unfit.len() - NAMED));
    }
    html! {
        @if !named.is_empty() { p .hint { "Not changed: " (named.join(", ")) "." } }
    }
}

fn may_be_uncertain(selection: &Selection, some: &[Delivery]) -> bool {
    match selection {
        Selection::Ids(_) => some.iter().any(|job| job.status == Status::Uncertain.as_str()),
        Selection::Filter(filter) => filter.statuses.contains(&Status::Uncertain),
    }
}

fn hidden(selection: &Selection) -> Markup {
    html! {
        @match selection {
            Selection::Ids(ids) => {
                @for id in ids { input type="hidden" name="id" value=(id); }
            }
            Selection::Filter(filter) => {
                input type="hidden" name="which" value="all";
                @for (name, value) in JobQuery::of_filter(Filter::clone(filter)).pairs() {
                    input type="hidden" name=(name) value=(value);
                }
                @if let Some(until) = filter.up_to_id { input type="hidden" name="until" value=(until); }
            }
        }
    }
}
