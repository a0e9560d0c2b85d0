//! The service around the loop: the lock, the start, the signals.

use crate::acquire::EndpointError;
use crate::config::Config;
use crate::descriptors;
use crate::dispatcher::{Dispatcher, ProgressNote, Until, decide};
use crate::memory;
use crate::metrics::{Metrics, State};
use crate::queue::outcome::{Attempt, Fault, Outcome};
use crate::queue::purpose::Purpose;
use crate::queue::when::now;
use crate::reload::{self, Reload};
use crate::service::Service;
use crate::store::sqlite::lock::{DispatcherLock, LockError};
use crate::store::sqlite::wake::Wake;
use crate::store::{Contents, Mend, Progress, RealPath, Store, StoreError, disk, listed};
use crate::web::{self, WebError};
use std::future::Future;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

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
    descriptors::raise_limit();
    memory::give_back();
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
    let started = tokio::select! {
        started = take_over(&config, &mut service, &metrics) => started?,
        () = &mut shutdown => {
            service.stopping(STOP_AT_ONCE);
            return Ok(());
        }
    };
    let Started { lock, store, epoch, recovered, note } = started;
    let mut wake = Wake::watch(store.path());
    let (database, accounts) = (config.database.display().to_string(), routes.accounts().join(","));
    // Before anybody hears of it: what is done to the file from then on is found out.
    let mut dispatcher = Dispatcher::new(store, epoch, config, routes, service, metrics)?;
    dispatcher.keep_note(note);
    info!(database, recovered, accounts, "ready");
    dispatcher.ready();
    let ended = dispatcher.run(until, &mut wake, &mut reload, shutdown).await;
    drop(lock);
    Ok(ended?)
}

/// The file that was taken over.
struct Started {
    lock: DispatcherLock,
    store: Store,
    epoch: i64,
    recovered: usize,
    note: Option<ProgressNote>,
}

/// Waits for the lock, opens the file and takes it over. If a link was changed meanwhile, the lock
/// belongs to another file: then all of this is done again.
async fn take_over(
    config: &Config,
    service: &mut Service,
    metrics: &Metrics,
) -> Result<Started, DaemonError> {
    // Before the lock: a dispatcher must not even stand by for a file that it may not work on.
    let mut tries = Tries::default();
    while let Err(e) = admit(config).await {
        if !tries.again(&e).await {
            return Err(e.into());
        }
    }
    if let Some(caution) = disk::caution(&RealPath::of(&config.database).map_err(StoreError::from)?)
    {
        warn!(database = %config.database.display(), "{caution}");
    }
    loop {
        let lock = match DispatcherLock::try_take(&config.database)? {
            Some(lock) => lock,
            None => {
                info!(database = %config.database.display(), "another dispatcher works on this database: standing by");
                service.standing_by(&config.database);
                metrics.enter(State::Standby);
                DispatcherLock::take(&config.database).await?
            }
        };
        service.recovering();
        metrics.enter(State::Starting);
        let mut tries = Tries::default();
        loop {
            match begin(&lock, config, metrics).await {
                Ok(Some((store, epoch, recovered, note))) => {
                    return Ok(Started { lock, store, epoch, recovered, note });
                }
                Ok(None) => break,
                Err(e) if tries.again(&e).await => {}
                Err(e) => return Err(e.into()),
            }
        }
        warn!(database = %config.database.display(), "the path now leads to another file: starting again");
    }
}

/// Whether a dispatcher of this kind may work on the file at all.
async fn admit(config: &Config) -> Result<(), StoreError> {
    RealPath::of(&config.database)?.require_only_one()?;
    let contents = Contents::of(&config.database).await?;
    match (config.purpose(), contents) {
        // Somebody's file, although without an outbox: `init --sandbox` can add one.
        (Purpose::Sandbox, Contents::NoOutbox) => {
            Err(crate::store::SqliteError::NotForSandbox(config.database.clone()).into())
        }
        (purpose, contents) => Ok(contents.require(purpose, &config.database)?),
    }
}

/// How many times a start has found the database busy.
#[derive(Default)]
struct Tries(u32);

impl Tries {
    /// Waits before the next try; false: it is another error, or there were enough tries.
    async fn again(&mut self, e: &StoreError) -> bool {
        self.0 += 1;
        let again = e.is_busy() && self.0 < START_TRIES.0;
        if again {
            warn!(error = %e, "the database is busy: trying again");
            tokio::time::sleep(START_TRIES.1).await;
        }
        again
    }
}

type Begun = (Store, i64, usize, Option<ProgressNote>);

/// Opens the file and takes it over; `None`: the lock is not its lock. A file that was replaced by
/// an older state is paused before anything else is done to it, and noted only then: if the start
/// is interrupted, the next one detects it again.
async fn begin(
    lock: &DispatcherLock,
    config: &Config,
    metrics: &Metrics,
) -> Result<Option<Begun>, StoreError> {
    let mut store = Store::open_for(config.purpose(), &config.database).await?;
    if !lock.guards(&config.database) {
        return Ok(None);
    }
    lock.align();
    let repaired = store.repair(Mend::Rules).await?;
    if !repaired.is_empty() {
        let repaired = listed(&repaired);
        warn!(repaired, "the rules of the outbox were missing or changed: they have been restored");
    }
    let database = RealPath::of(&config.database)?;
    let mut before = Progress::noted(&database);
    if let Some(noted) = &before
        && store.is_behind(noted).await?
    {
        let (database, jobs) = (config.database.display(), store.hold_restored(noted).await?);
        error!(
            %database,
            jobs,
            "the database is older than what was sent from it, like a restored backup; everything in it \
             is paused: `acquire-outbox status` says what to do"
        );
        before = None;
    }
    let epoch = store.begin_epoch().await?;
    let recovered = recover(&mut store, config, epoch, metrics).await?;
    let mut progress = store.progress(epoch).await?;
    if let Some(before) = before.filter(|before| before.outbox == progress.outbox) {
        (progress.job, progress.attempt) = (before.job, before.attempt);
    }
    Ok(Some((store, epoch, recovered, ProgressNote::begin(&database, progress))))
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
        let (left, unreadable) = store.sending_before(epoch, RECOVERY_BATCH).await?;
        if left.is_empty() && unreadable.is_empty() {
            return Ok(recovered);
        }
        store.doubt_unreadable(&unreadable).await?;
        for row in &unreadable {
            error!(
                job = row.id,
                error = row.sentence,
                "this row cannot be read, and may have been sent: it is uncertain and set aside"
            );
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
        let done = store.record_or_keep(&ended, epoch).await?;
        for (job, reason) in &done.aside {
            error!(
                job,
                error = reason,
                "the outcome of this job cannot be recorded: the job is set aside"
            );
        }
        recovered += done.ids.len() + unreadable.len();
        for (job, _) in &left {
            metrics.route(&job.account, job.channel).interrupted();
        }
        metrics.recorded(&ended);
    }
}

/// Resolves at the first SIGTERM or Ctrl-C, or when the terminal that the program was started on
/// goes away. From then on a SIGTERM or Ctrl-C ends the process at once, which leaves the database
/// true: what was on the wire is `sending`, and recovered at a start. `last_words` is called before
/// that.
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
