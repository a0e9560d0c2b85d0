//! What holds routes back: a `Retry-After`, a refused account, an open breaker.

use super::probing::Probing;
use super::{Moment, Routes};
use crate::queue::block::{Block, BlockKind};
use crate::queue::job::Channel;
use tokio::time::{Duration, Instant};

/// So many requests in a row without a usable answer open a route's breaker.
pub(super) const BREAKER_AFTER: u32 = 5;

/// What an answer changed, to be said once.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct News {
    /// The account was refused and is accepted again.
    pub accepted: bool,
    /// The route's breaker was open and has closed.
    pub closed: bool,
}

/// An account that is refused: all of it, or one channel once another has shown that it works.
pub(super) struct Refusal {
    /// The channel whose request was refused, and whose answer ends it.
    pub(super) from: Channel,
    pub(super) probing: Probing,
    /// The only job so far that got a page that Acquire did not write.
    pub(super) only: Option<i64>,
}

impl Refusal {
    pub(super) fn concerns(&self, account: &str, channel: Channel) -> bool {
        let hold = &self.probing.hold;
        hold.account == account && (hold.channel.is_empty() || hold.channel == channel.as_str())
    }
}

impl Routes {
    pub(super) fn refused_mut(&mut self, account: &str, channel: Channel) -> Option<&mut Probing> {
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
        let policy = self.probe_policy.clone();
        if let Some(refused) = self.refused_mut(account, channel) {
            refused.failed(&policy, now);
        }
        let Some(route) = self.of_mut(account, channel) else { return false };
        if let Some(breaker) = &mut route.breaker {
            breaker.failed(&route.policy.retry, now);
        }
        self.pause_for(account, channel, pause, BlockKind::RetryAfter, reason, now)
    }

    /// True when the route was not held before; a shorter pause does not cut a longer one.
    pub(super) fn pause_for(
        &mut self,
        account: &str,
        channel: Channel,
        pause: Duration,
        kind: BlockKind,
        reason: &str,
        now: Moment,
    ) -> bool {
        let until = now.at + pause;
        let Some(route) = self.of_mut(account, channel) else { return false };
        if route.held.as_ref().is_some_and(|(longer, _)| *longer >= until) {
            return false;
        }
        let mut hold = route.block_row(kind, reason, now);
        hold.until = Some(now.wall_at(until));
        let before = route.held.take();
        if let Some((_, before)) = &before {
            hold.since = before.since;
        }
        route.held = Some((until, hold));
        self.shut(account, Some(channel));
        before.is_none()
    }

    /// Lets go of the holds that have ended by `now`, and of what has been in line for too long.
    pub fn release(&mut self, now: Instant) {
        for &at in &self.active {
            let route = &mut self.routes[at];
            self.returned.extend(route.outdated(now));
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
        let hold = Block {
            account: account.to_owned(),
            channel: String::new(),
            kind: BlockKind::Refused,
            reason: reason.to_owned(),
            since: now.wall,
            until: None,
        };
        let probing = Probing::begin(hold, &policy, now);
        let next = probing.next();
        self.refusals.push(Refusal { from: channel, probing, only: None });
        self.shut(account, None);
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
        for channel in Channel::ALL {
            if let Some(route) = self.of_mut(account, channel) {
                route.ramp = Some(1);
            }
        }
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
        let hold = route.block_row(BlockKind::Breaker, reason, now);
        let breaker = Probing::begin(hold, &route.policy.retry, now);
        let next = breaker.next();
        route.breaker = Some(breaker);
        self.shut(account, Some(channel));
        next
    }

    /// Nothing that is claimed by now goes out over the account's channel, or over none of them.
    pub(super) fn shut(&mut self, account: &str, channel: Option<Channel>) {
        for own in Channel::ALL.into_iter().filter(|own| channel.is_none_or(|c| c == *own)) {
            let Some(at) = self.index(account, own) else { continue };
            self.activate(at);
            self.routes[at].shut(&mut self.returned);
        }
    }

    /// Everything that is held now, for people to read.
    pub fn blocks(&self) -> Vec<&Block> {
        let refused = self.refusals.iter().map(|r| &r.probing.hold);
        let held = self.active().filter_map(|r| r.held.as_ref().map(|(_, hold)| hold));
        let open = self.active().filter_map(|r| r.breaker.as_ref().map(|b| &b.hold));
        self.shortage_hold().into_iter().chain(refused).chain(held).chain(open).collect()
    }
}
