//! A change of all jobs that pass a filter: in short transactions, beside everything else.

use super::Shared;
use super::actions::Verb;
use super::problem::Problem;
use super::session::Key;
use super::words::jobs;
use crate::store::edit::Change;
use crate::store::{Filter, Store, StoreError};
use axum::http::StatusCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

/// So long a browser waits for the end; then it goes on without it.
const PATIENCE: Duration = Duration::from_secs(3);
/// The pause after a batch that found the database busy, and how many there are in a row.
const BUSY: (Duration, u32) = (Duration::from_millis(200), 50);

/// One at a time.
#[derive(Default)]
pub struct Bulk {
    running: Mutex<Option<Progress>>,
    ending: AtomicBool,
}

#[derive(Clone, Copy)]
struct Progress {
    verb: &'static Verb,
    changed: u64,
}

impl Bulk {
    /// What is going on, for the pages to say.
    pub fn says(&self) -> Option<String> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.map(|p| format!("Under way: {} {} so far.", jobs(p.changed), p.verb.done))
    }

    /// The batch under way is the last one.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
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
        let of_task = Arc::clone(shared);
        let task = tokio::spawn(async move {
            let done = batches(&of_task, verb.change, filter).await;
            let changed = of_task.bulk.finish();
            info!(
                change = verb.name,
                changed, "asked for on the dashboard, of all that pass a filter"
            );
            let told = match done {
                Ok(()) => format!("{} {}.", jobs(changed), verb.done),
                Err(e) => {
                    warn!(error = %e, changed, "a change from the dashboard ended early");
                    format!("{} {}, then it ended early: {e}", jobs(changed), verb.done)
                }
            };
            if let Some(who) = who {
                of_task.sessions.tell(&who, told.clone());
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
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_some() {
            let sentence = "Another change of many jobs is under way; wait until it has ended";
            return Err(Problem::new(StatusCode::CONFLICT, sentence));
        }
        *running = Some(Progress { verb, changed: 0 });
        Ok(())
    }

    fn finish(&self) -> u64 {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.take().map_or(0, |progress| progress.changed)
    }

    fn add(&self, changed: u64) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(progress) = running.as_mut() {
            progress.changed += changed;
        }
    }
}

async fn batches(shared: &Shared, change: Change, mut filter: Filter) -> Result<(), StoreError> {
    let mut store = Store::open_existing(shared.reader.path()).await?;
    // Whoever was asked no question means what there is now.
    if filter.up_to_id.is_none() {
        filter.up_to_id = Some(store.largest_id().await?);
    }
    let (mut after, mut busy) = (i64::MIN, 0);
    while !shared.bulk.ending.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match batch(&mut store, change, &filter, after).await {
            Ok(None) => break,
            Ok(Some((last, changed))) => {
                (after, busy) = (last, 0);
                shared.bulk.add(changed);
                // As long as it took, others have the database.
                sleep(begun.elapsed()).await;
            }
            Err(e) if e.is_busy() && busy < BUSY.1 => {
                busy += 1;
                sleep(BUSY.0).await;
            }
            Err(e) => return Err(e),
        }
    }
    store.close().await
}

/// The last id that was looked at, and how many were changed; `None`: there are no more.
async fn batch(
    store: &mut Store,
    change: Change,
    filter: &Filter,
    after: i64,
) -> Result<Option<(i64, u64)>, StoreError> {
    let ids = store.ids_after(filter, after).await?;
    let Some(&last) = ids.last() else { return Ok(None) };
    Ok(Some((last, store.change_where(change, filter, &ids).await?)))
}
