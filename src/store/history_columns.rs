//! What the tables `outbox_history` of both engines have in common.

use crate::queue::job::Millis;
use crate::queue::outcome_counts::{DAY_MS, HOUR_MS, LATE_GROUPS};

/// How long minutes stay minutes, and hours hours; how long days are kept.
pub const KEPT: [Millis; 3] = [3 * HOUR_MS, 8 * DAY_MS, 400 * DAY_MS];

/// The columns with counts, in the order in which both engines read and write them.
pub fn counts() -> Vec<String> {
    let late = (0..LATE_GROUPS).map(|group| format!("late_{group}"));
    ["sent", "failed", "uncertain", "retried"].map(str::to_owned).into_iter().chain(late).collect()
}
