//! The server that plays Acquire, and what it has made of each message.

use crate::support::{Reply, Request, Server};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the server has done with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Accepted,
    /// Accepted, and the connection was closed without an answer.
    AcceptedInSilence,
    /// 503: it has not been accepted, and may be tried again.
    Unavailable,
    /// 400.
    Rejected,
}

/// A request, in the order of arrival.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// From 0, in the order in which the server read them.
    pub number: usize,
    /// The message's name, which its text begins with.
    pub name: String,
    pub deed: Deed,
    pub at: Instant,
}

impl Delivery {
    pub fn is_accepted(&self) -> bool {
        matches!(self.deed, Deed::Accepted | Deed::AcceptedInSilence)
    }
}

pub struct Vendor {
    pub server: Server,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
}

impl Vendor {
    /// Answers at random, by this seed and the order of the requests.
    pub fn start(seed: u64) -> Vendor {
        let deliveries = Arc::new(Mutex::new(Vec::new()));
        let (log, dice) = (Arc::clone(&deliveries), Mutex::new(fastrand::Rng::with_seed(seed)));
        let server = Server::answering(move |request| {
            let (deed, reply) = answer(request, &mut dice.lock().unwrap());
            let name = request.words().split(' ').next().unwrap_or_default().to_owned();
            let at = request.arrived;
            log.lock().unwrap().push(Delivery { number: request.number, name, deed, at });
            reply
        });
        Vendor { server, deliveries }
    }

    /// Every request so far, in the order of arrival.
    pub fn deliveries(&self) -> Vec<Delivery> {
        let mut deliveries = self.deliveries.lock().unwrap().clone();
        deliveries.sort_by_key(|delivery| delivery.number);
        deliveries
    }
}

fn answer(request: &Request, dice: &mut fastrand::Rng) -> (Deed, Reply) {
    let delay = Duration::from_micros(match dice.u32(0..20) {
        0 => dice.u64(0..400_000),
        _ => dice.u64(0..20_000),
    });
    match dice.u32(0..100) {
        0..3 => (Deed::AcceptedInSilence, Reply::drop().delay(delay)),
        3..7 => (Deed::Unavailable, Reply::text(503, "busy").delay(delay)),
        7..10 => {
            let refused =
                serde_json::json!({"error": {"type": "ERROR_INVALID_INPUT", "message": "no"}});
            (Deed::Rejected, Reply::json(400, refused).delay(delay))
        }
        _ => (Deed::Accepted, Reply::accepted(request).delay(delay)),
    }
}
