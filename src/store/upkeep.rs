//! What the dispatcher does beside its cycles: take the file over, recover, look.

use super::record::Ended;
use super::{Store, StoreError, backlog, clock, erase, health, holds, now, shrink};
use crate::job::{Channel, Job, Millis};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// What comes next, read at the end of each cycle and in each look.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Agenda {
    /// The earliest time at which a scheduled job, a retry or an expiry falls due.
    pub next_due: Option<Millis>,
    /// Accounts that have jobs ready, configured or not.
    pub ready_accounts: Vec<String>,
    /// Changes whenever another connection has committed.
    pub data_version: i64,
    pub(super) epoch: i64,
}

/// One seek each; the accounts by a skip-scan of the ready index, a seek per account.
pub(super) const AGENDA: &str = "\
SELECT 'agenda',
    (SELECT min(due_at) FROM outbox WHERE wait = 'scheduled'),
    (SELECT min(next_attempt_at) FROM outbox WHERE wait = 'backoff'),
    (SELECT min(expires_at) FROM outbox WHERE status = 'pending' AND expires_at IS NOT NULL),
    (WITH RECURSIVE a (name) AS (
        SELECT (SELECT account FROM outbox WHERE wait = 'ready' ORDER BY account LIMIT 1)
        UNION ALL
        SELECT (SELECT account FROM outbox WHERE wait = 'ready' AND account > a.name ORDER BY account LIMIT 1)
        FROM a WHERE a.name IS NOT NULL)
     SELECT json_group_array(name) FROM a WHERE name IS NOT NULL),
    (SELECT epoch FROM outbox_dispatcher),
    (SELECT data_version FROM pragma_data_version)";

const SENDING_BEFORE: &str = "\
SELECT '', id, channel, account, '' AS payload, attempts, unspent, uncertain_attempts,
    ifnull(budget_from, updated_at), max_attempts, claimed_by, updated_at, due_at, expires_at
FROM outbox WHERE claimed_by IS NOT NULL AND claimed_by < ?1 LIMIT ?2";

const FAIL_UNKNOWN_ACCOUNT: &str = "\
UPDATE outbox SET status = 'failed', failure = 'invalid', error_code = 'unknown_account', error = ?2
WHERE id IN (
    SELECT o.id FROM outbox AS o WHERE o.wait = 'ready' AND o.account = ?1 AND NOT EXISTS (
        SELECT 1 FROM outbox_pauses AS p WHERE p.account IN ('', o.account) AND p.channel IN ('', o.channel))
    LIMIT 500)
RETURNING channel";

const ANY_LEFT: &str = "\
SELECT EXISTS (SELECT 1 FROM outbox WHERE wait = 'ready')
    OR EXISTS (SELECT 1 FROM outbox WHERE wait = 'backoff')
    OR EXISTS (SELECT 1 FROM outbox WHERE wait = 'scheduled')
    OR EXISTS (SELECT 1 FROM outbox WHERE wait = 'parked')
    OR EXISTS (SELECT 1 FROM outbox WHERE claimed_by IS NOT NULL)";

const BEGIN_EPOCH: &str = "\
UPDATE outbox_dispatcher SET epoch = epoch + 1, pid = ?1, started_at = ?2 RETURNING epoch";

/// What the dispatcher does beside its cycles, by name.
pub(super) const STATEMENTS: [(&str, &str); 20] = [
    ("agenda", AGENDA),
    ("sending_before", SENDING_BEFORE),
    ("fail_unknown_account", FAIL_UNKNOWN_ACCOUNT),
    ("any_left", ANY_LEFT),
    ("prunable", erase::PRUNABLE),
    ("prune", erase::PRUNE),
    ("scrubbed_until", erase::SCRUBBED_UNTIL),
    ("scrubbable", erase::SCRUBBABLE),
    ("scrub", erase::SCRUB),
    ("mark", erase::MARK),
    ("space", shrink::SPACE),
    ("begin_epoch", BEGIN_EPOCH),
    ("in_backoff", clock::IN_BACKOFF),
    ("begun_later", clock::BEGUN_LATER),
    ("move_retries", clock::MOVE_RETRIES),
    ("pull_in", clock::PULL_IN),
    ("backlog", backlog::BACKLOG),
    ("holds", holds::HOLDS),
    ("is_of_epoch", health::IS_OF_EPOCH),
    ("epoch_started_at", health::EPOCH_STARTED_AT),
];

