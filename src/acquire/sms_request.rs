//! `POST /voip/send-sms`.

use super::receipt::{AnswerObject, FieldAction, kept};
use super::request::Extra;
use crate::queue::payload::SmsPayload;
use serde::Serialize;
use std::borrow::Cow;

pub(super) const PATH: &str = "/voip/send-sms";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SmsBody<'a> {
    #[serde(rename = "Body")]
    body: &'a str,
    #[serde(rename = "From")]
    from: &'a str,
    #[serde(rename = "To")]
    to: &'a str,
    contact_id: i64,
    id: i64,
    thread_id: i64,
    timeline_id: i64,
    is_closed: bool,
    is_multi_channel: bool,
    message: &'a str,
    sms: &'a str,
    mark_value: Cow<'a, str>,
    msg_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(flatten)]
    extra: Extra<'a>,
}

impl<'a> SmsBody<'a> {
    pub(super) fn of(sms: &'a SmsPayload) -> Self {
        SmsBody {
            body: &sms.body,
            from: &sms.from,
            to: &sms.to,
            contact_id: sms.contact_id,
            id: sms.id.unwrap_or(sms.thread_id),
            thread_id: sms.thread_id,
            timeline_id: sms.timeline_id,
            is_closed: sms.is_closed,
            is_multi_channel: sms.is_multi_channel,
            message: &sms.body,
            sms: &sms.body,
            mark_value: match &sms.mark_value {
                Some(given) => given.into(),
                None => format!("<p>{}</p>", escape_html(&sms.body)).into(),
            },
            msg_type: &sms.msg_type,
            title: sms.title.as_deref(),
            extra: Extra::top(&sms.extra, None),
        }
    }
}

pub(super) fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// The message is in `data.data`, and the provider's error, if any, in its `meta`.
pub(super) fn field_action(object: AnswerObject, name: &[u8]) -> FieldAction {
    match (object, name) {
        (AnswerObject::Data, b"data") => FieldAction::Enter(AnswerObject::InnerData),
        (AnswerObject::Data, b"threadId") => FieldAction::Keep("threadId"),
        (AnswerObject::Data, b"timeline") => FieldAction::Enter(AnswerObject::Timeline),
        (AnswerObject::Timeline, b"id") => FieldAction::Keep("timelineId"),
        (AnswerObject::InnerData, b"call_sid") => FieldAction::Keep("callSid"),
        (AnswerObject::InnerData, b"meta") => FieldAction::Enter(AnswerObject::Meta),
        (AnswerObject::InnerData, b"threadId") => FieldAction::Skip,
        (AnswerObject::InnerData, name) => kept(name),
        (AnswerObject::Meta, b"errorCode") => FieldAction::ProviderCode,
        (AnswerObject::Meta, b"errorMessage") => FieldAction::ProviderMessage,
        _ => FieldAction::Skip,
    }
}
