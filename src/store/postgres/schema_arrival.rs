//! A schema that an outbox is carried to.

use super::{PostgresError, PostgresStore, history};
use crate::config::PostgresServer;
use crate::queue::carried::{CarriedAct, CarriedAttempt, CarriedJob, CarriedRest};
use crate::queue::outcome_counts::ROWS_AT_ONCE;
use crate::queue::policy::Purpose;
use crate::store::StoreError;
use serde::Serialize;

/// Rows are put in as they are, which the triggers would refuse; they are back when others see the
/// table again. Only the owner may do this.
const BEGIN: &str = "\
BEGIN; LOCK TABLE outbox IN SHARE ROW EXCLUSIVE MODE; ALTER TABLE outbox DISABLE TRIGGER USER;
ALTER TABLE outbox_pauses DISABLE TRIGGER USER";
const TRIGGERS: &str = "\
ALTER TABLE outbox ENABLE TRIGGER USER; ALTER TABLE outbox_pauses ENABLE TRIGGER USER";

const IS_EMPTY: &str = "SELECT NOT EXISTS (SELECT 1 FROM outbox)";

const JOBS: &str = include_str!("schema_arrival.sql");

const ATTEMPTS: &str = "\
INSERT INTO outbox_attempts (job_id, attempt, started_at, duration_ms, outcome, http_status, error_code, error)
SELECT r.job_id, r.attempt, timestamptz 'epoch' + r.started_at * interval '1 ms', r.duration_ms, r.outcome,
    r.http_status, r.error_code, r.error
FROM json_to_recordset($1::json) AS r (job_id bigint, attempt integer, started_at bigint, duration_ms integer,
    outcome text, http_status integer, error_code text, error text)";

const ACTS: &str = "\
INSERT INTO outbox_acts (job_id, at, deed, origin, name, detail, payload)
SELECT (r.value ->> 'job_id')::bigint, timestamptz 'epoch' + (r.value ->> 'at')::bigint * interval '1 ms', r.value ->> 'deed',
    r.value ->> 'origin', r.value ->> 'name', r.value ->> 'detail', (r.value ->> 'payload')::jsonb
FROM json_array_elements($1::json) WITH ORDINALITY AS r (value, place) ORDER BY r.place";

const PAUSES: &str = "\
INSERT INTO outbox_pauses (account, channel, reason, since, until)
SELECT r.account, r.channel, r.reason, timestamptz 'epoch' + r.since * interval '1 ms', timestamptz 'epoch' + r.until * interval '1 ms'
FROM json_to_recordset($1::json) AS r (account text, channel text, reason text, since bigint, until bigint)
ON CONFLICT DO NOTHING";

const SET_ASIDE: &str = "\
INSERT INTO outbox_set_aside (job_id, since, reason)
SELECT r.job_id, timestamptz 'epoch' + r.since * interval '1 ms', r.reason
FROM json_to_recordset($1::json) AS r (job_id bigint, since bigint, reason text)";

const SCRUBBING: &str = "\
INSERT INTO outbox_scrubbing (channel, finished_at, id)
SELECT r.channel, timestamptz 'epoch' + r.finished_at * interval '1 ms', r.id
FROM json_to_recordset($1::json) AS r (channel text, finished_at bigint, id bigint)";

/// The place of each pending job; nodes elect the heads of those with a key.
const PLACES: &str = "\
UPDATE outbox SET lane = outbox_lane_of(ordering_key, channel, account, payload),
    wait = CASE WHEN status <> 'pending' THEN wait
        WHEN due_at > clock_timestamp() THEN 'scheduled'
        WHEN outbox_lane_of(ordering_key, channel, account, payload) IS NOT NULL THEN 'parked'
        WHEN next_attempt_at > clock_timestamp() THEN 'backoff'
        ELSE 'ready' END;
