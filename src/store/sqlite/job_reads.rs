//! Jobs as operators read them: by filter, and one with its story.

use super::acts::ACTS;
use super::blocks::{HOLDS_OF, block_from};
use super::lenient::{DELIVERY, Lenient, unless_missing};
use super::paused_routes::PAUSES_OF;
use super::set_aside;
use super::{SqliteError, SqliteStore};
use crate::queue::act::Act;
use crate::queue::filter::{Filter, Page};
use crate::queue::job::Millis;
use crate::queue::story::{Ahead, AttemptRow, Delivery, Detail, Extent, Position, Story};
use crate::store::ALL;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, QueryBuilder, Row, Sqlite};

/// After [`DELIVERY`].
const DETAIL: &str = "\
, length(CAST(o.payload AS BLOB)) AS payload_bytes,
    (SELECT json_group_array(name) FROM (SELECT substr(key, 1, ?3) AS name
        FROM json_each(CASE WHEN typeof(o.payload) = 'text' AND json_valid(o.payload) THEN o.payload ELSE '{}' END)
        LIMIT ?2)) AS payload_fields,
    substr(o.receipt, 1, ?4) AS receipt, length(CAST(o.receipt AS BLOB)) AS receipt_bytes, o.priority, o.ordering_key,
    o.max_attempts, o.expires_at AS expires, o.wait, o.due_at AS due, o.next_attempt_at AS retry, o.updated_at AS updated,
    o.verify_at AS next_look, o.verify_round AS looks, o.verify_seen AS seen,
    o.follow_at AS next_follow_up, o.followed_at AS followed
FROM outbox AS o WHERE o.id = ?1";

const HISTORY: &str = "\
SELECT attempt, started_at, duration_ms, outcome, http_status, error_code, substr(error, 1, ?3) AS error
FROM outbox_attempts WHERE job_id = ?1 ORDER BY attempt DESC LIMIT ?2";

const ATTEMPTS: &str = "SELECT count(*) FROM outbox_attempts WHERE job_id = ?1";

// The signs keep SQLite from reading along the ids, which have the least one first.
const NEXT_UNDECIDED: &str = "\
SELECT min(+o.id) FROM outbox AS o WHERE o.status = 'uncertain' AND o.wait IS NOT 'verifying' AND +o.id > ?1";

const AHEAD: &str = "\
SELECT h.id, h.status, h.next_attempt_at,
    (SELECT count(*) FROM outbox w WHERE w.lane = me.lane AND w.wait = 'parked'
     AND (w.due_at, w.id) < (me.due_at, me.id)) + 1
FROM outbox me JOIN outbox h ON h.lane = me.lane AND h.holds = 1
WHERE me.id = ?1 AND me.wait = 'parked'";

// The order of the claim: the index of what is ready, up to the job itself.
const POSITION: &str = "\
SELECT
    (SELECT count(*) FROM (SELECT 1 FROM outbox AS w WHERE w.wait = 'ready' AND w.account = me.account
        AND w.channel = me.channel AND w.priority > me.priority LIMIT ?2 + 0))
  + (SELECT count(*) FROM (SELECT 1 FROM outbox AS w WHERE w.wait = 'ready' AND w.account = me.account
        AND w.channel = me.channel AND w.priority = me.priority AND (w.due_at, w.id) < (me.due_at, me.id) LIMIT ?2 + 0)),
    (SELECT count(*) FROM outbox AS c WHERE c.claimed_by IS NOT NULL AND c.account = me.account AND c.channel = me.channel),
    (SELECT count(*) FROM outbox AS f WHERE f.status IN ('sent', 'failed') AND f.channel = me.channel
        AND f.finished_at >= ?3 AND f.finished_at IS NOT NULL)
FROM outbox AS me WHERE me.id = ?1 AND me.wait = 'ready'";

