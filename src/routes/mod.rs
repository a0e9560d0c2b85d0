//! The ways out: one route per account and channel, with its room, its rate, what holds it, and
//! its breaker.
//!
//! No I/O and no decision by a clock of its own: times are parameters.

mod pace;
mod probing;
mod replace;

use crate::acquire::Endpoint;
use crate::config::ChannelPolicy;
use crate::job::{Channel, Job, Millis};
use crate::retry::RetryPolicy;
use crate::store::{Claim, Hold, HoldKind};
use pace::Pace;
use probing::Probing;
use std::sync::Arc;
use tokio::time::{Duration, Instant};

/// So many requests in a row without a usable answer open a route's breaker.
const BREAKER_AFTER: u32 = 5;

/// One account's way to Acquire for one channel.
pub struct Route {
    pub account: String,
    pub channel: Channel,
    pub endpoint: Arc<Endpoint>,
    pub policy: ChannelPolicy,
    in_flight: u32,
    /// The last claim found fewer jobs than there was room for, and nothing has changed since.
    dry: bool,
    /// A `Retry-After`, and its end.
    held: Option<(Instant, Hold)>,
    /// Requests in a row that ended without a usable answer.
    failures: u32,
    /// Open: only probes go out.
    breaker: Option<Probing>,
    /// After a stop of any kind: room that grows with each answer, so that no stampede follows.
    ramp: Option<u32>,
    pace: Option<Pace>,
}

/// Now, on both clocks: waits go by the monotonic one, what people read by the wall's.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub at: Instant,
    pub wall: Millis,
}

impl Moment {
    fn wall_at(&self, later: Instant) -> Millis {
        let pause = later.saturating_duration_since(self.at);
        self.wall.saturating_add(Millis::try_from(pause.as_millis()).unwrap_or(Millis::MAX))
    }
}

/// What an answer changed, to be said once.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct News {
    /// The account was refused and is accepted again.
    pub accepted: bool,
    /// The route's breaker was open and has closed.
    pub closed: bool,
}

/// An account that is refused: all of it, or one channel once another has shown that it works.
struct Refusal {
    /// The channel whose request was refused, and whose answer ends it.
    from: Channel,
    probing: Probing,
}

impl Refusal {
    fn concerns(&self, account: &str, channel: Channel) -> bool {
        let hold = &self.probing.hold;
        hold.account == account && (hold.channel.is_empty() || hold.channel == channel.as_str())
    }
}

/// All routes, and the accounts that are refused.
pub struct Routes {
    routes: Vec<Route>,
    refusals: Vec<Refusal>,
    /// Paces the probes of a refused account.
    probe_policy: RetryPolicy,
}

impl Route {
    pub fn new(
        account: String,
        channel: Channel,
        endpoint: Arc<Endpoint>,
        policy: ChannelPolicy,
    ) -> Self {
        let pace = policy.rate.as_ref().map(Pace::new);
        Route {
            account,
            channel,
            endpoint,
            policy,
            in_flight: 0,
            dry: false,
            held: None,
            failures: 0,
            breaker: None,
            ramp: None,
            pace,
        }
    }

    fn free(&self) -> u32 {
        let limit = self.policy.max_in_flight;
        self.ramp.map_or(limit, |ramp| ramp.min(limit)).saturating_sub(self.in_flight)
    }

    /// The most that one cycle claims: two halves take turns, one on the wire while the other is
    /// recorded and claimed anew. All at once would wait for each other.
    fn half(&self) -> u32 {
        self.policy.max_in_flight.div_ceil(2)
    }

    fn is_held(&self, now: Instant) -> bool {
        self.held.as_ref().is_some_and(|(until, _)| *until > now)
    }

    fn hold_row(&self, kind: HoldKind, reason: &str, now: Moment) -> Hold {
        Hold {
            account: self.account.clone(),
            channel: self.channel.to_string(),
            kind,
            reason: reason.to_owned(),
            since: now.wall,
            until: None,
        }
    }
}

impl Routes {
    pub fn new(routes: Vec<Route>, probe_policy: RetryPolicy) -> Self {
        Routes { routes, refusals: Vec::new(), probe_policy }
    }

    /// The route of a job; `None` for an account that is not configured.
    pub fn of(&self, account: &str, channel: Channel) -> Option<&Route> {
        self.routes.iter().find(|r| r.channel == channel && r.account == account)
    }

    fn of_mut(&mut self, account: &str, channel: Channel) -> Option<&mut Route> {
        self.routes.iter_mut().find(|r| r.channel == channel && r.account == account)
    }

