//! What a person has paused, for the log and the status line. The claim itself looks, so nothing
//! here decides what is sent.

use super::Dispatcher;
use crate::queue::pause::Pause;
use crate::store::StoreError;
use std::time::Duration;
use tokio::time::Instant;
use tracing::info;

/// Every producer's commit may be a pause: it is not looked at more often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The pauses as they were read last.
pub(super) struct PauseWatch {
    pub(super) shown: Vec<Pause>,
    /// Another connection has committed since.
    stale: bool,
    next_look: Instant,
}

impl PauseWatch {
    pub(super) fn new() -> PauseWatch {
        PauseWatch { shown: Vec::new(), stale: true, next_look: Instant::now() }
    }

    /// Whether all of an account waits for a person.
    pub(super) fn has_account(&self, account: &str) -> bool {
        let whole = |pause: &Pause| pause.channel.is_none();
        let named = |pause: &Pause| pause.account.as_deref().is_none_or(|own| own == account);
        self.shown.iter().any(|pause| whole(pause) && named(pause))
    }

    pub(super) fn may_have_changed(&mut self) {
        self.stale = true;
    }
}

impl Dispatcher {
    /// Says which pauses have begun and ended since the last look.
    pub(super) async fn follow_pauses(&mut self) -> Result<(), StoreError> {
        if !self.paused.stale || self.paused.next_look > Instant::now() {
            return Ok(());
        }
        let now = self.tenure.pauses().await?;
        let before = std::mem::replace(&mut self.paused.shown, now);
        self.paused.stale = false;
        self.paused.next_look = Instant::now() + LOOK_EVERY;
        let restored = self.paused.shown.iter().any(Pause::is_of_restored);
        self.wire.metrics.hold_restored(restored);
        let among = |pauses: &[Pause], pause: &Pause| {
            pauses.iter().any(|p| (&p.account, p.channel) == (&pause.account, pause.channel))
        };
        for pause in self.paused.shown.iter().filter(|pause| !among(&before, pause)) {
            info!(what = pause.subject(), reason = pause.reason, "paused: its jobs wait");
        }
        for pause in before.iter().filter(|pause| !among(&self.paused.shown, pause)) {
            info!(what = pause.subject(), "resumed: its jobs go on");
        }
        if before != self.paused.shown {
            self.service.changed();
        }
        Ok(())
    }
}
