//! The question before a change.

use super::{Asked, RETRY, Which};
use crate::queue::filter::{Filter, Page};
use crate::queue::job::Status;
use crate::queue::story::Delivery;
use crate::queue::when::now;
use crate::web::Shared;
use crate::web::error_page::Problem;
use crate::web::jobs::table;
use crate::web::layout::{Frame, Tab};
use crate::web::posted::Posted;
use crate::web::query::Query;
use crate::web::words::{jobs, number};
use axum::extract::State;
use maud::{Markup, html};
use std::sync::Arc;

/// The most jobs that the question shows.
const SHOWN: u32 = 10;

/// `POST /jobs/confirm`: a page that asks, and changes nothing.
pub async fn ask(State(shared): State<Arc<Shared>>, posted: Posted) -> Result<Markup, Problem> {
    let mut asked = Asked::read(&posted.fields)?;
    let (count, some) = found(&shared, &mut asked.which).await?;
    let frame = Frame::of(posted.caller);
    let verb = asked.verb;
    let title = format!("{}: {}?", verb.label, jobs(count));
    let uncertain = *verb == RETRY && may_be_uncertain(&asked.which, &some);
    let content = html! {
        @if count == 0 {
            h1 { "Nothing to do" }
            p { "None of these jobs is in a state from which this can be done." }
            p { a .button href=(asked.back) { "Back" } }
        } @else {
            h1 { (title) }
            p { (verb.explained) }
            @if matches!(asked.which, Which::All(_)) { p .hint { "Jobs that are inserted from now on stay as they are." } }
            @if uncertain {
                p .notice.bad { "An uncertain message may have arrived: sent again, it may arrive a second time." }
            }
            form .confirm method="post" action="/jobs/change" {
                (frame.csrf())
                input type="hidden" name="change" value=(verb.name);
                input type="hidden" name="back" value=(asked.back);
                (hidden(&asked.which))
                div .buttons {
                    button .primary type="submit" autofocus { (verb.label) }
                    a .button href=(asked.back) { "Back" }
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

/// How many there are, and some of them. All that pass become those of this moment.
async fn found(shared: &Shared, which: &mut Which) -> Result<(u64, Vec<Delivery>), Problem> {
    let mut reading = shared.reader.read().await?;
    let found = match which {
        Which::These(ids) => {
            let mut some = Vec::new();
            for id in ids.iter().take(SHOWN as usize) {
                some.extend(reading.delivery(*id).await?);
            }
            let count = if some.is_empty() { 0 } else { ids.len() as u64 };
            (count, some)
        }
        Which::All(filter) => {
            filter.up_to_id = Some(reading.last_id().await?);
            let some = reading.deliveries(filter, &Page::newest(SHOWN)).await?;
            (reading.count(filter).await?, some)
        }
    };
    reading.done();
    Ok(found)
}

fn may_be_uncertain(which: &Which, some: &[Delivery]) -> bool {
    match which {
        Which::These(_) => some.iter().any(|job| job.status == Status::Uncertain.as_str()),
        Which::All(filter) => filter.statuses.contains(&Status::Uncertain),
    }
}

fn hidden(which: &Which) -> Markup {
    html! {
        @match which {
            Which::These(ids) => {
                @for id in ids { input type="hidden" name="id" value=(id); }
            }
            Which::All(filter) => {
                input type="hidden" name="which" value="all";
                @for (name, value) in Query::of_filter(Filter::clone(filter)).pairs() {
                    input type="hidden" name=(name) value=(value);
                }
                @if let Some(until) = filter.up_to_id { input type="hidden" name="until" value=(until); }
            }
        }
    }
}
