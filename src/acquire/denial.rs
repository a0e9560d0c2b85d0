//! A success status whose JSON reports a failure. The vendor's own pages show one:
//! `{"error":{"code":"CHAT_ALREADY_JOINED","message":"...","data":null}}`.

use super::error::{Said, is_vendors};
use serde_json::{Map, Value};

/// The error in an answer without a message id: only that part, so that its text is not taken from
/// elsewhere. `None`: it reports none.
pub(super) fn of(said: &Said) -> Option<Said> {
    let root = said.json.as_ref()?.as_object()?;
    // `data`, and the second one of an SMS.
    let data = root.get("data");
    let places = [Some(root), object(data), object(data.and_then(|data| data.get("data")))];
    let denied = places.into_iter().flatten().find_map(denial)?;
    Some(Said { json: Some(denied), text: said.text.clone(), cut: said.cut })
}

fn object(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value?.as_object()
}

/// The part of an object that reports a failure.
fn denial(fields: &Map<String, Value>) -> Option<Value> {
    let error = ["error", "errors"].iter().find_map(|name| {
        let error = fields.get(*name)?;
        is_error(error).then_some((name, error))
    });
    match error {
        // An error without text takes the text of the object that holds it.
        Some((name, error)) if error.is_object() || error.is_array() => {
            let alone = Value::Object(Map::from_iter([((*name).to_owned(), error.clone())]));
            let has_words = super::error::find_message(&alone).is_some();
            Some(if has_words { alone } else { Value::Object(fields.clone()) })
        }
        Some(_) => Some(Value::Object(fields.clone())),
        None => says_no(fields).then(|| Value::Object(fields.clone())),
    }
}

fn is_error(error: &Value) -> bool {
    match error {
        Value::Object(_) => true,
        Value::Array(errors) => !errors.is_empty(),
        Value::String(words) => !words.trim().is_empty(),
        Value::Bool(is_error) => *is_error,
        Value::Number(code) => code.as_f64() != Some(0.0),
        Value::Null => false,
    }
}

/// Without an `error`: `success` or `ok` is false, `status` names an error, or the object itself
/// has one of the vendor's types.
fn says_no(fields: &Map<String, Value>) -> bool {
    let is_false = |value: &Value| match value {
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_i64() == Some(0),
        Value::String(value) => value.eq_ignore_ascii_case("false") || value == "0",
        _ => false,
    };
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let failed = |status: &str| {
        ["error", "fail", "failed", "failure"].iter().any(|word| status.eq_ignore_ascii_case(word))
    };
    ["success", "ok"].iter().any(|name| fields.get(*name).is_some_and(is_false))
        || text("status").is_some_and(failed)
        || ["type", "code", "errorType", "errorCode"]
            .iter()
            .any(|name| text(name).is_some_and(is_vendors))
}