impl SqliteStore {
    /// A page of the jobs that pass.
    pub async fn deliveries(
        &mut self,
        filter: &Filter,
        page: &Page,
    ) -> Result<Vec<Delivery>, SqliteError> {
        let mut query = page_query("", filter, page);
        Ok(query.build_query_as().fetch_all(&mut self.conn).await?)
    }

    /// How many jobs pass.
    pub async fn count(&mut self, filter: &Filter) -> Result<u64, SqliteError> {
        let mut query = count_query("", filter);
        let count: i64 = query.build_query_scalar().fetch_one(&mut self.conn).await?;
        Ok(count.unsigned_abs())
    }

    /// How many jobs pass, counted up to `limit`.
    pub async fn count_up_to(&mut self, filter: &Filter, limit: u64) -> Result<u64, SqliteError> {
        let mut query =
            QueryBuilder::new("SELECT count(*) FROM (SELECT 1 FROM outbox AS o WHERE 1");
        filter.push_onto_page(&mut query);
        query.push(" LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX)).push(")");
        let count: i64 = query.build_query_scalar().fetch_one(&mut self.conn).await?;
        Ok(count.unsigned_abs())
    }

    /// The uncertain job with the lowest id above `after` that waits for a person.
    pub async fn next_undecided(&mut self, after: i64) -> Result<Option<i64>, SqliteError> {
        let next = sqlx::query(NEXT_UNDECIDED).bind(after).fetch_one(&mut self.conn).await?;
        Ok(next.whole(0))
    }

    /// The id of the job that was inserted last; 0 where there is none.
    pub async fn last_id(&mut self) -> Result<i64, SqliteError> {
        let last = "SELECT ifnull(max(id), 0) FROM outbox";
        Ok(sqlx::query_scalar(last).fetch_one(&mut self.conn).await?)
    }

