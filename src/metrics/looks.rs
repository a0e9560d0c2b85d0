//! How often messages of unknown outcome were looked up at Acquire, and what was found.

use crate::queue::job::Channel;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookLabels {
    account: String,
    channel: &'static str,
    found: &'static str,
}

/// The result of looking a message up at Acquire; the label `found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Sent,
    NotDelivered,
    /// Neither can be said.
    Unclear,
    /// There was no answer, or the account is refused.
    NoAnswer,
    /// This account cannot be read back.
    Impossible,
}

impl Look {
    const ALL: [Look; 5] =
        [Look::Sent, Look::NotDelivered, Look::Unclear, Look::NoAnswer, Look::Impossible];

    pub fn as_str(self) -> &'static str {
        match self {
            Look::Sent => "sent",
            Look::NotDelivered => "not_delivered",
            Look::Unclear => "unclear",
            Look::NoAnswer => "no_answer",
            Look::Impossible => "impossible",
        }
    }
}

/// The counters.
pub(super) struct Looks(Family<LookLabels, Counter>);

impl Looks {
    pub(super) fn register(registry: &mut Registry) -> Looks {
        let looks = Family::default();
        let help = "Lookups at Acquire of messages whose outcome is unknown, by what was found";
        registry.register("looks", help, looks.clone());
        Looks(looks)
    }

    /// What has not happened yet is shown as 0.
    pub(super) fn show(&self, account: &str, channel: Channel) {
        for look in Look::ALL {
            drop(self.of(account, channel, look));
        }
    }

    pub(super) fn count(&self, account: &str, channel: Channel, look: Look) {
        self.of(account, channel, look).inc();
    }

    fn of(&self, account: &str, channel: Channel, look: Look) -> Counter {
        let (account, channel) = (account.to_owned(), channel.as_str());
        let labels = LookLabels { account, channel, found: look.as_str() };
        self.0.get_or_create_owned(&labels)
    }
}
