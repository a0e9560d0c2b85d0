//! The claim: what there is room for becomes `sending`, in the order in which it is to be sent.

use super::StoreError;
use super::reading::{is_count, is_time};
use crate::job::{Channel, Job, Millis};
use serde::Deserialize;
use serde_bytes::ByteBuf;

/// Room for jobs of one account and channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub account: String,
    pub channel: Channel,
    pub limit: u32,
}

/// The rooms, as the JSON that the cycle's procedure reads.
pub(super) fn json(claims: &[Claim]) -> String {
    let rows: Vec<_> = claims.iter().map(|c| (&c.account, c.channel, c.limit)).collect();
    serde_json::to_string(&rows).expect("rows of texts and numbers are always JSON")
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
    /// Whether its numbers are such that no sum of them overflows.
    fn is_sound(&self) -> bool {
        let counts = [self.4, self.5, self.6];
        let times = [Some(self.7), Some(self.9), self.10];
        counts.into_iter().all(is_count) && times.into_iter().flatten().all(is_time)
    }
}

pub(super) const PAYLOAD: &str = "SELECT payload FROM outbox WHERE id = ?1";

/// The claimed jobs; those without a payload yet are told by their ids.
pub(super) fn jobs(json: &[u8], claim: i64) -> Result<(Vec<Job>, Vec<i64>), StoreError> {
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
