//! How much room there is, and what the claim took of it. A route with nothing to send and nothing
//! in its way is at rest: no cycle looks at it.

use super::{Refusal, Route, Routes};
use crate::queue::claim::{Claim, Room};
use crate::queue::job::{Channel, Job};
use std::collections::HashMap;
use tokio::time::{Duration, Instant};

impl Route {
    /// None of its requests is out, and nothing is known about it that the next claim would need.
    fn is_at_rest(&self) -> bool {
        let free = self.in_flight == 0 && self.line.len() == 0 && self.held.is_none();
        let usual = self.breaker.is_none() && self.ramp.is_none();
        free && usual && self.told && self.dry && self.room > 0
    }

    /// How many jobs may be claimed for it now, if only this route counts. `refusal` is its
    /// account's.
    fn reckon(&mut self, refusal: Option<&Refusal>, now: Instant, took: Duration) -> u32 {
        if self.is_held(now) {
            return 0;
        }
        let refused = refusal.map(|r| &r.probing);
        let ahead = if refused.is_some() { 0 } else { self.ahead(took) };
        let room = (self.free() + ahead).saturating_sub(self.line.len());
        let mut limit = room.min(self.half() + ahead);
        if let Some(pace) = &mut self.pace {
            limit = pace.allow(limit, now);
        }
        for probing in [refused, self.breaker.as_ref()].into_iter().flatten() {
            limit = if probing.due(now) && !self.dry { limit.min(1) } else { 0 };
        }
        limit
    }
}

impl Routes {
    /// The room at `now`: free places and jobs to claim ahead of them, for cycles that take as long
    /// as `took`. A refused account gets one probe over all its channels, an open breaker gets a
    /// separate one.
    pub fn room(&mut self, now: Instant, took: Duration) -> Room {
        self.all_shut = false;
        let mut probed: Vec<&str> = Vec::new();
        let mut refusals: HashMap<&str, Vec<&Refusal>> = HashMap::new();
        for refusal in &self.refusals {
            refusals.entry(&refusal.probing.hold.account).or_default().push(refusal);
        }
        let routes = &mut self.routes;
        self.active.retain(|&at| {
            let route = &mut routes[at];
            route.shut = false;
            let own = refusals.get(route.account.as_str()).into_iter().flatten();
            let refusal = own.copied().find(|r| r.concerns(&route.account, route.channel));
            let mut limit = route.reckon(refusal, now, took);
            if let (Some(refusal), 1..) = (refusal, limit) {
                let account = refusal.probing.hold.account.as_str();
                if probed.contains(&account) {
                    limit = 0;
                } else {
                    probed.push(account);
                }
            }
            if limit != route.room {
                (route.room, route.told) = (limit, false);
            }
            route.active = refusal.is_some() || !route.is_at_rest();
            route.active
        });
        let untold = self.active.iter().map(|&at| &self.routes[at]).filter(|route| !route.told);
        let of =
            |r: &Route| Claim { account: r.account.clone(), channel: r.channel, limit: r.room };
        let mut changed: Vec<_> = untold.map(of).collect();
        changed.extend(self.gone.iter().map(|(account, channel)| Claim {
            account: account.clone(),
            channel: *channel,
            limit: 0,
        }));
        let most = self.shortage.as_ref().map_or(u32::MAX, |shortage| shortage.most(now));
        let places = self.budget.places_left(most);
        self.has_places = places > 0;
        self.share = (places / self.contenders.max(1)).saturating_mul(2).max(1);
        Room { changed, places, share: self.share, bytes: self.budget.bytes_left() }
    }

    /// These accounts have jobs ready: places that are scarce are divided among them.
    pub fn contend(&mut self, accounts: &[String]) {
        let can_claim = |account: &&String| {
            let own = self.by_account.get(*account).into_iter().flatten().flatten();
            own.into_iter().any(|&at| self.routes[at].room > 0)
        };
        let count = accounts.iter().filter(can_claim).count();
        self.contenders = u32::try_from(count).unwrap_or(u32::MAX);
    }

    /// New jobs may be there: every route is worth a claim.
    pub fn stir(&mut self) {
        self.stirred = true;
        for &at in &self.active {
            self.routes[at].dry = false;
        }
    }

    /// Whether a claim is worth a separate transaction.
    pub fn worth_claiming(&self, room: &Room) -> bool {
        let at_rest = self.active.len() < self.routes.len();
        let mut active = self.active.iter().map(|&at| &self.routes[at]);
        room.places > 0 && ((self.stirred && at_rest) || active.any(|r| r.room > 0 && !r.dry))
    }

    /// The write lock was not available: nothing was claimed, and there is no new try before
    /// something changes.
    pub fn missed(&mut self) {
        self.stirred = false;
        for &at in &self.active {
            let route = &mut self.routes[at];
            route.dry |= route.room > 0;
        }
    }

    /// The result of the claim that used [`Routes::room`]. `cut`: there was more than fits into the
    /// places or the memory that are left; the rest is claimed when some of it is free again.
    pub fn claimed(&mut self, jobs: Vec<Job>, now: Instant, cut: bool) {
        let mut counts: HashMap<usize, u32> = HashMap::new();
        for job in &jobs {
            self.budget.took(job.payload.len());
            if let Some(at) = self.index(&job.account, job.channel) {
                *counts.entry(at).or_default() += 1;
                self.activate(at);
            }
        }
        self.gone.clear();
        for &at in &self.active {
            self.routes[at].told = true;
        }
        if !self.has_places {
            // Nothing was asked for.
            return;
        }
        self.stirred = false;
        self.cut = cut;
        for &at in &self.active {
            let route = &mut self.routes[at];
            if route.room > 0 {
                let count = counts.get(&at).copied().unwrap_or(0);
                route.dry = cut || count < route.room.min(self.share);
            }
        }
        for (at, count) in counts {
            let route = &mut self.routes[at];
            if route.shut || self.all_shut {
                continue;
            }
            if let Some(pace) = &mut route.pace {
                pace.used(count);
            }
            if let Some(breaker) = &mut route.breaker {
                breaker.sent();
            }
            let (account, channel) = (route.account.clone(), route.channel);
            if let Some(refused) = self.refused_mut(&account, channel) {
                refused.sent();
            }
        }
        for job in jobs {
            match self.index(&job.account, job.channel).map(|at| &mut self.routes[at]) {
                Some(route) if !route.shut && !self.all_shut => route.line.push(job, now),
                _ => self.returned.push(job),
            }
        }
    }

    /// A claimed job, with this many bytes of payload, has ended or goes back.
    pub fn has_back(&mut self, payload: usize) {
        self.budget.has_back(payload);
        if std::mem::take(&mut self.cut) {
            self.stir();
        }
    }

    pub(super) fn index(&self, account: &str, channel: Channel) -> Option<usize> {
        *self.by_account.get(account)?.get(channel as usize)?
    }

    /// The next [`Routes::room`] looks at it.
    pub(super) fn activate(&mut self, at: usize) {
        if !self.routes[at].active {
            self.routes[at].active = true;
            self.active.push(at);
        }
    }
}
