//! Claims the messages whose delivery is to be asked about, and records what Acquire says about them.

use super::Dispatcher;
use super::follower::FollowUpAnswer;
use super::readers::lease;
use crate::metrics::FollowUpResult;
use crate::queue::follow_up::{FollowUp, FollowedJob, is_given_up, next_follow_up};
use crate::queue::unreadable::ReadPurpose;
use crate::queue::when::now;
use crate::store::StoreError;
use tokio::time::Instant;
use tracing::{debug, warn};

impl Dispatcher {
    /// Records what Acquire has said, and asks about other messages. No job's state changes because of it.
    ///
    /// # Errors
    /// Only those after which nothing more may be written: an answer that cannot be recorded is asked for
    /// again.
    pub(super) async fn follow_up(&mut self) -> Result<(), StoreError> {
        while let Some(answer) = self.follower.next_answer() {
            let id = answer.job.id;
            match self.record_answer(answer).await {
                Err(e) if e.is_final() => return Err(e),
                Err(e) => {
                    warn!(job = id, error = %e, "what became of a message cannot be recorded; Acquire will be asked again");
                    self.follower.store_failed();
                }
                Ok(()) => {}
            }
        }
        let due = self.follower.next(self.agenda.next_follow_up, Instant::now());
        if due.is_some_and(|at| at <= Instant::now()) {
            match self.take_follow_ups().await {
                Err(e) if e.is_final() => return Err(e),
                Err(e) => {
                    warn!(error = %e, "sent messages cannot be claimed for follow-up; trying again");
                    self.follower.store_failed();
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    async fn take_follow_ups(&mut self) -> Result<(), StoreError> {
        let places = self.follower.places();
        let alone = self.readers.left_alone(&self.sender.routes);
        let lease = lease(&self.sender.config);
        let take = self.tenure.take_follow_ups(places, &alone, now(), lease);
        let jobs = self.sender.while_sending(take).await?;
        if jobs.len() < places {
            self.follower.took_all();
        }
        for job in jobs {
            match self.sender.config.channels[&job.channel].follow_up {
                Some(_) => self.follower.ask(job, &mut self.readers, &self.sender.config),
                // It was configured when the message was sent.
                None => self.end_follow_up(&job).await?,
            }
        }
        Ok(())
    }

    async fn end_follow_up(&mut self, job: &FollowedJob) -> Result<(), StoreError> {
        let record = self.tenure.record_follow_up(job, None, false, None, now());
        self.sender.while_sending(record).await?;
        Ok(())
    }

    async fn record_answer(&mut self, answer: FollowUpAnswer) -> Result<(), StoreError> {
        let FollowUpAnswer { job, begun, follow_up } = answer;
        let policy = &self.sender.config.channels[&job.channel];
        let (pause, patience) = (policy.follow_up, policy.retry.give_up_after);
        let (result, event, next) = match follow_up {
            FollowUp::Answer(event) => {
                self.readers.answered(&job.account);
                self.can_read(&job.account, job.channel, ReadPurpose::FollowUp).await?;
                let result = event.map_or(FollowUpResult::Nothing, |event| event.state.into());
                (result, event, next_follow_up(pause, event, job.sent_at, now()))
            }
            FollowUp::Unclear(fault) => {
                debug!(
                    job = job.id,
                    code = fault.code,
                    error = fault.message,
                    "Acquire does not say what became of a message"
                );
                self.readers.answered(&job.account);
                (FollowUpResult::Unclear, None, next_follow_up(pause, None, job.sent_at, now()))
            }
            FollowUp::Impossible(fault) => {
                self.readers.answered(&job.account);
                let (account, channel) = (&job.account, job.channel);
                self.cannot_read(account, channel, ReadPurpose::FollowUp, &fault).await?;
                (FollowUpResult::Impossible, None, next_follow_up(pause, None, job.sent_at, now()))
            }
            FollowUp::Later { fault, retry_after } => {
                self.readers.silent(&job.account, begun, retry_after);
                self.sender.metrics.followed_up(
                    &job.account,
                    job.channel,
                    FollowUpResult::NoAnswer,
                );
                debug!(
                    job = job.id,
                    account = job.account,
                    code = fault.code,
                    error = fault.message,
                    "Acquire did not answer when asked what became of a message"
                );
                // It is asked again after its lease.
                return match is_given_up(pause, patience, job.sent_at, now()) {
                    true => self.end_follow_up(&job).await,
                    false => Ok(()),
                };
            }
        };
        let answered = result.is_an_answer();
        let record = self.tenure.record_follow_up(&job, event, answered, next, now());
        let recorded = self.sender.while_sending(record).await?;
        if recorded {
            self.sender.metrics.followed_up(&job.account, job.channel, result);
            self.service.changed();
        }
        debug!(job = job.id, found = result.as_str(), recorded, "asked what became of a message");
        Ok(())
    }
}
