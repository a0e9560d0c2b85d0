//! What every engine of the store must do, written against `Store` and `Tenure` alone. Each contract is
//! a function that takes an empty outbox; the list at the end makes it a test on each engine.

mod delivery;
mod following;
mod history;
mod operators;
mod producers;
mod readers;
mod verifying;

use crate::support::Engine;
use acquire_outbox::config::{ChannelPolicy, Database};
use acquire_outbox::queue::claim::{Claim, Cycle, CycleDone, CycleResult, Room};
use acquire_outbox::queue::ended::Ended;
use acquire_outbox::queue::job::{Channel, Job, Millis};
use acquire_outbox::queue::new_job::NewJob;
use acquire_outbox::queue::outcome::{Fault, Outcome, Receipt};
use acquire_outbox::queue::policy::Purpose;
use acquire_outbox::queue::transition::decide;
use acquire_outbox::queue::when::now;
use acquire_outbox::store::{Store, StoreError, Tenure};

/// An empty outbox on one of the engines.
struct Outbox {
    database: Database,
    store: Store,
    /// Dropped last: the folder that the outbox is kept in.
    _kept: Option<tempfile::TempDir>,
}

impl Outbox {
    async fn on_sqlite() -> Outbox {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::from(folder.path().join("outbox.db"));
        let (store, repaired) = Store::init(Purpose::Delivery, &database).await.unwrap();
        assert_eq!(repaired, [""; 0]);
        Outbox { database, store, _kept: Some(folder) }
    }

    /// None where there is no PostgreSQL.
    async fn on_postgres() -> Option<Outbox> {
        let fresh =
            tokio::task::spawn_blocking(crate::support::PostgresDatabase::fresh).await.unwrap()?;
        let server = fresh.in_schema("the \"outbox\"").server().clone();
        let database = Database::Postgres(Box::new(server));
        let (store, repaired) = Store::init(Purpose::Delivery, &database).await.unwrap();
        assert_eq!(repaired, [""; 0]);
        Some(Outbox { database, store, _kept: None })
    }

    fn is_on_postgres(&self) -> bool {
        self.engine() == Engine::Postgres
    }

    fn engine(&self) -> Engine {
        match self.database {
            Database::File(_) => Engine::Sqlite,
            Database::Postgres(_) => Engine::Postgres,
        }
    }

    /// Inserts chat messages into these cases; gives their ids.
    async fn insert(&mut self, cases: &[i64]) -> Vec<i64> {
        let mut ids = Vec::new();
        for case in cases {
            ids.push(self.store.insert(&chat(*case)).await.unwrap().id());
        }
        ids
    }

    async fn take_over(&self) -> Result<Tenure, StoreError> {
        let decide = |job: &Job, at: Millis| ended(job, Outcome::Unknown { fault: fault() }, at);
        Tenure::take_over(&self.database, Purpose::Delivery, decide, |_| {}).await
    }

    async fn status(&mut self, id: i64) -> String {
        self.store.delivery(id).await.unwrap().unwrap().status
    }

    async fn statuses(&mut self, ids: &[i64]) -> Vec<String> {
        let mut statuses = Vec::new();
        for id in ids {
            statuses.push(self.status(*id).await);
        }
        statuses
    }
}

