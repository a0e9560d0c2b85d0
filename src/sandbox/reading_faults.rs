//! How the calls that read back mislead, as real ones may.

use super::faults::{ShareError, check_share};
use serde_json::{Value, json};
use std::str::FromStr;
use std::time::Duration;

/// Traps of the calls that read back.
#[derive(Debug, Clone, Default)]
pub struct ReadingFaults {
    /// A message is not shown before this time has passed since it was accepted.
    pub shown_after: Duration,
    /// The share of messages that are shown twice, with different ids. From 0 to 1.
    pub twice: f64,
    /// Ids are text: `"8289"`.
    pub text_ids: bool,
    /// Answers are well-formed and in no shape that is documented.
    pub unknown_shape: bool,
    /// Reading is refused with 403; sending is not.
    pub forbidden: bool,
    /// An error under a success status.
    pub says_no: bool,
    /// How texts are changed.
    pub rewriting: Option<Rewriting>,
    /// How many seconds the sandbox's clock is ahead; negative: behind. In every `Date` and every time
    /// that it writes.
    pub clock: i64,
    /// An email is delivered, or returned, after this time, and anything is seen after twice this time.
    /// `None`: never.
    pub delivered_after: Option<Duration>,
    /// The share of emails that are returned, and of SMS that fail, instead of being delivered. From 0 to 1.
    pub bounced: f64,
}

/// What happens to a message's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewriting {
    /// Trimmed, in a `<p>`, with entities.
    Normalised,
    /// Other tags, other line ends, a tracking picture.
    Html,
}

impl FromStr for Rewriting {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        match text {
            "text" => Ok(Rewriting::Normalised),
            "html" => Ok(Rewriting::Html),
            _ => Err(ShareError(format!("`{text}` is not a way to rewrite; choose text or html"))),
        }
    }
}

impl ReadingFaults {
    pub(super) fn check(&self) -> Result<(), ShareError> {
        check_share(self.twice, "twice")?;
        check_share(self.bounced, "bounced")
    }

    pub(super) fn draw_twice(&self) -> bool {
        fastrand::f64() < self.twice
    }

    pub(super) fn draw_bounced(&self) -> bool {
        fastrand::f64() < self.bounced
    }

    /// An answer's `data`, as these faults change it.
    pub(super) fn applied(&self, data: Value) -> Value {
        if self.unknown_shape {
            return json!({"result": {"rows": [data]}, "data": {"rows": 1}});
        }
        let mut data = data;
        if self.text_ids {
            ids_as_text(&mut data);
        }
        json!({"data": data})
    }
}

/// Every number under `id` or `...Id` becomes text.
fn ids_as_text(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(ids_as_text),
        Value::Object(fields) => {
            for (name, field) in fields {
                if field.is_number() && (name == "id" || name.ends_with("Id")) {
                    *field = Value::from(field.to_string());
                } else {
                    ids_as_text(field);
                }
            }
        }
        _ => {}
    }
}
