//! The metrics of a route: its requests, by outcome and while they are in flight.

use super::RouteLabels;
use crate::queue::transition::AttemptKind;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct AttemptLabels {
    account: String,
    channel: &'static str,
    outcome: &'static str,
}

/// The metrics of a route.
pub struct RouteMeter {
    in_flight: Gauge,
    /// In the order of [`KINDS`].
    attempts: [Counter; 4],
    request: Histogram,
}

/// The outcomes of a request; [`AttemptKind::Verified`] is none.
pub(super) const KINDS: [(AttemptKind, &str); 4] = [
    (AttemptKind::Accepted, "accepted"),
    (AttemptKind::Rejected, "rejected"),
    (AttemptKind::Retry, "retry"),
    (AttemptKind::Uncertain, "uncertain"),
];

impl RouteMeter {
    pub(super) fn new(
        labels: RouteLabels,
        attempts: &Family<AttemptLabels, Counter>,
        in_flight: Gauge,
        request: Histogram,
    ) -> RouteMeter {
        let RouteLabels { account, channel } = labels;
        let counter = |(_, outcome)| {
            let labels = AttemptLabels { account: account.clone(), channel, outcome };
            attempts.get_or_create_owned(&labels)
        };
        RouteMeter { in_flight, attempts: KINDS.map(counter), request }
    }

    /// The task of a claimed job has started.
    pub fn begun(&self) {
        self.in_flight.inc();
    }

    /// The outcome of a request is unknown because its process has ended.
    pub fn interrupted(&self) {
        self.attempts[AttemptKind::Uncertain as usize].inc();
    }

    /// The task has ended. `request`: its outcome and duration, if a request was made.
    pub fn ended(&self, request: Option<(AttemptKind, Duration)>) {
        self.in_flight.dec();
        if let Some((kind, took)) = request {
            self.attempts[kind as usize].inc();
            self.request.observe(took.as_secs_f64());
        }
    }
}
