//! `show`: one job, its history, and why it waits.

use super::{GlobalFlags, output, whole};
use acquire_outbox::desk::inspect::{Inspection, Scope, inspect};
use acquire_outbox::desk::job_json::JobJson;
use acquire_outbox::desk::vocabulary;
use acquire_outbox::queue::job::Millis;
use acquire_outbox::queue::story::{AttemptRow, Detail, Extent};
use acquire_outbox::store::{ALL, Store, listed};
use anyhow::{Context, Result};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  acquire-outbox show 17
  acquire-outbox show 17 --json | jq .history

The message's text is shown only with --payload.";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ShowArgs {
    /// The job's id
    #[arg(value_parser = whole, allow_negative_numbers = true)]
    id: i64,
    /// One JSON object: the columns of delivery_status, payload_bytes, receipt, next, waits_for, history
    #[arg(long)]
    json: bool,
    /// Show the payload too, with the message's text
    #[arg(long)]
    payload: bool,
}

pub async fn run(settings: &GlobalFlags, args: ShowArgs) -> Result<ExitCode> {
    let mut store = settings.open().await?;
    let id = args.id;
    let scope = Scope {
        extent: Extent::ALL,
        payload_characters: args.payload.then_some(ALL),
        policies: Some(&settings.outline()?.channels),
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
        print(job)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(job: Inspection) -> Result<()> {
    let Inspection { story, next, payload, now } = job;
    fields(&story.job, next.map(|next| next.sentence), payload, now).print()?;
    if !story.history.is_empty() {
        output::line("")?;
        history(&story.history).print()?;
    }
    Ok(())
}

fn fields(
    job: &Detail,
    next: Option<String>,
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
