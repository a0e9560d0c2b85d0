//! Looking for a message at Acquire instead of guessing: what is looked for after an attempt of unknown
//! outcome, what was found, and what follows from it.
//!
//! [`judge`] decides and does no I/O. It never guesses: only one message that can be no other job's is
//! taken for the job's, and only a complete reading without anything like it means that the message was
//! not delivered.

use crate::queue::job::{Channel, Millis};
use crate::queue::outcome::{Fault, Receipt};
use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

/// A message to look for: a job whose outcome is unknown.
///
/// Its `Debug` leaves out the payload, so that message text stays out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Sought {
    /// The job's id.
    pub id: i64,
    /// How often it has been looked for since its last attempt, counting this time. With the id and
    /// `attempts`, the fence of what is recorded about it.
    pub round: i64,
    /// The attempts of the job when it was taken up; the other half of the fence.
    pub attempts: i64,
    pub channel: Channel,
    pub account: String,
    /// As the producer wrote it.
    pub payload: String,
    /// When the first attempt of unknown outcome began, by this machine's clock.
    pub since: Millis,
    /// When the last one was given up, by this machine's clock.
    pub until: Millis,
    /// No later lookup follows: what is unclear now is left to a person.
    pub is_last: bool,
}

impl fmt::Debug for Sought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sought")
            .field("id", &self.id)
            .field("round", &self.round)
            .field("channel", &self.channel)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// How sure it is that a message at Acquire is the one looked for, before other jobs are considered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Likeness {
    /// Same sender type, same content, created within the window.
    Same,
    /// It may be the message: it was edited or translated, its HTML was rewritten, it was created outside
    /// the window, or a field to tell is missing. Says which, in a few words.
    Possible(String),
}

/// A message found at Acquire. It has no message text.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Acquire's id of the message, in the form that an answer to a request has and the column
    /// `message_id` stores.
    pub message_id: String,
    /// The ids that were read, under the names that an answer has.
    pub receipt: Receipt,
    /// When it was created, by this machine's clock; `None` if that could not be read.
    pub created: Option<Millis>,
    /// Who sent it: `user`, `contact`, a name; empty if unknown.
    pub sender: String,
    pub likeness: Likeness,
}

/// What one lookup at Acquire gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// Everything over the whole window was read and understood.
    Complete { candidates: Vec<Candidate> },
    /// Something could not be read or understood. Another lookup may tell more.
    Partial { candidates: Vec<Candidate>, fault: Fault },
    /// Nothing could be read now, and that says nothing about the message: the account is refused, Acquire
    /// is down or asks to wait (for `retry_after`), or there was no answer. It does not count as a lookup.
    Later { fault: Fault, account_refused: bool, retry_after: Option<Duration> },
    /// The payload leaves out where the message would be, which says nothing about the account.
    Nowhere { fault: Fault },
    /// This account or channel cannot be read back (refused, or in a shape that is not known).
    Impossible { fault: Fault },
}

/// What a lookup at Acquire means for the job.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Acquire has it: this message.
    Sent(Candidate),
    /// Acquire does not have it.
    NotDelivered,
    /// Neither can be said; the fault says why, and `candidates` what was seen.
    Unclear { fault: Fault, candidates: Vec<Candidate> },
}

