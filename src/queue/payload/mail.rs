//! The payload of a `mail` row.

use super::PayloadError;
use super::fields::PayloadFields;
use super::json::Object;
use std::fmt;

pub(super) const FIELDS: &[&str] = &[
    "caseId",
    "contactId",
    "from",
    "to",
    "subject",
    "htmlBody",
    "textBody",
    "cc",
    "bcc",
    "attachments",
    "type",
    "extra",
];

/// An email in a case.
#[derive(Clone, PartialEq)]
pub struct MailPayload {
    /// The case that the email belongs to.
    pub case_id: i64,
    /// The recipient, as a contact.
    pub contact_id: i64,
    /// The address of an inbox that is connected to Acquire.
    pub from: String,
    /// At least one; each is one address.
    pub to: Vec<String>,
    /// Each is one address; may be empty.
    pub cc: Vec<String>,
    /// Each is one address; may be empty.
    pub bcc: Vec<String>,
    /// Not empty, without a line break.
    pub subject: String,
    /// The field `type`; by default `message`, the only value that the vendor documents.
    pub kind: String,
    /// At least one of the two bodies is set and not empty.
    pub text_body: Option<String>,
    /// See `text_body`.
    pub html_body: Option<String>,
    /// Not documented by the vendor, so passed on unchanged.
    pub attachments: Vec<Object>,
    /// Added to the request's body; its `data` is merged into the body's `data`.
    pub extra: Object,
}

impl MailPayload {
    pub(super) fn from_fields(mut fields: PayloadFields) -> Result<Self, PayloadError> {
        let case_id = fields.id("caseId", "the case")?;
        let contact_id = fields.id("contactId", "the contact")?;
        let from = fields.address("from", "an inbox connected to Acquire")?;
        let to = fields.addresses("to")?.filter(|to| !to.is_empty()).ok_or_else(|| {
            PayloadError::new("to", "required, one email address or an array of at least one")
        })?;
        let subject = fields.single_line("subject", "the subject")?;
        let html_body = fields.text_or_empty("htmlBody", "the email as HTML")?;
        let text_body = fields.text_or_empty("textBody", "the email as plain text")?;
        if [&html_body, &text_body].into_iter().flatten().all(String::is_empty) {
            return Err(PayloadError::new(
                "htmlBody",
                "required, text that is not empty, here or in `textBody`",
            ));
        }
        let cc = fields.addresses("cc")?.unwrap_or_default();
        let bcc = fields.addresses("bcc")?.unwrap_or_default();
        let attachments = fields.objects("attachments")?;
        let kind = fields
            .optional_text("type", "`message`, the only type the API names")?
            .unwrap_or_else(|| "message".to_owned());

        let mut occupied: Vec<&[&str]> = vec![
            &["data", "caseId"],
            &["data", "contactId"],
            &["data", "from"],
            &["data", "to"],
            &["data", "cc"],
            &["data", "bcc"],
            &["data", "subject"],
            &["data", "type"],
            &["data", "attachments"],
        ];
        if text_body.is_some() {
            occupied.push(&["data", "textBody"]);
        }
        if html_body.is_some() {
            occupied.push(&["data", "htmlBody"]);
        }
        let extra = fields.extra(&occupied)?;
        Ok(MailPayload {
            case_id,
            contact_id,
            from,
            to,
            cc,
            bcc,
            subject,
            kind,
            text_body,
            html_body,
            attachments,
            extra,
        })
    }
}

impl fmt::Debug for MailPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailPayload")
            .field("case_id", &self.case_id)
            .field("contact_id", &self.contact_id)
            .field("recipients", &(self.to.len() + self.cc.len() + self.bcc.len()))
            .field("attachments", &self.attachments.len())
            .finish_non_exhaustive()
    }
}
