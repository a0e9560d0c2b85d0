//! `status`: counts, ages, and what holds jobs back.

use super::{Settings, output};
use acquire_outbox::job::{Channel, Millis, Status};
use acquire_outbox::lock;
use acquire_outbox::store::query::{Count, Overview};
use acquire_outbox::store::{Hold, HoldKind, now};
use anyhow::Result;
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox status
  acquire-outbox status --json | jq .oldest_due_seconds";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    database: String,
    dispatcher: &'a Dispatcher,
    counts: &'a [Count],
    oldest_due_seconds: Option<i64>,
    holds: Vec<ShownHold<'a>>,
}

/// Times are ISO 8601; a hold of the whole account has no channel.
#[derive(Serialize)]
struct ShownHold<'a> {
    account: &'a str,
    channel: Option<&'a String>,
    kind: HoldKind,
    reason: &'a str,
    since: String,
    until: Option<String>,
}

/// Whether a dispatcher works on the file, and which process it is.
#[derive(Serialize)]
struct Dispatcher {
    running: bool,
    pid: Option<i64>,
}

pub async fn run(settings: &Settings, args: Args) -> Result<ExitCode> {
    let mut store = settings.open().await?;
    let now = now();
    let seen = store.overview(now).await?;
    let running = lock::is_held(store.path())?;
    let dispatcher = Dispatcher { running, pid: seen.dispatcher_pid.filter(|_| running) };
    if args.json {
        output::json(&as_json(store.path(), &dispatcher, &seen, now))?;
    } else {
        print(store.path(), &dispatcher, &seen, now)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json<'a>(
    database: &Path,
    dispatcher: &'a Dispatcher,
    seen: &'a Overview,
    now: Millis,
) -> Shown<'a> {
    Shown {
        database: database.to_string_lossy().into_owned(),
        dispatcher,
        counts: &seen.counts,
        oldest_due_seconds: seen.oldest_due.map(|due| (now - due).max(0) / 1000),
        holds: seen.holds.iter().map(ShownHold::from).collect(),
    }
}

impl<'a> From<&'a Hold> for ShownHold<'a> {
    fn from(hold: &'a Hold) -> Self {
        ShownHold {
            account: &hold.account,
            channel: (!hold.channel.is_empty()).then_some(&hold.channel),
            kind: hold.kind,
            reason: &hold.reason,
            since: output::iso(hold.since),
            until: hold.until.map(output::iso),
        }
    }
}

fn print(database: &Path, dispatcher: &Dispatcher, seen: &Overview, now: Millis) -> Result<()> {
    let mut fields = output::Table::of_fields();
    fields.row(["database", &database.to_string_lossy()]);
    fields.row(["dispatcher", &dispatcher_text(dispatcher)]);
    let oldest = seen.oldest_due.map(|due| output::span((now - due).max(0)));
    fields.row(["oldest due", &oldest.map_or("nothing is due".to_owned(), |age| age + " ago")]);
    fields.print()?;
    output::line("")?;
    counts(&seen.counts).print()?;
    if !seen.holds.is_empty() {
        output::line("")?;
        holds(&seen.holds, now).print()?;
    }
    Ok(())
}

fn dispatcher_text(dispatcher: &Dispatcher) -> String {
    match (dispatcher.running, dispatcher.pid) {
        (true, Some(pid)) => format!("running, process {pid}"),
        (true, None) => "running".to_owned(),
        (false, _) => "not running; start one with `acquire-outbox run`".to_owned(),
    }
}

/// A row per channel, a column per state.
fn counts(counts: &[Count]) -> output::Table {
    let header = ["channel"].into_iter().chain(Status::ALL.map(Status::as_str));
    let mut table = output::Table::new(header);
    for channel in Channel::ALL {
        let of = |status: Status| {
            let this = |c: &&Count| c.channel == channel.as_str() && c.status == status.as_str();
            counts.iter().find(this).map_or(0, |c| c.count).to_string()
        };
        table.row([channel.to_string()].into_iter().chain(Status::ALL.map(of)));
    }
    table
}

fn holds(holds: &[Hold], now: Millis) -> output::Table {
    let mut table = output::Table::new(["account", "channel", "held because", "since", "until"]);
    for hold in holds {
        let why = match hold.kind {
            HoldKind::Refused => "the account is refused",
            HoldKind::RetryAfter => "Acquire asked for a pause",
            HoldKind::Breaker => "the breaker is open",
        };
        let channel = if hold.channel.is_empty() { "all" } else { &hold.channel };
        let until = hold.until.map(|at| output::when(&output::iso(at), now)).unwrap_or_default();
        table.row([
            hold.account.clone(),
            channel.to_owned(),
            format!("{why}: {}", hold.reason),
            output::when(&output::iso(hold.since), now),
            until,
        ]);
    }
    table
}
