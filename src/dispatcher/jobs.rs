//! The one owner of the jobs in memory: a map from each claimed job's id to its stage.
//!
//! ```text
//! claim --> Waiting --a place--> Sending --request ends--> ToRecord --a cycle takes it--> Recording --on disk--> gone
//!              '---------- goes back unsent ---------------^   '---------- the cycle fails -----'
//! ```
//!
//! A job's *place* is one of its route's `max_in_flight`. It is taken when its request begins, and
//! free when a kill of the process would no longer make its outcome unknown: when its answer is kept
//! ([`crate::store::AnswerNote`]) or, at the latest, on disk. So at most as many outcomes as places are lost.
//!
//! A job is in the map from the moment at which its claim is known until its outcome is known to be
//! on disk, whatever happens in between. So a row that is `sending` under our own claim and is not
//! in the map is a claim whose commit was never answered: see `Dispatcher::withdraw_strays`.

use crate::acquire::Endpoint;
use crate::dispatcher::routes::{Load, RouteId};
use crate::metrics::RouteMeter;
use crate::queue::ended::Ended;
use crate::queue::job::{Job, Millis};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The jobs that are claimed, by id.
#[derive(Default)]
pub(super) struct Jobs {
    held: HashMap<i64, Stage, BuildHasherDefault<IdHasher>>,
    /// The ids of the jobs to record, in the order in which they ended.
    to_record: Vec<i64>,
    in_flight: usize,
    /// What the jobs that wait or are being sent take up.
    load: Load,
    /// The ids of the jobs that wait for a place, in the order of their claims.
    waiting: BTreeMap<RouteId, VecDeque<i64>>,
    /// How many places each route has taken.
    places: BTreeMap<RouteId, u32>,
    /// The ids of the jobs whose requests have ended, and whose outcomes are not being kept or recorded yet.
    unkept: Vec<i64>,
    /// The ids of the jobs whose outcomes are being kept.
    keeping: Vec<i64>,
}

enum Stage {
    Waiting(Job, Instant),
    Sending(InFlight),
    ToRecord(Ended, HeldPlace),
    /// The running cycle has its outcome.
    Recording(HeldPlace),
}

/// The route whose place an ended job still has.
type HeldPlace = Option<RouteId>;

/// How long a claimed job waits for a place. Usually it is a few milliseconds. If Acquire has just
/// become slow, it goes back, so that it can be cancelled, paused or overtaken again.
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// A job whose request is out.
pub(super) struct InFlight {
    /// Without its payload, which the request has taken.
    pub(super) job: Job,
    pub(super) payload_bytes: usize,
    /// `None` once its account is no longer configured.
    pub(super) route: Option<RouteId>,
    /// The one that it was begun with: a reload may have replaced the route's.
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) meter: Arc<RouteMeter>,
}

impl Jobs {
    /// Whether what became of this attempt of the job is known here, or will be; `None`: of any attempt.
    pub(super) fn holds(&self, id: i64, attempt: Option<i64>) -> bool {
        let held = match self.held.get(&id) {
            Some(Stage::Waiting(job, _)) => job.attempts,
            Some(Stage::Sending(request)) => request.job.attempts,
            Some(Stage::ToRecord(ended, _)) => ended.transition.fence_attempts,
            Some(Stage::Recording(_)) => return true,
            None => return false,
        };
        attempt.is_none_or(|attempt| attempt == held)
    }

