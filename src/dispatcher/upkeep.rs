//! Periodic work, and what the store has done without being asked: the plan of the upkeep, and the log.

use super::Dispatcher;
use super::sender::{AttemptSender, decide, interrupted};
use crate::queue::job::{Job, Millis, Status};
use crate::queue::report::Notice;
use crate::queue::when::now;
use crate::store::StoreError;
use crate::store::tenure::{Plan, TakeOver};
use tracing::{Level, debug, error, info, trace, warn};

impl Dispatcher {
    /// Jobs of accounts that are not configured fail with a sentence, unless the account is paused: it
    /// may be about to be configured. True: there are more.
    pub(super) async fn fail_unknown_accounts(&mut self) -> Result<bool, StoreError> {
        let mut accounts = std::mem::take(&mut self.agenda.ready_accounts);
        accounts
            .retain(|name| !self.sender.routes.has_account(name) && !self.paused.has_account(name));
        if accounts.is_empty() {
            return Ok(false);
        }
        let known = self.sender.routes.accounts();
        let report = self.tenure.fail_unknown_accounts(&accounts, &known).await?;
        let more = report.may_be_ready;
        self.sender.take_report(report);
        if more {
            let agenda = self.tenure.look().await?;
            self.saw(agenda);
        }
        Ok(more)
    }

    /// Decides the jobs of other nodes that have died.
    pub(super) async fn bury(&mut self) -> Result<(), StoreError> {
        let AttemptSender { config, metrics, .. } = &self.sender;
        let on_event = |event: TakeOver<'_>| match event {
            TakeOver::Recovered { jobs, ended, rows } => {
                warn!(jobs = rows, "another node has ended: the outcomes of its jobs were decided");
                for (job, _) in jobs {
                    metrics.route(&job.account, job.channel).interrupted();
                }
                metrics.recorded(ended);
            }
            TakeOver::Noticed(notice) => log_notice(&notice),
            TakeOver::StandingBy | TakeOver::Recovering => {}
        };
        let decide = |job: &Job, claimed_at| decide(config, job, interrupted(claimed_at));
        self.tenure.bury(decide, on_event).await
    }

    /// The store's housekeeping. True: jobs may have become ready as a result.
    pub(super) async fn upkeep(&mut self) -> Result<bool, StoreError> {
        let plan = self.plan();
        let kept = self.tenure.upkeep(&plan).await?;
        self.next_upkeep = kept.next;
        let freed = kept.report.may_be_ready;
        self.sender.take_report(kept.report);
        Ok(freed)
    }

    fn plan(&self) -> Plan {
        let kept = &self.sender.config.retention;
        let retention = [
            (Status::Sent, kept.sent),
            (Status::Failed, kept.failed),
            (Status::Cancelled, kept.cancelled),
        ];
        let channels = self.sender.config.channels.iter();
        Plan {
            retention: retention.into_iter().filter_map(|(s, age)| Some((s, age?))).collect(),
            scrub: channels.filter_map(|(c, policy)| Some((*c, policy.scrub?))).collect(),
            recorded_until: self.sender.jobs.all_recorded_until(Millis::MAX),
        }
    }

    /// If the wall clock was changed, moves what waits in memory as the store moves what is in backoff.
    pub(super) async fn follow_clock(&mut self) -> Result<(), StoreError> {
        let mut moved = false;
        while let Some(step) = self.tenure.follow_clock(now()).await? {
            moved = true;
            for ended in self.sender.jobs.to_record_mut() {
                let t = &mut ended.transition;
                if step.is_before(t.updated_at) {
                    t.next_attempt_at = t.next_attempt_at.map(|at| at + step.by);
                    t.budget_from = t.budget_from.map(|at| at + step.by);
                    t.updated_at += step.by;
                }
            }
        }
        if moved {
            let agenda = self.tenure.look().await?;
            self.saw(agenda);
        }
        Ok(())
    }
}

/// Writes it to the log of this program.
pub(crate) fn log_notice(notice: &Notice) {
    let Notice { level, sentence, job, rows, reason } = notice;
    match *level {
        Level::ERROR => error!(job, rows, error = reason, "{sentence}"),
        Level::WARN => warn!(job, rows, error = reason, "{sentence}"),
        Level::INFO => info!(job, rows, error = reason, "{sentence}"),
        Level::DEBUG => debug!(job, rows, error = reason, "{sentence}"),
        _ => trace!(job, rows, error = reason, "{sentence}"),
    }
}
