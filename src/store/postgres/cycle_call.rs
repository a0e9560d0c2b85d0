//! One call of the function `outbox_cycle`, which is a whole cycle: one round trip, one transaction, one
//! fsync.

use super::node_session::{Beat, NodeSession};
use super::{ended_json, node_job};
use crate::queue::claim::{BytesLeft, SMALL_BYTES};
use crate::queue::ended::Ended;
use crate::queue::job::{Channel, Job, Millis};
use crate::queue::when::now;
use crate::store::StoreError;
use serde::Deserialize;
use serde_json::Value;
use sqlx::Row;
use std::cmp::Reverse;

const CYCLE: &str = "\
SELECT kind, job, channel, account, payload, attempts::bigint, unspent::bigint, uncertain_attempts::bigint, budget_from,
    max_attempts::bigint, due_at, expires_at, priority
FROM outbox_cycle($1, $2, $3 * interval '1 ms', $4 * interval '1 ms', $5::text::jsonb, $6::text::jsonb, $7, $8, $9, $10, $11, $12,
    $13 * interval '1 ms', $14)";
const BEAT: &str = "SELECT outbox_beat($1, $2, $3 * interval '1 ms', $4 * interval '1 ms')";
const AGENDA: &str = "SELECT outbox_agenda($1, true)::text";

/// Clocks that differ by less are taken for one.
const SAME_CLOCK: Millis = 1_000;

/// What one call is to do.
pub(super) struct CycleCall<'a> {
    pub record: &'a [Ended],
    /// As [`RouteRooms::json`](super::route_rooms::RouteRooms::json) gives it.
    pub rooms: Value,
    pub places: u32,
    pub bytes: BytesLeft,
    pub due: bool,
    pub full: bool,
    /// How far ahead of the present what is due is looked for.
    pub ahead: Millis,
    /// Jobs that are not claimed now; `None` for none.
    pub passed_over: Option<&'a [i64]>,
}

impl<'a> CycleCall<'a> {
    /// Records alone.
    pub(super) fn recording(record: &'a [Ended]) -> CycleCall<'a> {
        let bytes = BytesLeft { small: 0, large: 0, alone: false };
        let rooms = Value::Array(Vec::new());
        CycleCall {
            record,
            rooms,
            places: 0,
            bytes,
            due: false,
            full: false,
            ahead: 0,
            passed_over: None,
        }
    }
}

/// A job that was claimed, with its priority and its place in the order of the database's times.
pub(super) struct ClaimedJob {
    pub job: Job,
    pub priority: i16,
    pub due_at: Millis,
}

/// What it has done.
pub(super) struct CycleAnswer {
    pub claimed: Vec<ClaimedJob>,
    /// Somebody has locked their rows: to be given again.
    pub locked: Vec<i64>,
    /// Their rows no longer belonged to the claim.
    pub lost: Vec<i64>,
    pub agenda: NodeAgenda,
}

/// What `outbox_agenda` gives, with what a cycle adds.
#[derive(Debug, Default, Deserialize)]
pub(super) struct NodeAgenda {
    /// The database's clock.
    now: Millis,
    next_due: Option<Millis>,
    next_look: Option<Millis>,
    next_follow: Option<Millis>,
    /// Accounts with jobs that could be claimed; only after a full look.
    pub accounts: Option<Vec<String>>,
    /// Changes whenever a pause does.
    pub pauses: i64,
    /// Lanes wait for an election.
    pub elections: bool,
    pub set_aside: bool,
    /// A node has died whose jobs this one may decide.
    pub dead: bool,
    /// A next cycle has something to do at once.
    #[serde(default)]
    pub more: bool,
    #[serde(default)]
    pub cut: bool,
    /// When a route that has jobs may claim its next one, by its rate.
    #[serde(default)]
    rate_at: Option<Millis>,
    /// The channels of those that have expired, one each.
    #[serde(default)]
    pub expired: Vec<Channel>,
    /// By how much the local clock is ahead of the database's.
    #[serde(skip)]
    shift: Millis,
}

impl NodeAgenda {
    fn read(json: &str) -> Result<NodeAgenda, sqlx::Error> {
        let agenda: NodeAgenda =
            serde_json::from_str(json).map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
        let shift = now() - agenda.now;
        Ok(NodeAgenda { shift, ..agenda })
    }

