//! The error type and message in an answer from Acquire, wherever they are.
//!
//! The vendor does not document the shape. So a type is any word that looks like one, and the message
//! is the text under a common field name, the one nearest to the top.

use super::body_text::BodyText;
use super::lenient_json;
use super::redact::{REDACTED, Redactor};
use crate::queue::outcome::Fault;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::collections::VecDeque;

/// The longest error sentence that is stored; a server's text is cut to fit.
pub(super) const SENTENCE_BYTES: usize = 1024;

const TYPE_NAMES: [&str; 8] =
    ["type", "errorType", "error_type", "code", "errorCode", "error_code", "error", "name"];
const CODE_NAMES: [&str; 5] = ["code", "errorCode", "error_code", "type", "name"];
const MESSAGE_NAMES: [&str; 10] = [
    "message",
    "errorMessage",
    "error_message",
    "error_description",
    "description",
    "detail",
    "details",
    "msg",
    "reason",
    "title",
];

/// An answer as text and, if it is JSON, also as JSON.
pub(super) struct AnswerText {
    pub raw: String,
    pub json: Option<Value>,
    /// The end is missing.
    pub cut: bool,
}

impl AnswerText {
    /// Of an answer that is not a 2xx.
    pub fn of(body: &[u8], headers: &HeaderMap, cut: bool) -> Self {
        let BodyText { text, cut, .. } = BodyText::decode(body, headers, cut);
        let describes_error =
            |json: &Value| find_type(json).or_else(|| find_message(json)).is_some();
        let json = lenient_json::parse(&text, cut, describes_error);
        AnswerText { json, raw: text, cut }
    }

    /// Whether the text, as far as it was read, can be Acquire's.
    pub fn begins_an_object(&self) -> bool {
        self.raw.trim_start_matches('\u{feff}').trim_start().starts_with('{')
    }

    /// The text on one line, redacted, to be quoted in an error.
    pub fn quote(&self, redactor: &Redactor) -> String {
        if self.cut { redactor.truncated_line(&self.raw) } else { redactor.line(&self.raw) }
    }

    /// The server's error type, or `http_STATUS`; and its message, or else the beginning of the body.
    /// `who` names the server in the sentence.
    pub fn fault(&self, who: &str, status: u16, redactor: &Redactor) -> Fault {
        let json = self.json.as_ref();
        let code = json
            .and_then(|json| find_type(json).or_else(|| find_code(json, status)))
            .map(|code| redacted_code(&code, redactor))
            .unwrap_or_else(|| format!("http_{status}"));
        let message = match json.and_then(find_message) {
            Some(message) if self.cut => redactor.truncated_line(&message),
            Some(message) => redactor.line(&message),
            None => self.quote(redactor),
        };
        let sentence = if message.is_empty() {
            format!("{who} answered {status} without an explanation")
        } else {
            format!("{who} answered {status}: {message}")
        };
        Fault::new(code, cap(sentence))
    }
}

/// A server's error code, unless it repeats a part of the payload.
pub(super) fn redacted_code(code: &str, redactor: &Redactor) -> String {
    if redactor.line(code) == code { code.to_owned() } else { REDACTED.to_owned() }
}

/// Cuts a sentence to `SENTENCE_BYTES`, at a character boundary.
pub(super) fn cap(mut sentence: String) -> String {
    if sentence.len() > SENTENCE_BYTES {
        sentence.truncate(sentence.floor_char_boundary(SENTENCE_BYTES - '…'.len_utf8()));
        sentence.push('…');
    }
    sentence
}

/// All objects in the tree, breadth first.
fn nested_objects(root: &Value) -> impl Iterator<Item = &serde_json::Map<String, Value>> {
    let mut queue = VecDeque::from([root]);
    std::iter::from_fn(move || {
        loop {
            match queue.pop_front()? {
                Value::Object(fields) => {
                    queue.extend(fields.values());
                    return Some(fields);
                }
                Value::Array(items) => queue.extend(items),
                _ => {}
            }
        }
    })
}

fn find_type(json: &Value) -> Option<String> {
    let candidates = || {
        nested_objects(json)
            .flat_map(|fields| TYPE_NAMES.iter().filter_map(|name| fields.get(*name)?.as_str()))
    };
    let found = candidates()
        .find(|text| is_vendor_type(text))
        .or_else(|| {
            let all = nested_objects(json).flat_map(|fields| fields.values());
            all.filter_map(Value::as_str).find(|text| is_vendor_type(text))
        })
        .or_else(|| candidates().find(|text| text.contains('_') && is_identifier(text)));
    found.map(str::to_owned)
}

/// One of the vendor's error types, such as `ERROR_INVALID_INPUT`.
pub(super) fn is_vendor_type(text: &str) -> bool {
    text.starts_with("ERROR_") && is_identifier(text)
}

/// Any code, a word or a number, in an object that describes the error.
fn find_code(json: &Value, status: u16) -> Option<String> {
    let errors =
        nested_objects(json).flat_map(|fields| [fields.get("error"), fields.get("errors")]);
    let errors = errors.flatten().filter_map(|error| error.get(0).unwrap_or(error).as_object());
    let mut codes = errors.flat_map(|error| CODE_NAMES.iter().filter_map(|name| error.get(*name)));
    codes.find_map(|code| match code {
        Value::String(text) => (is_identifier(text) && text != "error").then(|| text.clone()),
        Value::Number(number) => Some(number.to_string()).filter(|n| *n != status.to_string()),
        _ => None,
    })
}

