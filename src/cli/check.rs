//! `check`: configuration, database and accounts, without sending anything.

use super::{GlobalFlags, error_text, output};
use crate::acquire::read_back::Capability;
use crate::acquire::{AccountCheck, Endpoint, EndpointError};
use crate::config::{self, Account, Config, LeftOut};
use crate::queue::examination::{Depth, Examination, Healthy};
use crate::queue::job::Channel;
use crate::reload::{connection, reader};
use crate::store::Store;
use anyhow::Result;
use futures_util::future::join_all;
use serde::Serialize;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox check
  acquire-outbox check --deep        before an upgrade, or after a full disk
  acquire-outbox check --json | jq .ok

Each account's key is tried with a request for a case that does not exist, and
with the calls that read messages back, which `on_uncertain = \"verify\"` needs;
no message is sent. An account whose key is a systemd credential is skipped
outside the service; the output shows the command that tests it.
Exit status: 0 all is well, 1 a check failed, 78 the configuration is wrong.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// Read the whole database and look for damage, as far as the engine can; slow if it is large
    #[arg(long)]
    deep: bool,
    /// One JSON object: `ok`, and a list of the checks
    #[arg(long)]
    json: bool,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum CheckMark {
    Ok,
    Fail,
    Warn,
    /// It cannot be checked here.
    Skip,
}

#[derive(Serialize)]
struct CheckedItem {
    name: String,
    found: CheckMark,
    /// What is so, or what is wrong and what to do.
    text: String,
}

impl CheckedItem {
    fn new(name: impl Into<String>, found: CheckMark, text: impl Into<String>) -> CheckedItem {
        CheckedItem { name: name.into(), found, text: output::plain(&text.into()) }
    }

    fn of(name: impl Into<String>, found: Result<String, String>) -> CheckedItem {
        match found {
            Ok(text) => CheckedItem::new(name, CheckMark::Ok, text),
            Err(text) => CheckedItem::new(name, CheckMark::Fail, text),
        }
    }
}

/// Prints each check when it is done, or all of them at the end as JSON.
struct CheckReport {
    json: bool,
    checks: Vec<CheckedItem>,
}

#[derive(Serialize)]
struct CheckJson<'a> {
    ok: bool,
    checks: &'a [CheckedItem],
}

impl CheckReport {
    fn add(&mut self, item: CheckedItem) -> Result<()> {
        if !self.json {
            let mark = match item.found {
                CheckMark::Ok => "ok   ",
                CheckMark::Fail => "FAIL ",
                CheckMark::Warn => "warn ",
                CheckMark::Skip => "skip ",
            };
            output::line(format!("{mark} {}: {}", output::plain(&item.name), item.text))?;
        }
        self.checks.push(item);
        Ok(())
    }

    fn ok(&self) -> bool {
        self.checks.iter().all(|item| item.found != CheckMark::Fail)
    }

    fn end(&self) -> Result<()> {
        match self.json {
            true => output::json(&CheckJson { ok: self.ok(), checks: &self.checks }),
            false => Ok(()),
        }
    }
}

pub async fn run(settings: &GlobalFlags, args: CheckArgs) -> Result<ExitCode> {
    let mut report = CheckReport { json: args.json, checks: Vec::new() };
    let loaded =
        config::load_without_credentials(&settings.flags(), &|name| std::env::var_os(name));
    let (config, left_out) = match loaded.map_err(anyhow::Error::from) {
        Ok(loaded) => loaded,
        Err(e) => {
            report.add(CheckedItem::new(
                "configuration",
                CheckMark::Fail,
                error_text::sentence_of(&e),
            ))?;
            report.end()?;
            return Ok(super::exit_code(&e));
        }
    };
    let accounts: Vec<_> = settings.outline()?.accounts.into_keys().collect();
    let found = format!("accounts: {}", accounts.join(", "));
    report.add(CheckedItem::new("configuration", CheckMark::Ok, found))?;

    let depth = if args.deep { Depth::Full } else { Depth::Quick };
    let Examination { verdict, caution } = Store::examine(&config.database, depth).await;
    let name = format!("database {}", config.database);
    report.add(CheckedItem::of(&name, verdict.map(|healthy| described(healthy, depth))))?;
    if let Some(caution) = caution {
        report.add(CheckedItem::new(&name, CheckMark::Warn, caution))?;
    }

    let config = &config;
    let probes = config
        .accounts
        .values()
        .map(|account| async move { (account, probe(config, account).await) });
    // Only where the key is accepted is there anything to read.
    let mut readable = Vec::new();
    for (account, found) in join_all(probes).await {
        if found.is_ok() {
            readable.push(account);
        }
        report.add(CheckedItem::of(format!("account {}", account.name), found))?;
    }
    let readable = readable.into_iter().map(|account| verification(config, account));
    for item in join_all(readable).await {
        report.add(item)?;
    }
    for LeftOut { part, reason } in left_out {
        report.add(CheckedItem::new(part, CheckMark::Skip, reason.to_string()))?;
    }
    report.end()?;
    Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

/// Asks Acquire whether it accepts the account's key.
async fn probe(config: &Config, account: &Account) -> Result<String, String> {
    let address = match &account.proxy {
        Some(proxy) => format!("{}, through the proxy {proxy},", account.base_url),
        None => account.base_url.to_string(),
    };
    let endpoint = endpoint(config, account).map_err(|e| e.to_string())?;
    match endpoint.check_account().await {
        AccountCheck::Accepted => Ok(format!("{address} accepts the key")),
        AccountCheck::AccountRefused(fault) => Err(format!(
            "{address} refuses the account: {}: {}; check its address and its key",
            fault.code, fault.message
        )),
        AccountCheck::Unreachable(fault) => {
            Err(format!("{address} cannot be reached: {}: {}", fault.code, fault.message))
        }
        AccountCheck::Unexpected(fault) => Err(format!(
            "{address} does not answer like Acquire: {}: {}",
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
        Err(error) => return CheckedItem::new(name, CheckMark::Warn, error.to_string()),
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
    CheckedItem::new(name, CheckMark::Ok, found.join(", "))
}

/// The probe is the same on every channel.
fn endpoint(config: &Config, account: &Account) -> Result<Endpoint, EndpointError> {
    let policy = &config.channels[&Channel::Chat];
    Endpoint::new(Channel::Chat, &connection(account, policy))
}
