//! Taking over a new configuration's routes while requests are in flight.

use super::{Moment, RouteId, Routes};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Routes {
    /// Continues with `fresh`. Routes that stay keep their blocks, the tokens of an unchanged rate
    /// and, unless their account is `renewed` (another key or address) or a timeout changed, their
    /// connections. What is refused or open and was replaced is probed at once. Gives the new id of
    /// each former route that stays, by its former position.
    pub fn replace(
        &mut self,
        fresh: Routes,
        renewed: &BTreeSet<String>,
        now: Moment,
    ) -> FormerRoutes {
        let old = std::mem::replace(self, fresh);
        self.suspects = old.suspects;
        self.gone = old.gone;
        self.scarcity = old.scarcity;
        self.cycle = old.cycle;
        let mut ids = Vec::with_capacity(old.routes.len());
        for was in old.routes {
            let id = self.id(&was.account, was.channel);
            ids.push(id);
            let Some(id) = id else {
                self.gone.push((was.account, was.channel));
                continue;
            };
            let route = self.of_mut(id);
            let same = !renewed.contains(&was.account)
                && route.policy.request_timeout == was.policy.request_timeout
                && route.policy.connect_timeout == was.policy.connect_timeout
                && route.policy.on_uncertain == was.policy.on_uncertain
                && route.policy.fill_missing == was.policy.fill_missing;
            route.timed_block = was.timed_block;
            route.breaker = was.breaker;
            route.ramp = was.ramp;
            if same {
                route.endpoint = Arc::clone(&was.endpoint);
                route.failures = was.failures;
                route.answer_time = was.answer_time;
            } else if let Some(breaker) = &mut route.breaker {
                breaker.restart(now);
            }
            if route.policy.rate == was.policy.rate {
                route.pace = was.pace;
            }
        }
        for mut refusal in old.refusals {
            let account = refusal.probing.block.account.clone();
            if renewed.contains(&account) {
                refusal.probing.restart(now);
            }
            if self.has_account(&account) {
                self.refusals.push(refusal);
            }
        }
        FormerRoutes(ids)
    }
}

/// What became of each route at a [`Routes::replace`].
pub struct FormerRoutes(Vec<Option<RouteId>>);

impl FormerRoutes {
    /// The new id of a route; `None` when it is gone.
    pub fn now(&self, RouteId(at): RouteId) -> Option<RouteId> {
        self.0.get(at).copied().flatten()
    }
}