impl Agenda {
    pub(super) fn from_row(row: &SqliteRow) -> Result<Agenda, StoreError> {
        let scheduled: Option<Millis> = row.try_get(1)?;
        let backoff: Option<Millis> = row.try_get(2)?;
        // A job expires after expires_at, not at it.
        let expiry = row.try_get::<Option<Millis>, _>(3)?.map(|at| at.saturating_add(1));
        let accounts: &str = row.try_get(4)?;
        Ok(Agenda {
            next_due: [scheduled, backoff, expiry].into_iter().flatten().min(),
            ready_accounts: serde_json::from_str(accounts)
                .map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
            epoch: row.try_get(5)?,
            data_version: row.try_get(6)?,
        })
    }
}

impl Store {
    /// Takes the file over: a new epoch, which every claim carries. Call it with the lock held.
    pub async fn begin_epoch(&mut self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar(BEGIN_EPOCH)
            .bind(i64::from(std::process::id()))
            .bind(now())
            .fetch_one(&mut self.conn)
            .await?)
    }

    /// Reads what comes next, without a write lock.
    pub async fn look(&mut self) -> Result<Agenda, StoreError> {
        Agenda::from_row(&sqlx::query(AGENDA).fetch_one(&mut self.conn).await?)
    }

    /// At most `limit` jobs that are `sending` under a claim before `epoch`, without their
    /// payloads, with when each was claimed.
    pub async fn sending_before(
        &mut self,
        epoch: i64,
        limit: i64,
    ) -> Result<Vec<(Job, Millis)>, StoreError> {
        let rows =
            sqlx::query(SENDING_BEFORE).bind(epoch).bind(limit).fetch_all(&mut self.conn).await?;
        rows.iter().map(|row| Ok((job_from(row, row.try_get(10)?)?, row.try_get(11)?))).collect()
    }

    /// Records decided attempts without claiming; what recovery uses.
    pub async fn record(&mut self, ended: &[Ended], epoch: i64) -> Result<Vec<i64>, StoreError> {
        let (claim, patience) = (None, None);
        let work =
            super::CycleWork { record: ended, claim, due: false, now: now(), epoch, patience };
        Ok(self.cycle(&work).await?.recorded)
    }

    /// Fails up to 500 ready jobs of an account that is not configured; gives the channel of each.
    pub async fn fail_unknown_account(
        &mut self,
        account: &str,
        sentence: &str,
    ) -> Result<Vec<Channel>, StoreError> {
        let failed = sqlx::query(FAIL_UNKNOWN_ACCOUNT)
            .bind(account)
            .bind(sentence)
            .fetch_all(&mut self.conn)
            .await?;
        failed.iter().map(|row| column_word(row, 0)).collect()
    }

    /// Whether any job is `pending` or `sending`.
    pub async fn is_empty(&mut self) -> Result<bool, StoreError> {
        let left: i64 = sqlx::query_scalar(ANY_LEFT).fetch_one(&mut self.conn).await?;
        Ok(left == 0)
    }
}

/// A row of [`SENDING_BEFORE`].
fn job_from(row: &SqliteRow, claim: i64) -> Result<Job, StoreError> {
    Ok(Job {
        id: row.try_get(1)?,
        channel: column_word(row, 2)?,
        account: row.try_get(3)?,
        payload: row.try_get(4)?,
        attempts: row.try_get(5)?,
        claim,
        unspent: row.try_get(6)?,
        uncertain_attempts: row.try_get(7)?,
        budget_from: row.try_get(8)?,
        max_attempts: row.try_get(9)?,
        due_at: row.try_get(12)?,
        expires_at: row.try_get(13)?,
    })
}

fn column_word(row: &SqliteRow, column: usize) -> Result<Channel, StoreError> {
    let word: &str = row.try_get(column)?;
    word.parse().map_err(|e: crate::job::UnknownWord| sqlx::Error::Decode(Box::new(e)).into())
}
