//! The ways out: one route per account and channel, with its room, its rate, what holds it, and
//! its breaker.
//!
//! No I/O and no decision by a clock of its own: times are parameters.

mod budget;
mod gates;
mod line;
mod pace;
mod probing;
mod replace;
mod room;
mod shortage;
mod suspects;

use crate::acquire::Endpoint;
use crate::config::{ChannelPolicy, OnUncertain};
use crate::queue::block::{Block, BlockKind};
use crate::queue::job::{Channel, Job, Millis};
use crate::queue::retry::RetryPolicy;
use budget::Budget;
pub use gates::News;
use gates::Refusal;
use line::Line;
use pace::Pace;
use probing::Probing;
use shortage::Shortage;
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
    in_flight: u32,
    /// Claimed, and sent as soon as there is a place.
    line: Line,
    /// How long its requests take, the later ones counting more.
    answer_time: Duration,
    /// Something has come up since the last [`Routes::room`]: what is being claimed must not go out.
    shut: bool,
    /// The last claim found fewer jobs than there was room for, and nothing has changed since.
    dry: bool,
    /// The room according to the last [`Routes::room`], and whether a cycle has got it.
    room: u32,
    told: bool,
    /// Whether it is in [`Routes::active`].
    active: bool,
    /// A `Retry-After`, and its end.
    held: Option<(Instant, Block)>,
    answers: Answers,
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

/// All routes, and the accounts that are refused.
pub struct Routes {
    routes: Vec<Route>,
    refusals: Vec<Refusal>,
    suspects: Suspects,
    /// Claimed, and not to be sent now.
    returned: Vec<Job>,
    /// Paces the probes of a refused account.
    probe_policy: RetryPolicy,
    shortage: Option<Shortage>,
    budget: Budget,
    /// By account, then by channel: where each route is.
    by_account: HashMap<String, [Option<usize>; Channel::ALL.len()]>,
    /// All routes except those at rest, whose room is as it was last reported and which are dry
    /// unless stirred.
    active: Vec<usize>,
    /// New jobs may be there since the last claim.
    stirred: bool,
    /// The last claim found more than there were places or bytes for, and nothing has become free
    /// since.
    cut: bool,
    /// The jobs that are being claimed must not go out.
    all_shut: bool,
    /// Routes that are gone; the next cycle must learn of them.
    gone: Vec<(String, Channel)>,
    /// How many accounts have jobs ready, and how many of the remaining places one route may take.
    contenders: u32,
    share: u32,
    /// Whether there was a place at all by the last [`Routes::room`].
    has_places: bool,
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
            line: Line::default(),
            answer_time: Duration::ZERO,
            shut: false,
            dry: false,
            room: 0,
            told: false,
            active: true,
            held: None,
            answers: Answers::default(),
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

    /// Half of the places: what one cycle claims of the free ones. Two halves take turns, one on the
    /// wire while the other is recorded and claimed anew; all at once would wait for each other.
    fn half(&self) -> u32 {
        self.policy.max_in_flight.div_ceil(2)
    }

    /// How many jobs beyond the free places are worth a claim when a cycle takes as long as `took`: as
    /// many as will find a place until the next claim is there, which is after this cycle, a rest, the
    /// next cycle, and one more for what goes slower. Where requests take long that is none, so that
    /// nothing is claimed long before it is sent. Nor is anything that a crash would leave to a
    /// person by the route's settings, or what is paced, or only just goes again.
    fn ahead(&self, took: Duration) -> u32 {
        let policy = &self.policy;
        let steady = self.ramp.is_none() && self.breaker.is_none() && self.pace.is_none();
        let again = policy.on_uncertain == OnUncertain::Retry
            && policy.uncertain_retries > 1
            && policy.retry.max_attempts > 1;
        if !steady || !again || self.answer_time.is_zero() {
            return 0;
        }
        let limit = policy.max_in_flight;
        let ended = f64::from(limit) * (4 * took).div_duration_f64(self.answer_time);
        (ended as u32).min(2 * limit)
    }

    /// Takes out what has been in line for too long by `now`. Answers are then slower than was
    /// thought: nothing is claimed ahead until there have been enough quick ones.
    fn outdated(&mut self, now: Instant) -> Vec<Job> {
        let jobs: Vec<_> = self.line.outdated(now).collect();
        if !jobs.is_empty() {
            self.answer_time = self.answer_time.max(line::AT_MOST * self.policy.max_in_flight);
        }
        jobs
    }

    fn is_held(&self, now: Instant) -> bool {
        self.held.as_ref().is_some_and(|(until, _)| *until > now)
    }

