//! What the tests of several themes share.

mod accounts;
mod in_flight;
mod probes;
mod rates;

use super::*;
use crate::acquire::Connection;
use crate::config::{OnUncertain, Rate};
use crate::queue::claim::{Claim, Room};
use crate::queue::job::Job;
use crate::queue::outcome::LocalResource;
use tokio::time::Duration;

pub(crate) fn routes(rates: &[(Channel, Option<Rate>)]) -> Routes {
    routes_to("http://127.0.0.1:9/api/v1", rates)
}

pub(crate) fn routes_to(base_url: &str, rates: &[(Channel, Option<Rate>)]) -> Routes {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let connection = Connection {
        base_url: &base_url.parse().unwrap(),
        api_key: &"key".into(),
        user_type_parameter: "x-user-type",
        extra_roots: &[],
        request_timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
        proxy: None,
        at_most_once: false,
        idle_connections: usize::MAX,
    };
    let route = |&(channel, rate): &(Channel, Option<Rate>)| {
        let endpoint = Arc::new(Endpoint::new(channel, &connection).unwrap());
        let policy = ChannelPolicy { rate, on_uncertain: OnUncertain::Retry, ..Default::default() };
        Route::new("default".to_owned(), channel, endpoint, policy)
    };
    Routes::new(rates.iter().map(route).collect(), RetryPolicy::default())
}

/// What each route has room for, whether it is at rest or not.
pub(crate) fn room_of(routes: &mut Routes, load: &Load, now: Instant) -> Vec<Claim> {
    routes.room(load, now);
    let of = |r: &Route| Claim { account: r.account.clone(), channel: r.channel, limit: r.room };
    routes.routes.iter().filter(|r| r.room > 0).map(of).collect()
}

impl Routes {
    /// Of each route.
    pub(crate) fn set_max_in_flight(&mut self, limit: u32) {
        self.routes.iter_mut().for_each(|r| r.policy.max_in_flight = limit);
    }
}

fn job(channel: Channel) -> Job {
    Job {
        id: 1,
        channel,
        account: "default".to_owned(),
        payload: Vec::new(),
        attempts: 1,
        claim: 1,
        unspent: 0,
        uncertain_attempts: 0,
        budget_from: 0,
        max_attempts: None,
        due_at: 0,
        expires_at: None,
    }
}

pub(crate) fn chat(id: i64) -> Job {
    Job { id, ..job(Channel::Chat) }
}

/// The route of the account `default`.
pub(crate) fn id(routes: &Routes, channel: Channel) -> RouteId {
    routes.id("default", channel).unwrap()
}

fn rate(text: &str) -> Option<Rate> {
    Some(text.parse().unwrap())
}

/// A cycle has claimed this many jobs of each of these routes.
fn claimed(routes: &mut Routes, counts: &[(RouteId, u32)]) {
    routes.claimed(&counts.iter().copied().collect(), false);
}

/// How many jobs.
fn limit(room: &[Claim]) -> u32 {
    room.iter().map(|claim| claim.limit).sum()
}

/// This many requests of the route are out.
fn load(route: RouteId, in_flight: u32) -> Load {
    let mut load = Load::default();
    (0..in_flight).for_each(|_| load.add(Some(route), 0));
    load
}

/// This many accounts, each with all three channels.
fn of_accounts(count: usize) -> Routes {
    let one = routes(&[(Channel::Chat, None)]).routes.remove(0);
    let of = |account: usize| {
        let (endpoint, policy) = (one.endpoint.clone(), one.policy.clone());
        Channel::ALL.map(|channel| {
            Route::new(format!("a{account}"), channel, endpoint.clone(), policy.clone())
        })
    };
    Routes::new((0..count).flat_map(of).collect(), RetryPolicy::default())
}
