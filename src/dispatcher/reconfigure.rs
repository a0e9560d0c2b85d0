//! A new configuration for the running loop.

use super::Dispatcher;
use super::sender::AttemptSender;
use crate::config::Config;
use crate::dispatcher::routes::Moment;
use crate::reload::{self, ReloadError, ReloadStep, Reloaded};
use tokio::time::Instant;
use tracing::{error, info, warn};

impl Dispatcher {
    /// A step of a reload of the configuration.
    pub(super) fn reload(&mut self, step: ReloadStep) {
        match step {
            ReloadStep::Requested => self.service.reloading(),
            ReloadStep::Finished(fresh) => {
                let notice = self.sender.reconfigure(*fresh).err();
                self.readers.forget_accounts();
                self.verifier.hurry();
                self.follower.hurry();
                self.tenure.expect_requests(self.sender.longest_request());
                self.tenure.pace(&self.sender.routes.rates());
                self.next_upkeep = Instant::now();
                self.service.reloaded(notice);
            }
        }
    }
}

impl AttemptSender {
    /// Takes it over whole or not at all. Requests in flight end over their own endpoints; everything
    /// else is as the new configuration says.
    ///
    /// # Errors
    /// A sentence on what was not taken over.
    pub(super) fn reconfigure(
        &mut self,
        fresh: Result<Reloaded, ReloadError>,
    ) -> Result<(), String> {
        let Reloaded { config, routes } = fresh.map_err(|e| {
            error!(error = %e, "the new configuration cannot be used: the old one stays in use");
            format!("not reloaded; the old configuration stays in use: {e}")
        })?;
        let renewed = reload::changed_accounts(&self.config, &config);
        self.give_back_waiting();
        let former = self.routes.replace(routes, &renewed, Moment::now());
        self.jobs.reroute(|route| former.now(route));
        let old = std::mem::replace(&mut self.config, config);
        let notices = keep_until_restart(old, &mut self.config);
        self.meter_routes();
        let accounts = self.routes.accounts().join(",");
        info!(accounts, "the configuration has been reloaded");
        if notices.is_empty() { Ok(()) } else { Err(notices.join("; ")) }
    }
}

/// Puts back the settings that cannot change while the program runs, and says which are others now.
fn keep_until_restart(old: Config, fresh: &mut Config) -> Vec<String> {
    let mut notices = Vec::new();
    let database = std::mem::replace(&mut fresh.database, old.database);
    if database != fresh.database {
        let (old, new) = (&fresh.database, &database);
        warn!(%old, %new, "changing the database needs a restart: the old one stays in use");
        notices.push(format!("the database {new} needs a restart; {old} stays in use"));
    }
    let web = std::mem::replace(&mut fresh.web, old.web);
    if !reload::has_same_web(fresh.web.as_ref(), web.as_ref()) {
        warn!("changes to [web] need a restart: the dashboard stays as it was");
        notices.push("changes to [web] need a restart".to_owned());
    }
    let notify = std::mem::replace(&mut fresh.notify, old.notify);
    if !reload::has_same_notify(fresh.notify.as_ref(), notify.as_ref()) {
        warn!("changes to [notify] need a restart: it stays as it was");
        notices.push("changes to [notify] need a restart".to_owned());
    }
    notices
}
