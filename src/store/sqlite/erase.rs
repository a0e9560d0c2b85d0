//! Erases data: finished rows whose retention has ended, and the text of messages that were sent. Both are
//! overwritten on disk: see `secure_delete` in `open.rs`.

use super::lenient::Lenient;
use super::{SqliteError, SqliteStore};
use crate::queue::job::{Channel, Millis, Status};
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, SqliteConnection};
use tracing::warn;

/// How many rows and how many of their bytes one transaction erases at most: all are overwritten with
/// zeros, and no producer can write until it ends.
const BATCH: i64 = 500;
const BATCH_BYTES: i64 = 1024 * 1024;
/// If the clock was set back or messages are kept for longer than before, scrubbing starts again this far
/// before the limit.
const BEHIND_MS: Millis = 10 * 60_000;

/// What one transaction has done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Erased {
    /// How many rows were deleted or scrubbed.
    pub rows: u64,
    /// There are more of them.
    pub more: bool,
}

// An attempt's row is counted as a kilobyte: its error can be as long.
pub(super) const PRUNABLE: &str = "\
SELECT id, finished_at, octet_length(payload) + 1024 * CAST(attempts AS INTEGER) FROM outbox
WHERE status = ?1 AND channel IN ('chat', 'mail', 'sms') AND finished_at < ?2 AND finished_at IS NOT NULL LIMIT ?3";

pub(super) const PRUNE: &str = "\
DELETE FROM outbox WHERE id IN (
    SELECT o.id FROM json_each(?1) AS chosen CROSS JOIN outbox AS o NOT INDEXED ON o.id = chosen.value
    WHERE o.status = ?2 AND o.finished_at < ?3)";

pub(super) const SCRUBBED_UNTIL: &str =
    "SELECT finished_at, id FROM outbox_scrubbing WHERE channel = ?1";

pub(super) const SCRUBBABLE: &str = "\
SELECT id, finished_at, octet_length(payload) FROM outbox
WHERE status = 'sent' AND channel = ?1 AND finished_at IS NOT NULL AND finished_at <= ?2
    AND (finished_at, id) > (?3, ?4)
ORDER BY finished_at, id LIMIT ?5";

pub(super) const SCRUB: &str = "\
UPDATE outbox SET payload = s.payload FROM outbox_scrubbed AS s
WHERE s.id = outbox.id AND +outbox.status = 'sent' AND outbox.payload IS NOT s.payload
    AND outbox.id IN (SELECT value FROM json_each(?1))";

pub(super) const MARK: &str = "\
INSERT INTO outbox_scrubbing (channel, finished_at, id) VALUES (?1, ?2, ?3)
ON CONFLICT (channel) DO UPDATE SET finished_at = excluded.finished_at, id = excluded.id";

/// Between two statements a note has no meaning: see the trigger `outbox_insert_taken`.
pub(super) const FORGET_TAKEN_KEYS: &str = "\
DELETE FROM outbox_taken_keys WHERE idempotency_key IN (SELECT idempotency_key FROM outbox_taken_keys LIMIT 500)";

/// A place in the order in which jobs have finished.
#[derive(Clone, Copy)]
struct Mark {
    finished_at: Millis,
    id: i64,
}

/// The first rows of those found that fit into one transaction.
struct Batch {
    ids: Vec<i64>,
    last: Mark,
    more: bool,
}

impl Batch {
    /// `None` where nothing was found.
    fn of(found: &[SqliteRow]) -> Option<Batch> {
        let (mut ids, mut bytes) = (Vec::new(), 0);
        let mut last = None;
        for row in found {
            bytes += row.whole(2).unwrap_or_default();
            if bytes > BATCH_BYTES && !ids.is_empty() {
                break;
            }
            let finished_at = row.due(1).unwrap_or_default();
            let mark = Mark { id: row.whole(0).unwrap_or_default(), finished_at };
            ids.push(mark.id);
            last = Some(mark);
        }
        let more = ids.len() < found.len() || found.len() as i64 == BATCH;
        last.map(|last| Batch { ids, last, more })
    }

    fn json(&self) -> String {
        format!("{:?}", self.ids)
    }
}

