//! JSON that goes out as it came in: numbers keep their digits, even those that a float would lose.

use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// How deep containers may be nested: as deep as SQLite reads, so that what an INSERT accepts can
/// be sent.
const LEVELS: usize = 1000;

/// An object's fields; of repeated ones, the last.
pub type Object = BTreeMap<String, Json>;

/// Any JSON.
///
/// Its `Debug` shows the kind only: message text stays out of logs.
#[derive(Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Truth(bool),
    /// As it was written: `1E5`, `0.10`, `12345678901234567890123`.
    Number(String),
    /// Unescaped; half of a surrogate pair is U+FFFD.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(Object),
    /// A container that is nested so deep that it is only passed on.
    Deep {
        /// Valid JSON on one line, without spaces.
        json: String,
        /// All texts in it, unescaped.
        texts: Vec<String>,
    },
}

/// Why text is not the JSON that is needed. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// Both from 1; the column in bytes.
    #[error("invalid JSON at line {line}, column {column}")]
    Invalid { line: usize, column: usize },
    /// Something other than an object.
    #[error("it is JSON of another type")]
    NoObject,
}

impl Json {
    /// Reads the whole text.
    ///
    /// # Errors
    /// [`JsonFault`]
    pub fn parse(text: &str) -> Result<Json, JsonFault> {
        let text = whole_characters(text);
        let valid: &RawValue = serde_json::from_str(&text)
            .map_err(|e| JsonFault::Invalid { line: e.line(), column: e.column() })?;
        Cursor { rest: valid.get(), levels: LEVELS }.value()
    }

    /// Reads one object: its fields in their order, also repeated ones.
    ///
    /// # Errors
    /// [`JsonFault`]
    pub fn parse_fields(text: &str) -> Result<Vec<(String, Json)>, JsonFault> {
        let text = whole_characters(text);
        let valid: &RawValue = serde_json::from_str(&text)
            .map_err(|e| JsonFault::Invalid { line: e.line(), column: e.column() })?;
        match valid.get().starts_with('{') {
            true => Cursor { rest: valid.get(), levels: LEVELS }.fields(),
            false => Err(JsonFault::NoObject),
        }
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Json::Null => "Null",
            Json::Truth(_) => "Truth",
            Json::Number(_) => "Number",
            Json::Text(_) => "Text",
            Json::List(_) => "List",
            Json::Object(_) => "Object",
            Json::Deep { .. } => "Deep",
        })
    }
}

/// On one line, without spaces.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// Works only with serde_json's serializers, which can write a number as it was written.
impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Truth(is) => serializer.serialize_bool(*is),
            Json::Number(json) | Json::Deep { json, .. } => {
                let json: &RawValue =
                    serde_json::from_str(json).map_err(serde::ser::Error::custom)?;
                json.serialize(serializer)
            }
            Json::Text(text) => serializer.serialize_str(text),
            Json::List(items) => items.serialize(serializer),
            Json::Object(fields) => fields.serialize(serializer),
        }
    }
}

