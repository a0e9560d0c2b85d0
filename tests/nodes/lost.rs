//! Answers and transactions that are lost.

use super::{Outbox, cycle, ids, sent, try_cycle, withdrawn};
use acquire_outbox::store::StoreError;
use std::time::{Duration, Instant};
use tokio::time::timeout;

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
                if let Ok(claims) = node.claims(|id| known.contains(&id)).await {
                    record.extend(claims.iter().map(|(job, _)| withdrawn(job)));
                }
            }
            Err(_) => {
                given_up += 1;
                let known: Vec<_> = record.iter().map(|ended| ended.transition.id).collect();
                if let Ok(claims) = node.claims(|id| known.contains(&id)).await {
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
