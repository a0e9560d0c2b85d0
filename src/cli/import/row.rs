//! One line of an import: its columns, checked by the daemon's rules.

use crate::queue::job::Channel;
use crate::queue::transfer::{NewRow, PRODUCER_COLUMNS};
use crate::queue::{payload, when};
use serde_json::Value;

/// A line, and its row or the sentence that says what is wrong with it.
pub struct ImportLine {
    /// From 1; the first line of a record that spans several.
    pub number: u64,
    pub row: Result<NewRow, String>,
}

const DISPATCHERS: [&str; 12] = [
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
    "delivery",
    "delivery_at",
];

/// Names from the file are shown up to this length, without control characters.
const NAME_CHARS: usize = 40;

/// The column of this name, or a sentence with the most similar one.
pub fn column(name: &str) -> Result<&'static str, String> {
    if let Some(known) = PRODUCER_COLUMNS.iter().find(|known| **known == name) {
        return Ok(known);
    }
    if DISPATCHERS.contains(&name) {
        return Err(format!("{name}: is written by the dispatcher; leave this column out"));
    }
    if name == "id" || name == "created_at" {
        return Err(format!("{name}: is set by the database; leave this column out"));
    }
    Err(unknown(name, &PRODUCER_COLUMNS))
}

/// The sentence for an unknown name.
pub fn unknown(name: &str, known: &[&str]) -> String {
    let likeness = |known: &str| strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase());
    let nearest = known.iter().map(|known| (likeness(known), known));
    let nearest =
        nearest.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(likeness, _)| *likeness > 0.75);
    let shown = shown(name);
    match nearest {
        Some((_, nearest)) => format!("{shown}: unknown column, did you mean `{nearest}`?"),
        None => format!("{shown}: unknown column; the known ones are {}", known.join(", ")),
    }
}

/// A name from the file, shortened.
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

/// Checks what the triggers do not: the rest of the payload's rules, by which the daemon would
/// refuse it later, and the account, if the accounts are known.
pub fn check(row: &NewRow, accounts: Option<&[String]>) -> Result<(), String> {
    let account = row.get("account").and_then(Value::as_str);
    if let (Some(account), Some(known)) = (account, accounts)
        && !known.iter().any(|name| name == account)
    {
        return Err(format!(
            "account: is not configured; the configured accounts are {}",
            known.join(", ")
        ));
    }
    let text = |column: &str| row.get(column).and_then(Value::as_str);
    // Without a channel or a payload, the trigger's sentence is better.
    let channel: Option<Channel> = text("channel").and_then(|channel| channel.parse().ok());
    match (channel, text("payload")) {
        (Some(channel), Some(payload)) => {
            payload::check(channel, payload).map_err(|e| e.to_string())
        }
        _ => Ok(()),
    }
}
