//! `status --by account`, `--by source`: how much each of them sends, how much fails and how much waits.

use crate::cli::output;
use crate::desk::shares::{self, Share};
use crate::queue::job::Millis;
use crate::queue::outcome_counts::{DAY_MS, HOUR_MS};
use crate::queue::when::{now, span};
use crate::store::Store;
use anyhow::Result;
use serde::Serialize;

/// What the jobs are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    Account,
    Source,
}

/// How many rows have a name: in a table, and in JSON.
const ROWS: (usize, usize) = (20, 1000);
/// How many jobs of each state and channel are looked at for their source.
const LOOKED_AT: u32 = 50_000;

#[derive(Serialize)]
struct SharesJson {
    by: By,
    since: String,
    at: String,
    shares: Vec<ShareJson>,
}

/// `name` is null for jobs without a source and, if `others`, for the sum of all that have no row.
#[derive(Serialize)]
struct ShareJson {
    name: Option<String>,
    others: bool,
    sent: u64,
    failed: u64,
    uncertain: u64,
    failed_share: f64,
    waiting: u64,
    oldest_due_seconds: Option<i64>,
    p95_seconds: Option<f64>,
}

pub async fn run(store: &mut Store, by: By, json: bool) -> Result<()> {
    let now = now();
    let since = now - DAY_MS;
    let rows = if json { ROWS.1 } else { ROWS.0 };
    let shares = match by {
        By::Account => {
            let history = store.history(since, HOUR_MS).await?;
            shares::by_account(&history, &store.backlogs(now).await?, rows)
        }
        By::Source => {
            let sources = store.sources(since, now, LOOKED_AT, u32::MAX).await?;
            shares::by_source(sources, rows)
        }
    };
    if json {
        let (since, at) = (output::iso(since), output::iso(now));
        let shares = shares.into_iter().map(|share| share_json(share, now)).collect();
        return output::json(&SharesJson { by, since, at, shares });
    }
    output::line(table(by, &shares, now).text())?;
    let bound = match by {
        By::Account => String::new(),
        By::Source => format!(", among the latest {LOOKED_AT} jobs of each state and channel"),
    };
    output::note(format!("sent and failed are counted over the last 24 hours{bound}"));
    Ok(())
}

fn share_json(share: Share, now: Millis) -> ShareJson {
    ShareJson {
        sent: share.tally.sent,
        failed: share.tally.failed,
        uncertain: share.tally.uncertain,
        failed_share: share.tally.failed_share(),
        waiting: share.waiting,
        oldest_due_seconds: share.oldest_due.map(|due| (now - due).max(0) / 1000),
        p95_seconds: share.tally.lateness(0.95).map(|late| late.as_secs_f64()),
        others: share.is_of_others,
        name: share.name,
    }
}

fn table(by: By, shares: &[Share], now: Millis) -> output::Table {
    let what = match by {
        By::Account => "account",
        By::Source => "source",
    };
    let header = ["sent", "failed", "failure rate", "waiting", "oldest due", "95% within"];
    let mut table = output::Table::new([what].into_iter().chain(header));
    for share in shares {
        let name = match (&share.name, share.is_of_others) {
            (_, true) => "(others)".to_owned(),
            (None, false) => "(none)".to_owned(),
            (Some(name), false) => name.clone(),
        };
        let late = share.tally.lateness(0.95);
        table.row([
            name,
            share.tally.sent.to_string(),
            share.tally.failed.to_string(),
            format!("{:.1}%", share.tally.failed_share() * 100.0),
            share.waiting.to_string(),
            share.oldest_due.map(|due| span((now - due).max(0))).unwrap_or_default(),
            late.map(|late| format!("{:.3} s", late.as_secs_f64())).unwrap_or_default(),
        ]);
    }
    table
}
