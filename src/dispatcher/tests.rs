use super::*;
use crate::config::Database;
use crate::dispatcher::routes::tests::{chat, id, routes, routes_to};
use crate::dispatcher::routes::{Load, Moment};
use crate::queue::claim::{Claim, Room};
use crate::queue::job::{Channel, Job};
use crate::queue::policy::Purpose;
use crate::store::Store;
use std::collections::BTreeMap;
use std::path::Path;

/// A job that is ready.
const READY: &str =
    "INSERT INTO outbox (channel, payload) VALUES ('chat', '{\"caseId\": 1, \"message\": \"m\"}')";

/// On an outbox with these rows, which it has polled.
async fn dispatcher(folder: &Path, routes: Routes, rows: &str) -> Dispatcher {
    let path = Database::from(folder.join("outbox.db"));
    let mut store = Store::init(Purpose::Delivery, &path).await.unwrap().0;
    store.execute_sql(rows).await.unwrap();
    store.close().await.unwrap();
    let nobodys = |_: &Job, _| unreachable!("nothing is to be recovered");
    let tenure = Tenure::take_over(&path, Purpose::Delivery, nobodys, |_| {}).await.unwrap();
    let config = Config::for_sandbox(path, &"http://127.0.0.1:9/api/v1".parse().unwrap());
    let metrics = Arc::new(Metrics::new(Instant::now().into_std(), 0));
    let mut dispatcher = Dispatcher::new(tenure, config, routes, Service::silent(), metrics);
    dispatcher.poll().await.unwrap();
    dispatcher
}

fn done(result: Result<CycleResult, StoreError>) -> CycleDone {
    match result.unwrap() {
        CycleResult::Done(done) => done,
        CycleResult::Locked => panic!("nobody else writes"),
    }
}

/// A second connection to its outbox.
async fn another(folder: &Path) -> Store {
    Store::open(&folder.join("outbox.db").into()).await.unwrap()
}

/// The status and the attempts of a job.
async fn state(folder: &Path, id: i64) -> (String, i64) {
    let row = another(folder).await.delivery(id).await.unwrap().unwrap();
    (row.status.as_str().to_owned(), row.attempts)
}

/// The base URL of a server that accepts connections and never answers.
fn silent_server() -> (std::net::TcpListener, String) {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/api/v1", silent.local_addr().unwrap());
    (silent, base_url)
}

/// Claims this many jobs without the dispatcher's knowledge, as a COMMIT without an answer does.
async fn claim_unanswered(dispatcher: &mut Dispatcher, limit: u32) {
    let claim = Claim { account: "default".to_owned(), channel: Channel::Chat, limit };
    let claim = Room::unlimited(vec![claim]);
    let room = Some(&claim);
    let work = Cycle { record: &[], room, due: false, now: now(), expecting: false };
    assert_eq!(done(dispatcher.tenure.cycle(&work).await).claimed.len(), limit as usize);
}

/// Steps until there is nothing more to do; a loop without a pause would never get there.
async fn assert_rests(routes: Routes, rows: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut dispatcher = dispatcher(folder.path(), routes, rows).await;
    let mut steps = 0;
    while dispatcher.step().await.unwrap() {
        steps += 1;
        assert!(steps < 20, "there is always more to do");
    }
}

/// The agenda is read after the claim's commit: what is committed between the two is noticed.
#[tokio::test]
async fn a_commit_that_a_claim_may_have_missed_causes_another_claim() {
    let folder = tempfile::tempdir().unwrap();
    let routes = routes(&[(Channel::Chat, None)]);
    let mut dispatcher = dispatcher(folder.path(), routes, "").await;
    assert!(dispatcher.step().await.unwrap(), "a claim that finds nothing");
    assert!(!dispatcher.step().await.unwrap());
    let mut other = another(folder.path()).await;
    other.execute_sql("CREATE TABLE own (x)").await.unwrap();
    let agenda = dispatcher.tenure.look().await.unwrap();
    assert!(agenda.others_committed, "since the claim");
    dispatcher.saw(agenda);
    assert!(dispatcher.step().await.unwrap(), "a claim after it");
    assert!(!dispatcher.step().await.unwrap(), "which has seen it");
}

/// Somebody writes, and holds the lock for longer: the loop continues, reports no outage, and claims
/// what was ready before, however that ends.
#[tokio::test]
async fn a_claim_for_a_commit_under_way_does_not_wait_for_a_long_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let routes = routes(&[(Channel::Chat, None)]);
    let mut dispatcher = dispatcher(folder.path(), routes, READY).await;
    let mut other = another(folder.path()).await;
    other.execute_sql("BEGIN IMMEDIATE; CREATE TABLE own (x)").await.unwrap();
    dispatcher.commit = Commit::UnderWay;
    assert!(!dispatcher.step().await.unwrap());
    assert!(dispatcher.outage.is_none());
    assert!(!dispatcher.step().await.unwrap(), "until the next poll");
    other.execute_sql("ROLLBACK").await.unwrap();
    dispatcher.poll().await.unwrap();
    assert!(dispatcher.step().await.unwrap());
    assert_eq!(dispatcher.sender.jobs.in_flight(), 1);
}

