//! The vendor's type and words in an error answer, wherever they stand.
//!
//! The shape is not documented, so a type is a word that looks like one, and a message is the
//! text under a usual name, nearest to the top.

use super::odd_json;
use super::redact::{REDACTED, Redactor};
use super::wrapping::{self, Unwrapped};
use crate::queue::outcome::Fault;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::collections::VecDeque;

/// The most that a sentence keeps of what a server said.
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

/// What an answer says, as text and, where it is JSON, also as JSON.
pub(super) struct Said {
    pub text: String,
    pub json: Option<Value>,
    /// Its end is missing.
    pub cut: bool,
}

impl Said {
    /// What a non-2xx answer says.
    pub fn of(body: &[u8], headers: &HeaderMap, cut: bool) -> Self {
        let Unwrapped { text, cut, .. } = wrapping::unwrap(body, headers, cut);
        let tells = |json: &Value| find_type(json).or_else(|| find_message(json)).is_some();
        Said { json: odd_json::value(&text, cut, tells), text, cut }
    }

    /// Whether this can be an answer from Acquire, as far as it was read.
    pub fn begins_an_object(&self) -> bool {
        self.text.trim_start_matches('\u{feff}').trim_start().starts_with('{')
    }

    /// Its beginning, to be quoted in a sentence.
    pub fn line(&self, redactor: &Redactor) -> String {
        if self.cut { redactor.cut_line(&self.text) } else { redactor.line(&self.text) }
    }

    /// The server's error type, or `http_STATUS`; and its message, or the beginning of the body as
    /// text. `who` is who answered.
    pub fn fault(&self, who: &str, status: u16, redactor: &Redactor) -> Fault {
        let json = self.json.as_ref();
        let code = json
            .and_then(|json| find_type(json).or_else(|| find_code(json, status)))
            .map(|code| code_of(&code, redactor))
            .unwrap_or_else(|| format!("http_{status}"));
        let words = match json.and_then(find_message) {
            Some(words) if self.cut => redactor.cut_line(&words),
            Some(words) => redactor.line(&words),
            None => self.line(redactor),
        };
        let sentence = if words.is_empty() {
            format!("{who} answered {status} and said nothing more")
        } else {
            format!("{who} answered {status}: {words}")
        };
        Fault::new(code, cap(sentence))
    }
}

/// A server's code, unless it repeats the payload.
pub(super) fn code_of(code: &str, redactor: &Redactor) -> String {
    if redactor.line(code) == code { code.to_owned() } else { REDACTED.to_owned() }
}

/// Cuts at a character's end.
pub(super) fn cap(mut sentence: String) -> String {
    if sentence.len() > SENTENCE_BYTES {
        sentence.truncate(sentence.floor_char_boundary(SENTENCE_BYTES - '…'.len_utf8()));
        sentence.push('…');
    }
    sentence
}

/// Objects of a tree, those nearest to its top first.
fn objects(root: &Value) -> impl Iterator<Item = &serde_json::Map<String, Value>> {
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
    let texts = || {
        objects(json)
            .flat_map(|fields| TYPE_NAMES.iter().filter_map(|name| fields.get(*name)?.as_str()))
    };
    let found = texts()
        .find(|text| is_vendors(text))
        .or_else(|| {
            let all = objects(json).flat_map(|fields| fields.values());
            all.filter_map(Value::as_str).find(|text| is_vendors(text))
        })
        .or_else(|| texts().find(|text| text.contains('_') && is_type(text)));
    found.map(str::to_owned)
}

/// One of the vendor's types.
pub(super) fn is_vendors(text: &str) -> bool {
    text.starts_with("ERROR_") && is_type(text)
}

/// Any code, a word or a number, in an object that describes the error.
fn find_code(json: &Value, status: u16) -> Option<String> {
    let errors = objects(json).flat_map(|fields| [fields.get("error"), fields.get("errors")]);
    let errors = errors.flatten().filter_map(|error| error.get(0).unwrap_or(error).as_object());
    let mut codes = errors.flat_map(|error| CODE_NAMES.iter().filter_map(|name| error.get(*name)));
    codes.find_map(|code| match code {
        Value::String(text) => (is_type(text) && text != "error").then(|| text.clone()),
        Value::Number(number) => Some(number.to_string()).filter(|n| *n != status.to_string()),
        _ => None,
    })
}

/// A word of letters, digits, `_`, `.`, `-`.
fn is_type(text: &str) -> bool {
    text.len() <= 64
        && text.bytes().any(|b| b.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

pub(super) fn find_message(json: &Value) -> Option<String> {
    if let Value::String(text) = json {
        return Some(text.clone());
    }
    let named = objects(json)
        .find_map(|fields| MESSAGE_NAMES.iter().find_map(|name| words(fields.get(*name)?)));
    let bare = || {
        objects(json).find_map(|fields| {
            ["error", "errors"].iter().find_map(|name| words(fields.get(*name)?))
        })
    };
    named.or_else(bare).or_else(|| words(json))
}

/// A text, or the texts of an array.
fn words(value: &Value) -> Option<String> {
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
        let said = Said::of(body.as_bytes(), &HeaderMap::new(), false);
        let fault = said.fault("Acquire", 400, &redactor);
        (fault.code, fault.message)
    }

    #[test]
    fn the_vendors_type_and_words_are_found_in_any_shape() {
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
        assert_eq!(of("").1, "Acquire answered 400 and said nothing more");
    }

    #[test]
    fn neither_the_key_nor_the_payloads_words_are_repeated() {
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
    fn a_text_across_the_cap_is_taken_out_before_the_cut() {
        let body = format!("{} Dear Anne, hello and more", "x".repeat(SENTENCE_BYTES - 40));
        let (_, sentence) = of(&body);
        assert!(!sentence.contains("Dear") && sentence.contains("[...]"), "{sentence}");
        let (_, sentence) = of(&"é".repeat(SENTENCE_BYTES));
        assert!(sentence.len() <= SENTENCE_BYTES && sentence.ends_with('…'));
    }

    proptest! {
        #[test]
        fn any_bytes_make_a_short_clean_sentence(body in prop::collection::vec(any::<u8>(), 0..2000)) {
            let said = Said::of(&body, &HeaderMap::new(), false);
            let fault = said.fault("Acquire", 500, &Redactor::new("k", &["a"]));
            prop_assert!(fault.message.len() <= SENTENCE_BYTES && !fault.message.contains(char::is_control));
        }
    }
}