UPDATE outbox o SET holds = lane WHERE wait = 'verifying' AND lane IS NOT NULL
    AND id = (SELECT min(v.id) FROM outbox v WHERE v.wait = 'verifying' AND v.lane = o.lane);
INSERT INTO outbox_elections SELECT DISTINCT lane FROM outbox WHERE wait = 'parked'";

const LAST_ID: &str = "\
SELECT setval(pg_get_serial_sequence('outbox', 'id')::regclass, greatest($1, 1), $1 > 0)";

/// The schema in a transaction, without the outbox's triggers.
pub struct SchemaArrival {
    store: PostgresStore,
}

impl SchemaArrival {
    /// Creates the outbox where it is missing.
    pub async fn begin(
        server: &PostgresServer,
        purpose: Purpose,
    ) -> Result<SchemaArrival, StoreError> {
        let (store, _) = PostgresStore::init(purpose, server).await?;
        store.require_session("an outbox cannot be moved there")?;
        let mut to = SchemaArrival { store };
        match to.lock().await? {
            true => Ok(to),
            false => Err(StoreError::Unusable(format!(
                "{server} has jobs already; name an empty outbox, or a schema that has none"
            ))),
        }
    }

    async fn lock(&mut self) -> Result<bool, PostgresError> {
        sqlx::raw_sql(BEGIN).execute(&mut self.store.conn).await?;
        Ok(sqlx::query_scalar(IS_EMPTY).fetch_one(&mut self.store.conn).await?)
    }

    /// All of them or, after an error, none.
    pub async fn put(&mut self, jobs: &[CarriedJob]) -> Result<(), StoreError> {
        sqlx::raw_sql("SAVEPOINT load")
            .execute(&mut self.store.conn)
            .await
            .map_err(PostgresError::from)?;
        let put = self.insert(JOBS, jobs).await;
        let end = if put.is_ok() { "RELEASE load" } else { "ROLLBACK TO load; RELEASE load" };
        // If the connection was lost, the first error says more.
        let ended = sqlx::raw_sql(end).execute(&mut self.store.conn).await;
        put?;
        Ok(ended.map(drop).map_err(PostgresError::from)?)
    }

    pub async fn put_attempts(&mut self, attempts: &[CarriedAttempt]) -> Result<(), StoreError> {
        Ok(self.insert(ATTEMPTS, attempts).await?)
    }

    pub async fn put_acts(&mut self, acts: &[CarriedAct]) -> Result<(), StoreError> {
        Ok(self.insert(ACTS, acts).await?)
    }

    async fn insert(
        &mut self,
        sql: &'static str,
        rows: &[impl Serialize],
    ) -> Result<(), PostgresError> {
        let json = serde_json::to_string(rows).expect("text and numbers are always JSON");
        sqlx::query(sql).bind(json).execute(&mut self.store.conn).await?;
        Ok(())
    }

    /// Gives every job its place in the queue, and commits.
    pub async fn settle(mut self, rest: &CarriedRest) -> Result<(), StoreError> {
        self.place(rest).await?;
        Ok(self.store.close().await?)
    }

    async fn place(&mut self, rest: &CarriedRest) -> Result<(), PostgresError> {
        self.insert(PAUSES, &rest.pauses).await?;
        self.insert(SET_ASIDE, &rest.set_aside).await?;
        self.insert(SCRUBBING, &rest.scrubbing).await?;
        for rows in rest.outcomes.chunks(ROWS_AT_ONCE) {
            history::add_rows(&mut self.store.conn, rows).await?;
        }
        let conn = &mut self.store.conn;
        sqlx::raw_sql(PLACES).execute(&mut *conn).await?;
        sqlx::query(LAST_ID).bind(rest.last_id).execute(&mut *conn).await?;
        sqlx::raw_sql(TRIGGERS).execute(&mut *conn).await?;
        sqlx::raw_sql("COMMIT; ANALYZE outbox, outbox_attempts").execute(conn).await?;
        Ok(())
    }
}
