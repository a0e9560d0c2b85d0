//! The ways out: one route per account and channel, with its room, its rate, what holds it, and
//! its breaker.
//!
//! No I/O and no decision by a clock of its own: times are parameters.

mod gates;
mod line;
mod pace;
mod probing;
mod replace;
mod suspects;

use crate::acquire::Endpoint;
use crate::config::{ChannelPolicy, OnUncertain};
use crate::job::{Channel, Job, Millis};
use crate::retry::RetryPolicy;
use crate::store::{Claim, Hold, HoldKind};
pub use gates::News;
use gates::Refusal;
use line::Line;
use pace::Pace;
use probing::Probing;
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
    /// A `Retry-After`, and its end.
    held: Option<(Instant, Hold)>,
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
        Routes {
            routes,
            refusals: Vec::new(),
            suspects: Suspects::default(),
            returned: Vec::new(),
            probe_policy,
        }
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

    /// What there is room for at `now`, free places and what is claimed ahead of them, where a cycle
    /// takes as long as `took`. A refused account gets one probe over all its channels, an open
    /// breaker one of its own.
    pub fn room(&mut self, now: Instant, took: Duration) -> Vec<Claim> {
        let mut claims: Vec<Claim> = Vec::new();
        let mut probed: Vec<&str> = Vec::new();
        self.routes.iter_mut().for_each(|r| r.shut = false);
        for route in self.routes.iter_mut().filter(|r| !r.is_held(now)) {
            let refusal = self.refusals.iter().find(|r| r.concerns(&route.account, route.channel));
            let refused = refusal.map(|r| &r.probing);
            let ahead = if refused.is_some() { 0 } else { route.ahead(took) };
            let room = (route.free() + ahead).saturating_sub(route.line.len());
            let mut limit = room.min(route.half() + ahead);
            if let Some(pace) = &mut route.pace {
                limit = pace.allow(limit, now);
            }
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
    pub fn claimed(&mut self, room: &[Claim], jobs: Vec<Job>, now: Instant) {
        for claim in room {
            let is_its = |job: &&Job| job.account == claim.account && job.channel == claim.channel;
            let count = u32::try_from(jobs.iter().filter(is_its).count()).unwrap_or(u32::MAX);
            let Some(route) = self.of_mut(&claim.account, claim.channel) else { continue };
            route.dry = count < claim.limit;
            if route.shut || count == 0 {
                continue;
            }
            if let Some(pace) = &mut route.pace {
                pace.used(count);
            }
            if let Some(breaker) = &mut route.breaker {
                breaker.sent();
            }
            if let Some(refused) = self.refused_mut(&claim.account, claim.channel) {
                refused.sent();
            }
        }
        for job in jobs {
            match self.of_mut(&job.account, job.channel) {
                Some(route) if !route.shut => route.line.push(job, now),
                _ => self.returned.push(job),
            }
        }
    }

    /// The next claimed job that has a place, which it takes.
    pub fn next(&mut self, account: &str, channel: Channel, now: Moment) -> Option<Job> {
        let own = |r: &&mut Route| r.channel == channel && r.account == account;
        let route = self.routes.iter_mut().find(own)?;
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
            self.is_out_no_more(&job.account, job.channel);
        }
        jobs
    }

    /// How many are claimed and wait for a place.
    pub fn in_line(&self) -> u32 {
        self.routes.iter().map(|r| r.line.len()).sum()
    }

    /// Nothing that is claimed by now goes out any more.
    pub fn shut_all(&mut self) {
        for route in &mut self.routes {
            route.shut(&mut self.returned);
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
        self.routes.iter().filter_map(opening).min()
    }
}

#[cfg(test)]
pub(crate) mod tests;
