//! A message as Acquire shows it, read tolerantly: ids as numbers or as text, fields that are missing,
//! fields that nobody knows.

use super::server_clock::{ServerClock, TimeSpan, is_a_time, time_in};
use crate::queue::follow_up::{DeliveryEvent, DeliveryState};
use crate::queue::job::Millis;
use crate::queue::outcome::Receipt;
use serde_json::{Map, Value};
use std::fmt;
use std::ops::RangeInclusive;

/// One message. Its `Debug` shows no text.
#[derive(Clone, PartialEq)]
pub(super) struct SeenMessage {
    pub id: String,
    pub case_id: Option<String>,
    /// `chat`, `mail`, `voip`, ...: of the message, not of its case.
    pub channel: Option<String>,
    /// `message`, `note`, `event`, `sms`, ...
    pub kind: Option<String>,
    /// `user` or `contact`, or what else the vendor calls it.
    pub sender_type: Option<String>,
    pub sender_name: Option<String>,
    pub text: Option<String>,
    /// Only an email has it.
    pub mail: Option<SeenMail>,
    /// By our clock.
    pub created: Option<TimeSpan>,
    /// By Acquire's own clock.
    pub created_theirs: Option<Millis>,
    /// It was changed after it was created.
    pub was_edited: bool,
    pub was_translated: bool,
    /// It has an SMS's fields.
    pub is_sms: bool,
    /// The ids that were read, under the names that an answer to a request has.
    pub fields: Map<String, Value>,
    /// What became of it.
    pub fate: Vec<DeliveryEvent>,
}

/// What only an email has. Addresses are in lower case, sorted.
#[derive(Clone, PartialEq)]
pub(super) struct SeenMail {
    pub from: Option<String>,
    pub to: Vec<String>,
    pub cc: Vec<String>,
    pub subject: Option<String>,
    pub text_body: Option<String>,
    pub html_body: Option<String>,
    pub is_draft: bool,
}

impl fmt::Debug for SeenMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenMessage")
            .field("id", &self.id)
            .field("case_id", &self.case_id)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

/// Of a message among those of a case.
const CASE_MESSAGE_FIELDS: [&str; 4] = ["id", "caseId", "dateCreated", "status"];
/// Of an email in a thread.
const MAIL_FIELDS: [&str; 10] = [
    "id",
    "caseMessageId",
    "caseId",
    "inboxId",
    "mailId",
    "mailMsgId",
    "mailboxMessageId",
    "messageId",
    "dateCreated",
    "scheduleAt",
];

/// A field that says when something happened to a message, and what.
const FATES: [(&str, DeliveryState); 4] = [
    ("dateDelivery", DeliveryState::Delivered),
    ("dateSeen", DeliveryState::Seen),
    ("dateBounce", DeliveryState::Bounced),
    ("dateFailed", DeliveryState::Failed),
];
/// Times from 2000 to 9999; others are no times of a message.
const POSSIBLE: RangeInclusive<Millis> = 946_684_800_000..=253_402_300_799_999;

