//! The payload of a `chat` row.

use super::fields::PayloadFields;
use super::json::Object;
use super::{PayloadError, UserType};
use std::fmt;

pub(super) const FIELDS: &[&str] =
    &["caseId", "message", "type", "translateLangKey", "userType", "contactId", "extra"];

/// A chat message to a case.
#[derive(Clone, PartialEq)]
pub struct ChatPayload {
    /// The case to write to. Its messages are sent in order, unless the row has an `ordering_key`.
    pub case_id: i64,
    /// Not empty.
    pub message: String,
    /// `message`, `note` or `event`.
    pub kind: &'static str,
    /// An ISO language code, as the producer wrote it.
    pub translate_lang_key: Option<String>,
    /// Who it is from; by default an agent.
    pub user_type: UserType,
    /// Always set if `user_type` is `Contact`.
    pub contact_id: Option<i64>,
    /// Added to the request's body.
    pub extra: Object,
}

impl ChatPayload {
    pub(super) fn from_fields(mut fields: PayloadFields) -> Result<Self, PayloadError> {
        let case_id = fields.id("caseId", "the case")?;
        let message = fields.text("message", "the message")?;
        let kind = fields.one_of("type", &["message", "note", "event"])?.unwrap_or("message");
        let translate_lang_key =
            fields.optional_text("translateLangKey", "an ISO language code")?;
        let user_type = fields.user_type()?;
        let contact_id = match user_type {
            UserType::User => fields.optional_id("contactId", "the contact")?,
            UserType::Contact => {
                Some(fields.id("contactId", "the contact who sends, as userType is `contact`")?)
            }
        };
        let mut occupied: Vec<&[&str]> =
            vec![&["channel"], &["message", "type"], &["message", "message"], &["caseId"]];
        if translate_lang_key.is_some() {
            occupied.push(&["message", "translateLangKey"]);
        }
        let extra = fields.extra(&occupied)?;
        Ok(ChatPayload { case_id, message, kind, translate_lang_key, user_type, contact_id, extra })
    }
}

impl fmt::Debug for ChatPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatPayload")
            .field("case_id", &self.case_id)
            .field("kind", &self.kind)
            .field("user_type", &self.user_type)
            .field("contact_id", &self.contact_id)
            .finish_non_exhaustive()
    }
}
