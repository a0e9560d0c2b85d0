//! Taking over a new configuration's routes while requests are on the wire.

use super::{Moment, Routes};
use crate::queue::job::Job;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Routes {
    /// Goes on with `fresh`. Routes that stay keep what holds them, the tokens of an unchanged
    /// rate and, unless their account is `renewed` (another key or address) or a timeout changed,
    /// their connections. What is refused or open and was replaced is probed at once. What is
    /// claimed and not sent goes back: by the new settings it might not have been. `flying`: every
    /// job on the wire, which counts where there is a route for it.
    pub fn replace<'a>(
        &mut self,
        fresh: Routes,
        renewed: &BTreeSet<String>,
        flying: impl Iterator<Item = &'a Job>,
        now: Moment,
    ) {
        let old = std::mem::replace(self, fresh);
        self.returned = old.returned;
        self.suspects = old.suspects;
        self.gone = old.gone;
        self.shortage = old.shortage;
        self.budget = old.budget.limited_as(&self.budget);
        for mut was in old.routes {
            was.shut(&mut self.returned);
            let Some(route) = self.of_mut(&was.account, was.channel) else {
                self.gone.push((was.account, was.channel));
                continue;
            };
            let same = !renewed.contains(&was.account)
                && route.policy.request_timeout == was.policy.request_timeout
                && route.policy.connect_timeout == was.policy.connect_timeout
                && route.policy.on_uncertain == was.policy.on_uncertain;
            route.held = was.held;
            route.breaker = was.breaker;
            route.ramp = was.ramp;
            if same {
                route.endpoint = Arc::clone(&was.endpoint);
                route.failures = was.failures;
            } else if let Some(breaker) = &mut route.breaker {
                breaker.restart(now);
            }
            if route.policy.rate == was.policy.rate {
                route.pace = was.pace;
            }
        }
        for mut refusal in old.refusals {
            let account = refusal.probing.hold.account.clone();
            if renewed.contains(&account) {
                refusal.probing.restart(now);
            }
            if self.has_account(&account) {
                self.refusals.push(refusal);
            }
        }
        for job in flying {
            if let Some(route) = self.of_mut(&job.account, job.channel) {
                route.in_flight += 1;
            }
        }
    }
}
