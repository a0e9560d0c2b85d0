//! What the loop tells the metrics.

use super::Dispatcher;
use super::wire::Wire;
use crate::metrics::RouteMeter;
use crate::queue::job::Channel;
use tokio::time::Instant;

impl Wire {
    /// A meter for each route, so that what has not happened yet is told as 0.
    pub(super) fn meter_routes(&mut self) {
        let accounts: Vec<_> = self.routes.accounts().into_iter().map(str::to_owned).collect();
        for account in &accounts {
            for channel in Channel::ALL {
                self.meter(account, channel);
            }
        }
        self.metrics.configured(accounts);
    }

    /// The route's meter; what was on the wire when its account went is still counted.
    pub(super) fn meter(&mut self, account: &str, channel: Channel) -> &RouteMeter {
        if !self.meters.contains_key(account) {
            self.meters.insert(account.to_owned(), Default::default());
        }
        let own = self.meters.get_mut(account).expect("it is there by now");
        own[channel as usize].get_or_insert_with(|| self.metrics.route(account, channel))
    }
}

impl Dispatcher {
    /// A turn has been made: the watchdog and the health checks hear of it.
    pub(super) fn turned(&mut self) {
        self.wire.metrics.turned(Instant::now().into_std());
        self.service.turned();
    }
}
