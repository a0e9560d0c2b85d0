//! The ways out: one route per account and channel, with its room, its rate and what holds it.
//!
//! No I/O and no clock of its own: times are parameters.

mod replace;

use crate::acquire::Endpoint;
use crate::config::{ChannelPolicy, Rate};
use crate::job::{Channel, Job, Millis};
use crate::retry::{self, RetryPolicy};
use crate::store::{Claim, Hold, HoldKind};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::Arc;
use tokio::time::{Duration, Instant};

/// How much a paced route may catch up after a late wake-up.
const CATCH_UP: Duration = Duration::from_millis(50);

/// One account's way to Acquire for one channel.
pub struct Route {
    pub account: String,
    pub channel: Channel,
    pub endpoint: Arc<Endpoint>,
    pub policy: ChannelPolicy,
    in_flight: u32,
    /// The last claim found fewer jobs than there was room for, and nothing has changed since.
    dry: bool,
    held: Option<(Instant, Hold)>,
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

/// An account that Acquire refuses: its jobs wait, and single probes go out.
struct Refusal {
    hold: Hold,
    probes: u32,
    next_probe: Instant,
    probing: bool,
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
        Route { account, channel, endpoint, policy, in_flight: 0, dry: false, held: None, pace }
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

    /// Every configured account's name.
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

