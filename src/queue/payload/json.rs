//! JSON that is passed on unchanged: numbers keep digits that a float would lose.

use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// An object's fields; of repeated ones only the last.
pub type Object = BTreeMap<String, Json>;

/// Any JSON value.
///
/// Its `Debug` shows only the type, so that message text stays out of logs.
#[derive(Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// As it was written: `1E5`, `0.10`, `12345678901234567890123`.
    Number(String),
    /// Unescaped; U+FFFD replaces each unpaired surrogate.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object.
    Object(Object),
    /// A container that is nested too deep to be parsed, and only passed on.
    Deep {
        /// Valid JSON on one line, without spaces.
        json: String,
        /// All strings in it, unescaped.
        strings: Vec<String>,
    },
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Json::Null => "Null",
            Json::Bool(_) => "Bool",
            Json::Number(_) => "Number",
            Json::String(_) => "String",
            Json::Array(_) => "Array",
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

/// Works only with serde_json's serializers, which can write a number in its original form.
impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(value) => serializer.serialize_bool(*value),
            Json::Number(json) | Json::Deep { json, .. } => {
                let json: &RawValue =
                    serde_json::from_str(json).map_err(serde::ser::Error::custom)?;
                json.serialize(serializer)
            }
            Json::String(text) => serializer.serialize_str(text),
            Json::Array(items) => items.serialize(serializer),
            Json::Object(fields) => fields.serialize(serializer),
        }
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Json {
        Json::Bool(value)
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Json {
        Json::Number(number.to_string())
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Json {
        Json::String(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Json {
        Json::String(text)
    }
}

impl From<Vec<String>> for Json {
    fn from(texts: Vec<String>) -> Json {
        Json::Array(texts.into_iter().map(Json::String).collect())
    }
}
