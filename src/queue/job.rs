//! What a job is: its channel, its state, and the row as the dispatcher claims it.

use super::filter::{SortBy, WaitState};
use super::follow_up::DeliveryState;
use std::fmt;
use std::str::FromStr;

/// Unix milliseconds, UTC, as the table stores every time.
pub type Millis = i64;

/// How a message is sent; the column `channel`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// A message, note or event in the conversation of a case.
    Chat,
    /// An email in a case.
    Mail,
    /// A text message to a contact's phone.
    Sms,
}

impl Channel {
    /// In the order in which the documentation lists them.
    pub const ALL: [Channel; 3] = [Channel::Chat, Channel::Mail, Channel::Sms];

    /// The text in the column.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Chat => "chat",
            Channel::Mail => "mail",
            Channel::Sms => "sms",
        }
    }
}

/// The state of a job; the column `status`. The database's triggers enforce the transitions.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waits to be sent. Producers insert it; a failed attempt or a retry sets it again.
    Pending,
    /// Claimed: its request may be in flight. Only the same claim, or recovery, changes the state.
    Sending,
    /// Acquire accepted it. Final.
    Sent,
    /// Was not delivered; `failure` says why.
    Failed,
    /// Cancelled by a person or a producer before it was sent.
    Cancelled,
    /// A request may have reached Acquire, but no answer was read; a person decides.
    Uncertain,
}

impl Status {
    /// In the order of a job's life.
    pub const ALL: [Status; 6] = [
        Status::Pending,
        Status::Sending,
        Status::Sent,
        Status::Failed,
        Status::Cancelled,
        Status::Uncertain,
    ];

    /// The text in the column.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Sending => "sending",
            Status::Sent => "sent",
            Status::Failed => "failed",
            Status::Cancelled => "cancelled",
            Status::Uncertain => "uncertain",
        }
    }
}

/// Why a job is `failed`; the column `failure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Failure {
    /// Acquire refused the message.
    Rejected,
    /// Its attempts or its time are used up.
    Exhausted,
    /// `expires_at` passed before it was sent.
    Expired,
    /// The payload is not valid for the channel; no request was made.
    Invalid,
}

impl Failure {
    /// In the order in which the documentation lists them.
    pub const ALL: [Failure; 4] =
        [Failure::Rejected, Failure::Exhausted, Failure::Expired, Failure::Invalid];

    /// The text in the column.
    pub fn as_str(self) -> &'static str {
        match self {
            Failure::Rejected => "rejected",
            Failure::Exhausted => "exhausted",
            Failure::Expired => "expired",
            Failure::Invalid => "invalid",
        }
    }
}

/// Text that is none of the known values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not one of {allowed}")]
pub struct UnknownValue {
    text: String,
    allowed: String,
}

macro_rules! known_values {
    ($($kind:ident),*) => {$(
        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $kind {
            type Err = UnknownValue;

            fn from_str(text: &str) -> Result<Self, UnknownValue> {
                $kind::ALL.into_iter().find(|known| known.as_str() == text).ok_or_else(|| UnknownValue {
                    text: text.to_owned(),
                    allowed: $kind::ALL.map($kind::as_str).join(", "),
                })
            }
        }
    )*};
}
known_values!(Channel, Status, Failure, SortBy, WaitState, DeliveryState);

/// A claimed job: what the dispatcher needs to send it and to decide what happens next.
///
/// Its `Debug` leaves out the payload, so that message text stays out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Job {
    /// The row's id.
    pub id: i64,
    /// How it is sent; determines what `payload` must contain.
    pub channel: Channel,
    /// The name of the account that sends it.
    pub account: String,
    /// As the producer wrote it. Not `String`: in SQLite, text can be any bytes.
    pub payload: Vec<u8>,
    /// Attempts so far, including the current one. With `claim`, it fences every write.
    pub attempts: i64,
    /// The epoch of the dispatcher that claimed it.
    pub claim: i64,
    /// Attempts that do not count against the budget: those before a retry, or on a refused account.
    pub unspent: i64,
    /// Attempts within this budget whose outcome is unknown.
    pub uncertain_attempts: i64,
    /// When the first attempt within this budget began.
    pub budget_from: Millis,
    /// The row's own limit of attempts; it overrides the configured one.
    pub max_attempts: Option<i64>,
    /// When it first became due: its `send_at`, or when it was inserted.
    pub due_at: Millis,
    /// After this time it must not be sent.
    pub expires_at: Option<Millis>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id)
            .field("channel", &self.channel)
            .field("account", &self.account)
            .field("attempts", &self.attempts)
            .field("claim", &self.claim)
            .finish_non_exhaustive()
    }
}
