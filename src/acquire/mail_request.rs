//! `POST /mail/add-message`.

use super::request::Extra;
use crate::queue::payload::{MailPayload, Object};
use serde::Serialize;

pub(super) const PATH: &str = "/mail/add-message";

/// The ids are where a chat's are.
pub(super) use super::chat_request::field_action;

#[derive(Serialize)]
pub(super) struct MailBody<'a> {
    data: MailData<'a>,
    #[serde(flatten)]
    extra: Extra<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MailData<'a> {
    case_id: i64,
    contact_id: i64,
    from: &'a str,
    to: &'a [String],
    cc: &'a [String],
    bcc: &'a [String],
    subject: &'a str,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text_body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    html_body: Option<&'a str>,
    attachments: &'a [Object],
    #[serde(flatten)]
    extra: Extra<'a>,
}

impl<'a> MailBody<'a> {
    pub(super) fn of(mail: &'a MailPayload) -> Self {
        MailBody {
            data: MailData {
                case_id: mail.case_id,
                contact_id: mail.contact_id,
                from: &mail.from,
                to: &mail.to,
                cc: &mail.cc,
                bcc: &mail.bcc,
                subject: &mail.subject,
                r#type: &mail.kind,
                text_body: mail.text_body.as_deref(),
                html_body: mail.html_body.as_deref(),
                attachments: &mail.attachments,
                extra: Extra::nested(&mail.extra, "data"),
            },
            extra: Extra::top(&mail.extra, Some("data")),
        }
    }
}
