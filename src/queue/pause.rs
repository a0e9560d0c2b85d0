//! What an operator has paused.

use super::job::{Channel, Millis};

/// A row of `outbox_pauses`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Pause {
    /// `None` means every account.
    pub account: Option<String>,
    /// `None` means every channel.
    pub channel: Option<Channel>,
    /// Why, in the operator's words; may be empty.
    pub reason: String,
    pub since: Millis,
    /// When it ends by itself; `None`: a person ends it.
    pub until: Option<Millis>,
}

impl Pause {
    /// Whether it keeps jobs of this account and channel from being claimed.
    pub fn concerns(&self, account: &str, channel: &str) -> bool {
        self.account.as_deref().is_none_or(|own| own == account)
            && self.channel.is_none_or(|own| own.as_str() == channel)
    }

    /// Whether it pauses every job.
    pub fn is_of_everything(&self) -> bool {
        self.account.is_none() && self.channel.is_none()
    }

    /// What it pauses, for a sentence.
    pub fn subject(&self) -> String {
        subject(self.account.as_deref(), self.channel)
    }

    /// Whether it protects a restored backup, whose jobs may have been sent since the backup.
    pub fn is_of_restored(&self) -> bool {
        self.is_of_everything() && self.reason.starts_with(RESTORED)
    }
}

/// `sms`, `account shop`, `sms of account shop`, `everything`.
pub fn subject(account: Option<&str>, channel: Option<Channel>) -> String {
    match (account, channel) {
        (None, None) => "everything".to_owned(),
        (None, Some(channel)) => channel.to_string(),
        (Some(account), None) => format!("account {account}"),
        (Some(account), Some(channel)) => format!("{channel} of account {account}"),
    }
}

/// How the reason of the pause that protects a restored backup begins.
pub const RESTORED: &str = "restored backup: ";
