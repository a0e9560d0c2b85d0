//! What a person may decide about a restored backup: jobs that wait in it become `uncertain`,
//! because they may have been delivered.

use super::{PostgresError, PostgresStore};
use crate::queue::job::Millis;
use crate::store::BATCH;
use sqlx::{Connection, Row};

/// Reads only the partial indexes of waiting jobs.
const DUE_UNTIL: &str = "\
SELECT o.id, o.holds FROM outbox o WHERE o.status = 'pending' AND o.id IN (
    SELECT due.id FROM (
        SELECT id FROM outbox WHERE wait IN ('ready', 'arrived') AND due_at <= timestamptz 'epoch' + $1 * interval '1 ms'
        UNION ALL SELECT id FROM outbox WHERE wait = 'backoff' AND due_at <= timestamptz 'epoch' + $1 * interval '1 ms'
        UNION ALL SELECT id FROM outbox WHERE wait = 'scheduled' AND due_at <= timestamptz 'epoch' + $1 * interval '1 ms'
        UNION ALL SELECT id FROM outbox WHERE lane IS NOT NULL AND wait IN ('arrived', 'parked') AND wait = 'parked'
            AND due_at <= timestamptz 'epoch' + $1 * interval '1 ms') AS due
    LIMIT $2)
ORDER BY o.id FOR UPDATE OF o";

// The triggers only allow this as a claim and its record. That attempt represents the one that may have
// been made before the database was restored. No node has the epoch 0.
const CLAIM: &str = "\
UPDATE outbox SET status = 'sending', moves = moves + 1, wait = NULL, attempts = attempts + 1, next_attempt_at = NULL,
    claimed_by = 0, updated_at = date_trunc('milliseconds', clock_timestamp())
WHERE id = ANY ($1) AND status = 'pending'";

const MAKE_UNCERTAIN: &str = "\
UPDATE outbox SET status = 'uncertain', holds = NULL, moves = moves + 1, claimed_by = NULL, attempts = attempts - 1,
    error_code = 'restored', error = 'a backup was restored; the message may have been sent after the backup was made',
    updated_at = date_trunc('milliseconds', clock_timestamp())
WHERE id = ANY ($1) AND status = 'sending' AND claimed_by = 0";

const ELECT: &str = "INSERT INTO outbox_elections SELECT unnest($1::bigint[])";

impl PostgresStore {
    /// Makes a batch of the pending jobs that were due by `until` uncertain. Returns how many; 0 if none
    /// was left.
    pub async fn resolve_restored(&mut self, until: Millis) -> Result<u64, PostgresError> {
        let mut tx = self.conn.begin().await?;
        let due = sqlx::query(DUE_UNTIL).bind(until).bind(i64::from(BATCH));
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
