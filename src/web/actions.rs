//! Changes of jobs: a page asks first if the change cannot be undone or is of many jobs; then the
//! change is made, and the next page reports it.

mod confirm;

use super::Shared;
use super::display::{jobs, number};
use super::error_page::ErrorPage;
use super::guard::Caller;
use super::parameters::JobQuery;
use super::posted::{FormFields, Posted};
use crate::desk::changes::{BatchStep, Batches, Selection, Tally};
use crate::desk::vocabulary::{ChangeLabels, change_labels};
use crate::queue::act::Actor;
use crate::queue::change::{Change, Mode, Resolution};
use crate::queue::filter::Filter;
use crate::store::Store;
use axum::extract::State;
use axum::response::Redirect;
use std::borrow::Cow;
use std::sync::Arc;
use tracing::info;

pub use confirm::ask;

/// The changes that the pages offer, in the order of their buttons.
pub const OFFERED: [Change; 6] = [
    Change::Retry,
    Change::TryNow,
    Change::Cancel,
    Change::Resolve(Resolution::Sent),
    Change::Resolve(Resolution::Failed),
    Change::Verify,
];

const NOTHING_CHECKED: &str = "No job is selected: select some, or choose all jobs that match.";

/// What a form asks for.
struct ChangeRequest {
    change: Change,
    selection: Selection,
    /// The page to go back to.
    back: String,
}

impl ChangeRequest {
    fn read(fields: &FormFields) -> Result<ChangeRequest, ErrorPage> {
        let name = fields.get("change").unwrap_or_default();
        let change = OFFERED.into_iter().find(|change| change_labels(*change).name == name);
        let change = change.ok_or_else(|| {
            let known = OFFERED.map(|change| change_labels(change).name).join(", ");
            ErrorPage::bad(format!("change: must be one of {known}"))
        })?;
        let query = JobQuery::read(fields)?;
        let selection = match fields.get("which") {
            None | Some("checked") => Selection::of_ids(ids(fields)?),
            Some("all") => {
                let filter = Filter { up_to_id: until(fields)?, ..query.filter.clone() };
                Selection::of_filter(filter, change)
            }
            Some(_) => return Err(ErrorPage::bad("which: must be checked or all")),
        };
        let back = fields.path("back").map_or_else(|| query.path(), str::to_owned);
        Ok(ChangeRequest { change, selection, back })
    }
}

/// The newest job at the time of the question.
fn until(fields: &FormFields) -> Result<Option<i64>, ErrorPage> {
    let parsed = fields.get("until").map(str::parse).transpose();
    parsed.map_err(|_| ErrorPage::bad("until: must be a whole number"))
}

fn ids(fields: &FormFields) -> Result<Vec<i64>, ErrorPage> {
    let parsed = fields.all("id").map(str::parse::<i64>).collect::<Result<Vec<_>, _>>();
    let ids = parsed.map_err(|_| ErrorPage::bad("id: must be a whole number"))?;
    match ids.is_empty() {
        true => Err(ErrorPage::bad(NOTHING_CHECKED)),
        false => Ok(ids),
    }
}

/// Back to the list, which says that nothing was selected; only for people, because a program needs the error.
fn nothing_checked(shared: &Shared, posted: &Posted) -> Option<Redirect> {
    let Caller::Person { key, .. } = &posted.caller else { return None };
    let fields = &posted.fields;
    let of_checked = matches!(fields.get("which"), None | Some("checked"));
    let are_checked = !of_checked || fields.get("id").is_some();
    let back = JobQuery::read(fields).ok().filter(|_| !are_checked)?.path();
    shared.sessions.set_flash(key, NOTHING_CHECKED.to_owned());
    Some(Redirect::to(&back))
}

/// `POST /jobs/stop`: the change that runs in the background ends after its current batch.
pub async fn stop(
    State(shared): State<Arc<Shared>>,
    posted: Posted,
) -> Result<Redirect, ErrorPage> {
    shared.background.stop();
    Ok(Redirect::to(posted.fields.path("back").unwrap_or("/jobs")))
}

/// `POST /jobs/change`.
pub async fn change(
    State(shared): State<Arc<Shared>>,
    posted: Posted,
) -> Result<Redirect, ErrorPage> {
    let ChangeRequest { change, selection, back } = ChangeRequest::read(&posted.fields)?;
    let key = match &posted.caller {
        Caller::Person { key, .. } => Some(*key),
        _ => None,
    };
    let actor = posted.caller.actor();
    let report = match selection {
        Selection::Ids(ids) => by_ids(&shared, change, &ids, actor).await?,
        Selection::Filter(filter) => {
            shared.background.run(&shared, change, *filter, key, actor).await?
        }
    };
    shared.changed().await;
    if let Some(key) = key {
        shared.sessions.set_flash(&key, report);
    }
    Ok(Redirect::to(&back))
}

/// The jobs of one page: a busy database is reported at once.
async fn by_ids(
    shared: &Shared,
    change: Change,
    ids: &[i64],
    actor: Actor,
) -> Result<String, ErrorPage> {
    let mut store = Store::open(shared.reader.database()).await?;
    store.act_as(actor);
    let mut batches = Batches::of_ids(&mut store, change, ids, Mode::Apply);
    while let Some(step) = batches.next().await? {
        if let BatchStep::Busy(e) = step {
            return Err(e.into());
        }
    }
    let tally = batches.into_tally();
    store.close().await?;
    let labels = change_labels(change);
    info!(
        change = labels.name,
        asked = ids.len(),
        refused = tally.refused.len(),
        "changed jobs from the dashboard"
    );
    Ok(report(labels, &tally))
}

/// `2 jobs retried; job 7 was not: it is sent already.`
fn report(labels: &ChangeLabels, tally: &Tally) -> String {
    let mut text = format!("{} {}", jobs(tally.changed), labels.done);
    if let Some(first) = tally.refused.first() {
        text += &format!("; job {} was not: {}", first.id, with_subject(&first.sentence));
    }
    if tally.refused.len() > 1 {
        text += &format!(" (and {} more)", number(tally.refused.len() as u64 - 1));
    }
    text + "."
}

/// `it is sent already`. Next to a job's id, as the commands print it, such a reason has no subject.
fn with_subject(reason: &str) -> Cow<'_, str> {
    match ["is ", "was ", "has "].iter().any(|verb| reason.starts_with(verb)) {
        true => Cow::Owned(format!("it {reason}")),
        false => Cow::Borrowed(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::change::Refused;

    #[test]
    fn a_report_names_the_first_refused_job_and_its_reason() {
        let refused = |id| Refused { id, sentence: "is sent already".to_owned() };
        let one = Tally { changed: 1, ..Tally::default() };
        assert_eq!(report(change_labels(Change::Cancel), &one), "1 job cancelled.");
        let some = Tally { refused: vec![refused(7), refused(8)], ..one };
        assert_eq!(
            report(change_labels(Change::Retry), &some),
            "1 job retried; job 7 was not: it is sent already (and 1 more)."
        );
    }
}
