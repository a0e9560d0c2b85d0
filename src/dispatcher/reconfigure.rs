//! A new configuration for the running loop.

use super::Dispatcher;
use crate::config::Config;
use crate::dispatcher::routes::Moment;
use crate::reload::{self, Fresh, ReloadError, Step};
use tracing::{error, info, warn};

impl Dispatcher {
    /// What is in flight ends over its own endpoint; everything else is as the new configuration
    /// says, which is taken over whole or not at all.
    pub(super) fn reload(&mut self, step: Step) {
        let fresh = match step {
            Step::Asked => return self.service.reloading(),
            Step::Read(fresh) => *fresh,
        };
        let notice = self.reconfigure(fresh).err();
        self.service.reloaded(notice);
    }

    /// An error is a sentence on what was not taken over.
    fn reconfigure(&mut self, fresh: Result<Fresh, ReloadError>) -> Result<(), String> {
        let Fresh { config, routes } = fresh.map_err(|e| {
            error!(error = %e, "the new configuration cannot be used: the old one stays");
            format!("not reloaded, the old configuration stays: {e}")
        })?;
        let sender = &mut self.sender;
        let renewed = reload::renewed(&sender.config, &config);
        let now = Moment::now();
        let former = sender.routes.replace(routes, &renewed, now);
        sender.jobs.reroute(|route| former.now(route));
        let old = std::mem::replace(&mut sender.config, config);
        let notices = keep_until_restart(old, &mut sender.config);
        sender.meter_routes();
        self.next_upkeep = now.at;
        let accounts = self.sender.routes.accounts().join(",");
        info!(accounts, "the configuration has been reloaded");
        if notices.is_empty() { Ok(()) } else { Err(notices.join("; ")) }
    }
}

/// Puts back the settings that cannot change while the program runs, and says which are others now.
fn keep_until_restart(old: Config, fresh: &mut Config) -> Vec<String> {
    let mut notices = Vec::new();
    let database = std::mem::replace(&mut fresh.database, old.database);
    if database != fresh.database {
        let (old, new) = (fresh.database.display(), database.display());
        warn!(%old, %new, "another database needs a restart: the old one is still used");
        notices.push(format!("the database {new} needs a restart, {old} is still used"));
    }
    let web = std::mem::replace(&mut fresh.web, old.web);
    if !reload::same_web(fresh.web.as_ref(), web.as_ref()) {
        warn!("changes to the dashboard need a restart: it stays as it was");
        notices.push("changes in [web] need a restart".to_owned());
    }
    notices
}
