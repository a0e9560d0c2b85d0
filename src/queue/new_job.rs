//! A job as a producer inserts it.

use super::job::{Channel, Millis};
use super::when;
use std::fmt;

/// A time as a producer gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenTime {
    Millis(Millis),
    /// ISO 8601, as the command line has checked it.
    Text(String),
}

impl GivenTime {
    /// `+10m` from `now`, Unix milliseconds, or a time as text.
    ///
    /// # Errors
    /// A sentence that says what is allowed.
    pub fn read(text: &str, now: Millis) -> Result<GivenTime, String> {
        if let Some(ahead) = text.strip_prefix('+') {
            let ahead = humantime::parse_duration(ahead)
                .map_err(|e| format!("{e}; write a number and its unit after the +, like +10m"))?;
            let ahead = i64::try_from(ahead.as_millis()).map_err(|e| e.to_string())?;
            return Ok(GivenTime::Millis(now.saturating_add(ahead)));
        }
        if let Ok(millis) = text.parse() {
            return Ok(GivenTime::Millis(millis));
        }
        // As text: the triggers refuse the milliseconds of an early year as seconds.
        when::parse_time(text)
            .map(|at| GivenTime::Text(when::iso(at)))
            .map_err(|fault| fault.to_string())
    }
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