fn chat(case: i64) -> NewJob {
    NewJob {
        channel: Channel::Chat,
        payload: format!(r#"{{"caseId": {case}, "message": "hello"}}"#),
        account: "default".to_owned(),
        idempotency_key: None,
        ordering_key: None,
        priority: 0,
        send_at: None,
        expires_at: None,
        max_attempts: None,
        source: None,
    }
}

fn fault() -> Fault {
    Fault::new("http_503", "try again later")
}

fn accepted() -> Outcome {
    let receipt = Receipt { message_id: Some("8289".to_owned()), ..Receipt::default() };
    Outcome::Accepted { receipt, note: None }
}

/// The attempt, as the usual policy decides it.
fn ended(job: &Job, outcome: Outcome, started_at: Millis) -> Ended {
    Ended {
        transition: decide(job, outcome, &ChannelPolicy::default(), now()),
        account: job.account.clone(),
        channel: job.channel,
        due_at: job.due_at,
        http_status: None,
        started_at,
        duration_ms: 7,
    }
}

/// Room for chat messages of the account `default`.
fn room(limit: u32) -> Room {
    room_of(Channel::Chat, limit)
}

fn room_of(channel: Channel, limit: u32) -> Room {
    let account = "default".to_owned();
    Room::unlimited(vec![Claim { account, channel, limit }])
}

/// A cycle as of `at` that records these, and claims into the room.
async fn cycle(
    tenure: &mut Tenure,
    record: &[Ended],
    room: Option<&Room>,
    at: Millis,
) -> CycleDone {
    let work = Cycle { record, room, due: true, now: at, expecting: false };
    match tenure.cycle(&work).await.unwrap() {
        CycleResult::Done(done) => done,
        CycleResult::Locked => panic!("a cycle that is not expecting waits for the lock"),
    }
}

fn ids(jobs: &[Job]) -> Vec<i64> {
    jobs.iter().map(|job| job.id).collect()
}

/// Makes each contract a test on each engine.
macro_rules! on_each_engine {
    ($($part:ident: $($contract:ident)+;)+) => {
        mod sqlite {
            $($(
                #[tokio::test]
                async fn $contract() {
                    super::$part::$contract(super::Outbox::on_sqlite().await).await;
                }
            )+)+
        }
        mod postgres {
            $($(
                #[tokio::test]
                async fn $contract() {
                    if let Some(outbox) = super::Outbox::on_postgres().await {
                        super::$part::$contract(outbox).await;
                    }
                }
            )+)+
        }
    };
}

on_each_engine! {
    producers:
        a_taken_key_gives_the_job_that_has_it
        a_refusal_has_the_rules_sentence
        an_import_is_all_or_nothing_and_skips_taken_keys
        a_rehearsed_import_finds_the_same_rule_and_inserts_nothing;
    operators:
        a_change_says_what_it_refused_and_changes_the_rest
        what_an_applications_trigger_refuses_is_named_and_the_rest_is_changed
        a_rehearsed_change_changes_nothing
        a_change_by_filter_leaves_what_no_longer_passes
        an_uncertain_job_is_resolved_or_retried
        acts_have_a_name_and_a_correction_is_fenced
        only_a_job_in_backoff_is_tried_now
        a_pause_with_an_end_is_ended_by_the_cycle_that_is_due_then
        the_end_of_a_pause_is_a_time_for_whoever_writes_it
        a_pause_ends_by_its_own_name_alone
        what_waits_in_a_restored_outbox_becomes_uncertain;
    readers:
        a_filter_gives_the_same_jobs_by_page_by_count_and_by_ids
        ids_come_in_batches_and_all_at_once
        an_export_has_its_pages_in_order_and_payloads_only_when_asked
        the_overview_the_census_and_the_pulse_agree
        a_job_is_shown_with_what_goes_before_it
        a_connection_to_read_writes_nothing_and_has_a_limit
        a_healthy_outbox_is_examined_as_such
        an_outbox_that_does_not_exist_is_named
        what_is_absent_is_known_and_not_taken_over;
    delivery:
        jobs_of_a_key_are_claimed_one_after_the_other
        the_higher_priority_is_claimed_first
        no_more_is_claimed_than_there_is_room
        what_is_passed_over_is_claimed_another_time
        a_failed_attempt_waits_and_is_claimed_again
        an_earlier_send_at_does_not_shorten_the_wait_for_the_next_attempt
        what_is_paused_is_not_claimed
        what_goes_back_at_a_pause_waits_for_the_resume
        recording_twice_is_recording_once
        the_claims_of_a_dead_dispatcher_are_decided_by_the_next
        a_second_dispatcher_waits_or_works_too
        blocks_are_published_and_replaced
        jobs_of_an_unknown_account_fail
        finished_jobs_are_deleted_and_scrubbed_by_the_plan
        what_is_left_is_counted_when_nothing_is_left_to_send;
    following:
        a_sent_message_is_asked_about_and_what_became_of_it_is_recorded
        a_question_that_is_lost_is_asked_again_after_its_lease
        a_message_that_was_found_by_a_look_is_asked_about_too
        what_is_paused_or_left_out_is_not_asked_about
        a_sent_row_that_cannot_be_taken_up_stops_no_other
        nobody_else_writes_what_became_of_a_message
        where_it_is_off_nothing_is_asked
        undelivered_messages_are_found_by_filter_and_counted
        what_cannot_be_read_back_is_noted_until_it_can;
    history:
        what_ended_is_counted_by_route_and_outcome
        recording_twice_is_counted_once
        what_fails_without_an_attempt_is_counted
        what_a_dead_dispatcher_left_is_counted
        what_waits_is_counted_by_route
        sources_have_their_shares;
    verifying:
        a_job_of_unknown_outcome_is_looked_for_and_recorded_as_sent
        a_look_that_is_lost_is_made_again_after_its_lease
        what_is_not_there_is_sent_again_in_its_order
        what_stays_unclear_is_left_to_a_person_and_frees_its_lane
        a_person_ends_a_verification
        a_message_belongs_to_one_job
        a_job_that_leaves_its_case_out_may_have_sent_any_message_like_it
        what_is_paused_or_left_out_is_not_looked_for
        a_row_that_cannot_be_taken_up_stops_no_other
        what_a_dead_dispatcher_was_sending_is_looked_for
        nobody_else_writes_what_verification_needs;
}
