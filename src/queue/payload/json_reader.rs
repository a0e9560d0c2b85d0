//! Reads JSON text into [`Json`], and the entries of an object in their order.

use super::json::Json;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Deeper containers are not parsed. SQLite's limit, so that what an INSERT accepts can be sent.
const MAX_DEPTH: usize = 1000;

/// Why text is not the expected JSON. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// Both count from 1, the column in bytes.
    #[error("invalid JSON at line {line}, column {column}")]
    Invalid { line: usize, column: usize },
    /// Valid JSON, but not an object.
    #[error("it is JSON of another type")]
    NotObject,
}

impl From<serde_json::Error> for JsonFault {
    fn from(error: serde_json::Error) -> JsonFault {
        JsonFault::Invalid { line: error.line(), column: error.column() }
    }
}

impl Json {
    /// Reads a text that is one value.
    ///
    /// # Errors
    /// [`JsonFault`]
    pub fn parse(text: &str) -> Result<Json, JsonFault> {
        let text = replace_unpaired_surrogates(text);
        Cursor::validate(&text)?.value()
    }
}

/// Reads one object: all its entries in their order, including repeated names.
///
/// # Errors
/// [`JsonFault`]
pub(super) fn parse_object(text: &str) -> Result<Vec<(String, Json)>, JsonFault> {
    let text = replace_unpaired_surrogates(text);
    let mut cursor = Cursor::validate(&text)?;
    match cursor.rest.starts_with('{') {
        true => cursor.entries(),
        false => Err(JsonFault::NotObject),
    }
}

