//! `POST /crm/messenger/chat/add-message`.

use super::receipt::{Place, Step, kept};
use super::request::Extra;
use crate::queue::payload::Chat;
use serde::Serialize;

pub(super) const PATH: &str = "/crm/messenger/chat/add-message";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    channel: &'static str,
    message: Message<'a>,
    case_id: i64,
    #[serde(flatten)]
    extra: Extra<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    r#type: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    translate_lang_key: Option<&'a str>,
    #[serde(flatten)]
    extra: Extra<'a>,
}

impl<'a> Body<'a> {
    pub(super) fn of(chat: &'a Chat) -> Self {
        Body {
            channel: "chat",
            message: Message {
                r#type: chat.kind,
                message: &chat.message,
                translate_lang_key: chat.translate_lang_key.as_deref(),
                extra: Extra::nested(&chat.extra, "message"),
            },
            case_id: chat.case_id,
            extra: Extra::top(&chat.extra, Some("message")),
        }
    }
}

/// The ids stand in `data` itself.
pub(super) fn step(place: Place, name: &[u8]) -> Step {
    match place {
        Place::Data => kept(name),
        _ => Step::Skip,
    }
}
