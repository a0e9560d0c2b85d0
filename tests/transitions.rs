//! The state machine's decisions: each ending of an attempt, its limits, and as a property that
//! the database takes whatever is decided.

use crate::support::OpenOutbox;
use acquire_outbox::config::{ChannelPolicy, OnUncertain};
use acquire_outbox::queue::claim::{Claim, Cycle, CycleResult, Room};
use acquire_outbox::queue::ended::Ended;
use acquire_outbox::queue::job::{Channel, Failure, Job, Status};
use acquire_outbox::queue::outcome::{Fault, Outcome, PageVerdict, Receipt};
use acquire_outbox::queue::policy::Purpose;
use acquire_outbox::queue::transition::{AttemptKind, Signal, Transition, Wait, decide};
use acquire_outbox::queue::when::now;
use acquire_outbox::store::{Store, Tenure};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::cell::RefCell;
use std::time::Duration;

const NOW: i64 = 1_800_000_000_000;

fn job() -> Job {
    Job {
        id: 7,
        channel: Channel::Chat,
        account: "default".into(),
        payload: Vec::new(),
        attempts: 1,
        claim: 3,
        unspent: 0,
        uncertain_attempts: 0,
        budget_from: NOW,
        max_attempts: None,
        due_at: 0,
        expires_at: None,
    }
}

fn fault() -> Fault {
    Fault::new("code", "a sentence")
}

fn after(job: &Job, outcome: Outcome, policy: &ChannelPolicy) -> Transition {
    decide(job, outcome, policy, NOW)
}

fn hold() -> ChannelPolicy {
    ChannelPolicy { on_uncertain: OnUncertain::Hold, ..ChannelPolicy::default() }
}

#[test]
fn an_accepted_message_is_sent_with_its_ids() {
    let receipt = Receipt { message_id: Some("8289".into()), ..Receipt::default() };
    let outcome = Outcome::Accepted { receipt: receipt.clone(), note: None };
    let t = after(&job(), outcome, &ChannelPolicy::default());
    assert_eq!((t.status, t.wait, t.failure), (Status::Sent, None, None));
    assert_eq!((t.receipt, t.fault, t.finished_at), (receipt, None, Some(NOW)));
    assert_eq!((t.history, t.signal), (Some(AttemptKind::Accepted), Signal::Works));
    assert_eq!((t.id, t.fence_attempts, t.fence_claim, t.attempts), (7, 1, 3, 1));
}

#[test]
fn a_refusal_is_final_and_a_broken_payload_costs_no_attempt() {
    let outcome = Outcome::Rejected { fault: fault(), receipt: Receipt::default() };
    let t = after(&job(), outcome, &ChannelPolicy::default());
    assert_eq!((t.status, t.failure), (Status::Failed, Some(Failure::Rejected)));
    assert_eq!(
        (t.history, t.fault, t.finished_at),
        (Some(AttemptKind::Rejected), Some(fault()), Some(NOW))
    );

    let t = after(&job(), Outcome::Invalid { fault: fault() }, &ChannelPolicy::default());
    assert_eq!((t.status, t.failure), (Status::Failed, Some(Failure::Invalid)));
    assert_eq!((t.history, t.attempts), (None, 0));
}

#[test]
fn what_was_not_delivered_waits_its_pause_and_goes_again() {
    for outcome in [
        Outcome::NotWritten { fault: fault() },
        Outcome::Unavailable { fault: fault(), retry_after: None },
    ] {
        let t = after(&job(), outcome, &hold());
        assert_eq!((t.status, t.wait), (Status::Pending, Some(Wait::Backoff)));
        let pause = t.next_attempt_at.unwrap() - NOW;
        assert!((800..=1200).contains(&pause), "1s with a jitter of 0.2: {pause}");
        assert_eq!((t.history, t.attempts, t.unspent), (Some(AttemptKind::Retry), 1, 0));
    }
}

#[test]
fn a_retry_after_holds_the_channel_and_delays_the_job_at_least_as_long() {
    let pause = Duration::from_secs(60);
    let outcome = Outcome::Unavailable { fault: fault(), retry_after: Some(pause) };
    let t = after(&job(), outcome, &ChannelPolicy::default());
    assert_eq!(t.next_attempt_at, Some(NOW + 60_000));
    assert_eq!(t.signal, Signal::RetryAfter { delay: pause, fault: fault() });
}

