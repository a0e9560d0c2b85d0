//! What the commands read: jobs by filter, one job's story, counts.

use super::pauses::PAUSES;
use super::{Filter, Hold, Page, Pause, Store, StoreError};
use crate::job::Millis;
use serde::Serialize;
use sqlx::{Connection, FromRow, QueryBuilder, Row};

/// A row of `delivery_status`: what anyone may see of a job; no payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct Delivery {
    pub id: i64,
    pub channel: String,
    pub account: String,
    pub source: Option<String>,
    pub idempotency_key: Option<String>,
    pub status: String,
    pub attempts: i64,
    pub message_id: Option<String>,
    pub failure: Option<String>,
    pub error_code: Option<String>,
    pub error: Option<String>,
    /// Times are ISO 8601, UTC, with milliseconds.
    pub created_at: String,
    pub send_at: Option<String>,
    pub next_attempt_at: Option<String>,
    pub finished_at: Option<String>,
}

/// A row of `outbox_attempts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct AttemptRow {
    pub attempt: i64,
    /// ISO 8601, UTC, with milliseconds.
    pub started_at: String,
    pub duration_ms: i64,
    pub outcome: String,
    pub http_status: Option<i64>,
    pub error_code: Option<String>,
    pub error: Option<String>,
}

/// One job with what a person asks about it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Detail {
    #[sqlx(flatten)]
    pub delivery: Delivery,
    pub payload_bytes: i64,
    /// A JSON array of the payload's field names.
    pub payload_fields: String,
    /// A JSON object.
    pub receipt: Option<String>,
    pub priority: i64,
    pub ordering_key: Option<String>,
    pub max_attempts: Option<i64>,
    pub expires: Option<Millis>,
    /// Why it is pending: ready, scheduled, backoff, parked.
    pub wait: Option<String>,
    pub due: Option<Millis>,
    pub retry: Option<Millis>,
    pub updated: Option<Millis>,
}

/// What goes before a parked job: the one that holds its lane, and how many in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ahead {
    pub holder: i64,
    pub holder_status: String,
    pub holder_retry: Option<Millis>,
    pub jobs: i64,
}

/// A job's whole story, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    pub job: Detail,
    pub history: Vec<AttemptRow>,
    /// Only where the job is parked.
    pub ahead: Option<Ahead>,
    /// Those of its account and channel.
    pub holds: Vec<Hold>,
    /// Those that concern it.
    pub pauses: Vec<Pause>,
}

/// How many jobs of a channel are in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct Count {
    pub channel: String,
    pub status: String,
    pub count: i64,
}

/// What `status` shows of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    pub counts: Vec<Count>,
    /// When the job became due that waits longest of those that could go out now.
    pub oldest_due: Option<Millis>,
    /// The process that took the file over last; it may have ended.
    pub dispatcher_pid: Option<i64>,
    pub holds: Vec<Hold>,
    pub pauses: Vec<Pause>,
}

const DETAIL: &str = "\
SELECT d.*, length(CAST(o.payload AS BLOB)) AS payload_bytes,
    (SELECT json_group_array(key) FROM json_each(CASE WHEN json_valid(o.payload) THEN o.payload ELSE '{}' END))
        AS payload_fields,
    o.receipt, o.priority, o.ordering_key, o.max_attempts, o.expires_at AS expires, o.wait,
    o.due_at AS due, o.next_attempt_at AS retry, o.updated_at AS updated
FROM delivery_status d JOIN outbox o ON o.id = d.id WHERE d.id = ?1";

const HISTORY: &str = "\
SELECT attempt, strftime('%Y-%m-%dT%H:%M:%fZ', started_at / 1000.0, 'unixepoch') AS started_at,
    duration_ms, outcome, http_status, error_code, error
FROM outbox_attempts WHERE job_id = ?1 ORDER BY attempt";

const AHEAD: &str = "\
SELECT h.id, h.status, h.next_attempt_at,
    (SELECT count(*) FROM outbox w WHERE w.lane = me.lane AND w.wait = 'parked'
     AND (w.due_at, w.id) < (me.due_at, me.id)) + 1
FROM outbox me JOIN outbox h ON h.lane = me.lane AND h.holds = 1
WHERE me.id = ?1 AND me.wait = 'parked'";