impl SeenMessage {
    /// `None`: it is not an object with an id.
    pub fn read(value: &Value, clock: Option<ServerClock>) -> Option<SeenMessage> {
        let fields = value.as_object()?;
        let mail = SeenMail::read(fields);
        let created_theirs = fields.get("dateCreated").and_then(time_in);
        let updated = fields.get("dateUpdated").and_then(time_in);
        let meta = fields.get("meta").and_then(Value::as_object);
        let kind = text(fields, "type");
        let is_sms = kind.as_deref() == Some("sms")
            || meta.is_some_and(|meta| meta.contains_key("sid") && meta.contains_key("To"));
        let names = if mail.is_some() { &MAIL_FIELDS[..] } else { &CASE_MESSAGE_FIELDS };
        let case = fields.get("case").and_then(Value::as_object);
        let message = match fields.get("message") {
            Some(Value::Object(inner)) => text(inner, "message"),
            _ => text(fields, "message"),
        };
        // An SMS's message says who sent it; its text is in `meta`.
        let text_of_sms = meta.filter(|_| is_sms).and_then(|meta| text(meta, "Body"));
        let seen = SeenMessage {
            id: id_text(fields.get("id")?)?,
            case_id: fields.get("caseId").and_then(id_text).or_else(|| id_text(case?.get("id")?)),
            channel: text(fields, "channel"),
            kind,
            sender_type: text(fields, "senderType")
                .or_else(|| text(fields.get("sender")?.as_object()?, "type")),
            sender_name: fields
                .get("sender")
                .and_then(Value::as_object)
                .and_then(|sender| text(sender, "name")),
            text: text_of_sms.or(message),
            created: created_theirs.zip(clock).map(|(time, clock)| clock.ours(time)),
            created_theirs,
            was_edited: created_theirs.zip(updated).is_some_and(|(from, to)| to > from),
            was_translated: [Some(fields), meta]
                .into_iter()
                .flatten()
                .any(|fields| fields.get("translateLangKey").is_some_and(|key| !key.is_null())),
            is_sms,
            fields: kept(fields, names),
            fate: fate(fields, meta),
            mail,
        };
        Some(seen)
    }

    /// With the ids in the form that an answer to a request has.
    pub fn receipt(&self, is_sms: bool) -> Receipt {
        let mut fields = self.fields.clone();
        if is_sms && let Some(id) = fields.remove("id") {
            // The `id` of an SMS's answer is another one.
            fields.insert("caseMessageId".to_owned(), id);
        }
        Receipt { message_id: Some(self.id.clone()), fields }
    }
}

impl SeenMail {
    fn read(fields: &Map<String, Value>) -> Option<SeenMail> {
        if !fields.contains_key("subject") || !fields.contains_key("to") {
            return None;
        }
        let addresses = |name: &str| {
            let mut all: Vec<String> = fields
                .get(name)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(address)
                .collect();
            all.sort();
            all.dedup();
            all
        };
        Some(SeenMail {
            from: fields.get("from").and_then(address),
            to: addresses("to"),
            cc: addresses("cc"),
            subject: text(fields, "subject"),
            text_body: text(fields, "textBody"),
            html_body: text(fields, "htmlBody"),
            is_draft: text(fields, "isDraft").is_some_and(|draft| draft == "yes")
                || fields.get("isDraft") == Some(&Value::Bool(true)),
        })
    }
}

fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    fields.get(name)?.as_str().map(str::to_owned)
}

/// `{Name, Email}`, or the address itself.
fn address(value: &Value) -> Option<String> {
    let address = match value {
        Value::Object(fields) => fields.get("Email").or_else(|| fields.get("email"))?.as_str()?,
        other => other.as_str()?,
    };
    Some(address.trim().to_lowercase())
}

/// An id as an answer to a request would have it: `8289`, whether it is a number or text.
pub(super) fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => {
            Some(number.as_i64().map_or_else(|| number.to_string(), |id| id.to_string()))
        }
        Value::String(text) => {
            let text = text.trim();
            let is_word = !text.is_empty() && !text.contains(char::is_whitespace);
            is_word.then(|| text.to_owned())
        }
        _ => None,
    }
}

/// Ids and times are one word each; anything else does not belong in a receipt. Ids in text become
/// numbers, as they are in an answer.
fn kept(fields: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let value = |name: &str| {
        let value = fields.get(name)?;
        let text = id_text(value)?;
        let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
        Some(match number {
            Some(number) => Value::from(number),
            None => Value::from(text),
        })
    };
    names.iter().filter_map(|name| Some(((*name).to_owned(), value(name)?))).collect()
}

