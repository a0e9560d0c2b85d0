//! What people have paused, for the log and the status line, and for jobs that were claimed before and wait
//! for a place. The claim itself reads the pauses.

use crate::queue::job::Channel;
use crate::queue::pause::Pause;
use crate::store::{StoreError, Tenure};
use std::time::Duration;
use tokio::time::Instant;
use tracing::info;

/// Every producer's commit may be a pause, but the pauses are not read more often than this.
const READ_EVERY: Duration = Duration::from_secs(1);

/// The pauses as they were read last.
pub(super) struct PauseWatch {
    pub(super) shown: Vec<Pause>,
    /// Another connection has committed since.
    stale: bool,
    next_read: Instant,
}

impl PauseWatch {
    pub(super) fn new() -> PauseWatch {
        PauseWatch { shown: Vec::new(), stale: true, next_read: Instant::now() }
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

    /// Logs which pauses have begun and ended since the last call. True: some have. `at_once`: jobs that
    /// are claimed and not sent would go out meanwhile.
    pub(super) async fn follow(
        &mut self,
        tenure: &mut Tenure,
        at_once: bool,
    ) -> Result<bool, StoreError> {
        if !self.stale || !at_once && self.next_read > Instant::now() {
            return Ok(false);
        }
        let before = std::mem::replace(&mut self.shown, tenure.pauses().await?);
        self.stale = false;
        self.next_read = Instant::now() + READ_EVERY;
        let among = |pauses: &[Pause], pause: &Pause| {
            pauses.iter().any(|p| (&p.account, p.channel) == (&pause.account, pause.channel))
        };
        for pause in self.shown.iter().filter(|pause| !among(&before, pause)) {
            info!(what = pause.subject(), reason = pause.reason, "paused: its jobs wait");
        }
        for pause in before.iter().filter(|pause| !among(&self.shown, pause)) {
            info!(what = pause.subject(), "resumed: its jobs go out again");
        }
        Ok(before != self.shown)
    }

    /// Whether a job of this account and channel waits for a person.
    pub(super) fn keeps_back(&self, account: &str, channel: Channel) -> bool {
        self.shown.iter().any(|pause| pause.concerns(account, channel.as_str()))
    }

    /// Whether a restored backup is paused until a person decides.
    pub(super) fn has_restored(&self) -> bool {
        self.shown.iter().any(Pause::is_of_restored)
    }
}
