//! The ids of a 2xx answer, collected as its JSON streams by: an SMS answer is 30 KB of which
//! ten values matter, and one cut at the cap still yields the ids that came before.

use crate::outcome::Receipt;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};
use std::fmt;

/// Objects of an answer that are looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Root,
    /// `data`
    Data,
    /// `data.data`, SMS alone as the following
    Message,
    /// `data.timeline`
    Timeline,
    /// `data.data.meta`
    Meta,
}

/// What to do with one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Skip,
    Into(Place),
    /// Goes into the receipt under this name, unless it is null.
    Keep(&'static str),
    ProviderCode,
    ProviderWords,
}

/// A channel's map of its answer.
pub(super) type Steps = fn(Place, &[u8]) -> Step;

const KEPT: [&str; 13] = [
    "id",
    "caseMessageId",
    "caseId",
    "threadId",
    "contactId",
    "mailMsgId",
    "mailId",
    "inboxId",
    "mailboxMessageId",
    "messageId",
    "status",
    "dateCreated",
    "scheduleAt",
];

/// Ids and statuses that keep their name.
pub(super) fn kept(name: &[u8]) -> Step {
    KEPT.into_iter().find(|kept| kept.as_bytes() == name).map_or(Step::Skip, Step::Keep)
}

/// An id is short; longer texts are none and would bloat the row.
const ID_BYTES: usize = 1024;

/// What an answer said.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Reading {
    /// It has `data`, other than null.
    pub has_data: bool,
    pub fields: Map<String, Value>,
    pub provider: Option<ProviderError>,
}

/// A provider's refusal inside a 2xx.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ProviderError {
    pub code: Option<String>,
    pub words: Option<String>,
}

impl Reading {
    /// An id, a status and a time are one word each; anything with a space in it is some text that
    /// has no place in a receipt.
    pub(super) fn into_receipt(mut self) -> Receipt {
        let is_word =
            |value: &Value| !value.as_str().is_some_and(|t| t.contains(char::is_whitespace));
        self.fields.retain(|_, value| is_word(value));
        let message_id = match self.fields.get("id") {
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        Receipt { message_id, fields: self.fields }
    }
}

/// Reads an answer's JSON. `cut`: these are its first bytes only, and it counts as JSON when
/// nothing so far contradicts it. `None`: not JSON.
pub(super) fn read(steps: Steps, json: &[u8], cut: bool) -> Option<Reading> {
    // A number that the cut may have shortened would be a wrong id.
    let json = if cut { json.trim_suffix_of(|b| b"+-.eE0123456789".contains(&b)) } else { json };
    let mut reading = Reading::default();
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let walk = Walk { steps, place: Place::Root, reading: &mut reading };
    let end = walk.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match end {
        Ok(()) => Some(reading),
        Err(error) if cut && error.classify() == Category::Eof => Some(reading),
        Err(_) => None,
    }
}

trait TrimSuffix {
    fn trim_suffix_of(&self, of: impl Fn(u8) -> bool) -> &Self;
}

impl TrimSuffix for [u8] {
    fn trim_suffix_of(&self, of: impl Fn(u8) -> bool) -> &Self {
        let end = self.iter().rposition(|byte| !of(*byte)).map_or(0, |last| last + 1);
        &self[..end]
    }
}

/// Walks one object; anything else in its place is read over.
struct Walk<'r> {
    steps: Steps,
    place: Place,
    reading: &'r mut Reading,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(step) = map.next_key_seed(Name { steps: self.steps, place: self.place })? {
            match step {
                Step::Skip => drop(map.next_value::<IgnoredAny>()?),
                Step::Into(place) => {
                    let reading = &mut *self.reading;
                    map.next_value_seed(Walk { steps: self.steps, place, reading })?;
                }
                Step::Keep(name) => match map.next_value_seed(Scalar)? {
                    Found::Value(value) => drop(self.reading.fields.insert(name.into(), value)),
                    Found::Null | Found::Other => {}
                },
                Step::ProviderCode => {
                    if let Some(text) = map.next_value_seed(Scalar)?.into_text() {
                        self.reading.provider.get_or_insert_default().code = text;
                    }
                }
                Step::ProviderWords => {
                    if let Some(text) = map.next_value_seed(Scalar)?.into_text() {
                        self.reading.provider.get_or_insert_default().words = text;
                    }
                }
            }
        }
        self.seen();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.seen();
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, _: bool) -> Result<(), E> {
        self.seen();
        Ok(())
    }

    fn visit_i64<E: Error>(mut self, _: i64) -> Result<(), E> {
        self.seen();
        Ok(())
    }

    fn visit_u64<E: Error>(mut self, _: u64) -> Result<(), E> {
        self.seen();
        Ok(())
    }

    fn visit_f64<E: Error>(mut self, _: f64) -> Result<(), E> {
        self.seen();
        Ok(())
    }

    fn visit_str<E: Error>(mut self, _: &str) -> Result<(), E> {
        self.seen();
        Ok(())
    }
}

impl Walk<'_> {
    fn seen(&mut self) {
        self.reading.has_data |= self.place == Place::Data;
    }
}

