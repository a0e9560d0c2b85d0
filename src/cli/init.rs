//! `init`: creates the database, or brings its outbox up to date.

use super::{Settings, output, problem};
use acquire_outbox::config;
use acquire_outbox::queue::policy::Purpose;
use acquire_outbox::store::{RealPath, Store, disk};
use anyhow::Result;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  acquire-outbox init
  acquire-outbox init --database /var/lib/shop/shop.db     in the application's own database
  acquire-outbox init --sandbox --database sandbox.db      for `run --sandbox`: nothing is delivered

In an existing outbox it restores triggers, views, indexes, columns and constraints that were removed.
An outbox for the sandbox stays one: `run` refuses it, and `run --sandbox` refuses any other.")]
pub struct Args {
    /// Make it for the sandbox: messages in it are never delivered
    #[arg(long)]
    sandbox: bool,
}

pub async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let (flags, env) = (settings.flags(), |name: &str| std::env::var_os(name));
    let (path, purpose) = if args.sandbox {
        (config::load_sandbox_database(&flags, &env)?, Purpose::Sandbox)
    } else {
        (config::load_database(&flags, &env)?, Purpose::Delivery)
    };
    problem::require_folder(&path)?;
    let (store, repaired) = Store::init(purpose, &path).await?;
    store.close().await?;
    for flaw in &repaired {
        output::note(format!("repaired: {flaw}"));
    }
    if let Some(caution) = disk::caution(&RealPath::of(&path)?) {
        output::note(format!("warning: {}: {caution}", path.display()));
    }
    let path = path.display();
    if args.sandbox {
        output::line(format!("outbox for the sandbox ready in {path}"))?;
        output::note(format!(
            "Next: `acquire-outbox run --sandbox --database {path}` delivers to a stand-in for Acquire."
        ));
    } else {
        output::line(format!("outbox ready in {path}"))?;
        output::note(
            "Next: `acquire-outbox check` tries your account, `acquire-outbox run` delivers. To try it \
             out without an account: `acquire-outbox init --sandbox --database sandbox.db`.",
        );
    }
    Ok(ExitCode::SUCCESS)
}
