//! This machine has run out of something. No attempt is spent on it: everything that would need
//! a new connection waits for a moment, then goes out one at a time, then more and more.

use super::{Moment, Routes};
use crate::queue::block::{Block, BlockKind};
use crate::queue::job::Channel;
use crate::queue::outcome::LocalResource;
use tokio::time::{Duration, Instant};

/// How long everything waits, doubled from the first to the second while it lasts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));

/// How long a route waits when no local port is left for its address: closed connections free
/// theirs gradually.
const PORTS_PAUSE: Duration = Duration::from_secs(1);

/// A shortage that concerns every route.
pub(super) struct Shortage {
    /// The hold that people see; `None` once a request has gone out again.
    hold: Option<Block>,
    pause: Duration,
    until: Instant,
    /// How many jobs may be out at once, after the pause.
    most: u32,
}

impl Shortage {
    /// How many jobs may be out at once at `now`.
    pub fn most(&self, now: Instant) -> u32 {
        if self.until > now { 0 } else { self.most }
    }
}

impl Routes {
    /// A request could not be begun because this machine is short of something. If that concerns
    /// only one address, `channel` of `account` waits, otherwise everything. True when this is
    /// news.
    pub fn run_short(
        &mut self,
        account: &str,
        channel: Channel,
        resource: LocalResource,
        reason: &str,
        now: Moment,
    ) -> bool {
        if resource == LocalResource::Ports {
            return self.pause_for(account, channel, PORTS_PAUSE, BlockKind::Shortage, reason, now);
        }
        let known = self.shortage.as_mut().and_then(|shortage| {
            let hold = shortage.hold.take()?;
            // Failures of requests that were begun before the pause count as one.
            let again = shortage.until <= now.at;
            Some((hold, if again { (shortage.pause * 2).min(PAUSE.1) } else { shortage.pause }))
        });
        let news = known.is_none();
        let (mut hold, pause) = known.unwrap_or_else(|| {
            let hold = Block {
                account: String::new(),
                channel: String::new(),
                kind: BlockKind::Shortage,
                reason: String::new(),
                since: now.wall,
                until: None,
            };
            (hold, PAUSE.0)
        });
        let until = now.at + pause;
        hold.reason = reason.to_owned();
        hold.until = Some(now.wall_at(until));
        self.shortage = Some(Shortage { hold: Some(hold), pause, until, most: 1 });
        self.shut_all();
        news
    }

    /// A request has gone out, so nothing is missing now. True when something was.
    pub fn has_enough(&mut self, now: Instant) -> bool {
        let Some(shortage) = self.shortage.as_mut().filter(|shortage| shortage.until <= now) else {
            return false;
        };
        shortage.most = shortage.most.saturating_add(1);
        let news = shortage.hold.take().is_some();
        if shortage.most >= self.budget.places {
            self.shortage = None;
        }
        news
    }

    pub(super) fn shortage_hold(&self) -> Option<&Block> {
        self.shortage.as_ref().and_then(|shortage| shortage.hold.as_ref())
    }

    /// When the pause of a shortage is over.
    pub(super) fn enough_at(&self, now: Instant) -> Option<Instant> {
        self.shortage.as_ref().map(|shortage| shortage.until).filter(|until| *until > now)
    }
}