    /// When something falls due, by the local clock. Not a moment too early, or the loop would spin.
    pub(super) fn next_due(&self) -> Option<Millis> {
        let next = [self.next_due, self.rate_at].into_iter().flatten().min();
        next.map(|due| due.saturating_add(self.shift).saturating_add(1).max(0))
    }

    /// When a job that is being verified is looked for next, by the local clock.
    pub(super) fn next_look(&self) -> Option<Millis> {
        self.local(self.next_look)
    }

    /// When Acquire is asked next what became of a message, by the local clock.
    pub(super) fn next_follow_up(&self) -> Option<Millis> {
        self.local(self.next_follow)
    }

    fn local(&self, at: Option<Millis>) -> Option<Millis> {
        at.map(|at| at.saturating_add(self.shift).saturating_add(1).max(0))
    }

    /// To be added to a time of the database for one by the local clock.
    fn job_shift(&self) -> Millis {
        if self.shift.abs() < SAME_CLOCK { 0 } else { self.shift }
    }
}

impl NodeSession {
    pub(super) async fn cycle(&mut self, call: CycleCall<'_>) -> Result<CycleAnswer, StoreError> {
        let ended = ended_json::json(call.record, now());
        let rooms = call.rooms.to_string();
        let whole = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.transact(async move |conn, beat: Beat| {
            let epoch = beat.epoch;
            let query = sqlx::query(CYCLE)
                .bind(beat.epoch)
                .bind(beat.cycle)
                .bind(beat.lease_ms)
                .bind(beat.request_ms)
                .bind(ended)
                .bind(rooms)
                .bind(i32::try_from(call.places).unwrap_or(i32::MAX))
                .bind(whole(call.bytes.small))
                .bind(whole(call.bytes.large))
                .bind(call.bytes.alone)
                .bind(call.due)
                .bind(call.full)
                .bind(call.ahead)
                .bind(call.passed_over);
            read_answer(&query.fetch_all(conn).await?, epoch)
        })
        .await
    }

    /// Reads what comes next, and renews the lease where that is due.
    pub(super) async fn look(&mut self) -> Result<NodeAgenda, StoreError> {
        if self.is_time_to_renew() {
            self.transact(async |conn, beat: Beat| {
                let query = sqlx::query(BEAT).bind(beat.epoch).bind(beat.cycle);
                query.bind(beat.lease_ms).bind(beat.request_ms).execute(conn).await.map(|_| ())
            })
            .await?;
        }
        let query = sqlx::query_scalar(AGENDA).bind(self.epoch);
        let json: String = self.with(async move |conn| query.fetch_one(conn).await).await?;
        Ok(NodeAgenda::read(&json).map_err(super::PostgresError::from)?)
    }
}

fn read_answer(rows: &[sqlx::postgres::PgRow], epoch: i64) -> Result<CycleAnswer, sqlx::Error> {
    let Some((last, rows)) = rows.split_last() else { return Err(sqlx::Error::RowNotFound) };
    let agenda = NodeAgenda::read(last.try_get("payload")?)?;
    let (mut claimed, mut locked, mut lost) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        match row.try_get("kind")? {
            "c" => {
                let payload: &str = row.try_get("payload")?;
                let mut job = node_job::read(row, epoch)?;
                let due_at = job.due_at;
                node_job::shift(&mut job, agenda.job_shift());
                job.payload = payload.as_bytes().to_vec();
                claimed.push(ClaimedJob { job, priority: row.try_get("priority")?, due_at });
            }
            "b" => locked.push(row.try_get("job")?),
            _ => lost.push(row.try_get("job")?),
        }
    }
    // The function gives them route by route.
    claimed.sort_by_key(|claimed| (Reverse(claimed.priority), claimed.due_at, claimed.job.id));
    Ok(CycleAnswer { claimed, locked, lost, agenda })
}

// The migration has the same number.
const _: () = assert!(SMALL_BYTES == 16_384);
