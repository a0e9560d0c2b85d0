//! What a cycle is to do and what it has done.

use super::ended::{Ended, Recorded};
use super::job::{Channel, Job, Millis};

/// Room for jobs of one account and channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub account: String,
    pub channel: Channel,
    pub limit: u32,
}

/// Payloads up to this many bytes are small: they are read with their row, and have room in memory
/// that larger ones cannot take. The same number is in `cycle.sql`.
pub const SMALL_BYTES: usize = 16_384;

/// What a cycle may claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The routes whose room has changed since a cycle last got it. The connection remembers the
    /// others, so that a route with nothing to send costs a cycle nothing.
    pub changed: Vec<Claim>,
    /// How many jobs at most, over all routes.
    pub places: u32,
    /// How many jobs at most of one route.
    pub share: u32,
    pub bytes: BytesLeft,
    /// Jobs that this claim leaves alone, however early they come in its order.
    pub passed_over: Vec<i64>,
}

/// How many bytes of payloads may be claimed. Small and large ones have separate room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BytesLeft {
    pub small: u64,
    pub large: u64,
    /// No large one is out: the first large one goes, whatever its size.
    pub alone: bool,
}

impl Room {
    /// These rooms, without any other limit.
    pub fn unlimited(changed: Vec<Claim>) -> Room {
        let bytes = BytesLeft { small: u64::MAX, large: u64::MAX, alone: true };
        Room { changed, places: u32::MAX, share: u32::MAX, bytes, passed_over: Vec::new() }
    }
}

/// What one cycle is to do.
pub struct Cycle<'a> {
    /// Attempts that have ended. An outcome that is on disk already may be given again.
    pub record: &'a [Ended],
    /// `None`: claim nothing.
    pub room: Option<&'a Room>,
    /// Move what has fallen due: scheduled, backoff, expired.
    pub due: bool,
    pub now: Millis,
    /// Somebody is just committing, and this cycle is for that commit: it does not wait long for a
    /// lock.
    pub expecting: bool,
}

/// How a cycle ended.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly always the large one")]
pub enum CycleResult {
    Done(CycleDone),
    /// Only where `expecting`: the lock was not available. Nothing was done.
    Locked,
}

/// What one cycle has done.
#[derive(Debug, Default)]
pub struct CycleDone {
    pub recorded: Recorded,
    /// Claimed, durable, in the order in which they are to be sent.
    pub claimed: Vec<Job>,
    /// There was more than fits into the places or the memory that are left.
    pub cut: bool,
    /// Another program has committed since the last cycle or look, and the claim has seen it.
    pub others_committed: bool,
    /// What comes next, read after the claim.
    pub agenda: Agenda,
}

/// What comes next, read at the end of each cycle and in each look.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Agenda {
    /// The earliest time at which a scheduled job, a retry or an expiry falls due.
    pub next_due: Option<Millis>,
    /// When a job that is being verified is looked for next.
    pub next_look: Option<Millis>,
    /// When Acquire is asked next what became of a message.
    pub next_follow_up: Option<Millis>,
    /// Accounts that have jobs ready, configured or not.
    pub ready_accounts: Vec<String>,
    /// Another program has committed something that the last claim and the last look may have
    /// missed, or the engine has ended rows since. It may be true without need.
    pub others_committed: bool,
}
