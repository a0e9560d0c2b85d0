//! The loop as a service: what it tells the service manager, and the new configurations it gets.

use super::Dispatcher;
use crate::dispatcher::routes::Moment;
use crate::queue::block::Block;
use crate::queue::pause::Pause;
use crate::queue::when::now;
use crate::reload::{self, ReloadError, ReloadStep, Reloaded};
use crate::service::Counts;
use tokio::time::Instant;
use tracing::{error, info, warn};

impl Dispatcher {
    /// Tells the service manager that it dispatches from now on.
    pub fn ready(&mut self) {
        self.service.ready();
    }

    /// The line that the service manager shows; it counts only when there is one that listens.
    pub(super) async fn say_status(&mut self) {
        if !self.service.wants_status() {
            return;
        }
        let in_flight = self.wire.in_flight.len();
        if let Some(trouble) = &self.trouble {
            let (error, results) = (&trouble.error, self.wire.unrecorded.len());
            let line = format!("{error}; {in_flight} in flight, unrecorded in memory: {results}");
            return self.service.status(&line);
        }
        // An error here is the next turn's to find and to tell.
        let Ok(backlog) = self.tenure.backlog().await else { return };
        let name = |h: &Block| match h.account.is_empty() {
            true => "everything".to_owned(),
            false => format!("{} {}", h.account, h.channel).trim_end().to_owned(),
        };
        let held = self.shown_blocks.iter().map(name).collect();
        let paused = self.paused.shown.iter().map(Pause::subject).collect();
        let counts = Counts { in_flight, sent: self.wire.sent, backlog, held, paused };
        self.service.status(&counts.to_string());
    }

    /// What is on the wire goes on through its own endpoint; everything else is as the new
    /// configuration says, which is all there or not at all.
    pub(super) fn reload(&mut self, step: ReloadStep) {
        let fresh = match step {
            ReloadStep::Requested => return self.service.reloading(),
            ReloadStep::Finished(fresh) => *fresh,
        };
        let notice = self.take_over(fresh).err();
        self.service.reloaded(notice);
    }

    /// An error is a sentence on what was not taken over.
    fn take_over(&mut self, fresh: Result<Reloaded, ReloadError>) -> Result<(), String> {
        let Reloaded { mut config, routes } = fresh.map_err(|e| {
            error!(error = %e, "the new configuration cannot be used: the old one stays");
            format!("not reloaded, the old configuration stays: {e}")
        })?;
        let renewed = reload::changed_accounts(&self.wire.config, &config);
        let flying = self.wire.in_flight.values().map(|flight| &*flight.job);
        let now = Moment { at: Instant::now(), wall: now() };
        self.wire.routes.replace(routes, &renewed, flying, now);
        let database = std::mem::replace(&mut config.database, self.wire.config.database.clone());
        let web = std::mem::replace(&mut config.web, self.wire.config.web.clone());
        self.wire.config = config;
        self.wire.meter_routes();
        self.next_upkeep = now.at;
        info!(
            accounts = self.wire.routes.accounts().join(","),
            "the configuration has been reloaded"
        );
        let mut notices = Vec::new();
        if database != self.wire.config.database {
            let (old, new) = (self.wire.config.database.display(), database.display());
            warn!(%old, %new, "another database needs a restart: going on with the old one");
            notices.push(format!("the database {new} needs a restart, {old} goes on"));
        }
        if !reload::has_same_web(self.wire.config.web.as_ref(), web.as_ref()) {
            warn!("what was changed of the dashboard needs a restart: it goes on as it was");
            notices.push("what was changed in [web] needs a restart".to_owned());
        }
        if notices.is_empty() { Ok(()) } else { Err(notices.join("; ")) }
    }
}
