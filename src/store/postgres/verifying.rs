//! Jobs whose outcome is unknown, while they are looked for at Acquire. All times in the database are by
//! its own clock, those of a lookup by this machine's.

use super::ended_json::{distance, readable};
use super::node_job::{read, shift};
use super::node_session::{Beat, NodeSession, millis};
use super::{PostgresError, PostgresTenure};
use crate::queue::doubt::{DoubtfulJob, may_look_alike, recipient_field};
use crate::queue::job::{Channel, Millis};
use crate::queue::report::Notice;
use crate::queue::transition::{Transition, Wait};
use crate::queue::verification::Sought;
use crate::queue::when::now;
use crate::store::StoreError;
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::HashSet;
use std::time::Duration;
use tracing::Level;

/// Another job's message still counts if it was recorded this long before the attempt: clocks differ.
const SLACK: Millis = 60_000;
/// At most this many jobs are compared with a message; if there are more, one of them counts as alike.
const RIVALS_AT_MOST: i64 = 1000;

const TAKE: &str = "\
SELECT * FROM outbox_take_sought($1, $2, $3 * interval '1 ms', $4 * interval '1 ms', $5, $6::text::jsonb, $7 * interval '1 ms',
    $8 * interval '1 ms')";
/// Whose row it is that the database refuses to change: the one that a take of one comes to.
const FIRST: &str = "SELECT outbox_due_looks(1, $1::text::jsonb, $2 * interval '1 ms')";
const RECORDED: &str =
    "SELECT outbox_recorded_ids($1, $2, $3, clock_timestamp() - $4 * interval '1 ms', $5)";
const RECORD: &str = "\
SELECT outbox_record_verdict($1, $2, $3 * interval '1 ms', $4 * interval '1 ms', $5, $6, $7, $8::text::jsonb)";

/// Jobs that may have a message at Acquire whose id is not known: those that are being sent, those that had
/// an attempt of unknown outcome at the time, and those that were sent then and got no id. One that leaves its
/// case out (`fill_missing`) may have been for any.
const RIVALS: &str = "\
SELECT o.payload::text FROM outbox o WHERE o.claimed_by IS NOT NULL AND o.status = 'sending'
    AND o.account = $1 AND o.channel = $2 AND o.id <> $3 AND coalesce(o.payload ->> $4, $5) = $5
UNION ALL
SELECT o.payload::text FROM outbox o WHERE o.verify_from IS NOT NULL AND o.message_id IS NULL
    AND o.account = $1 AND o.channel = $2 AND o.id <> $3 AND o.status <> 'sending'
    AND o.verify_from <= clock_timestamp() - $7 * interval '1 ms' AND o.verify_until >= clock_timestamp() - $6 * interval '1 ms'
    AND coalesce(o.payload ->> $4, $5) = $5
UNION ALL
SELECT o.payload::text FROM outbox o WHERE o.status = 'sent' AND o.message_id IS NULL
    AND o.account = $1 AND o.channel = $2 AND o.id <> $3 AND o.verify_from IS NULL
    AND o.finished_at >= clock_timestamp() - $6 * interval '1 ms' AND coalesce(o.payload ->> $4, $5) = $5
LIMIT $8";

impl PostgresTenure {
    /// See [`Tenure::take_sought`](crate::store::Tenure::take_sought).
    pub async fn take_sought(
        &mut self,
        limit: usize,
        without: &[(String, Option<Channel>)],
        now: Millis,
        lease: Duration,
    ) -> Result<Vec<DoubtfulJob>, StoreError> {
        match self.session.take_sought(limit, without, now, lease).await {
            Err(e) if e.is_of_a_row() => {}
            taken => return taken,
        }
        // Perhaps it is another than the first.
        match self.session.take_sought(1, without, now, lease).await {
            Err(e) if e.is_of_a_row() => {
                let first = sqlx::query_scalar(FIRST).bind(left_alone(without)).bind(ahead(now));
                let id: Option<i64> =
                    self.session.with(async move |conn| first.fetch_optional(conn).await).await?;
                let Some(id) = id else { return Ok(Vec::new()) };
                self.set_aside(id, &e.to_string(), None).await?;
                let sentence = "the database refuses to change this row, which is to be verified: it is set aside";
                let notice = Notice::new(Level::ERROR, sentence).job(id);
                self.report.notice(notice.reason(e.to_string()));
                Ok(Vec::new())
            }
            taken => taken,
        }
    }

    /// See [`Tenure::recorded_ids`](crate::store::Tenure::recorded_ids).
    pub async fn recorded_ids(
        &mut self,
        sought: &Sought,
        ids: &[&str],
    ) -> Result<HashSet<String>, StoreError> {
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let query = sqlx::query_scalar(RECORDED).bind(sought.id).bind(&sought.account);
        let query = query.bind(sought.channel.as_str()).bind(now() - (sought.since - SLACK));
        let query = query.bind(ids);
        let recorded: Vec<String> =
            self.session.with(async move |conn| query.fetch_all(conn).await).await?;
        Ok(recorded.into_iter().collect())
    }

