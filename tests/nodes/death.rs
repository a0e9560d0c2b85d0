//! Nodes that die, freeze, or cannot reach the database for a while.

use super::{Outbox, cycle, held, ids, look_and_bury, sent, try_cycle};
use acquire_outbox::queue::policy::Purpose;
use acquire_outbox::store::{StoreError, Tenure};
use std::time::{Duration, Instant};
use tokio::time::sleep;

#[tokio::test]
async fn a_node_that_died_is_followed_after_its_lease_and_its_longest_request() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&[1, 1, 2]).await;
    let mut other = outbox.node().await;
    let mut node = outbox.node().await;
    let claimed = cycle(&mut node, &[], 9).await.claimed;
    assert_eq!(ids(&claimed), [jobs[0], jobs[2]]);
    drop(node);
    let died = Instant::now();
    let mut decided = 0;
    while decided < 2 {
        decided += look_and_bury(&mut other).await;
        let claimed = cycle(&mut other, &[], 9).await.claimed;
        if decided == 0 {
            assert_eq!(ids(&claimed), [0i64; 0], "nobody sends a later one of a key meanwhile");
        }
        assert!(died.elapsed() < Duration::from_secs(30), "lease 6 s, request 0.5 s, and some");
        sleep(Duration::from_millis(100)).await;
    }
    assert!(died.elapsed() > Duration::from_secs(6), "{:?}", died.elapsed());
    assert_eq!(outbox.status(jobs[0]).await, "uncertain");
    assert_eq!(outbox.status(jobs[2]).await, "uncertain");
    // The head is gone: the next of its key goes on.
    assert_eq!(outbox.status(jobs[1]).await, "sending");
    let unsettled = "SELECT count(*) FROM outbox_nodes WHERE settled_at IS NULL";
    assert_eq!(outbox.number(unsettled).await, 1);
}

#[tokio::test]
async fn a_node_that_froze_sends_and_records_nothing_when_others_have_its_jobs() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&[1]).await;
    let mut other = outbox.node().await;
    let mut frozen = outbox.node().await;
    let claimed = cycle(&mut frozen, &[], 9).await.claimed;
    let lease = frozen.lease();
    assert!(!lease.has_ended());
    let begun = Instant::now();
    while look_and_bury(&mut other).await == 0 {
        assert!(begun.elapsed() < Duration::from_secs(30));
        sleep(Duration::from_millis(100)).await;
        // Its own clock ends the lease before anybody else may decide its jobs.
        let buried = "SELECT count(*) FROM outbox_nodes WHERE buried_at IS NOT NULL";
        if !lease.has_ended() {
            assert_eq!(outbox.number(buried).await, 0);
        }
    }
    assert!(lease.has_ended());
    let mut late = try_cycle(&mut frozen, &[sent(&claimed[0])], 9).await;
    if late.as_ref().is_err_and(|e| !e.is_final()) {
        // The burial has ended its session.
        late = try_cycle(&mut frozen, &[sent(&claimed[0])], 9).await;
    }
    assert!(matches!(late, Err(StoreError::Superseded)), "{late:?}");
    assert!(matches!(frozen.check(), Err(StoreError::Superseded)));
    assert!(matches!(frozen.record(&[sent(&claimed[0])]).await, Err(StoreError::Superseded)));
    assert_eq!(outbox.status(jobs[0]).await, "uncertain");
    frozen.close().await.unwrap();
}

#[tokio::test]
async fn a_lease_that_ran_out_is_renewed_while_nobody_has_taken_the_jobs() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&[1, 1]).await;
    let mut node = outbox.node().await;
    let claimed = cycle(&mut node, &[], 9).await.claimed;
    sleep(Duration::from_millis(6_500)).await;
    assert!(node.lease().has_ended());
    // The outcome of a request that began before is recorded, and the next one may be sent.
    let done = cycle(&mut node, &[sent(&claimed[0])], 9).await;
    assert_eq!((done.recorded.ids, ids(&done.claimed)), (jobs[..1].to_vec(), jobs[1..].to_vec()));
    assert!(!node.lease().has_ended());
}

#[tokio::test]
async fn an_idle_node_keeps_its_lease_by_looking() {
    let Some(outbox) = Outbox::new().await else { return };
    let mut node = outbox.node().await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(7) {
        node.look().await.unwrap();
        assert!(!node.lease().has_ended());
        sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn a_node_that_ends_in_good_order_leaves_nothing_to_wait_for() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&[1]).await;
    let mut other = outbox.node().await;
    let mut node = outbox.node().await;
    cycle(&mut node, &[], 9).await;
    let lease = node.lease();
    node.close().await.unwrap();
    assert!(lease.has_ended());
    // It had a job that it could not record.
    assert_eq!(look_and_bury(&mut other).await, 1);
    assert_eq!(outbox.status(jobs[0]).await, "uncertain");
}

#[tokio::test]
async fn a_successor_on_the_same_machine_takes_over_at_once() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&[1]).await;
    let mut node = outbox.node().await;
    cycle(&mut node, &[], 9).await;
    let name = "SELECT name FROM outbox_nodes ORDER BY epoch DESC LIMIT 1";
    let first = outbox.text(name).await;
    drop(node);
    let next = Tenure::take_over(&outbox.database, Purpose::Delivery, held, |_| {}).await.unwrap();
    assert_eq!(outbox.status(jobs[0]).await, "uncertain");
    assert_eq!(outbox.text(name).await, first, "its name is free again");
    let third = outbox.node().await;
    assert_eq!(outbox.text(name).await, format!("{first}#2"));
    drop((next, third));
}

/// A frozen process keeps its connections, and what nobody reads from them fills the server's queue of notifications.
#[tokio::test]
async fn a_burial_ends_the_sessions_of_the_buried() {
    let Some(outbox) = Outbox::new().await else { return };
    let mut other = outbox.node().await;
    let frozen = outbox.node().await;
    let sessions =
        "SELECT string_agg(pid::text, ',') FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = (SELECT outbox_session_name(max(epoch)) FROM outbox_nodes)";
    let begun = Instant::now();
    let of_the_frozen = loop {
        let pids = outbox.text(sessions).await;
        if pids.contains(',') {
            break pids;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "its own, and one that listens: {pids}");
        sleep(Duration::from_millis(20)).await;
    };
    outbox.query("UPDATE outbox_nodes SET bury_at = now() WHERE epoch = (SELECT max(epoch) FROM outbox_nodes); SELECT 1").await;
    look_and_bury(&mut other).await;
    let left = format!("SELECT count(*) FROM pg_stat_activity WHERE pid IN ({of_the_frozen})");
    while outbox.number(&left).await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(40));
        sleep(Duration::from_millis(20)).await;
    }
    drop(frozen);
}
