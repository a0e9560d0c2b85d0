use super::fields::Fields;
use super::json::Object;
use super::{PayloadError, UserType};
use std::fmt;

pub(super) const FIELDS: &[&str] =
    &["caseId", "message", "type", "translateLangKey", "userType", "contactId", "extra"];

/// A chat message to a case.
#[derive(Clone, PartialEq)]
pub struct Chat {
    /// The case to write to; its conversation is the job's order unless `ordering_key` says other.
    pub case_id: i64,
    /// Not empty.
    pub message: String,
    /// `message`, `note` or `event`.
    pub kind: &'static str,
    /// An ISO language code, as the producer wrote it.
    pub translate_lang_key: Option<String>,
    /// Who it is from; an agent where it is left out.
    pub user_type: UserType,
    /// Always there when it is from a contact.
    pub contact_id: Option<i64>,
    /// What is added to the request's body.
    pub extra: Object,
}

impl Chat {
    pub(super) fn from_fields(mut fields: Fields) -> Result<Self, PayloadError> {
        let case_id = fields.id("caseId", "the case")?;
        let message = fields.text("message", "the message")?;
        let kind = fields.word("type", &["message", "note", "event"])?.unwrap_or("message");
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
        Ok(Chat { case_id, message, kind, translate_lang_key, user_type, contact_id, extra })
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat")
            .field("case_id", &self.case_id)
            .field("kind", &self.kind)
            .field("user_type", &self.user_type)
            .field("contact_id", &self.contact_id)
            .finish_non_exhaustive()
    }
}
