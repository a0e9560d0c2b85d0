//! The ways out: one route per account and channel. How much room it has, what it may begin by its
//! rate, what keeps it shut.
//!
//! Arithmetic alone: it holds no job, does no I/O, and times are parameters.

mod blocking;
mod capacity;
mod pace;
mod probing;
mod replace;
mod room;
mod scarcity;
mod suspects;

use crate::acquire::Endpoint;
use crate::config::{ChannelPolicy, Rate};
use crate::queue::block::{Block, BlockKind};
use crate::queue::job::{Channel, Millis};
use crate::queue::retry::RetryPolicy;
pub use blocking::News;
use blocking::Refusal;
use capacity::Capacity;
pub use capacity::Load;
use pace::Pace;
use probing::Probing;
use scarcity::Scarcity;
use std::collections::HashMap;
use std::sync::Arc;
use suspects::{Answers, Suspects};
use tokio::time::{Duration, Instant};

/// One account's way to Acquire for one channel.
pub struct Route {
    pub account: String,
    pub channel: Channel,
    pub endpoint: Arc<Endpoint>,
    pub policy: ChannelPolicy,
    /// Something has shut it since the last [`Routes::room`]: what is being claimed must not go out.
    shut: bool,
    /// It may have more jobs ready than the last claim took.
    may_have_jobs: bool,
    /// The room according to the last [`Routes::room`], and whether a cycle has been given it.
    room: u32,
    given: bool,
    /// Whether it is in [`Routes::active`].
    active: bool,
    /// A `Retry-After` or a shortage of ports, and its end.
    timed_block: Option<(Instant, Block)>,
    answers: Answers,
    /// How long its last requests took, on average; zero before the first.
    answer_time: Duration,
    /// Requests in a row that ended without a usable answer.
    failures: u32,
    /// Open: only probes go out.
    breaker: Option<Probing>,
    /// After a block of any kind: room that grows with each answer, so that no stampede follows.
    ramp: Option<u32>,
    pace: Option<Pace>,
}

/// Names a route until the next [`Routes::replace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(usize);

impl RouteId {
    /// Its position in [`Routes::all`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// Now, on both clocks: waits go by the monotonic one, what people read by the wall's.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub at: Instant,
    pub wall: Millis,
}

impl Moment {
    /// By the clocks of this machine.
    pub fn now() -> Moment {
        Moment { at: Instant::now(), wall: crate::queue::when::now() }
    }

    fn wall_at(&self, later: Instant) -> Millis {
        let pause = later.saturating_duration_since(self.at);
        self.wall.saturating_add(Millis::try_from(pause.as_millis()).unwrap_or(Millis::MAX))
    }
}

/// All routes, and the accounts that are refused.
pub struct Routes {
    routes: Vec<Route>,
    refusals: Vec<Refusal>,
    suspects: Suspects,
    /// Paces the probes of a refused account.
    probe_policy: RetryPolicy,
    scarcity: Option<Scarcity>,
    /// How long a cycle takes, if jobs may be claimed ahead of free places.
    cycle: Option<Duration>,
    capacity: Capacity,
    /// By account, then by channel.
    by_account: HashMap<String, [Option<RouteId>; Channel::ALL.len()]>,
    /// All routes except those at rest, which have no jobs, and whose room is what a cycle was given.
    active: Vec<usize>,
    /// Routes at rest may have jobs ready by now.
    resting_may_have_jobs: bool,
    /// What is being claimed must not go out over any route.
    all_shut: bool,
    /// Routes that are gone; the next cycle must learn of them.
    gone: Vec<(String, Channel)>,
    /// How many accounts have jobs ready, and how many of the remaining jobs one route may have.
    contenders: u32,
    share: u32,
    /// Whether there was room for any job at all by the last [`Routes::room`].
    has_capacity: bool,
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
            shut: false,
            may_have_jobs: true,
            room: 0,
            given: false,
            active: true,
            timed_block: None,
            answers: Answers::default(),
            answer_time: Duration::ZERO,
            failures: 0,
            breaker: None,
            ramp: None,
            pace,
        }
    }

    fn is_blocked(&self, now: Instant) -> bool {
        self.timed_block.as_ref().is_some_and(|(until, _)| *until > now)
    }

    fn block_row(&self, kind: BlockKind, reason: &str, now: Moment) -> Block {
        Block {
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
        let mut by_account = HashMap::<String, [Option<RouteId>; Channel::ALL.len()]>::new();
        for (at, route) in routes.iter().enumerate() {
            let own = by_account.entry(route.account.clone()).or_default();
            own[route.channel as usize] = Some(RouteId(at));
        }
        Routes {
            active: (0..routes.len()).collect(),
            routes,
            refusals: Vec::new(),
            suspects: Suspects::default(),
            probe_policy,
            scarcity: None,
            cycle: None,
            capacity: Capacity { jobs: u32::MAX, bytes: u64::MAX },
            by_account,
            resting_may_have_jobs: true,
            all_shut: false,
            gone: Vec::new(),
            contenders: 1,
            share: u32::MAX,
            has_capacity: true,
        }
    }

    /// At most this many jobs at once, with at most this many bytes of payloads.
    pub fn limited(self, jobs: u32, bytes: u64) -> Self {
        Routes { capacity: Capacity { jobs: jobs.max(1), bytes }, ..self }
    }

    /// The route of a job; `None` for an account that is not configured.
    pub fn id(&self, account: &str, channel: Channel) -> Option<RouteId> {
        self.by_account.get(account)?[channel as usize]
    }

    /// The routes that have a rate.
    pub fn rates(&self) -> Vec<(String, Channel, Rate)> {
        let rate = |route: &Route| Some((route.account.clone(), route.channel, route.policy.rate?));
        self.routes.iter().filter_map(rate).collect()
    }

    pub fn of(&self, RouteId(at): RouteId) -> &Route {
        &self.routes[at]
    }

    /// All routes, in the order of their ids.
    pub fn all(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    /// For a change: the route is no longer at rest.
    fn of_mut(&mut self, RouteId(at): RouteId) -> &mut Route {
        let route = &mut self.routes[at];
        if !route.active {
            route.active = true;
            self.active.push(at);
        }
        route
    }

    /// Those that are not at rest.
    fn active(&self) -> impl Iterator<Item = &Route> {
        self.active.iter().map(|&at| &self.routes[at])
    }

    /// Whether the account is configured.
    pub fn has_account(&self, account: &str) -> bool {
        self.by_account.contains_key(account)
    }

    /// The configured accounts, for a message.
    pub fn accounts(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.routes.iter().map(|r| r.account.as_str()).collect();
        names.dedup();
        names
    }

    /// A claimed job has ended, or goes back unsent. If it was a probe, there may be another.
    pub fn probe_ended(&mut self, id: RouteId) {
        if let Some(breaker) = &mut self.of_mut(id).breaker {
            breaker.ended();
        }
        if let Some(refused) = self.refused_mut(id) {
            refused.ended();
        }
    }

    /// When time alone gives a route room that may have jobs: a block ends, a probe or the next
    /// request of a paced route is due.
    pub fn next_opening(&self, load: &Load, now: Instant) -> Option<Instant> {
        let opening = |&at: &usize| {
            let route = &self.routes[at];
            if let Some((until, _)) = &route.timed_block {
                return Some(*until);
            }
            if !route.may_have_jobs || load.of(RouteId(at)) >= route.places() {
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
        self.active.iter().filter_map(opening).chain(self.scarcity_ends(now)).min()
    }
}

#[cfg(test)]
pub(crate) mod tests;
