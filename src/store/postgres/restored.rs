//! What a person may decide about a restored backup: jobs that wait in it become `uncertain`,
//! because they may have been delivered.

use super::{PostgresError, PostgresStore};
use crate::queue::job::Millis;
use crate::store::BATCH;
use sqlx::{AssertSqlSafe, Connection, Row};
use std::sync::LazyLock;

/// What waits, as the partial indexes have it.
const WAITING: [&str; 4] = [
    "wait IN ('ready', 'arrived')",
    "wait = 'backoff'",
    "wait = 'scheduled'",
    "lane IS NOT NULL AND wait IN ('arrived', 'parked') AND wait = 'parked'",
];
const DUE: &str = "due_at <= timestamptz 'epoch' + $1 * interval '1 ms'";
/// Somebody may have given it another time since the database went back, and nobody knows when that was: it may have
/// been due before.
const CHANGED: &str = "\
due_at > timestamptz 'epoch' + $1 * interval '1 ms' AND updated_at IS NOT NULL
    AND created_at <= timestamptz 'epoch' + $1 * interval '1 ms'";

/// Reads only the partial indexes of waiting jobs; those that were due come first, by the indexes' order.
static DUE_UNTIL: LazyLock<String> = LazyLock::new(|| {
    let parts = [DUE, CHANGED].into_iter().flat_map(|when| {
        WAITING.map(|wait| format!("SELECT id FROM outbox WHERE {wait} AND {when}"))
    });
    format!(
        "SELECT o.id, o.holds FROM outbox o WHERE o.status = 'pending' AND o.id IN (
             SELECT due.id FROM ({}) AS due LIMIT $2)
         ORDER BY o.id FOR UPDATE OF o",
        parts.collect::<Vec<_>>().join(" UNION ALL ")
    )
});

// The triggers only allow this as a claim and its record. That attempt represents the one that may have
// been made before the database was restored. No node has the epoch 0.
const CLAIM: &str = "\
UPDATE outbox SET status = 'sending', moves = moves + 1, wait = NULL, attempts = attempts + 1, next_attempt_at = NULL,
    claimed_by = 0, updated_at = date_trunc('milliseconds', clock_timestamp())
WHERE id = ANY ($1) AND status = 'pending'";

const MAKE_UNCERTAIN: &str = "\
UPDATE outbox SET status = 'uncertain', holds = NULL, moves = moves + 1, claimed_by = NULL, attempts = attempts - 1,
    error_code = 'restored', error = 'a backup was restored; the message may have been sent after the backup was made',
    verify_from = coalesce(verify_from, least(due_at, created_at)), verify_until = date_trunc('milliseconds', clock_timestamp()),
    updated_at = date_trunc('milliseconds', clock_timestamp())
WHERE id = ANY ($1) AND status = 'sending' AND claimed_by = 0";

const ELECT: &str = "INSERT INTO outbox_elections SELECT unnest($1::bigint[])";

impl PostgresStore {
    /// Makes a batch of the pending jobs that were due by `until`, or may have been, uncertain. Returns how many; 0 if none
    /// was left.
    pub async fn resolve_restored(&mut self, until: Millis) -> Result<u64, PostgresError> {
        let mut tx = self.conn.begin().await?;
        let due = sqlx::query(AssertSqlSafe(DUE_UNTIL.as_str())).bind(until).bind(i64::from(BATCH));
        let due = due.fetch_all(&mut *tx).await?;
        let (mut ids, mut lanes) = (Vec::<i64>::new(), Vec::<i64>::new());
        for row in &due {
            ids.push(row.try_get(0)?);
            lanes.extend(row.try_get::<Option<i64>, _>(1)?);
        }
        sqlx::query(CLAIM).bind(&ids).execute(&mut *tx).await?;
        let done = sqlx::query(MAKE_UNCERTAIN).bind(&ids).execute(&mut *tx).await?;
        sqlx::query(ELECT).bind(&lanes).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }
}
