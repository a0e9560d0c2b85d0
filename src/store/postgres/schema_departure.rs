//! An outbox in a schema that is carried to another place.

use super::{PostgresError, PostgresStore};
use crate::config::PostgresServer;
use crate::queue::carried::{
    CarriedAct, CarriedAttempt, CarriedJob, CarriedPart, CarriedPause, CarriedRest,
    CarriedScrubbing, CarriedSetAside, LOAD_BYTES, LOAD_JOBS,
};
use crate::queue::outcome_counts::MINUTE_MS;
use crate::store::{ALL, StoreError};
use sqlx::Row;
use sqlx::postgres::PgRow;

/// Readers are not held up; whoever writes waits.
const LOCK: &str = "\
BEGIN; LOCK TABLE outbox, outbox_attempts, outbox_acts, outbox_pauses IN SHARE ROW EXCLUSIVE MODE";

const SENDING: &str = "\
SELECT count(*) FROM outbox o WHERE o.status = 'sending'
    AND NOT EXISTS (SELECT 1 FROM outbox_set_aside a WHERE a.job_id = o.id)";

/// Where the next load ends: after this many jobs or bytes, but not before the first job.
const END: &str = "\
SELECT max(id) FROM (
    SELECT id, sum(pg_column_size(payload)::bigint) OVER (ORDER BY id) - pg_column_size(payload) AS before
    FROM (SELECT id, payload FROM outbox WHERE id > $1 ORDER BY id LIMIT $2) AS next) AS sized
WHERE before < $3";

const JOBS: &str = include_str!("schema_departure.sql");

const ATTEMPTS: &str = "\
SELECT job_id, attempt::bigint, floor(extract(epoch FROM started_at) * 1000)::bigint, duration_ms::bigint, outcome,
    http_status::bigint, error_code, error
FROM outbox_attempts WHERE job_id > $1 AND job_id <= $2 ORDER BY job_id, attempt";

const ACTS: &str = "\
SELECT job_id, floor(extract(epoch FROM at) * 1000)::bigint, deed, origin, name, detail, payload::text
FROM outbox_acts WHERE job_id > $1 AND job_id <= $2 ORDER BY id";

const PAUSES: &str = "\
SELECT account, channel, reason, floor(extract(epoch FROM since) * 1000)::bigint, floor(extract(epoch FROM until) * 1000)::bigint
FROM outbox_pauses";
const SET_ASIDE: &str = "\
SELECT job_id, floor(extract(epoch FROM since) * 1000)::bigint, reason FROM outbox_set_aside";
const SCRUBBING: &str = "\
SELECT channel, floor(extract(epoch FROM finished_at) * 1000)::bigint, id FROM outbox_scrubbing";
const LAST_ID: &str = "\
SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass), 0)";

/// The schema, locked against whoever writes.
pub struct SchemaDeparture {
    store: PostgresStore,
    /// The reason of the pause that it leaves behind, which is not carried over. `None`: a person had
    /// paused everything already.
    reason: Option<String>,
}

impl SchemaDeparture {
    /// Pauses everything, with this reason, unless a person has; then takes the locks.
    pub async fn begin(
        server: &PostgresServer,
        reason: &str,
    ) -> Result<SchemaDeparture, StoreError> {
        let store = PostgresStore::open_session("acquire-outbox", server).await?;
        store.require_session("an outbox cannot be moved from there")?;
        let mut from = SchemaDeparture { store, reason: Some(reason.to_owned()) };
        let sending = from.pause_and_lock().await?;
        if sending > 0 {
            return Err(StoreError::Unusable(format!(
                "{server} still has jobs that are sending ({sending}); let `acquire-outbox run --until-empty` \
                 decide them (everything is paused now, so it sends nothing), and try again"
            )));
        }
        Ok(from)
    }

    async fn pause_and_lock(&mut self) -> Result<i64, PostgresError> {
        let pauses = self.store.pauses(ALL).await?;
        let of_everything = pauses.iter().find(|pause| pause.is_of_everything());
        match &self.reason {
            Some(own) if of_everything.is_none_or(|pause| pause.reason == *own) => {
                self.store.pause(None, None, own, None).await?;
            }
            _ => self.reason = None,
        }
        sqlx::raw_sql(LOCK).execute(&mut self.store.conn).await?;
        Ok(sqlx::query_scalar(SENDING).fetch_one(&mut self.store.conn).await?)
    }

    pub fn is_sandbox(&self) -> bool {
        self.store.is_sandbox()
    }

    pub async fn load(&mut self, after: i64) -> Result<CarriedPart, StoreError> {
        Ok(self.read(after).await?)
    }

    async fn read(&mut self, after: i64) -> Result<CarriedPart, PostgresError> {
        let conn = &mut self.store.conn;
        let end = sqlx::query_scalar(END).bind(after).bind(LOAD_JOBS).bind(LOAD_BYTES);
        let Some(last): Option<i64> = end.fetch_one(&mut *conn).await? else {
            return Ok(CarriedPart::default());
        };
        let rows = sqlx::query(JOBS).bind(after).bind(last).fetch_all(&mut *conn).await?;
        let jobs: Result<_, _> = rows.iter().map(carried_job).collect();
        let rows = sqlx::query(ATTEMPTS).bind(after).bind(last).fetch_all(&mut *conn).await?;
        let attempts: Result<_, _> = rows.iter().map(carried_attempt).collect();
        let rows = sqlx::query(ACTS).bind(after).bind(last).fetch_all(conn).await?;
        let acts: Result<_, _> = rows.iter().map(carried_act).collect();
        Ok(CarriedPart {
            jobs: jobs?,
            attempts: attempts?,
            acts: acts?,
            unreadable: Vec::new(),
            last: Some(last),
        })
    }

