//! `run`: the daemon.

use super::run_progress::{print_summary, shown_while};
use super::stand_in::StandIn;
use super::{GlobalFlags, flush_log};
use crate::config::{self, Config, Flags, ListenAddress};
use crate::daemon;
use crate::dispatcher::Until;
use crate::log;
use crate::metrics::Metrics;
use crate::reload::Reload;
use crate::store::{Absence, Store};
use anyhow::{Result, bail};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use tracing::{info, warn};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  acquire-outbox run                           until SIGTERM or Ctrl-C
  acquire-outbox run --until-empty             from a timer: send what is due
  acquire-outbox run --sandbox                 try it out: nothing is sent
  acquire-outbox run --listen 127.0.0.1:9464   with the dashboard

The first SIGTERM or Ctrl-C stops claiming, finishes the requests in flight
(shutdown_timeout, 30s) and exits 0; a second one exits at once. A second
`run` on the same database is a standby and takes over when the first ends.
SIGHUP reloads the configuration, including the keys, without interrupting a
request; a configuration that cannot be used changes nothing.

The dashboard is read-only unless it has a token:
ACQUIRE_OUTBOX_WEB_TOKEN_FILE, or [web] in the configuration. Without one it
can only listen on this machine.")]
pub struct RunArgs {
    /// Exit with 0 once nothing is due, being sent or in backoff, and print a summary; scheduled
    /// and paused jobs are only counted
    #[arg(long)]
    until_empty: bool,
    /// Send to a built-in stand-in for Acquire, whatever accounts are configured; needs an outbox made
    /// by `init --sandbox`, and creates outbox.db if no database is named
    #[arg(long)]
    sandbox: bool,
    /// Create the outbox first if there is none, as `init` does
    #[arg(long)]
    init: bool,
    /// Serve the dashboard on this IP:PORT [env: ACQUIRE_OUTBOX_LISTEN] [default: none]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<ListenAddress>,
}

pub async fn run(settings: &GlobalFlags, args: RunArgs) -> Result<ExitCode> {
    let until = if args.until_empty { Until::Empty } else { Until::Stopped };
    let stop = daemon::stop_signal(flush_log)?;
    let metrics = Metrics::of_this_process(log::lost());
    let flags = Flags { listen: args.listen, ..settings.flags() };
    let env = |name: &str| std::env::var_os(name);
    if !args.sandbox {
        let config = config::load(&flags, &env)?;
        if args.init {
            create(&config, Absence::Outbox).await?;
        }
        let reload = Reload::on_hangup(move || config::load(&flags, &env))?;
        return dispatch(config, metrics, until, reload, stop).await;
    }
    // Whoever names a database may have mistyped it.
    let may_lack = match (args.init, config::is_database_named(&flags, &env)?) {
        (true, _) => Some(Absence::Outbox),
        (false, true) => None,
        (false, false) => Some(Absence::Database),
    };
    let stand_in = StandIn::bind().await?;
    let address = stand_in.address.clone();
    let load = move || config::load_for_sandbox(&flags, &env, &address);
    let config = load()?;
    match may_lack {
        Some(most) => create(&config, most).await?,
        None => require_for_sandbox(&config).await?,
    }
    warn!(
        address = %stand_in.address,
        "SANDBOX: nothing is delivered; a stand-in accepts the jobs that become `sent`"
    );
    let serving = stand_in.serve();
    let done = dispatch(config, metrics, until, Reload::on_hangup(load)?, stop).await;
    serving.end().await?;
    warn!("SANDBOX: nothing was delivered");
    done
}

/// The daemon, with a summary where it ends by itself.
async fn dispatch(
    config: Config,
    metrics: Arc<Metrics>,
    until: Until,
    reload: Reload,
    stop: impl Future<Output = ()>,
) -> Result<ExitCode> {
    let (begun, database) = (Instant::now(), config.database.clone());
    let running = daemon::run(config, Arc::clone(&metrics), until, reload, stop);
    if until == Until::Stopped {
        running.await?;
        return Ok(ExitCode::SUCCESS);
    }
    shown_while(&metrics, &database, running).await?;
    print_summary(&metrics, begun)?;
    Ok(ExitCode::SUCCESS)
}

/// The dispatcher's own error names `init` without its flag.
async fn require_for_sandbox(config: &Config) -> Result<()> {
    let database = &config.database;
    match Store::absence(database).await? {
        Some(Absence::Database) => bail!(
            "there is no database at {database}; name another one with --database, or create it with \
             `acquire-outbox init --sandbox --database {database}`"
        ),
        _ => Ok(()),
    }
}

/// Creates the outbox if it is missing. `most`: what may be missing; an outbox is added to an
/// application's database only where that was asked for.
async fn create(config: &Config, most: Absence) -> Result<()> {
    match (Store::absence(&config.database).await?, most) {
        (None, _) | (Some(Absence::Outbox), Absence::Database) => Ok(()),
        _ => {
            let (mut store, _) = Store::init(config.purpose(), &config.database).await?;
            store.fill_missing(&config.filled_channels()).await?;
            store.close().await?;
            info!(database = %config.database, "created the outbox");
            Ok(())
        }
    }
}
