//! Taking over a new configuration's routes while requests are on the wire.

use super::{Moment, Routes};
use crate::job::Job;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Routes {
    /// Goes on with `fresh`. Routes that stay keep what holds them, the tokens of an unchanged
    /// rate and, unless their account is `renewed` (another key or address) or a timeout changed,
    /// their connections. A refused account that is renewed is probed at once. `flying`: every
    /// job on the wire, which counts where there is a route for it.
    pub fn replace<'a>(
        &mut self,
        fresh: Routes,
        renewed: &BTreeSet<String>,
        flying: impl Iterator<Item = &'a Job>,
        now: Moment,
    ) {
        let old = std::mem::replace(self, fresh);
        for was in old.routes {
            let Some(route) = self.of_mut(&was.account, was.channel) else { continue };
            route.held = was.held;
            if route.policy.rate == was.policy.rate {
                route.pace = was.pace;
            }
            if !renewed.contains(&was.account)
                && route.policy.request_timeout == was.policy.request_timeout
                && route.policy.connect_timeout == was.policy.connect_timeout
            {
                route.endpoint = Arc::clone(&was.endpoint);
            }
        }
        for mut refusal in old.refusals {
            if !self.has_account(&refusal.hold.account) {
                continue;
            }
            if renewed.contains(&refusal.hold.account) {
                refusal.probes = 0;
                refusal.probing = false;
                refusal.next_probe = now.at;
                refusal.hold.until = Some(now.wall);
            }
            self.refusals.push(refusal);
        }
        for job in flying {
            if let Some(route) = self.of_mut(&job.account, job.channel) {
                route.in_flight += 1;
            }
        }
    }
}
