//! `POST /voip/send-sms`.

use super::receipt::{Place, Step, kept};
use super::request::Extra;
use crate::queue::payload::Sms;
use serde::Serialize;
use std::borrow::Cow;

pub(super) const PATH: &str = "/voip/send-sms";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
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

impl<'a> Body<'a> {
    pub(super) fn of(sms: &'a Sms) -> Self {
        Body {
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

/// The message nests once more, in `data.data`; a provider's refusal stands in its `meta`.
pub(super) fn step(place: Place, name: &[u8]) -> Step {
    match (place, name) {
        (Place::Data, b"data") => Step::Into(Place::Message),
        (Place::Data, b"threadId") => Step::Keep("threadId"),
        (Place::Data, b"timeline") => Step::Into(Place::Timeline),
        (Place::Timeline, b"id") => Step::Keep("timelineId"),
        (Place::Message, b"call_sid") => Step::Keep("callSid"),
        (Place::Message, b"meta") => Step::Into(Place::Meta),
        (Place::Message, b"threadId") => Step::Skip,
        (Place::Message, name) => kept(name),
        (Place::Meta, b"errorCode") => Step::ProviderCode,
        (Place::Meta, b"errorMessage") => Step::ProviderWords,
        _ => Step::Skip,
    }
}
