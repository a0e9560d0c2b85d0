//! The service around the loop: the lock, the start, the signals.

use crate::acquire::EndpointError;
use crate::config::Config;
use crate::dispatcher::{Dispatcher, Until, decide};
use crate::lock::{DispatcherLock, LockError};
use crate::metrics::{Metrics, State};
use crate::outcome::{Attempt, Fault, Outcome};
use crate::reload::{self, Reload};
use crate::service::Service;
use crate::store::{Store, StoreError, now};
use crate::wake::Wake;
use crate::web::{self, WebError};
use std::future::Future;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

/// Most rows that one transaction of the recovery decides.
const RECOVERY_BATCH: i64 = 500;
/// How long a stop may take while nothing is on the wire: a statement may still wait for a lock.
const STOP_AT_ONCE: Duration = Duration::from_secs(20);
/// How often a start that finds the database busy tries again, and how long it waits between.
const START_TRIES: (u32, Duration) = (10, Duration::from_secs(1));

/// Why the daemon ended, or did not start.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("the HTTP client cannot be set up: {0}")]
    Endpoint(#[from] EndpointError),
    #[error("signals cannot be received: {0}")]
    Signals(std::io::Error),
    #[error(transparent)]
    Web(#[from] WebError),
}

/// Runs the dispatcher on the configured database until it is told to stop.
///
/// A second one on the same file waits as a standby and takes over when the first ends. `reload`
/// changes everything but the database and the dashboard while it runs. `metrics` hears how it
/// goes.
pub async fn run(
    config: Config,
    metrics: Arc<Metrics>,
    until: Until,
    reload: Reload,
    shutdown: impl Future<Output = ()>,
) -> Result<(), DaemonError> {
    let web = web::start(&config, &metrics).await?;
    let done = dispatch(config, metrics, until, reload, shutdown).await;
    // Last: it shows the drain, too.
    if let Some(web) = web {
        web.end().await;
    }
    done
}

async fn dispatch(
    config: Config,
    metrics: Arc<Metrics>,
    until: Until,
    mut reload: Reload,
    shutdown: impl Future<Output = ()>,
) -> Result<(), DaemonError> {
    tokio::pin!(shutdown);
    let routes = reload::routes(&config)?;
    let mut service = Service::from_environment();
    let lock = match DispatcherLock::try_take(&config.database)? {
        Some(lock) => lock,
        None => {
            info!(database = %config.database.display(), "another dispatcher works on this database: standing by");
            service.standing_by(&config.database);
            metrics.enter(State::Standby);
            tokio::select! {
                lock = DispatcherLock::take(&config.database) => lock?,
                () = &mut shutdown => {
                    service.stopping(STOP_AT_ONCE);
                    return Ok(());
                }
            }
        }
    };
    service.recovering();
    metrics.enter(State::Starting);
    let (store, epoch, recovered) = tokio::select! {
        started = start(&config, &metrics) => started?,
        () = &mut shutdown => {
            service.stopping(STOP_AT_ONCE);
            return Ok(());
        }
    };
    let mut wake = Wake::watch(store.path());
    let (database, accounts) = (config.database.display().to_string(), routes.accounts().join(","));
    // Before anybody hears of it: what is done to the file from then on is found out.
    let mut dispatcher = Dispatcher::new(store, epoch, config, routes, service, metrics)?;
    info!(database, recovered, accounts, "ready");
    dispatcher.ready();
    let ended = dispatcher.run(until, &mut wake, &mut reload, shutdown).await;
    drop(lock);
    Ok(ended?)
}

/// Opens and migrates, takes the file over and recovers; a producer that holds the lock just now
/// is waited for.
async fn start(config: &Config, metrics: &Metrics) -> Result<(Store, i64, usize), StoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let started = async {
            let mut store = Store::open(&config.database).await?;
            let epoch = store.begin_epoch().await?;
            let recovered = recover(&mut store, config, epoch, metrics).await?;
            Ok((store, epoch, recovered))
        };
        match started.await {
            Err(e) if StoreError::is_busy(&e) && tries < START_TRIES.0 => {
                warn!(error = %e, "the database is busy: trying again");
                tokio::time::sleep(START_TRIES.1).await;
            }
            done => return done,
        }
    }
}

/// Decides what a dead dispatcher left `sending`: each may have been sent, and no answer was
/// read. From the disk alone, by the channel's policy.
async fn recover(
    store: &mut Store,
    config: &Config,
    epoch: i64,
    metrics: &Metrics,
) -> Result<usize, StoreError> {
    let mut recovered = 0;
    loop {
        let left = store.sending_before(epoch, RECOVERY_BATCH).await?;
        if left.is_empty() {
            return Ok(recovered);
        }
        let ended: Vec<_> = left
            .iter()
            .map(|(job, claimed_at)| {
                let message = "the dispatcher ended while the request may have been on its way";
                let fault = Fault::new("interrupted", message);
                let attempt = Attempt {
                    outcome: Outcome::Unknown { fault },
                    http_status: None,
                    started_at: *claimed_at,
                    duration: Duration::from_millis(u64::try_from(now() - claimed_at).unwrap_or(0)),
                };
                decide(config, job, attempt)
            })
            .collect();
        recovered += store.record(&ended, epoch).await?.len();
        for (job, _) in &left {
            metrics.route(&job.account, job.channel).interrupted();
        }
        metrics.recorded(&ended);
    }
}

/// Resolves at the first SIGTERM or Ctrl-C, or when the terminal that the program was started on
/// goes away. From then on a SIGTERM or Ctrl-C ends the process at once, which leaves the
/// database true: what was on the wire is `sending`, and recovered at a start. `last_words` is called
/// before that.
pub fn stop_signal(
    last_words: impl FnOnce() + Send + 'static,
) -> Result<impl Future<Output = ()>, DaemonError> {
    let mut term = signal(SignalKind::terminate()).map_err(DaemonError::Signals)?;
    let mut int = signal(SignalKind::interrupt()).map_err(DaemonError::Signals)?;
    let gone = terminal_gone()?;
    Ok(async move {
        tokio::select! {
            () = either(&mut term, &mut int) => {}
            () = gone => {}
        }
        tokio::spawn(async move {
            either(&mut term, &mut int).await;
            warn!("stopped a second time: ending at once");
            last_words();
            std::process::exit(1);
        });
    })
}

/// Without a terminal a SIGHUP says nothing of one, and is left alone here.
fn terminal_gone() -> Result<impl Future<Output = ()>, DaemonError> {
    let hangup = std::io::stdin().is_terminal().then(|| signal(SignalKind::hangup()));
    let hangup = hangup.transpose().map_err(DaemonError::Signals)?;
    Ok(async move {
        let Some(mut hangup) = hangup else { return std::future::pending().await };
        while hangup.recv().await.is_some() && std::io::stdin().is_terminal() {}
    })
}

async fn either(term: &mut Signal, int: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
