//! The hot path: one transaction, one round trip and one fsync record what has ended and claim
//! what there is room for.
//!
//! A statement through sqlx costs 80 us, and wakes two threads. So the whole transaction is one
//! INSERT into a view of this connection, whose trigger does the work (`cycle.sql`), and what came
//! of it is one row.

use super::claim::{self, CLAIMED, PAYLOAD, Room};
use super::patience::Pace;
use super::record::{self, Ended};
use super::upkeep::{AGENDA, Agenda};
use super::{Store, StoreError};
use crate::job::{Channel, Job, Millis};
use serde::de::DeserializeOwned;
use sqlx::{AssertSqlSafe, Row};
use std::sync::LazyLock;
use std::time::Duration;

/// What one cycle is to do.
pub struct CycleWork<'a> {
    /// Attempts that have ended, with how long each took and when it began.
    pub record: &'a [Ended],
    /// `None`: claim nothing.
    pub claim: Option<&'a Room>,
    /// Move what has fallen due: scheduled, backoff, expired.
    pub due: bool,
    pub now: Millis,
    pub epoch: i64,
    /// How long it waits, awake, for a commit that is just being made; `None`: as every statement.
    pub patience: Option<Duration>,
}

/// What one cycle has done.
#[derive(Debug, Default)]
pub struct CycleYield {
    /// The ids whose outcome is now on disk.
    pub recorded: Vec<i64>,
    /// Claimed, durable, in the order in which they are to be sent.
    pub claimed: Vec<Job>,
    /// There was more than fits into the places or the memory that are left.
    pub cut: bool,
    /// Whose commits the claim has seen: the data version then.
    pub seen: i64,
    /// The channels of those that expired, one each.
    pub expired: Vec<Channel>,
    /// What comes next.
    pub agenda: Agenda,
}

/// The procedures that a connection needs for [`Store::cycle`].
#[doc(hidden)]
pub const PROCEDURES: &str = include_str!("cycle.sql");

const RUN: &str = "INSERT INTO temp.outbox_cycle (sent, ended, claims, due, now, epoch) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// Only the INSERT writes; the row of what came of it is read right after it.
static CYCLE: LazyLock<String> = LazyLock::new(|| format!("{RUN};\n{}", yields()));

/// After the agenda's columns: what was claimed, what was recorded in vain, and what has expired.
fn yields() -> String {
    const LOST: &str = "(SELECT json_group_array(id) FROM temp.outbox_cycle_lost)";
    const EXPIRED: &str =
        "CASE WHEN ?4 THEN (SELECT json_group_array(channel) FROM temp.outbox_cycle_expired) END";
    const SEEN: &str = "(SELECT data_version FROM temp.outbox_cycle_seen)";
    const CUT: &str = "EXISTS (SELECT 1 FROM temp.outbox_cycle_weighed)";
    format!("{AGENDA},\n    {CLAIMED},\n    {LOST},\n    {EXPIRED},\n    {SEEN},\n    {CUT}")
}

/// The dispatcher's statements by name, beside the procedures; for the test of their plans.
#[doc(hidden)]
pub fn statements() -> Vec<(String, String)> {
    let mut all = vec![("yields", yields()), ("payload", PAYLOAD.to_owned())];
    all.extend(super::upkeep::STATEMENTS.iter().map(|(name, sql)| (*name, (*sql).to_owned())));
    all.into_iter().map(|(name, sql)| (name.to_owned(), sql)).collect()
}

fn from_json<T: DeserializeOwned>(json: &str) -> Result<T, StoreError> {
    Ok(serde_json::from_str(json).map_err(|e| sqlx::Error::Decode(Box::new(e)))?)
}

impl Store {
    /// Records, moves what is due, claims: one transaction. On an error nothing of it happened, or
    /// all of it without an answer: [`Store::sending_before`] tells which.
    pub async fn cycle(&mut self, work: &CycleWork<'_>) -> Result<CycleYield, StoreError> {
        if let Some(limit) = work.patience {
            self.patience.set(limit, Pace::Awake);
        }
        let (sent, others) = record::json(work.record, work.epoch);
        let row = sqlx::query(AssertSqlSafe(CYCLE.as_str()))
            .bind(sent)
            .bind(others)
            .bind(claim::json(work.claim))
            .bind(work.due)
            .bind(work.now)
            .bind(work.epoch)
            .fetch_one(&mut self.conn)
            .await;
        self.patience.set_usual();
        let row = row?;
        let agenda = Agenda::from_row(&row)?;
        if agenda.epoch != work.epoch {
            return Err(StoreError::Superseded);
        }
        let claimed = self.jobs(row.try_get(7)?, work.epoch).await?;
        let lost: Vec<i64> = from_json(row.try_get(8)?)?;
        let expired = row.try_get::<Option<&str>, _>(9)?.map_or(Ok(Vec::new()), from_json)?;
        let recorded = work.record.iter().map(|ended| ended.transition.id);
        let recorded = recorded.filter(|id| !lost.contains(id)).collect();
        let (seen, cut) = (row.try_get(10)?, row.try_get(11)?);
        Ok(CycleYield { recorded, claimed, cut, expired, seen, agenda })
    }

    /// The claimed jobs with their payloads. They are claimed by now: on an error none is sent, and
    /// the dispatcher finds and withdraws them.
    async fn jobs(&mut self, json: &[u8], epoch: i64) -> Result<Vec<Job>, StoreError> {
        let (mut jobs, without) = claim::jobs(json, epoch)?;
        for id in without {
            let payload: Vec<u8> =
                sqlx::query_scalar(PAYLOAD).bind(id).fetch_one(&mut self.conn).await?;
            if let Some(job) = jobs.iter_mut().find(|job| job.id == id) {
                job.payload = payload;
            }
        }
        Ok(jobs)
    }
}
