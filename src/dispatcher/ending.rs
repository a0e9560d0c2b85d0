//! The ends that nobody asked for: nothing is left to send, or the outbox is not what it was.

use super::Dispatcher;
use super::drain::LAST_RECORDS;
use crate::dispatcher::attempt::Stop;
use crate::metrics::DaemonState;
use crate::queue::overview::Left;
use crate::queue::pause::Pause;
use crate::queue::when::now;
use crate::store::StoreError;
use chrono::{DateTime, SecondsFormat};
use tokio::time::{Instant, timeout_at};
use tracing::{error, info};

impl Dispatcher {
    /// Whether nothing is due, being sent or in backoff; then what is not waited for is logged.
    pub(super) async fn nothing_left(&mut self) -> bool {
        let nothing_here = self.wire.in_flight.is_empty()
            && self.wire.routes.in_line() == 0
            && self.wire.unrecorded.is_empty()
            && self.trouble.is_none();
        if !nothing_here {
            return false;
        }
        let Ok(Some(left)) = self.tenure.left(now()).await else { return false };
        self.tell_left(left).await;
        true
    }

    async fn tell_left(&mut self, left: Left) {
        let Left { scheduled, next_due, paused, set_aside } = left;
        if scheduled > 0 {
            let next_due = next_due.and_then(DateTime::from_timestamp_millis);
            let next_due = next_due.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
            info!(jobs = scheduled, next_due, "jobs that are scheduled for a later time are left");
        }
        if paused > 0 {
            // All is done: a failure to read them is no reason to fail now.
            let pauses = self.tenure.pauses().await.unwrap_or_default();
            let of = pauses.iter().map(Pause::subject).collect::<Vec<_>>().join(", ");
            info!(jobs = paused, paused = of, "paused jobs are left, and jobs that wait for them");
        }
        if set_aside > 0 {
            info!(
                jobs = set_aside,
                "jobs that are set aside are left: see `acquire-outbox status`"
            );
        }
        info!(sent = self.wire.sent, "nothing is due: ending");
    }

    /// The outbox is not what it was. Nothing more is claimed or written into it; answers that are
    /// still to come are waited for, and go where they can: into a copy of it that has taken its
    /// place, and else into the log.
    pub(super) async fn leave(mut self, e: StoreError) -> StoreError {
        error!(error = %e, in_flight = self.wire.in_flight.len(),
            "ending: waiting for the answers to requests in flight, sending nothing more");
        self.wire.metrics.enter(DaemonState::Stopping);
        self.wire.stop();
        let mut deadline = Instant::now() + self.wire.config.shutdown_timeout;
        while !self.wire.in_flight.is_empty() {
            match timeout_at(deadline, self.wire.results.recv()).await {
                Ok(Some(result)) => self.wire.ended(result),
                _ if *self.wire.stop.borrow() == Stop::Abort => break,
                _ => {
                    self.wire.stop.send_replace(Stop::Abort);
                    deadline = Instant::now() + LAST_RECORDS;
                }
            }
        }
        if let Err(why) = self.record().await {
            info!(error = %why, "the results cannot be recorded in the outbox that is there now");
        }
        self.wire.tell_unrecorded();
        // Where only a part of it has gone, this saves what is still in that part.
        let _ = self.tenure.close().await;
        e
    }
}
