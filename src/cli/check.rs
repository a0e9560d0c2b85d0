//! `check`: configuration, database and accounts, without sending anything.

use super::{Settings, output, problem};
use acquire_outbox::acquire::{AccountCheck, Endpoint, EndpointError};
use acquire_outbox::config::{Account, Config};
use acquire_outbox::queue::job::Channel;
use acquire_outbox::reload::connection;
use acquire_outbox::store::{Progress, RealPath, SqliteError, Store, StoreError, disk};
use anyhow::Result;
use futures_util::future::join_all;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox check
  acquire-outbox check --deep        before an upgrade, or after a full disk

Each account is asked, with its key, for a case that does not exist; no message is sent.
Exit status: 0 all is well, 1 a check failed, 78 the configuration is wrong.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Let SQLite read the whole file and look for damage; slow where it is large
    #[arg(long)]
    deep: bool,
}

/// A check's name, and what it found: wrong is `Err`.
struct Finding {
    name: String,
    found: Result<String, String>,
}

pub async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let config = match settings.load() {
        Ok(config) => config,
        Err(e) => {
            report(&Finding { name: "configuration".to_owned(), found: Err(problem::told(&e)) })?;
            return Ok(super::exit_code(&e));
        }
    };
    let accounts: Vec<_> = config.accounts.keys().map(String::as_str).collect();
    let found = Ok(format!("accounts: {}", accounts.join(", ")));
    let mut findings = vec![Finding { name: "configuration".to_owned(), found }];
    report(&findings[0])?;

    let found = database(&config, args.deep).await.map_err(|e| match &e {
        CheckError::Store(store) | CheckError::Write(store) => store.to_string(),
        _ => e.to_string(),
    });
    let path = config.database.display();
    findings.push(Finding { name: format!("database {path}"), found });
    report(&findings[1])?;
    if let Some(caution) = RealPath::of(&config.database).ok().as_ref().and_then(disk::caution) {
        output::line(output::plain(&format!("warn  database {path}: {caution}")))?;
    }

    let probes = config.accounts.values().map(|account| async {
        Finding { name: format!("account {}", account.name), found: probe(&config, account).await }
    });
    for finding in join_all(probes).await {
        report(&finding)?;
        findings.push(finding);
    }
    let well = findings.iter().all(|finding| finding.found.is_ok());
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(finding: &Finding) -> Result<()> {
    let (mark, text) = match &finding.found {
        Ok(text) => ("ok   ", text),
        Err(text) => ("FAIL ", text),
    };
    output::line(output::plain(&format!("{mark} {}: {text}", finding.name)))
}

const CHANGES_NOTHING: &str = "DELETE FROM outbox WHERE 0";

/// Opens it as it is, and asks for the write lock; nothing is written.
async fn database(config: &Config, deep: bool) -> Result<String, CheckError> {
    let path = &config.database;
    let real = RealPath::of(path).map_err(StoreError::from)?;
    real.require_only_one().map_err(StoreError::from)?;
    if path.exists() {
        disk::trial(&real).map_err(CheckError::Disk)?;
    }
    let mut store = Store::open_existing(path).await?;
    if store.is_sandbox() {
        return Err(StoreError::from(SqliteError::ForSandbox(path.clone())).into());
    }
    if let Some(noted) = Progress::noted(&real)
        && store.is_behind(&noted).await?
    {
        return Err(CheckError::Behind);
    }
    let version = store.schema_version().await?;
    let flaws = store.flaws().await?;
    if !flaws.is_empty() {
        return Err(CheckError::Store(
            SqliteError::Flawed { path: config.database.clone(), flaws }.into(),
        ));
    }
    let untouched = store.untouched().await?;
    if let Some(first) = untouched.first.first() {
        let rows = output::jobs(untouched.count);
        return Err(CheckError::Untouched(if untouched.count == 1 {
            format!("{rows} was written without the triggers and is in no queue (job {first})")
        } else {
            format!(
                "{rows} were written without the triggers and are in no queue (the first is job {first})"
            )
        }));
    }
    store.probe_write().await.map_err(CheckError::Write)?;
    // On a file that it may not write to, SQLite gives the lock and refuses the first statement.
    store.plain_sql(CHANGES_NOTHING).await.map_err(CheckError::Write)?;
    let aside = match store.asides(0).await?.count {
        0 => String::new(),
        count => format!("; {} set aside, see `acquire-outbox status`", output::jobs(count)),
    };
    if !deep {
        return Ok(format!("schema {version}, writable{aside}"));
    }
    match store.damage().await?.as_slice() {
        [] => Ok(format!("schema {version}, writable, undamaged{aside}")),
        damage => Err(CheckError::Damaged(damage.join("; "))),
    }
}

#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot be written to: {0}")]
    Write(StoreError),
    #[error("{0}")]
    Disk(String),
    #[error(
        "{0}: they were missing or turned off; `acquire-outbox run` checks and queues such rows; a \
         program that turns the triggers off must be changed"
    )]
    Untouched(String),
    #[error(
        "is older than what was sent from it, like a restored backup; the next `run` pauses everything \
         until a person decides, see docs/recipes.md"
    )]
    Behind,
    #[error("is damaged; restore a backup, or save what there is with `.recover`: {0}")]
    Damaged(String),
}

/// Asks Acquire whether it takes the account's key.
async fn probe(config: &Config, account: &Account) -> Result<String, String> {
    let address = match &account.proxy {
        Some(proxy) => format!("{}, through the proxy {proxy},", account.base_url),
        None => account.base_url.to_string(),
    };
    let endpoint = endpoint(config, account).map_err(|e| e.to_string())?;
    match endpoint.check_account().await {
        AccountCheck::Accepted => Ok(format!("{address} takes the key")),
        AccountCheck::AccountRefused(fault) => Err(format!(
            "{address} refuses the account: {}: {}; check its address and its key",
            fault.code, fault.message
        )),
        AccountCheck::Unreachable(fault) => {
            Err(format!("{address} cannot be reached: {}: {}", fault.code, fault.message))
        }
        AccountCheck::Unexpected(fault) => Err(format!(
            "{address} does not answer as Acquire does: {}: {}",
            fault.code, fault.message
        )),
    }
}

/// The probe is the same on every channel.
fn endpoint(config: &Config, account: &Account) -> Result<Endpoint, EndpointError> {
    let policy = &config.channels[&Channel::Chat];
    Endpoint::new(Channel::Chat, &connection(account, policy))
}
