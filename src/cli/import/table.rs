//! CSV: a header with the columns' names, then a row a record.

mod track;

use super::row::{self, Line};
use super::{LINE_BYTES, NUMERIC, TOO_LONG};
use acquire_outbox::job::Channel;
use acquire_outbox::payload;
use acquire_outbox::store::transfer::NewRow;
use anyhow::{Context, Result, bail};
use csv::ByteRecord;
use serde_json::{Map, Value};
use std::io::{self, Read};
use track::{Track, Tracked};

pub struct Table<R> {
    reader: csv::Reader<Tracked<R>>,
    columns: Vec<Column>,
    track: Track,
    ended: bool,
}

enum Column {
    /// A column of the outbox.
    Outbox(&'static str),
    /// A field of the payload, `payload.caseId`.
    Field(String),
}

impl<R: Read> Table<R> {
    /// # Errors
    /// For a header that is missing, or has a column that is unknown or stands twice.
    pub fn new(input: R) -> Result<Self> {
        let track = Track::default();
        let input = Tracked { input, track: track.clone() };
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(input);
        track.allow(LINE_BYTES);
        let header = reader.byte_headers().context("line 1: the header cannot be read")?.clone();
        let columns = columns(&header)?;
        Ok(Table { reader, columns, track, ended: false })
    }

    /// The next record that is not empty.
    pub fn next(&mut self) -> io::Result<Option<Line>> {
        if self.ended {
            return Ok(None);
        }
        self.track.allow(LINE_BYTES);
        let start = self.reader.position().byte();
        let mut record = ByteRecord::new();
        match self.reader.read_byte_record(&mut record) {
            Ok(false) => Ok(None),
            Ok(true) => Ok(Some(Line { number: self.track.line(start), row: self.row(&record) })),
            Err(_) if self.track.is_used_up() => {
                // Where it would go on is not known: it may be a quote that is not closed.
                self.ended = true;
                let sentence =
                    format!("{TOO_LONG}, or a quote is not closed; the rest was not read");
                Ok(Some(Line { number: self.track.line(start), row: Err(sentence) }))
            }
            Err(e) => Err(io::Error::other(e)),
        }
    }

    fn row(&self, record: &ByteRecord) -> Result<NewRow, String> {
        if record.len() != self.columns.len() {
            return Err(format!(
                "has {} values, but the header has {} columns",
                record.len(),
                self.columns.len()
            ));
        }
        let (mut row, mut fields) = (NewRow::new(), Map::new());
        for (column, cell) in self.columns.iter().zip(record) {
            let text = std::str::from_utf8(cell).map_err(|_| "must be text in UTF-8".to_owned())?;
            match column {
                _ if text.is_empty() => {}
                Column::Outbox(name) => {
                    row.insert((*name).to_owned(), plain(name, text));
                }
                Column::Field(name) => {
                    fields.insert(name.clone(), field(name, text)?);
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
    if let [one] = &names[..]
        && one.contains([';', '\t'])
    {
        bail!("line 1: the columns must stand between commas");
    }
    // Before a name is told: without a header these are the words of a message.
    let has = |start: &str| names.iter().any(|name| name.starts_with(start));
    if !has("channel") || !has("payload") {
        bail!(
            "line 1: a header is needed that names the columns: channel, and payload or \
             payload.FIELD"
        );
    }
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            bail!("line 1: {}: stands twice in the header", row::shown(name));
        }
    }
    names.iter().map(|name| column(name)).collect()
}

fn column(name: &str) -> Result<Column> {
    let named = match name.strip_prefix("payload.") {
        None => row::column(name).map(Column::Outbox),
        Some(field) => {
            let fields = Channel::ALL.map(payload::known_fields).concat();
            if fields.contains(&field) {
                return Ok(Column::Field(field.to_owned()));
            }
            Err(format!("payload.{}", row::unknown(field, &fields)))
        }
    };
    named.map_err(|sentence| anyhow::anyhow!("line 1: {sentence}"))
}

/// A value of a column: a number where the column is one.
fn plain(column: &str, text: &str) -> Value {
    match text.trim().parse::<i64>() {
        Ok(number) if NUMERIC.contains(&column) => number.into(),
        _ => text.into(),
    }
}

/// A value of a payload's field, of the type that the channels' rules ask for. Where the text is not
/// of that type it stays text, which the rules refuse by the field's name.
fn field(name: &str, text: &str) -> Result<Value, String> {
    let as_it_is = || Ok(Value::from(text));
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
        "to" | "cc" | "bcc" if text.contains(';') => {
            let addresses = text.split(';').map(str::trim).filter(|address| !address.is_empty());
            Ok(addresses.map(Value::from).collect())
        }
        _ => as_it_is(),
    }
}

fn json(name: &str, text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|e| {
        format!(
            "payload.{name}: must be JSON, the text breaks off being that at column {}",
            e.column()
        )
    })
}

/// The columns `payload.FIELD` beside those of `payload` itself.
fn merged(payload: Option<Value>, fields: Map<String, Value>) -> Result<String, String> {
    let mut object = match payload.as_ref().and_then(Value::as_str).map(serde_json::from_str) {
        None => Map::new(),
        Some(Ok(Value::Object(object))) => object,
        Some(_) => return Err("payload: must be one JSON object".to_owned()),
    };
    for (name, value) in fields {
        if object.contains_key(&name) {
            return Err(format!("payload.{name}: stands in payload, too"));
        }
        object.insert(name, value);
    }
    Ok(Value::Object(object).to_string())
}

#[cfg(test)]
mod tests;
