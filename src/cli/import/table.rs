//! CSV: a header with the columns' names, then a job per record.

mod separator;
mod track;

use super::row::{self, ImportLine};
use super::{LINE_BYTES, NOT_UTF8, NUL, NUMERIC, TOO_LONG};
use crate::desk::spreadsheet::as_written;
use crate::queue::job::Channel;
use crate::queue::payload;
use crate::queue::payload::{Json, Object};
use crate::queue::transfer::NewRow;
use anyhow::{Context, Result, bail};
use csv::ByteRecord;
use separator::{Again, Separator};
use serde_json::Value;
use std::io::{self, Read};
use track::{Track, Tracked};

pub struct CsvTable<R> {
    reader: csv::Reader<Tracked<Again<R>>>,
    columns: Vec<Column>,
    track: Track,
    ended: bool,
}

enum Column {
    /// A column of the outbox.
    Outbox(&'static str),
    /// A field of the payload, `payload.caseId`.
    Field(String),
    /// Spreadsheets write empty columns like this.
    Nameless,
}

impl<R: Read> CsvTable<R> {
    /// # Errors
    /// For a header that is missing, or has a column that is unknown or appears twice.
    pub fn new(input: R) -> Result<Self> {
        let (separator, input) = Separator::find(input)?;
        let track = Track::of_cells_between(separator.byte);
        let input = Tracked { input, track: track.clone() };
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(separator.byte)
            .from_reader(input);
        track.allow(LINE_BYTES);
        let mut header = ByteRecord::new();
        for _ in 0..=usize::from(separator.is_named) {
            reader.read_byte_record(&mut header).context("the header cannot be read")?;
        }
        let line = header.position().map_or(1, |position| track.line(position.byte()));
        let columns = columns(&header).with_context(|| format!("line {line}"))?;
        Ok(CsvTable { reader, columns, track, ended: false })
    }

    /// The next record that is not empty.
    pub fn next(&mut self) -> io::Result<Option<ImportLine>> {
        while !self.ended {
            self.track.allow(LINE_BYTES);
            let start = self.reader.position().byte();
            let mut record = ByteRecord::new();
            let row = match self.reader.read_byte_record(&mut record) {
                Ok(false) => return Ok(None),
                Ok(true) if self.track.ends_in_quotes(self.reader.position().byte()) => {
                    Err("a quote is opened and never closed".to_owned())
                }
                // Spreadsheets write an empty line like this.
                Ok(true) if record.iter().all(<[u8]>::is_empty) => continue,
                Ok(true) => self.row(&record),
                Err(_) if self.track.is_used_up() => {
                    // Where the next record begins is unknown: a quote may not be closed.
                    self.ended = true;
                    Err(format!("{TOO_LONG}, or a quote is not closed; the rest was not read"))
                }
                Err(e) => return Err(io::Error::other(e)),
            };
            return Ok(Some(ImportLine { number: self.track.line(start), row }));
        }
        Ok(None)
    }

    fn row(&self, record: &ByteRecord) -> Result<NewRow, String> {
        let (columns, cells) = (self.columns.len(), record.len());
        // Cells beyond the columns count as nameless columns.
        if cells < columns || record.iter().skip(columns).any(|cell| !cell.is_empty()) {
            return Err(format!("has {cells} values, but the header has {columns} columns"));
        }
        let (mut row, mut fields) = (NewRow::new(), Object::new());
        for (at, (column, cell)) in self.columns.iter().zip(record).enumerate() {
            let text = std::str::from_utf8(cell).map_err(|_| NOT_UTF8.to_owned())?;
            match column {
                _ if text.contains('\0') => return Err(NUL.to_owned()),
                _ if text.is_empty() => {}
                Column::Outbox(name) => {
                    row.insert((*name).to_owned(), typed(name, as_written(text)));
                }
                Column::Field(name) => {
                    fields.insert(name.clone(), field(name, as_written(text))?);
                }
                Column::Nameless => {
                    return Err(format!("has a value in column {}, which has no name", at + 1));
                }
            }
        }
        if !fields.is_empty() {
            let text = merged(row.remove("payload"), fields)?;
            row.insert("payload".to_owned(), text.into());
        }
        Ok(row)
    }
}

fn columns(header: &ByteRecord) -> Result<Vec<Column>> {
    let names: Vec<String> =
        header.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
    // Before any name is printed: without a header, these would be message text.
    let has = |start: &str| names.iter().any(|name| name.starts_with(start));
    if !has("channel") || !has("payload") {
        bail!("the header must name the columns: channel, and payload or payload.FIELD");
    }
    for (at, name) in names.iter().enumerate() {
        if !name.is_empty() && names[..at].contains(name) {
            bail!("{}: appears twice in the header", row::shown(name));
        }
    }
    names.iter().map(|name| column(name)).collect()
}

fn column(name: &str) -> Result<Column> {
    let named = match name.strip_prefix("payload.") {
        None if name.is_empty() => Ok(Column::Nameless),
        None => row::column(name).map(Column::Outbox),
        Some(field) => {
            let fields = Channel::ALL.map(payload::known_fields).concat();
            if fields.contains(&field) {
                return Ok(Column::Field(field.to_owned()));
            }
            Err(format!("payload.{}", row::unknown(field, &fields)))
        }
    };
    named.map_err(anyhow::Error::msg)
}

/// A value of a column; numeric columns get numbers.
fn typed(column: &str, text: &str) -> Value {
    match text.trim().parse::<i64>() {
        Ok(number) if NUMERIC.contains(&column) => number.into(),
        _ => text.into(),
    }
}

/// A value of a payload's field, of the type that the channels' rules require. Text that is not of
/// that type stays text, and the rules refuse it by the field's name.
fn field(name: &str, text: &str) -> Result<Json, String> {
    let as_it_is = || Ok(Json::from(text));
    match name {
        "caseId" | "contactId" | "threadId" | "timelineId" | "id" => {
            text.trim().parse::<i64>().map_or_else(|_| as_it_is(), |number| Ok(number.into()))
        }
        "isClosed" | "isMultiChannel" => text
            .trim()
            .to_lowercase()
            .parse::<bool>()
            .map_or_else(|_| as_it_is(), |is| Ok(is.into())),
        "attachments" | "extra" => json(name, text),
        "to" | "cc" | "bcc" if text.starts_with('[') => json(name, text),
        "to" | "cc" | "bcc" if text.contains(';') => Ok(addresses(text).into()),
        _ => as_it_is(),
    }
}

/// Addresses separated by semicolons. A semicolon in quotes is part of a name.
fn addresses(text: &str) -> Vec<String> {
    let mut quoted = false;
    let parts = text.split(|c| {
        quoted ^= c == '"';
        c == ';' && !quoted
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn json(name: &str, text: &str) -> Result<Json, String> {
    Json::parse(text).map_err(|fault| format!("payload.{name}: must be JSON; {fault}"))
}

/// The columns `payload.FIELD` together with the fields of `payload` itself.
fn merged(payload: Option<Value>, fields: Object) -> Result<String, String> {
    let mut object = match payload.as_ref().and_then(Value::as_str).map(Json::parse) {
        None => Object::new(),
        Some(Ok(Json::Object(object))) => object,
        Some(_) => return Err("payload: must be one JSON object".to_owned()),
    };
    for (name, value) in fields {
        if object.contains_key(&name) {
            return Err(format!("payload.{name}: is in payload as well"));
        }
        object.insert(name, value);
    }
    Ok(Json::Object(object).to_string())
}

#[cfg(test)]
mod tests;
