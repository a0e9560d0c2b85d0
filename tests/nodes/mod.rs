//! Several nodes on one outbox, which only PostgreSQL allows: death, freezing, noted answers, lost answers
//! and lost transactions, each with nodes in this process.

mod answers;
mod death;
mod lost;
mod sharing;
mod waking;

use crate::support::PostgresDatabase;
use acquire_outbox::config::{ChannelPolicy, Database};
use acquire_outbox::queue::claim::{Claim, Cycle, CycleDone, CycleResult, Room};
use acquire_outbox::queue::ended::Ended;
use acquire_outbox::queue::job::{Channel, Job, Millis};
use acquire_outbox::queue::outcome::{Fault, Outcome, Receipt};
use acquire_outbox::queue::policy::{OnUncertain, Purpose};
use acquire_outbox::queue::transition::decide;
use acquire_outbox::queue::when::now;
use acquire_outbox::store::{Store, StoreError, Tenure};
use std::time::Duration;

/// An empty outbox; statements block, as those of another program.
struct Outbox {
    sql: PostgresDatabase,
    database: Database,
}

impl Outbox {
    /// None where there is no PostgreSQL.
    async fn new() -> Option<Outbox> {
        let sql = tokio::task::spawn_blocking(PostgresDatabase::fresh).await.unwrap()?;
        let database = Database::Postgres(Box::new(sql.server().clone()));
        Store::init(Purpose::Delivery, &database).await.unwrap();
        Some(Outbox { sql, database })
    }

    async fn node(&self) -> Tenure {
        let mut node =
            Tenure::take_over(&self.database, Purpose::Delivery, held, |_| {}).await.unwrap();
        node.expect_requests(Duration::from_millis(500));
        node
    }

    /// A chat message into each of these cases; gives their ids.
    async fn insert(&self, cases: &[i64]) -> Vec<i64> {
        let rows: Vec<_> = cases
            .iter()
            .map(|case| format!(r#"('chat', '{{"caseId": {case}, "message": "hello"}}')"#))
            .collect();
        let insert = format!(
            "INSERT INTO outbox (channel, payload) VALUES {} RETURNING id",
            rows.join(", ")
        );
        self.query(&insert).await.iter().map(|row| row.int("id")).collect()
    }

    async fn query(&self, sql: &str) -> Vec<crate::support::Row> {
        let (database, sql) = (self.sql.in_schema(&self.sql.server().schema), sql.to_owned());
        tokio::task::spawn_blocking(move || database.query(&sql)).await.unwrap()
    }

    async fn text(&self, sql: &str) -> String {
        let rows = self.query(sql).await;
        rows[0].0.values().next().and_then(|value| value.as_str()).unwrap_or_default().to_owned()
    }

    async fn number(&self, sql: &str) -> i64 {
        let rows = self.query(sql).await;
        rows[0].0.values().next().and_then(|value| value.as_i64()).unwrap()
    }

    async fn status(&self, id: i64) -> String {
        self.text(&format!("SELECT status FROM outbox WHERE id = {id}")).await
    }
}

/// What becomes of a job whose node has died, under `hold`.
fn held(job: &Job, claimed_at: Millis) -> Ended {
    let fault = Fault::new("interrupted", "the node has died");
    let policy = ChannelPolicy { on_uncertain: OnUncertain::Hold, ..ChannelPolicy::default() };
    ended_by(job, Outcome::Unknown { fault }, claimed_at, &policy)
}

fn sent(job: &Job) -> Ended {
    let receipt = Receipt { message_id: Some("8289".to_owned()), ..Receipt::default() };
    ended_by(job, Outcome::Accepted { receipt, note: None }, now(), &ChannelPolicy::default())
}

fn withdrawn(job: &Job) -> Ended {
    ended_by(job, Outcome::Withdrawn, now(), &ChannelPolicy::default())
}

fn ended_by(job: &Job, outcome: Outcome, started_at: Millis, policy: &ChannelPolicy) -> Ended {
    Ended {
        transition: decide(job, outcome, policy, now()),
        account: job.account.clone(),
        channel: job.channel,
        due_at: job.due_at,
        http_status: None,
        started_at,
        duration_ms: 7,
    }
}

fn room(limit: u32) -> Room {
    let account = "default".to_owned();
    Room::unlimited(vec![Claim { account, channel: Channel::Chat, limit }])
}

async fn try_cycle(
    node: &mut Tenure,
    record: &[Ended],
    limit: u32,
) -> Result<CycleDone, StoreError> {
    let room = room(limit);
    let work = Cycle { record, room: Some(&room), due: true, now: now(), expecting: true };
    match node.cycle(&work).await? {
        CycleResult::Done(done) => Ok(done),
        CycleResult::Locked => unreachable!("this engine waits for no lock"),
    }
}

async fn cycle(node: &mut Tenure, record: &[Ended], limit: u32) -> CycleDone {
    try_cycle(node, record, limit).await.unwrap()
}

fn ids(jobs: &[Job]) -> Vec<i64> {
    jobs.iter().map(|job| job.id).collect()
}

/// As the dispatcher's loop: looks, and buries whoever has died.
async fn look_and_bury(node: &mut Tenure) -> usize {
    node.look().await.unwrap();
    let mut decided = 0;
    let on_event = |event: acquire_outbox::store::tenure::TakeOver<'_>| {
        if let acquire_outbox::store::tenure::TakeOver::Recovered { rows, .. } = event {
            decided += rows;
        }
    };
    node.bury(held, on_event).await.unwrap();
    decided
}