/// What `reading` means. `recorded`: which of its ids another job has as its `message_id`.
/// `has_rival`: another job with the same content for the same recipient may have sent a message whose
/// id is not recorded.
pub fn judge(reading: Reading, recorded: &HashSet<String>, has_rival: bool) -> Verdict {
    let (candidates, fault) = match reading {
        Reading::Complete { candidates } => (candidates, None),
        Reading::Partial { candidates, fault } => (candidates, Some(fault)),
        Reading::Later { fault, .. }
        | Reading::Nowhere { fault }
        | Reading::Impossible { fault } => {
            return Verdict::Unclear { fault, candidates: Vec::new() };
        }
    };
    let mut candidates: Vec<Candidate> =
        candidates.into_iter().filter(|seen| !recorded.contains(&seen.message_id)).collect();
    let same = candidates.iter().filter(|seen| seen.likeness == Likeness::Same).count();
    let unclear = |code: &str, message: String| Fault::new(code, message);
    let fault = match (same, fault) {
        // A part that was not read may have a second one.
        (_, Some(fault)) => fault,
        (0, None) if candidates.is_empty() => return Verdict::NotDelivered,
        (0, None) => {
            let Likeness::Possible(why) = &candidates[0].likeness else {
                unreachable!("none is the same")
            };
            let count = candidates.len();
            unclear(
                "verify_unclear",
                match count {
                    1 => format!("Acquire has one message that may be this one: {why}"),
                    _ => format!(
                        "Acquire has {count} messages that may be this one; the first: {why}"
                    ),
                },
            )
        }
        (1, None) if has_rival => unclear(
            "verify_ambiguous",
            "Acquire has one such message, but another job with the same text for the same \
             recipient may have sent it"
                .to_owned(),
        ),
        (1, None) => {
            let at = candidates.iter().position(|seen| seen.likeness == Likeness::Same);
            return Verdict::Sent(candidates.swap_remove(at.expect("one is the same")));
        }
        (same, None) => {
            unclear("verify_ambiguous", format!("Acquire has {same} messages like this one"))
        }
    };
    Verdict::Unclear { fault, candidates }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(id: &str, likeness: Likeness) -> Candidate {
        Candidate {
            message_id: id.to_owned(),
            receipt: Receipt::default(),
            created: Some(1),
            sender: "user".to_owned(),
            likeness,
        }
    }

    fn same(id: &str) -> Candidate {
        seen(id, Likeness::Same)
    }

    fn possible(id: &str) -> Candidate {
        seen(id, Likeness::Possible("it was edited".to_owned()))
    }

    fn judged(candidates: Vec<Candidate>, recorded: &[&str], has_rival: bool) -> String {
        let recorded = recorded.iter().map(|id| (*id).to_owned()).collect();
        match judge(Reading::Complete { candidates }, &recorded, has_rival) {
            Verdict::Sent(seen) => format!("sent {}", seen.message_id),
            Verdict::NotDelivered => "not delivered".to_owned(),
            Verdict::Unclear { fault, .. } => fault.code,
        }
    }

    #[test]
    fn only_one_message_that_can_be_no_other_jobs_is_taken() {
        assert_eq!(judged(vec![same("1")], &[], false), "sent 1");
        assert_eq!(judged(vec![possible("2"), same("1")], &[], false), "sent 1");
        assert_eq!(judged(vec![same("1"), same("2")], &["2"], false), "sent 1");
        assert_eq!(judged(vec![same("1"), same("2")], &[], false), "verify_ambiguous");
        assert_eq!(judged(vec![same("1")], &[], true), "verify_ambiguous");
    }

    #[test]
    fn only_a_complete_reading_with_nothing_like_it_means_not_delivered() {
        assert_eq!(judged(vec![], &[], false), "not delivered");
        assert_eq!(judged(vec![], &[], true), "not delivered");
        assert_eq!(judged(vec![same("1")], &["1"], true), "not delivered");
        assert_eq!(judged(vec![possible("1")], &[], false), "verify_unclear");
        let fault = Fault::new("http_403", "no");
        let partial = Reading::Partial { candidates: vec![same("1")], fault: fault.clone() };
        let verdict = judge(partial, &HashSet::new(), false);
        assert!(matches!(verdict, Verdict::Unclear { fault: seen, .. } if seen == fault));
        let impossible = Reading::Impossible { fault: fault.clone() };
        let verdict = judge(impossible, &HashSet::new(), false);
        assert!(matches!(verdict, Verdict::Unclear { fault: seen, .. } if seen == fault));
    }
}
