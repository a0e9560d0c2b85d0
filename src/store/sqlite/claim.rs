//! The claim: what there is room for becomes `sending`, in the order in which it is to be sent.

use super::SqliteError;
use super::reading::{is_count, is_time};
use crate::queue::claim::Room;
use crate::queue::job::{Channel, Job, Millis};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

#[derive(Serialize)]
struct RoomJson<'a> {
    changed: Vec<(&'a str, Channel, u32)>,
    places: u32,
    share: u32,
    small: i64,
    large: i64,
    alone: u8,
}

/// As the cycle's procedure reads it; an empty array claims nothing.
pub(super) fn json(room: Option<&Room>) -> String {
    let Some(room) = room else { return "[]".to_owned() };
    let whole = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let json = RoomJson {
        changed: room.changed.iter().map(|c| (c.account.as_str(), c.channel, c.limit)).collect(),
        places: room.places,
        share: room.share,
        small: whole(room.bytes.small),
        large: whole(room.bytes.large),
        alone: u8::from(room.bytes.alone),
    };
    serde_json::to_string(&json).expect("texts and numbers are always JSON")
}

/// What a cycle has claimed, in the order in which it is to be sent, as one JSON array: each row
/// costs the connection's thread a message to ours. A payload that is too large for it is read by
/// itself. `?6` is the epoch.
pub(super) const CLAIMED: &str = "\
(SELECT json_group_array(json_array(o.id, o.channel, o.account,
        CASE WHEN octet_length(o.payload) <= 16384 THEN o.payload END, o.attempts, o.unspent,
        o.uncertain_attempts, o.budget_from, o.max_attempts, o.due_at, o.expires_at) ORDER BY o.priority DESC, o.due_at, o.id)
     FROM temp.outbox_cycle_claimed AS c CROSS JOIN outbox AS o NOT INDEXED ON o.id = c.id
     WHERE o.claimed_by = ?6)";

/// One element of the claim's JSON array; its order is the SQL's. SQLite lets any bytes be text.
#[derive(Deserialize)]
struct ClaimedRow(
    i64,
    Channel,
    String,
    Option<ByteBuf>,
    i64,
    i64,
    i64,
    Millis,
    Option<i64>,
    Millis,
    Option<Millis>,
);

impl ClaimedRow {
    /// Whether its numbers are small enough that no sum of them overflows.
    fn is_sound(&self) -> bool {
        let counts = [self.4, self.5, self.6];
        let times = [Some(self.7), Some(self.9), self.10];
        counts.into_iter().all(is_count) && times.into_iter().flatten().all(is_time)
    }
}

/// A payload that is too large to be sent is not read: it is replaced by one that is a byte larger
/// than [`MAX_BYTES`](crate::queue::payload::MAX_BYTES).
pub(super) const PAYLOAD: &str = "\
SELECT CASE WHEN octet_length(payload) <= 67108864 THEN payload ELSE zeroblob(67108865) END FROM outbox WHERE id = ?1";

/// The claimed jobs; those without a payload yet are told by their ids.
pub(super) fn jobs(json: &[u8], claim: i64) -> Result<(Vec<Job>, Vec<i64>), SqliteError> {
    let rows: Vec<ClaimedRow> =
        serde_json::from_slice(json).map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
    if !rows.iter().all(ClaimedRow::is_sound) {
        return Err(sqlx::Error::Decode("a number or a time out of bounds".into()).into());
    }
    let mut without = Vec::new();
    let job = |row: ClaimedRow| {
        let ClaimedRow(
            id,
            channel,
            account,
            payload,
            attempts,
            unspent,
            uncertain,
            from,
            max,
            due,
            expiry,
        ) = row;
        if payload.is_none() {
            without.push(id);
        }
        Job {
            id,
            channel,
            account,
            payload: payload.unwrap_or_default().into_vec(),
            attempts,
            claim,
            unspent,
            uncertain_attempts: uncertain,
            budget_from: from,
            max_attempts: max,
            due_at: due,
            expires_at: expiry,
        }
    };
    Ok((rows.into_iter().map(job).collect(), without))
}

#[cfg(test)]
mod tests;
