//! Answers and transactions that are lost.

use super::{Outbox, cycle, ids, sent, try_cycle, withdrawn};
use acquire_outbox::store::{Store, StoreError};
use sqlx::{Connection as _, PgConnection};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

#[tokio::test]
async fn a_transaction_whose_answer_was_lost_is_neither_repeated_nor_forgotten() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&(0..60).map(|n| n % 7).collect::<Vec<_>>()).await;
    let mut node = outbox.node().await;
    let (mut record, mut given_up) = (Vec::new(), 0);
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < Duration::from_secs(50), "{given_up} given up");
        // Given up at any moment: before it was sent, while it runs, before its answer. Later and later, for a
        // machine that is busy: each new session has to plan its statements again.
        let patience = Duration::from_micros(fastrand(given_up) * (40 + given_up));
        match timeout(patience, try_cycle(&mut node, &record, 3)).await {
            Ok(Ok(done)) => {
                record.retain(|ended: &acquire_outbox::queue::ended::Ended| {
                    let id = ended.transition.id;
                    assert!(!done.recorded.lost.contains(&id));
                    !done.recorded.ids.contains(&id)
                });
                if done.claimed.is_empty() && record.is_empty() {
                    let left = "SELECT count(*) FROM outbox WHERE status <> 'sent'";
                    if outbox.number(left).await == 0 {
                        break;
                    }
                }
                record.extend(done.claimed.iter().map(sent));
            }
            Ok(Err(e)) => {
                assert!(!e.is_final(), "{e}");
                // As the dispatcher does: what was claimed without its knowledge goes back.
                let known: Vec<_> = record.iter().map(|ended| ended.transition.id).collect();
                if let Ok(claims) = node.claims(|id, _| known.contains(&id)).await {
                    record.extend(claims.iter().map(|(job, _)| withdrawn(job)));
                }
            }
            Err(_) => {
                given_up += 1;
                let known: Vec<_> = record.iter().map(|ended| ended.transition.id).collect();
                if let Ok(claims) = node.claims(|id, _| known.contains(&id)).await {
                    record.extend(claims.iter().map(|(job, _)| withdrawn(job)));
                }
            }
        }
    }
    assert!(given_up > 0);
    let twice = "SELECT count(*) FROM (SELECT job_id FROM outbox_attempts WHERE outcome = 'accepted' GROUP BY job_id HAVING count(*) > 1) a";
    assert_eq!(outbox.number(twice).await, 0);
    let recorded = outbox.number("SELECT count(*) FROM outbox_attempts").await;
    assert_eq!(recorded, jobs.len() as i64);
}

/// A number from 1 to 400, in an order that looks random and is always the same.
fn fastrand(n: u64) -> u64 {
    (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_right(31) % 400 + 1
}

#[tokio::test]
async fn a_session_that_the_server_ends_is_opened_again() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&[1]).await;
    let mut node = outbox.node().await;
    let claimed = cycle(&mut node, &[], 9).await.claimed;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    outbox.query(end).await;
    let record = [sent(&claimed[0])];
    let begun = Instant::now();
    while let Err(e) = try_cycle(&mut node, &record, 9).await {
        assert!(!e.is_final() && begun.elapsed() < Duration::from_secs(30), "{e}");
    }
    assert_eq!(outbox.status(jobs[0]).await, "sent");
}

#[tokio::test]
async fn a_database_that_has_gone_back_in_time_is_noticed_and_paused() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&[1, 2]).await;
    let mut node = outbox.node().await;
    let claimed = cycle(&mut node, &[], 1).await.claimed;
    cycle(&mut node, &[sent(&claimed[0])], 0).await;
    // As a restore from before, or a failover to a standby that lagged.
    outbox.query("UPDATE outbox_nodes SET cycle = cycle - 1; SELECT 1").await;
    let late = try_cycle(&mut node, &[], 9).await;
    assert!(matches!(late, Err(StoreError::Gone(_))), "{late:?}");
    assert!(node.lease().has_ended());
    assert!(node.check().is_err());
    let paused =
        outbox.text("SELECT reason FROM outbox_pauses WHERE account = '' AND channel = ''").await;
    assert!(paused.starts_with("restored backup: "), "{paused}");
    // Nobody else sends anything until a person has decided.
    let mut next = outbox.node().await;
    assert_eq!(ids(&cycle(&mut next, &[], 9).await.claimed), [0i64; 0]);
    assert_eq!(outbox.status(jobs[1]).await, "pending");
}

