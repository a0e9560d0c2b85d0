//! `show`: one job, its history, and why it waits.

use super::{GlobalFlags, output, whole};
use crate::acquire::curl_command;
use crate::config::Outline;
use crate::desk::inspect::{Inspection, Scope, inspect};
use crate::desk::job_json::JobJson;
use crate::desk::vocabulary;
use crate::queue::act::Act;
use crate::queue::job::Millis;
use crate::queue::payload::{Json, parse};
use crate::queue::story::{AttemptRow, Delivery, Detail, Extent};
use crate::store::{ALL, Store, listed};
use anyhow::{Context, Result};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox show 17
  acquire-outbox show 17 --json | jq .history
  acquire-outbox show --next-uncertain    the first to be decided
  acquire-outbox show 17 --next-uncertain  the one after job 17
  acquire-outbox show 17 --curl  its request, to try it by hand

The message's text is shown only with --payload and --curl.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ShowArgs {
    /// The job's id
    #[arg(value_parser = whole, allow_negative_numbers = true, required_unless_present = "next_uncertain")]
    #[arg(default_value_t = 0, hide_default_value = true)]
    id: i64,
    /// Show the next uncertain job after this id (or the first) that waits for a decision
    #[arg(long)]
    next_uncertain: bool,
    /// Print the job's request as a curl command, with the message's text but without the API key
    #[arg(long, conflicts_with_all = ["json", "payload"])]
    curl: bool,
    /// One JSON object: the columns of delivery_status, the receipt, why the job waits, its history and
    /// acts
    #[arg(long)]
    json: bool,
    /// Show the payload too, with the message's text
    #[arg(long)]
    payload: bool,
}