    fn shut(&mut self, returned: &mut Vec<Job>) {
        self.shut = true;
        returned.extend(self.line.drain());
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
        let mut by_account = HashMap::<String, [Option<usize>; Channel::ALL.len()]>::new();
        for (at, route) in routes.iter().enumerate() {
            by_account.entry(route.account.clone()).or_default()[route.channel as usize] = Some(at);
        }
        Routes {
            active: (0..routes.len()).collect(),
            routes,
            refusals: Vec::new(),
            suspects: Suspects::default(),
            returned: Vec::new(),
            probe_policy,
            shortage: None,
            budget: Budget::new(u32::MAX, u64::MAX),
            by_account,
            stirred: true,
            cut: false,
            all_shut: false,
            gone: Vec::new(),
            contenders: 1,
            share: u32::MAX,
            has_places: true,
        }
    }

    /// At most this many jobs are out at once, with at most this many bytes of payloads.
    pub fn limited(self, places: u32, bytes: u64) -> Self {
        Routes { budget: Budget::new(places.max(1), bytes), ..self }
    }

    /// The route of a job; `None` for an account that is not configured.
    pub fn of(&self, account: &str, channel: Channel) -> Option<&Route> {
        Some(&self.routes[self.index(account, channel)?])
    }

    /// For a change: the route is no longer at rest.
    fn of_mut(&mut self, account: &str, channel: Channel) -> Option<&mut Route> {
        let at = self.index(account, channel)?;
        self.activate(at);
        Some(&mut self.routes[at])
    }

    /// Those that are not at rest.
    fn active(&self) -> impl Iterator<Item = &Route> {
        self.active.iter().map(|&at| &self.routes[at])
    }

    /// Whether the account is configured.
    pub fn has_account(&self, account: &str) -> bool {
        self.by_account.contains_key(account)
    }

    /// The configured accounts, for a sentence.
    pub fn accounts(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.routes.iter().map(|r| r.account.as_str()).collect();
        names.dedup();
        names
    }

    /// The next claimed job that has a place, which it takes.
    pub fn next(&mut self, account: &str, channel: Channel, now: Moment) -> Option<Job> {
        let at = self.index(account, channel)?;
        let route = &mut self.routes[at];
        self.returned.extend(route.outdated(now.at));
        while route.free() > 0 {
            let job = route.line.pop()?;
            if job.expires_at.is_none_or(|at| at >= now.wall) {
                route.in_flight += 1;
                return Some(job);
            }
            self.returned.push(job);
        }
        None
    }

    /// Takes what is claimed and must go back to the queue.
    pub fn take_returned(&mut self) -> Vec<Job> {
        let jobs = std::mem::take(&mut self.returned);
        for job in &jobs {
            self.has_back(job.payload.len());
            self.is_out_no_more(&job.account, job.channel);
        }
        jobs
    }

    /// How many are claimed and wait for a place.
    pub fn in_line(&self) -> u32 {
        self.active().map(|r| r.line.len()).sum()
    }

    /// Nothing that is claimed by now goes out any more.
    pub fn shut_all(&mut self) {
        self.all_shut = true;
        for &at in &self.active {
            self.routes[at].shut(&mut self.returned);
        }
    }

    /// A job that was sent has ended, however it did; a request took `took`.
    pub fn ended(&mut self, account: &str, channel: Channel, took: Option<Duration>) {
        if let Some(route) = self.of_mut(account, channel) {
            route.in_flight = route.in_flight.saturating_sub(1);
            if let Some(took) = took {
                let mean = if route.answer_time.is_zero() { took } else { route.answer_time };
                route.answer_time = (mean * 7 + took) / 8;
            }
        }
        self.is_out_no_more(account, channel);
    }

    /// If it was a probe, there may be another.
    fn is_out_no_more(&mut self, account: &str, channel: Channel) {
        if let Some(breaker) = self.of_mut(account, channel).and_then(|r| r.breaker.as_mut()) {
            breaker.ended();
        }
        if let Some(refused) = self.refused_mut(account, channel) {
            refused.ended();
        }
    }

    /// When time alone gives a route room that may have jobs: a hold ends, a probe or the next
    /// of a paced route is due; or when a claimed one has waited for too long.
    pub fn next_opening(&self, now: Instant) -> Option<Instant> {
        let opening = |route: &Route| {
            if let Some(until) = route.line.outdated_at().or(route.held.as_ref().map(|h| h.0)) {
                return Some(until);
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
        self.active().filter_map(opening).chain(self.enough_at(now)).min()
    }
}

#[cfg(test)]
pub(crate) mod tests;