#[test]
fn a_refused_account_spends_nothing_however_often() {
    let mut job = Job { max_attempts: Some(1), ..job() };
    for times in 1..=50 {
        let t = after(&job, Outcome::AccountRefused { fault: fault() }, &ChannelPolicy::default());
        assert_eq!((t.status, t.wait), (Status::Pending, Some(Wait::Ready)));
        assert_eq!((t.attempts, t.unspent, t.budget_from), (times, times, None));
        assert_eq!(t.signal, Signal::AccountRefused { fault: fault() });
        job = Job { attempts: t.attempts + 1, unspent: t.unspent, ..job };
    }
}

#[test]
fn attempts_and_time_run_out() {
    let policy = ChannelPolicy::default();
    let last = |job: &Job| after(job, Outcome::NotWritten { fault: fault() }, &policy);
    let t = last(&Job { attempts: 20, ..job() });
    assert_eq!((t.status, t.failure), (Status::Failed, Some(Failure::Exhausted)));
    assert!(t.fault.unwrap().message.contains("20 of 20 attempts"));
    assert_eq!(last(&Job { attempts: 19, ..job() }).status, Status::Pending);
    assert_eq!(last(&Job { max_attempts: Some(1), ..job() }).status, Status::Failed);
    // The row's own limit goes over the configured one, and a retry starts a fresh budget.
    assert_eq!(
        last(&Job { attempts: 20, max_attempts: Some(30), ..job() }).status,
        Status::Pending
    );
    assert_eq!(last(&Job { attempts: 25, unspent: 20, ..job() }).status, Status::Pending);
    let day_ago = NOW - 24 * 3_600_000;
    let t = last(&Job { budget_from: day_ago, ..job() });
    assert_eq!((t.status, t.failure), (Status::Failed, Some(Failure::Exhausted)));
    assert_eq!(last(&Job { budget_from: day_ago + 60_000, ..job() }).status, Status::Pending);
}

#[test]
fn an_unknown_outcome_is_held_or_repeated_and_never_called_failed() {
    let unknown = || Outcome::Unknown { fault: fault() };
    let t = after(&job(), unknown(), &hold());
    assert_eq!((t.status, t.finished_at), (Status::Uncertain, None));
    assert_eq!((t.history, t.uncertain_attempts), (Some(AttemptKind::Uncertain), 1));

    let retry = ChannelPolicy::default();
    let t = after(&job(), unknown(), &retry);
    assert_eq!((t.status, t.wait, t.uncertain_attempts), (Status::Pending, Some(Wait::Backoff), 1));
    assert_eq!(t.history, Some(AttemptKind::Uncertain));
    let t = after(&Job { attempts: 3, uncertain_attempts: 2, ..job() }, unknown(), &retry);
    assert_eq!((t.status, t.uncertain_attempts), (Status::Uncertain, 3));
    // Attempts used up: it may have arrived all the same.
    let t = after(&Job { attempts: 20, ..job() }, unknown(), &retry);
    assert_eq!((t.status, t.failure), (Status::Uncertain, None));
}

