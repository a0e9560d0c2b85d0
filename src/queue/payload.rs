//! What a producer asks to have sent: the payloads of the three channels, parsed and validated.
//!
//! Every error is one sentence that names the field and says what is allowed. It never repeats a
//! value, except a number: payloads are message text, and errors are stored and logged.

mod chat;
mod fields;
mod json;
mod json_reader;
mod mail;
mod mailbox;
pub mod missing_ids;
mod sms;

pub use chat::ChatPayload;
pub use json::{Json, Object};
pub use json_reader::{JsonFault, ObjectEntries, replace_unpaired_surrogates};
pub use mail::MailPayload;
pub use sms::SmsPayload;

use crate::queue::job::Channel;
use crate::queue::outcome::Fault;
use std::fmt;

/// A valid payload.
///
/// Its `Debug` shows only ids, so that message text stays out of logs.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// Of a `chat` row.
    Chat(ChatPayload),
    /// Of a `mail` row.
    Mail(MailPayload),
    /// Of an `sms` row.
    Sms(SmsPayload),
}

impl Payload {
    /// The channel that it is for.
    pub fn channel(&self) -> Channel {
        match self {
            Payload::Chat(_) => Channel::Chat,
            Payload::Mail(_) => Channel::Mail,
            Payload::Sms(_) => Channel::Sms,
        }
    }

    /// Fields to merge into the request's body, for those that this version does not know.
    pub fn extra(&self) -> &Object {
        match self {
            Payload::Chat(chat) => &chat.extra,
            Payload::Mail(mail) => &mail.extra,
            Payload::Sms(sms) => &sms.extra,
        }
    }

    /// The message text in it, none empty: what an error must not repeat.
    pub fn texts(&self) -> Vec<&str> {
        let texts = match self {
            Payload::Chat(chat) => [Some(&chat.message), None, None],
            Payload::Mail(mail) => {
                [Some(&mail.subject), mail.html_body.as_ref(), mail.text_body.as_ref()]
            }
            Payload::Sms(sms) => [Some(&sms.body), sms.title.as_ref(), sms.mark_value.as_ref()],
        };
        let mut texts: Vec<&str> = texts.into_iter().flatten().map(String::as_str).collect();
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

/// Strings in free-form JSON that are not longer are taken for keywords, not for message text.
const KEYWORD_BYTES: usize = 8;

fn long_texts<'a>(value: &'a Json, into: &mut Vec<&'a str>) {
    match value {
        Json::String(text) if text.len() > KEYWORD_BYTES => into.push(text),
        Json::Deep { strings, .. } => {
            into.extend(
                strings.iter().map(String::as_str).filter(|text| text.len() > KEYWORD_BYTES),
            );
        }
        Json::Array(items) => items.iter().for_each(|item| long_texts(item, into)),
        Json::Object(fields) => fields.values().for_each(|field| long_texts(field, into)),
        _ => {}
    }
}

/// Who a message is from: the field `userType`, and the request's query parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UserType {
    /// An agent.
    #[default]
    User,
    /// The customer.
    Contact,
}

impl UserType {
    /// The field's text.
    pub fn as_str(self) -> &'static str {
        match self {
            UserType::User => "user",
            UserType::Contact => "contact",
        }
    }
}

/// What is wrong with a payload.
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

    /// The name of the field at fault; `None` for the payload as a whole.
    pub fn field(&self) -> Option<&str> {
        let path = self.field.strip_prefix('.')?;
        path.split(['.', '[']).next()
    }

    /// What is allowed, without the field's name.
    pub fn rule(&self) -> &str {
        &self.rule
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

/// The field names that are allowed in a channel's payload, including `extra`.
pub fn known_fields(channel: Channel) -> &'static [&'static str] {
    match channel {
        Channel::Chat => chat::FIELDS,
        Channel::Mail => mail::FIELDS,
        Channel::Sms => sms::FIELDS,
    }
}

/// The largest payload, 64 MiB: it is held in memory while it is sent.
pub const MAX_BYTES: usize = 64 << 20;

/// [`parse`], of text as SQLite stores it, which can be any bytes.
pub fn parse_bytes(channel: Channel, text: &[u8]) -> Result<Payload, PayloadError> {
    if text.len() > MAX_BYTES {
        return Err(PayloadError::whole("must be at most 64 MiB; send a link to larger content"));
    }
    let text =
        std::str::from_utf8(text).map_err(|_| PayloadError::whole("must be text in UTF-8"))?;
    parse(channel, text)
}

/// Parses and validates a row's `payload`, one JSON object with the vendor's field names.
///
/// # Errors
/// [`PayloadError`] for the first violation: text that is not a JSON object, a field that is unknown,
/// missing or of the wrong type, or an `extra` that would replace a field.
pub fn parse(channel: Channel, text: &str) -> Result<Payload, PayloadError> {
    let fields = fields::PayloadFields::read(text, known_fields(channel))?;
    Ok(match channel {
        Channel::Chat => Payload::Chat(ChatPayload::from_fields(fields)?),
        Channel::Mail => Payload::Mail(MailPayload::from_fields(fields)?),
        Channel::Sms => Payload::Sms(SmsPayload::from_fields(fields)?),
    })
}

/// As [`parse`], before a job is inserted: ids that `fill_missing` may fill count as given. Whether they may
/// be left out, the database says.
pub fn check(channel: Channel, text: &str) -> Result<(), PayloadError> {
    let parsed = parse(channel, text).map(drop);
    if parsed.is_ok() || missing_ids::MissingIds::of(channel, text.as_bytes()).is_none() {
        return parsed;
    }
    let ids: &[(&str, i64)] = match channel {
        Channel::Mail => &[("caseId", 0)],
        Channel::Chat | Channel::Sms => &[("threadId", 0), ("timelineId", 0)],
    };
    match missing_ids::with_ids(text.as_bytes(), ids) {
        Some(filled) => parse_bytes(channel, &filled).map(drop),
        None => parsed,
    }
}

#[cfg(test)]
mod tests;
