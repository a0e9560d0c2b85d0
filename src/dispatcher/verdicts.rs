//! Claims messages to be looked up at Acquire, and records what was found there.

use super::Dispatcher;
use super::readers::lease;
use super::verifier::Shown;
use crate::metrics::Look;
use crate::queue::doubt::{DoubtfulJob, seen_json};
use crate::queue::ended::Ended;
use crate::queue::job::{Job, Millis, Status};
use crate::queue::transition::{Transition, Wait, after_look, look_again, not_verifiable};
use crate::queue::unreadable::ReadPurpose;
use crate::queue::verification::{Likeness, Reading, Verdict, judge};
use crate::queue::when::now;
use crate::store::StoreError;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, warn};

impl Dispatcher {
    /// Records the results of lookups, and begins others. True: jobs may have become ready as a result.
    ///
    /// # Errors
    /// Only those after which nothing more may be written: a lookup that cannot be recorded is repeated.
    pub(super) async fn verify(&mut self) -> Result<bool, StoreError> {
        let mut moved = false;
        while let Some(shown) = self.verifier.next_answer() {
            let id = shown.doubt.job.id;
            match self.record_shown(shown).await {
                Ok(changed) => moved |= changed,
                Err(e) if e.is_final() => return Err(e),
                Err(e) => {
                    warn!(job = id, error = %e, "what was found at Acquire cannot be recorded; the message will be looked up again");
                    self.verifier.store_failed();
                }
            }
        }
        let due = self.verifier.next(self.agenda.next_look, Instant::now());
        if due.is_some_and(|at| at <= Instant::now()) {
            match self.take_sought().await {
                Err(e) if e.is_final() => return Err(e),
                Err(e) => {
                    warn!(error = %e, "jobs whose outcome is unknown cannot be claimed for verification; trying again");
                    self.verifier.store_failed();
                }
                Ok(()) => {}
            }
        }
        if moved {
            self.sender.routes.expect_jobs();
            let agenda = self.tenure.look().await?;
            self.saw(agenda);
        }
        // What needs no request is answered at once.
        Ok(moved || self.verifier.has_answers())
    }

    async fn take_sought(&mut self) -> Result<(), StoreError> {
        let places = self.verifier.places();
        let alone = self.readers.left_alone(&self.sender.routes);
        let lease = lease(&self.sender.config);
        let take = self.tenure.take_sought(places, &alone, now(), lease);
        let doubts = self.sender.while_sending(take).await?;
        if doubts.len() < places {
            self.verifier.took_all();
        }
        for doubt in doubts {
            self.verifier.look(doubt, &mut self.readers, &self.sender.config);
        }
        Ok(())
    }

    /// Whether the job has left its verification.
    async fn record_shown(&mut self, shown: Shown) -> Result<bool, StoreError> {
        let Shown { doubt: DoubtfulJob { job, sought }, next, begun, reading } = shown;
        let policy = self.sender.config.channels[&job.channel].clone();
        let (look, mut transition, seen) = match reading {
            Reading::Later { fault, retry_after, .. } => {
                let pause = self.readers.silent(&job.account, begun, retry_after);
                debug!(
                    job = job.id,
                    account = job.account,
                    code = fault.code,
                    error = fault.message,
                    "Acquire did not answer when a message was looked up"
                );
                let transition = match age(sought.until) > policy.retry.give_up_after {
                    true => not_verifiable(&job, fault, now()),
                    false => look_again(&job, after(pause), now()),
                };
                (Look::NoAnswer, transition, None)
            }
            Reading::Nowhere { fault } => {
                (Look::Impossible, not_verifiable(&job, fault, now()), None)
            }
            Reading::Impossible { fault } => {
                self.readers.answered(&job.account);
                let (account, channel) = (&job.account, job.channel);
                self.cannot_read(account, channel, ReadPurpose::Verify, &fault).await?;
                (Look::Impossible, not_verifiable(&job, fault, now()), None)
            }
            Reading::Complete { .. } | Reading::Partial { .. } => {
                self.readers.answered(&job.account);
                if matches!(reading, Reading::Complete { .. }) {
                    self.can_read(&job.account, job.channel, ReadPurpose::Verify).await?;
                }
                let candidates = match &reading {
                    Reading::Complete { candidates } | Reading::Partial { candidates, .. } => {
                        candidates
                    }
                    _ => &Vec::new(),
                };
                let ids: Vec<_> = candidates.iter().map(|seen| seen.message_id.as_str()).collect();
                let recorded = self.tenure.recorded_ids(&sought, &ids).await?;
                let others = candidates.iter().filter(|seen| !recorded.contains(&seen.message_id));
                let others: Vec<_> = others.cloned().collect();
                let same = others.iter().any(|seen| seen.likeness == Likeness::Same);
                let has_rival = same && self.tenure.has_rival(&sought).await?;
                let verdict = judge(reading, &recorded, has_rival);
                let look = match verdict {
                    Verdict::Sent(_) => Look::Sent,
                    Verdict::NotDelivered => Look::NotDelivered,
                    Verdict::Unclear { .. } => Look::Unclear,
                };
                let transition = after_look(&job, verdict, &policy, next, now());
                (look, transition, Some(seen_json(&others)))
            }
        };
        if self.sender.config.sandbox && transition.status == Status::Sent {
            transition.receipt.fields.insert("sandbox".to_owned(), true.into());
        }
        self.sender.metrics.looked(&job.account, job.channel, look);
        let record = self.tenure.record_verdict(&sought, &transition, seen.as_deref());
        let recorded = self.sender.while_sending(record).await?;
        debug!(job = job.id, look = sought.round, found = look.as_str(), status = %transition.status, recorded,
            "looked up a message at Acquire");
        let left = recorded && transition.wait != Some(Wait::Verifying);
        if left {
            self.count(transition, &job, sought.since);
        }
        Ok(left)
    }

    fn count(&mut self, transition: Transition, job: &Job, started_at: Millis) {
        let sent = transition.status == Status::Sent;
        self.sender.sent += u64::from(sent);
        let ended = Ended {
            transition,
            account: job.account.clone(),
            channel: job.channel,
            due_at: job.due_at,
            http_status: None,
            started_at,
            duration_ms: 0,
        };
        self.sender.metrics.recorded([&ended]);
        self.sender.bad_ends.recorded(&[ended]);
        self.service.changed();
    }
}

fn age(since: Millis) -> Duration {
    Duration::from_millis(u64::try_from(now() - since).unwrap_or(0))
}

fn after(pause: Duration) -> Millis {
    now().saturating_add(Millis::try_from(pause.as_millis()).unwrap_or(Millis::MAX))
}