#[test]
fn what_never_left_goes_back_as_if_it_had_not_been_claimed() {
    let t = after(&job(), Outcome::Withdrawn, &hold());
    assert_eq!((t.status, t.wait, t.attempts), (Status::Pending, Some(Wait::Ready), 0));
    assert_eq!((t.history, t.budget_from, t.next_attempt_at), (None, None, None));
    let t = after(&Job { attempts: 3, ..job() }, Outcome::Withdrawn, &hold());
    assert_eq!((t.attempts, t.budget_from), (2, Some(NOW)));
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let receipt = || Receipt {
        message_id: Some("1".into()),
        fields: serde_json::from_str(r#"{"id": 1, "status": "it's \"sent\""}"#).unwrap(),
    };
    prop_oneof![
        Just(Outcome::Accepted { receipt: receipt(), note: None }),
        Just(Outcome::Accepted { receipt: Receipt::default(), note: Some(fault()) }),
        Just(Outcome::Rejected { fault: fault(), receipt: receipt() }),
        (0..7200u64).prop_map(|s| Outcome::Unavailable {
            fault: fault(),
            retry_after: (s > 3600).then_some(Duration::from_secs(s))
        }),
        Just(Outcome::AccountRefused { fault: fault() }),
        (0..7200u64).prop_map(|s| Outcome::NotAcquires {
            fault: fault(),
            verdict: PageVerdict::Again { pause: Duration::from_secs(s) }
        }),
        Just(Outcome::NotAcquires { fault: fault(), verdict: PageVerdict::OnlyThisMessage }),
        Just(Outcome::NotWritten { fault: fault() }),
        Just(Outcome::Unknown { fault: fault() }),
        Just(Outcome::Invalid { fault: fault() }),
        Just(Outcome::Withdrawn),
    ]
}

fn policy() -> impl Strategy<Value = ChannelPolicy> {
    (any::<bool>(), 0..4u32, 1..4u32, 0..3u64).prop_map(
        |(holds, uncertain_retries, attempts, hours)| {
            let mut policy = ChannelPolicy { uncertain_retries, ..ChannelPolicy::default() };
            policy.on_uncertain = if holds { OnUncertain::Hold } else { OnUncertain::Retry };
            policy.retry.max_attempts = attempts;
            policy.retry.give_up_after = Duration::from_secs(hours * 3600);
            policy
        },
    )
}

/// One job through many attempts: the database takes each decision, the row says the same,
/// and the budget holds.
#[test]
fn the_database_takes_whatever_is_decided() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config =
        ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() };
    let kept = RefCell::new(None);
    let histories = (prop::collection::vec(outcome(), 1..12), policy());
    let property = |(outcomes, policy)| {
        runtime.block_on(async {
            let mut world = World::emptied(kept.take()).await;
            world.decided(outcomes, &policy).await;
            kept.replace(Some(world));
        });
        Ok(())
    };
    TestRunner::new(config).run(&histories, property).unwrap_or_else(|broken| panic!("{broken}"));
}

struct World {
    outbox: OpenOutbox,
    store: Store,
    tenure: Tenure,
}

impl World {
    /// An empty one: this one, if it can be emptied.
    async fn emptied(world: Option<World>) -> World {
        if let Some(mut world) = world
            && world.outbox.empty().await
        {
            return world;
        }
        let outbox = OpenOutbox::new().await;
        let store = Store::init(Purpose::Delivery, &outbox.place).await.unwrap().0;
        let nobodys = |_: &Job, _| unreachable!("nothing is to be recovered");
        let tenure = Tenure::take_over(&outbox.place, Purpose::Delivery, nobodys, |_| {}).await;
        World { outbox, store, tenure: tenure.unwrap() }
    }

    async fn decided(&mut self, outcomes: Vec<Outcome>, policy: &ChannelPolicy) {
        let World { outbox, store, tenure } = self;
        outbox.sql(&crate::support::Job::chat(1, "m").sql()).await.unwrap();
        let claim = Claim { account: "default".into(), channel: Channel::Chat, limit: 1 };
        let claim = Room::unlimited(vec![claim]);
        let mut spent = 0;
        for outcome in outcomes {
            // Far ahead, so that a retry is due and claimed.
            let at = now() + 10 * 3_600_000;
            outbox.make_all_due().await;
            let work = |due: bool| Cycle {
                record: &[],
                room: (!due).then_some(&claim),
                due,
                now: at,
                expecting: false,
            };
            tenure.cycle(&work(true)).await.unwrap();
            let CycleResult::Done(mut done) = tenure.cycle(&work(false)).await.unwrap() else {
                unreachable!()
            };
            let Some(job) = done.claimed.pop() else { return };
            spent += i64::from(!matches!(
                outcome,
                Outcome::AccountRefused { .. }
                    | Outcome::NotAcquires { verdict: PageVerdict::Again { .. }, .. }
                    | Outcome::Withdrawn
                    | Outcome::Invalid { .. }
            ));
            let transition = decide(&job, outcome, policy, now());
            let (status, attempts) = (transition.status, transition.attempts);
            let ended = Ended {
                transition,
                account: job.account.clone(),
                channel: job.channel,
                due_at: job.due_at,
                http_status: None,
                started_at: now(),
                duration_ms: 0,
            };
            assert_eq!(tenure.record(&[ended]).await.unwrap().ids, [job.id]);
            let row = store.delivery(job.id).await.unwrap().unwrap();
            assert_eq!((row.status.as_str(), row.attempts), (status.as_str(), attempts));
            assert_eq!(row.finished_at.is_some(), matches!(status, Status::Sent | Status::Failed));
            assert!(spent <= i64::from(policy.retry.max_attempts));
        }
    }
}
