//! The payload of an `sms` row.

use super::fields::PayloadFields;
use super::json::Object;
use super::{PayloadError, UserType};
use std::fmt;

pub(super) const FIELDS: &[&str] = &[
    "From",
    "To",
    "Body",
    "contactId",
    "threadId",
    "timelineId",
    "userType",
    "title",
    "id",
    "isClosed",
    "isMultiChannel",
    "markValue",
    "msgType",
    "extra",
];

/// A text message to a contact's phone.
#[derive(Clone, PartialEq)]
pub struct SmsPayload {
    /// A phone number that is connected to Acquire, in E.164: `+` and 1 to 15 digits.
    pub from: String,
    /// The contact's phone number, in E.164.
    pub to: String,
    /// Not empty.
    pub body: String,
    /// The recipient, as a contact.
    pub contact_id: i64,
    /// The case.
    pub thread_id: i64,
    /// The thread's timeline.
    pub timeline_id: i64,
    /// Who it is from; by default an agent.
    pub user_type: UserType,
    /// The conversation's title.
    pub title: Option<String>,
    /// By default the request repeats `thread_id`.
    pub id: Option<i64>,
    /// By default false.
    pub is_closed: bool,
    /// By default false.
    pub is_multi_channel: bool,
    /// By default the request repeats `body`, as a paragraph of HTML.
    pub mark_value: Option<String>,
    /// By default `message`.
    pub msg_type: String,
    /// Added to the request's body.
    pub extra: Object,
}

impl SmsPayload {
    pub(super) fn from_fields(mut fields: PayloadFields) -> Result<Self, PayloadError> {
        let from = fields.phone("From", "a phone number connected to Acquire")?;
        let to = fields.phone("To", "the contact's phone number")?;
        let body = fields.text("Body", "the message")?;
        let contact_id = fields.id("contactId", "the contact")?;
        let thread_id = fields.id("threadId", "the case")?;
        let timeline_id = fields.id("timelineId", "the thread's timeline")?;
        let user_type = fields.user_type()?;
        let title = fields.text_or_empty("title", "the conversation's title")?;
        let id = fields.optional_id("id", "the case, `threadId` when left out")?;
        let is_closed = fields.boolean("isClosed")?.unwrap_or(false);
        let is_multi_channel = fields.boolean("isMultiChannel")?.unwrap_or(false);
        let mark_value = fields.text_or_empty("markValue", "the message as HTML")?;
        let msg_type = fields
            .optional_text("msgType", "`message` when left out")?
            .unwrap_or_else(|| "message".to_owned());

        let mut occupied: Vec<&[&str]> = vec![
            &["Body"],
            &["From"],
            &["To"],
            &["contactId"],
            &["id"],
            &["threadId"],
            &["timelineId"],
            &["isClosed"],
            &["isMultiChannel"],
            &["message"],
            &["sms"],
            &["markValue"],
            &["msgType"],
        ];
        if title.is_some() {
            occupied.push(&["title"]);
        }
        let extra = fields.extra(&occupied)?;
        Ok(SmsPayload {
            from,
            to,
            body,
            contact_id,
            thread_id,
            timeline_id,
            user_type,
            title,
            id,
            is_closed,
            is_multi_channel,
            mark_value,
            msg_type,
            extra,
        })
    }
}

impl fmt::Debug for SmsPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmsPayload")
            .field("contact_id", &self.contact_id)
            .field("thread_id", &self.thread_id)
            .field("timeline_id", &self.timeline_id)
            .field("user_type", &self.user_type)
            .finish_non_exhaustive()
    }
}
