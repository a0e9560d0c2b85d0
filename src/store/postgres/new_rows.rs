//! Rows that are inserted, as columns of PostgreSQL's types. What no value of such a type can be is
//! refused here with the sentence that SQLite's triggers have for it; the rest, by the triggers.

use crate::queue::job::Millis;
use crate::queue::new_job::{GivenTime, NewJob};
use crate::queue::transfer::NewRow;
use crate::queue::when;
use serde_json::Value;
use serde_json::value::RawValue;

/// From the year 2000 on.
const TIMES: std::ops::RangeInclusive<Millis> = 946_684_800_000..=253_402_300_799_999;

/// A column of each kind of value, with a value for each row.
#[derive(Default)]
pub(super) struct NewRows {
    pub channel: Vec<String>,
    pub payload: Vec<String>,
    pub account: Vec<String>,
    pub idempotency_key: Vec<Option<String>>,
    pub ordering_key: Vec<Option<String>>,
    pub priority: Vec<i16>,
    pub send_at: Vec<Option<Millis>>,
    pub expires_at: Vec<Option<Millis>>,
    pub max_attempts: Vec<Option<i32>>,
    pub source: Vec<Option<String>>,
}

impl NewRows {
    /// # Errors
    /// The sentence of the rule that the row breaks.
    pub fn of_job(job: &NewJob) -> Result<NewRows, String> {
        let time = |given: &Option<GivenTime>| match given {
            None => Value::Null,
            Some(GivenTime::Millis(millis)) => (*millis).into(),
            Some(GivenTime::Text(text)) => text.as_str().into(),
        };
        let row = [
            ("channel", job.channel.as_str().into()),
            ("payload", job.payload.as_str().into()),
            ("account", job.account.as_str().into()),
            ("idempotency_key", job.idempotency_key.as_deref().into()),
            ("ordering_key", job.ordering_key.as_deref().into()),
            ("priority", job.priority.into()),
            ("send_at", time(&job.send_at)),
            ("expires_at", time(&job.expires_at)),
            ("max_attempts", job.max_attempts.into()),
            ("source", job.source.as_deref().into()),
        ];
        NewRows::of(&[row.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()])
    }

    /// # Errors
    /// The sentence of the rule that one of the rows breaks.
    pub fn of(rows: &[NewRow]) -> Result<NewRows, String> {
        let mut all = NewRows::default();
        for row in rows {
            all.push(row)?;
        }
        Ok(all)
    }

    fn push(&mut self, row: &NewRow) -> Result<(), String> {
        let channel = text(row, "channel")?;
        let known = channel.filter(|channel| channel.parse::<crate::queue::job::Channel>().is_ok());
        self.channel.push(known.ok_or("outbox.channel: must be chat, mail or sms")?);
        self.account.push(account(row)?);
        self.idempotency_key.push(text(row, "idempotency_key")?);
        self.ordering_key.push(text(row, "ordering_key")?);
        self.source.push(text(row, "source")?);
        self.priority.push(priority(row)?);
        self.max_attempts.push(max_attempts(row)?);
        self.payload.push(payload(row)?);
        self.send_at.push(time(row, "send_at")?);
        self.expires_at.push(time(row, "expires_at")?);
        Ok(())
    }
}

/// As SQLite puts a value into a column of text.
fn text(row: &NewRow, column: &str) -> Result<Option<String>, String> {
    let text = match row.get(column) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) if number.is_f64() => {
            return Err(format!(
                "outbox.{column}: looks like a number that was bound as a float and may have lost \
                 digits; bind it as text"
            ));
        }
        Some(other) => other.to_string(),
    };
    if text.contains('\0') {
        return Err(format!("outbox.{column}: must not contain a NUL character"));
    }
    Ok(Some(text))
}

fn account(row: &NewRow) -> Result<String, String> {
    match row.get("account") {
        Some(Value::String(account)) if account.contains('\0') => {
            Err("outbox.account: must be printable ASCII, as the configured names are".to_owned())
        }
        _ => Ok(text(row, "account")?.unwrap_or_else(|| "default".to_owned())),
    }
}

/// A whole number, also as text; `Err` for anything else.
fn whole(value: &Value) -> Result<i64, ()> {
    match value {
        Value::Number(number) => number.as_i64().ok_or(()),
        Value::String(text) => text.trim().parse().map_err(|_| ()),
        _ => Err(()),
    }
}

fn priority(row: &NewRow) -> Result<i16, String> {
    let sentence = || "outbox.priority: must be a whole number from 0 to 9".to_owned();
    match row.get("priority") {
        None | Some(Value::Null) => Ok(0),
        Some(value) => {
            let number = whole(value).map_err(|()| sentence())?;
            i16::try_from(number).map_err(|_| sentence())
        }
    }
}

fn max_attempts(row: &NewRow) -> Result<Option<i32>, String> {
    let sentence = || {
        "outbox.max_attempts: must be a whole number of at least 1, or NULL for the configured one"
            .to_owned()
    };
    match row.get("max_attempts") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = whole(value).map_err(|()| sentence())?;
            // More attempts than fit into the column are as many as anybody makes.
            Ok(Some(i32::try_from(number).unwrap_or(if number > 0 { i32::MAX } else { 0 })))
        }
    }
}

fn payload(row: &NewRow) -> Result<String, String> {
    let sentence = |what: &str| Err(format!("outbox.payload: {what}"));
    let Some(Value::String(payload)) = row.get("payload") else {
        return sentence("must be one JSON object, as text");
    };
    if payload.len() > 67_108_864 {
        return sentence("must not be larger than 64 MiB");
    }
    if payload.contains('\0') {
        return sentence("must not contain a NUL character (inside a text write \\u0000)");
    }
    if serde_json::from_str::<&RawValue>(payload).is_err() {
        return sentence("is not valid JSON");
    }
    if !payload.trim_start().starts_with('{') {
        return sentence("must be one JSON object");
    }
    Ok(payload.clone())
}

fn time(row: &NewRow, column: &str) -> Result<Option<Millis>, String> {
    let number = || {
        format!(
            "outbox.{column}: a number must be Unix milliseconds, UTC (not seconds, not microseconds)"
        )
    };
    let millis = match row.get(column) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => match whole(&text.as_str().into()) {
            Ok(millis) => millis,
            Err(()) => {
                let at = when::parse_time(text);
                at.map_err(|fault| format!("outbox.{column}: {fault}"))?
            }
        },
        Some(value) => whole(value).map_err(|()| number())?,
    };
    if TIMES.contains(&millis) { Ok(Some(millis)) } else { Err(number()) }
}
