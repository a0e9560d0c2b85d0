//! The claim: what there is room for becomes `sending`, in the order in which it is to be sent.

use super::StoreError;
use crate::job::{Channel, Job, Millis};
use serde::Deserialize;
use serde_bytes::ByteBuf;
use std::fmt::Write;

/// Room for jobs of one account and channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub account: String,
    pub channel: Channel,
    pub limit: u32,
}

/// The claim of every route with room. A row costs the connection's thread a message to ours, so
/// all jobs come as one JSON array, without the payloads that are too large for it. What is
/// selected is what is updated: it is one transaction, which nobody else writes in. The epoch
/// fences it: a dispatcher that has been superseded claims nothing.
///
/// `?2` is now, `?4` the epoch; from `first_arg` on each route has its account, channel and limit.
pub(super) fn claim_sql(routes: usize, first_arg: usize) -> String {
    let chosen = chosen(routes, first_arg);
    format!(
        "SELECT 'claimed', json_group_array(json_array(id, channel, account,
        CASE WHEN octet_length(payload) <= 16384 THEN payload END, attempts + 1, unspent,
        uncertain_attempts, ifnull(budget_from, ?2), max_attempts) ORDER BY priority DESC, due_at, id)
FROM outbox WHERE {chosen};
UPDATE outbox SET status = 'sending', wait = NULL, attempts = attempts + 1, claimed_by = ?4,
    next_attempt_at = NULL, updated_at = ?2, budget_from = ifnull(budget_from, ?2)
WHERE {chosen};
"
    )
}

// `LIMIT ?` alone makes SQLite prepare its statement anew for each value bound; `? + 0` does not.
fn chosen(routes: usize, first_arg: usize) -> String {
    let mut sql = String::from(
        "(SELECT epoch FROM outbox_dispatcher) = ?4 AND status = 'pending' AND id IN (\n",
    );
    for route in 0..routes {
        if route > 0 {
            sql.push_str("    UNION ALL\n");
        }
        let arg = first_arg + route * 3;
        let _ = writeln!(
            sql,
            "    SELECT id FROM (SELECT id FROM outbox WHERE wait = 'ready' AND account = ?{} AND channel = ?{}
        AND (expires_at IS NULL OR expires_at >= ?2) ORDER BY priority DESC, due_at, id LIMIT ?{} + 0)",
            arg,
            arg + 1,
            arg + 2
        );
    }
    sql.push(')');
    sql
}

/// One element of the claim's JSON array; its order is the SQL's. SQLite lets any bytes be text.
#[derive(Deserialize)]
struct ClaimedRow(i64, Channel, String, Option<ByteBuf>, i64, i64, i64, Millis, Option<i64>);

pub(super) const PAYLOAD: &str = "SELECT payload FROM outbox WHERE id = ?1";

/// The claimed jobs; those without a payload yet are told by their ids.
pub(super) fn jobs(json: &[u8], claim: i64) -> Result<(Vec<Job>, Vec<i64>), StoreError> {
    let rows: Vec<ClaimedRow> =
        serde_json::from_slice(json).map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
    let mut without = Vec::new();
    let job = |row: ClaimedRow| {
        let ClaimedRow(id, channel, account, payload, attempts, unspent, uncertain, from, max) =
            row;
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
        }
    };
    Ok((rows.into_iter().map(job).collect(), without))
}
