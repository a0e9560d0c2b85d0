//! The database cannot be used just now: nothing is claimed, results wait in memory.

use super::Dispatcher;
use crate::metrics::DaemonState;
use crate::store::StoreError;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{error, info};

/// The pause after a failed transaction, doubled from the first to the second.
pub(super) const ERROR_PAUSE: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(5));

/// Since the first error, until a turn has gone well.
pub(super) struct Trouble {
    pause: Duration,
    pub(super) until: Instant,
    pub(super) error: String,
}

impl Dispatcher {
    /// Once per change, not per try.
    pub(super) fn note_trouble(&mut self, e: &StoreError) -> bool {
        let pause = match &self.trouble {
            None => {
                error!(error = %e, results_waiting = self.wire.unrecorded.len(),
                    "the database cannot be used: nothing is claimed, results wait in memory");
                ERROR_PAUSE.0
            }
            Some(trouble) => (trouble.pause * 2).min(ERROR_PAUSE.1),
        };
        // What could not be recorded is not added to.
        self.wire.routes.shut_all();
        self.wire.give_back();
        self.wire.metrics.enter(DaemonState::Trouble);
        self.trouble = Some(Trouble { pause, until: Instant::now() + pause, error: e.to_string() });
        self.service.changed();
        false
    }

    pub(super) fn end_trouble(&mut self) {
        if self.trouble.take().is_some() {
            self.wire.metrics.enter(DaemonState::Dispatching);
            self.service.changed();
            info!("the database can be used again");
        }
    }
}