impl SqliteStore {
    /// Deletes the first jobs that ended in `status` before `before`, with their history.
    pub async fn prune(&mut self, status: Status, before: Millis) -> Result<Erased, SqliteError> {
        let found = sqlx::query(PRUNABLE)
            .bind(status.as_str())
            .bind(before)
            .bind(BATCH)
            .fetch_all(&mut self.conn)
            .await?;
        let Some(batch) = Batch::of(&found) else { return Ok(Erased::default()) };
        match self.prune_ids(&batch.json(), status, before).await {
            Ok(rows) => return Ok(Erased { rows, more: batch.more }),
            Err(e) if e.is_of_a_row() => {}
            Err(e) => return Err(e),
        }
        // If a trigger keeps one of them, the others are deleted.
        let (mut rows, mut kept) = (0, 0);
        for id in &batch.ids {
            match self.prune_ids(&format!("[{id}]"), status, before).await {
                Ok(one) => rows += one,
                Err(e) if e.is_of_a_row() => {
                    if kept == 0 {
                        warn!(job = id, error = %e, "the database refuses to delete this job");
                    }
                    kept += 1;
                }
                Err(e) => return Err(e),
            }
        }
        if kept > 1 {
            warn!(jobs = kept, %status, "jobs that were to be deleted are kept");
        }
        Ok(Erased { rows, more: batch.more && rows > 0 })
    }

    async fn prune_ids(
        &mut self,
        ids: &str,
        status: Status,
        before: Millis,
    ) -> Result<u64, SqliteError> {
        let delete = sqlx::query(PRUNE).bind(ids).bind(status.as_str()).bind(before);
        Ok(delete.execute(&mut self.conn).await?.rows_affected())
    }

    /// Removes the text of the next messages of a channel that were sent by `until`. The ids (view
    /// `outbox_scrubbed`) and the rest of the row stay.
    ///
    /// It continues where it stopped, so `until` must be before everything that is still to be recorded.
    pub async fn scrub(&mut self, channel: Channel, until: Millis) -> Result<Erased, SqliteError> {
        let reached = self.scrubbed_until(channel).await?;
        let from = if reached.finished_at > until {
            let from = Mark { finished_at: until.saturating_sub(BEHIND_MS), id: 0 };
            self.mark(channel, from).await?;
            from
        } else {
            reached
        };
        let found = sqlx::query(SCRUBBABLE)
            .bind(channel.as_str())
            .bind(until)
            .bind(from.finished_at)
            .bind(from.id)
            .bind(BATCH)
            .fetch_all(&mut self.conn)
            .await?;
        let Some(batch) = Batch::of(&found) else { return Ok(Erased::default()) };
        let rows = self.scrub_batch(channel, &batch).await?;
        Ok(Erased { rows, more: batch.more })
    }

    async fn scrub_batch(&mut self, channel: Channel, batch: &Batch) -> Result<u64, SqliteError> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        let done = sqlx::query(SCRUB).bind(batch.json()).execute(&mut *tx).await;
        let rows = match done.map_err(SqliteError::from) {
            Ok(done) => done.rows_affected(),
            Err(e) if e.is_of_a_row() => scrub_each(&mut tx, &batch.ids).await?,
            Err(e) => return Err(e),
        };
        sqlx::query(MARK)
            .bind(channel.as_str())
            .bind(batch.last.finished_at)
            .bind(batch.last.id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(rows)
    }

    /// Deletes up to 500 notes that ignored INSERTs have left. True if there were any.
    pub async fn forget_taken_keys(&mut self) -> Result<bool, SqliteError> {
        // No write lock where there is nothing to delete.
        let any = "SELECT EXISTS (SELECT 1 FROM outbox_taken_keys)";
        if !sqlx::query_scalar::<_, bool>(any).fetch_one(&mut self.conn).await? {
            return Ok(false);
        }
        sqlx::query(FORGET_TAKEN_KEYS).execute(&mut self.conn).await?;
        Ok(true)
    }

    async fn scrubbed_until(&mut self, channel: Channel) -> Result<Mark, SqliteError> {
        let query = sqlx::query(SCRUBBED_UNTIL).bind(channel.as_str());
        let row = query.fetch_optional(&mut self.conn).await?;
        let number = |at: usize| row.as_ref().and_then(|row| row.whole(at)).unwrap_or_default();
        Ok(Mark { finished_at: number(0), id: number(1) })
    }

    async fn mark(&mut self, channel: Channel, at: Mark) -> Result<(), SqliteError> {
        let mark = sqlx::query(MARK).bind(channel.as_str()).bind(at.finished_at).bind(at.id);
        mark.execute(&mut self.conn).await?;
        Ok(())
    }
}

/// If a trigger protects one of them, the others are scrubbed.
async fn scrub_each(conn: &mut SqliteConnection, ids: &[i64]) -> Result<u64, SqliteError> {
    let mut rows = 0;
    for id in ids {
        let done = sqlx::query(SCRUB).bind(format!("[{id}]")).execute(&mut *conn).await;
        match done.map_err(SqliteError::from) {
            Ok(done) => rows += done.rows_affected(),
            Err(e) if e.is_of_a_row() => {
                warn!(job = id, error = %e, "the text of this message cannot be removed");
            }
            Err(e) => return Err(e),
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests;
