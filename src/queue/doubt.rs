//! A job whose outcome is unknown, while it is looked for at Acquire.

use super::job::{Channel, Job, Millis};
use super::verification::{Candidate, Likeness, Sought};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// What one lookup at Acquire is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoubtfulJob {
    /// Without its payload.
    pub job: Job,
    pub sought: Sought,
}

/// When a message is looked for next, if it has just been looked for at `now`; `None`: that was the last
/// time. `until`: when its last attempt of unknown outcome was given up. Lookups that a
/// crash prevented are not made up for, but the last lookup is never earlier than all pauses together.
pub fn next_look(pauses: &[Duration], until: Millis, now: Millis) -> Option<Millis> {
    let mut at = until;
    pauses.iter().find_map(|pause| {
        at = at.saturating_add(Millis::try_from(pause.as_millis()).unwrap_or(Millis::MAX));
        (at > now).then_some(at)
    })
}

/// A candidate as the column `verify_seen` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenCandidate {
    /// Acquire's id of it.
    pub id: String,
    /// Unix milliseconds, by the clock of the machine that read it.
    pub created: Option<Millis>,
    /// `user`, `contact` or a name; empty if unknown.
    pub sender: String,
    /// `same`, or why it may be another message.
    pub likeness: String,
}

/// How many candidates are kept.
const SEEN_AT_MOST: usize = 20;

/// The column `verify_seen`.
pub fn seen_json(candidates: &[Candidate]) -> String {
    let seen = |candidate: &Candidate| SeenCandidate {
        id: candidate.message_id.clone(),
        created: candidate.created,
        sender: candidate.sender.clone(),
        likeness: match &candidate.likeness {
            Likeness::Same => "same".to_owned(),
            Likeness::Possible(why) => why.clone(),
        },
    };
    let seen: Vec<_> = candidates.iter().take(SEEN_AT_MOST).map(seen).collect();
    serde_json::to_string(&seen).expect("texts and numbers are always JSON")
}

/// What that column has; nothing if it cannot be read.
pub fn seen_from(json: &str) -> Vec<SeenCandidate> {
    serde_json::from_str(json).unwrap_or_default()
}

/// The field of a payload that says where a message goes.
pub fn recipient_field(channel: Channel) -> &'static str {
    match channel {
        Channel::Chat | Channel::Mail => "caseId",
        Channel::Sms => "threadId",
    }
}

/// Whether the messages of these payloads may look the same at Acquire. It errs on the side of yes:
/// only letters and digits are compared, and of an email only the subject.
pub fn may_look_alike(channel: Channel, one: &str, other: &str) -> bool {
    let field = match channel {
        Channel::Chat => "message",
        Channel::Mail => "subject",
        Channel::Sms => "Body",
    };
    let essence = |payload: &str| {
        let payload: Value = serde_json::from_str(payload).ok()?;
        let text = payload.get(field)?.as_str()?;
        let letters = text.chars().filter(|c| c.is_alphanumeric());
        Some(letters.flat_map(char::to_lowercase).collect::<String>())
    };
    match (essence(one), essence(other)) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_look_is_never_earlier_than_all_pauses_together() {
        let pauses = [5, 30, 300].map(Duration::from_secs);
        let next = |now| next_look(&pauses, 1_000, now);
        assert_eq!(next(1_000), Some(6_000));
        assert_eq!(next(6_000), Some(36_000));
        // A late one, as after a crash, takes the place of those that were missed.
        assert_eq!(next(200_000), Some(336_000));
        assert_eq!(next(335_999), Some(336_000));
        assert_eq!(next(336_000), None);
    }

    #[test]
    fn what_differs_in_marks_and_case_alone_may_look_alike() {
        let chat = |text: &str| format!(r#"{{"caseId": 1, "message": {}}}"#, Value::from(text));
        let alike =
            |one: &str, other: &str| may_look_alike(Channel::Chat, &chat(one), &chat(other));
        assert!(alike("Hello, Anne!", "hello anne"));
        assert!(!alike("Hello, Anne!", "Hello, Ann!"));
        assert!(may_look_alike(Channel::Sms, "{", r#"{"Body": "hi"}"#), "unreadable");
    }
}
