//! How much is measured.

use serde::Serialize;

/// Sizes of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    pub quick: bool,
    pub rounds: usize,
    /// Jobs of one drain, and requests of the raw client in the same round.
    pub jobs: u64,
    /// Requests at once, as configured for the channel.
    pub in_flight: u64,
    /// Single commits whose wake-up is timed, per round.
    pub commits: u64,
    /// How long the idle daemon is watched, seconds.
    pub idle_seconds: u64,
    /// How long writers write, and how long a deep backlog is drained, seconds.
    pub busy_seconds: u64,
    /// Deep tables: jobs that are scheduled or ready, jobs behind one stuck conversation, finished jobs.
    pub waiting: u64,
    pub stuck: u64,
    pub finished: u64,
    /// Conversations of 10 messages each.
    pub conversations: u64,
    /// SMS answers, per round.
    pub answers: u64,
    /// How long another session's snapshot is open while nodes work, seconds.
    pub snapshot_seconds: u64,
}

impl Plan {
    pub fn full() -> Plan {
        Plan {
            quick: false,
            rounds: 5,
            jobs: 20_000,
            in_flight: 64,
            commits: 300,
            idle_seconds: 30,
            busy_seconds: 5,
            waiting: 1_000_000,
            stuck: 300_000,
            finished: 5_000_000,
            conversations: 1_000,
            answers: 20_000,
            snapshot_seconds: 600,
        }
    }

    pub fn quick() -> Plan {
        Plan {
            quick: true,
            rounds: 3,
            jobs: 10_000,
            commits: 60,
            idle_seconds: 3,
            busy_seconds: 2,
            waiting: 200_000,
            stuck: 30_000,
            finished: 200_000,
            answers: 5_000,
            snapshot_seconds: 20,
            ..Plan::full()
        }
    }

    pub fn describe(&self) -> String {
        let Plan { rounds, jobs, waiting, stuck, finished, .. } = self;
        let sizes = format!(
            "{rounds} rounds; {jobs} jobs a round; deep tables: {waiting} waiting, {stuck} stuck, \
             {finished} finished."
        );
        if self.quick {
            format!("QUICK: smaller than the sizes for which the limits hold. {sizes}")
        } else {
            sizes
        }
    }
}
