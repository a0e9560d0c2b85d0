//! An attempt that has ended, and what was recorded of it.

use super::job::{Channel, Millis};
use super::transition::Transition;

/// An ended attempt, decided.
#[derive(Debug, Clone)]
pub struct Ended {
    pub transition: Transition,
    /// Its job's, for the counts.
    pub channel: Channel,
    pub due_at: Millis,
    pub http_status: Option<u16>,
    pub started_at: Millis,
    pub duration_ms: i64,
}

/// The outcomes that were recorded, and those that were kept in `outbox_set_aside` because they
/// could not be.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Recorded {
    pub ids: Vec<i64>,
    pub aside: Vec<(i64, String)>,
}

impl Recorded {
    /// All that is on disk, in its row or in `outbox_set_aside`.
    pub fn settled(&self) -> Vec<i64> {
        self.ids.iter().copied().chain(self.aside.iter().map(|(id, _)| *id)).collect()
    }
}
