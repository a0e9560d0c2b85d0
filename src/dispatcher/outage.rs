//! The database cannot be used at present: nothing is claimed, results wait in memory.

use super::Dispatcher;
use crate::metrics::State;
use crate::store::StoreError;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{error, info};

/// The pause after a failed transaction, doubled from the first to the second.
pub(super) const ERROR_PAUSE: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(5));

/// From the first error until a step has succeeded.
pub(super) struct Outage {
    pause: Duration,
    pub(super) until: Instant,
    pub(super) error: String,
}

impl Dispatcher {
    /// `None` where an error begins or prolongs an outage.
    ///
    /// # Errors
    /// Those after which nothing more may be written.
    pub(super) fn unless_outage<T>(
        &mut self,
        done: Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        match done {
            Ok(done) => Ok(Some(done)),
            Err(e) if e.is_final() => Err(e),
            Err(e) => {
                self.note_outage(&e);
                Ok(None)
            }
        }
    }

    /// Logged once per outage, not per try.
    fn note_outage(&mut self, e: &StoreError) {
        let pause = match &self.outage {
            None => {
                error!(error = %e, results_waiting = self.sender.jobs.unrecorded(),
                    "the database cannot be used: nothing is claimed, results wait in memory");
                ERROR_PAUSE.0
            }
            Some(outage) => (outage.pause * 2).min(ERROR_PAUSE.1),
        };
        self.sender.metrics.enter(State::Trouble);
        self.outage = Some(Outage { pause, until: Instant::now() + pause, error: e.to_string() });
        self.service.changed();
    }

    pub(super) fn waits_in_outage(&self) -> bool {
        self.outage.as_ref().is_some_and(|outage| outage.until > Instant::now())
    }

    pub(super) fn end_outage(&mut self) {
        if self.outage.take().is_some() {
            self.sender.metrics.enter(State::Dispatching);
            self.service.changed();
            info!("the database can be used again");
        }
    }
}