// Each state from the index that has it: a payload that spills over its page lies between a
// row's start and its status, so that a scan of the table reads every message.
const COUNTS: &str = "\
WITH part (channel, status, count) AS (
    SELECT channel, status, count(*) FROM outbox WHERE finished_at IS NOT NULL GROUP BY status, channel
    UNION ALL SELECT channel, 'pending', count(*) FROM outbox WHERE wait = 'ready' GROUP BY channel
    UNION ALL SELECT channel, 'pending', count(*) FROM outbox WHERE wait = 'scheduled' GROUP BY channel
    UNION ALL SELECT channel, 'pending', count(*) FROM outbox WHERE wait = 'backoff' GROUP BY channel
    UNION ALL SELECT channel, 'pending', count(*) FROM outbox WHERE wait = 'parked' GROUP BY channel
    UNION ALL SELECT channel, 'sending', count(*) FROM outbox WHERE claimed_by IS NOT NULL GROUP BY channel
    UNION ALL SELECT channel, 'uncertain', count(*) FROM outbox WHERE status = 'uncertain' GROUP BY channel)
SELECT channel, status, sum(count) AS count FROM part GROUP BY channel, status ORDER BY channel, status";

const OLDEST_DUE: &str = "\
SELECT min(due) FROM (
    SELECT min(due_at) AS due FROM outbox WHERE wait = 'ready'
    UNION ALL SELECT min(due_at) FROM outbox WHERE wait = 'parked'
    UNION ALL SELECT min(due_at) FROM outbox WHERE wait = 'scheduled' AND due_at <= ?1
    UNION ALL SELECT min(next_attempt_at) FROM outbox WHERE wait = 'backoff' AND next_attempt_at <= ?1)";

impl Store {
    /// The jobs of a page of those that pass.
    pub async fn deliveries(
        &mut self,
        filter: &Filter,
        page: &Page,
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut query = QueryBuilder::new("SELECT d.* FROM (SELECT o.id FROM outbox AS o WHERE 1");
        filter.push_onto(&mut query);
        page.push_order(&mut query);
        query.push(" LIMIT ").push_bind(i64::from(page.limit));
        query.push(" OFFSET ").push_bind(i64::try_from(page.offset).unwrap_or(i64::MAX));
        query.push(
            ") AS page CROSS JOIN delivery_status AS d ON d.id = page.id
               CROSS JOIN outbox AS o ON o.id = page.id",
        );
        page.push_order(&mut query);
        Ok(query.build_query_as().fetch_all(&mut self.conn).await?)
    }

    /// How many jobs pass.
    pub async fn count(&mut self, filter: &Filter) -> Result<u64, StoreError> {
        let mut query = QueryBuilder::new("SELECT count(*) FROM outbox AS o WHERE 1");
        filter.push_onto(&mut query);
        let count: i64 = query.build_query_scalar().fetch_one(&mut self.conn).await?;
        Ok(count.unsigned_abs())
    }