    /// The job has a later attempt, so the outcome that was to be recorded is on disk: gives it.
    pub(super) fn superseded(&mut self, id: i64) -> Option<Ended> {
        if !matches!(self.held.get(&id), Some(Stage::ToRecord(..))) {
            return None;
        }
        let Some(Stage::ToRecord(ended, place)) = self.held.remove(&id) else { return None };
        self.free(place);
        for ids in [&mut self.to_record, &mut self.unkept, &mut self.keeping] {
            ids.retain(|other| *other != id);
        }
        Some(ended)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// How many requests are out.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many have ended and are not known to be on disk.
    pub(super) fn unrecorded(&self) -> usize {
        self.held.len() - self.in_flight - self.waiting()
    }

    /// How many wait for a place.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What the jobs that wait or are being sent take up.
    pub(super) fn load(&self) -> &Load {
        &self.load
    }

    /// A claimed job waits for a place of this route.
    pub(super) fn wait(&mut self, route: RouteId, job: Job, now: Instant) {
        let id = job.id;
        self.load.add(Some(route), job.payload.len());
        self.waiting.entry(route).or_default().push_back(id);
        self.hold(id, Stage::Waiting(job, now));
    }

    /// The routes that have jobs waiting.
    pub(super) fn waiting_routes(&self) -> Vec<RouteId> {
        self.waiting.keys().copied().collect()
    }

    /// How many places of the route are taken.
    pub(super) fn places_taken(&self, route: RouteId) -> u32 {
        self.places.get(&route).copied().unwrap_or(0)
    }

    /// Takes the job of this route that has waited longest out of the map. The caller sends it or gives
    /// it back, in the same step.
    pub(super) fn next_waiting(&mut self, route: RouteId) -> Option<Job> {
        let waiting = self.waiting.get_mut(&route)?;
        let id = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&route);
        }
        match self.held.remove(&id?) {
            Some(Stage::Waiting(job, _)) => {
                self.load.remove(Some(route), job.payload.len());
                Some(job)
            }
            _ => None,
        }
    }

    /// When the first job of this route began to wait.
    pub(super) fn waiting_since(&self, route: RouteId) -> Option<Instant> {
        match self.held.get(self.waiting.get(&route)?.front()?)? {
            Stage::Waiting(_, since) => Some(*since),
            _ => None,
        }
    }

    /// When the first job has waited too long.
    pub(super) fn longest_wait_ends(&self) -> Option<Instant> {
        let since = self.waiting.keys().filter_map(|route| self.waiting_since(*route)).min();
        since.map(|since| since + LONGEST_WAIT)
    }

    /// A claimed job's request begins.
    pub(super) fn send(&mut self, request: InFlight) {
        self.load.add(request.route, request.payload_bytes);
        if let Some(route) = request.route {
            *self.places.entry(route).or_default() += 1;
        }
        self.in_flight += 1;
        self.hold(request.job.id, Stage::Sending(request));
    }

    fn free(&mut self, place: HeldPlace) {
        if let Some(taken) = place.and_then(|route| self.places.get_mut(&route)) {
            *taken = taken.saturating_sub(1);
        }
    }

    /// The outcomes of requests that have ended since [`Jobs::begin_keeping`].
    pub(super) fn unkept(&self) -> Vec<&Ended> {
        let ended = |id: &i64| match self.held.get(id)? {
            Stage::ToRecord(ended, _) => Some(ended),
            _ => None,
        };
        self.unkept.iter().filter_map(ended).collect()
    }

    /// Whether jobs wait for places, and there are enough outcomes to keep to be worth a write: those of a third
    /// of the places of their route.
    pub(super) fn needs_places(&self) -> bool {
        let mut freed: BTreeMap<RouteId, u32> = BTreeMap::new();
        for id in &self.unkept {
            if let Some(Stage::ToRecord(_, Some(route))) = self.held.get(id) {
                *freed.entry(*route).or_default() += 1;
            }
        }
        freed.iter().any(|(route, freed)| {
            self.waiting.contains_key(route) && 3 * freed >= self.places_taken(*route)
        })
    }

    /// These outcomes are being kept where a kill does not lose them.
    pub(super) fn begin_keeping(&mut self) {
        self.keeping.append(&mut self.unkept);
    }

    /// They have been kept: their places are free.
    pub(super) fn kept(&mut self) {
        for id in std::mem::take(&mut self.keeping) {
            let stage = self.held.get_mut(&id);
            if let Some(Stage::ToRecord(_, place) | Stage::Recording(place)) = stage {
                let place = place.take();
                self.free(place);
            }
        }
    }

    /// They could not be kept: they hold their places until they are recorded.
    pub(super) fn not_kept(&mut self) {
        self.keeping.clear();
    }

    /// A claimed job's attempt has ended before it had a request.
    pub(super) fn end_unsent(&mut self, ended: Ended) {
        let id = ended.transition.id;
        self.to_record.push(id);
        self.hold(id, Stage::ToRecord(ended, None));
    }

    fn hold(&mut self, id: i64, stage: Stage) {
        let before = self.held.insert(id, stage);
        debug_assert!(before.is_none(), "job {id} is claimed twice");
    }

    /// The request of this job, if it is out.
    pub(super) fn request(&self, id: i64) -> Option<&InFlight> {
        match self.held.get(&id)? {
            Stage::Sending(request) => Some(request),
            _ => None,
        }
    }

    /// The request of this outcome's job has ended.
    pub(super) fn end(&mut self, ended: Ended) {
        let id = ended.transition.id;
        if let Some(stage) = self.held.get_mut(&id)
            && let Stage::Sending(InFlight { route, payload_bytes, .. }) = *stage
        {
            self.load.remove(route, payload_bytes);
            self.in_flight -= 1;
            // Without a request the attempt does not count, so the job's next attempt has the same
            // number: if this outcome were kept, it could be taken for that attempt's.
            if ended.transition.history.is_some() {
                self.unkept.push(id);
            }
            *stage = Stage::ToRecord(ended, route);
            self.to_record.push(id);
        }
    }

    /// All outcomes that are to be recorded, in the order in which the attempts ended. Each must come
    /// back by [`Jobs::recorded`] or [`Jobs::not_recorded`].
    pub(super) fn begin_recording(&mut self) -> Vec<Ended> {
        // What could not be kept has its place until it is recorded.
        self.unkept.clear();
        let mut outcomes = Vec::with_capacity(self.to_record.len());
        for id in self.to_record.drain(..) {
            if let Some(stage) = self.held.get_mut(&id)
                && let Stage::ToRecord(_, place) = *stage
                && let Stage::ToRecord(ended, _) = std::mem::replace(stage, Stage::Recording(place))
            {
                outcomes.push(ended);
            }
        }
        outcomes
    }

    /// These outcomes are on disk, or their rows no longer belong to this claim.
    pub(super) fn recorded(&mut self, outcomes: &[Ended]) {
        for ended in outcomes {
            let id = ended.transition.id;
            if let Some(Stage::Recording(place)) = self.held.get(&id) {
                let place = *place;
                self.held.remove(&id);
                self.free(place);
            }
        }
        // Such a job may be claimed again before its old outcome is reported as kept, which must not
        // free the place of its new request.
        self.keeping.retain(|id| self.held.contains_key(id));
    }

    /// These outcomes are not on disk: they are recorded before anything that ended later.
    pub(super) fn not_recorded(&mut self, outcomes: Vec<Ended>) {
        let mut first = Vec::with_capacity(outcomes.len() + self.to_record.len());
        for ended in outcomes {
            let id = ended.transition.id;
            if let Some(stage) = self.held.get_mut(&id)
                && let Stage::Recording(place) = *stage
            {
                *stage = Stage::ToRecord(ended, place);
                first.push(id);
            }
        }
        first.append(&mut self.to_record);
        self.to_record = first;
    }

    /// The outcomes that no cycle has taken, in the order in which the attempts ended.
    pub(super) fn to_record(&self) -> impl Iterator<Item = &Ended> {
        self.to_record.iter().filter_map(|id| match self.held.get(id)? {
            Stage::ToRecord(ended, _) => Some(ended),
            _ => None,
        })
    }

    /// The same, in no order, for a change of their times.
    pub(super) fn to_record_mut(&mut self) -> impl Iterator<Item = &mut Ended> {
        self.held.values_mut().filter_map(|stage| match stage {
            Stage::ToRecord(ended, _) => Some(ended),
            _ => None,
        })
    }

    /// `limit`, or a time up to which nothing more will be recorded as ended: what waits in memory
    /// will be on disk as of when it ended.
    pub(super) fn all_recorded_until(&self, limit: Millis) -> Millis {
        self.to_record().map(|ended| ended.transition.updated_at - 1).fold(limit, Millis::min)
    }

    /// A new configuration: gives each job its route's new id. Nothing may be waiting.
    pub(super) fn reroute(&mut self, new_id: impl Fn(RouteId) -> Option<RouteId>) {
        self.load = Load::default();
        self.places.clear();
        for stage in self.held.values_mut() {
            let place = match stage {
                Stage::Sending(request) => {
                    request.route = request.route.and_then(&new_id);
                    self.load.add(request.route, request.payload_bytes);
                    request.route
                }
                Stage::ToRecord(_, place) | Stage::Recording(place) => {
                    *place = place.and_then(&new_id);
                    *place
                }
                Stage::Waiting(..) => None,
            };
            if let Some(route) = place {
                *self.places.entry(route).or_default() += 1;
            }
        }
    }
}

/// Most row ids are consecutive: one multiplication spreads them, where the standard library's hash
/// would cost as much as everything else that is done with the map.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        // The map uses the low bits, and the low bits of a product depend only on low bits.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_i64(&mut self, id: i64) {
        self.write_u64(id.cast_unsigned());
    }

    fn write_u64(&mut self, part: u64) {
        self.0 = (self.0.rotate_left(5) ^ part).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

#[cfg(test)]
mod tests;
