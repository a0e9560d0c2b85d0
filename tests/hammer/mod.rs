//! The hammer: four nodes and eight producers on a PostgreSQL server, and everything goes wrong at random. Nodes
//! are killed and frozen, the server is crashed, its sessions are terminated, and the network between a node and the
//! database freezes, delays and cuts, also in the middle of the answer to a commit; a standby is promoted, and
//! an earlier state is restored. Afterwards everything that the design promises is checked.
//!
//! `cargo test --test all hammer::` runs a short form. A long one, round after round with other seeds:
//!
//! ```sh
//! ACQUIRE_OUTBOX_HAMMER_SECONDS=600 cargo test --test all hammer:: -- --include-ignored --nocapture --test-threads 1
//! ```
//!
//! A failure prints its seed and what happened to the message; `ACQUIRE_OUTBOX_HAMMER_SEED` uses the seed again. It
//! gives the same decisions, not the same interleaving.

mod clients;
mod crew;
mod failover;
mod journal;
mod link;
mod place;
mod vendor;
mod verdict;
mod world;

use crate::support::Cluster;
use failover::{Failover, fail_over, restore};
use std::time::{Duration, Instant};
use world::World;

/// A round of the long form, from the first fault to the last.
const ROUND: Duration = Duration::from_secs(30);
/// The short form's: enough for a node to be buried while it is frozen.
const SHORT: Duration = Duration::from_secs(11);

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a whole number"))
}

/// Runs rounds with different seeds: one, or as many as the time allows.
async fn rounds(mut round: impl AsyncFnMut(u64, Duration) -> bool) {
    let given = variable("ACQUIRE_OUTBOX_HAMMER_SEED");
    let long = variable("ACQUIRE_OUTBOX_HAMMER_SECONDS").map(Duration::from_secs);
    let begun = Instant::now();
    loop {
        let seed = given.unwrap_or_else(|| fastrand::u64(0..1_000_000));
        println!("seed {seed}");
        let went_on = round(seed, long.map_or(SHORT, |_| ROUND)).await;
        if !went_on || long.is_none_or(|long| begun.elapsed() >= long) {
            return;
        }
    }
}

async fn random_faults(hold: bool) {
    let policy = if hold { "hold" } else { "retry" };
    rounds(async |seed, time| {
        let Some(cluster) = Cluster::start(&[]) else { return false };
        world::create(&cluster).await;
        let mut world = World::on(&cluster, None, hold, seed).await;
        world.quiet(Duration::from_millis(1_500)).await;
        // Whatever the dice say: one node is frozen until it is buried, and one is cut off for longer than its lease.
        if hold {
            world.crew.freeze(0, Duration::from_millis(10_500));
            world.crew.disturb(1, link::Flow::Frozen, Duration::from_millis(7_500));
        }
        let time = if hold { time } else { time / 2 };
        world.hammer(time, Some(&cluster)).await;
        world.finish(&format!("random faults under {policy}")).await;
        true
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_hold_nothing_is_lost_sent_twice_or_out_of_order() {
    random_faults(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_retry_nothing_is_lost_or_out_of_order() {
    random_faults(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_synchronous_standby_is_promoted_and_nothing_is_forgotten() {
    rounds(async |seed, time| fail_over(Failover::Synchronous, seed, time).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asynchronous_standby_is_promoted_and_what_it_has_forgotten_is_held() {
    rounds(async |seed, time| fail_over(Failover::Asynchronous, seed, time).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_state_is_restored_and_what_was_sent_since_is_held() {
    rounds(async |seed, time| restore(seed, time).await).await;
}