fn fate(fields: &Map<String, Value>, meta: Option<&Map<String, Value>>) -> Vec<DeliveryEvent> {
    let dated = FATES.iter().filter_map(|(name, state)| {
        let value = fields.get(*name)?;
        let at = time_in(value).filter(|at| POSSIBLE.contains(at));
        is_a_time(value).then_some(DeliveryEvent { state: *state, at })
    });
    let mut found: Vec<_> = dated.collect();
    let mut add = |state: DeliveryState| {
        if found.iter().all(|event: &DeliveryEvent| event.state != state) {
            found.push(DeliveryEvent { state, at: None });
        }
    };
    if matches!(fields.get("seen"), Some(Value::Bool(true)))
        || fields.get("seen").and_then(Value::as_str) == Some("yes")
    {
        add(DeliveryState::Seen);
    }
    match meta.and_then(|meta| meta.get("status")).and_then(Value::as_str) {
        Some("delivered") => add(DeliveryState::Delivered),
        Some("read") => add(DeliveryState::Seen),
        Some("failed" | "undelivered") => add(DeliveryState::Failed),
        _ => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn ids_are_the_same_as_numbers_and_as_text() {
        let numbers = json!({"id": 8289, "caseId": 2069, "message": "secret"});
        let texts = json!({"id": "8289", "caseId": "2069", "message": "secret"});
        let (a, b) = (SeenMessage::read(&numbers, None), SeenMessage::read(&texts, None));
        assert_eq!(a, b);
        let seen = a.unwrap();
        assert_eq!((seen.id.as_str(), seen.case_id.as_deref()), ("8289", Some("2069")));
        assert_eq!(Value::from(seen.receipt(false).fields), json!({"id": 8289, "caseId": 2069}));
        assert_eq!(
            Value::from(seen.receipt(true).fields),
            json!({"caseMessageId": 8289, "caseId": 2069})
        );
        assert!(!format!("{seen:?}").contains("secret"));
    }

    #[test]
    fn the_case_may_be_said_by_the_case() {
        let seen =
            SeenMessage::read(&json!({"id": 1, "case": {"id": "7", "channel": "chat"}}), None);
        assert_eq!(seen.unwrap().case_id.as_deref(), Some("7"));
    }

    #[test]
    fn what_became_of_a_message_is_read_where_it_is() {
        let fate = |value: Value| SeenMessage::read(&value, None).unwrap().fate;
        let mail = json!({"id": 1, "subject": "s", "to": [], "seen": "no", "dateSeen": null,
            "dateDelivery": "2020-11-17T13:43:12.000Z"});
        let event = |state, at| DeliveryEvent { state, at };
        assert_eq!(fate(mail), [event(DeliveryState::Delivered, Some(1_605_620_592_000))]);
        for seen in [json!("yes"), json!(true)] {
            let found = fate(json!({"id": 1, "seen": seen}));
            assert_eq!(found, [event(DeliveryState::Seen, None)]);
        }
        let at_sea = json!({"id": 1, "dateBounce": "0001-01-01T00:00:00Z"});
        assert_eq!(fate(at_sea), [event(DeliveryState::Bounced, None)]);
        assert_eq!(fate(json!({"id": 1, "seen": "no"})), []);
        let sms = json!({"id": 1, "type": "sms", "meta": {"status": "undelivered"}});
        assert_eq!(fate(sms), [event(DeliveryState::Failed, None)]);
        let twice = json!({"id": 1, "seen": "yes", "dateSeen": "2020-11-17T13:43:12.000Z"});
        assert_eq!(fate(twice).len(), 1);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[ -~]{0,8}".prop_map(Value::from),
            Just(json!("2021-03-30T16:05:46.000Z")),
        ];
        let name = prop::sample::select(vec![
            "id",
            "caseId",
            "case",
            "message",
            "meta",
            "sender",
            "dateCreated",
            "to",
            "from",
            "subject",
            "seen",
            "type",
            "Email",
            "To",
            "sid",
            "Body",
            "status",
        ]);
        leaf.prop_recursive(3, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..6)
                    .prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_is_read_without_a_panic(value in any_json()) {
            let _ = SeenMessage::read(&value, None).map(|seen| seen.receipt(true));
        }
    }
}
