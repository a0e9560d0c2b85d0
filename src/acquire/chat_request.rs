//! `POST /crm/messenger/chat/add-message`.

use super::receipt::{AnswerObject, FieldAction, kept};
use super::request::Extra;
use crate::queue::payload::ChatPayload;
use serde::Serialize;

pub(super) const PATH: &str = "/crm/messenger/chat/add-message";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChatBody<'a> {
    channel: &'static str,
    message: ChatMessage<'a>,
    case_id: i64,
    #[serde(flatten)]
    extra: Extra<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChatMessage<'a> {
    r#type: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    translate_lang_key: Option<&'a str>,
    #[serde(flatten)]
    extra: Extra<'a>,
}

impl<'a> ChatBody<'a> {
    pub(super) fn of(chat: &'a ChatPayload) -> Self {
        ChatBody {
            channel: "chat",
            message: ChatMessage {
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

/// The ids are in `data` itself.
pub(super) fn field_action(object: AnswerObject, name: &[u8]) -> FieldAction {
    match object {
        AnswerObject::Data => kept(name),
        _ => FieldAction::Skip,
    }
}
