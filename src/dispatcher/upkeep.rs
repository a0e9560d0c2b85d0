//! What is done now and then: retention, and jobs that have no way out.

use super::Dispatcher;
use crate::job::Status;
use crate::store::{StoreError, now};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, warn};

/// The most rows of one upkeep transaction, and how often there is one when it finds little.
const UPKEEP_BATCH: i64 = 500;
const UPKEEP_EVERY: Duration = Duration::from_secs(60);

impl Dispatcher {
    /// Jobs of accounts that nobody has configured fail with a sentence, unless the account is
    /// paused: it may be on its way into the configuration. True: there are more.
    pub(super) async fn fail_unknown_accounts(&mut self) -> Result<bool, StoreError> {
        let mut accounts = std::mem::take(&mut self.agenda.ready_accounts);
        accounts.retain(|name| !self.routes.has_account(name) && !self.paused.has_account(name));
        let mut more = false;
        for account in &accounts {
            let known = self.routes.accounts().join(", ");
            let sentence = format!("account: `{account}` is not configured; configured: {known}");
            let failed = self.store.fail_unknown_account(account, &sentence).await?;
            warn!(account, failed, "jobs for an account that is not configured failed as invalid");
            more |= failed > 0;
            // Each may have held back a job of another account.
            self.routes.stir();
            let agenda = self.store.look().await?;
            self.saw(agenda);
        }
        Ok(more)
    }

    /// Retention, in batches; a full batch is followed by another soon.
    pub(super) async fn upkeep(&mut self) -> Result<(), StoreError> {
        if self.next_upkeep > Instant::now() {
            return Ok(());
        }
        let kept = &self.config.retention;
        let limits = [
            (Status::Sent, kept.sent),
            (Status::Failed, kept.failed),
            (Status::Cancelled, kept.cancelled),
        ];
        let mut pause = UPKEEP_EVERY;
        for (status, age) in limits {
            let Some(age) = age else { continue };
            let before = now() - i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            let pruned = self.store.prune(status, before, UPKEEP_BATCH).await?;
            if pruned > 0 {
                debug!(%status, pruned, "finished jobs pruned");
            }
            if pruned == UPKEEP_BATCH as u64 {
                pause = Duration::from_millis(200);
            }
        }
        if self.store.forget_statistics().await? {
            debug!("another program has run ANALYZE: the outbox's part of it is forgotten");
        }
        self.next_upkeep = Instant::now() + pause;
        Ok(())
    }
}