/// A lock, as of a migration, is in the way of the pause.
#[tokio::test]
async fn the_pause_of_a_database_that_has_gone_back_in_time_is_tried_again() {
    let Some(outbox) = Outbox::new().await else { return };
    let mut node = outbox.node().await;
    outbox.query("UPDATE outbox_nodes SET cycle = cycle - 1; SELECT 1").await;
    let mut locker = PgConnection::connect_with(&outbox.sql.options()).await.unwrap();
    let lock = "BEGIN; LOCK TABLE outbox_pauses IN SHARE ROW EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(&mut locker).await.unwrap();
    // It waits for the lock, gives up after 3 s, and tries again: when it waits for the second time, the lock goes.
    let unlock = async {
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'outbox_pauses'::regclass";
        let mut was_waiting = false;
        let mut times = 0;
        while times < 2 {
            let is_waiting = outbox.number(waits).await > 0;
            times += u32::from(is_waiting && !was_waiting);
            was_waiting = is_waiting;
            sleep(Duration::from_millis(20)).await;
        }
        sqlx::raw_sql("ROLLBACK").execute(&mut locker).await.unwrap();
    };
    let (late, ()) = tokio::join!(try_cycle(&mut node, &[], 9), unlock);
    let Err(StoreError::Gone(sentence)) = late else { panic!("{late:?}") };
    assert!(sentence.ends_with("everything in it is paused"), "{sentence}");
}

/// A restored database gives epochs a second time: the number alone does not make a node who it was.
#[tokio::test]
async fn an_epoch_that_is_given_a_second_time_is_another_nodes() {
    let Some(outbox) = Outbox::new().await else { return };
    let mut old = outbox.node().await;
    cycle(&mut old, &[], 0).await;
    let epoch = outbox.number("SELECT epoch FROM outbox_nodes").await;
    outbox.query("DELETE FROM outbox_nodes").await;
    outbox.query(&format!("ALTER TABLE outbox_nodes ALTER epoch RESTART WITH {epoch}")).await;
    let mut new = outbox.node().await;
    assert_eq!(outbox.number("SELECT epoch FROM outbox_nodes").await, epoch);
    for _ in 0..5 {
        cycle(&mut new, &[], 0).await;
    }
    let late = try_cycle(&mut old, &[], 9).await;
    assert!(matches!(late, Err(StoreError::Gone(_))), "{late:?}");
    cycle(&mut new, &[], 0).await;
}

/// The last claims of a node may be what a promoted standby has never seen: only that node can tell.
#[tokio::test]
async fn after_a_failover_nothing_is_claimed_before_every_node_has_been_heard() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&[1, 2]).await;
    let (mut first, mut second) = (outbox.node().await, outbox.node().await);
    // As if the server's history had changed since.
    outbox.query("UPDATE outbox_nodes SET timeline = '00000000'; SELECT 1").await;
    assert_eq!(ids(&cycle(&mut first, &[], 9).await.claimed), [0i64; 0]);
    assert_eq!(ids(&cycle(&mut second, &[], 1).await.claimed), jobs[..1]);
    assert_eq!(ids(&cycle(&mut first, &[], 9).await.claimed), jobs[1..]);
    // One that is dead is not waited for once it is buried.
    let more = outbox.insert(&[3]).await;
    outbox.query("UPDATE outbox_nodes SET timeline = '00000000'; SELECT 1").await;
    drop(second);
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < Duration::from_secs(10));
        super::look_and_bury(&mut first).await;
        let claimed = cycle(&mut first, &[], 9).await.claimed;
        if !claimed.is_empty() {
            assert_eq!(ids(&claimed), more);
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(outbox.status(jobs[0]).await, "uncertain");
}

/// A producer may have put off what had been sent and forgotten, before a person decides.
#[tokio::test]
async fn what_got_another_time_since_the_restore_becomes_uncertain_too() {
    let Some(outbox) = Outbox::new().await else { return };
    let job = outbox.insert(&[1]).await[0];
    let planned = outbox
        .number(
            "INSERT INTO outbox (channel, payload, send_at)
             VALUES ('chat', '{\"caseId\": 2, \"message\": \"hello\"}', now() + interval '1 day') RETURNING id",
        )
        .await;
    let millis = "SELECT outbox_millis(clock_timestamp())";
    let restored = outbox.number(millis).await;
    while outbox.number(millis).await == restored {}
    let new = outbox.insert(&[3]).await[0];
    outbox.query(&format!("UPDATE outbox SET send_at = now() + interval '1 hour' WHERE id IN ({job}, {new}); SELECT 1")).await;
    let mut store = Store::open(&outbox.database).await.unwrap();
    assert_eq!(store.resolve_restored(restored).await.unwrap(), 1);
    assert_eq!(store.resolve_restored(restored).await.unwrap(), 0);
    assert_eq!(outbox.status(job).await, "uncertain");
    assert_eq!(outbox.status(planned).await, "pending", "nobody has touched it");
    assert_eq!(outbox.status(new).await, "pending", "it is new");
}
