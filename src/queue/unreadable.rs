//! What cannot be read back at Acquire, which the dispatcher publishes for operators.

use super::job::{Channel, Millis};
use super::outcome::Fault;
use super::when::iso;
use std::fmt;
use std::str::FromStr;

/// What messages are read back for; the column `purpose`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReadPurpose {
    /// To see whether a message of unknown outcome is there.
    Verify,
    /// To see what became of a message that was sent.
    FollowUp,
}

impl ReadPurpose {
    /// The text in the column.
    pub fn as_str(self) -> &'static str {
        match self {
            ReadPurpose::Verify => "verify",
            ReadPurpose::FollowUp => "follow_up",
        }
    }
}

impl FromStr for ReadPurpose {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "verify" => Ok(ReadPurpose::Verify),
            "follow_up" => Ok(ReadPurpose::FollowUp),
            _ => Err(()),
        }
    }
}

/// An account's channel whose messages cannot be read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRoute {
    pub account: String,
    pub channel: Channel,
    pub purpose: ReadPurpose,
    pub fault: Fault,
    pub since: Millis,
}

impl fmt::Display for UnreadableRoute {
    /// One line, for `status`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UnreadableRoute { account, channel, purpose, fault, since } = self;
        let what = match purpose {
            ReadPurpose::Verify => "cannot be verified: those of unknown outcome wait for a person",
            ReadPurpose::FollowUp => "cannot be followed up: what became of them stays unknown",
        };
        write!(
            f,
            "{channel} messages of {account} {what} (since {}: {}: {})",
            iso(*since),
            fault.code,
            fault.message
        )
    }
}
