//! JSON with something around it, or without its end, which the usual parser does not accept.

use super::receipt::{self, Reading, Steps, balanced};
use serde_json::Value;

/// How many brackets in a text are tried as the beginning of an object.
const TRIES: usize = 256;

/// As deep as serde_json reads.
const DEPTH: usize = 127;

/// Reads a 2xx whose text has an object with ids somewhere. `cut` is as in [`receipt::read`].
pub(super) fn ids(steps: Steps, text: &str, cut: bool) -> Option<Reading> {
    let text = trimmed(text);
    // A JSON text that holds the JSON, which was encoded twice.
    if text.starts_with('"')
        && let Ok(inner) = serde_json::from_str::<String>(text)
    {
        return receipt::read(steps, trimmed(&inner).as_bytes(), false);
    }
    if let Some(reading) = receipt::read(steps, text.as_bytes(), cut) {
        return Some(reading);
    }
    objects(text).find_map(|(at, object)| {
        let reading = receipt::read(steps, object.as_bytes(), false)?;
        // After other text, an object counts only with a message id.
        (reading.has_id() || at == 0 && reading.has_data).then_some(reading)
    })
}

/// The JSON of an error answer; `cut`: of its beginning. JSON with something around it must have
/// something that, by `tells`, describes an error.
pub(super) fn value(text: &str, cut: bool, tells: impl Fn(&Value) -> bool) -> Option<Value> {
    let text = trimmed(text);
    match serde_json::from_str(text) {
        Ok(Value::String(inner)) => {
            Some(serde_json::from_str(&inner).unwrap_or(Value::String(inner)))
        }
        // `404` is a number, not an answer.
        Ok(value @ (Value::Object(_) | Value::Array(_))) => Some(value),
        Ok(_) => None,
        Err(_) if cut && text.starts_with(['{', '[']) => mended(text),
        Err(_) => {
            objects(text).filter_map(|(_, object)| serde_json::from_str(object).ok()).find(tells)
        }
    }
}

/// The text without white space, NULs and byte order marks at its ends.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\0' | '\u{feff}'))
}

/// The outermost objects in a text, each with its place. An HTML page is somebody else's text with
/// any objects in its scripts, so it has none that count.
fn objects(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut from = if is_page(text) { text.len() } else { 0 };
    let mut tries = 0;
    std::iter::from_fn(move || {
        loop {
            let at = from + text.get(from..)?.find('{')?;
            from = at + 1;
            if !text[from..].trim_start().starts_with(['"', '}']) {
                continue;
            }
            tries += 1;
            if tries > TRIES {
                return None;
            }
            if let Some(length) = balanced(&text.as_bytes()[at..]) {
                let object = &text[at..at + length];
                if serde_json::from_str::<serde::de::IgnoredAny>(object).is_ok() {
                    from = at + length;
                    return Some((at, object));
                }
            }
        }
    })
}

fn is_page(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["<html", "<!doctype", "<script", "<body"].iter().any(|tag| text.contains(tag))
}

/// The beginning of a JSON text, completed with what it lacks: with the string that it was cut in,
/// or without the last field.
pub(super) fn mended(text: &str) -> Option<Value> {
    let mut open = Vec::new();
    let (mut in_text, mut escaped) = (false, false);
    // Where the last complete field ended, and what was open there.
    let mut whole = None;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' if open.len() < DEPTH => open.push('}'),
            b'[' if open.len() < DEPTH => open.push(']'),
            b'{' | b'[' => return None,
            b'}' | b']' => drop(open.pop()),
            b',' => whole = Some((at, open.clone())),
            _ => {}
        }
    }
    let end = |text: &str, quote: &str, open: &[char]| {
        let brackets: String = open.iter().rev().collect();
        serde_json::from_str(&format!("{text}{quote}{brackets}")).ok()
    };
    let quote = if in_text { "\"" } else { "" };
    end(text, quote, &open)
        .or_else(|| {
            // Half an escape: `\`, `\u00`.
            let backslash = text.rfind('\\').filter(|at| in_text && text.len() - at <= 6)?;
            end(&text[..backslash], quote, &open)
        })
        .or_else(|| whole.and_then(|(at, open)| end(&text[..at], "", &open)))
        .or_else(|| text.starts_with('{').then(|| Value::Object(Default::default())))
        .or_else(|| text.starts_with('[').then(|| Value::Array(Default::default())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acquire::{chat, sms};
    use proptest::prelude::*;
    use serde_json::json;

    fn id(text: &str) -> Option<String> {
        ids(chat::step, text, false)?.into_receipt().message_id
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
        assert_eq!(ids(sms::step, sms, false).unwrap().into_receipt().message_id.unwrap(), "339");
    }

    #[test]
    fn what_is_not_acquires_is_not_searched_for_ids() {
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
    fn an_answer_that_broke_off_is_mended() {
        for (cut, mended_to) in [
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
            assert_eq!(mended(cut), Some(mended_to), "{cut}");
        }
        assert_eq!(mended(&"[".repeat(1000)), None);
    }

    proptest! {
        #[test]
        fn any_text_is_looked_through(text in "[{}\\[\\]\",:a\\\\ é\u{feff}]{0,200}", cut in any::<bool>()) {
            let _ = (ids(sms::step, &text, cut), mended(&text), value(&text, cut, |_| true));
        }
    }
}
