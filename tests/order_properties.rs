//! Properties of the order within a lane, over random histories of producers, people and a
//! dispatcher, on a real database.

use crate::support::{Engine, OpenOutbox};
use acquire_outbox::queue::claim::{Claim, Cycle, CycleResult, Room};
use acquire_outbox::queue::ended::Ended;
use acquire_outbox::queue::job::{Channel, Job};
use acquire_outbox::queue::outcome::{Fault, Receipt};
use acquire_outbox::queue::policy::Purpose;
use acquire_outbox::queue::transition::{Signal, Transition, Wait};
use acquire_outbox::store::Tenure;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::cell::RefCell;

const PAST: &str = "'2020-01-01T00:00:00Z'";
const FUTURE: &str = "'2090-01-01T00:00:00Z'";
/// Later than FUTURE: at this time everything is due.
const DOOMSDAY: i64 = 4_000_000_000_000;

#[derive(Debug, Clone)]
enum Op {
    Insert { key: &'static str, send_at: &'static str },
    Cancel(usize),
    Delete(usize),
    Retry(usize),
    Reschedule(usize, &'static str),
    MoveToKey(usize, &'static str),
    Claim(u32),
    End { nth: usize, how: How },
    EverythingFallsDue,
}

#[derive(Debug, Clone, Copy)]
enum How {
    Sent,
    Failed,
    Retry,
    RetryNow,
    Uncertain,
}

fn op() -> impl Strategy<Value = Op> {
    let key = prop_oneof![Just("'a'"), Just("'b'"), Just("''"), Just("NULL")];
    let send_at = prop_oneof![3 => Just("NULL"), 1 => Just(PAST), 1 => Just(FUTURE)];
    let how = prop_oneof![
        Just(How::Sent),
        Just(How::Failed),
        Just(How::Retry),
        Just(How::RetryNow),
        Just(How::Uncertain)
    ];
    prop_oneof![
        5 => (key.clone(), send_at.clone()).prop_map(|(key, send_at)| Op::Insert { key, send_at }),
        1 => (0..20usize).prop_map(Op::Cancel),
        1 => (0..20usize).prop_map(Op::Delete),
        1 => (0..20usize).prop_map(Op::Retry),
        1 => (0..20usize, send_at).prop_map(|(n, at)| Op::Reschedule(n, at)),
        1 => (0..20usize, key).prop_map(|(n, key)| Op::MoveToKey(n, key)),
        3 => (1..4u32).prop_map(Op::Claim),
        3 => (0..4usize, how).prop_map(|(nth, how)| Op::End { nth, how }),
        1 => Just(Op::EverythingFallsDue),
    ]
}

struct World {
    tenure: Tenure,
    outbox: OpenOutbox,
    in_flight: Vec<Job>,
}

impl World {
    async fn new() -> World {
        let outbox = OpenOutbox::new().await;
        let nobodys = |_: &Job, _| unreachable!("nothing is to be recovered");
        let tenure = Tenure::take_over(&outbox.place, Purpose::Delivery, nobodys, |_| {}).await;
        World { tenure: tenure.unwrap(), outbox, in_flight: vec![] }
    }

    /// One that is empty: this one, if it can be emptied.
    async fn emptied(world: Option<World>) -> World {
        if let Some(mut world) = world
            && world.outbox.empty().await
        {
            world.in_flight.clear();
            return world;
        }
        World::new().await
    }

    /// A refusal is fine: the machine does not allow everything that an Op tries.
    async fn sql(&mut self, sql: String) {
        let _ = self.outbox.sql(&sql).await;
    }

    async fn apply(&mut self, op: &Op) {
        match op {
            Op::Insert { key, send_at } => {
                let payload = r#"{"caseId":1,"message":"m"}"#;
                self.sql(format!("INSERT INTO outbox (channel, payload, ordering_key, send_at) VALUES ('chat', '{payload}', {key}, {send_at})")).await;
            }
            Op::Cancel(n) => {
                self.sql(format!("UPDATE outbox SET status = 'cancelled' WHERE id = {n}")).await
            }
            Op::Delete(n) => self.sql(format!("DELETE FROM outbox WHERE id = {n}")).await,
            Op::Retry(n) => {
                self.sql(format!("UPDATE outbox SET status = 'pending' WHERE id = {n}")).await
            }
            Op::Reschedule(n, at) => {
                self.sql(format!("UPDATE outbox SET send_at = {at} WHERE id = {n}")).await
            }
            Op::MoveToKey(n, key) => {
                self.sql(format!("UPDATE outbox SET ordering_key = {key} WHERE id = {n}")).await
            }
            Op::Claim(limit) => {
                let claim =
                    Claim { account: "default".into(), channel: Channel::Chat, limit: *limit };
                self.cycle(&[], Some(&Room::unlimited(vec![claim])), false).await;
            }
            Op::End { nth, how } => {
                if !self.in_flight.is_empty() {
                    let job = self.in_flight.remove(nth % self.in_flight.len());
                    let ended = ended(&job, *how);
                    self.cycle(&[ended], None, false).await;
                }
            }
            Op::EverythingFallsDue => {
                self.outbox.make_all_due().await;
                self.cycle(&[], None, true).await;
            }
        }
    }

    async fn cycle(&mut self, record: &[Ended], room: Option<&Room>, due: bool) {
        let now = if due { DOOMSDAY } else { acquire_outbox::queue::when::now() };
        let work = Cycle { record, room, due, now, expecting: false };
        let CycleResult::Done(done) = self.tenure.cycle(&work).await.unwrap() else {
            unreachable!()
        };
        assert_eq!(done.recorded.ids.len(), record.len());
        self.in_flight.extend(done.claimed);
    }

    /// What must hold after every step, whoever did it.
    async fn check(&mut self) {
        // On PostgreSQL a job that has arrived has no place yet, and a lane whose head was taken away waits for its election.
        let elected = match Engine::of_this_run() {
            Engine::Sqlite => "false",
            Engine::Postgres => "EXISTS (SELECT 1 FROM outbox_elections e WHERE e.lane = p.lane)",
        };
        let broken = format!("
            WITH live AS (SELECT * FROM outbox WHERE status IN ('pending', 'sending'))
            SELECT 'a pending job has no reason to wait, or another one has' AS what, id FROM outbox
             WHERE (status = 'pending') <> (wait IS NOT NULL)
            UNION ALL
            SELECT 'a job without a lane waits in one', id FROM live
             WHERE lane IS NULL AND (wait IN ('parked', 'arrived') OR holds IS NOT NULL)
            UNION ALL
            SELECT 'an ended job holds its lane', id FROM outbox
             WHERE holds IS NOT NULL AND status NOT IN ('pending', 'sending')
            UNION ALL
            SELECT 'a job of a lane goes out without holding it', id FROM live
             WHERE lane IS NOT NULL AND holds IS NULL AND (status = 'sending' OR wait IN ('ready', 'backoff'))
            UNION ALL
            SELECT 'a parked job has nobody to wait for', id FROM live p
             WHERE wait = 'parked' AND NOT EXISTS (SELECT 1 FROM live h WHERE h.lane = p.lane AND h.holds IS NOT NULL)
               AND NOT {elected}
            UNION ALL
            SELECT 'a later job goes before an earlier one', h.id FROM live h JOIN live p ON p.lane = h.lane
             WHERE h.holds IS NOT NULL AND h.status = 'pending' AND p.wait = 'parked' AND (p.due_at, p.id) < (h.due_at, h.id)
               AND NOT {elected}
            UNION ALL
            SELECT 'a job with a future send_at is in the queue', id FROM live
             WHERE wait = 'scheduled' AND send_at IS NULL");
        let rows = self.outbox.sql(&broken).await.unwrap();
        let said: Vec<_> =
            rows.iter().map(|row| format!("{}: job {}", row.text("what"), row.int("id"))).collect();
        assert!(said.is_empty(), "{said:#?}");
    }
}

fn ended(job: &Job, how: How) -> Ended {
    let now = acquire_outbox::queue::when::now();
    use acquire_outbox::queue::job::Status::{Failed, Pending, Sent, Uncertain};
    let (status, wait) = match how {
        How::Sent => (Sent, None),
        How::Failed => (Failed, None),
        How::Uncertain => (Uncertain, None),
        How::Retry => (Pending, Some(Wait::Backoff)),
        How::RetryNow => (Pending, Some(Wait::Ready)),
    };
    let transition = Transition {
        id: job.id,
        fence_attempts: job.attempts,
        fence_claim: job.claim,
        status,
        wait,
        next_attempt_at: wait.map(|_| now + 3_600_000),
        verify_at: None,
        follow_at: None,
        attempts: job.attempts,
        unspent: job.unspent,
        uncertain_attempts: job.uncertain_attempts,
        budget_from: Some(job.budget_from),
        receipt: Receipt::default(),
        failure: None,
        fault: Some(Fault::new("test", "test")),
        finished_at: (status != Pending).then_some(now),
        updated_at: now,
        history: None,
        signal: Signal::None,
    };
    Ended {
        transition,
        account: job.account.clone(),
        channel: job.channel,
        due_at: job.due_at,
        http_status: None,
        started_at: now,
        duration_ms: 0,
    }
}

#[test]
fn a_lane_sends_one_job_at_a_time_in_order_whatever_happens() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // An outbox in a file is quickly made; one on a server is emptied and used again.
    let cases = if Engine::of_this_run() == Engine::Sqlite { 96 } else { 48 };
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let kept = RefCell::new(None);
    let histories = prop::collection::vec(op(), 1..60);
    let property = |ops: Vec<Op>| {
        runtime.block_on(async {
            let mut world = World::emptied(kept.take()).await;
            for op in &ops {
                world.apply(op).await;
                world.check().await;
            }
            kept.replace(Some(world));
        });
        Ok(())
    };
    TestRunner::new(config).run(&histories, property).unwrap_or_else(|broken| panic!("{broken}"));
}
