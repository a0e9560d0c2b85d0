//! How much room there is, and how much of it a claim took. A route with nothing to send and no block
//! is at rest: no cycle checks it.

use super::{Load, Refusal, Route, RouteId, Routes};
use crate::config::OnUncertain;
use crate::dispatcher::jobs::LONGEST_WAIT;
use crate::queue::claim::{Claim, Room};
use std::collections::{BTreeMap, HashMap};
use tokio::time::{Duration, Instant};

impl Route {
    /// How many of its jobs may have a place at once. After a crash these may be uncertain, and under
    /// `retry` they are sent again.
    pub fn places(&self) -> u32 {
        let limit = self.policy.max_in_flight;
        self.ramp.map_or(limit, |ramp| ramp.min(limit))
    }

    /// How many jobs beyond its places are worth a claim if a cycle takes as long as `cycle`: as many as
    /// will find a place before the next claim is there, which is after this cycle, a rest of twice its
    /// length and the next cycle, three times over: the rest ends when as many have ended as still wait, and some
    /// cycles take longer. At most what finds a place in a quarter of [`LONGEST_WAIT`], so that none goes back
    /// unsent. Where requests take long that is none, so nothing is claimed long before it is sent.
    /// Neither is anything that a crash would leave to a person, or that is paced or has only just begun to work
    /// again.
    fn ahead(&self, cycle: Duration) -> u32 {
        let policy = &self.policy;
        let steady = self.ramp.is_none() && self.breaker.is_none() && self.pace.is_none();
        let sent_again = policy.on_uncertain == OnUncertain::Retry
            && policy.uncertain_retries > 1
            && policy.retry.max_attempts > 1;
        if !steady || !sent_again || self.answer_time.is_zero() {
            return 0;
        }
        let limit = policy.max_in_flight;
        let time = (12 * cycle).min(LONGEST_WAIT / 4);
        let ended = f64::from(limit) * time.div_duration_f64(self.answer_time);
        (ended as u32).min(6 * limit)
    }

    /// None of its requests is out, and nothing is known about it that the next claim would need.
    fn is_at_rest(&self, in_flight: u32) -> bool {
        let usual = self.timed_block.is_none() && self.breaker.is_none() && self.ramp.is_none();
        in_flight == 0 && usual && self.given && !self.may_have_jobs && self.room > 0
    }

    /// How many jobs may be claimed for it now, if only this route counts. `refusal` is its
    /// account's. `cycle` as for [`Route::ahead`].
    fn reckon(
        &mut self,
        in_flight: u32,
        refusal: Option<&Refusal>,
        now: Instant,
        cycle: Option<Duration>,
    ) -> u32 {
        if self.is_blocked(now) {
            return 0;
        }
        let cycle = cycle.filter(|_| refusal.is_none());
        let ahead = cycle.map_or(0, |cycle| self.ahead(cycle));
        let mut limit = (self.places() + ahead).saturating_sub(in_flight);
        if let Some(pace) = &mut self.pace {
            limit = pace.allow(limit, now);
        }
        let refused = refusal.map(|r| &r.probing);
        for probing in [refused, self.breaker.as_ref()].into_iter().flatten() {
            limit = if probing.due(now) && self.may_have_jobs { limit.min(1) } else { 0 };
        }
        limit
    }
}

impl Routes {
    /// How long a cycle takes, if jobs may be claimed ahead of free places.
    pub fn claim_ahead(&mut self, cycle: Option<Duration>) {
        self.cycle = cycle;
    }

    /// The room at `now`, given what is claimed and has not ended. A refused account gets one probe over
    /// all its channels, an open breaker gets a separate one.
    pub fn room(&mut self, load: &Load, now: Instant) -> Room {
        self.all_shut = false;
        let cycle = self.cycle;
        let mut probed: Vec<&str> = Vec::new();
        let mut refusals: HashMap<&str, Vec<&Refusal>> = HashMap::new();
        for refusal in &self.refusals {
            refusals.entry(&refusal.probing.block.account).or_default().push(refusal);
        }
        let routes = &mut self.routes;
        self.active.retain(|&at| {
            let (route, in_flight) = (&mut routes[at], load.of(RouteId(at)));
            route.shut = false;
            let own = refusals.get(route.account.as_str()).into_iter().flatten();
            let refusal = own.copied().find(|r| r.concerns(&route.account, route.channel));
            let mut limit = route.reckon(in_flight, refusal, now, cycle);
            if let (Some(refusal), 1..) = (refusal, limit) {
                let account = refusal.probing.block.account.as_str();
                if probed.contains(&account) {
                    limit = 0;
                } else {
                    probed.push(account);
                }
            }
            if limit != route.room {
                (route.room, route.given) = (limit, false);
            }
            route.active = refusal.is_some() || !route.is_at_rest(in_flight);
            route.active
        });
        let most = self.scarcity.as_ref().map_or(u32::MAX, |scarcity| scarcity.most(now));
        let jobs = self.capacity.jobs_left(load, most);
        self.has_capacity = jobs > 0;
        self.share = (jobs / self.contenders.max(1)).saturating_mul(2).max(1);
        let bytes = self.capacity.bytes_left(load);
        let passed_over = self.passed_over(now);
        Room { changed: self.changed(), places: jobs, share: self.share, bytes, passed_over }
    }

