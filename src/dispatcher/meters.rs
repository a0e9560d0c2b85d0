//! What the loop counts for the metrics.

use super::sender::Sender;
use crate::dispatcher::routes::{Route, RouteId};
use crate::metrics::RouteMeter;
use std::sync::Arc;

impl Sender {
    /// A meter for each route, so that what has not happened yet is shown as 0. Requests in flight
    /// keep theirs, which count the same.
    pub(super) fn meter_routes(&mut self) {
        let meter = |route: &Route| Arc::new(self.metrics.route(&route.account, route.channel));
        self.meters = self.routes.all().map(meter).collect();
        let accounts = self.routes.accounts().into_iter().map(str::to_owned).collect();
        self.metrics.configured(accounts);
    }

    /// The route's meter.
    pub(super) fn meter(&self, route: RouteId) -> Arc<RouteMeter> {
        Arc::clone(&self.meters[route.index()])
    }
}
