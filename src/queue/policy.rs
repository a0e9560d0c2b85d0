//! The policies that the configuration sets: how a channel's messages are sent, how long finished rows
//! are kept, and whether messages go to Acquire at all.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::queue::retry::RetryPolicy;

/// The settings of one channel. The limits apply to each account separately.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelPolicy {
    /// The most requests in flight, 1 to 1000. Default 32.
    pub max_in_flight: u32,
    /// The most requests begun per time. Default no limit.
    pub rate: Option<Rate>,
    /// For a whole request, from connecting to the last byte of its answer; 1 ms to 1 h.
    /// Default 30 s.
    pub request_timeout: Duration,
    /// For connecting, TLS handshake included; 1 ms to 1 h. Default 10 s.
    pub connect_timeout: Duration,
    /// What to do after an attempt whose outcome is unknown. Default retry.
    pub on_uncertain: OnUncertain,
    /// With [`OnUncertain::Verify`], when a message is looked for at Acquire: this long after the attempt
    /// was given up, and then each this long after the one before. 1 to 10 pauses of 1 ms to 1 day.
    /// Default 5 s, 30 s and 5 min.
    pub verify_after: Vec<Duration>,
    /// With [`OnUncertain::Retry`], after how many attempts of unknown outcome a job becomes
    /// `uncertain`; 0 to 1000. Default 3.
    pub uncertain_retries: u32,
    /// How long after a message was sent Acquire is asked what became of it; a second time
    /// [`SECOND_AFTER`](crate::queue::follow_up::SECOND_AFTER) times as long after it. 1 ms to 30 days.
    /// Default never.
    pub follow_up: Option<Duration>,
    /// Mail and SMS: a payload may leave out the ids of its case, which its contact's only active case
    /// then answers. Default no.
    pub fill_missing: bool,
    /// How long after sending the message text is removed from the row. Default never.
    pub scrub: Option<Duration>,
    /// `[retry]`, overridden by `[channels.X.retry]`.
    pub retry: RetryPolicy,
}

impl Default for ChannelPolicy {
    fn default() -> Self {
        ChannelPolicy {
            max_in_flight: 32,
            rate: None,
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            on_uncertain: OnUncertain::Retry,
            verify_after: [5, 30, 300].map(Duration::from_secs).to_vec(),
            uncertain_retries: 3,
            follow_up: None,
            fill_missing: false,
            scrub: None,
            retry: RetryPolicy::default(),
        }
    }
}

/// What to do when a message may or may not have been delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUncertain {
    /// Send it again: at least once. Duplicates are possible, limited by `uncertain_retries`.
    Retry,
    /// Leave it `uncertain` until a person decides: at most once.
    Hold,
    /// Look for it at Acquire: record it as sent if it is there, send it again if it is not, and leave
    /// it `uncertain` for a person if neither can be said.
    Verify,
}

impl FromStr for OnUncertain {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "retry" => Ok(OnUncertain::Retry),
            "hold" => Ok(OnUncertain::Hold),
            "verify" => Ok(OnUncertain::Verify),
            _ => Err("must be \"retry\", \"hold\" or \"verify\""),
        }
    }
}

/// At most `count` requests begun per `per`: `10/s`, `600/m` (or `/min`), `1000/h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// 1 to 1,000,000.
    pub count: u32,
    /// A second, a minute or an hour.
    pub per: Duration,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (count, unit) = text.split_once('/')?;
            let secs = match unit.trim() {
                "s" => 1,
                "m" | "min" => 60,
                "h" => 60 * 60,
                _ => return None,
            };
            let count = count.trim().parse().ok()?;
            let per = Duration::from_secs(secs);
            (1..=1_000_000).contains(&count).then_some(Rate { count, per })
        };
        parse().ok_or_else(|| {
            let rule = "write a number from 1 to 1000000 per s, m or h, such as \"10/s\", \
                        \"600/m\" or \"1000/h\"";
            match looks_like_a_number(text) {
                true => format!("{text:?} is not a rate; {rule}"),
                false => format!("this is not a rate; {rule}"),
            }
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.per.as_secs() {
            60 => write!(f, "{}/m", self.count),
            3600 => write!(f, "{}/h", self.count),
            _ => write!(f, "{}/s", self.count),
        }
    }
}

/// How long finished rows are kept after `finished_at`; `None` is forever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Default 30 days.
    pub sent: Option<Duration>,
    /// Default forever.
    pub failed: Option<Duration>,
    /// Default forever.
    pub cancelled: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Self {
        let month = Duration::from_secs(30 * 24 * 60 * 60);
        Retention { sent: Some(month), failed: None, cancelled: None }
    }
}

/// Where the messages of a database are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To Acquire.
    Delivery,
    /// To a stand-in for Acquire.
    Sandbox,
}

/// Whether an error may quote a text: it is short and begins as a duration or rate does, so it is not
/// a misplaced key.
pub(crate) fn looks_like_a_number(text: &str) -> bool {
    text.len() <= 16 && text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
}