    /// One job's row of `delivery_status`; `None` for an id that is not there.
    pub async fn delivery(&mut self, id: i64) -> Result<Option<Delivery>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM delivery_status WHERE id = ?1")
            .bind(id)
            .fetch_optional(&mut self.conn)
            .await?)
    }

    /// The text of a job's payload: people's words, for who asks for them by name.
    pub async fn payload(&mut self, id: i64) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT payload FROM outbox WHERE id = ?1")
            .bind(id)
            .fetch_optional(&mut self.conn)
            .await?)
    }

    /// One job with its history and what stands before it; `None` for an id that is not there.
    pub async fn story(&mut self, id: i64) -> Result<Option<Story>, StoreError> {
        let holds = self.holds().await?;
        // One read transaction: all of it as of one moment.
        let mut tx = self.conn.begin().await?;
        let job: Option<Detail> = sqlx::query_as(DETAIL).bind(id).fetch_optional(&mut *tx).await?;
        let Some(job) = job else { return Ok(None) };
        let history = sqlx::query_as(HISTORY).bind(id).fetch_all(&mut *tx).await?;
        let ahead = sqlx::query(AHEAD).bind(id).fetch_optional(&mut *tx).await?;
        let ahead = ahead.as_ref().map(ahead_from).transpose()?;
        let mut pauses: Vec<Pause> = sqlx::query_as(PAUSES).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        pauses.retain(|pause| pause.concerns(&job.delivery.account, &job.delivery.channel));
        let of_its_route = |hold: &Hold| {
            hold.account == job.delivery.account
                && (hold.channel.is_empty() || hold.channel == job.delivery.channel)
        };
        let holds = holds.into_iter().filter(of_its_route).collect();
        Ok(Some(Story { job, history, ahead, holds, pauses }))
    }

    /// Counts, the oldest job that is due, and what holds jobs back.
    pub async fn overview(&mut self, now: Millis) -> Result<Overview, StoreError> {
        let holds = self.holds().await?;
        let mut tx = self.conn.begin().await?;
        let counts = sqlx::query_as(COUNTS).fetch_all(&mut *tx).await?;
        let oldest_due = sqlx::query_scalar(OLDEST_DUE).bind(now).fetch_one(&mut *tx).await?;
        let dispatcher_pid =
            sqlx::query_scalar("SELECT pid FROM outbox_dispatcher").fetch_one(&mut *tx).await?;
        let pauses = sqlx::query_as(PAUSES).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(Overview { counts, oldest_due, dispatcher_pid, holds, pauses })
    }

    /// The version of the schema that the file has.
    pub async fn schema_version(&mut self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT ifnull(max(version), 0) FROM outbox_migrations WHERE success",
        )
        .fetch_one(&mut self.conn)
        .await?)
    }

    /// What SQLite finds wrong with the file, at most ten sentences; reads all of it.
    pub async fn damage(&mut self) -> Result<Vec<String>, StoreError> {
        let mut found: Vec<String> =
            sqlx::query_scalar("PRAGMA quick_check(10)").fetch_all(&mut self.conn).await?;
        found.retain(|line| line != "ok");
        Ok(found)
    }
}

fn ahead_from(row: &sqlx::sqlite::SqliteRow) -> Result<Ahead, StoreError> {
    Ok(Ahead {
        holder: row.try_get(0)?,
        holder_status: row.try_get(1)?,
        holder_retry: row.try_get(2)?,
        jobs: row.try_get(3)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::now;

    async fn store(inserts: &str) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("outbox.db")).await.unwrap();
        store.plain_sql(inserts).await.unwrap();
        (folder, store)
    }

    fn chat(case: i64, send_at: &str) -> String {
        format!(
            "INSERT INTO outbox (channel, payload, send_at)
             VALUES ('chat', '{{\"caseId\": {case}, \"message\": \"hi\"}}', {send_at});"
        )
    }

    #[tokio::test]
    async fn the_story_of_a_parked_job_names_who_goes_before_it() {
        let three = chat(1, "NULL").repeat(3);
        let (_folder, mut store) = store(&three).await;
        let story = store.story(3).await.unwrap().unwrap();
        let ahead = story.ahead.unwrap();
        assert_eq!((ahead.holder, ahead.holder_status.as_str(), ahead.jobs), (1, "pending", 2));
        assert_eq!(story.job.payload_fields, r#"["caseId","message"]"#);
        assert_eq!(store.story(1).await.unwrap().unwrap().ahead, None);
        assert_eq!(store.story(4).await.unwrap(), None);
    }

    #[tokio::test]
    async fn every_state_is_counted_once() {
        let jobs = [chat(1, "NULL").repeat(2), chat(2, "datetime('now', '+1 day')")].concat();
        let (_folder, mut store) = store(&jobs).await;
        store.plain_sql("UPDATE outbox SET status = 'cancelled' WHERE id = 1").await.unwrap();
        let seen = store.overview(now()).await.unwrap();
        let counts: Vec<_> = seen.counts.iter().map(|c| (c.status.as_str(), c.count)).collect();
        assert_eq!(counts, [("cancelled", 1), ("pending", 2)]);
    }

    #[tokio::test]
    async fn a_job_for_later_is_not_due() {
        let (_folder, mut store) = store(&chat(1, "datetime('now', '+1 day')")).await;
        assert_eq!(store.overview(now()).await.unwrap().oldest_due, None);
        store.plain_sql(&chat(1, "datetime('now', '-90 seconds')")).await.unwrap();
        let age = now() - store.overview(now()).await.unwrap().oldest_due.unwrap();
        assert!((89_000..120_000).contains(&age), "{age}");
    }
}
