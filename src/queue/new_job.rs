//! A job as a producer inserts it.

use super::job::{Channel, Millis};
use std::fmt;

/// A time as a producer gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenTime {
    Millis(Millis),
    /// ISO 8601, as the command line has checked it.
    Text(String),
}

impl fmt::Display for GivenTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GivenTime::Millis(millis) => write!(f, "{millis}"),
            GivenTime::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// The columns that a producer writes.
#[derive(Clone)]
pub struct NewJob {
    pub channel: Channel,
    /// One JSON object.
    pub payload: String,
    pub account: String,
    pub idempotency_key: Option<String>,
    pub ordering_key: Option<String>,
    pub priority: i64,
    pub send_at: Option<GivenTime>,
    pub expires_at: Option<GivenTime>,
    pub max_attempts: Option<i64>,
    pub source: Option<String>,
}

/// What became of an insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    New(i64),
    /// The idempotency key is taken: the job that has it.
    Existing(i64),
}

impl Inserted {
    pub fn id(self) -> i64 {
        match self {
            Inserted::New(id) | Inserted::Existing(id) => id,
        }
    }
}
