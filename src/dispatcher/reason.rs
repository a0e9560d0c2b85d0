//! When a cycle is worth its transaction: for what reason now, and how soon after the last one.

use super::jobs::Jobs;
use std::time::Duration;
use tokio::time::Instant;

/// Why a cycle is made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// A scheduled job, a next attempt or an expiry is due.
    Due,
    /// Outcomes are to be recorded.
    Record,
    /// A route has room, and jobs may be ready for it.
    Claim,
    /// The same, because somebody is committing right now. The claim waits for that commit's lock, but
    /// not for long: if it takes longer, it is a long transaction, or the disk is slow.
    Commit,
}

/// What is known of somebody else's commit that no claim has seen yet.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Commit {
    #[default]
    None,
    /// The log was written to: worth a claim, which gets the lock once that commit is there.
    UnderWay,
    /// The claim for it did not get the lock: there is another after the next poll.
    Missed,
}

impl Commit {
    /// Whether a commit is under way, for the claim that is made for it.
    pub(super) fn take(&mut self) -> bool {
        let under_way = *self == Commit::UnderWay;
        if under_way {
            *self = Commit::None;
        }
        under_way
    }

    /// A poll: what was missed is tried once more.
    pub(super) fn retry_missed(&mut self) {
        if *self == Commit::Missed {
            *self = Commit::UnderWay;
        }
    }
}

/// The pause between two cycles.
///
/// A transaction costs about the same for one job as for ten, and holds up every writer. So after
/// each the loop rests for twice as long as it took, until as many jobs have ended as are in flight or,
/// if that is more, as still wait for a place: those keep the places taken until the next claim. What has
/// ended is recorded together while the requests of the others are out. A loop with nothing out never
/// rests, and only while jobs wait for a place may a rest be longer than [`Rest::LONGEST`].
pub(super) struct Rest {
    until: Instant,
    /// The same, while jobs wait for a place.
    until_sent: Instant,
}

impl Rest {
    const LONGEST: Duration = Duration::from_millis(5);
    /// While jobs wait for a place: a quarter of the longest time that they may wait.
    const LONGEST_UNTIL_SENT: Duration = Duration::from_millis(25);

    pub(super) fn none() -> Rest {
        let until = Instant::now();
        Rest { until, until_sent: until }
    }

    /// After a cycle that took this long and has just ended.
    pub(super) fn after(took: Duration) -> Rest {
        let (now, rest) = (Instant::now(), 2 * took);
        let until_sent = now + rest.min(Rest::LONGEST_UNTIL_SENT);
        Rest { until: now + rest.min(Rest::LONGEST), until_sent }
    }

    /// When it ends, unless enough has ended before; `None` when there is none. `sends`: meanwhile answers free
    /// places.
    pub(super) fn lasts_until(&self, jobs: &Jobs, sends: bool) -> Option<Instant> {
        let enough = jobs.in_flight().max(jobs.waiting());
        let until = if sends && jobs.has_waiting() { self.until_sent } else { self.until };
        let rests = enough > jobs.unrecorded() && Instant::now() < until;
        rests.then_some(until)
    }
}
