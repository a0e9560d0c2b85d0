//! The claim: what there is room for becomes `sending`, in the order in which it is to be sent.

use super::SqliteError;
use super::reading::{is_count, is_time};
use crate::queue::claim::{Room, SMALL_BYTES};
use crate::queue::job::{Channel, Job, Millis};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::cmp::Reverse;

#[derive(Serialize)]
struct ClaimJson<'a> {
    account: &'a str,
    channel: Channel,
    room: u32,
}

#[derive(Serialize)]
struct RoomJson<'a> {
    changed: Vec<ClaimJson<'a>>,
    places: u32,
    share: u32,
    small: i64,
    large: i64,
    alone: u8,
    passed_over: &'a [i64],
}

/// As the cycle's procedure reads it; an empty array claims nothing.
pub(super) fn json(room: Option<&Room>) -> String {
    let Some(room) = room else { return "[]".to_owned() };
    let whole = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let json = RoomJson {
        changed: room
            .changed
            .iter()
            .map(|c| ClaimJson { account: &c.account, channel: c.channel, room: c.limit })
            .collect(),
        places: room.places,
        share: room.share,
        small: whole(room.bytes.small),
        large: whole(room.bytes.large),
        alone: u8::from(room.bytes.alone),
        passed_over: &room.passed_over,
    };
    serde_json::to_string(&json).expect("texts and numbers are always JSON")
}

/// A row that is read from a JSON array. Its fields are the one list of its columns: the SQL that
/// makes the array is made from them.
macro_rules! row_from_json {
    ($(#[$about:meta])* $name:ident { $($column:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Deserialize)]
        struct $name { $($column: $kind,)* }

        impl $name {
            const COLUMNS: &'static [&'static str] = &[$(stringify!($column)),*];
        }
    };
}

row_from_json! {
    /// A claimed job. SQLite lets any bytes be text.
    ClaimedRow {
        id: i64,
        channel: Channel,
        account: String,
        payload: Option<ByteBuf>,
        attempts: i64,
        unspent: i64,
        uncertain_attempts: i64,
        budget_from: Millis,
        max_attempts: Option<i64>,
        priority: i64,
        due_at: Millis,
        expires_at: Option<Millis>,
    }
}

/// What a cycle has claimed as one JSON array: each row costs the connection's thread a message to ours.
/// A payload that is too large for it is read by itself. `?6` is the epoch. [`jobs`] sorts the rows:
/// SQLite would keep the JSON of each in a temporary index.
pub(super) fn claimed_json() -> String {
    let value = |column: &&str| match *column {
        "payload" => {
            format!("CASE WHEN octet_length(o.payload) <= {SMALL_BYTES} THEN o.payload END")
        }
        column => format!("o.{column}"),
    };
    let values = ClaimedRow::COLUMNS.iter().map(value).collect::<Vec<_>>().join(", ");
    format!(
        "(SELECT json_group_array(json_array({values}))
     FROM temp.outbox_cycle_claimed AS c CROSS JOIN outbox AS o NOT INDEXED ON o.id = c.id
     WHERE o.claimed_by = ?6)"
    )
}

impl ClaimedRow {
    /// Whether its numbers are small enough that no sum of them overflows.
    fn is_sound(&self) -> bool {
        let counts = [self.attempts, self.unspent, self.uncertain_attempts];
        let times = [Some(self.budget_from), Some(self.due_at), self.expires_at];
        counts.into_iter().all(is_count) && times.into_iter().flatten().all(is_time)
    }

    /// `claim`: the epoch that has claimed it.
    fn into_job(self, claim: i64) -> Job {
        Job {
            id: self.id,
            channel: self.channel,
            account: self.account,
            payload: self.payload.unwrap_or_default().into_vec(),
            attempts: self.attempts,
            claim,
            unspent: self.unspent,
            uncertain_attempts: self.uncertain_attempts,
            budget_from: self.budget_from,
            max_attempts: self.max_attempts,
            due_at: self.due_at,
            expires_at: self.expires_at,
        }
    }
}

/// A payload that is too large to be sent is not read: it is replaced by one that is a byte larger
/// than [`MAX_BYTES`](crate::queue::payload::MAX_BYTES).
pub(super) const PAYLOAD: &str = "\
SELECT CASE WHEN octet_length(payload) <= 67108864 THEN payload ELSE zeroblob(67108865) END FROM outbox WHERE id = ?1";

/// The claimed jobs in the order in which they are to be sent, and the ids of those whose payload is still to
/// be read.
pub(super) fn jobs(json: &[u8], claim: i64) -> Result<(Vec<Job>, Vec<i64>), SqliteError> {
    let mut rows: Vec<ClaimedRow> =
        serde_json::from_slice(json).map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
    if !rows.iter().all(ClaimedRow::is_sound) {
        return Err(sqlx::Error::Decode("a number or a time out of bounds".into()).into());
    }
    rows.sort_unstable_by_key(|row| (Reverse(row.priority), row.due_at, row.id));
    let without = rows.iter().filter(|row| row.payload.is_none()).map(|row| row.id).collect();
    Ok((rows.into_iter().map(|row| row.into_job(claim)).collect(), without))
}

#[cfg(test)]
mod tests;
