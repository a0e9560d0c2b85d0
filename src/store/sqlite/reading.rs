//! Reads a row as a job, or says why it is not one. Each row is read by itself: one that cannot be
//! read does not affect the next.

use super::lenient::Lenient;
use crate::queue::job::{Channel, Job, Millis};
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Row, TypeInfo, ValueRef};

/// What [`job_from`] reads, except the payload.
pub(super) const JOB_COLUMNS: &str = "\
id, channel, account, attempts, unspent, uncertain_attempts, budget_from, max_attempts, claimed_by, updated_at,
    due_at, expires_at";

/// The last millisecond of the year 9999, which is the last that the rules allow.
pub(super) const LAST_TIME: Millis = 253_402_300_799_999;
/// No count of this program and no epoch is larger, so sums cannot overflow.
pub(super) const LAST_COUNT: i64 = 1_000_000_000_000;

/// Times that a claim may carry.
pub(super) fn is_time(at: Millis) -> bool {
    (0..=LAST_TIME).contains(&at)
}

pub(super) fn is_count(count: i64) -> bool {
    (0..=LAST_COUNT).contains(&count)
}

/// A row that is not a job, and its first column that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub id: i64,
    /// Known unless that column is the odd one.
    pub channel: Option<Channel>,
    /// For people; without the text of any column.
    pub sentence: String,
}

/// A row that waits for something that is not a time, in the column at this place and of this name.
pub(super) fn odd_time(row: &SqliteRow, name: &str, at: usize) -> Unreadable {
    Unreadable {
        id: row.whole("id").unwrap_or_default(),
        channel: known_text(row, "channel").and_then(|word| word.parse().ok()),
        sentence: sentence(name, "Unix milliseconds, as a whole number", &what_is(row, at)),
    }
}

/// A row that no route can have, because of its account or its channel.
pub(super) fn odd_route(row: &SqliteRow) -> Option<Unreadable> {
    let channel = known_text(row, "channel").and_then(|word| word.parse().ok());
    let (name, must) = match (known_text(row, "account"), channel) {
        (None | Some(""), _) => ("account", "the name of an account, as text"),
        (_, None) => ("channel", "chat, mail or sms"),
        (Some(_), Some(_)) => return None,
    };
    let sentence = sentence(name, must, &what_is(row, name));
    Some(Unreadable { id: row.whole("id").unwrap_or_default(), channel, sentence })
}

fn sentence(column: &str, must: &str, is: &str) -> String {
    format!("outbox.{column}: must be {must}, but is {is}")
}

/// The job, and when it was claimed; `payload` where the row has that column.
pub(super) fn job_from(row: &SqliteRow, now: Millis) -> Result<(Job, Millis), Unreadable> {
    let id = row.whole("id").unwrap_or_default();
    let channel: Option<Channel> = known_text(row, "channel").and_then(|word| word.parse().ok());
    let odd = |column: &str, must: &str| Unreadable {
        id,
        channel,
        sentence: sentence(column, must, &what_is(row, column)),
    };
    let count = |column: &str| {
        let whole = row.whole(column).filter(|count| is_count(*count));
        whole.ok_or_else(|| odd(column, "a whole number from 0 on"))
    };
    let time = |column: &str| {
        let whole = row.whole(column).filter(|at| is_time(*at));
        whole.ok_or_else(|| odd(column, "Unix milliseconds, as a whole number"))
    };
    let time_or_null = |column: &str| match is_null(row, column) {
        true => Ok(None),
        false => time(column).map(Some),
    };
    let payload = match row.try_get_raw("payload") {
        Ok(value) if matches!(value.type_info().name(), "BLOB") || value.is_null() => {
            return Err(odd("payload", "one JSON object, as text"));
        }
        Ok(_) => row.try_get_unchecked("payload").unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    // The time of the claim is only for people: a value that an ORM has changed does not make the
    // row unreadable.
    let claimed_at = row.whole("updated_at").filter(|at| is_time(*at)).unwrap_or(now);
    let job = Job {
        id,
        channel: channel.ok_or_else(|| odd("channel", "chat, mail or sms"))?,
        account: known_text(row, "account")
            .ok_or_else(|| odd("account", "the name of an account, as text"))?
            .to_owned(),
        payload,
        attempts: count("attempts")?,
        claim: count("claimed_by")?,
        unspent: count("unspent")?,
        uncertain_attempts: count("uncertain_attempts")?,
        budget_from: time_or_null("budget_from")?.unwrap_or(claimed_at),
        max_attempts: match is_null(row, "max_attempts") {
            true => None,
            false => {
                let whole = row.whole("max_attempts");
                Some(whole.ok_or_else(|| odd("max_attempts", "a whole number, or NULL"))?)
            }
        },
        due_at: time("due_at")?,
        expires_at: time_or_null("expires_at")?,
    };
    Ok((job, claimed_at))
}

/// `None` for a value that is not text in UTF-8.
pub(super) fn known_text<'a>(row: &'a SqliteRow, column: &str) -> Option<&'a str> {
    row.try_get(column).ok()
}

fn is_null(row: &SqliteRow, column: &str) -> bool {
    row.try_get_raw(column).is_ok_and(|value| value.is_null())
}

/// What a column holds, for a sentence: a number with its value, anything else without.
fn what_is<C: ColumnIndex<SqliteRow> + Copy>(row: &SqliteRow, column: C) -> String {
    let Ok(value) = row.try_get_raw(column) else { return "missing".to_owned() };
    if value.is_null() {
        return "NULL".to_owned();
    }
    match value.type_info().name() {
        "INTEGER" | "REAL" => row.text_or_empty(column),
        "BLOB" => "a BLOB".to_owned(),
        _ if row.text_or_empty(column).is_empty() => "empty text".to_owned(),
        _ if row.try_get_unchecked::<&str, _>(column).is_err() => {
            "text that is not UTF-8".to_owned()
        }
        _ => "other text".to_owned(),
    }
}

/// The jobs of these rows, and the rows that are not jobs.
pub(super) fn jobs_from(rows: &[SqliteRow], now: Millis) -> (Vec<(Job, Millis)>, Vec<Unreadable>) {
    let (mut jobs, mut unreadable) = (Vec::new(), Vec::new());
    for row in rows {
        match job_from(row, now) {
            Ok(job) => jobs.push(job),
            Err(odd) => unreadable.push(odd),
        }
    }
    (jobs, unreadable)
}
