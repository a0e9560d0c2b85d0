//! A change of all jobs that pass a filter. It runs in the background; the pages show its progress.

use super::Shared;
use super::display::{jobs, number};
use super::error_page::ErrorPage;
use super::session::Key;
use crate::desk::changes::Batches;
use crate::desk::vocabulary::change_labels;
use crate::queue::act::Actor;
use crate::queue::change::Change;
use crate::queue::filter::Filter;
use crate::store::{Store, StoreError};
use axum::http::StatusCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

/// How long a browser waits for the end before it gets a page that shows the progress.
const ANSWER_AFTER: Duration = Duration::from_secs(3);

/// At most one change runs at a time.
#[derive(Default)]
pub struct BackgroundChange {
    running: watch::Sender<Option<RunningChange>>,
    /// The program ends.
    ending: watch::Sender<bool>,
}

#[derive(Clone, Copy)]
struct RunningChange {
    change: Change,
    changed: u64,
    /// How many jobs the filter matched when it began, once they are counted.
    total: Option<u64>,
    /// A person has stopped it.
    stopped: bool,
}

impl BackgroundChange {
    /// The progress, as a sentence for the pages.
    pub fn says(&self) -> Option<String> {
        let running = *self.running.borrow();
        running.map(|RunningChange { change, changed, total, stopped }| {
            let count = total.map_or_else(
                || jobs(changed),
                |total| format!("{} of {}", number(changed), jobs(total)),
            );
            let done = change_labels(change).done;
            let end = if stopped { " Stopping." } else { "" };
            format!("In progress: {count} {done} so far.{end}")
        })
    }

    /// The current batch of the change that is running becomes its last one.
    pub fn stop(&self) {
        self.set(|running| running.stopped = true);
    }

    /// The current batch becomes the last one.
    pub fn end(&self) {
        self.ending.send_replace(true);
    }

    /// Waits until no change is running.
    pub async fn ended(&self) {
        let _ = self.running.subscribe().wait_for(Option::is_none).await;
    }

    /// Starts a change, and reports its result or that it continues in the background.
    pub async fn run(
        &self,
        shared: &Arc<Shared>,
        change: Change,
        filter: Filter,
        caller: Option<Key>,
        actor: Actor,
    ) -> Result<String, ErrorPage> {
        self.begin(change)?;
        let slot = Slot(Arc::clone(shared));
        let task = tokio::spawn(async move {
            let shared = Arc::clone(&slot.0);
            let done = change_all(&shared, change, filter, actor).await;
            let report = report(change, shared.background.changed(), done);
            // Before the report: no page may show both the progress and the result.
            drop(slot);
            if let Some(caller) = caller {
                shared.sessions.set_flash(&caller, report.clone());
            }
            report
        });
        match timeout(ANSWER_AFTER, task).await {
            Ok(Ok(report)) => Ok(report),
            Ok(Err(failed)) => Err(ErrorPage::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("the change failed: {failed}"),
            )),
            Err(_) => {
                Ok("There are many jobs: the change continues, and this page shows its progress."
                    .to_owned())
            }
        }
    }

    fn begin(&self, change: Change) -> Result<(), ErrorPage> {
        let begun = self.running.send_if_modified(|running| {
            let free = running.is_none();
            running.get_or_insert(RunningChange {
                change,
                changed: 0,
                total: None,
                stopped: false,
            });
            free
        });
        if begun {
            return Ok(());
        }
        let sentence = "Another bulk change is in progress; wait until it has ended";
        Err(ErrorPage::new(StatusCode::CONFLICT, sentence))
    }

    fn changed(&self) -> u64 {
        self.running.borrow().map_or(0, |running| running.changed)
    }

    fn set(&self, set: impl FnOnce(&mut RunningChange)) {
        self.running.send_modify(|running| {
            if let Some(running) = running.as_mut() {
                set(running);
            }
        });
    }

    fn is_stopped(&self) -> bool {
        self.running.borrow().is_some_and(|running| running.stopped)
    }
}

/// Frees the slot for the next change, even after a panic.
struct Slot(Arc<Shared>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.background.running.send_replace(None);
    }
}

/// The result, for the log and for the next page.
fn report(change: Change, changed: u64, done: Result<Completion, StoreError>) -> String {
    let labels = change_labels(change);
    info!(change = labels.name, changed, "changed jobs that match a filter, from the dashboard");
    let changed_jobs = format!("{} {}", jobs(changed), labels.done);
    let cause = match done {
        Ok(Completion::All) => return format!("{changed_jobs}."),
        Ok(Completion::Stopped) => {
            return format!("{changed_jobs}, then it was stopped. The others were not changed.");
        }
        Ok(Completion::Interrupted) => "the program is stopping".to_owned(),
        Err(e) => e.to_string(),
    };
    warn!(cause, changed, "a change from the dashboard ended early");
    format!("{changed_jobs}, then the change ended early: {cause}")
}

enum Completion {
    All,
    /// By a person.
    Stopped,
    /// The program stops, and some jobs may not have been changed.
    Interrupted,
}

async fn change_all(
    shared: &Shared,
    change: Change,
    mut filter: Filter,
    actor: Actor,
) -> Result<Completion, StoreError> {
    let mut store = Store::open(shared.reader.database()).await?;
    store.act_as(actor);
    // Without a question before, only the jobs of this moment are meant as well.
    if filter.up_to_id.is_none() {
        filter.up_to_id = Some(store.last_id().await?);
    }
    let mut ending = shared.background.ending.subscribe();
    let total = store.count(&filter).await?;
    shared.background.set(|running| running.total = Some(total));
    let mut batches = Batches::of_filter(&mut store, change, &filter);
    let mut completion = Completion::Interrupted;
    while !*ending.borrow() {
        if shared.background.is_stopped() {
            completion = Completion::Stopped;
            break;
        }
        if batches.next().await?.is_none() {
            completion = Completion::All;
            break;
        }
        let changed = batches.tally().changed;
        shared.background.set(|running| running.changed = changed);
        tokio::select! {
            () = batches.rest() => {}
            _ = ending.wait_for(|end| *end) => {}
        }
    }
    store.close().await?;
    Ok(completion)
}
