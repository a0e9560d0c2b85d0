//! The state machine: from the outcome of an attempt to the next state of its job.
//!
//! Only [`decide`] turns an outcome into a state, and only [`after_look`] what was found at Acquire. The
//! store writes the result, and the database's triggers refuse any transition that is not allowed.

mod after_look;

pub use after_look::{after_look, look_again, not_verifiable};

use crate::queue::follow_up::first_follow_up;
use crate::queue::job::{Failure, Job, Millis, Status};
use crate::queue::outcome::{Fault, LocalResource, Outcome, PageVerdict, Receipt};
use crate::queue::policy::{ChannelPolicy, OnUncertain};
use crate::queue::retry;
use std::time::Duration;

/// Why a job is `pending`, or that an `uncertain` one is verified; the helper column `wait`. Its other two
/// values, `scheduled` and `parked`, are set by the triggers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It can be claimed now.
    Ready,
    /// It can be claimed from `next_attempt_at` on.
    Backoff,
    /// It is `uncertain`, and looked for at Acquire at `verify_at`. It still holds back the later jobs of
    /// its lane.
    Verifying,
}

impl Wait {
    /// The text in the column.
    pub fn as_str(self) -> &'static str {
        match self {
            Wait::Ready => "ready",
            Wait::Backoff => "backoff",
            Wait::Verifying => "verifying",
        }
    }
}

/// The column `outcome` of `outbox_attempts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AttemptKind {
    Accepted,
    Rejected,
    Retry,
    Uncertain,
    /// Its outcome was unknown, and the message was found at Acquire since.
    Verified,
}

/// What an outcome says about the route, beyond its own job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// Nothing.
    None,
    /// There was a usable answer: the account is accepted, and the channel works.
    Works,
    /// There was none: Acquire may be down.
    NoUsableAnswer { fault: Fault },
    /// The account is refused or misconfigured: all its jobs must wait.
    AccountRefused { fault: Fault },
    /// `Retry-After`: all jobs of the route must wait.
    RetryAfter { delay: Duration, fault: Fault },
    /// This machine ran out of a resource; that says nothing about the account.
    Shortage { fault: Fault, resource: LocalResource },
}

/// One UPDATE of a `sending` job, with its fence, and the row for its attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// The fence: the row must still be `sending` with this id, attempt and claim.
    pub id: i64,
    pub fence_attempts: i64,
    pub fence_claim: i64,
    pub status: Status,
    /// Only while `pending` or verified.
    pub wait: Option<Wait>,
    pub next_attempt_at: Option<Millis>,
    /// Only while [`Wait::Verifying`].
    pub verify_at: Option<Millis>,
    /// When Acquire is asked what became of it; only if `sent`.
    pub follow_at: Option<Millis>,
    pub attempts: i64,
    pub unspent: i64,
    pub uncertain_attempts: i64,
    pub budget_from: Option<Millis>,
    pub receipt: Receipt,
    pub failure: Option<Failure>,
    pub fault: Option<Fault>,
    pub finished_at: Option<Millis>,
    pub updated_at: Millis,
    /// `None`: no request was made.
    pub history: Option<AttemptKind>,
    pub signal: Signal,
}

/// Decides what happens to `job` after an attempt. Apart from the jitter of the backoff, the result
/// depends only on the arguments.
pub fn decide(job: &Job, outcome: Outcome, policy: &ChannelPolicy, now: Millis) -> Transition {
    let next = Transition::unchanged(job, now);
    match outcome {
        Outcome::Accepted { receipt, note } => {
            next.accepted(receipt, note).followed_up(job, policy).signal(Signal::Works)
        }
        Outcome::Rejected { fault, receipt } => next.rejected(receipt, fault).signal(Signal::Works),
        Outcome::Unavailable { fault, retry_after } => {
            let signal = match retry_after {
                Some(delay) => Signal::RetryAfter { delay, fault: fault.clone() },
                None => Signal::NoUsableAnswer { fault: fault.clone() },
            };
            let at_least = retry_after.unwrap_or_default();
            next.next_attempt_or_exhausted(job, policy, fault, at_least, AttemptKind::Retry)
                .signal(signal)
        }
        Outcome::NotWritten { fault } => next
            .next_attempt_or_exhausted(
                job,
                policy,
                fault.clone(),
                Duration::ZERO,
                AttemptKind::Retry,
            )
            .signal(Signal::NoUsableAnswer { fault: fault.clone() }),
        Outcome::AccountRefused { fault } => next
            .refunded(job, fault.clone())
            .signal(Signal::AccountRefused { fault: fault.clone() }),
        // No signal: the dispatcher has reacted already, when it decided about the page.
        Outcome::NotAcquires { fault, verdict: PageVerdict::Again { pause: delay } } => {
            next.refunded(job, fault).not_before(delay)
        }
        Outcome::NotAcquires { fault, verdict: PageVerdict::OnlyThisMessage } => {
            next.rejected(Receipt::default(), fault)
        }
        Outcome::Unknown { fault } => next
            .unknown(job, policy, fault.clone())
            .signal(Signal::NoUsableAnswer { fault: fault.clone() }),
        Outcome::NotFilled { fault } => {
            next.next_attempt_or_exhausted(job, policy, fault, Duration::ZERO, AttemptKind::Retry)
        }
        Outcome::Invalid { fault } => next.invalid(fault),
        Outcome::Shortage { fault, resource } => Transition {
            fault: Some(fault.clone()),
            ..next.withdrawn(job).signal(Signal::Shortage { fault, resource })
        },
        Outcome::Withdrawn => next.withdrawn(job),
    }
}

