//! The nouns of the queue: what a job is, without any I/O.

use super::filter::SortBy;
use std::fmt;
use std::str::FromStr;

/// Unix milliseconds, UTC: how the table stores every time.
pub type Millis = i64;

/// Where a message goes out; the `channel` column.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// A message, a note or an event in a case's conversation.
    Chat,
    /// A mail in a case.
    Mail,
    /// A text message to a contact's phone.
    Sms,
}

impl Channel {
    /// In the order of the documentation.
    pub const ALL: [Channel; 3] = [Channel::Chat, Channel::Mail, Channel::Sms];

    /// The column's text.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Chat => "chat",
            Channel::Mail => "mail",
            Channel::Sms => "sms",
        }
    }
}

/// Where a job stands; the `status` column. The database's triggers keep the machine.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waits to be sent. Producers insert it; a failed attempt or a retry brings it back.
    Pending,
    /// A claim: its request may be on the wire. Only the claim that put it here moves it out.
    Sending,
    /// Acquire accepted it. Final.
    Sent,
    /// It will not be sent; `failure` says why.
    Failed,
    /// Withdrawn by a person or a producer before it was sent.
    Cancelled,
    /// A request may have reached Acquire and its answer was not read; a person decides.
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

    /// The column's text.
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

/// Why a job ended `failed`; the `failure` column, apart from the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Failure {
    /// Acquire refused the message.
    Rejected,
    /// Attempts or time used up.
    Exhausted,
    /// `expires_at` passed before it was sent.
    Expired,
    /// The payload breaks the channel's rules; no request was made.
    Invalid,
}

impl Failure {
    /// Every reason.
    pub const ALL: [Failure; 4] =
        [Failure::Rejected, Failure::Exhausted, Failure::Expired, Failure::Invalid];

    /// The column's text.
    pub fn as_str(self) -> &'static str {
        match self {
            Failure::Rejected => "rejected",
            Failure::Exhausted => "exhausted",
            Failure::Expired => "expired",
            Failure::Invalid => "invalid",
        }
    }
}

/// A word that is none of the allowed values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is none of {allowed}")]
pub struct UnknownWord {
    word: String,
    allowed: String,
}

macro_rules! known_words {
    ($($kind:ident),*) => {$(
        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $kind {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                $kind::ALL.into_iter().find(|known| known.as_str() == word).ok_or_else(|| UnknownWord {
                    word: word.to_owned(),
                    allowed: $kind::ALL.map($kind::as_str).join(", "),
                })
            }
        }
    )*};
}
known_words!(Channel, Status, Failure, SortBy);

/// A claimed job: what the dispatcher needs to send it and to decide what comes next.
///
/// Its `Debug` leaves out the payload: people's words stay out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Job {
    /// The row's id.
    pub id: i64,
    /// Where it goes out; decides what `payload` must hold.
    pub channel: Channel,
    /// The name of the configured account that sends it.
    pub account: String,
    /// The producer's JSON object, as it stands: SQLite lets any bytes be text.
    pub payload: Vec<u8>,
    /// Requests begun so far, the current one included; with `claim`, the fence of every write.
    pub attempts: i64,
    /// The dispatcher's epoch that claimed it.
    pub claim: i64,
    /// Attempts that do not count against the budget: before a retry, or on a refused account.
    pub unspent: i64,
    /// Attempts of this budget whose outcome is unknown.
    pub uncertain_attempts: i64,
    /// When the first attempt of this budget began.
    pub budget_from: Millis,
    /// The row's own limit of attempts, over the configured one.
    pub max_attempts: Option<i64>,
    /// When it fell due at first: its `send_at`, or when it was inserted.
    pub due_at: Millis,
    /// When it must not be sent any more.
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
