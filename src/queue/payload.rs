//! What a producer asks to be sent: the three channels' payloads, typed and checked. Pure.
//!
//! Every error is one sentence that names the field and what it may be, and never repeats a
//! value but a number: payloads are message text, and errors are stored and logged.

mod chat;
mod fields;
mod json;
mod mail;
mod mailbox;
mod pairs;
mod sms;

pub use chat::Chat;
pub use json::{Json, JsonFault, Object, whole_characters};
pub use mail::Mail;
pub use pairs::Pairs;
pub use sms::Sms;

use crate::queue::job::Channel;
use crate::queue::outcome::Fault;
use std::fmt;

/// A payload that keeps its channel's rules.
///
/// Its `Debug` shows ids only: people's words stay out of logs.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// Of a `chat` row.
    Chat(Chat),
    /// Of a `mail` row.
    Mail(Mail),
    /// Of an `sms` row.
    Sms(Sms),
}

impl Payload {
    /// The channel whose rules it keeps.
    pub fn channel(&self) -> Channel {
        match self {
            Payload::Chat(_) => Channel::Chat,
            Payload::Mail(_) => Channel::Mail,
            Payload::Sms(_) => Channel::Sms,
        }
    }

    /// Fields that this version does not know, merged into the request's body.
    pub fn extra(&self) -> &Object {
        match self {
            Payload::Chat(chat) => &chat.extra,
            Payload::Mail(mail) => &mail.extra,
            Payload::Sms(sms) => &sms.extra,
        }
    }

    /// The people's words in it, none empty: what an error must not repeat.
    pub fn texts(&self) -> Vec<&str> {
        let words = match self {
            Payload::Chat(chat) => [Some(&chat.message), None, None],
            Payload::Mail(mail) => {
                [Some(&mail.subject), mail.html_body.as_ref(), mail.text_body.as_ref()]
            }
            Payload::Sms(sms) => [Some(&sms.body), sms.title.as_ref(), sms.mark_value.as_ref()],
        };
        let mut texts: Vec<&str> = words.into_iter().flatten().map(String::as_str).collect();
        if let Payload::Mail(mail) = self {
            mail.attachments
                .iter()
                .flat_map(Object::values)
                .for_each(|v| long_texts(v, &mut texts));
        }
        self.extra().values().for_each(|value| long_texts(value, &mut texts));
        texts.retain(|text| !text.is_empty());
        texts
    }
}

/// Free-form JSON holds keywords as well as words; what is this short is taken for a keyword.
const KEYWORD_BYTES: usize = 8;

fn long_texts<'a>(value: &'a Json, into: &mut Vec<&'a str>) {
    match value {
        Json::Text(text) if text.len() > KEYWORD_BYTES => into.push(text),
        Json::Deep { texts, .. } => {
            into.extend(texts.iter().map(String::as_str).filter(|text| text.len() > KEYWORD_BYTES));
        }
        Json::List(items) => items.iter().for_each(|item| long_texts(item, into)),
        Json::Object(fields) => fields.values().for_each(|field| long_texts(field, into)),
        _ => {}
    }
}

/// Who a message is from; the `userType` field and the request's query parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UserType {
    /// An agent.
    #[default]
    User,
    /// The customer.
    Contact,
}

impl UserType {
    /// The vendor's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            UserType::User => "user",
            UserType::Contact => "contact",
        }
    }
}

/// A rule that a payload breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("payload{field}: {rule}")]
pub struct PayloadError {
    /// The field's path with its leading dot; empty for the payload as a whole.
    field: String,
    rule: String,
}

impl PayloadError {
    fn new(field: impl fmt::Display, rule: impl Into<String>) -> Self {
        PayloadError { field: format!(".{field}"), rule: rule.into() }
    }

    fn whole(rule: impl Into<String>) -> Self {
        PayloadError { field: String::new(), rule: rule.into() }
    }
}

impl From<PayloadError> for Fault {
    fn from(error: PayloadError) -> Fault {
        Fault::new("invalid_payload", error.to_string())
    }
}

/// The names that a channel's payload may have, `extra` included.
pub fn known_fields(channel: Channel) -> &'static [&'static str] {
    match channel {
        Channel::Chat => chat::FIELDS,
        Channel::Mail => mail::FIELDS,
        Channel::Sms => sms::FIELDS,
    }
}

/// The most bytes that a payload may have, 64 MiB: a message is in memory as a whole while it is
/// sent.
pub const MAX_BYTES: usize = 64 << 20;

/// [`parse`], of what SQLite takes for text.
pub fn parse_bytes(channel: Channel, text: &[u8]) -> Result<Payload, PayloadError> {
    if text.len() > MAX_BYTES {
        return Err(PayloadError::whole("must be at most 64 MiB; send a link to larger content"));
    }
    let text =
        std::str::from_utf8(text).map_err(|_| PayloadError::whole("must be text in UTF-8"))?;
    parse(channel, text)
}

/// Reads and checks a row's `payload`, one JSON object in the vendor's field names.
///
/// # Errors
/// [`PayloadError`] for the first rule that it breaks: text that is no JSON object, a field that is
/// unknown, missing or of the wrong type, an `extra` that would replace something.
pub fn parse(channel: Channel, text: &str) -> Result<Payload, PayloadError> {
    let fields = fields::Fields::read(text, known_fields(channel))?;
    Ok(match channel {
        Channel::Chat => Payload::Chat(Chat::from_fields(fields)?),
        Channel::Mail => Payload::Mail(Mail::from_fields(fields)?),
        Channel::Sms => Payload::Sms(Sms::from_fields(fields)?),
    })
}

#[cfg(test)]
mod tests;
