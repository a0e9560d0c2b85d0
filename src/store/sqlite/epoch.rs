//! Each start of a dispatcher is an epoch of the file, and every claim carries its number.

use super::lenient::Lenient;
use super::reading::{self, JOB_COLUMNS, LAST_COUNT, Unreadable};
use super::{SqliteError, SqliteStore};
use crate::queue::job::{Job, Millis};
use crate::queue::when::now;
use sqlx::AssertSqlSafe;
use std::sync::LazyLock;

/// A claim that no dispatcher can have made counts as an earlier one. Rows that are set aside are
/// already decided.
pub(super) static SENDING_BEFORE: LazyLock<String> = LazyLock::new(|| {
    let part = |claims: &str| {
        format!(
            "SELECT {JOB_COLUMNS} FROM outbox WHERE claimed_by IS NOT NULL AND claimed_by {claims}
                 AND +status = 'sending' AND id NOT IN (SELECT job_id FROM outbox_set_aside)"
        )
    };
    format!("{} UNION ALL {} LIMIT ?2", part("< ?1"), part(&format!("> {LAST_COUNT}")))
});

/// Later than every existing claim, even if the row with the epoch was lost.
pub(super) const BEGIN_EPOCH: &str = "\
INSERT INTO outbox_dispatcher (one, epoch, pid, started_at)
SELECT 1, 1 + CAST(ifnull(max(claimed_by), 0) AS INTEGER), ?1, ?2
FROM outbox WHERE claimed_by BETWEEN 0 AND 1000000000000
ON CONFLICT (one) DO UPDATE SET pid = excluded.pid, started_at = excluded.started_at,
    epoch = max(excluded.epoch, 1 + CASE WHEN typeof(epoch) = 'integer' AND epoch BETWEEN 0 AND 1000000000000
        THEN epoch ELSE 0 END)
RETURNING epoch";

const RESTORE_EPOCH: &str = "\
INSERT INTO outbox_dispatcher (one, epoch, pid, started_at) VALUES (1, ?1, ?2, ?3)
ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch WHERE typeof(epoch) <> 'integer'";

pub(super) const IS_OF_EPOCH: &str =
    "SELECT epoch = ?1 AND pid = ?2 AND started_at = ?3 FROM outbox_dispatcher";
const EPOCH: &str = "SELECT epoch FROM outbox_dispatcher";
pub(super) const EPOCH_STARTED_AT: &str = "SELECT ifnull(started_at, 0) FROM outbox_dispatcher";

impl SqliteStore {
    /// Begins a new epoch, which every claim carries. Call it with the lock held.
    pub(super) async fn begin_epoch(&mut self) -> Result<i64, SqliteError> {
        Ok(sqlx::query_scalar(BEGIN_EPOCH)
            .bind(i64::from(std::process::id()))
            .bind(now())
            .fetch_one(&mut self.conn)
            .await?)
    }

    /// Restores this epoch if the file has none.
    pub(super) async fn restore_epoch(&mut self, epoch: i64) -> Result<(), SqliteError> {
        let restore = sqlx::query(RESTORE_EPOCH).bind(epoch).bind(i64::from(std::process::id()));
        restore.bind(now()).execute(&mut self.conn).await?;
        Ok(())
    }

    /// At most `limit` jobs that are `sending` under a claim before `epoch`, without their
    /// payloads, with when each was claimed; and those of them that cannot be read.
    pub(super) async fn sending_before(
        &mut self,
        epoch: i64,
        limit: i64,
    ) -> Result<(Vec<(Job, Millis)>, Vec<Unreadable>), SqliteError> {
        let rows = sqlx::query(AssertSqlSafe(SENDING_BEFORE.as_str())).bind(epoch).bind(limit);
        Ok(reading::jobs_from(&rows.fetch_all(&mut self.conn).await?, now()))
    }

    /// Whether the file names this process and this epoch as its dispatcher: true of a copy of the file
    /// that it claimed from, and of no other.
    pub(super) async fn is_of_epoch(
        &mut self,
        epoch: i64,
        started_at: i64,
    ) -> Result<bool, SqliteError> {
        let row = sqlx::query(IS_OF_EPOCH)
            .bind(epoch)
            .bind(i64::from(std::process::id()))
            .bind(started_at)
            .fetch_optional(&mut self.conn)
            .await?;
        Ok(row.is_some_and(|row| row.whole(0) == Some(1)))
    }

    /// The current epoch; 0 before the first.
    pub(super) async fn epoch(&mut self) -> Result<i64, SqliteError> {
        let row = sqlx::query(EPOCH).fetch_optional(&mut self.conn).await?;
        Ok(row.and_then(|row| row.whole(0)).unwrap_or_default())
    }

    /// When the current epoch of the file began.
    pub(super) async fn epoch_started_at(&mut self) -> Result<i64, SqliteError> {
        let row = sqlx::query(EPOCH_STARTED_AT).fetch_optional(&mut self.conn).await?;
        Ok(row.and_then(|row| row.whole(0)).unwrap_or_default())
    }
}