/// A short word of letters, digits, `_`, `.` and `-`.
fn is_identifier(text: &str) -> bool {
    text.len() <= 64
        && text.bytes().any(|b| b.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

pub(super) fn find_message(json: &Value) -> Option<String> {
    if let Value::String(text) = json {
        return Some(text.clone());
    }
    let named = nested_objects(json)
        .find_map(|fields| MESSAGE_NAMES.iter().find_map(|name| message_in(fields.get(*name)?)));
    let bare = || {
        nested_objects(json).find_map(|fields| {
            ["error", "errors"].iter().find_map(|name| message_in(fields.get(*name)?))
        })
    };
    named.or_else(bare).or_else(|| message_in(json))
}

/// A string that is not blank, or the strings of an array.
fn message_in(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Array(items) => {
            let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            (!texts.is_empty()).then(|| texts.join("; "))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(body: &str) -> (String, String) {
        let redactor = Redactor::new("the-api-key", &["hi", "Dear Anne, hello"]);
        let text = AnswerText::of(body.as_bytes(), &HeaderMap::new(), false);
        let fault = text.fault("Acquire", 400, &redactor);
        (fault.code, fault.message)
    }

    #[test]
    fn the_vendors_error_type_and_message_are_found_in_any_shape() {
        for (body, code, words) in [
            (
                r#"{"error":{"type":"ERROR_INVALID_INPUT","message":"No case"}}"#,
                "ERROR_INVALID_INPUT",
                "No case",
            ),
            (
                r#"{"error":"ERROR_INVALID_INPUT","message":"No case"}"#,
                "ERROR_INVALID_INPUT",
                "No case",
            ),
            (r#"{"error":"No case"}"#, "http_400", "No case"),
            (r#"{"message":"No case"}"#, "http_400", "No case"),
            (
                r#"{"message":["No case","No contact"],"error":"Bad Request"}"#,
                "http_400",
                "No case; No contact",
            ),
            (
                r#"{"code":"ERROR_RECORD_NOT_FOUND"}"#,
                "ERROR_RECORD_NOT_FOUND",
                r#"{"code":"ERROR_RECORD_NOT_FOUND"}"#,
            ),
            (r#"{"code":400,"msg":"No case"}"#, "http_400", "No case"),
            (
                r#"{"errors":[{"detail":"No case","code":"case_missing"}]}"#,
                "case_missing",
                "No case",
            ),
            (r#"{"errors":["No case"]}"#, "http_400", "No case"),
            (r#"[{"message":"No case","name":"ERROR_X"}]"#, "ERROR_X", "No case"),
            (
                r#"{"success":false,"data":{"error":{"message":"No case","kind":"ERROR_Y"}}}"#,
                "ERROR_Y",
                "No case",
            ),
            (r#"{"type":"error","message":"No case"}"#, "http_400", "No case"),
            (r#"{"error":{"code":"CLOSED","message":"No case"}}"#, "CLOSED", "No case"),
            (r#"{"error":{"code":1017,"message":"No case"}}"#, "1017", "No case"),
            (r#"{"error":{"code":400,"message":"No case"}}"#, "http_400", "No case"),
            ("\u{feff}{\"error\":\"ERROR_X\",\"message\":\"No case\"}", "ERROR_X", "No case"),
            (")]}'\n{\"error\":\"ERROR_X\",\"message\":\"No case\"}", "ERROR_X", "No case"),
            (r#""No case""#, "http_400", "No case"),
            ("<html>\r\n\u{0}No case</html>", "http_400", "<html>   No case</html>"),
        ] {
            assert_eq!(
                of(body),
                (code.to_owned(), format!("Acquire answered 400: {words}")),
                "{body}"
            );
        }
        assert_eq!(of("").1, "Acquire answered 400 without an explanation");
    }

    #[test]
    fn neither_the_key_nor_the_message_text_is_repeated() {
        for (body, words) in [
            (r#"{"message":"Bearer the-api-key is wrong"}"#, "Bearer [...] is wrong"),
            (r#"{"message":"'hi' is nothing; Dear Anne, hello"}"#, "'[...]' is nothing; [...]"),
            (r#"{"echo":"Dear Anne, hello"}"#, r#"{"echo":"[...]"}"#),
        ] {
            assert_eq!(of(body).1, format!("Acquire answered 400: {words}"));
        }
        assert_eq!(of(r#"{"type":"ERROR_the-api-key"}"#).0, "[...]");
    }

    #[test]
    fn text_that_crosses_the_size_limit_is_redacted_before_it_is_cut() {
        let body = format!("{} Dear Anne, hello and more", "x".repeat(SENTENCE_BYTES - 40));
        let (_, sentence) = of(&body);
        assert!(!sentence.contains("Dear") && sentence.contains("[...]"), "{sentence}");
        let (_, sentence) = of(&"é".repeat(SENTENCE_BYTES));
        assert!(sentence.len() <= SENTENCE_BYTES && sentence.ends_with('…'));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_short_sentence_without_control_characters(body in prop::collection::vec(any::<u8>(), 0..2000)) {
            let text = AnswerText::of(&body, &HeaderMap::new(), false);
            let fault = text.fault("Acquire", 500, &Redactor::new("k", &["a"]));
            prop_assert!(fault.message.len() <= SENTENCE_BYTES && !fault.message.contains(char::is_control));
        }
    }
}
