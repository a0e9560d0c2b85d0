//! What a person does to jobs: the question first, where it cannot be taken back or is of many
//! jobs, then the change, then the page that it was asked for on.

mod confirm;

use super::Shared;
use super::error_page::Problem;
use super::guard::Caller;
use super::posted::{Fields, Posted};
use super::query::Query;
use super::words::{jobs, number};
use crate::queue::change::{Change, Mode, Refused};
use crate::queue::filter::Filter;
use crate::queue::job::Status;
use crate::store::{BATCH, Store};
use axum::extract::State;
use axum::response::Redirect;
use std::sync::Arc;
use tracing::info;

pub use confirm::ask;

/// A change, in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Verb {
    pub change: Change,
    /// In a form.
    pub name: &'static str,
    /// On a button.
    pub label: &'static str,
    /// What was done to the jobs.
    pub done: &'static str,
    /// What the jobs become.
    pub explained: &'static str,
}

pub static RETRY: Verb = Verb {
    change: Change::Retry,
    name: "retry",
    label: "Send again",
    done: "re-driven",
    explained: "They are pending again, each with a fresh budget of attempts and time.",
};

pub static CANCEL: Verb = Verb {
    change: Change::Cancel,
    name: "cancel",
    label: "Cancel",
    done: "cancelled",
    explained: "They will not be sent, unless somebody sends them again. One that is on its way \
                just now is not stopped.",
};

pub static ARRIVED: Verb = Verb {
    change: Change::ResolveSent,
    name: "arrived",
    label: "It arrived",
    done: "settled as sent",
    explained: "You have looked into their cases at Acquire and found them there. What is sent \
                stays sent.",
};

pub static LOST: Verb = Verb {
    change: Change::ResolveFailed,
    name: "lost",
    label: "It did not arrive",
    done: "settled as failed",
    explained: "You have looked into their cases at Acquire and not found them. They are not \
                sent, unless somebody sends them again.",
};

/// As the buttons stand beside each other.
pub static VERBS: [&Verb; 4] = [&RETRY, &CANCEL, &ARRIVED, &LOST];

/// Which jobs a form is about.
enum Which {
    These(Vec<i64>),
    /// All that pass, narrowed to the states from which the change leads.
    All(Box<Filter>),
}

struct Asked {
    verb: &'static Verb,
    which: Which,
    /// The page to go back to.
    back: String,
}

impl Asked {
    fn read(fields: &Fields) -> Result<Asked, Problem> {
        let word = fields.get("change").unwrap_or_default();
        let verb = VERBS.into_iter().find(|verb| verb.name == word).ok_or_else(|| {
            let known = VERBS.map(|verb| verb.name).join(", ");
            Problem::bad(format!("change: must be one of {known}"))
        })?;
        let query = Query::read(fields)?;
        let which = match fields.get("which") {
            None | Some("checked") => Which::These(ids(fields)?),
            Some("all") => {
                let filter = Filter { up_to_id: until(fields)?, ..query.filter.clone() };
                Which::All(Box::new(narrowed(filter, verb.change)))
            }
            Some(_) => return Err(Problem::bad("which: must be checked or all")),
        };
        let back = fields.path("back").map_or_else(|| query.path(), str::to_owned);
        Ok(Asked { verb, which, back })
    }
}

/// The last job that there was when the question was asked.
fn until(fields: &Fields) -> Result<Option<i64>, Problem> {
    let parsed = fields.get("until").map(str::parse).transpose();
    parsed.map_err(|_| Problem::bad("until: a whole number is needed"))
}

fn ids(fields: &Fields) -> Result<Vec<i64>, Problem> {
    let parsed = fields.all("id").map(str::parse::<i64>).collect::<Result<Vec<_>, _>>();
    let mut ids = parsed.map_err(|_| Problem::bad("id: a whole number is needed"))?;
    ids.sort_unstable();
    ids.dedup();
    match ids.is_empty() {
        true => Err(Problem::bad("No job is checked; go back and check some, or choose all")),
        false => Ok(ids),
    }
}

/// As the command line: a filter that names no state means failed jobs for a retry.
fn narrowed(mut filter: Filter, change: Change) -> Filter {
    let from = change.from();
    if !filter.statuses.is_empty() {
        filter.statuses.retain(|status| from.contains(status));
        // None of what is asked for can be changed so: let nothing pass, not everything.
        if filter.statuses.is_empty() {
            filter.statuses = vec![Status::Sending];
        }
    } else if change == Change::Retry {
        filter.statuses = vec![Status::Failed];
    } else {
        filter.statuses = from.to_vec();
    }
    filter
}

/// `POST /jobs/change`.
pub async fn change(
    State(shared): State<Arc<Shared>>,
    posted: Posted,
) -> Result<Redirect, Problem> {
    let Asked { verb, which, back } = Asked::read(&posted.fields)?;
    let key = match &posted.caller {
        Caller::Person { key, .. } => Some(*key),
        _ => None,
    };
    let told = match which {
        Which::These(ids) => by_id(&shared, verb, &ids).await?,
        Which::All(filter) => shared.bulk.run(&shared, verb, *filter, key).await?,
    };
    shared.changed().await;
    if let Some(key) = key {
        shared.sessions.set_flash(&key, told);
    }
    Ok(Redirect::to(&back))
}

async fn by_id(shared: &Shared, verb: &Verb, ids: &[i64]) -> Result<String, Problem> {
    let mut store = Store::open(shared.reader.database()).await?;
    let mut refused = Vec::new();
    for batch in ids.chunks(BATCH as usize) {
        refused.extend(store.change(verb.change, batch, Mode::Apply).await?);
    }
    store.close().await?;
    info!(
        change = verb.name,
        asked = ids.len(),
        refused = refused.len(),
        "asked for on the dashboard"
    );
    Ok(told(verb, ids.len(), &refused))
}

/// `2 jobs re-driven; job 7 was not: is sent already`.
fn told(verb: &Verb, asked: usize, refused: &[Refused]) -> String {
    let changed = asked.saturating_sub(refused.len());
    let mut text = format!("{} {}", jobs(changed as u64), verb.done);
    if let Some(first) = refused.first() {
        text += &format!("; job {} was not: {}", first.id, first.sentence);
    }
    if refused.len() > 1 {
        text += &format!(" (and {} more)", number(refused.len() as u64 - 1));
    }
    text + "."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_narrowed_to_what_can_be_changed() {
        let of = |statuses: &[Status]| Filter { statuses: statuses.to_vec(), ..Filter::default() };
        let narrow = |statuses: &[Status], change| narrowed(of(statuses), change).statuses;
        assert_eq!(narrow(&[], Change::Retry), [Status::Failed]);
        let asked = [Status::Sent, Status::Uncertain];
        assert_eq!(narrow(&asked, Change::Retry), [Status::Uncertain]);
        assert_eq!(narrow(&[], Change::Cancel), [Status::Pending]);
        assert_eq!(narrow(&[Status::Sent], Change::Cancel), [Status::Sending]);
        assert_eq!(narrow(&[], Change::ResolveSent), [Status::Uncertain]);
    }

    #[test]
    fn what_was_refused_is_told_with_its_reason() {
        let refused = |id| Refused { id, sentence: "is sent already".to_owned() };
        assert_eq!(told(&CANCEL, 1, &[]), "1 job cancelled.");
        assert_eq!(
            told(&RETRY, 3, &[refused(7), refused(8)]),
            "1 job re-driven; job 7 was not: is sent already (and 1 more)."
        );
    }
}
