//! Runs the dispatcher as a service: startup, signals and shutdown.

use crate::acquire::EndpointError;
use crate::config::Config;
use crate::dispatcher::{Dispatcher, Until, decide, interrupted, log_notice};
use crate::limits;
use crate::metrics::{DaemonState, Metrics};
use crate::notifier;
use crate::queue::job::Job;
use crate::reload::{self, Reload};
use crate::service::Service;
use crate::store::tenure::TakeOver;
use crate::store::{StoreError, Tenure};
use crate::web::{self, WebError};
use std::future::Future;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

/// How long a stop may take during startup, when a statement may be waiting for a lock.
const STOP_AT_ONCE: Duration = Duration::from_secs(20);

/// Why the daemon ended, or did not start.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the HTTP client cannot be set up: {0}")]
    Endpoint(#[from] EndpointError),
    #[error("signals cannot be received: {0}")]
    Signals(std::io::Error),
    #[error(transparent)]
    Web(#[from] WebError),
}

/// Runs the dispatcher on the configured database until `shutdown`, or until `until` is met.
///
/// A second dispatcher on the same database waits as a standby and takes over when the first ends.
/// `reload` can change every setting except the database and the dashboard.
pub async fn run(
    config: Config,
    metrics: Arc<Metrics>,
    until: Until,
    reload: Reload,
    shutdown: impl Future<Output = ()>,
) -> Result<(), DaemonError> {
    limits::set();
    let web = web::start(&config, &metrics).await?;
    let notifier = notifier::start(&config, &metrics);
    let done = dispatch(config, metrics, until, reload, shutdown).await;
    drop(notifier);
    // Last, so that the dashboard also shows the shutdown.
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
    let mut recovered = 0;
    let tenure = tokio::select! {
        taken = take_over(&config, &mut service, &metrics, &mut recovered) => taken?,
        () = &mut shutdown => {
            service.stopping(STOP_AT_ONCE);
            return Ok(());
        }
    };
    let (database, accounts) = (config.database.to_string(), routes.accounts().join(","));
    let mut dispatcher = Dispatcher::new(tenure, config, routes, service, metrics);
    info!(database, recovered, accounts, "ready");
    dispatcher.ready();
    Ok(dispatcher.run(until, &mut reload, shutdown).await?)
}

/// Takes over the outbox; `recovered` counts an earlier dispatcher's jobs that were decided.
async fn take_over(
    config: &Config,
    service: &mut Service,
    metrics: &Metrics,
    recovered: &mut usize,
) -> Result<Tenure, StoreError> {
    let on_event = |event: TakeOver<'_>| match event {
        TakeOver::StandingBy => {
            info!(database = %config.database, "another dispatcher works on this database: standing by");
            service.standing_by(&config.database);
            metrics.enter(DaemonState::Standby);
        }
        TakeOver::Recovering => {
            service.recovering();
            metrics.enter(DaemonState::Starting);
        }
        TakeOver::Recovered { jobs, ended, rows } => {
            *recovered += rows;
            for (job, _) in jobs {
                metrics.route(&job.account, job.channel).interrupted();
            }
            metrics.recorded(ended);
        }
        TakeOver::Noticed(notice) => log_notice(&notice),
    };
    let decide = |job: &Job, claimed_at| decide(config, job, interrupted(claimed_at));
    let mut tenure =
        Tenure::take_over(&config.database, config.purpose(), decide, on_event).await?;
    tenure.fill_missing(&config.filled_channels()).await?;
    Ok(tenure)
}

/// Resolves at the first SIGTERM or Ctrl-C, or when the controlling terminal is closed. Another SIGTERM or
/// Ctrl-C then ends the process at once, after `last_words`. That is safe: jobs in flight are still
/// `sending`, and the next start recovers them.
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
            warn!("asked to stop a second time: exiting at once");
            last_words();
            std::process::exit(1);
        });
    })
}

/// Resolves when the terminal is closed. Without a terminal, SIGHUP means a reload and is not handled here.
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
