//! A message that the sandbox accepted, as the calls that read back show it.

use super::message::{AGENT, Sending};
use super::reading_faults::{ReadingFaults, Rewriting};
use super::request_log::iso_text;
use super::response::{Ids, Provider, accepted};
use crate::queue::job::{Channel, Millis};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// What is kept of an accepted message.
#[derive(Debug, Clone)]
pub(super) struct KeptMessage {
    pub(super) ids: Ids,
    /// Its second appearance, if it has one.
    pub(super) twin: Option<Ids>,
    pub(super) sending: Sending,
    /// By the sandbox's own clock, which may be wrong.
    pub(super) created: Millis,
    /// An email that is returned, or an SMS that does not arrive.
    pub(super) bounces: bool,
}

/// How the messages are shown at a time, by the sandbox's own clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Showing<'a> {
    pub(super) faults: &'a ReadingFaults,
    pub(super) now: Millis,
}

fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

impl KeptMessage {
    pub(super) fn case(&self) -> i64 {
        self.sending.case
    }

    pub(super) fn contact(&self) -> i64 {
        self.sending.contact()
    }

    /// The id in its case's timeline: an SMS names it, otherwise it is the case's.
    pub(super) fn timeline(&self) -> i64 {
        self.sending.field("timelineId").as_i64().unwrap_or(self.sending.case)
    }

    pub(super) fn is_shown(&self, showing: Showing<'_>) -> bool {
        self.created.saturating_add(millis(showing.faults.shown_after)) <= showing.now
    }

    /// The appearances among the messages of its case.
    pub(super) fn case_messages(&self, showing: Showing<'_>) -> Vec<Value> {
        let all = [Some(self.ids), self.twin].into_iter().flatten();
        all.map(|ids| self.case_message(ids, showing)).collect()
    }

    fn case_message(&self, ids: Ids, showing: Showing<'_>) -> Value {
        let sending = &self.sending;
        let (kind, text) = match sending.channel {
            Channel::Chat => {
                let message = sending.field("message");
                (message["type"].clone(), message["message"].clone())
            }
            Channel::Mail => {
                let text = sending.field("textBody");
                let text = if text.is_null() { sending.field("htmlBody") } else { text };
                (sending.field("type"), text)
            }
            Channel::Sms => (Value::from("sms"), sending.field("Body")),
        };
        let meta = match sending.channel {
            Channel::Sms => self.sms_meta(showing),
            _ => json!({}),
        };
        json!({
            "id": ids.case_message, "caseId": sending.case, "threadId": sending.case,
            "contactId": sending.contact(), "channel": sending.channel,
            "senderId": sending.sender_id(), "senderType": sending.sender_type(),
            "sender": {"id": sending.sender_id(), "type": sending.sender_type(),
                "name": if sending.sender_id() == AGENT { "Sandbox Agent" } else { "" }},
            "type": kind, "message": rewritten(showing.faults.rewriting, text),
            "dateCreated": iso_text(self.created), "dateUpdated": null,
            "seen": if self.is_seen(showing) { "yes" } else { "no" }, "meta": meta,
        })
    }

    fn sms_meta(&self, showing: Showing<'_>) -> Value {
        let status = match (self.is_delivered(showing), self.bounces) {
            (false, _) => "queued",
            (true, false) => "delivered",
            (true, true) => "undelivered",
        };
        json!({
            "sid": format!("SM{:032x}", self.ids.id), "status": status, "errorCode": null,
            "From": self.sending.field("From"), "To": self.sending.field("To"),
            "Body": rewritten(showing.faults.rewriting, self.sending.field("Body")),
        })
    }

    /// The appearances in its thread; none if it is not an email.
    pub(super) fn mails(&self, showing: Showing<'_>) -> Vec<Map<String, Value>> {
        if self.sending.channel != Channel::Mail {
            return Vec::new();
        }
        let all = [Some(self.ids), self.twin].into_iter().flatten();
        all.filter_map(|ids| self.mail(ids, showing)).collect()
    }

    fn mail(&self, ids: Ids, showing: Showing<'_>) -> Option<Map<String, Value>> {
        let answer = accepted(&self.sending, ids, Provider::Accepts, self.created);
        let Value::Object(mut mail) = answer.get("data")?.clone() else { return None };
        for body in ["textBody", "htmlBody"] {
            let text = mail.remove(body).unwrap_or_default();
            mail.insert(body.to_owned(), rewritten(showing.faults.rewriting, text));
        }
        let at = |shown: bool, after: u32| match (shown, showing.faults.delivered_after) {
            (true, Some(delay)) => Value::from(iso_text(self.created + millis(delay * after))),
            _ => Value::Null,
        };
        let is_delivered = self.is_delivered(showing);
        mail.insert("dateDelivery".to_owned(), at(is_delivered && !self.bounces, 1));
        mail.insert("dateBounce".to_owned(), at(is_delivered && self.bounces, 1));
        let is_seen = self.is_seen(showing);
        mail.insert("dateSeen".to_owned(), at(is_seen, 2));
        mail.insert("dateFailed".to_owned(), Value::Null);
        mail.insert("seen".to_owned(), Value::from(if is_seen { "yes" } else { "no" }));
        Some(mail)
    }

    fn is_delivered(&self, showing: Showing<'_>) -> bool {
        self.has_passed(showing, 1)
    }

    fn is_seen(&self, showing: Showing<'_>) -> bool {
        !self.bounces && self.has_passed(showing, 2)
    }

    /// Whether `delivered_after` has passed this many times.
    fn has_passed(&self, showing: Showing<'_>, times: u32) -> bool {
        let delay = showing.faults.delivered_after;
        delay.is_some_and(|delay| self.created + millis(delay * times) <= showing.now)
    }
}

/// A text as the sandbox shows it.
fn rewritten(rewriting: Option<Rewriting>, text: Value) -> Value {
    let (Some(rewriting), Some(given)) = (rewriting, text.as_str()) else { return text };
    let trimmed = given.trim().replace("\r\n", "\n");
    Value::from(match rewriting {
        Rewriting::Normalised if trimmed.contains("</") => trimmed,
        Rewriting::Normalised => {
            let escaped = trimmed.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            format!("<p>{}</p>", escaped.replace('"', "&quot;"))
        }
        Rewriting::Html => {
            let inner = trimmed.replace("<p>", "").replace("</p>", "<br>");
            format!("<div class=\"content-writer\">{inner}</div><img width=\"1\" alt=\"\">")
        }
    })
}
