//! What is done now and then: retention, scrubbing, the size of the file, and jobs that have no
//! way out.

use super::Dispatcher;
use crate::queue::job::{Channel, Failure, Millis, Status};
use crate::queue::when::now;
use crate::store::StoreError;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, warn};

/// How often there is upkeep, how often where words are to be removed sooner than that, and how
/// soon after a batch that left some over: producers write in between.
const UPKEEP_EVERY: Duration = Duration::from_secs(60);
const SCRUB_EVERY: Duration = Duration::from_secs(5);
const NEXT_BATCH: Duration = Duration::from_millis(200);
/// Scrubbing stays this far behind, so that a clock that is set back a little is not before it.
const SCRUB_BEHIND: Duration = Duration::from_secs(5);

impl Dispatcher {
    /// Jobs of accounts that nobody has configured fail with a sentence, unless the account is
    /// paused: it may be on its way into the configuration. True: there are more.
    pub(super) async fn fail_unknown_accounts(&mut self) -> Result<bool, StoreError> {
        let mut accounts = std::mem::take(&mut self.agenda.ready_accounts);
        accounts
            .retain(|name| !self.sender.routes.has_account(name) && !self.paused.has_account(name));
        let mut more = false;
        for account in &accounts {
            let known = self.sender.routes.accounts().join(", ");
            let sentence = format!("account: `{account}` is not configured; configured: {known}");
            let failed = self.store.fail_unknown_account(account, &sentence).await?;
            if failed.is_empty() {
                continue;
            }
            self.sender.failed(&failed, Failure::Invalid);
            warn!(
                account,
                failed = failed.len(),
                "jobs for an account that is not configured failed as invalid"
            );
            more = true;
            // Each may have held back a job of another account.
            self.sender.routes.expect_jobs();
            let agenda = self.store.look().await?;
            self.saw(agenda);
        }
        Ok(more)
    }

    /// Retention, scrubbing and the size of the file, in small steps; where there is more to do,
    /// the next ones follow soon. What fails is tried again later: messages go out meanwhile.
    ///
    /// # Errors
    /// Those alone after which the loop must end.
    pub(super) async fn upkeep(&mut self) -> Result<(), StoreError> {
        if self.next_upkeep > Instant::now() {
            return Ok(());
        }
        let soon = self.scrub_ages().any(|(_, age)| age < UPKEEP_EVERY);
        let mut pause = if soon { SCRUB_EVERY } else { UPKEEP_EVERY };
        let steps = [
            self.prune().await,
            self.scrub().await,
            self.store.forget_taken_keys().await,
            self.shrink().await,
            self.forget_statistics().await,
        ];
        for step in steps {
            match step {
                Ok(true) => pause = NEXT_BATCH,
                Ok(false) => {}
                Err(e) if e.is_final() => return Err(e),
                Err(e) => warn!(error = %e, "upkeep failed and is tried again; messages go out"),
            }
        }
        self.next_upkeep = Instant::now() + pause;
        Ok(())
    }

    /// True: there is more to give back.
    async fn shrink(&mut self) -> Result<bool, StoreError> {
        let shrunk = self.store.shrink().await?;
        if shrunk.pages > 0 {
            debug!(pages = shrunk.pages, "free pages given back to the file system");
        }
        Ok(shrunk.more)
    }

    async fn forget_statistics(&mut self) -> Result<bool, StoreError> {
        if self.store.forget_statistics().await? {
            debug!("another program has run ANALYZE: the outbox's part of it is forgotten");
        }
        Ok(false)
    }

    /// A batch of each kind; true: there are more.
    async fn prune(&mut self) -> Result<bool, StoreError> {
        let kept = &self.sender.config.retention;
        let limits = [
            (Status::Sent, kept.sent),
            (Status::Failed, kept.failed),
            (Status::Cancelled, kept.cancelled),
        ];
        let mut more = false;
        for (status, age) in limits {
            let Some(age) = age else { continue };
            let pruned = self.store.prune(status, before(now(), age)).await?;
            if pruned.rows > 0 {
                debug!(%status, pruned = pruned.rows, "finished jobs pruned");
            }
            more |= pruned.more;
        }
        Ok(more)
    }

    /// A batch of each channel; true: there are more.
    async fn scrub(&mut self) -> Result<bool, StoreError> {
        let ages: Vec<_> = self.scrub_ages().collect();
        let mut more = false;
        for (channel, age) in ages {
            let until = self.sender.jobs.all_recorded_until(before(now(), age.max(SCRUB_BEHIND)));
            let scrubbed = self.store.scrub(channel, until).await?;
            if scrubbed.rows > 0 {
                debug!(%channel, scrubbed = scrubbed.rows, "the words of sent messages removed");
            }
            more |= scrubbed.more;
        }
        Ok(more)
    }

    fn scrub_ages(&self) -> impl Iterator<Item = (Channel, Duration)> {
        let channels = self.sender.config.channels.iter();
        channels.filter_map(|(channel, policy)| policy.scrub.map(|age| (*channel, age)))
    }
}

fn before(now: Millis, age: Duration) -> Millis {
    now.saturating_sub(Millis::try_from(age.as_millis()).unwrap_or(Millis::MAX))
}