    /// The jobs that are not to be the next probe of their account.
    fn passed_over(&self, now: Instant) -> Vec<i64> {
        let waiting = self.refusals.iter().filter(|r| r.others_first && r.probing.due(now));
        waiting.flat_map(|r| self.suspects.jobs(&r.probing.block.account)).collect()
    }

    /// The routes whose room differs from what a cycle was last given.
    fn changed(&self) -> Vec<Claim> {
        let of =
            |r: &Route| Claim { account: r.account.clone(), channel: r.channel, limit: r.room };
        let gone = |(account, channel): &(String, _)| Claim {
            account: account.clone(),
            channel: *channel,
            limit: 0,
        };
        let active = self.active().filter(|route| !route.given).map(of);
        active.chain(self.gone.iter().map(gone)).collect()
    }

    /// These accounts have jobs ready: what is scarce is divided among them.
    pub fn contend(&mut self, accounts: &[String]) {
        let can_claim = |account: &&String| {
            let own = self.by_account.get(*account).into_iter().flatten().flatten();
            own.into_iter().any(|id| self.of(*id).room > 0)
        };
        let count = accounts.iter().filter(can_claim).count();
        self.contenders = u32::try_from(count).unwrap_or(u32::MAX);
    }

    /// New jobs may be ready, on any route.
    pub fn expect_jobs(&mut self) {
        self.resting_may_have_jobs = true;
        for &at in &self.active {
            self.routes[at].may_have_jobs = true;
        }
    }

    /// Nothing was claimed, because the database was locked: no new try before something changes.
    pub fn expect_none(&mut self) {
        self.resting_may_have_jobs = false;
        for &at in &self.active {
            let route = &mut self.routes[at];
            route.may_have_jobs &= route.room == 0;
        }
    }

    /// Whether a claim is worth a separate transaction.
    pub fn worth_claiming(&self, room: &Room) -> bool {
        let at_rest = self.active.len() < self.routes.len();
        let worth = |route: &Route| route.room > 0 && route.may_have_jobs;
        room.places > 0 && ((self.resting_may_have_jobs && at_rest) || self.active().any(worth))
    }

    /// The claim that used [`Routes::room`] took this many jobs of each route. `cut`: more were ready
    /// than there is capacity for; the rest is claimed when some of it is free again, which is when
    /// something has been recorded.
    pub fn claimed(&mut self, counts: &BTreeMap<RouteId, u32>, cut: bool) {
        for id in counts.keys() {
            self.of_mut(*id);
        }
        self.gone.clear();
        for &at in &self.active {
            self.routes[at].given = true;
        }
        if !self.has_capacity {
            // Nothing was asked for.
            return;
        }
        self.resting_may_have_jobs = false;
        for &at in &self.active {
            let route = &mut self.routes[at];
            if route.room > 0 {
                let count = counts.get(&RouteId(at)).copied().unwrap_or(0);
                route.may_have_jobs = !cut && count >= route.room.min(self.share);
            }
        }
        self.accept_any_probe(counts);
        for (&id, &count) in counts {
            if !self.may_send(id) {
                continue;
            }
            let route = self.of_mut(id);
            if let Some(pace) = &mut route.pace {
                pace.spend(count);
            }
            if let Some(breaker) = &mut route.breaker {
                breaker.sent();
            }
            if let Some(refused) = self.refused_mut(id) {
                refused.sent();
            }
        }
    }

    /// An account whose probe was to be another job and that had none: any job will do.
    fn accept_any_probe(&mut self, counts: &BTreeMap<RouteId, u32>) {
        for refusal in &mut self.refusals {
            let own = |at: &&usize| {
                let route = &self.routes[**at];
                refusal.concerns(&route.account, route.channel) && route.room > 0
            };
            let own: Vec<usize> = self.active.iter().filter(own).copied().collect();
            let none = own.iter().all(|at| !counts.contains_key(&RouteId(*at)));
            let account = &refusal.probing.block.account;
            let passed_over = refusal.others_first && self.suspects.jobs(account).next().is_some();
            if passed_over && !own.is_empty() && none {
                refusal.others_first = false;
                own.iter().for_each(|&at| self.routes[at].may_have_jobs = true);
            }
        }
    }

    /// A request of the route took this long; `None`: none was made.
    pub fn answered_in(&mut self, id: RouteId, took: Option<Duration>) {
        if let Some(took) = took {
            let route = self.of_mut(id);
            let before = route.answer_time;
            // A mean over some ten requests.
            route.answer_time = if before.is_zero() { took } else { (9 * before + took) / 10 };
        }
    }

    /// A claimed job has found no place for long: answers are slower than was thought, and nothing is
    /// claimed ahead until there have been enough quick ones.
    pub fn answers_late(&mut self, id: RouteId) {
        let route = self.of_mut(id);
        let slow = LONGEST_WAIT * route.policy.max_in_flight;
        route.answer_time = route.answer_time.max(slow);
    }

    /// Whether what was just claimed may go out: nothing has shut its route during the claim.
    pub fn may_send(&self, id: RouteId) -> bool {
        !self.all_shut && !self.of(id).shut
    }
}
