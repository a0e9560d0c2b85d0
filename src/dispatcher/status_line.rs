//! What the service manager and the health checks are told of the loop.

use super::Dispatcher;
use crate::queue::block::Block;
use crate::queue::pause::Pause;
use crate::service::Counts;
use tokio::time::Instant;

impl Dispatcher {
    /// Tells the service manager that it dispatches from now on.
    pub fn ready(&mut self) {
        self.service.ready();
    }

    /// The loop has made a step: the watchdog and the health checks are told.
    pub(super) fn note_step(&mut self) {
        self.sender.metrics.turned(Instant::now().into_std());
        self.service.turned();
    }

    /// The line that the service manager shows; it counts only when there is one that listens.
    pub(super) async fn show_status(&mut self) {
        if !self.service.wants_status() {
            return;
        }
        let in_flight = self.sender.jobs.in_flight();
        if let Some(outage) = &self.outage {
            let (error, results) = (&outage.error, self.sender.jobs.unrecorded());
            let line = format!("{error}; {in_flight} in flight, unrecorded in memory: {results}");
            return self.service.status(&line);
        }
        // The next step finds the same error, and reports it.
        let Ok(backlog) = self.tenure.backlog().await else { return };
        let name = |block: &Block| match block.account.is_empty() {
            true => "everything".to_owned(),
            false => format!("{} {}", block.account, block.channel).trim_end().to_owned(),
        };
        let held = self.shown_blocks.iter().map(name).collect();
        let paused = self.paused.shown.iter().map(Pause::subject).collect();
        let counts = Counts { in_flight, sent: self.sender.sent, backlog, held, paused };
        self.service.status(&counts.to_string());
    }
}
