//! `check`: configuration, database and accounts, without sending anything.

use super::{GlobalFlags, error_text, output};
use acquire_outbox::acquire::read_back::Capability;
use acquire_outbox::acquire::{AccountCheck, Endpoint, EndpointError};
use acquire_outbox::config::{self, Account, Config, LeftOut};
use acquire_outbox::queue::examination::{Depth, Examination, Healthy};
use acquire_outbox::queue::job::Channel;
use acquire_outbox::reload::{connection, reader};
use acquire_outbox::store::Store;
use anyhow::Result;
use futures_util::future::join_all;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox check
  acquire-outbox check --deep        before an upgrade, or after a full disk

Each account is asked, with its key, for a case that does not exist, and which of its calls read messages
back, so that `on_uncertain = \"verify\"` can look for a message; no message is sent. An account whose key
is a systemd credential is skipped outside the service, with the command that tries it.
Exit status: 0 all is well, 1 a check failed, 78 the configuration is wrong.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// Read the whole database and look for damage, as far as the engine can; slow where it is large
    #[arg(long)]
    deep: bool,
}

/// A check's name, and what it found: wrong is `Err`.
struct CheckedItem {
    name: String,
    found: Result<String, String>,
}

pub async fn run(settings: &GlobalFlags, args: CheckArgs) -> Result<ExitCode> {
    let loaded =
        config::load_without_credentials(&settings.flags(), &|name| std::env::var_os(name));
    let (config, left_out) = match loaded.map_err(anyhow::Error::from) {
        Ok(loaded) => loaded,
        Err(e) => {
            report(&CheckedItem {
                name: "configuration".to_owned(),
                found: Err(error_text::sentence_of(&e)),
            })?;
            return Ok(super::exit_code(&e));
        }
    };
    let accounts: Vec<_> = settings.outline()?.accounts.into_iter().collect();
    let found = Ok(format!("accounts: {}", accounts.join(", ")));
    let mut findings = vec![CheckedItem { name: "configuration".to_owned(), found }];
    report(&findings[0])?;

    let depth = if args.deep { Depth::Full } else { Depth::Quick };
    let Examination { verdict, caution } = Store::examine(&config.database, depth).await;
    let found = verdict.map(|healthy| described(healthy, depth));
    findings.push(CheckedItem { name: format!("database {}", config.database), found });
    report(&findings[1])?;
    if let Some(caution) = caution {
        output::line(output::plain(&format!("warn  database {}: {caution}", config.database)))?;
    }

    let probes = config.accounts.values().map(|account| async {
        CheckedItem {
            name: format!("account {}", account.name),
            found: probe(&config, account).await,
        }
    });
    for finding in join_all(probes).await {
        report(&finding)?;
        findings.push(finding);
    }
    // Only where an account takes the key is there anything to read.
    let accounts = config.accounts.values().zip(&findings[2..]);
    let readable = accounts.filter(|(_, finding)| finding.found.is_ok());
    let capabilities = join_all(readable.map(|(account, _)| verification(&config, account))).await;
    for finding in capabilities {
        report(&finding)?;
    }
    for LeftOut { part, reason } in left_out {
        output::line(output::plain(&format!("skip  {part}: {reason}")))?;
    }
    let well = findings.iter().all(|finding| finding.found.is_ok());
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(finding: &CheckedItem) -> Result<()> {
    let (mark, text) = match &finding.found {
        Ok(text) => ("ok   ", text),
        Err(text) => ("FAIL ", text),
    };
    output::line(output::plain(&format!("{mark} {}: {text}", finding.name)))
}

/// `schema 1, writable, undamaged; 2 jobs set aside, see ...`
fn described(healthy: Healthy, depth: Depth) -> String {
    let undamaged = if depth == Depth::Full { ", undamaged" } else { "" };
    let set_aside = match healthy.set_aside {
        0 => String::new(),
        count => format!("; {} set aside, see `acquire-outbox status`", output::jobs(count)),
    };
    format!("schema {}, writable{undamaged}{set_aside}", healthy.schema)
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

/// `chat by case-message, mail by thread, sms not possible here`: which calls read messages back. That
/// none does is no failure.
async fn verification(config: &Config, account: &Account) -> CheckedItem {
    let name = format!("verification, account {}", account.name);
    let reader = match reader(config, account) {
        Ok(reader) => reader,
        Err(error) => return CheckedItem { name, found: Err(error.to_string()) },
    };
    let mut found = Vec::new();
    for channel in Channel::ALL {
        let capability = reader.capability(channel).await;
        let why = match &capability {
            Capability::Impossible(fault) | Capability::Later(fault) => {
                format!(" ({})", fault.code)
            }
            Capability::By(_) | Capability::Untried => String::new(),
        };
        found.push(format!("{channel} {capability}{why}"));
    }
    CheckedItem { name, found: Ok(found.join(", ")) }
}

/// The probe is the same on every channel.
fn endpoint(config: &Config, account: &Account) -> Result<Endpoint, EndpointError> {
    let policy = &config.channels[&Channel::Chat];
    Endpoint::new(Channel::Chat, &connection(account, policy))
}
