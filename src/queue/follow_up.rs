//! What became of a message after it was sent: whether Acquire is asked, when, and what its answer means.
//! Nothing here changes a job's state.

use super::doubt::next_look;
use super::job::{Channel, Millis};
use super::outcome::{Fault, Receipt};
use serde_json::Value;
use std::time::Duration;

/// The second question comes this many times as long after the message as the first.
pub const SECOND_AFTER: u32 = 24;

/// What became of a message; the column `delivery`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    Delivered,
    Seen,
    /// It was returned.
    Bounced,
    Failed,
}

impl DeliveryState {
    pub const ALL: [DeliveryState; 4] = [
        DeliveryState::Delivered,
        DeliveryState::Seen,
        DeliveryState::Bounced,
        DeliveryState::Failed,
    ];

    /// The text in the column.
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Delivered => "delivered",
            DeliveryState::Seen => "seen",
            DeliveryState::Bounced => "bounced",
            DeliveryState::Failed => "failed",
        }
    }

    /// Whether the message did not arrive.
    pub fn is_bad(self) -> bool {
        matches!(self, DeliveryState::Bounced | DeliveryState::Failed)
    }

    /// Whether Acquire is not asked again: of a message that was delivered, it may still say that it was
    /// seen, or returned.
    pub fn is_final(self) -> bool {
        self != DeliveryState::Delivered
    }

    /// Which of several counts: an email may be delivered and, later, returned all the same.
    fn rank(self) -> u8 {
        match self {
            DeliveryState::Delivered => 0,
            DeliveryState::Seen => 1,
            DeliveryState::Failed => 2,
            DeliveryState::Bounced => 3,
        }
    }
}

/// Something that happened to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryEvent {
    pub state: DeliveryState,
    /// By Acquire's clock; `None`: Acquire does not say when.
    pub at: Option<Millis>,
}

impl DeliveryEvent {
    /// The one that counts.
    pub fn of_all(events: &[DeliveryEvent]) -> Option<DeliveryEvent> {
        events.iter().copied().max_by_key(|event| event.state.rank())
    }
}

/// A sent message whose delivery Acquire is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedJob {
    pub id: i64,
    /// With the id, the fence of what is recorded about it.
    pub fence: i64,
    pub channel: Channel,
    pub account: String,
    /// Acquire's id of it, as the column has it.
    pub message_id: Option<String>,
    /// Its id among the messages of its case, from the receipt.
    pub case_message_id: Option<String>,
    pub case: Option<i64>,
    /// By this machine's clock.
    pub sent_at: Millis,
}

impl FollowedJob {
    /// Its id among the messages of its case.
    pub fn among_case_messages(&self) -> Option<&str> {
        match self.channel {
            Channel::Chat => self.message_id.as_deref(),
            Channel::Mail | Channel::Sms => self.case_message_id.as_deref(),
        }
    }
}

/// What Acquire says of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum FollowUp {
    /// `None`: nothing has happened to it yet, or Acquire does not show it any more.
    Answer(Option<DeliveryEvent>),
    /// There was an answer, and it does not say what was asked for.
    Unclear(Fault),
    /// Nothing could be read now: the account is refused, Acquire is down, or asks to wait.
    Later { fault: Fault, retry_after: Option<Duration> },
    /// This account or channel cannot be read back.
    Impossible(Fault),
}

/// When Acquire is first asked about a message that was sent at `sent_at`; `None` if its receipt does not say
/// what to ask for, or the channel does not follow its messages up.
pub fn first_follow_up(
    pause: Option<Duration>,
    channel: Channel,
    receipt: &Receipt,
    sent_at: Millis,
) -> Option<Millis> {
    let named = match channel {
        Channel::Chat | Channel::Mail => receipt.message_id.is_some(),
        Channel::Sms => receipt.fields.get("caseMessageId").is_some_and(|id| *id != Value::Null),
    };
    let pause = pause.filter(|_| named)?;
    Some(sent_at.saturating_add(Millis::try_from(pause.as_millis()).unwrap_or(Millis::MAX)))
}

