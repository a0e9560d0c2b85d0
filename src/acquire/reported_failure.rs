//! A 2xx whose JSON reports a failure. The vendor's documentation shows one:
//! `{"error":{"code":"CHAT_ALREADY_JOINED","message":"...","data":null}}`.

use super::error_answer::{AnswerText, find_message, is_vendor_type};
use serde_json::{Map, Value};

/// The failure that an answer without a message id reports. Its `json` is only the part that reports
/// it, so that the error's message is not taken from elsewhere in the answer.
pub(super) fn reported_failure(text: &AnswerText) -> Option<AnswerText> {
    let root = text.json.as_ref()?.as_object()?;
    // `data`, and `data.data` of an SMS.
    let data = root.get("data");
    let places = [Some(root), as_object(data), as_object(data.and_then(|data| data.get("data")))];
    let failure = places.into_iter().flatten().find_map(failure_part)?;
    Some(AnswerText { json: Some(failure), raw: text.raw.clone(), cut: text.cut })
}

fn as_object(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value?.as_object()
}

/// The part of an object that reports a failure.
fn failure_part(fields: &Map<String, Value>) -> Option<Value> {
    let error = ["error", "errors"].iter().find_map(|name| {
        let error = fields.get(*name)?;
        is_error(error).then_some((name, error))
    });
    match error {
        // An error without a message takes the message of the object around it.
        Some((name, error)) if error.is_object() || error.is_array() => {
            let alone = Value::Object(Map::from_iter([((*name).to_owned(), error.clone())]));
            let has_message = find_message(&alone).is_some();
            Some(if has_message { alone } else { Value::Object(fields.clone()) })
        }
        Some(_) => Some(Value::Object(fields.clone())),
        None => is_marked_as_failed(fields).then(|| Value::Object(fields.clone())),
    }
}

fn is_error(error: &Value) -> bool {
    match error {
        Value::Object(_) => true,
        Value::Array(errors) => !errors.is_empty(),
        Value::String(text) => !text.trim().is_empty(),
        Value::Bool(is_error) => *is_error,
        Value::Number(code) => code.as_f64() != Some(0.0),
        Value::Null => false,
    }
}

/// There is no `error`, but `success` or `ok` is false, `status` names an error, or the object has
/// one of the vendor's error types.
fn is_marked_as_failed(fields: &Map<String, Value>) -> bool {
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
            .any(|name| text(name).is_some_and(is_vendor_type))
}