/// Attempts that count against the budget, including the current one.
fn spent(job: &Job) -> i64 {
    job.attempts - job.unspent
}

/// One constructor per transition; each sets only the columns that it changes.
impl Transition {
    fn unchanged(job: &Job, now: Millis) -> Self {
        Transition {
            id: job.id,
            fence_attempts: job.attempts,
            fence_claim: job.claim,
            status: Status::Sending,
            wait: None,
            next_attempt_at: None,
            verify_at: None,
            follow_at: None,
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

    /// Acquire is asked later what became of it, if the channel wants that.
    fn followed_up(self, job: &Job, policy: &ChannelPolicy) -> Self {
        let at = first_follow_up(policy.follow_up, job.channel, &self.receipt, self.updated_at);
        Transition { follow_at: at, ..self }
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

    /// No request was made, so the attempt is not counted.
    fn invalid(self, fault: Fault) -> Self {
        Transition { attempts: self.attempts - 1, ..self }.failed(Failure::Invalid, fault)
    }

    /// Waits for the next attempt, or is `exhausted` if its attempts or time are used up.
    fn next_attempt_or_exhausted(
        self,
        job: &Job,
        policy: &ChannelPolicy,
        fault: Fault,
        at_least: Duration,
        kind: AttemptKind,
    ) -> Self {
        let next = Transition { history: Some(kind), ..self };
        match next.next_attempt_at(job, policy, at_least) {
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

    /// When the next attempt is due, or what has been used up.
    fn next_attempt_at(
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
        let delay = retry::delay(&policy.retry, u32::try_from(spent).unwrap_or(u32::MAX));
        let at = self.updated_at.saturating_add(millis(delay.max(at_least)));
        if at - job.budget_from > millis(policy.retry.give_up_after) {
            return Err(format!(
                "gave up after {spent} attempts: the next one would be more than {} after the first",
                humantime::format_duration(policy.retry.give_up_after)
            ));
        }
        Ok(at)
    }

    /// Can be claimed at once and costs nothing of the budget: the block of the route delays it.
    fn refunded(self, job: &Job, fault: Fault) -> Self {
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

    fn not_before(self, delay: Duration) -> Self {
        Transition {
            wait: Some(Wait::Backoff),
            next_attempt_at: Some(self.updated_at.saturating_add(millis(delay))),
            ..self
        }
    }

    /// The request may have arrived. At most once: a person decides. At least once: another attempt, but
    /// not without end; then `uncertain`, never `failed`, which would mean that it did not arrive. Verified:
    /// it is looked for first.
    fn unknown(self, job: &Job, policy: &ChannelPolicy, fault: Fault) -> Self {
        let times = job.uncertain_attempts + 1;
        let next = Transition { uncertain_attempts: times, ..self };
        let retried = match policy.on_uncertain {
            OnUncertain::Hold => None,
            OnUncertain::Verify => return next.verifying(policy, fault),
            OnUncertain::Retry if times >= i64::from(policy.uncertain_retries) => None,
            OnUncertain::Retry => Some(next.clone().next_attempt_or_exhausted(
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

    /// It is looked for at Acquire after a pause.
    fn verifying(self, policy: &ChannelPolicy, fault: Fault) -> Self {
        let pause = policy.verify_after.first().copied().unwrap_or_default();
        Transition {
            status: Status::Uncertain,
            wait: Some(Wait::Verifying),
            verify_at: Some(self.updated_at.saturating_add(millis(pause))),
            fault: Some(fault),
            history: Some(AttemptKind::Uncertain),
            ..self
        }
    }

    /// Claimed but not sent, so the claim is undone.
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
