//! What an answer says about more than its own job: the account, the channel. The routes react at
//! once; what `status` shows of it is kept in the database.

use super::Dispatcher;
use super::wire::Wire;
use crate::acquire::RETRY_AFTER_MAX;
use crate::dispatcher::routes::Moment;
use crate::queue::block::BlockKind;
use crate::queue::job::{Channel, Job};
use crate::queue::outcome::{Fault, PageVerdict};
use crate::queue::transition::Signal;
use crate::queue::when::now;
use crate::store::StoreError;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{info, warn};

impl Wire {
    /// The gates react at once, before the outcome is on disk.
    pub(super) fn heed(&mut self, job: &Job, signal: &Signal) {
        let now = Moment { at: Instant::now(), wall: now() };
        let (account, channel) = (job.account.as_str(), job.channel);
        let in_ms = |next: Option<Instant>| next.map(|next| (next - now.at).as_millis());
        if !matches!(signal, Signal::Shortage { .. }) && self.routes.has_enough(now.at) {
            info!("this machine can open new connections again");
        }
        match signal {
            Signal::None => {}
            Signal::Shortage { fault, resource } => {
                if self.routes.run_short(account, channel, *resource, &fault.message, now) {
                    warn!(account, %channel, code = fault.code, reason = fault.message,
                        "this machine is short of a resource: jobs wait, and no attempt is spent");
                }
            }
            Signal::Works => {
                self.routes.answered(job.id, account, channel, now.at);
                self.works(account, channel);
            }
            Signal::NoUsableAnswer { fault } => {
                let next = self.routes.trouble(account, channel, &fault.message, now);
                if next.is_some() {
                    warn!(account, %channel, code = fault.code, next_probe_ms = in_ms(next),
                        "failures in a row: the breaker opens, jobs wait while single probes go out");
                }
            }
            Signal::AccountRefused { fault } => {
                let (next, news) = self.routes.refuse(account, channel, &fault.message, now);
                if news {
                    warn!(
                        account,
                        code = fault.code,
                        next_probe_ms = in_ms(next),
                        "Acquire refuses the \
                        account: its jobs wait while single probes go out; check its key and address"
                    );
                }
            }
            Signal::RetryAfter { delay, fault } => {
                if self.routes.hold(account, channel, *delay, &fault.message, now) {
                    let seconds = delay.as_secs();
                    warn!(account, %channel, code = fault.code, seconds,
                        "Acquire asked for a pause: the channel waits");
                }
            }
        }
    }

    /// A job got a page that Acquire did not write, `took` after its request was begun; `current`:
    /// the request used the account's current settings.
    pub(super) fn met_page(
        &mut self,
        job: &Job,
        fault: &mut Fault,
        took: Duration,
        current: bool,
    ) -> PageVerdict {
        if !current {
            return PageVerdict::Again { pause: self.config.retry.initial };
        }
        let now = Moment { at: Instant::now(), wall: now() };
        let (id, account, channel) = (job.id, job.account.as_str(), job.channel);
        let began = now.at.checked_sub(took).unwrap_or(now.at);
        let (verdict, news) = self.routes.page(id, (account, channel), &fault.message, began, now);
        if news {
            warn!(job = id, account, %channel, code = fault.code,
                "an answer did not come from Acquire: the account's jobs wait while single probes \
                go out with other jobs; check what is between this machine and Acquire");
        }
        if verdict == PageVerdict::OnlyThisMessage {
            warn!(job = id, account, %channel, code = fault.code,
                "only this message gets answers that are not from Acquire: it ends as failed");
            fault.message += " (Acquire answered other messages meanwhile)";
        }
        verdict
    }

    pub(super) fn works(&mut self, account: &str, channel: Channel) {
        let news = self.routes.works(account, channel);
        if news.accepted {
            info!(account, "Acquire accepts the account again");
        }
        if news.closed {
            info!(account, %channel, "an answer came: the breaker closes");
        }
    }
}

impl Dispatcher {
    /// A refusal is found out anew by the first request; a Retry-After still runs.
    pub(super) async fn resume_blocks(&mut self) -> Result<(), StoreError> {
        self.shown_blocks = self.tenure.blocks().await?;
        let now = Moment { at: Instant::now(), wall: now() };
        for hold in self.shown_blocks.iter().filter(|h| h.kind == BlockKind::RetryAfter) {
            let until = hold.until.unwrap_or(0);
            // No longer than it was: the clock may have been set back since.
            let left = until.saturating_sub(now.wall).min(until.saturating_sub(hold.since));
            let left = u64::try_from(left).unwrap_or(0);
            if let (Ok(channel), 1..) = (hold.channel.parse(), left) {
                // A clock that was wrong then makes it no longer than it can have been.
                let pause = Duration::from_millis(left).min(RETRY_AFTER_MAX);
                self.wire.routes.hold(&hold.account, channel, pause, &hold.reason, now);
            }
        }
        Ok(())
    }

    /// Keeps the holds in the database those of the routes, for `status` and `show`.
    pub(super) async fn show_blocks(&mut self) -> Result<(), StoreError> {
        let holds = self.wire.routes.blocks();
        if !holds.iter().copied().eq(&self.shown_blocks) {
            let holds: Vec<_> = holds.into_iter().cloned().collect();
            self.tenure.publish_blocks(&holds).await?;
            self.shown_blocks = holds;
        }
        Ok(())
    }
}
