use super::fields::Fields;
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
pub struct Sms {
    /// E.164 (`+` and 1 to 15 digits), as `to`: a number that is connected to Acquire.
    pub from: String,
    /// The contact's number.
    pub to: String,
    /// Not empty.
    pub body: String,
    /// The contact whom it is for.
    pub contact_id: i64,
    /// The case.
    pub thread_id: i64,
    /// The thread's timeline.
    pub timeline_id: i64,
    /// Who it is from; an agent where it is left out.
    pub user_type: UserType,
    /// The conversation's title.
    pub title: Option<String>,
    /// Left out, the request says `thread_id` again.
    pub id: Option<i64>,
    /// False where it is left out.
    pub is_closed: bool,
    /// False where it is left out.
    pub is_multi_channel: bool,
    /// Left out, the request says `body` again, as a paragraph of HTML.
    pub mark_value: Option<String>,
    /// `message` where it is left out.
    pub msg_type: String,
    /// What is added to the request's body.
    pub extra: Object,
}

impl Sms {
    pub(super) fn from_fields(mut fields: Fields) -> Result<Self, PayloadError> {
        let from = fields.phone("From", "a phone number connected to Acquire")?;
        let to = fields.phone("To", "the contact's phone number")?;
        let body = fields.text("Body", "the message")?;
        let contact_id = fields.id("contactId", "the contact")?;
        let thread_id = fields.id("threadId", "the case")?;
        let timeline_id = fields.id("timelineId", "the thread's timeline")?;
        let user_type = fields.user_type()?;
        let title = fields.loose_text("title", "the conversation's title")?;
        let id = fields.optional_id("id", "the case, `threadId` when left out")?;
        let is_closed = fields.truth("isClosed")?.unwrap_or(false);
        let is_multi_channel = fields.truth("isMultiChannel")?.unwrap_or(false);
        let mark_value = fields.loose_text("markValue", "the message as HTML")?;
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
        Ok(Sms {
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

impl fmt::Debug for Sms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sms")
            .field("contact_id", &self.contact_id)
            .field("thread_id", &self.thread_id)
            .field("timeline_id", &self.timeline_id)
            .field("user_type", &self.user_type)
            .finish_non_exhaustive()
    }
}
