//! How the loop ends: by a request to stop, when nothing is left to send, or because the outbox has
//! changed under it. Also what a claim without an answer leaves behind.

use super::Dispatcher;
use super::outage::ERROR_PAUSE;
use crate::dispatcher::attempt::Stop;
use crate::metrics::DaemonState;
use crate::queue::overview::Left;
use crate::queue::pause::Pause;
use crate::queue::when::now;
use crate::store::StoreError;
use chrono::{DateTime, SecondsFormat};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{error, info, warn};

/// How long the last results may take to be recorded, once no request is in flight.
const LAST_RECORDS: Duration = Duration::from_secs(10);

impl Dispatcher {
    /// Gives back the jobs whose claim was committed without an answer: a COMMIT that returned an
    /// error may still have taken place.
    ///
    /// A job is in [`Jobs`](super::jobs::Jobs) from the answer to its claim until its outcome is known
    /// to be on disk. So a row that is `sending` under our own claim and is not there belongs to a
    /// claim whose answer never arrived, and its request was never made. The same cycle may have recorded
    /// the attempt before, whose outcome is still there.
    pub(super) async fn withdraw_strays(&mut self) -> Result<(), StoreError> {
        let jobs = &self.sender.jobs;
        for (job, claimed_at) in self.tenure.claims(|id, attempt| jobs.holds(id, attempt)).await? {
            if let Some(ended) = self.sender.jobs.superseded(job.id) {
                self.sender.metrics.recorded(&[ended]);
            }
            self.sender.give_back(None, &job, claimed_at);
        }
        Ok(())
    }

    /// The orderly end: nothing new is sent, what has not been written to its connection goes back,
    /// requests in flight are waited for and recorded; at the deadline they are given up on, and their
    /// outcome is unknown.
    pub(super) async fn drain(mut self) -> Result<(), StoreError> {
        let limit = self.sender.config.shutdown_timeout;
        self.sender.metrics.enter(DaemonState::Stopping);
        info!(
            in_flight = self.sender.jobs.in_flight(),
            seconds = limit.as_secs(),
            "stopping: finishing the requests in flight"
        );
        self.service.stopping(limit + 3 * LAST_RECORDS);
        self.service.status(&format!("stopping: {} in flight", self.sender.jobs.in_flight()));
        self.sender.stop();
        self.verifier.stop();
        self.follower.stop();
        // What goes back does not wait for the requests in flight. An error is tried again below.
        let _ = self.record().await;
        let mut deadline = Instant::now() + limit;
        while self.sender.jobs.in_flight() > 0 {
            self.note_step();
            let until = self.service.next_ping().map_or(deadline, |ping| ping.min(deadline));
            match timeout_at(until, self.sender.results.recv()).await {
                Ok(Some(result)) => self.sender.ended(result),
                Ok(None) => break,
                Err(_) if until < deadline => continue,
                Err(_) if *self.sender.stop.borrow() == Stop::Drain => {
                    warn!(
                        in_flight = self.sender.jobs.in_flight(),
                        "the deadline has passed: giving up on the requests in flight"
                    );
                    self.sender.stop.send_replace(Stop::Abort);
                    deadline = Instant::now() + LAST_RECORDS;
                }
                Err(_) => break,
            }
            self.sender.take_results();
            // An error is tried again at the end.
            let _ = self.record().await;
        }
        let deadline = Instant::now() + LAST_RECORDS;
        while let Err(e) = self.last_record().await {
            self.note_step();
            if Instant::now() >= deadline {
                error!(error = %e, unrecorded = self.sender.jobs.unrecorded(), "the last results could not be recorded");
                self.sender.log_unrecorded();
                return Err(e);
            }
            sleep(ERROR_PAUSE.0).await;
        }
        self.sender.bad_ends.end_window();
        info!("stopped");
        self.sender.end_note().await;
        self.tenure.close().await
    }

    /// What a COMMIT without an answer may have claimed goes back, too.
    pub(super) async fn last_record(&mut self) -> Result<(), StoreError> {
        if self.outage.is_some() {
            self.withdraw_strays().await?;
        }
        self.record().await
    }

    /// Records all that has ended.
    pub(super) async fn record(&mut self) -> Result<(), StoreError> {
        let outcomes = self.sender.begin_recording();
        if outcomes.is_empty() {
            return Ok(());
        }
        match self.tenure.record(&outcomes).await {
            Ok(done) => {
                self.sender.recorded(outcomes, &done);
                self.sender.take_report(done.report);
                Ok(())
            }
            Err(e) => {
                self.sender.jobs.not_recorded(outcomes);
                Err(e)
            }
        }
    }

    /// Whether nothing is due, being sent, verified or in backoff; if so, logs what is not waited for.
    pub(super) async fn nothing_left(&mut self) -> bool {
        if !self.sender.jobs.is_empty() || self.outage.is_some() {
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
            info!(jobs = scheduled, next_due, "scheduled jobs remain");
        }
        if paused > 0 {
            // All work is done: a failure to read them is no reason to fail now.
            let pauses = self.tenure.pauses().await.unwrap_or_default();
            let of = pauses.iter().map(Pause::subject).collect::<Vec<_>>().join(", ");
            info!(
                jobs = paused,
                paused = of,
                "paused jobs, and jobs that wait behind them, remain"
            );
        }
        if set_aside > 0 {
            info!(jobs = set_aside, "jobs that are set aside remain: see `acquire-outbox status`");
        }
        info!(sent = self.sender.sent, "nothing is due: exiting");
    }

    /// The outbox is not what it was. Nothing more is claimed, and nothing is written into it; answers
    /// that are still to come are waited for, and go where they can: into a copy of it that has taken its
    /// place, or else into the log.
    pub(super) async fn leave(mut self, e: StoreError) -> StoreError {
        error!(error = %e, in_flight = self.sender.jobs.in_flight(),
            "shutting down: waiting for the answers to requests in flight, sending nothing more");
        self.sender.metrics.enter(DaemonState::Stopping);
        self.sender.stop();
        self.verifier.stop();
        self.follower.stop();
        let mut deadline = Instant::now() + self.sender.config.shutdown_timeout;
        while self.sender.jobs.in_flight() > 0 {
            match timeout_at(deadline, self.sender.results.recv()).await {
                Ok(Some(result)) => self.sender.ended(result),
                _ if *self.sender.stop.borrow() == Stop::Abort => break,
                _ => {
                    self.sender.stop.send_replace(Stop::Abort);
                    deadline = Instant::now() + LAST_RECORDS;
                }
            }
        }
        if let Err(why) = self.record().await {
            info!(error = %why, "the results cannot be recorded in the outbox that is there now");
        }
        self.sender.log_unrecorded();
        // If only a part of it is gone, this saves what is in the other part.
        let _ = self.tenure.close().await;
        e
    }
}
