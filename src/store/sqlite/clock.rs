//! Retries and a wall clock that was set: the pause of a retry is a span, and stays one.

use super::{SqliteError, SqliteStore};
use crate::queue::job::Millis;

/// Most rows that one transaction moves: short, so that no producer waits long.
const BATCH: usize = 500;

// Both read every retry, as both are about every one: after the clock was set, and at the start.
pub(super) const IN_BACKOFF: &str = "\
SELECT id FROM outbox INDEXED BY outbox_backoff WHERE wait = 'backoff' AND updated_at NOT BETWEEN ?1 AND ?2";
pub(super) const BEGUN_LATER: &str = "\
SELECT id FROM outbox INDEXED BY outbox_backoff WHERE wait = 'backoff' AND updated_at > ?1
    AND updated_at <= 253402300799999";

// Each batch by its ids: with the `+` the index of all retries cannot be taken instead.
pub(super) const MOVE_RETRIES: &str = "\
UPDATE outbox SET next_attempt_at = next_attempt_at + ?2, budget_from = budget_from + ?2,
    updated_at = updated_at + ?2, moves = moves + 1
WHERE +wait = 'backoff' AND id IN (SELECT value FROM json_each(?1))";

pub(super) const PULL_IN: &str = "\
UPDATE outbox SET next_attempt_at = next_attempt_at - (updated_at - ?2),
    budget_from = budget_from - (updated_at - ?2), updated_at = ?2, moves = moves + 1
WHERE +wait = 'backoff' AND updated_at > ?2 AND updated_at <= 253402300799999 AND id IN (SELECT value FROM json_each(?1))";

impl SqliteStore {
    /// The jobs in backoff, but for those last written between `from` and `to`.
    pub async fn in_backoff(&mut self, from: Millis, to: Millis) -> Result<Vec<i64>, SqliteError> {
        Ok(sqlx::query_scalar(IN_BACKOFF).bind(from).bind(to).fetch_all(&mut self.conn).await?)
    }

    /// Moves the times of the first of these retries by so many milliseconds, and takes their ids
    /// away; until the list is empty there are more.
    pub async fn move_retries(
        &mut self,
        ids: &mut Vec<i64>,
        by: Millis,
    ) -> Result<(), SqliteError> {
        let rest = ids.len().saturating_sub(BATCH);
        self.for_each(MOVE_RETRIES, &ids[rest..], by).await?;
        ids.truncate(rest);
        Ok(())
    }

    /// Lets the pauses that began after `now` begin now: the clock was set back while no
    /// dispatcher ran. Returns how many.
    pub async fn pull_in_retries(&mut self, now: Millis) -> Result<usize, SqliteError> {
        let ids: Vec<i64> =
            sqlx::query_scalar(BEGUN_LATER).bind(now).fetch_all(&mut self.conn).await?;
        for batch in ids.chunks(BATCH) {
            self.for_each(PULL_IN, batch, now).await?;
        }
        Ok(ids.len())
    }

    /// All together, or one by one where the database refuses a row, which then keeps its time.
    async fn for_each(
        &mut self,
        statement: &'static str,
        ids: &[i64],
        time: Millis,
    ) -> Result<(), SqliteError> {
        let update = sqlx::query(statement).bind(format!("{ids:?}")).bind(time);
        match update.execute(&mut self.conn).await.map_err(SqliteError::from) {
            Err(e) if e.is_of_a_row() => {}
            done => return done.map(|_| ()),
        }
        for id in ids {
            let update = sqlx::query(statement).bind(format!("[{id}]")).bind(time);
            match update.execute(&mut self.conn).await.map_err(SqliteError::from) {
                Err(e) if !e.is_of_a_row() => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }
}
