//! The service around the loop: the lock, the start, the signals.

use crate::acquire::{Connection, Endpoint, EndpointError};
use crate::config::Config;
use crate::dispatcher::{Dispatcher, Until, decide};
use crate::job::Channel;
use crate::lock::{DispatcherLock, LockError};
use crate::outcome::{Attempt, Fault, Outcome};
use crate::routes::{Route, Routes};
use crate::store::{Store, StoreError, now};
use crate::wake::Wake;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

/// Most rows that one transaction of the recovery decides.
const RECOVERY_BATCH: i64 = 500;
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
}

/// Runs the dispatcher on the configured database until it is told to stop.
///
/// A second one on the same file waits as a standby and takes over when the first ends.
pub async fn run(
    config: Config,
    until: Until,
    shutdown: impl Future<Output = ()>,
) -> Result<(), DaemonError> {
    tokio::pin!(shutdown);
    let routes = routes(&config)?;
    let lock = match DispatcherLock::try_take(&config.database)? {
        Some(lock) => lock,
        None => {
            info!(database = %config.database.display(), "another dispatcher works on this database: standing by");
            tokio::select! {
                lock = DispatcherLock::take(&config.database) => lock?,
                () = &mut shutdown => return Ok(()),
            }
        }
    };
    let started = async {
        let mut store = open(&config).await?;
        let epoch = store.begin_epoch().await?;
        let recovered = recover(&mut store, &config, epoch).await?;
        Ok::<_, StoreError>((store, epoch, recovered))
    };
    let (store, epoch, recovered) = tokio::select! {
        started = started => started?,
        () = &mut shutdown => return Ok(()),
    };
    let mut wake = Wake::watch(store.path());
    info!(database = %config.database.display(), recovered, accounts = routes.accounts().join(","), "ready");
    let dispatcher = Dispatcher::new(store, epoch, config, routes);
    let ended = dispatcher.run(until, &mut wake, shutdown).await;
    drop(lock);
    Ok(ended?)
}

/// Opens and migrates; a producer that holds the lock just now is waited for.
async fn open(config: &Config) -> Result<Store, StoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match Store::open(&config.database).await {
            Err(e) if e.is_busy() && tries < START_TRIES.0 => {
                warn!(error = %e, "the database is busy: trying again");
                tokio::time::sleep(START_TRIES.1).await;
            }
            done => return done,
        }
    }
}

fn routes(config: &Config) -> Result<Routes, EndpointError> {
    let mut routes = Vec::new();
    for (name, account) in &config.accounts {
        for channel in Channel::ALL {
            let policy = config.channels[&channel].clone();
            let connection = Connection {
                base_url: &account.base_url,
                api_key: &account.api_key,
                user_type_parameter: &account.user_type_parameter,
                request_timeout: policy.request_timeout,
                connect_timeout: policy.connect_timeout,
            };
            let endpoint = Arc::new(Endpoint::new(channel, &connection)?);
            routes.push(Route::new(name.clone(), channel, endpoint, policy));
        }
    }
    Ok(Routes::new(routes, config.retry.clone()))
}

/// Decides what a dead dispatcher left `sending`: each may have been sent, and no answer was
/// read. From the disk alone, by the channel's policy.
async fn recover(store: &mut Store, config: &Config, epoch: i64) -> Result<usize, StoreError> {
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
                decide(config, job, &attempt)
            })
            .collect();
        recovered += store.record(&ended, epoch).await?.len();
    }
}

/// Resolves at the first SIGTERM or Ctrl-C; from then on a second one ends the process at once,
/// which leaves the database true: what was on the wire is `sending`, and recovered at a start.
pub fn stop_signal() -> Result<impl Future<Output = ()>, DaemonError> {
    let mut term = signal(SignalKind::terminate()).map_err(DaemonError::Signals)?;
    let mut int = signal(SignalKind::interrupt()).map_err(DaemonError::Signals)?;
    Ok(async move {
        either(&mut term, &mut int).await;
        tokio::spawn(async move {
            either(&mut term, &mut int).await;
            warn!("stopped a second time: ending at once");
            std::process::exit(1);
        });
    })
}

async fn either(term: &mut Signal, int: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