    /// See [`Tenure::has_rival`](crate::store::Tenure::has_rival).
    pub async fn has_rival(&mut self, sought: &Sought) -> Result<bool, StoreError> {
        let field = recipient_field(sought.channel);
        let payload: Option<Value> = serde_json::from_str(&sought.payload).ok();
        let recipient = payload.as_ref().and_then(|payload| payload.get(field));
        let recipient = recipient.map(Value::to_string);
        let query = sqlx::query_scalar(RIVALS).bind(&sought.account).bind(sought.channel.as_str());
        let query = query.bind(sought.id).bind(field).bind(recipient);
        let query = query.bind(now() - (sought.since - SLACK)).bind(now() - (sought.until + SLACK));
        let query = query.bind(RIVALS_AT_MOST);
        let rivals: Vec<String> =
            self.session.with(async move |conn| query.fetch_all(conn).await).await?;
        let alike = |other: &String| may_look_alike(sought.channel, &sought.payload, other);
        Ok(rivals.len() as i64 == RIVALS_AT_MOST || rivals.iter().any(alike))
    }

    /// See [`Tenure::record_verdict`](crate::store::Tenure::record_verdict).
    pub async fn record_verdict(
        &mut self,
        sought: &Sought,
        transition: &Transition,
        seen: Option<&str>,
    ) -> Result<bool, StoreError> {
        let found = readable(found(transition, seen, now()).to_string());
        let (id, attempts, round) = (sought.id, sought.attempts, sought.round);
        let record = async move |conn: &mut sqlx::PgConnection, beat: Beat| {
            let query = sqlx::query_scalar(RECORD).bind(beat.epoch).bind(beat.cycle);
            let query = query.bind(beat.lease_ms).bind(beat.request_ms);
            query.bind(id).bind(attempts).bind(round).bind(found).fetch_one(conn).await
        };
        let recorded = self.session.transact(record).await?;
        self.report.may_be_ready |= recorded && transition.wait != Some(Wait::Verifying);
        Ok(recorded)
    }
}

impl NodeSession {
    async fn take_sought(
        &mut self,
        limit: usize,
        without: &[(String, Option<Channel>)],
        at: Millis,
        lease: Duration,
    ) -> Result<Vec<DoubtfulJob>, StoreError> {
        let (without, ahead) = (left_alone(without), ahead(at));
        let take = async move |conn: &mut sqlx::PgConnection, beat: Beat| {
            let query = sqlx::query(TAKE).bind(beat.epoch).bind(beat.cycle);
            let query = query.bind(beat.lease_ms).bind(beat.request_ms);
            let query = query.bind(i32::try_from(limit).unwrap_or(i32::MAX)).bind(without);
            query.bind(millis(lease)).bind(ahead).fetch_all(conn).await
        };
        let rows = self.transact(take).await?;
        let doubts: Result<_, sqlx::Error> = rows.iter().map(doubt_from).collect();
        Ok(doubts.map_err(PostgresError::from)?)
    }
}

/// `p_without`: `[[account, channel], ...]`, where an empty channel means each.
pub(super) fn left_alone(without: &[(String, Option<Channel>)]) -> String {
    let channel = |channel: &Option<Channel>| channel.map_or("", Channel::as_str);
    let without: Vec<_> = without.iter().map(|(name, of)| (name, channel(of))).collect();
    json!(without).to_string()
}

/// How far `at` is from now; what is about now, is now by the database's clock.
pub(super) fn ahead(at: Millis) -> Millis {
    let ahead = at - now();
    if ahead.abs() < 1_000 { 0 } else { ahead }
}

/// What `outbox_record_verdict` reads. Times are distances from now.
fn found(t: &Transition, seen: Option<&str>, now: Millis) -> Value {
    let receipt = &t.receipt.fields;
    json!({
        "status": t.status.as_str(),
        "wait": t.wait.map(Wait::as_str),
        "delay_ms": distance(t, t.next_attempt_at, now),
        "verify_ms": distance(t, t.verify_at, now),
        "follow_ms": distance(t, t.follow_at, now),
        "uncertain_attempts": t.uncertain_attempts,
        "message_id": t.receipt.message_id,
        "receipt": (!receipt.is_empty()).then_some(receipt),
        "failure": t.failure.map(|failure| failure.as_str()),
        "error_code": t.fault.as_ref().map(|fault| &fault.code),
        "error": t.fault.as_ref().map(|fault| &fault.message),
        "outcome": t.history,
        "seen": seen.and_then(|seen| serde_json::from_str::<Value>(seen).ok()),
    })
}

fn doubt_from(row: &PgRow) -> Result<DoubtfulJob, sqlx::Error> {
    let by = now() - row.try_get::<Millis, _>("now")?;
    let mut job = read(row, 0)?;
    shift(&mut job, by);
    let sought = Sought {
        id: job.id,
        round: row.try_get("round")?,
        attempts: job.attempts,
        channel: job.channel,
        account: job.account.clone(),
        payload: row.try_get("payload")?,
        since: row.try_get::<Millis, _>("since")? + by,
        until: row.try_get::<Millis, _>("until")? + by,
        is_last: false,
    };
    Ok(DoubtfulJob { job, sought })
}