    /// Whether the account is configured.
    pub fn has_account(&self, account: &str) -> bool {
        self.routes.iter().any(|r| r.account == account)
    }

    /// The configured accounts, for a sentence.
    pub fn accounts(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.routes.iter().map(|r| r.account.as_str()).collect();
        names.dedup();
        names
    }

    /// New jobs may be there: every route is worth a claim.
    pub fn stir(&mut self) {
        self.routes.iter_mut().for_each(|r| r.dry = false);
    }

    /// What there is room for at `now`. A refused account gets one probe over all its channels,
    /// an open breaker one of its own.
    pub fn room(&mut self, now: Instant) -> Vec<Claim> {
        let mut claims: Vec<Claim> = Vec::new();
        let mut probed: Vec<&str> = Vec::new();
        for route in self.routes.iter_mut().filter(|r| !r.is_held(now)) {
            let mut limit = route.free().min(route.half());
            if let Some(pace) = &mut route.pace {
                limit = pace.allow(limit, now);
            }
            let refusal = self.refusals.iter().find(|r| r.concerns(&route.account, route.channel));
            let refused = refusal.map(|r| &r.probing);
            for probing in [refused, route.breaker.as_ref()].into_iter().flatten() {
                limit = if probing.due(now) && !route.dry { limit.min(1) } else { 0 };
            }
            if let (Some(refused), 1..) = (refused, limit) {
                if probed.contains(&refused.hold.account.as_str()) {
                    continue;
                }
                probed.push(&refused.hold.account);
            }
            if limit > 0 {
                let (account, channel) = (route.account.clone(), route.channel);
                claims.push(Claim { account, channel, limit });
            }
        }
        claims
    }

    /// Whether a claim of these routes is worth a transaction of its own.
    pub fn worth_claiming(&self, room: &[Claim]) -> bool {
        room.iter().any(|c| self.of(&c.account, c.channel).is_some_and(|r| !r.dry))
    }

    /// What came of the claim for which there was `room`.
    pub fn claimed(&mut self, room: &[Claim], jobs: &[Job]) {
        for claim in room {
            let is_its = |job: &&Job| job.account == claim.account && job.channel == claim.channel;
            let count = u32::try_from(jobs.iter().filter(is_its).count()).unwrap_or(u32::MAX);
            if count > 0
                && let Some(refused) = self.refused_mut(&claim.account, claim.channel)
            {
                refused.sent();
            }
            let Some(route) = self.of_mut(&claim.account, claim.channel) else { continue };
            route.in_flight += count;
            route.dry = count < claim.limit;
            if let (Some(breaker), 1..) = (&mut route.breaker, count) {
                breaker.sent();
            }
            if let Some(pace) = &mut route.pace {
                pace.used(count);
            }
        }
    }

    /// A claimed job has ended, however it did.
    pub fn ended(&mut self, account: &str, channel: Channel) {
        if let Some(route) = self.of_mut(account, channel) {
            route.in_flight = route.in_flight.saturating_sub(1);
            if let Some(breaker) = &mut route.breaker {
                breaker.ended();
            }
        }
        if let Some(refused) = self.refused_mut(account, channel) {
            refused.ended();
        }
    }

    fn refused_mut(&mut self, account: &str, channel: Channel) -> Option<&mut Probing> {
        let own = self.refusals.iter_mut().find(|r| r.concerns(account, channel));
        own.map(|r| &mut r.probing)
    }

    /// Acquire asked for a pause: the channel of the account is held for it; a shorter hold does
    /// not cut a longer one. True when it was not held before.
    ///
    /// Whoever asks for a pause has not looked at the key, nor said that the channel works.
    pub fn hold(
        &mut self,
        account: &str,
        channel: Channel,
        pause: Duration,
        reason: &str,
        now: Moment,
    ) -> bool {
        let until = now.at + pause;
        let policy = self.probe_policy.clone();
        if let Some(refused) = self.refused_mut(account, channel) {
            refused.failed(&policy, now);
        }
        let Some(route) = self.of_mut(account, channel) else { return false };
        if let Some(breaker) = &mut route.breaker {
            breaker.failed(&route.policy.retry, now);
        }
        if route.held.as_ref().is_some_and(|(longer, _)| *longer >= until) {
            return false;
        }
        let mut hold = route.hold_row(HoldKind::RetryAfter, reason, now);
        hold.until = Some(now.wall_at(until));
        let before = route.held.take();
        if let Some((_, before)) = &before {
            hold.since = before.since;
        }
        route.held = Some((until, hold));
        before.is_none()
    }