/// An object's entries in their order, including repeated names, which a map would hide.
pub struct ObjectEntries<T>(pub Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ObjectEntries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = ObjectEntries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(ObjectEntries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

/// The same JSON with U+FFFD for each unpaired surrogate. `\ud83d` alone is not a character, and only
/// SQLite's parser accepts it.
pub fn replace_unpaired_surrogates(json: &str) -> Cow<'_, str> {
    let (mut replaced, mut kept, mut at) = (String::new(), 0, 0);
    while let Some(found) = json.get(at..).and_then(|rest| rest.find('\\')) {
        let escape = at + found;
        at = match (utf16_unit(json, escape), utf16_unit(json, escape + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => escape + 12,
            (Some(0xd800..=0xdfff), _) => {
                replaced.push_str(&json[kept..escape]);
                replaced.push_str("\\ufffd");
                kept = escape + 6;
                kept
            }
            // Another escape, whose next character can be `\` itself.
            _ => escape + 1 + json[escape + 1..].chars().next().map_or(0, char::len_utf8),
        };
    }
    if kept == 0 {
        return Cow::Borrowed(json);
    }
    replaced.push_str(&json[kept..]);
    Cow::Owned(replaced)
}

/// The UTF-16 unit of the escape `\uXXXX` at this position.
fn utf16_unit(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
    let are_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    are_digits.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

/// A position in text that is valid JSON.
struct Cursor<'a> {
    rest: &'a str,
    /// How many more levels of containers may be parsed.
    depth_left: usize,
}

impl<'a> Cursor<'a> {
    fn validate(text: &'a str) -> Result<Self, JsonFault> {
        let valid: &RawValue = serde_json::from_str(text)?;
        Ok(Cursor { rest: valid.get(), depth_left: MAX_DEPTH })
    }

    fn value(&mut self) -> Result<Json, JsonFault> {
        self.skip_space();
        match self.rest.as_bytes().first() {
            Some(b'{' | b'[') if self.depth_left == 0 => self.deep(),
            Some(b'{') => Ok(Json::Object(self.entries()?.into_iter().collect())),
            Some(b'[') => self.items(),
            Some(b'"') => self.string().map(Json::String),
            _ => {
                let end = self.rest.find([',', ']', '}', ' ', '\t', '\r', '\n']);
                Ok(match self.take(end.unwrap_or(self.rest.len())) {
                    "null" => Json::Null,
                    "true" => Json::Bool(true),
                    "false" => Json::Bool(false),
                    number => Json::Number(number.to_owned()),
                })
            }
        }
    }

    fn entries(&mut self) -> Result<Vec<(String, Json)>, JsonFault> {
        let mut entries = Vec::new();
        self.open();
        while !self.closes('}') {
            let name = self.string()?;
            self.skip_space();
            self.take(1); // the colon
            entries.push((name, self.value()?));
        }
        Ok(entries)
    }

    fn items(&mut self) -> Result<Json, JsonFault> {
        let mut items = Vec::new();
        self.open();
        while !self.closes(']') {
            items.push(self.value()?);
        }
        Ok(Json::Array(items))
    }

    /// Skips a container without recursion, which would need stack for each level.
    fn deep(&mut self) -> Result<Json, JsonFault> {
        let (mut json, mut strings, mut open) = (String::new(), Vec::new(), 0_usize);
        loop {
            self.skip_space();
            if self.rest.starts_with('"') {
                let text = self.string()?;
                json.push_str(&Json::from(text.as_str()).to_string());
                strings.push(text);
                continue;
            }
            let character = self.take(1);
            json.push_str(character);
            match character {
                "[" | "{" => open += 1,
                "]" | "}" => open -= 1,
                _ => {}
            }
            if open == 0 {
                return Ok(Json::Deep { json, strings });
            }
        }
    }

    fn open(&mut self) {
        self.take(1);
        self.depth_left -= 1;
    }

    /// Skips a comma, or the end of the container; true at the end.
    fn closes(&mut self, end: char) -> bool {
        self.skip_space();
        let closes = self.rest.starts_with(end);
        if closes || self.rest.starts_with(',') {
            self.take(1);
            self.skip_space();
        }
        self.depth_left += usize::from(closes);
        closes
    }

    fn string(&mut self) -> Result<String, JsonFault> {
        let mut escaped = false;
        let end = self.rest.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let quoted = self.take(end.map_or(self.rest.len(), |end| end + 2));
        // It has been validated. If it were invalid all the same, that must not stop other jobs.
        Ok(serde_json::from_str(quoted)?)
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn round_trip(text: &str) -> String {
        Json::parse(text).unwrap().to_string()
    }

    #[test]
    fn numbers_keep_their_digits() {
        for number in [
            "0",
            "-0",
            "-0.0",
            "17",
            "1E5",
            "1e+05",
            "1e999",
            "0.10",
            "2069.0",
            "12345678901234567890123",
            "0.1000000000000000055511151231257827",
        ] {
            assert_eq!(round_trip(number), number);
            assert_eq!(
                round_trip(&format!(" [ {number} , {{\"a\":{number}}} ]")),
                format!("[{number},{{\"a\":{number}}}]")
            );
        }
    }

    #[test]
    fn an_unpaired_surrogate_becomes_the_replacement_character() {
        for (text, whole) in [
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""a\uDC00b""#, "a\u{fffd}b"),
            (r#""\ud83d\ud83d\ude00\ude00""#, "\u{fffd}\u{1f600}\u{fffd}"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
            (r#""\\ud83d""#, "\\ud83d"),
            (r#""\\\ud83d""#, "\\\u{fffd}"),
            (r#""\u0000""#, "\0"),
        ] {
            assert_eq!(Json::parse(text), Ok(Json::from(whole)), "{text}");
        }
        assert_eq!(round_trip(r#"{"\ud83d":1}"#), "{\"\u{fffd}\":1}");
        assert!(Json::parse(r#""\ud83"#).is_err());
        assert!(Json::parse("\\é\\").is_err());
    }

    #[test]
    fn nesting_of_any_depth_is_read_with_all_its_strings() {
        for levels in [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 2000, 1_000_000] {
            let nested =
                |inner: &str| "[{\"a\":".repeat(levels / 2) + inner + &"}]".repeat(levels / 2);
            let text = nested(" [ 1e999 , \"x \\\"\\ud83d\" ] ");
            assert_eq!(round_trip(&text), nested("[1e999,\"x \\\"\u{fffd}\"]"));
        }
        let inner = "[".repeat(MAX_DEPTH) + r#"{"a": ["b\n"]}"# + &"]".repeat(MAX_DEPTH);
        let mut value = Json::parse(&inner).unwrap();
        while let Json::Array(mut items) = value {
            value = items.remove(0);
        }
        let Json::Deep { json, strings } = value else { panic!("a deep value is needed") };
        assert_eq!((json.as_str(), strings), (r#"{"a":["b\n"]}"#, vec!["a".into(), "b\n".into()]));
    }

    #[test]
    fn an_error_has_the_position() {
        let siblings = format!("[{}]", vec!["[[]]"; 1000].join(","));
        assert_eq!(round_trip(&siblings), siblings);
        assert_eq!(
            Json::parse("{\n\"a\": x}").unwrap_err().to_string(),
            "invalid JSON at line 2, column 6"
        );
        assert_eq!(parse_object("[1]"), Err(JsonFault::NotObject));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map(any::<String>(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_survives_a_round_trip(value in any_json(), pretty in any::<bool>()) {
            let text = match pretty {
                true => serde_json::to_string_pretty(&value).unwrap(),
                false => value.to_string(),
            };
            prop_assert_eq!(serde_json::from_str::<Value>(&round_trip(&text)).unwrap(), value);
        }

        #[test]
        fn any_text_is_accepted_or_refused_as_by_serde_json(text in "[\\[\\]{}\",:0-9.eE+\\\\ud8-c a-fé\n-]{0,20}") {
            let whole = replace_unpaired_surrogates(&text);
            let valid = serde_json::from_str::<&RawValue>(&whole).is_ok();
            prop_assert_eq!(Json::parse(&text).is_ok(), valid, "{}", text);
        }
    }
}
