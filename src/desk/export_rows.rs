//! Jobs as rows of a file, CSV or JSON lines.

use super::spreadsheet::inert;
use crate::queue::payload::{Json, Object};
use crate::queue::transfer::ExportedJob;
use std::io::{self, Write};

/// A format of files with jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFormat {
    Csv,
    /// JSON lines.
    Jsonl,
}

/// In their order.
const COLUMNS: [&str; 20] = [
    "id",
    "channel",
    "account",
    "source",
    "idempotency_key",
    "status",
    "attempts",
    "message_id",
    "failure",
    "error_code",
    "error",
    "created_at",
    "send_at",
    "next_attempt_at",
    "finished_at",
    "delivery",
    "delivery_at",
    "case_id",
    "contact_id",
    "receipt",
];

/// Writes jobs, a row each.
pub enum ExportRows<W: Write> {
    Csv(Box<csv::Writer<W>>, Vec<&'static str>),
    Jsonl(W, Vec<&'static str>),
}

impl<W: Write> ExportRows<W> {
    pub fn new(out: W, format: RowFormat, with_payload: bool) -> Self {
        let columns = COLUMNS.into_iter().chain(with_payload.then_some("payload")).collect();
        match format {
            RowFormat::Csv => ExportRows::Csv(Box::new(csv::Writer::from_writer(out)), columns),
            RowFormat::Jsonl => ExportRows::Jsonl(out, columns),
        }
    }

    pub fn header(&mut self) -> io::Result<()> {
        match self {
            ExportRows::Csv(out, columns) => Ok(out.write_record(columns.iter())?),
            ExportRows::Jsonl(..) => Ok(()),
        }
    }

    pub fn row(&mut self, job: ExportedJob) -> io::Result<()> {
        let values = values(job)?;
        match self {
            ExportRows::Csv(out, columns) => {
                let cells = columns.iter().map(|column| values.get(*column).unwrap_or(&Json::Null));
                Ok(out.write_record(cells.map(cell))?)
            }
            ExportRows::Jsonl(out, columns) => {
                // A map would not keep the order of the columns.
                for (n, column) in columns.iter().enumerate() {
                    let value = values.get(*column).unwrap_or(&Json::Null);
                    write!(out, "{}\"{column}\":{value}", if n == 0 { "{" } else { "," })?;
                }
                writeln!(out, "}}")
            }
        }
    }

    pub fn end(&mut self) -> io::Result<()> {
        match self {
            ExportRows::Csv(out, _) => out.flush(),
            ExportRows::Jsonl(out, _) => out.flush(),
        }
    }
}

/// The values by column name.
fn values(job: ExportedJob) -> io::Result<Object> {
    let delivery = serde_json::to_string(&job.delivery)?;
    let mut values: Object = match Json::parse(&delivery).map_err(io::Error::other)? {
        Json::Object(values) => values,
        _ => Object::new(),
    };
    // JSON that is stored as text becomes JSON again, with all digits; other text stays text.
    let json = |text: String| Json::parse(&text).unwrap_or(Json::String(text));
    values.insert("receipt".to_owned(), job.receipt.map_or(Json::Null, json));
    values.insert("payload".to_owned(), job.payload.map_or(Json::Null, json));
    Ok(values)
}

/// A cell that is safe to open in a spreadsheet.
fn cell(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => inert(text).into_owned(),
        other => escaped(other.to_string()),
    }
}

/// JSON whose control characters are escaped, including those that it allows in a string.
fn escaped(json: String) -> String {
    if !json.contains(char::is_control) {
        return json;
    }
    let escape = |c: char| match c.is_control() {
        true => format!("\\u{:04x}", u32::from(c)),
        false => c.to_string(),
    };
    json.chars().map(escape).collect()
}