    /// The first `limit` ids above `after` that pass, ascending: all of them through the indexes of
    /// their states, a batch along the table.
    pub async fn ids(
        &mut self,
        filter: &Filter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<i64>, SqliteError> {
        if limit < ALL {
            let mut query = QueryBuilder::new("SELECT o.id FROM outbox AS o WHERE o.id > ");
            query.push_bind(after);
            filter.push_onto(&mut query);
            query.push(" ORDER BY o.id LIMIT ").push_bind(i64::from(limit));
            return Ok(query.build_query_scalar().fetch_all(&mut self.conn).await?);
        }
        // As one text: fetching rows one by one costs more than everything else that is done here.
        let mut query = QueryBuilder::new("SELECT json_group_array(id) FROM (");
        filter.push_all("o.id AS id", &mut query);
        query.push(") WHERE id > ").push_bind(after);
        let ids: String = query.build_query_scalar().fetch_one(&mut self.conn).await?;
        let mut ids: Vec<i64> =
            serde_json::from_str(&ids).map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
        ids.sort_unstable();
        Ok(ids)
    }

    /// One job's row of `delivery_status`; `None` for an id that does not exist.
    pub async fn delivery(&mut self, id: i64) -> Result<Option<Delivery>, SqliteError> {
        let sql =
            sqlx::AssertSqlSafe(format!("SELECT {DELIVERY} FROM outbox AS o WHERE o.id = ?1"));
        Ok(sqlx::query_as(sql).bind(id).fetch_optional(&mut self.conn).await?)
    }

    /// The first `characters` of a job's payload: message text.
    pub async fn payload(
        &mut self,
        id: i64,
        characters: u32,
    ) -> Result<Option<String>, SqliteError> {
        let query = match characters {
            // Not by substr(), which stops at a NUL.
            ALL => sqlx::query("SELECT payload FROM outbox WHERE id = ?1").bind(id),
            some => {
                let sql = "SELECT substr(payload, 1, ?2) FROM outbox WHERE id = ?1";
                sqlx::query(sql).bind(id).bind(some)
            }
        };
        Ok(query.fetch_optional(&mut self.conn).await?.map(|row| row.text_or_empty(0)))
    }

    /// One job with its history and what goes before it; `None` for an id that does not exist.
    pub async fn story(&mut self, id: i64, extent: Extent) -> Result<Option<Story>, SqliteError> {
        let Extent { attempts, fields, line, text } = extent;
        // One read transaction: all of it as of one moment.
        let mut tx = self.conn.begin().await?;
        let sql = sqlx::AssertSqlSafe(format!("SELECT {DELIVERY}{DETAIL}"));
        let job = sqlx::query_as(sql).bind(id).bind(fields).bind(line).bind(text);
        let job: Option<Detail> = job.fetch_optional(&mut *tx).await?;
        let Some(job) = job else { return Ok(None) };
        let history = sqlx::query_as(HISTORY).bind(id).bind(attempts).bind(line);
        let history = history.fetch_all(&mut *tx).await.map_err(SqliteError::from);
        let mut history: Vec<AttemptRow> = unless_missing(history)?;
        history.reverse();
        let attempts = sqlx::query_scalar(ATTEMPTS).bind(id).fetch_one(&mut *tx).await;
        let attempts = unless_missing(attempts.map_err(SqliteError::from))?;
        let acts = sqlx::query_as(ACTS).bind(id).fetch_all(&mut *tx).await;
        let acts: Vec<Act> = unless_missing(acts.map_err(SqliteError::from))?;
        let ahead = sqlx::query(AHEAD).bind(id).fetch_optional(&mut *tx).await?;
        let ahead = ahead.as_ref().map(ahead_from);
        let Delivery { account, channel, .. } = &job.delivery;
        let pauses = sqlx::query_as(PAUSES_OF).bind(account).bind(channel);
        let pauses = unless_missing(pauses.fetch_all(&mut *tx).await.map_err(SqliteError::from))?;
        let holds = sqlx::query(HOLDS_OF).bind(account).bind(channel).fetch_all(&mut *tx).await;
        let holds = unless_missing(holds.map_err(SqliteError::from))?;
        let set_aside = unless_missing(set_aside::one(&mut tx, id).await)?;
        let holds = holds.iter().filter_map(block_from).collect();
        tx.commit().await?;
        Ok(Some(Story { job, history, attempts, acts, ahead, blocks: holds, pauses, set_aside }))
    }

    /// What goes before this job; `None` for one that is not ready.
    pub async fn position(
        &mut self,
        id: i64,
        now: Millis,
    ) -> Result<Option<Position>, SqliteError> {
        let row = sqlx::query(POSITION)
            .bind(id)
            .bind(Position::LIMIT as i64)
            .bind(now - 60_000)
            .fetch_optional(&mut self.conn)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let count = |at: usize| Ok::<_, SqliteError>(row.try_get::<i64, _>(at)?.unsigned_abs());
        Ok(Some(Position { ahead: count(0)?, in_flight: count(1)?, last_minute: count(2)? }))
    }
}

/// The page's ids first: only its own rows are read whole.
fn page_query(before: &str, filter: &Filter, page: &Page) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(before);
    query.push(format!("SELECT {DELIVERY} FROM (SELECT o.id FROM outbox AS o WHERE 1"));
    filter.push_onto_page(&mut query);
    page.push_order(&mut query);
    query.push(" LIMIT ").push_bind(i64::from(page.limit));
    query.push(" OFFSET ").push_bind(i64::try_from(page.offset).unwrap_or(i64::MAX));
    query.push(") AS page CROSS JOIN outbox AS o ON o.id = page.id");
    page.push_order(&mut query);
    query
}

fn count_query(before: &str, filter: &Filter) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(before);
    query.push("SELECT sum(jobs) FROM (");
    filter.push_all("count(*) AS jobs", &mut query);
    query.push(")");
    query
}

fn ahead_from(row: &SqliteRow) -> Ahead {
    Ahead {
        holder: row.whole(0).unwrap_or_default(),
        holder_status: row.text_or_empty(1),
        holder_retry: row.whole(2),
        jobs: row.whole(3).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