/// Nothing else would wake the loop for it.
#[tokio::test]
async fn what_ends_while_a_claim_waits_for_nothing_is_recorded_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let routes = routes(&[(Channel::Chat, None)]);
    let mut dispatcher = dispatcher(folder.path(), routes, READY).await;
    assert!(dispatcher.step().await.unwrap());
    let mut other = another(folder.path()).await;
    other.execute_sql("BEGIN IMMEDIATE; CREATE TABLE own (x)").await.unwrap();
    dispatcher.rest = Rest::none();
    dispatcher.commit = Commit::UnderWay;
    assert!(dispatcher.step().await.unwrap(), "the request has failed meanwhile");
    assert_eq!(dispatcher.sender.jobs.unrecorded(), 1);
    other.execute_sql("ROLLBACK").await.unwrap();
    dispatcher.step().await.unwrap();
    assert_eq!(dispatcher.sender.jobs.unrecorded(), 0);
}

/// Jobs that were claimed before a pause and wait for a place go back when the loop sees it; the request that is
/// out, and what is not paused, stay.
#[tokio::test]
async fn what_waits_for_a_place_goes_back_at_a_pause() {
    let folder = tempfile::tempdir().unwrap();
    let (_silent, base_url) = silent_server();
    let mut routes = routes_to(&base_url, &[(Channel::Chat, None), (Channel::Sms, None)]);
    routes.set_max_in_flight(1);
    let mut dispatcher = dispatcher(folder.path(), routes, "").await;
    dispatcher.follow_pauses().await.unwrap();
    let row = |case| READY.replace('1', case);
    let rows = ["1", "2", "3"].map(row).join("; ");
    another(folder.path()).await.execute_sql(&rows).await.unwrap();
    let claim = Claim { account: "default".to_owned(), channel: Channel::Chat, limit: 3 };
    let room = Room::unlimited(vec![claim]);
    let work = Cycle { record: &[], room: Some(&room), due: false, now: now(), expecting: false };
    let claimed = done(dispatcher.tenure.cycle(&work).await).claimed;
    dispatcher.sender.claimed(claimed, false);
    let others = Job { id: 4, channel: Channel::Sms, ..chat(4) };
    let sms = id(&dispatcher.sender.routes, Channel::Sms);
    dispatcher.sender.jobs.wait(sms, others, Instant::now());
    let jobs = |d: &Dispatcher| (d.sender.jobs.in_flight(), d.sender.jobs.waiting());
    dispatcher.poll().await.unwrap();
    dispatcher.follow_pauses().await.unwrap();
    assert_eq!(jobs(&dispatcher), (1, 3), "nothing is paused");

    another(folder.path()).await.pause(None, Some(Channel::Chat), "why", None).await.unwrap();
    dispatcher.poll().await.unwrap();
    dispatcher.follow_pauses().await.unwrap();
    assert_eq!(jobs(&dispatcher), (1, 1));
    dispatcher.record().await.unwrap();
    assert_eq!(state(folder.path(), 1).await, ("sending".to_owned(), 1));
    for back in [2, 3] {
        assert_eq!(state(folder.path(), back).await, ("pending".to_owned(), 0));
    }
}

/// The claim of one job is answered, that of another is not: only the other goes back.
#[tokio::test]
async fn a_claim_whose_commit_was_not_answered_goes_back_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (_silent, base_url) = silent_server();
    let routes = routes_to(&base_url, &[(Channel::Chat, None)]);
    let rows = format!("{READY}; {}", READY.replace('1', "2"));
    let mut dispatcher = dispatcher(folder.path(), routes, READY).await;
    dispatcher.step().await.unwrap();
    assert!(dispatcher.sender.jobs.holds(1, None));
    another(folder.path()).await.execute_sql(&rows).await.unwrap();
    claim_unanswered(&mut dispatcher, 1).await;
    dispatcher.withdraw_strays().await.unwrap();
    dispatcher.withdraw_strays().await.unwrap();
    assert_eq!(dispatcher.sender.jobs.unrecorded(), 1, "known from now on, so found once");
    dispatcher.record().await.unwrap();
    assert_eq!(state(folder.path(), 1).await, ("sending".to_owned(), 1));
    assert_eq!(state(folder.path(), 2).await, ("pending".to_owned(), 0));
    assert_eq!(state(folder.path(), 3).await, ("pending".to_owned(), 0));
}

/// Neither the cycle that could not record it nor the search for unanswered claims loses it.
#[tokio::test]
async fn an_outcome_that_a_cycle_could_not_record_is_recorded_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let routes = routes(&[(Channel::Chat, None)]);
    let mut dispatcher = dispatcher(folder.path(), routes, READY).await;
    dispatcher.step().await.unwrap();
    let result = dispatcher.sender.results.recv().await.unwrap();
    dispatcher.sender.ended(result);
    let outcomes = dispatcher.sender.jobs.begin_recording();
    dispatcher.withdraw_strays().await.unwrap();
    assert_eq!(dispatcher.sender.jobs.unrecorded(), 1, "not withdrawn while it is recorded");
    dispatcher.sender.jobs.not_recorded(outcomes);
    dispatcher.withdraw_strays().await.unwrap();
    assert_eq!(dispatcher.sender.jobs.unrecorded(), 1, "nor while it waits for the next cycle");
    dispatcher.step().await.unwrap();
    assert!(dispatcher.sender.jobs.is_empty());
    let failed = ("pending".to_owned(), 1);
    assert_eq!(state(folder.path(), 1).await, failed, "connecting has failed");
}