    pub async fn rest(&mut self) -> Result<CarriedRest, StoreError> {
        Ok(self.read_rest().await?)
    }

    async fn read_rest(&mut self) -> Result<CarriedRest, PostgresError> {
        let conn = &mut self.store.conn;
        let pauses: Vec<(String, String, String, i64, Option<i64>)> =
            sqlx::query_as(PAUSES).fetch_all(&mut *conn).await?;
        let pauses = pauses.into_iter().map(|row| {
            let (account, channel, reason, since, until) = row;
            CarriedPause { account, channel, reason, since, until }
        });
        let own = |of: &CarriedPause| {
            of.account.is_empty()
                && of.channel.is_empty()
                && self.reason.as_ref() == Some(&of.reason)
        };
        let set_aside: Vec<(i64, i64, String)> =
            sqlx::query_as(SET_ASIDE).fetch_all(&mut *conn).await?;
        let set_aside = set_aside.into_iter().map(|(job_id, since, reason)| CarriedSetAside {
            job_id,
            since,
            reason,
        });
        let scrubbing: Vec<(String, i64, i64)> =
            sqlx::query_as(SCRUBBING).fetch_all(&mut *conn).await?;
        let scrubbing = scrubbing.into_iter().map(|(channel, finished_at, id)| CarriedScrubbing {
            channel,
            finished_at,
            id,
        });
        Ok(CarriedRest {
            pauses: pauses.filter(|of| !own(of)).collect(),
            set_aside: set_aside.collect(),
            scrubbing: scrubbing.collect(),
            last_id: sqlx::query_scalar(LAST_ID).fetch_one(conn).await?,
            outcomes: self.store.history(0, MINUTE_MS).await?,
        })
    }

    /// Gives the locks back and ends its own pause: nothing has been carried over.
    pub async fn undo(mut self) -> Result<(), StoreError> {
        let rolled_back = sqlx::raw_sql("ROLLBACK").execute(&mut self.store.conn).await;
        rolled_back.map_err(PostgresError::from)?;
        if self.reason.is_some() {
            self.store.resume(None, None).await?;
        }
        Ok(self.store.close().await?)
    }

    /// Gives the locks back.
    pub async fn end(mut self) -> Result<(), StoreError> {
        let ended = sqlx::raw_sql("COMMIT").execute(&mut self.store.conn).await;
        ended.map_err(PostgresError::from)?;
        Ok(self.store.close().await?)
    }
}

fn carried_job(row: &PgRow) -> sqlx::Result<CarriedJob> {
    Ok(CarriedJob {
        id: row.try_get("id")?,
        channel: row.try_get("channel")?,
        payload: row.try_get("payload")?,
        account: row.try_get("account")?,
        idempotency_key: row.try_get("idempotency_key")?,
        ordering_key: row.try_get("ordering_key")?,
        priority: row.try_get("priority")?,
        send_at: row.try_get("send_at")?,
        expires_at: row.try_get("expires_at")?,
        max_attempts: row.try_get("max_attempts")?,
        source: row.try_get("source")?,
        created_at: row.try_get("created_at")?,
        status: row.try_get("status")?,
        attempts: row.try_get("attempts")?,
        next_attempt_at: row.try_get("next_attempt_at")?,
        message_id: row.try_get("message_id")?,
        receipt: row.try_get("receipt")?,
        failure: row.try_get("failure")?,
        error_code: row.try_get("error_code")?,
        error: row.try_get("error")?,
        updated_at: row.try_get("updated_at")?,
        finished_at: row.try_get("finished_at")?,
        due_at: row.try_get("due_at")?,
        unspent: row.try_get("unspent")?,
        uncertain_attempts: row.try_get("uncertain_attempts")?,
        budget_from: row.try_get("budget_from")?,
        verify_at: row.try_get("verify_at")?,
        verify_from: row.try_get("verify_from")?,
        verify_until: row.try_get("verify_until")?,
        verify_seen: row.try_get("verify_seen")?,
        delivery: row.try_get("delivery")?,
        delivery_at: row.try_get("delivery_at")?,
        follow_at: row.try_get("follow_at")?,
        followed_at: row.try_get("followed_at")?,
    })
}

fn carried_attempt(row: &PgRow) -> sqlx::Result<CarriedAttempt> {
    Ok(CarriedAttempt {
        job_id: row.try_get(0)?,
        attempt: row.try_get(1)?,
        started_at: row.try_get(2)?,
        duration_ms: row.try_get(3)?,
        outcome: row.try_get(4)?,
        http_status: row.try_get(5)?,
        error_code: row.try_get(6)?,
        error: row.try_get(7)?,
    })
}

fn carried_act(row: &PgRow) -> sqlx::Result<CarriedAct> {
    Ok(CarriedAct {
        job_id: row.try_get(0)?,
        at: row.try_get(1)?,
        deed: row.try_get(2)?,
        origin: row.try_get(3)?,
        name: row.try_get(4)?,
        detail: row.try_get(5)?,
        payload: row.try_get(6)?,
    })
}
