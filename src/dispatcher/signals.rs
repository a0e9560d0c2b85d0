//! What an answer says about more than its own job: the account, the channel, this machine. The
//! routes react at once, before the outcome is on disk, and the log says what has changed.

use crate::dispatcher::routes::{Moment, RouteId, Routes};
use crate::queue::job::Job;
use crate::queue::outcome::{Fault, PageVerdict};
use crate::queue::transition::Signal;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{info, warn};

impl Routes {
    /// A request of `job` over this route has ended with this signal.
    pub(super) fn react(&mut self, job: &Job, route: RouteId, signal: &Signal, now: Moment) {
        let (account, channel) = (job.account.as_str(), job.channel);
        let in_ms = |next: Option<Instant>| next.map(|next| (next - now.at).as_millis());
        if !matches!(signal, Signal::Shortage { .. }) && self.has_enough(now.at) {
            info!("this machine can open new connections again");
        }
        match signal {
            Signal::None => {}
            Signal::Shortage { fault, resource } => {
                if self.run_short(route, *resource, &fault.message, now) {
                    warn!(account, %channel, code = fault.code, reason = fault.message,
                        "this machine is short of a resource: jobs wait, and no attempt is spent");
                }
            }
            Signal::Works => {
                self.answered(job.id, route, now.at);
                let news = self.works(route);
                if news.accepted {
                    info!(account, "Acquire accepts the account again");
                }
                if news.closed {
                    info!(account, %channel, "an answer arrived: the breaker closes");
                }
            }
            Signal::NoUsableAnswer { fault } => {
                let next = self.failed(route, &fault.message, now);
                if next.is_some() {
                    warn!(account, %channel, code = fault.code, next_probe_ms = in_ms(next),
                        "too many failures in a row: the breaker opens, and jobs wait while single probes go out");
                }
            }
            Signal::AccountRefused { fault } => {
                let (next, news) = self.refuse(route, &fault.message, now);
                if news {
                    warn!(
                        account,
                        code = fault.code,
                        next_probe_ms = in_ms(next),
                        "Acquire refuses the account: its jobs wait while single probes go out; \
                        check its key and address"
                    );
                }
            }
            Signal::RetryAfter { delay, fault } => {
                if self.retry_after(route, *delay, &fault.message, now) {
                    let seconds = delay.as_secs();
                    warn!(account, %channel, code = fault.code, seconds,
                        "Acquire asked for a pause: the channel waits");
                }
            }
        }
    }

    /// A job got a page that Acquire did not write, `took` after its request was begun.
    pub(super) fn judge_page(
        &mut self,
        job: &Job,
        route: RouteId,
        fault: &mut Fault,
        took: Duration,
    ) -> PageVerdict {
        let now = Moment::now();
        let (id, account, channel) = (job.id, job.account.as_str(), job.channel);
        let began = now.at.checked_sub(took).unwrap_or(now.at);
        let (verdict, news) = self.page(id, route, &fault.message, began, now);
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
}
