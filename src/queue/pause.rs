//! What a person has paused.

use super::job::{Channel, Millis};

/// A row of `outbox_pauses`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Pause {
    /// `None`: every account.
    pub account: Option<String>,
    /// `None`: every channel.
    pub channel: Option<Channel>,
    /// A person's words; may be empty.
    pub reason: String,
    pub since: Millis,
}

impl Pause {
    /// Whether it keeps a job of this account and channel from being claimed.
    pub fn concerns(&self, account: &str, channel: &str) -> bool {
        self.account.as_deref().is_none_or(|own| own == account)
            && self.channel.is_none_or(|own| own.as_str() == channel)
    }

    /// Whether it holds jobs that may have been sent from a newer state of the file.
    pub fn is_of_restored(&self) -> bool {
        self.account.is_none() && self.channel.is_none() && self.reason.starts_with(RESTORED)
    }

    /// What it holds back, for a sentence: `sms`, `account shop`, `sms of account shop`, `everything`.
    pub fn subject(&self) -> String {
        subject(self.account.as_deref(), self.channel)
    }
}

/// As [`Pause::subject`], for what is not paused yet.
pub fn subject(account: Option<&str>, channel: Option<Channel>) -> String {
    match (account, channel) {
        (None, None) => "everything".to_owned(),
        (None, Some(channel)) => channel.to_string(),
        (Some(account), None) => format!("account {account}"),
        (Some(account), Some(channel)) => format!("{channel} of account {account}"),
    }
}

/// Begins the reason of the pause that holds jobs that may have been sent already.
pub const RESTORED: &str = "restored backup: ";
