//! Tells somebody when the verdict changes or an uncertain job appears: `[notify]`.
//!
//! A separate task with a separate connection, which only reads: it never waits for the dispatcher,
//! and the dispatcher never waits for it. At most one call a minute, one at a time, each with a time
//! limit. A call that fails is repeated with growing pauses, with what is true by then.

mod call;
mod told;

use crate::config::{Config, Database, Notify};
use crate::desk::assessment::Assessment;
use crate::desk::checkup::{check_up, dispatching};
use crate::metrics::{DaemonState, Metrics};
use crate::queue::when::now;
use crate::store::{Store, StoreError};
use call::Call;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use told::LastTold;
use tracing::{info, warn};

/// How often the verdict is read. If that takes long, the next pause is [`REST`] times as long.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const REST: u32 = 50;
/// The shortest time between two calls that were made.
const QUIET: Duration = Duration::from_secs(60);
/// The pauses after calls that failed; the last one is repeated.
const AGAIN: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(900),
];

/// The task; dropping it ends it, and a call that is under way.
pub struct Notifier(JoinHandle<()>);

impl Drop for Notifier {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins to watch; `None` if nobody is to be notified.
pub fn start(config: &Config, metrics: &Arc<Metrics>) -> Option<Notifier> {
    let notify = config.notify.clone()?;
    let (database, metrics) = (config.database.clone(), Arc::clone(metrics));
    Some(Notifier(tokio::spawn(watch(notify, database, metrics))))
}

async fn watch(notify: Notify, database: Database, metrics: Arc<Metrics>) {
    let Some(call) = Call::of(notify, &database) else {
        warn!(
            "[notify]: the HTTP client cannot be set up, so nobody is notified when the verdict changes"
        );
        return;
    };
    let (mut told, mut store) = (LastTold::default(), None);
    let (mut next, mut failed) = (Instant::now(), 0);
    loop {
        let begun = Instant::now();
        // A standby leaves it to the process that dispatches; starting and stopping are no news.
        let speaks = matches!(metrics.state(), DaemonState::Dispatching | DaemonState::Trouble);
        if speaks && let Some(seen) = look(&mut store, &database, &metrics).await {
            told.saw(&seen);
            if let Some(news) = told.news(&seen).filter(|_| next <= Instant::now()) {
                match call.make(&seen, &news).await {
                    Ok(()) => {
                        info!(verdict = seen.condition.as_str(), event = news.event, "notified");
                        told.told(&seen);
                        (next, failed) = (Instant::now() + QUIET, 0);
                    }
                    Err(error) => {
                        let pause = AGAIN[failed.min(AGAIN.len() - 1)];
                        warn!(error, again_in = pause.as_secs(), "a notification failed");
                        (next, failed) = (Instant::now() + pause, failed + 1);
                    }
                }
            }
        }
        sleep(LOOK_EVERY.max(begun.elapsed() * REST)).await;
    }
}

/// The verdict. That nothing can be read is one, too.
async fn look(
    open: &mut Option<Store>,
    database: &Database,
    metrics: &Metrics,
) -> Option<Assessment> {
    match read(open, database, metrics).await {
        Ok(seen) => Some(seen),
        Err(_) => {
            *open = None;
            // A brief error is no verdict: the dispatcher itself reports when it cannot continue.
            (metrics.state() == DaemonState::Trouble).then(Assessment::unreadable)
        }
    }
}

async fn read(
    open: &mut Option<Store>,
    database: &Database,
    metrics: &Metrics,
) -> Result<Assessment, StoreError> {
    let mut store = match open.take().filter(Store::is_current) {
        Some(store) => store,
        None => Store::open_to_read(database).await?,
    };
    store.limit(LOOK_EVERY * 5);
    let dispatching = dispatching(metrics, database).await;
    let seen = check_up(&mut store, dispatching, now()).await?;
    *open = Some(store);
    Ok(seen)
}
