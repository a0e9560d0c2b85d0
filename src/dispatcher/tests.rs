use super::*;
use crate::dispatcher::routes::Moment;
use crate::dispatcher::routes::tests::{routes, routes_to};
use crate::queue::claim::{Claim, Room};
use crate::queue::job::{Channel, Job};
use crate::queue::policy::Purpose;
use crate::store::Store;
use std::path::Path;

/// A job that is ready.
const READY: &str =
    "INSERT INTO outbox (channel, payload) VALUES ('chat', '{\"caseId\": 1, \"message\": \"m\"}')";

/// On an outbox with these rows, which it has looked at.
async fn dispatcher(folder: &Path, routes: Routes, rows: &str) -> Dispatcher {
    let path = folder.join("outbox.db");
    let mut store = Store::open(&path).await.unwrap();
    store.plain_sql(rows).await.unwrap();
    store.close().await.unwrap();
    let nobodys = |_: &Job, _| unreachable!("nothing is to be recovered");
    let tenure = Tenure::take_over(&path, Purpose::Delivery, nobodys, |_| {}).await.unwrap();
    let config = Config::for_sandbox(path, &"http://127.0.0.1:9/api/v1".parse().unwrap());
    let metrics = Arc::new(Metrics::new(Instant::now().into_std(), 0));
    let mut dispatcher = Dispatcher::new(tenure, config, routes, Service::silent(), metrics);
    dispatcher.look().await;
    dispatcher
}

/// Turns until there is nothing more to do; a loop without a pause has no end.
async fn assert_rests(routes: Routes, rows: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut dispatcher = dispatcher(folder.path(), routes, rows).await;
    let mut turns = 0;
    while dispatcher.turn().await.unwrap() {
        turns += 1;
        assert!(turns < 20, "there is always more to do");
    }
}

/// The agenda is read after the claim's commit: what is committed between the two is no secret.
#[tokio::test]
async fn a_commit_that_the_claim_may_have_missed_is_claimed_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let routes = routes(&[(Channel::Chat, None)]);
    let mut dispatcher = dispatcher(folder.path(), routes, "").await;
    assert!(dispatcher.turn().await.unwrap(), "a claim, in vain");
    assert!(!dispatcher.turn().await.unwrap());
    let mut other = Store::open_existing(&folder.path().join("outbox.db")).await.unwrap();
    other.plain_sql("CREATE TABLE own (x)").await.unwrap();
    let agenda = dispatcher.tenure.look().await.unwrap();
    assert!(agenda.others_committed, "since the claim");
    dispatcher.saw(agenda);
    assert!(dispatcher.turn().await.unwrap(), "a claim after it");
    assert!(!dispatcher.turn().await.unwrap(), "which has seen it");
}

/// Somebody writes, and holds the lock for longer: the loop turns, tells no trouble of it, and claims
/// what was ready before, however that ends.
#[tokio::test]
async fn a_claim_for_what_is_just_being_written_does_not_wait_for_a_long_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let routes = routes(&[(Channel::Chat, None)]);
    let mut dispatcher = dispatcher(folder.path(), routes, READY).await;
    let mut other = Store::open_existing(&folder.path().join("outbox.db")).await.unwrap();
    other.plain_sql("BEGIN IMMEDIATE; CREATE TABLE own (x)").await.unwrap();
    dispatcher.written = true;
    assert!(!dispatcher.turn().await.unwrap());
    assert!(dispatcher.trouble.is_none());
    assert!(!dispatcher.turn().await.unwrap(), "until the next look");
    other.plain_sql("ROLLBACK").await.unwrap();
    dispatcher.look().await;
    assert!(dispatcher.turn().await.unwrap());
    assert_eq!(dispatcher.wire.in_flight.len(), 1);
}

/// Nothing else would wake the loop for it.
#[tokio::test]
async fn what_ends_while_a_claim_waits_in_vain_is_recorded_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let routes = routes(&[(Channel::Chat, None)]);
    let mut dispatcher = dispatcher(folder.path(), routes, READY).await;
    assert!(dispatcher.turn().await.unwrap());
    let mut other = Store::open_existing(&folder.path().join("outbox.db")).await.unwrap();
    other.plain_sql("BEGIN IMMEDIATE; CREATE TABLE own (x)").await.unwrap();
    sleep_until(dispatcher.rest_until).await;
    dispatcher.written = true;
    assert!(dispatcher.turn().await.unwrap(), "the request has failed meanwhile");
    assert_eq!(dispatcher.wire.unrecorded.len(), 1);
    other.plain_sql("ROLLBACK").await.unwrap();
    dispatcher.turn().await.unwrap();
    assert_eq!(dispatcher.wire.unrecorded.len(), 0);
}