    /// What there is room for at `now`. A refused account gets one probe over all its channels.
    pub fn room(&mut self, now: Instant) -> Vec<Claim> {
        let mut claims = Vec::new();
        let mut probed: Vec<&str> = Vec::new();
        for route in &mut self.routes {
            if route.held.as_ref().is_some_and(|(until, _)| *until > now) {
                continue;
            }
            let mut limit = route.policy.max_in_flight.saturating_sub(route.in_flight);
            if let Some(refusal) = self.refusals.iter().find(|r| r.hold.account == route.account) {
                let due = !refusal.probing && refusal.next_probe <= now && !route.dry;
                if !due || probed.contains(&refusal.hold.account.as_str()) {
                    continue;
                }
                limit = limit.min(1);
                probed.push(&refusal.hold.account);
            }
            if let Some(pace) = &mut route.pace {
                limit = if route.dry { 0 } else { pace.allow(limit) };
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
        let mut counts = vec![0u32; room.len()];
        for job in jobs {
            if let Some(at) =
                room.iter().position(|c| c.account == job.account && c.channel == job.channel)
            {
                counts[at] += 1;
            }
        }
        for (claim, count) in room.iter().zip(counts) {
            if let Some(refusal) =
                self.refusals.iter_mut().find(|r| r.hold.account == claim.account)
            {
                refusal.probing |= count > 0;
            }
            if let Some(route) = self.of_mut(&claim.account, claim.channel) {
                route.in_flight += count;
                route.dry = count < claim.limit;
                if let Some(pace) = &mut route.pace {
                    pace.used(count);
                }
            }
        }
    }

    /// A claimed job has ended, however it did.
    pub fn ended(&mut self, account: &str, channel: Channel) {
        if let Some(route) = self.of_mut(account, channel) {
            route.in_flight = route.in_flight.saturating_sub(1);
        }
        if let Some(refusal) = self.refusal_mut(account) {
            refusal.probing = false;
        }
    }

    fn refusal_mut(&mut self, account: &str) -> Option<&mut Refusal> {
        self.refusals.iter_mut().find(|r| r.hold.account == account)
    }

    /// Holds a channel of an account for a time; a shorter hold does not cut a longer one.
    pub fn hold(
        &mut self,
        account: &str,
        channel: Channel,
        pause: Duration,
        reason: &str,
        now: Moment,
    ) {
        let until = now.at + pause;
        let Some(route) = self.of_mut(account, channel) else { return };
        let since = match &route.held {
            Some((longer, _)) if *longer >= until => return,
            Some((_, hold)) => hold.since,
            None => now.wall,
        };
        let hold = Hold {
            account: account.to_owned(),
            channel: channel.to_string(),
            kind: HoldKind::RetryAfter,
            reason: reason.to_owned(),
            since,
            until: Some(now.wall_at(until)),
        };
        route.held = Some((until, hold));
    }

    /// Lets go of the holds that have ended by `now`.
    pub fn release(&mut self, now: Instant) {
        for route in &mut self.routes {
            if route.held.as_ref().is_some_and(|(until, _)| *until <= now) {
                route.held = None;
                route.dry = false;
            }
        }
    }

    /// The account was refused: returns when it is probed next, and whether this is news.
    /// Answers of requests that were already out count as one refusal.
    pub fn refuse(&mut self, account: &str, reason: &str, now: Moment) -> (Instant, bool) {
        let policy = self.probe_policy.clone();
        if let Some(refusal) = self.refusal_mut(account) {
            if refusal.next_probe <= now.at {
                refusal.probes += 1;
                refusal.next_probe = now.at + retry::delay(&policy, refusal.probes);
                refusal.hold.until = Some(now.wall_at(refusal.next_probe));
            }
            return (refusal.next_probe, false);
        }
        let next_probe = now.at + retry::delay(&policy, 1);
        let hold = Hold {
            account: account.to_owned(),
            channel: String::new(),
            kind: HoldKind::Refused,
            reason: reason.to_owned(),
            since: now.wall,
            until: Some(now.wall_at(next_probe)),
        };
        self.refusals.push(Refusal { hold, probes: 1, next_probe, probing: false });
        (next_probe, true)
    }

    /// The account works; true when it was refused before.
    pub fn accept(&mut self, account: &str) -> bool {
        let before = self.refusals.len();
        self.refusals.retain(|r| r.hold.account != account);
        before != self.refusals.len()
    }

    /// A request of a refused account ended without word from Acquire: the next probe waits as
    /// after a refusal.
    pub fn probe_failed(&mut self, account: &str, now: Moment) {
        if self.refusal_mut(account).is_some() {
            self.refuse(account, "", now);
        }
    }

    /// Everything that is held now, for people to read.
    pub fn holds(&self) -> Vec<Hold> {
        let refused = self.refusals.iter().map(|r| &r.hold);
        let held = self.routes.iter().filter_map(|r| r.held.as_ref().map(|(_, hold)| hold));
        refused.chain(held).cloned().collect()
    }

    /// When time alone gives a route room that may have jobs: a hold ends, a probe or the next
    /// of a paced route is due.
    pub fn next_opening(&self, now: Instant) -> Option<Instant> {
        let refused = |r: &Route| self.refusals.iter().find(|f| f.hold.account == r.account);
        self.routes
            .iter()
            .filter_map(|r| {
                if let Some((until, _)) = &r.held {
                    return Some(*until);
                }
                if r.dry || r.in_flight >= r.policy.max_in_flight {
                    return None;
                }
                match (refused(r), &r.pace) {
                    (Some(f), _) if f.probing => None,
                    (Some(f), _) => Some(f.next_probe),
                    (None, Some(pace)) => Some(pace.next_at(now)),
                    (None, None) => None,
                }
            })
            .min()
    }
}

/// A rate, by a token bucket of the governor crate. Tokens that a claim did not use are kept.
struct Pace {
    limiter: DefaultDirectRateLimiter,
    clock: DefaultClock,
    tokens: u32,
    /// How long until the limiter gives the next token, and from when.
    next: Option<Instant>,
}

impl Pace {
    fn new(rate: &Rate) -> Self {
        let period = rate.per / rate.count.max(1);
        let burst = 1 + u32::try_from(CATCH_UP.as_nanos() / period.as_nanos().max(1)).unwrap_or(0);
        let quota = Quota::with_period(period.max(Duration::from_nanos(1)))
            .expect("a period above zero")
            .allow_burst(NonZeroU32::new(burst + 1).expect("more than zero"));
        Pace {
            limiter: RateLimiter::direct(quota),
            clock: DefaultClock::default(),
            tokens: 0,
            next: None,
        }
    }

    fn allow(&mut self, wanted: u32) -> u32 {
        self.next = None;
        while self.tokens < wanted {
            match self.limiter.check() {
                Ok(()) => self.tokens += 1,
                Err(not_yet) => {
                    self.next = Some(Instant::now() + not_yet.wait_time_from(self.clock.now()));
                    break;
                }
            }
        }
        self.tokens.min(wanted)
    }

    fn used(&mut self, count: u32) {
        self.tokens = self.tokens.saturating_sub(count);
    }

    fn next_at(&self, now: Instant) -> Instant {
        if self.tokens > 0 { now } else { self.next.unwrap_or(now) }
    }
}
