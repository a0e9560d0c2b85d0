//! One line of an import: the columns that it names, under the rules of the daemon.

use acquire_outbox::queue::job::Channel;
use acquire_outbox::queue::transfer::{NewRow, PRODUCER_COLUMNS};
use acquire_outbox::queue::{payload, when};
use serde_json::Value;

/// A line, and its row or the sentence that says what is wrong with it.
pub struct Line {
    /// From 1; of a record that spans several lines, the first.
    pub number: u64,
    pub row: Result<NewRow, String>,
}

const DISPATCHERS: [&str; 10] = [
    "status",
    "attempts",
    "next_attempt_at",
    "message_id",
    "receipt",
    "failure",
    "error_code",
    "error",
    "updated_at",
    "finished_at",
];

/// Names come from the file: shown short, and without control characters.
const NAME_CHARS: usize = 40;

/// The column of this name, or a sentence with the nearest one.
pub fn column(name: &str) -> Result<&'static str, String> {
    if let Some(known) = PRODUCER_COLUMNS.iter().find(|known| **known == name) {
        return Ok(known);
    }
    if DISPATCHERS.contains(&name) {
        return Err(format!("{name}: is written by the dispatcher; leave this column out"));
    }
    if name == "id" || name == "created_at" {
        return Err(format!("{name}: the database gives it; leave this column out"));
    }
    Err(unknown(name, &PRODUCER_COLUMNS))
}

/// The sentence for a name that is none of the known ones.
pub fn unknown(name: &str, known: &[&str]) -> String {
    let likeness = |known: &str| strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase());
    let nearest = known.iter().map(|known| (likeness(known), known));
    let nearest =
        nearest.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(likeness, _)| *likeness > 0.75);
    let shown = shown(name);
    match nearest {
        Some((_, nearest)) => format!("{shown}: unknown column, did you mean `{nearest}`?"),
        None => format!("{shown}: unknown column, known are {}", known.join(", ")),
    }
}

/// A name from the file, short.
pub fn shown(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { ' ' } else { c }).take(NAME_CHARS).collect()
}

/// Converts time text to UTC, or says why it is not a time.
pub fn read_times(row: &mut NewRow) -> Result<(), String> {
    for column in ["send_at", "expires_at"] {
        if let Some(Value::String(text)) = row.get_mut(column) {
            *text =
                when::iso(when::parse_time(text).map_err(|fault| format!("{column}: {fault}"))?);
        }
    }
    Ok(())
}

/// Checks what the triggers do not: the rest of the payload's rules, which else the daemon would
/// find broken, and the account where it is known which there are.
pub fn check(row: &NewRow, accounts: Option<&[String]>) -> Result<(), String> {
    let account = row.get("account").and_then(Value::as_str);
    if let (Some(account), Some(known)) = (account, accounts)
        && !known.iter().any(|name| name == account)
    {
        return Err(format!("account: is not configured; known are {}", known.join(", ")));
    }
    let text = |column: &str| row.get(column).and_then(Value::as_str);
    // Without a channel or a payload, the trigger's sentence says more.
    let channel: Option<Channel> = text("channel").and_then(|channel| channel.parse().ok());
    match (channel, text("payload")) {
        (Some(channel), Some(payload)) => {
            payload::parse(channel, payload).map(drop).map_err(|e| e.to_string())
        }
        _ => Ok(()),
    }
}