/// A second signal, or a crash, would make it one of unknown outcome.
#[tokio::test]
async fn a_stop_takes_back_at_once_what_waits_for_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/api/v1", silent.local_addr().unwrap());
    let mut routes = routes_to(&base_url, &[(Channel::Chat, None)]);
    routes.set_max_in_flight(1);
    let rows = format!("{READY}; {}", READY.replace("1", "2"));
    let mut dispatcher = dispatcher(folder.path(), routes, &rows).await;
    let claim = Claim { account: "default".to_owned(), channel: Channel::Chat, limit: 2 };
    let claim = Room::unlimited(vec![claim]);
    let room = Some(&claim);
    let work = Cycle { record: &[], room, due: false, now: now(), expecting: false };
    let CycleResult::Done(done) = dispatcher.tenure.cycle(&work).await.unwrap() else {
        panic!("nobody else writes")
    };
    dispatcher.wire.routes.claimed(done.claimed, Instant::now(), false);
    dispatcher.wire.advance("default", Channel::Chat);
    assert_eq!((dispatcher.wire.in_flight.len(), dispatcher.wire.routes.in_line()), (1, 1));
    let mut other = Store::open_existing(&folder.path().join("outbox.db")).await.unwrap();
    let went_back = async {
        while other.delivery(2).await.unwrap().unwrap().status != "pending" {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = dispatcher.drain() => panic!("a request is on the wire for 30 s"),
        () = went_back => {}
    }
    let on_the_wire = other.delivery(1).await.unwrap().unwrap();
    assert_eq!((on_the_wire.status.as_str(), on_the_wire.attempts), ("sending", 1));
    assert_eq!(other.delivery(2).await.unwrap().unwrap().attempts, 0);
}

#[tokio::test]
async fn a_refused_account_without_jobs_rests() {
    let mut routes = routes(&Channel::ALL.map(|channel| (channel, None)));
    let before = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
    routes.refuse("default", Channel::Chat, "401", Moment { at: before, wall: 0 });
    assert_rests(routes, "").await;
}

#[tokio::test]
async fn channels_with_a_rate_and_without_jobs_rest() {
    let rate = |text: &str| Some(text.parse().unwrap());
    let mut routes = routes(&[(Channel::Chat, rate("50/s")), (Channel::Sms, rate("1000/s"))]);
    // As after a burst of one channel: it has no slot just now, the other has.
    routes.room(Instant::now(), Duration::ZERO);
    routes.claimed(Vec::new(), Instant::now(), false);
    assert_rests(routes, "").await;
}

#[tokio::test]
async fn jobs_of_unknown_accounts_come_to_an_end() {
    let rows = "INSERT INTO outbox (channel, payload, account, ordering_key)
        VALUES ('chat', '{\"caseId\": 1, \"message\": \"m\"}', 'nobody', 'k'),
               ('chat', '{\"caseId\": 1, \"message\": \"m\"}', 'no one', 'k');";
    assert_rests(routes(&[(Channel::Mail, None)]), rows).await;
}

/// Scrubbing notes how far it has got: what is recorded later must not lie before that.
#[tokio::test]
async fn nothing_is_scrubbed_past_what_waits_to_be_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let routes = routes(&[(Channel::Chat, None)]);
    let mut dispatcher = dispatcher(folder.path(), routes, READY).await;
    assert_eq!(dispatcher.wire.all_recorded_until(7), 7);
    dispatcher.turn().await.unwrap();
    let result = dispatcher.wire.results.recv().await.unwrap();
    dispatcher.wire.ended(result);
    let ended_at = dispatcher.wire.unrecorded[0].transition.updated_at;
    assert_eq!(dispatcher.wire.all_recorded_until(i64::MAX), ended_at - 1);
    assert_eq!(dispatcher.wire.all_recorded_until(7), 7);
    dispatcher.record().await.unwrap();
    assert_eq!(dispatcher.wire.all_recorded_until(i64::MAX), i64::MAX);
}
