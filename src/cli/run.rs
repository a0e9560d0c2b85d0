//! `run`: the daemon.

use super::{Settings, last_words};
use crate::log;
use acquire_outbox::config::{self, Flags, ListenAddress};
use acquire_outbox::daemon;
use acquire_outbox::dispatcher::Until;
use acquire_outbox::metrics::Metrics;
use acquire_outbox::reload::Reload;
use acquire_outbox::sandbox::{self, Sandbox};
use anyhow::{Context, Result};
use std::process::ExitCode;
use tokio::sync::oneshot;
use tracing::warn;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  acquire-outbox run                     as a service, until SIGTERM or Ctrl-C
  acquire-outbox run --until-empty       from a timer: deliver what is due, then exit
  acquire-outbox run --sandbox --database sandbox.db    try it out: nothing reaches Acquire
  acquire-outbox run --listen 127.0.0.1:9464            with the dashboard, for a browser

The first SIGTERM or Ctrl-C stops claiming, finishes what is on the wire (shutdown_timeout, 30s)
and exits 0; a second one exits at once. A second `run` on the same database stands by and takes
over when the first ends. SIGHUP reads the configuration anew, keys included, without dropping a
send; one that cannot be used changes nothing.

The dashboard is for reading unless it has a token: ACQUIRE_OUTBOX_WEB_TOKEN_FILE, or [web] in the
configuration. Only with one it may listen beyond this machine.")]
pub struct Args {
    /// Exit 0 once nothing is due, being sent or in backoff; jobs that are scheduled for later or
    /// paused are only counted
    #[arg(long)]
    until_empty: bool,
    /// Send to a built-in stand-in for Acquire, whatever accounts are configured; needs a database
    /// made by `init --sandbox`, or makes one if there is none
    #[arg(long)]
    sandbox: bool,
    /// Serve the dashboard on this IP:PORT [env: ACQUIRE_OUTBOX_LISTEN] [default: none]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<ListenAddress>,
}

pub async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let until = if args.until_empty { Until::Empty } else { Until::Stopped };
    let stop = daemon::stop_signal(last_words)?;
    let metrics = Metrics::of_this_process(log::lost());
    let flags = Flags { listen: args.listen, ..settings.flags() };
    let env = |name: &str| std::env::var_os(name);
    if !args.sandbox {
        let config = config::load(&flags, &env)?;
        let reload = Reload::on_hangup(move || config::load(&flags, &env))?;
        daemon::run(config, metrics, until, reload, stop).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let stand_in = Sandbox::bind(sandbox::Settings::default()).await?;
    let address = stand_in.base_url().parse().context("the sandbox's own address")?;
    let load = move || config::load_for_sandbox(&flags, &env, &address);
    let config = load()?;
    warn!(
        address = stand_in.base_url(),
        "SANDBOX: nothing is delivered; jobs that say `sent` were accepted by a stand-in"
    );
    // The stand-in goes last: it answers what the dispatcher still drains.
    let (end, ended) = oneshot::channel::<()>();
    let serving = tokio::spawn(stand_in.serve(async {
        let _ = ended.await;
    }));
    let done = daemon::run(config, metrics, until, Reload::on_hangup(load)?, stop).await;
    drop(end);
    serving.await.context("the sandbox")?;
    warn!("SANDBOX: nothing was delivered");
    done?;
    Ok(ExitCode::SUCCESS)
}