impl From<bool> for Json {
    fn from(is: bool) -> Json {
        Json::Truth(is)
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Json {
        Json::Number(number.to_string())
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Json {
        Json::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Json {
        Json::Text(text)
    }
}

impl From<Vec<String>> for Json {
    fn from(texts: Vec<String>) -> Json {
        Json::List(texts.into_iter().map(Json::Text).collect())
    }
}

/// The same JSON with U+FFFD for each unpaired surrogate: `\ud83d` alone is not a character, and no
/// parser but SQLite's accepts it.
pub fn whole_characters(json: &str) -> Cow<'_, str> {
    let (mut whole, mut kept, mut at) = (String::new(), 0, 0);
    while let Some(found) = json.get(at..).and_then(|rest| rest.find('\\')) {
        let escape = at + found;
        at = match (unit(json, escape), unit(json, escape + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => escape + 12,
            (Some(0xd800..=0xdfff), _) => {
                whole.push_str(&json[kept..escape]);
                whole.push_str("\\ufffd");
                kept = escape + 6;
                kept
            }
            // The character after it, even `\`, belongs to it.
            _ => escape + 1 + json[escape + 1..].chars().next().map_or(0, char::len_utf8),
        };
    }
    if kept == 0 {
        return Cow::Borrowed(json);
    }
    whole.push_str(&json[kept..]);
    Cow::Owned(whole)
}

/// The UTF-16 unit of an escape `\uXXXX` that begins here.
fn unit(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
    let are_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    are_digits.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

/// A place in text that is known to be valid JSON.
struct Cursor<'a> {
    rest: &'a str,
    /// How many more containers may be nested here.
    levels: usize,
}

impl<'a> Cursor<'a> {
    fn value(&mut self) -> Result<Json, JsonFault> {
        self.skip_space();
        match self.rest.as_bytes().first() {
            Some(b'{' | b'[') if self.levels == 0 => self.deep(),
            Some(b'{') => Ok(Json::Object(self.fields()?.into_iter().collect())),
            Some(b'[') => self.items(),
            Some(b'"') => self.text().map(Json::Text),
            _ => {
                let end = self.rest.find([',', ']', '}', ' ', '\t', '\r', '\n']);
                Ok(match self.take(end.unwrap_or(self.rest.len())) {
                    "null" => Json::Null,
                    "true" => Json::Truth(true),
                    "false" => Json::Truth(false),
                    number => Json::Number(number.to_owned()),
                })
            }
        }
    }

    fn fields(&mut self) -> Result<Vec<(String, Json)>, JsonFault> {
        let mut fields = Vec::new();
        self.open();
        while !self.closes('}') {
            let name = self.text()?;
            self.skip_space();
            self.take(1); // the colon
            fields.push((name, self.value()?));
        }
        Ok(fields)
    }

    fn items(&mut self) -> Result<Json, JsonFault> {
        let mut items = Vec::new();
        self.open();
        while !self.closes(']') {
            items.push(self.value()?);
        }
        Ok(Json::List(items))
    }

    /// A container, passed over without parsing its contents: recursion would need as much stack as
    /// it is deep.
    fn deep(&mut self) -> Result<Json, JsonFault> {
        let (mut json, mut texts, mut open) = (String::new(), Vec::new(), 0_usize);
        loop {
            self.skip_space();
            if self.rest.starts_with('"') {
                let text = self.text()?;
                json.push_str(&Json::from(text.as_str()).to_string());
                texts.push(text);
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
                return Ok(Json::Deep { json, texts });
            }
        }
    }

    fn open(&mut self) {
        self.take(1);
        self.levels -= 1;
    }

    /// Passes a comma or the end of the container, and says which.
    fn closes(&mut self, end: char) -> bool {
        self.skip_space();
        let closes = self.rest.starts_with(end);
        if closes || self.rest.starts_with(',') {
            self.take(1);
            self.skip_space();
        }
        self.levels += usize::from(closes);
        closes
    }

    fn text(&mut self) -> Result<String, JsonFault> {
        let mut escaped = false;
        let end = self.rest.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let quoted = self.take(end.map_or(self.rest.len(), |end| end + 2));
        // It is valid, like all of the text; an error here would be a bug, and must not stop other
        // jobs.
        serde_json::from_str(quoted)
            .map_err(|e| JsonFault::Invalid { line: e.line(), column: e.column() })
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

    fn again(text: &str) -> String {
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
            assert_eq!(again(number), number);
            assert_eq!(
                again(&format!(" [ {number} , {{\"a\":{number}}} ]")),
                format!("[{number},{{\"a\":{number}}}]")
            );
        }
    }

    #[test]
    fn half_a_character_is_the_replacement_character() {
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
        assert_eq!(again(r#"{"\ud83d":1}"#), "{\"\u{fffd}\":1}");
        assert!(Json::parse(r#""\ud83"#).is_err());
        assert!(Json::parse("\\é\\").is_err());
    }

    #[test]
    fn no_nesting_is_too_deep_and_its_texts_are_known() {
        for levels in [LEVELS - 1, LEVELS, LEVELS + 1, 2000, 1_000_000] {
            let nested =
                |inner: &str| "[{\"a\":".repeat(levels / 2) + inner + &"}]".repeat(levels / 2);
            let text = nested(" [ 1e999 , \"x \\\"\\ud83d\" ] ");
            assert_eq!(again(&text), nested("[1e999,\"x \\\"\u{fffd}\"]"));
        }
        let inner = "[".repeat(LEVELS) + r#"{"a": ["b\n"]}"# + &"]".repeat(LEVELS);
        let mut value = Json::parse(&inner).unwrap();
        while let Json::List(mut items) = value {
            value = items.remove(0);
        }
        let Json::Deep { json, texts } = value else { panic!("a deep value is needed") };
        assert_eq!((json.as_str(), texts), (r#"{"a":["b\n"]}"#, vec!["a".into(), "b\n".into()]));
    }

    #[test]
    fn the_position_of_a_fault_is_in_its_sentence() {
        let siblings = format!("[{}]", vec!["[[]]"; 1000].join(","));
        assert_eq!(again(&siblings), siblings);
        assert_eq!(
            Json::parse("{\n\"a\": x}").unwrap_err().to_string(),
            "invalid JSON at line 2, column 6"
        );
        assert_eq!(Json::parse_fields("[1]"), Err(JsonFault::NoObject));
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
        fn any_json_comes_back_as_it_was(value in any_json(), pretty in any::<bool>()) {
            let text = match pretty {
                true => serde_json::to_string_pretty(&value).unwrap(),
                false => value.to_string(),
            };
            prop_assert_eq!(serde_json::from_str::<Value>(&again(&text)).unwrap(), value);
        }

        #[test]
        fn any_text_is_read_or_refused_as_serde_does(text in "[\\[\\]{}\",:0-9.eE+\\\\ud8-c a-fé\n-]{0,20}") {
            let whole = whole_characters(&text);
            let valid = serde_json::from_str::<&RawValue>(&whole).is_ok();
            prop_assert_eq!(Json::parse(&text).is_ok(), valid, "{}", text);
        }
    }
}
