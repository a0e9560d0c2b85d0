//! The one owner of the jobs in memory: a map from each claimed job's id to its stage.
//!
//! ```text
//! claim --> Sending --request ends--> ToRecord --a cycle takes it--> Recording --on disk--> gone
//!    '------- goes back unsent --------^   '---------- the cycle fails -----'
//! ```
//!
//! A job is in the map from the moment at which its claim is known until its outcome is known to be
//! on disk, whatever happens in between. So a row that is `sending` under our own claim and is not
//! in the map is a claim whose commit was never answered: see `Dispatcher::withdraw_strays`.

use crate::acquire::Endpoint;
use crate::dispatcher::routes::{Load, RouteId};
use crate::metrics::RouteMeter;
use crate::queue::ended::Ended;
use crate::queue::job::{Job, Millis};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// The jobs that are claimed, by id.
#[derive(Default)]
pub(super) struct Jobs {
    held: HashMap<i64, Stage, BuildHasherDefault<IdHasher>>,
    /// The ids of those to record, in the order in which they ended.
    to_record: Vec<i64>,
    in_flight: usize,
    load: Load,
}

enum Stage {
    Sending(InFlight),
    ToRecord(Ended),
    /// The running cycle has its outcome.
    Recording,
}

/// A job whose request is out.
pub(super) struct InFlight {
    /// Without its payload, which the request has taken.
    pub(super) job: Job,
    pub(super) payload_bytes: usize,
    /// `None` once its account is no longer configured.
    pub(super) route: Option<RouteId>,
    /// Those that it was begun with: a reload may have replaced the route's.
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) meter: Arc<RouteMeter>,
}

impl Jobs {
    /// Whether what became of the job's claim is known here, or will be.
    pub(super) fn holds(&self, id: i64) -> bool {
        self.held.contains_key(&id)
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
        self.held.len() - self.in_flight
    }

    /// What the requests in flight take up.
    pub(super) fn load(&self) -> &Load {
        &self.load
    }

    /// A claimed job's request begins.
    pub(super) fn send(&mut self, request: InFlight) {
        self.load.add(request.route, request.payload_bytes);
        self.in_flight += 1;
        self.hold(request.job.id, Stage::Sending(request));
    }

    /// A claimed job's attempt has ended before it had a request.
    pub(super) fn end_unsent(&mut self, ended: Ended) {
        let id = ended.transition.id;
        self.to_record.push(id);
        self.hold(id, Stage::ToRecord(ended));
    }

    fn hold(&mut self, id: i64, stage: Stage) {
        let before = self.held.insert(id, stage);
        debug_assert!(before.is_none(), "job {id} is claimed twice");
    }

    /// The request of this job, if it is out.
    pub(super) fn request(&self, id: i64) -> Option<&InFlight> {
        match self.held.get(&id)? {
            Stage::Sending(request) => Some(request),
            Stage::ToRecord(_) | Stage::Recording => None,
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
            *stage = Stage::ToRecord(ended);
            self.to_record.push(id);
        }
    }

    /// All outcomes that are to be recorded, in the order in which the attempts ended. Each must come
    /// back by [`Jobs::recorded`] or [`Jobs::not_recorded`].
    pub(super) fn begin_recording(&mut self) -> Vec<Ended> {
        let mut outcomes = Vec::with_capacity(self.to_record.len());
        for id in self.to_record.drain(..) {
            if let Some(stage @ Stage::ToRecord(_)) = self.held.get_mut(&id)
                && let Stage::ToRecord(ended) = std::mem::replace(stage, Stage::Recording)
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
            if let Some(Stage::Recording) = self.held.get(&id) {
                self.held.remove(&id);
            }
        }
    }

    /// These outcomes are not on disk: they are recorded before anything that ended later.
    pub(super) fn not_recorded(&mut self, outcomes: Vec<Ended>) {
        let mut first = Vec::with_capacity(outcomes.len() + self.to_record.len());
        for ended in outcomes {
            let id = ended.transition.id;
            if let Some(stage @ Stage::Recording) = self.held.get_mut(&id) {
                *stage = Stage::ToRecord(ended);
                first.push(id);
            }
        }
        first.append(&mut self.to_record);
        self.to_record = first;
    }

    /// The outcomes that no cycle has taken, in the order in which the attempts ended.
    pub(super) fn to_record(&self) -> impl Iterator<Item = &Ended> {
        self.to_record.iter().filter_map(|id| match self.held.get(id)? {
            Stage::ToRecord(ended) => Some(ended),
            Stage::Sending(_) | Stage::Recording => None,
        })
    }

    /// The same, in no order, for a change of their times.
    pub(super) fn to_record_mut(&mut self) -> impl Iterator<Item = &mut Ended> {
        self.held.values_mut().filter_map(|stage| match stage {
            Stage::ToRecord(ended) => Some(ended),
            Stage::Sending(_) | Stage::Recording => None,
        })
    }

    /// `limit`, or a time up to which nothing more will be recorded as ended: what waits in memory
    /// will be on disk as of when it ended.
    pub(super) fn all_recorded_until(&self, limit: Millis) -> Millis {
        self.to_record().map(|ended| ended.transition.updated_at - 1).fold(limit, Millis::min)
    }

    /// A new configuration: gives each request its route's new id.
    pub(super) fn reroute(&mut self, new_id: impl Fn(RouteId) -> Option<RouteId>) {
        self.load = Load::default();
        for stage in self.held.values_mut() {
            if let Stage::Sending(request) = stage {
                request.route = request.route.and_then(&new_id);
                self.load.add(request.route, request.payload_bytes);
            }
        }
    }
}

/// Most row ids follow one another: one multiplication spreads them, where the standard library's
/// hash would cost as much as all else that is done with the map.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        // The map uses the low bits, which of a product depend on the low bits alone.
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
