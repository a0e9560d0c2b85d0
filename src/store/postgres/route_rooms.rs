//! How much room each route has: the dispatcher says only what has changed.

use crate::queue::claim::Room;
use crate::queue::job::{Channel, Millis};
use crate::queue::policy::Rate;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// If there are more, a cycle is given those alone that are known to have jobs.
const FEW: usize = 32;

/// The routes of this node.
#[derive(Default)]
pub(super) struct RouteRooms {
    routes: BTreeMap<(String, Channel), RouteRoom>,
    /// Milliseconds from one request to the next.
    rates: BTreeMap<(String, Channel), f64>,
    rates_are_new: bool,
    /// Counts the cycles that had more jobs than places.
    round: u64,
}

#[derive(Default)]
struct RouteRoom {
    limit: u32,
    /// In which round it was last served.
    served: u64,
    /// Where the last claim ended, by priority; see the type `outbox_room`. Only while there is more than
    /// fits, and claims from the beginning are slow: what has come in before it waits a little longer.
    floors: Option<[Option<Millis>; 10]>,
}

impl RouteRooms {
    pub(super) fn change(&mut self, room: &Room) {
        for claim in &room.changed {
            let key = (claim.account.clone(), claim.channel);
            self.routes.entry(key).or_default().limit = claim.limit;
        }
    }

    /// The rates of the routes that have one; of all nodes together.
    pub(super) fn pace(&mut self, rates: &[(String, Channel, Rate)]) {
        self.rates = rates
            .iter()
            .map(|(account, channel, rate)| {
                let period = rate.per.as_secs_f64() * 1_000.0 / f64::from(rate.count.max(1));
                ((account.clone(), *channel), period)
            })
            .collect();
        self.rates_are_new = !rates.is_empty();
    }

    /// The routes whose rates the database does not know yet.
    pub(super) fn take_new_rates(&mut self) -> Vec<(String, Channel)> {
        match std::mem::take(&mut self.rates_are_new) {
            true => self.rates.keys().cloned().collect(),
            false => Vec::new(),
        }
    }

    pub(super) fn rates_are_new(&mut self) {
        self.rates_are_new = true;
    }

    /// The accounts that this node has configured.
    pub(super) fn accounts(&self) -> BTreeSet<&str> {
        self.routes.keys().map(|(account, _)| account.as_str()).collect()
    }

    /// The routes with room.
    pub(super) fn open(&self) -> Vec<(String, Channel)> {
        let open = self.routes.iter().filter(|(_, route)| route.limit > 0);
        open.map(|(key, _)| key.clone()).collect()
    }

    /// As `outbox_cycle` reads it: the route that was served longest ago first. `full`: from the beginning
    /// of what can be claimed, and of every account.
    pub(super) fn json(&self, share: u32, full: bool, ready: &[String]) -> Value {
        let mut open: Vec<_> = self.routes.iter().filter(|(_, route)| route.limit > 0).collect();
        if !full && open.len() > FEW {
            open.retain(|((account, _), _)| ready.contains(account));
        }
        open.sort_by_key(|(_, route)| route.served);
        let room = |(key, route): (&(String, Channel), &RouteRoom)| {
            let ((account, channel), period) = (key, self.rates.get(key));
            let floors = route.floors.filter(|_| !full);
            let room = i32::try_from(route.limit.min(share)).unwrap_or(i32::MAX);
            json!({ "account": account, "channel": channel, "room": room, "floors": floors, "period_ms": period })
        };
        open.into_iter().map(room).collect()
    }

    /// What a cycle has claimed. `slow`: it began at the beginning and took long for what it did; `None`: it
    /// began elsewhere.
    pub(super) fn claimed(
        &mut self,
        jobs: &[(String, Channel, i16, Millis)],
        share: u32,
        cut: bool,
        slow: Option<bool>,
    ) {
        self.round += u64::from(cut);
        let mut counts: BTreeMap<(&str, Channel), u32> = BTreeMap::new();
        for (account, channel, ..) in jobs {
            *counts.entry((account, *channel)).or_default() += 1;
        }
        for ((account, channel), route) in &mut self.routes {
            let Some(count) = counts.get(&(account.as_str(), *channel)) else {
                route.floors = None;
                continue;
            };
            route.served = self.round;
            let is_full = *count >= route.limit.min(share);
            let keeps = slow.unwrap_or(route.floors.is_some());
            route.floors = (is_full && keeps).then(|| route.floors.unwrap_or_default());
        }
        for (account, channel, priority, due_at) in jobs {
            let key = (account.clone(), *channel);
            let floors = self.routes.get_mut(&key).and_then(|route| route.floors.as_mut());
            let at = usize::try_from(9 - priority).unwrap_or_default();
            if let Some(floor) = floors.and_then(|floors| floors.get_mut(at)) {
                *floor = Some(floor.map_or(*due_at, |floor| floor.max(*due_at)));
            }
        }
    }
}
