//! `init`: creates the database, or brings its outbox up to date.

use super::{GlobalFlags, output};
use crate::config;
use crate::queue::policy::Purpose;
use crate::store::Store;
use anyhow::Result;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  acquire-outbox init
  acquire-outbox init --database /var/lib/shop/shop.db   (an application's)
  acquire-outbox init --database postgres://outbox@db/shop --schema messaging
  acquire-outbox init --dry-run > outbox.sql  for the database's administrator
  acquire-outbox init --sandbox --database sandbox.db  for `run --sandbox`

In an existing outbox it restores triggers, views, indexes, columns and
constraints that were removed. An outbox for the sandbox cannot be used for
anything else: `run` refuses it, and `run --sandbox` refuses any other.")]
pub struct InitArgs {
    /// Create an outbox for the sandbox: its messages are never delivered
    #[arg(long)]
    sandbox: bool,
    /// Change nothing; print the SQL that creates the outbox or brings it up to date
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(settings: &GlobalFlags, args: InitArgs) -> Result<ExitCode> {
    let (flags, env) = (settings.flags(), |name: &str| std::env::var_os(name));
    let (database, purpose) = if args.sandbox {
        (config::load_sandbox_database(&flags, &env)?, Purpose::Sandbox)
    } else {
        (config::load_database(&flags, &env)?, Purpose::Delivery)
    };
    if args.dry_run {
        output::line(Store::init_script(purpose, &database).await?.trim_end())?;
        return Ok(ExitCode::SUCCESS);
    }
    let (mut store, repaired) = Store::init(purpose, &database).await?;
    if !args.sandbox {
        store.fill_missing(&settings.outline()?.filled_channels()).await?;
    }
    store.close().await?;
    for flaw in &repaired {
        output::note(format!("repaired: {flaw}"));
    }
    if let Some(caution) = Store::storage(&database).caution {
        output::note(format!("warning: {database}: {caution}"));
    }
    if args.sandbox {
        output::line(format!("outbox for the sandbox ready in {database}"))?;
        output::note(format!(
            "Next: `acquire-outbox run --sandbox --database {database}` delivers to a stand-in for Acquire."
        ));
    } else {
        output::line(format!("outbox ready in {database}"))?;
        output::note(
            "Next: `acquire-outbox check` tries your account, `acquire-outbox run` delivers. To try it \
             out without an account: `acquire-outbox init --sandbox --database sandbox.db`.",
        );
    }
    Ok(ExitCode::SUCCESS)
}
