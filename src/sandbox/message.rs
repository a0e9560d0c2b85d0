//! Checks that a request has the fields that the vendor documents as required.

use crate::queue::job::Channel;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A valid request.
#[derive(Debug, Clone)]
pub(super) struct Sending {
    pub(super) channel: Channel,
    /// The case's id; for SMS the `threadId`.
    pub(super) case: i64,
    pub(super) contact: Option<i64>,
    pub(super) sender: MessageSender,
    /// The object with the message's fields: mail's `data`, else the whole body.
    pub(super) fields: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MessageSender {
    Agent,
    Contact(i64),
}

/// The agent who sends every message of a `user`.
pub(super) const AGENT: i64 = 25;
/// The customer of a chat whose request names none.
pub(super) const DEFAULT_CONTACT: i64 = 597_759;

impl Sending {
    /// Checks `body` and `query`; the error is a sentence that names the field.
    pub(super) fn check(
        channel: Channel,
        query: &BTreeMap<String, String>,
        body: &Value,
    ) -> Result<Self, String> {
        let whole = BodyFields {
            object: body.as_object().ok_or("the body is not a JSON object")?,
            path: "",
        };
        let (case, contact, fields) = match channel {
            Channel::Chat => check_chat(&whole)?,
            Channel::Mail => check_mail(&whole)?,
            Channel::Sms => check_sms(&whole)?,
        };
        let contact = contact.or(integer_parameter(query, "contactId")?);
        // Mail has no such parameter: it is always from an agent.
        let sender =
            if channel == Channel::Mail { MessageSender::Agent } else { sender(query, contact)? };
        Ok(Sending { channel, case, contact, sender, fields: fields.object.clone() })
    }

    pub(super) fn contact(&self) -> i64 {
        self.contact.unwrap_or(DEFAULT_CONTACT)
    }

    pub(super) fn sender_id(&self) -> i64 {
        match self.sender {
            MessageSender::Agent => AGENT,
            MessageSender::Contact(contact) => contact,
        }
    }

    pub(super) fn sender_type(&self) -> &'static str {
        match self.sender {
            MessageSender::Agent => "user",
            MessageSender::Contact(_) => "contact",
        }
    }

    /// The field as it was sent, or `null`.
    pub(super) fn field(&self, name: &str) -> Value {
        self.fields.get(name).cloned().unwrap_or(Value::Null)
    }
}

/// The case, the contact and the object that holds the fields.
type Checked<'a> = (i64, Option<i64>, BodyFields<'a>);

fn check_chat<'a>(body: &BodyFields<'a>) -> Result<Checked<'a>, String> {
    let case = body.integer("caseId")?;
    body.optional_one_of("channel", &["chat"])?;
    let message = body.object("message")?;
    message.text("message")?;
    message.one_of("type", &["message", "note", "event"])?;
    if message.object.contains_key("translateLangKey") {
        message.text("translateLangKey")?;
    }
    Ok((case, None, *body))
}

fn check_mail<'a>(body: &BodyFields<'a>) -> Result<Checked<'a>, String> {
    let data = body.object("data")?;
    let case = data.integer("caseId")?;
    let contact = data.integer("contactId")?;
    data.text("from")?;
    if data.addresses("to")? == 0 {
        return Err("data.to: at least one address is required".to_owned());
    }
    data.addresses("cc")?;
    data.addresses("bcc")?;
    data.text("subject")?;
    data.one_of("type", &["message"])?;
    data.array("attachments")?;
    let bodies = ["htmlBody", "textBody"].map(|name| data.object.contains_key(name));
    if bodies == [false, false] {
        return Err("data.htmlBody is required (or data.textBody)".to_owned());
    }
    for (name, given) in ["htmlBody", "textBody"].into_iter().zip(bodies) {
        if given {
            data.text(name)?;
        }
    }
    Ok((case, Some(contact), data))
}

fn check_sms<'a>(body: &BodyFields<'a>) -> Result<Checked<'a>, String> {
    body.text("Body")?;
    for number in ["From", "To"] {
        let digits = body.text(number)?.strip_prefix('+').unwrap_or_default();
        if !(1..=15).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!(
                "{number}: a number with its country code is required: +12513188609"
            ));
        }
    }
    let contact = body.integer("contactId")?;
    let case = body.integer("threadId")?;
    body.integer("timelineId")?;
    Ok((case, Some(contact), *body))
}

fn sender(query: &BTreeMap<String, String>, contact: Option<i64>) -> Result<MessageSender, String> {
    // The vendor's documentation and its own web client spell it differently.
    let kind = query.get("x-user-type").or_else(|| query.get("-x-user-type"));
    match kind.map(String::as_str) {
        None | Some("user") => Ok(MessageSender::Agent),
        Some("contact") => contact
            .map(MessageSender::Contact)
            .ok_or_else(|| "contactId is required when x-user-type is contact".to_owned()),
        Some(_) => Err("x-user-type must be user or contact".to_owned()),
    }
}

pub(super) fn integer_parameter(
    query: &BTreeMap<String, String>,
    name: &str,
) -> Result<Option<i64>, String> {
    query
        .get(name)
        .map(|text| text.parse())
        .transpose()
        .map_err(|_| format!("{name} must be an integer"))
}

/// An object of the body, and its path for error messages.
#[derive(Clone, Copy)]
struct BodyFields<'a> {
    object: &'a Map<String, Value>,
    path: &'static str,
}

impl<'a> BodyFields<'a> {
    fn required<T>(
        &self,
        name: &str,
        kind: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<T, String> {
        let value =
            self.object.get(name).ok_or_else(|| format!("{}{name} is required", self.path))?;
        read(value).ok_or_else(|| format!("{}{name} must be {kind}", self.path))
    }

    fn integer(&self, name: &str) -> Result<i64, String> {
        self.required(name, "an integer", Value::as_i64)
    }

    fn text(&self, name: &str) -> Result<&'a str, String> {
        self.required(name, "text that is not empty", |value| {
            value.as_str().filter(|text| !text.is_empty())
        })
    }

    fn array(&self, name: &str) -> Result<&'a Vec<Value>, String> {
        self.required(name, "an array", Value::as_array)
    }

    /// How many addresses the array has.
    fn addresses(&self, name: &str) -> Result<usize, String> {
        let addresses = self.array(name)?;
        if addresses.iter().all(|address| address.as_str().is_some_and(|text| text.contains('@'))) {
            Ok(addresses.len())
        } else {
            Err(format!("{}{name} must hold email addresses", self.path))
        }
    }

    fn object(&self, name: &'static str) -> Result<BodyFields<'a>, String> {
        let object = self.required(name, "an object", Value::as_object)?;
        let path = if name == "data" { "data." } else { "message." };
        Ok(BodyFields { object, path })
    }

    fn one_of(&self, name: &str, values: &[&str]) -> Result<(), String> {
        let kind = values.join(" or ");
        self.required(name, &kind, |value| value.as_str().filter(|text| values.contains(text)))?;
        Ok(())
    }

    fn optional_one_of(&self, name: &str, values: &[&str]) -> Result<(), String> {
        if self.object.contains_key(name) { self.one_of(name, values) } else { Ok(()) }
    }
}