pub async fn run(settings: &GlobalFlags, args: ShowArgs) -> Result<ExitCode> {
    let mut store = settings.open().await?;
    let id = match args.next_uncertain {
        true => next_uncertain(&mut store, args.id).await?,
        false => args.id,
    };
    let outline = settings.outline()?;
    if args.curl {
        return curl(&mut store, id, &outline).await;
    }
    let scope = Scope {
        extent: Extent::ALL,
        payload_characters: args.payload.then_some(ALL),
        policies: Some(&outline.channels),
        dispatcher: Store::dispatcher_is_running(&store.database()).await?,
    };
    let job = inspect(&mut store, id, &scope).await?;
    let job = job.with_context(|| format!("there is no job {id}; see `acquire-outbox list`"))?;
    let flaws = store.flaws().await?;
    if !flaws.is_empty() {
        output::note(format!(
            "the schema is not as it should be: {}; repair it with `acquire-outbox init`",
            listed(&flaws)
        ));
    }
    if args.json {
        output::json(&JobJson::of(&job, store.is_sandbox()))?;
    } else {
        let link = inbox(&job.story.job.delivery, &outline);
        print(job, link)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The next one that a person has to decide about; after the last one, the first.
async fn next_uncertain(store: &mut Store, after: i64) -> Result<i64> {
    let next = match store.next_undecided(after).await? {
        None => store.next_undecided(0).await?,
        next => next,
    };
    next.context("no uncertain job waits for a decision")
}

/// Where its case is in Acquire's own inbox, if the configuration says it.
fn inbox(job: &Delivery, outline: &Outline) -> Option<String> {
    let url = outline.accounts.get(&job.account).and_then(|account| account.base_url.as_ref());
    outline.inbox.as_ref()?.of(job.case_id?, job.contact_id, url.and_then(|url| url.host_str()))
}

async fn curl(store: &mut Store, id: i64, outline: &Outline) -> Result<ExitCode> {
    let missing = || format!("there is no job {id}; see `acquire-outbox list`");
    let job = store.delivery(id).await?.with_context(missing)?;
    let payload = store.payload(id, ALL).await?.with_context(missing)?;
    let account = outline.accounts.get(&job.account);
    let (base, parameter) = account
        .and_then(|account| Some((account.base_url.as_ref()?, &account.user_type_parameter)))
        .with_context(|| {
            format!("the address of account {} is not configured here", job.account)
        })?;
    let channel = job.channel.parse()?;
    let payload = parse(channel, &payload).context("no request can be made from this payload")?;
    output::line(curl_command(base, parameter, &payload))?;
    Ok(ExitCode::SUCCESS)
}

fn print(job: Inspection, inbox: Option<String>) -> Result<()> {
    let Inspection { story, next, payload, now } = job;
    let next = next.map(|next| next.sentence);
    fields(&story.job, next, inbox, payload, now).print()?;
    if !story.history.is_empty() {
        output::line("")?;
        history(&story.history).print()?;
    }
    if !story.acts.is_empty() {
        output::line("")?;
        acts(&story.acts).print()?;
    }
    Ok(())
}

fn fields(
    job: &Detail,
    next: Option<String>,
    inbox: Option<String>,
    payload: Option<String>,
    now: Millis,
) -> output::Table {
    let time = |iso: &Option<String>| iso.as_deref().map(|iso| with_age(iso, now));
    let row = &job.delivery;
    let mut table = output::Table::of_fields();
    table.field("job", Some(format!("{} ({}, account {})", row.id, row.channel, row.account)));
    table.field("status", Some(vocabulary::state(row)));
    table.field("next", next);
    table.field("error", vocabulary::last_error(row));
    table.field("case", row.case_id.map(|id| id.to_string()));
    table.field("inbox", inbox);
    table.field("contact", row.contact_id.map(|id| id.to_string()));
    table.field("message id", row.message_id.clone());
    table.field("attempts", Some(attempts(job)));
    table.field("created", Some(with_age(&row.created_at, now)));
    table.field("send at", time(&row.send_at));
    table.field("next attempt", time(&row.next_attempt_at));
    table.field("seen at Acquire", job.seen_at_acquire());
    table.field("expires", job.expires.map(|at| with_age(&output::iso(at), now)));
    table.field("finished", time(&row.finished_at));
    table.field("delivery", job.what_became_of_it());
    table.field("priority", (job.priority != 0).then(|| job.priority.to_string()));
    table.field("source", row.source.clone());
    table.field("idempotency key", row.idempotency_key.clone());
    table.field("ordering key", job.ordering_key.as_ref().map(|key| format!("{key:?}")));
    table.field("receipt", job.receipt.clone());
    table.field("payload", Some(payload.unwrap_or_else(|| payload_outline(job))));
    table
}

fn attempts(job: &Detail) -> String {
    match job.max_attempts {
        Some(max) => format!("{} (at most {max})", job.delivery.attempts),
        None => job.delivery.attempts.to_string(),
    }
}

/// Its size and the names of its fields, without their values.
fn payload_outline(job: &Detail) -> String {
    let names: Vec<String> = serde_json::from_str(&job.payload_fields).unwrap_or_default();
    format!("{} bytes: {}", job.payload_bytes, names.join(", "))
}

/// The time and, on a terminal, how far away it is.
fn with_age(iso: &str, now: Millis) -> String {
    let age = output::when(iso, now);
    if age == iso { age } else { format!("{iso} ({age})") }
}

/// What people and programs have done to it.
fn acts(acts: &[Act]) -> output::Table {
    let with_payloads = acts.iter().any(|act| act.payload.is_some());
    let payload = with_payloads.then_some("payload before");
    let mut table = output::Table::new(["at", "done", "by"].into_iter().chain(payload));
    for act in acts {
        let before = || act.payload.as_ref().map(Json::to_string).unwrap_or_default();
        let payload = with_payloads.then(before);
        table.row([act.at.clone(), vocabulary::act(act), act.by()].into_iter().chain(payload));
    }
    table
}

fn history(history: &[AttemptRow]) -> output::Table {
    if output::to_people() { for_people(history) } else { every_column(history) }
}

/// The columns that fit on a terminal.
fn for_people(history: &[AttemptRow]) -> output::Table {
    let mut table = output::Table::new(["attempt", "started", "took", "outcome", "http", "error"]);
    for row in history {
        table.row([
            row.attempt.to_string(),
            row.started_at.clone(),
            format!("{} ms", row.duration_ms),
            row.outcome.clone(),
            row.http_status.map(|status| status.to_string()).unwrap_or_default(),
            row.error.as_ref().or(row.error_code.as_ref()).cloned().unwrap_or_default(),
        ]);
    }
    table
}

fn every_column(history: &[AttemptRow]) -> output::Table {
    let mut table = output::Table::new([
        "attempt",
        "started_at",
        "duration_ms",
        "outcome",
        "http_status",
        "error_code",
        "error",
    ]);
    for row in history {
        table.row([
            row.attempt.to_string(),
            row.started_at.clone(),
            row.duration_ms.to_string(),
            row.outcome.clone(),
            row.http_status.map(|status| status.to_string()).unwrap_or_default(),
            row.error_code.clone().unwrap_or_default(),
            row.error.clone().unwrap_or_default(),
        ]);
    }
    table
}