/// The cycle whose answer was lost had recorded an attempt and claimed the same job again.
#[tokio::test]
async fn an_unanswered_claim_of_a_job_whose_last_outcome_is_known_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let routes = routes(&[(Channel::Chat, None)]);
    let mut dispatcher = dispatcher(folder.path(), routes, READY).await;
    dispatcher.step().await.unwrap();
    let result = dispatcher.sender.results.recv().await.unwrap();
    dispatcher.sender.ended(result);
    let outcomes = dispatcher.sender.jobs.begin_recording();
    let claim = Claim { account: "default".to_owned(), channel: Channel::Chat, limit: 1 };
    let claim = Room::unlimited(vec![claim]);
    let later = now() + 3_600_000;
    for record in [&outcomes[..], &[]] {
        let room = Some(&claim);
        let work = Cycle { record, room, due: true, now: later, expecting: false };
        done(dispatcher.tenure.cycle(&work).await);
    }
    assert_eq!(state(folder.path(), 1).await, ("sending".to_owned(), 2));
    dispatcher.sender.jobs.not_recorded(outcomes);
    dispatcher.withdraw_strays().await.unwrap();
    assert_eq!(dispatcher.sender.jobs.unrecorded(), 1);
    dispatcher.record().await.unwrap();
    assert!(dispatcher.sender.jobs.is_empty());
    assert_eq!(state(folder.path(), 1).await, ("pending".to_owned(), 1));
}

#[tokio::test]
async fn what_was_claimed_and_shut_meanwhile_goes_back_unspent() {
    let folder = tempfile::tempdir().unwrap();
    let routes = routes(&[(Channel::Chat, None)]);
    let chat = id(&routes, Channel::Chat);
    let mut dispatcher = dispatcher(folder.path(), routes, READY).await;
    let room = dispatcher.sender.room();
    let pause = Duration::from_secs(60);
    dispatcher.sender.routes.retry_after(chat, pause, "429", Moment::now());
    let done = done(dispatcher.transact(Reason::Claim, &[], &room).await);
    dispatcher.follow_cycle(Reason::Claim, Vec::new(), done);
    let jobs = &dispatcher.sender.jobs;
    assert_eq!((jobs.in_flight(), jobs.unrecorded()), (0, 1));
    dispatcher.record().await.unwrap();
    assert_eq!(state(folder.path(), 1).await, ("pending".to_owned(), 0));
}

#[tokio::test]
async fn a_refused_account_without_jobs_rests() {
    let mut routes = routes(&Channel::ALL.map(|channel| (channel, None)));
    let before = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
    let chat = id(&routes, Channel::Chat);
    routes.refuse(chat, "401", Moment { at: before, wall: 0 });
    assert_rests(routes, "").await;
}

#[tokio::test]
async fn channels_with_a_rate_and_without_jobs_rest() {
    let rate = |text: &str| Some(text.parse().unwrap());
    let mut routes = routes(&[(Channel::Chat, rate("50/s")), (Channel::Sms, rate("1000/s"))]);
    // As after a burst of one channel: it has no slot just now, the other has.
    routes.room(&Load::default(), Instant::now());
    routes.claimed(&BTreeMap::new(), false);
    assert_rests(routes, "").await;
}

#[tokio::test]
async fn jobs_of_unknown_accounts_leave_the_loop_at_rest() {
    let rows = "INSERT INTO outbox (channel, payload, account, ordering_key)
        VALUES ('chat', '{\"caseId\": 1, \"message\": \"m\"}', 'nobody', 'k'),
               ('chat', '{\"caseId\": 1, \"message\": \"m\"}', 'no one', 'k');";
    assert_rests(routes(&[(Channel::Mail, None)]), rows).await;
}

/// Scrubbing notes how far it has got: nothing recorded later may be before that point.
#[tokio::test]
async fn nothing_is_scrubbed_past_what_waits_to_be_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let routes = routes(&[(Channel::Chat, None)]);
    let mut dispatcher = dispatcher(folder.path(), routes, READY).await;
    assert_eq!(dispatcher.sender.jobs.all_recorded_until(7), 7);
    dispatcher.step().await.unwrap();
    let result = dispatcher.sender.results.recv().await.unwrap();
    dispatcher.sender.ended(result);
    let ended_at = dispatcher.sender.jobs.to_record().next().unwrap().transition.updated_at;
    assert_eq!(dispatcher.sender.jobs.all_recorded_until(i64::MAX), ended_at - 1);
    assert_eq!(dispatcher.sender.jobs.all_recorded_until(7), 7);
    dispatcher.record().await.unwrap();
    assert_eq!(dispatcher.sender.jobs.all_recorded_until(i64::MAX), i64::MAX);
}
