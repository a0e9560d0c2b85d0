//! How often Acquire was asked what became of a message, and what it said.

use crate::queue::follow_up::DeliveryState;
use crate::queue::job::Channel;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FollowUpLabels {
    account: String,
    channel: &'static str,
    found: &'static str,
}

/// What Acquire said about a message; the label `found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowUpResult {
    State(DeliveryState),
    /// Nothing has happened to it yet.
    Nothing,
    /// The answer does not say.
    Unclear,
    /// There was no answer, or the account is refused.
    NoAnswer,
    /// This account cannot be read back.
    Impossible,
}

impl From<DeliveryState> for FollowUpResult {
    fn from(state: DeliveryState) -> Self {
        FollowUpResult::State(state)
    }
}

impl FollowUpResult {
    const ALL: [FollowUpResult; 8] = [
        FollowUpResult::State(DeliveryState::Delivered),
        FollowUpResult::State(DeliveryState::Seen),
        FollowUpResult::State(DeliveryState::Bounced),
        FollowUpResult::State(DeliveryState::Failed),
        FollowUpResult::Nothing,
        FollowUpResult::Unclear,
        FollowUpResult::NoAnswer,
        FollowUpResult::Impossible,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            FollowUpResult::State(state) => state.as_str(),
            FollowUpResult::Nothing => "nothing",
            FollowUpResult::Unclear => "unclear",
            FollowUpResult::NoAnswer => "no_answer",
            FollowUpResult::Impossible => "impossible",
        }
    }

    /// Whether Acquire has said something about the message.
    pub fn is_an_answer(self) -> bool {
        matches!(self, FollowUpResult::State(_) | FollowUpResult::Nothing)
    }
}

/// The counters.
pub(super) struct FollowUpCounts(Family<FollowUpLabels, Counter>);

impl FollowUpCounts {
    pub(super) fn register(registry: &mut Registry) -> FollowUpCounts {
        let counts = Family::default();
        let help = "Questions to Acquire about what became of a sent message, by its answer";
        registry.register("follow_ups", help, counts.clone());
        FollowUpCounts(counts)
    }

    /// What has not happened yet is shown as 0.
    pub(super) fn show(&self, account: &str, channel: Channel) {
        for result in FollowUpResult::ALL {
            drop(self.of(account, channel, result));
        }
    }

    pub(super) fn count(&self, account: &str, channel: Channel, result: FollowUpResult) {
        self.of(account, channel, result).inc();
    }

    fn of(&self, account: &str, channel: Channel, result: FollowUpResult) -> Counter {
        let (account, channel) = (account.to_owned(), channel.as_str());
        let labels = FollowUpLabels { account, channel, found: result.as_str() };
        self.0.get_or_create_owned(&labels)
    }
}
