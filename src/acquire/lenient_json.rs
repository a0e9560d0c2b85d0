//! JSON with something around it, or without its end, which a strict parser does not accept.

use super::receipt::{self, AnswerFields, FieldMap, container_len};
use serde_json::Value;

/// How many opening brackets are tried as the beginning of an object.
const MAX_TRIES: usize = 256;

/// serde_json's limit.
const MAX_DEPTH: usize = 127;

/// Reads a 2xx that has an object with ids somewhere in its text. `cut` is as in [`receipt::read`].
pub(super) fn read_fields(map: FieldMap, text: &str, cut: bool) -> Option<AnswerFields> {
    let text = trimmed(text);
    // JSON in a JSON string: it was encoded twice.
    if text.starts_with('"')
        && let Ok(inner) = serde_json::from_str::<String>(text)
    {
        return receipt::read(map, trimmed(&inner).as_bytes(), false);
    }
    if let Some(fields) = receipt::read(map, text.as_bytes(), cut) {
        return Some(fields);
    }
    embedded_objects(text).find_map(|(at, object)| {
        let fields = receipt::read(map, object.as_bytes(), false)?;
        // An object that follows other text counts only if it has a message id.
        (fields.has_message_id() || at == 0 && fields.has_data).then_some(fields)
    })
}

/// The JSON of an error answer; with `cut`, of its beginning. An object inside other text counts only
/// if `describes_error`.
pub(super) fn parse(
    text: &str,
    cut: bool,
    describes_error: impl Fn(&Value) -> bool,
) -> Option<Value> {
    let text = trimmed(text);
    match serde_json::from_str(text) {
        Ok(Value::String(inner)) => {
            Some(serde_json::from_str(&inner).unwrap_or(Value::String(inner)))
        }
        // A body of `404` is valid JSON, but it is not Acquire's.
        Ok(value @ (Value::Object(_) | Value::Array(_))) => Some(value),
        Ok(_) => None,
        Err(_) if cut && text.starts_with(['{', '[']) => complete_truncated(text),
        Err(_) => embedded_objects(text)
            .filter_map(|(_, object)| serde_json::from_str(object).ok())
            .find(describes_error),
    }
}

/// The text without white space, NULs and byte order marks at either end.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\0' | '\u{feff}'))
}

/// The outermost objects in a text, each with its position. None in an HTML page: any objects in its
/// scripts are not Acquire's answer.
fn embedded_objects(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut from = if is_html(text) { text.len() } else { 0 };
    let mut tries = 0;
    std::iter::from_fn(move || {
        loop {
            let at = from + text.get(from..)?.find('{')?;
            from = at + 1;
            if !text[from..].trim_start().starts_with(['"', '}']) {
                continue;
            }
            tries += 1;
            if tries > MAX_TRIES {
                return None;
            }
            if let Some(length) = container_len(&text.as_bytes()[at..]) {
                let object = &text[at..at + length];
                if serde_json::from_str::<serde::de::IgnoredAny>(object).is_ok() {
                    from = at + length;
                    return Some((at, object));
                }
            }
        }
    })
}

fn is_html(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["<html", "<!doctype", "<script", "<body"].iter().any(|tag| text.contains(tag))
}

