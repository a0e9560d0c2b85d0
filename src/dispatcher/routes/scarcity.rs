//! This machine has run out of something. No attempt is spent on it: all routes wait for a moment,
//! then send one job at a time, then more and more.

use super::{Moment, RouteId, Routes};
use crate::queue::block::{Block, BlockKind};
use crate::queue::outcome::LocalResource;
use tokio::time::{Duration, Instant};

/// How long everything waits, doubled from the first to the second while it lasts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));

/// How long a route waits when no local port is left for its address: closed connections free
/// theirs gradually.
const PORTS_PAUSE: Duration = Duration::from_secs(1);

/// A shortage that concerns every route.
pub(super) struct Scarcity {
    /// As people see it; `None` once a request has gone out again.
    block: Option<Block>,
    pause: Duration,
    until: Instant,
    /// How many jobs may be claimed at once, after the pause.
    most: u32,
}

impl Scarcity {
    /// How many jobs may be claimed at once at `now`.
    pub fn most(&self, now: Instant) -> u32 {
        if self.until > now { 0 } else { self.most }
    }
}

impl Routes {
    /// A request could not be begun because this machine is short of something. If that concerns
    /// only one address, its route waits, otherwise everything. True when this is news.
    pub fn run_short(
        &mut self,
        id: RouteId,
        resource: LocalResource,
        reason: &str,
        now: Moment,
    ) -> bool {
        if resource == LocalResource::Ports {
            return self.block_for(id, PORTS_PAUSE, BlockKind::Shortage, reason, now);
        }
        let known = self.scarcity.as_mut().and_then(|scarcity| {
            let block = scarcity.block.take()?;
            // Failures of requests that were begun before the pause count as one.
            let again = scarcity.until <= now.at;
            Some((block, if again { (scarcity.pause * 2).min(PAUSE.1) } else { scarcity.pause }))
        });
        let news = known.is_none();
        let (mut block, pause) = known.unwrap_or_else(|| {
            let block = Block {
                account: String::new(),
                channel: String::new(),
                kind: BlockKind::Shortage,
                reason: String::new(),
                since: now.wall,
                until: None,
            };
            (block, PAUSE.0)
        });
        let until = now.at + pause;
        block.reason = reason.to_owned();
        block.until = Some(now.wall_at(until));
        self.scarcity = Some(Scarcity { block: Some(block), pause, until, most: 1 });
        self.shut_all();
        news
    }

    /// A request has gone out, so nothing is missing now. True when something was.
    pub fn has_enough(&mut self, now: Instant) -> bool {
        let Some(scarcity) = self.scarcity.as_mut().filter(|scarcity| scarcity.until <= now) else {
            return false;
        };
        scarcity.most = scarcity.most.saturating_add(1);
        let news = scarcity.block.take().is_some();
        if scarcity.most >= self.capacity.jobs {
            self.scarcity = None;
        }
        news
    }

    pub(super) fn scarcity_block(&self) -> Option<&Block> {
        self.scarcity.as_ref().and_then(|scarcity| scarcity.block.as_ref())
    }

    /// When the pause of a shortage is over.
    pub(super) fn scarcity_ends(&self, now: Instant) -> Option<Instant> {
        self.scarcity.as_ref().map(|scarcity| scarcity.until).filter(|until| *until > now)
    }
}
