//! The database cannot be used at the moment: nothing is claimed, and results wait in memory.

use crate::store::StoreError;
use std::time::Duration;
use tokio::time::Instant;
use tracing::error;

/// The pause after a failed transaction, doubled from the first to the second.
pub(super) const ERROR_PAUSE: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(5));

/// From the first error until a step has succeeded.
pub(super) struct Outage {
    pause: Duration,
    pub(super) until: Instant,
    pub(super) error: String,
}

impl Outage {
    /// The outage, begun or prolonged by another error. Logged once per outage, not per try.
    pub(super) fn after(before: Option<Outage>, e: &StoreError, results_waiting: usize) -> Outage {
        let pause = match before {
            None => {
                error!(error = %e, results_waiting,
                    "the database cannot be used: nothing is claimed, and results wait in memory");
                ERROR_PAUSE.0
            }
            Some(outage) => (outage.pause * 2).min(ERROR_PAUSE.1),
        };
        Outage { pause, until: Instant::now() + pause, error: e.to_string() }
    }

    /// Whether it is too early for another try.
    pub(super) fn pauses(&self) -> bool {
        self.until > Instant::now()
    }
}
