//! From what a lookup at Acquire has shown to the next state of a job of unknown outcome.

use super::{AttemptKind, Transition, Wait};
use crate::queue::job::{Job, Millis, Status};
use crate::queue::outcome::{Fault, Receipt};
use crate::queue::policy::{ChannelPolicy, OnUncertain};
use crate::queue::verification::Verdict;
use std::time::Duration;

/// Decides what a verdict makes of `job`, which is being verified. `next_look`: when it is looked for
/// again; `None` for the last time, when what is unclear is left to a person. Only [`OnUncertain::Verify`]
/// sends a message again that Acquire does not have: under the other policies a person asked for the lookup,
/// and decides.
pub fn after_look(
    job: &Job,
    verdict: Verdict,
    policy: &ChannelPolicy,
    next_look: Option<Millis>,
    now: Millis,
) -> Transition {
    let next = Transition::unchanged(job, now);
    match (verdict, next_look) {
        (Verdict::Sent(seen), _) => {
            next.found(seen.receipt, seen.message_id).followed_up(job, policy)
        }
        (_, Some(at)) => next.looked_for_again(at),
        (Verdict::NotDelivered, None) if policy.on_uncertain == OnUncertain::Verify => {
            next.not_delivered(job, policy)
        }
        (Verdict::NotDelivered, None) => {
            let sentence = "Acquire does not have the message: it can be sent again";
            next.left_to_a_person(Fault::new("not_delivered", sentence))
        }
        (Verdict::Unclear { fault, .. }, None) => next.left_to_a_person(fault),
    }
}

/// A job that cannot be verified: as under [`OnUncertain::Hold`].
pub fn not_verifiable(job: &Job, fault: Fault, now: Millis) -> Transition {
    Transition::unchanged(job, now).left_to_a_person(fault)
}

/// A lookup that has shown nothing, and does not count: there is another one at `at`.
pub fn look_again(job: &Job, at: Millis, now: Millis) -> Transition {
    Transition::unchanged(job, now).looked_for_again(at)
}

impl Transition {
    fn found(self, receipt: Receipt, message_id: String) -> Self {
        let sentence = "the answer was lost; the message was found at Acquire";
        let receipt = Receipt { message_id: Some(message_id), fields: receipt.fields };
        let sent = self.accepted(receipt, Some(Fault::new("verified", sentence)));
        Transition { history: Some(AttemptKind::Verified), ..sent }
    }

    fn looked_for_again(self, at: Millis) -> Self {
        Transition {
            status: Status::Uncertain,
            wait: Some(Wait::Verifying),
            verify_at: Some(at),
            ..self
        }
    }

    fn not_delivered(self, job: &Job, policy: &ChannelPolicy) -> Self {
        let sentence = "the answer was lost, and Acquire does not have the message";
        let fault = Fault::new("not_delivered", sentence);
        let kind = AttemptKind::Retry;
        let next = Transition { uncertain_attempts: 0, ..self };
        let next = next.next_attempt_or_exhausted(job, policy, fault, Duration::ZERO, kind);
        // The attempt has its row in the history.
        Transition { history: None, ..next }
    }

    fn left_to_a_person(self, fault: Fault) -> Self {
        Transition { status: Status::Uncertain, fault: Some(fault), ..self }
    }
}
