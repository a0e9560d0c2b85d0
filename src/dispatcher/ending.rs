//! The end of a loop that runs until nothing is left to send.

use super::Dispatcher;
use crate::queue::overview::Left;
use crate::queue::pause::Pause;
use crate::queue::when::now;
use crate::store::StoreError;
use chrono::{DateTime, SecondsFormat};
use tracing::info;

impl Dispatcher {
    /// Whether nothing is due, being sent or in backoff.
    pub(super) async fn nothing_left(&mut self) -> bool {
        self.sender.jobs.is_empty()
            && self.outage.is_none()
            && !self.store.is_any_left_to_send(now()).await.unwrap_or(true)
    }

    /// Logs what is not waited for.
    pub(super) async fn tell_left(&mut self) -> Result<(), StoreError> {
        let Left { scheduled, next_due, paused, set_aside } = self.store.left().await?;
        if scheduled > 0 {
            let next_due = next_due.and_then(DateTime::from_timestamp_millis);
            let next_due = next_due.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
            info!(jobs = scheduled, next_due, "jobs that are scheduled for a later time are left");
        }
        if paused > 0 {
            let pauses = self.store.pauses().await?;
            let of = pauses.iter().map(Pause::subject).collect::<Vec<_>>().join(", ");
            info!(jobs = paused, paused = of, "paused jobs are left, and jobs that wait for them");
        }
        if set_aside > 0 {
            info!(
                jobs = set_aside,
                "jobs that are set aside are left: see `acquire-outbox status`"
            );
        }
        info!(sent = self.sender.sent, "nothing is due: ending");
        Ok(())
    }
}
