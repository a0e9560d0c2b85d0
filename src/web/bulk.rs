//! A change of all jobs that pass a filter: in short transactions, beside everything else.

use super::Shared;
use super::actions::Verb;
use super::error_page::Problem;
use super::session::Key;
use super::words::jobs;
use crate::queue::change::Change;
use crate::queue::filter::Filter;
use crate::store::{BATCH, Store, StoreError};
use axum::http::StatusCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

/// So long a browser waits for the end; then it goes on without it.
const PATIENCE: Duration = Duration::from_secs(3);
/// The pause after a batch that found the database busy, and how many there are in a row.
const BUSY: (Duration, u32) = (Duration::from_millis(200), 50);

/// One at a time.
#[derive(Default)]
pub struct Bulk {
    running: watch::Sender<Option<Progress>>,
    ending: watch::Sender<bool>,
}

#[derive(Clone, Copy)]
struct Progress {
    verb: &'static Verb,
    changed: u64,
}

impl Bulk {
    /// What is going on, for the pages to say.
    pub fn says(&self) -> Option<String> {
        let running = *self.running.borrow();
        running.map(|p| format!("Under way: {} {} so far.", jobs(p.changed), p.verb.done))
    }

    /// The batch under way is the last one.
    pub fn end(&self) {
        self.ending.send_replace(true);
    }

    /// Waits until nothing is under way.
    pub async fn ended(&self) {
        let _ = self.running.subscribe().wait_for(Option::is_none).await;
    }

    /// Begins, and tells how it went, or that it goes on.
    pub async fn run(
        &self,
        shared: &Arc<Shared>,
        verb: &'static Verb,
        filter: Filter,
        who: Option<Key>,
    ) -> Result<String, Problem> {
        self.begin(verb)?;
        let under_way = UnderWay(Arc::clone(shared));
        let task = tokio::spawn(async move {
            let shared = Arc::clone(&under_way.0);
            let done = batches(&shared, verb.change, filter).await;
            let told = report(verb, shared.bulk.changed(), done);
            // First, so that no page says both that it goes on and how it went.
            drop(under_way);
            if let Some(who) = who {
                shared.sessions.set_flash(&who, told.clone());
            }
            told
        });
        match timeout(PATIENCE, task).await {
            Ok(Ok(told)) => Ok(told),
            Ok(Err(failed)) => Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("the change did not end as it should: {failed}"),
            )),
            Err(_) => {
                Ok("There are many: it goes on, and this page shows how far it is.".to_owned())
            }
        }
    }

    fn begin(&self, verb: &'static Verb) -> Result<(), Problem> {
        let begun = self.running.send_if_modified(|running| {
            let free = running.is_none();
            running.get_or_insert(Progress { verb, changed: 0 });
            free
        });
        if begun {
            return Ok(());
        }
        let sentence = "Another change of many jobs is under way; wait until it has ended";
        Err(Problem::new(StatusCode::CONFLICT, sentence))
    }

    fn changed(&self) -> u64 {
        self.running.borrow().map_or(0, |progress| progress.changed)
    }

    fn add(&self, changed: u64) {
        self.running.send_modify(|running| {
            if let Some(progress) = running.as_mut() {
                progress.changed += changed;
            }
        });
    }

    fn free(&self) {
        self.running.send_replace(None);
    }
}

/// A change under way: a panic in it must not keep the next one from beginning.
struct UnderWay(Arc<Shared>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.bulk.free();
    }
}

/// How a change went: a line in the log, and what its page says.
fn report(verb: &Verb, changed: u64, done: Result<Reached, StoreError>) -> String {
    info!(change = verb.name, changed, "asked for on the dashboard, of all that pass a filter");
    let cause = match done {
        Ok(Reached::All) => return format!("{} {}.", jobs(changed), verb.done),
        Ok(Reached::Some) => "the program ends".to_owned(),
        Err(e) => e.to_string(),
    };
    warn!(cause, changed, "a change from the dashboard ended early");
    format!("{} {}, then it ended early: {cause}", jobs(changed), verb.done)
}

/// How far a change came.
enum Reached {
    All,
    /// The program ends; there may be more.
    Some,
}

async fn batches(
    shared: &Shared,
    change: Change,
    mut filter: Filter,
) -> Result<Reached, StoreError> {
    let mut store = Store::open(shared.reader.database()).await?;
    // Whoever was asked no question means what there is now.
    if filter.up_to_id.is_none() {
        filter.up_to_id = Some(store.last_id().await?);
    }
    let (mut after, mut busy) = (i64::MIN, 0);
    let mut reached = Reached::Some;
    let mut ending = shared.bulk.ending.subscribe();
    while !*ending.borrow() {
        let begun = Instant::now();
        match batch(&mut store, change, &filter, after).await {
            Ok(None) => {
                reached = Reached::All;
                break;
            }
            Ok(Some((last, changed))) => {
                (after, busy) = (last, 0);
                shared.bulk.add(changed);
                // As long as it took, others have the database.
                let _ = timeout(begun.elapsed(), ending.wait_for(|end| *end)).await;
            }
            Err(e) if e.is_busy() && busy < BUSY.1 => {
                busy += 1;
                sleep(BUSY.0).await;
            }
            Err(e) => return Err(e),
        }
    }
    store.close().await?;
    Ok(reached)
}

/// The last id that was looked at, and how many were changed; `None`: there are no more.
async fn batch(
    store: &mut Store,
    change: Change,
    filter: &Filter,
    after: i64,
) -> Result<Option<(i64, u64)>, StoreError> {
    let ids = store.ids(filter, after, BATCH).await?;
    let Some(&last) = ids.last() else { return Ok(None) };
    Ok(Some((last, store.change_where(change, filter, &ids).await?)))
}