    /// Lets go of the holds that have ended by `now`.
    pub fn release(&mut self, now: Instant) {
        for route in &mut self.routes {
            if route.held.is_some() && !route.is_held(now) {
                route.held = None;
                route.dry = false;
                route.ramp = Some(1);
            }
        }
    }

    /// A request of the account was refused: when it is probed next, and whether this is news.
    pub fn refuse(
        &mut self,
        account: &str,
        channel: Channel,
        reason: &str,
        now: Moment,
    ) -> (Option<Instant>, bool) {
        let policy = self.probe_policy.clone();
        if let Some(refused) = self.refused_mut(account, channel) {
            refused.failed(&policy, now);
            return (refused.next(), false);
        }
        let hold = Hold {
            account: account.to_owned(),
            channel: String::new(),
            kind: HoldKind::Refused,
            reason: reason.to_owned(),
            since: now.wall,
            until: None,
        };
        let probing = Probing::begin(hold, &policy, now);
        let next = probing.next();
        self.refusals.push(Refusal { from: channel, probing });
        (next, true)
    }

    /// A usable answer came over this route.
    pub fn works(&mut self, account: &str, channel: Channel) -> News {
        let accepted = self.accept(account, channel);
        let Some(route) = self.of_mut(account, channel) else { return News::default() };
        route.failures = 0;
        let closed = route.breaker.take().is_some();
        route.ramp = if closed {
            Some(1)
        } else {
            route
                .ramp
                .map(|ramp| ramp.saturating_add(1))
                .filter(|r| *r < route.policy.max_in_flight)
        };
        News { accepted, closed }
    }

    /// An answer on the channel that was refused ends the refusal; one on another channel shows
    /// that not all of the account is refused.
    fn accept(&mut self, account: &str, channel: Channel) -> bool {
        let Some(at) = self.refusals.iter().position(|r| r.concerns(account, channel)) else {
            return false;
        };
        let refusal = &mut self.refusals[at];
        if refusal.from != channel {
            refusal.probing.hold.channel = refusal.from.to_string();
            return false;
        }
        self.refusals.remove(at);
        let own = self.routes.iter_mut().filter(|r| r.account == account);
        own.for_each(|r| r.ramp = Some(1));
        true
    }

    /// A request ended without a usable answer. Returns the first probe's time when that has
    /// opened the route's breaker.
    pub fn trouble(
        &mut self,
        account: &str,
        channel: Channel,
        reason: &str,
        now: Moment,
    ) -> Option<Instant> {
        let policy = self.probe_policy.clone();
        if let Some(refused) = self.refused_mut(account, channel) {
            refused.failed(&policy, now);
        }
        let route = self.of_mut(account, channel)?;
        route.failures = route.failures.saturating_add(1);
        if let Some(breaker) = &mut route.breaker {
            breaker.failed(&route.policy.retry, now);
            return None;
        }
        if route.failures < BREAKER_AFTER {
            return None;
        }
        let hold = route.hold_row(HoldKind::Breaker, reason, now);
        let breaker = Probing::begin(hold, &route.policy.retry, now);
        let next = breaker.next();
        route.breaker = Some(breaker);
        next
    }

    /// Everything that is held now, for people to read.
    pub fn holds(&self) -> Vec<Hold> {
        let refused = self.refusals.iter().map(|r| &r.probing.hold);
        let held = self.routes.iter().filter_map(|r| r.held.as_ref().map(|(_, hold)| hold));
        let open = self.routes.iter().filter_map(|r| r.breaker.as_ref().map(|b| &b.hold));
        refused.chain(held).chain(open).cloned().collect()
    }

    /// When time alone gives a route room that may have jobs: a hold ends, a probe or the next
    /// of a paced route is due.
    pub fn next_opening(&self, now: Instant) -> Option<Instant> {
        let opening = |route: &Route| {
            if let Some((until, _)) = &route.held {
                return Some(*until);
            }
            if route.dry || route.free() == 0 {
                return None;
            }
            let refusal = self.refusals.iter().find(|r| r.concerns(&route.account, route.channel));
            let refused = refusal.map(|r| &r.probing);
            let slot = route.pace.as_ref().map(|pace| pace.next_at(now));
            let probes = [refused, route.breaker.as_ref()].into_iter().flatten();
            // While a probe is out there is no time to wait for.
            let probes = probes.map(Probing::next).collect::<Option<Vec<_>>>()?;
            slot.max(probes.into_iter().max())
        };
        self.routes.iter().filter_map(opening).min()
    }
}

#[cfg(test)]
pub(crate) mod tests;
