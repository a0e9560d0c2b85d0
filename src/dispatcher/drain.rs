//! The orderly end, and what goes back to the queue unsent.

use super::Dispatcher;
use super::trouble::ERROR_PAUSE;
use crate::dispatcher::attempt::Stop;
use crate::metrics::DaemonState;
use crate::store::StoreError;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{error, info, warn};

/// How long the last results may take to be recorded, once nothing is on the wire any more.
pub(super) const LAST_RECORDS: Duration = Duration::from_secs(10);

impl Dispatcher {
    /// After an error a COMMIT may have taken place all the same: what it claimed was never sent.
    pub(super) async fn withdraw_strays(&mut self) -> Result<(), StoreError> {
        let wire = &self.wire;
        let known = |id: i64| {
            wire.in_flight.contains_key(&id)
                || wire.unrecorded.iter().any(|e| e.transition.id == id)
        };
        for (job, claimed_at) in self.tenure.claims(known).await? {
            self.wire.withdraw(&job, claimed_at);
        }
        Ok(())
    }

    /// The orderly end: nothing new, what has not been written goes back, what is on the wire is
    /// waited for and recorded; at the deadline it is given up as of unknown outcome.
    pub(super) async fn drain(mut self) -> Result<(), StoreError> {
        let limit = self.wire.config.shutdown_timeout;
        self.wire.metrics.enter(DaemonState::Stopping);
        info!(
            in_flight = self.wire.in_flight.len(),
            seconds = limit.as_secs(),
            "stopping: finishing what is on the wire"
        );
        self.service.stopping(limit + 3 * LAST_RECORDS);
        self.service.status(&format!("stopping: {} in flight", self.wire.in_flight.len()));
        self.wire.stop();
        // What goes back does not wait for what is on the wire. An error is tried again below.
        let _ = self.record().await;
        let mut deadline = Instant::now() + limit;
        while !self.wire.in_flight.is_empty() {
            self.turned();
            let until = self.service.next_ping().map_or(deadline, |ping| ping.min(deadline));
            match timeout_at(until, self.wire.results.recv()).await {
                Ok(Some(result)) => self.wire.ended(result),
                Ok(None) => break,
                Err(_) if until < deadline => continue,
                Err(_) if *self.wire.stop.borrow() == Stop::Drain => {
                    warn!(
                        in_flight = self.wire.in_flight.len(),
                        "the deadline has passed: giving up what is on the wire"
                    );
                    self.wire.stop.send_replace(Stop::Abort);
                    deadline = Instant::now() + LAST_RECORDS;
                }
                Err(_) => break,
            }
            while let Ok(result) = self.wire.results.try_recv() {
                self.wire.ended(result);
            }
            // An error here is not the last word: the end tries again.
            let _ = self.record().await;
        }
        let deadline = Instant::now() + LAST_RECORDS;
        while let Err(e) = self.last_record().await {
            self.turned();
            if Instant::now() >= deadline {
                error!(error = %e, unrecorded = self.wire.unrecorded.len(), "the last results could not be recorded");
                self.wire.tell_unrecorded();
                return Err(e);
            }
            sleep(ERROR_PAUSE.0).await;
        }
        info!("stopped");
        self.tenure.close().await
    }

    /// What a COMMIT of unknown end may have claimed goes back, too.
    pub(super) async fn last_record(&mut self) -> Result<(), StoreError> {
        if self.trouble.is_some() {
            self.withdraw_strays().await?;
        }
        self.record().await
    }

    pub(super) async fn record(&mut self) -> Result<(), StoreError> {
        if !self.wire.unrecorded.is_empty() {
            let done = self.tenure.record(&self.wire.unrecorded).await?;
            let ended = std::mem::take(&mut self.wire.unrecorded);
            self.wire.recorded(ended, &done);
            self.wire.take_report(done.report);
        }
        Ok(())
    }
}
