//! The bell: a commit wakes a node that sleeps.

use super::{Outbox, cycle};
use acquire_outbox::store::Tenure;
use std::time::Duration;
use tokio::time::timeout;

/// Without a bell, a sleeping node is woken by nothing at all.
const SOON: Duration = Duration::from_secs(10);

/// Until nothing has woken it for a while.
async fn falls_asleep(node: &mut Tenure) {
    while timeout(Duration::from_millis(700), node.changed()).await.is_ok() {
        cycle(node, &[], 9).await;
    }
}

#[tokio::test]
async fn a_commit_wakes_a_node_that_sleeps() {
    let Some(outbox) = Outbox::new().await else { return };
    let mut node = outbox.node().await;
    falls_asleep(&mut node).await;
    for case in 0..5 {
        outbox.insert(&[case]).await;
        timeout(SOON, node.changed()).await.expect("the bell");
        assert_eq!(cycle(&mut node, &[], 9).await.claimed.len(), 1);
        falls_asleep(&mut node).await;
    }
}

#[tokio::test]
async fn every_node_that_sleeps_hears_a_commit() {
    let Some(outbox) = Outbox::new().await else { return };
    let (mut node, mut other) = (outbox.node().await, outbox.node().await);
    falls_asleep(&mut node).await;
    falls_asleep(&mut other).await;
    outbox.insert(&[1]).await;
    timeout(SOON, node.changed()).await.expect("the bell");
    timeout(SOON, other.changed()).await.expect("the bell");
}
