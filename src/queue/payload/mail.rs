use super::PayloadError;
use super::fields::Fields;
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

/// A mail in a case.
#[derive(Clone, PartialEq)]
pub struct Mail {
    /// The case that the mail belongs to.
    pub case_id: i64,
    /// The contact whom it is for.
    pub contact_id: i64,
    /// An inbox that is connected to Acquire.
    pub from: String,
    /// At least one; each is one mailbox.
    pub to: Vec<String>,
    /// As `to`, or empty.
    pub cc: Vec<String>,
    /// As `cc`.
    pub bcc: Vec<String>,
    /// Not empty, without a line break.
    pub subject: String,
    /// The `type` field: `message` where it is left out, the only one that the vendor names.
    pub kind: String,
    /// At least one of the two bodies is given and not empty.
    pub text_body: Option<String>,
    /// See `text_body`.
    pub html_body: Option<String>,
    /// Undocumented by the vendor: passed through unchanged.
    pub attachments: Vec<Object>,
    /// What is added to the request's body; its `data` goes into the body's `data`.
    pub extra: Object,
}

impl Mail {
    pub(super) fn from_fields(mut fields: Fields) -> Result<Self, PayloadError> {
        let case_id = fields.id("caseId", "the case")?;
        let contact_id = fields.id("contactId", "the contact")?;
        let from = fields.address("from", "an inbox connected to Acquire")?;
        let to = fields.addresses("to")?.filter(|to| !to.is_empty()).ok_or_else(|| {
            PayloadError::new("to", "required, one mail address or an array of at least one")
        })?;
        let subject = fields.line("subject", "the subject")?;
        let html_body = fields.loose_text("htmlBody", "the mail as HTML")?;
        let text_body = fields.loose_text("textBody", "the mail as plain text")?;
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
        Ok(Mail {
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

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail")
            .field("case_id", &self.case_id)
            .field("contact_id", &self.contact_id)
            .field("recipients", &(self.to.len() + self.cc.len() + self.bcc.len()))
            .field("attachments", &self.attachments.len())
            .finish_non_exhaustive()
    }
}
