//! The question before a change.

use super::ChangeRequest;
use crate::desk::changes::Selection;
use crate::desk::vocabulary::{change_labels, question};
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
use maud::{Markup, html};
use std::sync::Arc;

/// How many of the jobs the question shows.
const SHOWN: u32 = 10;

/// `POST /jobs/confirm`: a page that asks, and changes nothing.
pub async fn ask(State(shared): State<Arc<Shared>>, posted: Posted) -> Result<Markup, ErrorPage> {
    let mut request = ChangeRequest::read(&posted.fields)?;
    let (count, some) = find(&shared, &mut request.selection).await?;
    let frame = Frame::of(posted.caller);
    let ChangeRequest { change, selection, back } = request;
    let labels = change_labels(change);
    let title = question(change, &jobs(count));
    let content = html! {
        @if count == 0 {
            h1 { "Nothing to do" }
            p { "None of these jobs is in a state in which this is possible." }
            p { a .button href=(back) { "Back" } }
        } @else {
            h1 { (title) }
            p { (labels.meaning) }
            @if matches!(selection, Selection::Filter(_)) { p .hint { "Jobs that are inserted from now on are not changed." } }
            @if change == Change::Retry && may_be_uncertain(&selection, &some) {
                p .notice.bad { "An uncertain message may have been delivered. If it is sent again, it may arrive a second time." }
            }
            form .confirm method="post" action="/jobs/change" {
                (frame.csrf())
                input type="hidden" name="change" value=(labels.name);
                input type="hidden" name="back" value=(back);
                (hidden(&selection))
                div .buttons {
                    button .primary type="submit" autofocus { (labels.label) }
                    a .button href=(back) { "Back" }
                }
            }
            (table(&some, now()))
            @if count > some.len() as u64 {
                p .hint { "and " (number(count - some.len() as u64)) " more" }
            }
        }
    };
    Ok(frame.still(Tab::Jobs, &title, &content))
}

/// How many jobs there are, and some of them. A filter is limited to the jobs of this moment.
async fn find(
    shared: &Shared,
    selection: &mut Selection,
) -> Result<(u64, Vec<Delivery>), ErrorPage> {
    let mut reading = shared.reader.read().await?;
    let found = match selection {
        Selection::Ids(ids) => {
            let mut some = Vec::new();
            for id in ids.iter().take(SHOWN as usize) {
                some.extend(reading.delivery(*id).await?);
            }
            let count = if some.is_empty() { 0 } else { ids.len() as u64 };
            (count, some)
        }
        Selection::Filter(filter) => {
            filter.up_to_id = Some(reading.last_id().await?);
            let some = reading.deliveries(filter, &Page::newest(SHOWN)).await?;
            (reading.count(filter).await?, some)
        }
    };
    reading.done();
    Ok(found)
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
