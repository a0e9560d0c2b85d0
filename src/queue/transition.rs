//! The state machine, pure: what an attempt's outcome makes of its job.
//!
//! [`decide`] is the only place that turns an outcome into a state; the store writes what it
//! says, and the database's triggers refuse what the machine does not know.

use crate::config::{ChannelPolicy, OnUncertain};
use crate::queue::job::{Failure, Job, Millis, Status};
use crate::queue::outcome::{Fault, Outcome, PageVerdict, Receipt, Scarce};
use crate::queue::retry;
use std::time::Duration;

/// Why a job is `pending`; the helper column `wait`. The other two reasons, `scheduled` and
/// `parked`, are the triggers' to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Claimable now.
    Ready,
    /// Not before `next_attempt_at`.
    Backoff,
}

/// The `outcome` of a row in `outbox_attempts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AttemptKind {
    Accepted,
    Rejected,
    Retry,
    Uncertain,
}

/// What an outcome says about more than its own job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// No request was made, or the account's own signal says it all.
    None,
    /// A usable answer came: the account is accepted, the channel works.
    Works,
    /// None came: the channel's endpoint may be down.
    Trouble { fault: Fault },
    /// The account is refused or misconfigured: all its jobs wait.
    AccountRefused { fault: Fault },
    /// `Retry-After`: the whole channel of the account waits this long.
    HoldChannel { pause: Duration, fault: Fault },
    /// This machine ran out of something: nothing was sent, and nothing was learnt about the
    /// account.
    Shortage { fault: Fault, scarce: Scarce },
}

/// One UPDATE of a job that is `sending`, with its fence, and the history row beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// The fence: the row must still be `sending` with this id, attempt and claim.
    pub id: i64,
    pub fence_attempts: i64,
    pub fence_claim: i64,
    pub status: Status,
    /// Only while `pending`.
    pub wait: Option<Wait>,
    pub next_attempt_at: Option<Millis>,
    pub attempts: i64,
    pub unspent: i64,
    pub uncertain_attempts: i64,
    pub budget_from: Option<Millis>,
    pub receipt: Receipt,
    pub failure: Option<Failure>,
    pub fault: Option<Fault>,
    pub finished_at: Option<Millis>,
    pub updated_at: Millis,
    /// `None` where no request was made.
    pub history: Option<AttemptKind>,
    pub signal: Signal,
}

/// Decides what becomes of `job` after an attempt. `now` is the wall clock in milliseconds; only
/// the jitter of a retry's delay is not a function of the arguments.
pub fn decide(job: &Job, outcome: Outcome, policy: &ChannelPolicy, now: Millis) -> Transition {
    let next = Transition::unchanged(job, now);
    match outcome {
        Outcome::Accepted { receipt, note } => next.accepted(receipt, note).signal(Signal::Works),
        Outcome::Rejected { fault, receipt } => next.rejected(receipt, fault).signal(Signal::Works),
        Outcome::Unavailable { fault, retry_after } => {
            let signal = match retry_after {
                Some(pause) => Signal::HoldChannel { pause, fault: fault.clone() },
                None => Signal::Trouble { fault: fault.clone() },
            };
            let at_least = retry_after.unwrap_or_default();
            next.again(job, policy, fault, at_least, AttemptKind::Retry).signal(signal)
        }
        Outcome::NotWritten { fault } => next
            .again(job, policy, fault.clone(), Duration::ZERO, AttemptKind::Retry)
            .signal(Signal::Trouble { fault: fault.clone() }),
        Outcome::AccountRefused { fault } => {
            next.unspent(job, fault.clone()).signal(Signal::AccountRefused { fault: fault.clone() })
        }
        // The routes learned of it when they gave the verdict.
        Outcome::NotAcquires { fault, verdict: PageVerdict::Again { pause } } => {
            next.unspent(job, fault).not_before(pause)
        }
        Outcome::NotAcquires { fault, verdict: PageVerdict::ItAlone } => {
            next.rejected(Receipt::default(), fault)
        }
        Outcome::Unknown { fault } => next
            .unknown(job, policy, fault.clone())
            .signal(Signal::Trouble { fault: fault.clone() }),
        Outcome::Invalid { fault } => next.invalid(fault),
        Outcome::Shortage { fault, scarce } => Transition {
            fault: Some(fault.clone()),
            ..next.withdrawn(job).signal(Signal::Shortage { fault, scarce })
        },
        Outcome::Withdrawn => next.withdrawn(job),
    }
}

/// Attempts that count against the budget, the current one included.
fn spent(job: &Job) -> i64 {
    job.attempts - job.unspent
}

/// One constructor per transition; each sets exactly the columns that are its own.
impl Transition {
    fn unchanged(job: &Job, now: Millis) -> Self {
        Transition {
            id: job.id,
            fence_attempts: job.attempts,
            fence_claim: job.claim,
            status: Status::Sending,
            wait: None,
            next_attempt_at: None,
            attempts: job.attempts,
            unspent: job.unspent,
            uncertain_attempts: job.uncertain_attempts,
            budget_from: Some(job.budget_from),
            receipt: Receipt::default(),
            failure: None,
            fault: None,
            finished_at: None,
            updated_at: now,
            history: None,
            signal: Signal::None,
        }
    }

