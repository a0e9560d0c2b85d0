//! The dispatchers that work on an outbox, and those that have.

use super::job::Millis;
use serde::Serialize;

/// One start of a dispatcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Higher for a later start.
    pub epoch: i64,
    /// As it calls itself: its host and its process.
    pub name: String,
    /// Its program's version; empty where that is not known.
    pub version: String,
    /// The accounts that it has configured; `None` where that is not known.
    pub accounts: Option<Vec<String>>,
    pub since: Millis,
    pub standing: Standing,
    /// Until when it may claim and send unless it renews its lease; `None` for an engine without
    /// leases.
    pub lease_until: Option<Millis>,
    /// Nobody can notify it: it looks for new jobs itself.
    pub polls: bool,
    /// How many jobs are `sending` under its claims.
    pub sending: u64,
}

/// What the others may expect of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It claims and sends.
    Working,
    /// Its lease has run out: it sends nothing. It may still come back.
    Overdue,
    /// It has been given up, and the jobs that it was sending are being decided.
    Dead,
    /// It left nothing to decide.
    Ended,
}

impl Standing {
    pub const ALL: [Standing; 4] =
        [Standing::Working, Standing::Overdue, Standing::Dead, Standing::Ended];

    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Working => "working",
            Standing::Overdue => "overdue",
            Standing::Dead => "dead",
            Standing::Ended => "ended",
        }
    }
}

/// The nodes that are at work, those that need attention, and, if asked for, those that have ended;
/// the latest first. `now` is by the clock that grants the leases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nodes {
    pub now: Millis,
    pub nodes: Vec<Node>,
}

impl Nodes {
    /// The most that are listed.
    pub const LIMIT: u32 = 1000;

    pub fn count(&self, standing: Standing) -> usize {
        self.nodes.iter().filter(|node| node.standing == standing).count()
    }

    pub fn working(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.standing == Standing::Working)
    }
}