/// Completes the beginning of a JSON text: closes what is open, and drops the last field if that does
/// not suffice.
fn complete_truncated(text: &str) -> Option<Value> {
    let mut open = Vec::new();
    let (mut in_string, mut escaped) = (false, false);
    // Where the last complete field ended, and the brackets that were open there.
    let mut last_field = None;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' if open.len() < MAX_DEPTH => open.push('}'),
            b'[' if open.len() < MAX_DEPTH => open.push(']'),
            b'{' | b'[' => return None,
            b'}' | b']' => drop(open.pop()),
            b',' => last_field = Some((at, open.clone())),
            _ => {}
        }
    }
    let close = |text: &str, quote: &str, open: &[char]| {
        let brackets: String = open.iter().rev().collect();
        serde_json::from_str(&format!("{text}{quote}{brackets}")).ok()
    };
    let quote = if in_string { "\"" } else { "" };
    close(text, quote, &open)
        .or_else(|| {
            // Cut inside an escape: `\`, `\u00`.
            let backslash = text.rfind('\\').filter(|at| in_string && text.len() - at <= 6)?;
            close(&text[..backslash], quote, &open)
        })
        .or_else(|| last_field.and_then(|(at, open)| close(&text[..at], "", &open)))
        .or_else(|| text.starts_with('{').then(|| Value::Object(Default::default())))
        .or_else(|| text.starts_with('[').then(|| Value::Array(Default::default())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acquire::{chat_request, sms_request};
    use proptest::prelude::*;
    use serde_json::json;

    fn id(text: &str) -> Option<String> {
        read_fields(chat_request::field_action, text, false)?.into_receipt().message_id
    }

    const ACCEPTED: &str = r#"{"data":{"id":8289,"message":"a } b"}}"#;

    #[test]
    fn ids_are_found_whatever_is_around_them() {
        for (before, after) in [
            ("", ""),
            ("\u{feff}", "\r\n\0\0"),
            ("\u{feff}\u{feff}", ""),
            (")]}',\n", ""),
            ("while(1);", ""),
            ("callback(", ");"),
            (
                "<br />\n<b>Warning</b>:  Undefined {$x} in <b>/a.php</b> on line <b>3</b><br />\n",
                "",
            ),
            ("{not this} {\"nor\":\"this\"} ", ""),
            ("", "<!-- served by cache-7 -->"),
            ("", "{}"),
            ("", "\n{\"data\":null}"),
            ("<string xmlns=\"http://tempuri.org/\">", "</string>"),
            ("26\r\n", "\r\n0\r\n\r\n"),
        ] {
            let text = format!("{before}{ACCEPTED}{after}");
            assert_eq!(id(&text).as_deref(), Some("8289"), "{text:?}");
        }
        assert_eq!(id(&Value::from(ACCEPTED).to_string()).as_deref(), Some("8289"));
        let sms = r#"x{"data":{"threadId":1,"data":{"id":339}}}"#;
        assert_eq!(
            read_fields(sms_request::field_action, sms, false)
                .unwrap()
                .into_receipt()
                .message_id
                .unwrap(),
            "339"
        );
    }

    #[test]
    fn a_page_that_is_not_acquires_is_not_searched_for_ids() {
        for text in [
            format!("<html><body>{ACCEPTED}</body></html>"),
            format!("<!DOCTYPE html><script>state = {ACCEPTED}</script>"),
            format!(r#"{{"result":{ACCEPTED}}}"#),
            r#"x{"data":{"caseId":2069}}"#.to_owned(),
            ACCEPTED[..ACCEPTED.len() - 1].to_owned(),
            "{".repeat(1 << 20),
            "{\"a\":".repeat(100_000),
        ] {
            assert_eq!(id(&text), None, "{}", &text[..text.len().min(80)]);
        }
    }

    #[test]
    fn a_truncated_answer_is_completed() {
        for (cut, completed) in [
            (r#"{"a":1,"b":{"c":"wor"#, json!({"a": 1, "b": {"c": "wor"}})),
            (r#"{"a":1,"b":{"c":"wor\"#, json!({"a": 1, "b": {"c": "wor"}})),
            (r#"{"a":1,"b":{"c":"wor\u00"#, json!({"a": 1, "b": {"c": "wor"}})),
            (r#"{"a":1,"b":{"c""#, json!({"a": 1})),
            (r#"{"a":1,"b":tr"#, json!({"a": 1})),
            (r#"{"a":[1,2"#, json!({"a": [1, 2]})),
            (r#"{"a":1},"#, json!({"a": 1})),
            (r#"{"a"#, json!({})),
            ("{", json!({})),
            ("[", json!([])),
        ] {
            assert_eq!(complete_truncated(cut), Some(completed), "{cut}");
        }
        assert_eq!(complete_truncated(&"[".repeat(1000)), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[{}\\[\\]\",:a\\\\ é\u{feff}]{0,200}", cut in any::<bool>()) {
            let _ = (read_fields(sms_request::field_action, &text, cut), complete_truncated(&text), parse(&text, cut, |_| true));
        }
    }
}
