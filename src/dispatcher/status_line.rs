//! The line that the service manager shows.

use super::Dispatcher;
use crate::queue::pause::Pause;
use crate::service::Counts;

impl Dispatcher {
    /// Updates it. It counts only when there is a manager that listens.
    pub(super) async fn show_status(&mut self) {
        if !self.service.wants_status() {
            return;
        }
        let in_flight = self.sender.jobs.in_flight();
        if let Some(outage) = &self.outage {
            let (error, results) = (&outage.error, self.sender.jobs.unrecorded());
            let line = format!("{error}; {in_flight} in flight, {results} unrecorded in memory");
            return self.service.status(&line);
        }
        // The next step finds the same error, and reports it.
        let Ok(backlog) = self.tenure.backlog().await else { return };
        let paused = self.paused.shown.iter().map(Pause::subject).collect();
        let held = self.shown_blocks.names();
        let counts = Counts { in_flight, sent: self.sender.sent, backlog, held, paused };
        self.service.status(&counts.to_string());
    }
}