/// When Acquire is asked again after an answer at `now`; `None`: that was the last time.
pub fn next_follow_up(
    pause: Option<Duration>,
    event: Option<DeliveryEvent>,
    sent_at: Millis,
    now: Millis,
) -> Option<Millis> {
    let pause = pause.filter(|_| !event.is_some_and(|event| event.state.is_final()))?;
    // The first question may have been a moment early: the clock of the database is another one.
    let first = sent_at.saturating_add(Millis::try_from(pause.as_millis()).unwrap_or(Millis::MAX));
    next_look(&[pause, pause.saturating_mul(SECOND_AFTER - 1)], sent_at, now.max(first))
}

/// Whether a message is so old that a question without an answer is not repeated: `patience` after the last
/// one would have been due.
pub fn is_given_up(
    pause: Option<Duration>,
    patience: Duration,
    sent_at: Millis,
    now: Millis,
) -> bool {
    let Some(pause) = pause else { return true };
    let limit = pause.saturating_mul(SECOND_AFTER).saturating_add(patience);
    now.saturating_sub(sent_at) > Millis::try_from(limit.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MINUTE: Millis = 60_000;
    const PAUSE: Option<Duration> = Some(Duration::from_secs(60));

    fn event(state: DeliveryState) -> DeliveryEvent {
        DeliveryEvent { state, at: Some(7) }
    }

    #[test]
    fn acquire_is_asked_twice_at_most_and_not_after_the_end_of_the_story() {
        let next =
            |state: Option<DeliveryState>, now| next_follow_up(PAUSE, state.map(event), 0, now);
        assert_eq!(next(None, MINUTE), Some(24 * MINUTE));
        assert_eq!(next(Some(DeliveryState::Delivered), MINUTE), Some(24 * MINUTE));
        for last in [DeliveryState::Seen, DeliveryState::Bounced, DeliveryState::Failed] {
            assert_eq!(next(Some(last), MINUTE), None, "{last}");
        }
        assert_eq!(next(None, MINUTE - 3), Some(24 * MINUTE), "it is not asked twice in a row");
        assert_eq!(next(None, 24 * MINUTE), None);
        // A first question that comes very late is the last one.
        assert_eq!(next(None, 1000 * MINUTE), None);
        assert_eq!(next_follow_up(None, None, 0, MINUTE), None, "the setting has gone");
    }

    #[test]
    fn only_a_message_that_has_a_name_is_asked_about() {
        let receipt = |fields: Value| {
            let Value::Object(fields) = fields else { panic!("an object") };
            let id = fields.get("id").map(Value::to_string);
            Receipt { message_id: id, fields }
        };
        let first = |channel, fields| first_follow_up(PAUSE, channel, &receipt(fields), 1);
        assert_eq!(first(Channel::Chat, json!({"id": 7})), Some(1 + MINUTE));
        assert_eq!(first(Channel::Chat, json!({})), None);
        assert_eq!(first(Channel::Sms, json!({"id": 7})), None);
        assert_eq!(first(Channel::Sms, json!({"caseMessageId": 7})), Some(1 + MINUTE));
        let named = receipt(json!({"id": 7}));
        assert_eq!(first_follow_up(None, Channel::Chat, &named, 1), None, "off");
    }

    #[test]
    fn what_went_wrong_counts_more_than_what_went_well() {
        use DeliveryState::{Bounced, Delivered, Failed, Seen};
        let of = |states: &[DeliveryState]| {
            let events: Vec<_> = states.iter().copied().map(event).collect();
            DeliveryEvent::of_all(&events).map(|event| event.state)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[Delivered, Seen]), Some(Seen));
        assert_eq!(of(&[Bounced, Delivered]), Some(Bounced));
        assert_eq!(of(&[Failed, Seen]), Some(Failed));
        for state in DeliveryState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }

    #[test]
    fn a_question_without_an_answer_is_not_repeated_for_ever() {
        let given_up = |now| is_given_up(PAUSE, Duration::from_secs(60), 0, now);
        assert!(!given_up(25 * MINUTE) && given_up(25 * MINUTE + 1));
        assert!(is_given_up(None, Duration::MAX, 0, 0), "the setting has gone");
    }
}