    fn signal(self, signal: Signal) -> Self {
        Transition { signal, ..self }
    }

    fn accepted(self, receipt: Receipt, note: Option<Fault>) -> Self {
        Transition {
            status: Status::Sent,
            receipt,
            fault: note,
            finished_at: Some(self.updated_at),
            history: Some(AttemptKind::Accepted),
            ..self
        }
    }

    fn failed(self, failure: Failure, fault: Fault) -> Self {
        Transition {
            status: Status::Failed,
            failure: Some(failure),
            fault: Some(fault),
            finished_at: Some(self.updated_at),
            ..self
        }
    }

    fn rejected(self, receipt: Receipt, fault: Fault) -> Self {
        Transition { receipt, history: Some(AttemptKind::Rejected), ..self }
            .failed(Failure::Rejected, fault)
    }

    /// No request was made, so none is counted.
    fn invalid(self, fault: Fault) -> Self {
        Transition { attempts: self.attempts - 1, ..self }.failed(Failure::Invalid, fault)
    }

    /// Back in line after a pause, or `exhausted` when attempts or time are used up.
    fn again(
        self,
        job: &Job,
        policy: &ChannelPolicy,
        fault: Fault,
        at_least: Duration,
        kind: AttemptKind,
    ) -> Self {
        let next = Transition { history: Some(kind), ..self };
        match next.next_attempt(job, policy, at_least) {
            Ok(at) => Transition {
                status: Status::Pending,
                wait: Some(Wait::Backoff),
                next_attempt_at: Some(at),
                fault: Some(fault),
                ..next
            },
            Err(used_up) => {
                let message = format!("{} ({used_up})", fault.message);
                next.failed(Failure::Exhausted, Fault { message, ..fault })
            }
        }
    }

    /// When the next attempt is due, or what is used up.
    fn next_attempt(
        &self,
        job: &Job,
        policy: &ChannelPolicy,
        at_least: Duration,
    ) -> Result<Millis, String> {
        let limit = job.max_attempts.unwrap_or(i64::from(policy.retry.max_attempts));
        let spent = spent(job);
        if spent >= limit {
            return Err(format!("gave up after {spent} of {limit} attempts"));
        }
        let pause = retry::delay(&policy.retry, u32::try_from(spent).unwrap_or(u32::MAX));
        let at = self.updated_at.saturating_add(millis(pause.max(at_least)));
        if at - job.budget_from > millis(policy.retry.give_up_after) {
            return Err(format!(
                "gave up after {spent} attempts: the next one would come later than {} after the first",
                humantime::format_duration(policy.retry.give_up_after)
            ));
        }
        Ok(at)
    }

    /// Back in line at once, at no cost to the budget: the account's hold paces it.
    fn unspent(self, job: &Job, fault: Fault) -> Self {
        Transition {
            status: Status::Pending,
            wait: Some(Wait::Ready),
            next_attempt_at: Some(self.updated_at),
            unspent: job.unspent + 1,
            budget_from: budget_without_this_attempt(job),
            fault: Some(fault),
            history: Some(AttemptKind::Retry),
            ..self
        }
    }

    /// Back in line after this pause.
    fn not_before(self, pause: Duration) -> Self {
        Transition {
            wait: Some(Wait::Backoff),
            next_attempt_at: Some(self.updated_at.saturating_add(millis(pause))),
            ..self
        }
    }

    /// The request may have arrived. At most once: a person decides. At least once: again, but
    /// not for ever, and never `failed`, which would say that it did not arrive.
    fn unknown(self, job: &Job, policy: &ChannelPolicy, fault: Fault) -> Self {
        let times = job.uncertain_attempts + 1;
        let next = Transition { uncertain_attempts: times, ..self };
        let retried = match policy.on_uncertain {
            OnUncertain::Hold => None,
            OnUncertain::Retry if times >= i64::from(policy.uncertain_retries) => None,
            OnUncertain::Retry => Some(next.clone().again(
                job,
                policy,
                fault.clone(),
                Duration::ZERO,
                AttemptKind::Uncertain,
            )),
        };
        match retried {
            Some(again) if again.status == Status::Pending => again,
            _ => Transition {
                status: Status::Uncertain,
                fault: Some(fault),
                history: Some(AttemptKind::Uncertain),
                ..next
            },
        }
    }

    /// Claimed and never sent: as if it had not been claimed.
    fn withdrawn(self, job: &Job) -> Self {
        Transition {
            status: Status::Pending,
            wait: Some(Wait::Ready),
            attempts: job.attempts - 1,
            budget_from: budget_without_this_attempt(job),
            ..self
        }
    }
}

fn budget_without_this_attempt(job: &Job) -> Option<Millis> {
    (spent(job) > 1).then_some(job.budget_from)
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