/// A field's name, as the step it asks for. Names are bytes: not every answer is UTF-8.
struct Name {
    steps: Steps,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Step;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Step, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Step;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_bytes<E: Error>(self, name: &[u8]) -> Result<Step, E> {
        Ok(match (self.place, name) {
            (Place::Root, b"data") => Step::Into(Place::Data),
            (Place::Root, _) => Step::Skip,
            (place, name) => (self.steps)(place, name),
        })
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Step, E> {
        self.visit_bytes(name.as_bytes())
    }
}

enum Found {
    Null,
    Value(Value),
    /// Neither an id nor a status: an object, an array, a truth value, a long text.
    Other,
}

impl Found {
    /// `None` for null; `Some(None)` for what has no words.
    fn into_text(self) -> Option<Option<String>> {
        match self {
            Found::Null => None,
            Found::Value(Value::String(text)) => Some(Some(text)),
            Found::Value(number) => Some(Some(number.to_string())),
            Found::Other => Some(None),
        }
    }
}

struct Scalar;

impl<'de> DeserializeSeed<'de> for Scalar {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scalar {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Found, E> {
        Ok(Found::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Found, E> {
        Ok(Found::Other)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Found, E> {
        Ok(Found::Value(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Found, E> {
        Ok(Found::Value(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Found, E> {
        Ok(Found::Value(number.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Found, E> {
        Ok(if text.len() <= ID_BYTES { Found::Value(text.into()) } else { Found::Other })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let name = || Name { steps: |_, _| Step::Skip, place: Place::Meta };
        while map.next_key_seed(name())?.is_some() {
            map.next_value::<IgnoredAny>()?;
        }
        Ok(Found::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acquire::{chat, sms};
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_ids_of_data_are_kept_and_nulls_and_objects_are_not() {
        let json =
            br#"{"ok":true,"data":{"id":8289,"caseId":"2069","threadId":null,"contactId":{"id":1},
            "status":true,"message":"words","case":{"id":1,"caseId":2},"dateCreated":"2021"}}"#;
        let receipt = read(chat::step, json, false).unwrap().into_receipt();
        assert_eq!(receipt.message_id.as_deref(), Some("8289"));
        assert_eq!(
            Value::Object(receipt.fields),
            json!({"id": 8289, "caseId": "2069", "dateCreated": "2021"})
        );
    }

    #[test]
    fn an_sms_nests_twice() {
        let json = br#"{"data":{"cas":{"id":1,"timeline":{"id":2}},"threadId":2219,"timeline":{"id":2108,"case":{"id":9}},
            "data":{"id":339,"caseMessageId":8653,"caseId":2219,"threadId":4,"call_sid":"SM1","status":"sent",
            "meta":{"errorCode":null,"errorMessage":null,"status":"queued"},"sender":{"id":28}}}}"#;
        let reading = read(sms::step, json, false).unwrap();
        assert_eq!(reading.provider, None);
        let receipt = reading.into_receipt();
        assert_eq!(receipt.message_id.as_deref(), Some("339"));
        assert_eq!(
            Value::Object(receipt.fields),
            json!({"id": 339, "caseMessageId": 8653, "caseId": 2219, "threadId": 2219,
                   "timelineId": 2108, "callSid": "SM1", "status": "sent"})
        );
    }

    #[test]
    fn data_must_be_there_and_not_null() {
        for (json, has_data) in [
            ("{}", false),
            ("[]", false),
            ("7", false),
            (r#"{"data":null}"#, false),
            (r#"{"error":{"data":1}}"#, false),
            (r#"{"data":{}}"#, true),
            (r#"{"data":[]}"#, true),
            (r#"{"data":"queued"}"#, true),
            (r#"{"data":{},"data":{"id":1}}"#, true),
        ] {
            assert_eq!(
                read(chat::step, json.as_bytes(), false).unwrap().has_data,
                has_data,
                "{json}"
            );
        }
        for garbage in ["", "<html>", "{", "{}{}", r#"{"data":{"id":1}"#] {
            assert_eq!(read(chat::step, garbage.as_bytes(), false), None, "{garbage}");
        }
    }

    #[test]
    fn a_cut_number_is_no_id() {
        let whole = r#"{"data":{"id":8289,"caseId":2069}}"#;
        for end in 0..whole.len() {
            let reading = read(chat::step, &whole.as_bytes()[..end], true).unwrap();
            let id = reading.fields.get("id");
            assert!(id.is_none() || id == Some(&json!(8289)), "{end}");
            let case = reading.fields.get("caseId");
            assert!(case.is_none() || case == Some(&json!(2069)), "{end}");
        }
        assert_eq!(read(chat::step, b"<html>", true), None);
    }

    #[test]
    fn odd_answers_are_read_over() {
        let deep =
            format!(r#"{{"x":{}1{},"data":{{"id":1}}}}"#, "[".repeat(50_000), "]".repeat(50_000));
        assert_eq!(
            read(chat::step, deep.as_bytes(), false).unwrap().into_receipt().message_id.as_deref(),
            Some("1")
        );
        let bytes = b"{\"\xff\":\"\xfe\",\"data\":{\"message\":\"\xc3\",\"\\ud800\":\"\\ud800\",\"id\":\"a1\"}}";
        assert_eq!(
            read(chat::step, bytes, false).unwrap().into_receipt().message_id.as_deref(),
            Some("a1")
        );
        let long = format!(r#"{{"data":{{"id":"{}"}}}}"#, "1".repeat(5_000));
        assert_eq!(
            read(chat::step, long.as_bytes(), false).unwrap().into_receipt().message_id,
            None
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200), cut in any::<bool>(), prefix in any::<bool>()
        ) {
            if prefix {
                bytes.splice(0..0, *b"{\"data\":{\"data\":{\"id\":");
            }
            let _ = read(sms::step, &bytes, cut);
        }
    }
}
