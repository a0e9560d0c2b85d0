//! What shuts a route, and what opens it again: a `Retry-After`, a refused account, an open breaker.

use super::probing::Probing;
use super::{Moment, RouteId, Routes};
use crate::queue::block::{Block, BlockKind};
use crate::queue::job::Channel;
use tokio::time::{Duration, Instant};

/// This many requests in a row without a usable answer open a route's breaker.
pub(super) const BREAKER_AFTER: u32 = 5;

/// What a usable answer changed, to be logged once.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct News {
    /// The account was refused and is accepted again.
    pub accepted: bool,
    /// The route's breaker was open and has closed.
    pub closed: bool,
}

/// A refused account: all of it, or one channel once another has shown that it works.
pub(super) struct Refusal {
    /// The channel whose request was refused, and whose answer ends it.
    pub(super) from: Channel,
    pub(super) probing: Probing,
    /// The only job so far that got a page that Acquire did not write.
    pub(super) only: Option<i64>,
    /// The next probe is a job that has not got such a page, if there is one: those that have would
    /// be first in the order of the claim again and again, and learn nothing about the others.
    pub(super) others_first: bool,
}

impl Refusal {
    pub(super) fn concerns(&self, account: &str, channel: Channel) -> bool {
        let block = &self.probing.block;
        block.account == account && (block.channel.is_empty() || block.channel == channel.as_str())
    }
}

impl Routes {
    pub(super) fn refused_mut(&mut self, id: RouteId) -> Option<&mut Probing> {
        if self.refusals.is_empty() {
            return None;
        }
        let RouteId(at) = id;
        let route = &self.routes[at];
        let own = self.refusals.iter_mut().find(|r| r.concerns(&route.account, route.channel));
        own.map(|r| &mut r.probing)
    }

    /// Acquire asked for a pause: the route is shut for it; a shorter one does not cut a longer one.
    /// True when it was not shut before.
    ///
    /// An answer that asks for a pause proves neither that the key is right nor that the channel works.
    pub fn retry_after(&mut self, id: RouteId, pause: Duration, reason: &str, now: Moment) -> bool {
        let policy = self.probe_policy.clone();
        if let Some(refused) = self.refused_mut(id) {
            refused.failed(&policy, now);
        }
        let route = self.of_mut(id);
        if let Some(breaker) = &mut route.breaker {
            breaker.failed(&route.policy.retry, now);
        }
        self.block_for(id, pause, BlockKind::RetryAfter, reason, now)
    }

    /// True when the route was not shut before; a shorter block does not cut a longer one.
    pub(super) fn block_for(
        &mut self,
        id: RouteId,
        pause: Duration,
        kind: BlockKind,
        reason: &str,
        now: Moment,
    ) -> bool {
        let until = now.at + pause;
        let route = self.of_mut(id);
        if route.timed_block.as_ref().is_some_and(|(longer, _)| *longer >= until) {
            return false;
        }
        let mut block = route.block_row(kind, reason, now);
        block.until = Some(now.wall_at(until));
        let before = route.timed_block.take();
        if let Some((_, before)) = &before {
            block.since = before.since;
        }
        route.timed_block = Some((until, block));
        route.shut = true;
        before.is_none()
    }

    /// Ends the timed blocks that are over at `now`.
    pub fn unblock(&mut self, now: Instant) {
        for &at in &self.active {
            let route = &mut self.routes[at];
            if route.timed_block.is_some() && !route.is_blocked(now) {
                route.timed_block = None;
                route.may_have_jobs = true;
                route.ramp = Some(1);
            }
        }
    }

    /// A request of the account was refused: when it is probed next, and whether this is news.
    pub fn refuse(&mut self, id: RouteId, reason: &str, now: Moment) -> (Option<Instant>, bool) {
        let policy = self.probe_policy.clone();
        if let Some(refused) = self.refused_mut(id) {
            refused.failed(&policy, now);
            return (refused.next(), false);
        }
        let probing = Probing::begin(self.refused_block(id, reason.to_owned(), now), &policy, now);
        let next = probing.next();
        self.push_refusal(id, probing, None);
        (next, true)
    }

    /// Of all of the route's account.
    pub(super) fn refused_block(&self, id: RouteId, reason: String, now: Moment) -> Block {
        Block {
            account: self.of(id).account.clone(),
            channel: String::new(),
            kind: BlockKind::Refused,
            reason,
            since: now.wall,
            until: None,
        }
    }

    pub(super) fn push_refusal(&mut self, id: RouteId, probing: Probing, only: Option<i64>) {
        let from = self.of(id).channel;
        for id in self.of_its_account(id) {
            self.of_mut(id).shut = true;
        }
        self.refusals.push(Refusal { from, probing, only, others_first: true });
    }

    fn of_its_account(&self, id: RouteId) -> impl Iterator<Item = RouteId> + use<> {
        let own = self.by_account.get(&self.of(id).account).copied();
        own.into_iter().flatten().flatten()
    }

    /// A usable answer came over this route.
    pub fn works(&mut self, id: RouteId) -> News {
        let accepted = self.accept(id);
        let route = self.of_mut(id);
        route.failures = 0;
        let closed = route.breaker.take().is_some();
        route.ramp = if closed {
            Some(1)
        } else {
            let limit = route.policy.max_in_flight;
            route.ramp.map(|ramp| ramp.saturating_add(1)).filter(|ramp| *ramp < limit)
        };
        News { accepted, closed }
    }

    /// An answer on the channel that was refused ends the refusal; one on another channel shows
    /// that not all of the account is refused.
    fn accept(&mut self, id: RouteId) -> bool {
        if self.refusals.is_empty() {
            return false;
        }
        let route = self.of(id);
        let of_route = |r: &Refusal| r.concerns(&route.account, route.channel);
        let Some(at) = self.refusals.iter().position(of_route) else { return false };
        let answered = route.channel;
        let refusal = &mut self.refusals[at];
        if refusal.from != answered {
            refusal.probing.block.channel = refusal.from.to_string();
            return false;
        }
        self.refusals.remove(at);
        for id in self.of_its_account(id) {
            self.of_mut(id).ramp = Some(1);
        }
        true
    }

    /// A request ended without a usable answer. Returns the first probe's time when that has
    /// opened the route's breaker.
    pub fn failed(&mut self, id: RouteId, reason: &str, now: Moment) -> Option<Instant> {
        let policy = self.probe_policy.clone();
        if let Some(refused) = self.refused_mut(id) {
            refused.failed(&policy, now);
        }
        let route = self.of_mut(id);
        route.failures = route.failures.saturating_add(1);
        if let Some(breaker) = &mut route.breaker {
            breaker.failed(&route.policy.retry, now);
            return None;
        }
        if route.failures < BREAKER_AFTER {
            return None;
        }
        let block = route.block_row(BlockKind::Breaker, reason, now);
        let breaker = Probing::begin(block, &route.policy.retry, now);
        let next = breaker.next();
        route.breaker = Some(breaker);
        route.shut = true;
        next
    }

    /// What is being claimed must not go out over any route.
    pub fn shut_all(&mut self) {
        self.all_shut = true;
    }

    /// All blocks, for people to read.
    pub fn blocks(&self) -> Vec<&Block> {
        let refused = self.refusals.iter().map(|r| &r.probing.block);
        let timed = self.active().filter_map(|r| r.timed_block.as_ref().map(|(_, block)| block));
        let open = self.active().filter_map(|r| r.breaker.as_ref().map(|b| &b.block));
        self.scarcity_block().into_iter().chain(refused).chain(timed).chain(open).collect()
    }
}
