//! The fields of one JSON object, taken out one by one under their rules.

use super::{Pairs, PayloadError, UserType};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

pub(super) struct Fields(BTreeMap<String, Value>);

/// Names come from the payload too: shown short, and without control characters.
const NAME_CHARS: usize = 40;

/// The words that a field may be.
struct OneOf<'a>(&'a [&'static str]);

impl fmt::Display for OneOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, word) in self.0.iter().enumerate() {
            write!(f, "{}`{word}`", if n == 0 { "one of " } else { ", " })?;
        }
        Ok(())
    }
}

impl Fields {
    /// Reads an object whose names are all known and stand once; null is as good as absent.
    pub(super) fn read(text: &str, known: &[&str]) -> Result<Self, PayloadError> {
        let pairs: Pairs<Value> = serde_json::from_str(text).map_err(|error| {
            PayloadError::whole(match error.classify() {
                serde_json::error::Category::Data => "must be a JSON object".to_owned(),
                _ => format!(
                    "must be a JSON object, the text breaks off being JSON at line {}, column {}",
                    error.line(),
                    error.column()
                ),
            })
        })?;
        let mut fields = BTreeMap::new();
        for (name, value) in pairs.0 {
            if !known.contains(&name.as_str()) {
                return Err(unknown(&name, known));
            }
            // SQL's JSON functions read the first of two, serde the last.
            if fields.contains_key(&name) {
                return Err(PayloadError::new(name, "stands twice, a field may stand once"));
            }
            fields.insert(name, value);
        }
        fields.retain(|_, value| !value.is_null());
        Ok(Fields(fields))
    }

    fn take<T>(
        &mut self,
        name: &str,
        allowed: fmt::Arguments<'_>,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Option<T>, PayloadError> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(value) => match read(value) {
                Some(value) => Ok(Some(value)),
                None => Err(PayloadError::new(name, format!("must be {allowed}"))),
            },
        }
    }

    fn require<T>(
        &mut self,
        name: &str,
        allowed: fmt::Arguments<'_>,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<T, PayloadError> {
        self.take(name, allowed, read)?
            .ok_or_else(|| PayloadError::new(name, format!("required, {allowed}")))
    }

    /// `what` it is the id of.
    pub(super) fn id(&mut self, name: &str, what: &str) -> Result<i64, PayloadError> {
        self.require(name, format_args!("a whole number ({what})"), |value| value.as_i64())
    }

    pub(super) fn optional_id(
        &mut self,
        name: &str,
        what: &str,
    ) -> Result<Option<i64>, PayloadError> {
        self.take(name, format_args!("a whole number ({what})"), |value| value.as_i64())
    }

    pub(super) fn text(&mut self, name: &str, what: &str) -> Result<String, PayloadError> {
        self.require(name, format_args!("text that is not empty ({what})"), non_empty)
    }

    pub(super) fn optional_text(
        &mut self,
        name: &str,
        what: &str,
    ) -> Result<Option<String>, PayloadError> {
        self.take(name, format_args!("text that is not empty ({what})"), non_empty)
    }

    /// Text that may be empty.
    pub(super) fn loose_text(
        &mut self,
        name: &str,
        what: &str,
    ) -> Result<Option<String>, PayloadError> {
        self.take(name, format_args!("text ({what})"), text)
    }

    pub(super) fn truth(&mut self, name: &str) -> Result<Option<bool>, PayloadError> {
        self.take(name, format_args!("true or false"), |value| value.as_bool())
    }

    pub(super) fn word(
        &mut self,
        name: &str,
        allowed: &[&'static str],
    ) -> Result<Option<&'static str>, PayloadError> {
        self.take(name, format_args!("{}", OneOf(allowed)), |value| {
            let word = value.as_str()?;
            allowed.iter().copied().find(|known| *known == word)
        })
    }

    pub(super) fn user_type(&mut self) -> Result<UserType, PayloadError> {
        let kinds = [UserType::User, UserType::Contact];
        let word = self.word("userType", &kinds.map(UserType::as_str))?;
        Ok(kinds.into_iter().find(|kind| Some(kind.as_str()) == word).unwrap_or_default())
    }

    pub(super) fn phone(&mut self, name: &str, whose: &str) -> Result<String, PayloadError> {
        let allowed = format_args!(
            "{whose} with its country code: `+` and 1 to 15 digits, nothing between them"
        );
        self.require(name, allowed, |value| {
            text(value).filter(|number| {
                number.strip_prefix('+').is_some_and(|digits| {
                    (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
                })
            })
        })
    }

    pub(super) fn address(&mut self, name: &str, whose: &str) -> Result<String, PayloadError> {
        self.require(name, format_args!("{whose}, {ADDRESS}"), |value| {
            text(value).filter(|address| is_address(address))
        })
    }

    /// One address as text, or an array of addresses.
    pub(super) fn addresses(&mut self, name: &str) -> Result<Option<Vec<String>>, PayloadError> {
        let list = match self.0.remove(name) {
            None => return Ok(None),
            Some(Value::Array(list)) => list,
            Some(one @ Value::String(_)) => {
                return match text(one).filter(|address| is_address(address)) {
                    Some(address) => Ok(Some(vec![address])),
                    None => Err(PayloadError::new(
                        name,
                        format!("must be {ADDRESS}, or an array of such"),
                    )),
                };
            }
            Some(_) => {
                return Err(PayloadError::new(
                    name,
                    format!("must be an array of mail addresses, or one: {ADDRESS}"),
                ));
            }
        };
        list.into_iter()
            .enumerate()
            .map(|(index, item)| {
                text(item).filter(|address| is_address(address)).ok_or_else(|| {
                    PayloadError::new(format_args!("{name}[{index}]"), format!("must be {ADDRESS}"))
                })
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Some)
    }

    pub(super) fn objects(&mut self, name: &str) -> Result<Vec<Map<String, Value>>, PayloadError> {
        let items = self.take(name, format_args!("an array of objects"), |value| match value {
            Value::Array(items) => Some(items),
            _ => None,
        })?;
        items
            .unwrap_or_default()
            .into_iter()
            .enumerate()
            .map(|(index, item)| match item {
                Value::Object(object) => Ok(object),
                _ => Err(PayloadError::new(format_args!("{name}[{index}]"), "must be an object")),
            })
            .collect()
    }

    /// The `extra` object, which must leave `occupied` alone: the paths of the request's body
    /// that already have a value which is not an object.
    pub(super) fn extra(
        &mut self,
        occupied: &[&[&str]],
    ) -> Result<Map<String, Value>, PayloadError> {
        let extra = self
            .take(
                "extra",
                format_args!("an object (fields to add to the request's body)"),
                |value| match value {
                    Value::Object(object) => Some(object),
                    _ => None,
                },
            )?
            .unwrap_or_default();
        for path in occupied {
            collides(&extra, path).map_err(|depth| {
                PayloadError::new(
                    format_args!("extra.{}", path[..depth].join(".")),
                    "must be left out, the request has this field already and `extra` only adds",
                )
            })?;
        }
        debug_assert!(self.0.is_empty(), "a known field that nobody reads");
        Ok(extra)
    }
}

/// `Err` with the number of steps along `path` where `extra` would replace something.
fn collides(extra: &Map<String, Value>, path: &[&str]) -> Result<(), usize> {
    let mut object = extra;
    for (step, name) in path.iter().enumerate() {
        match object.get(*name) {
            None => return Ok(()),
            Some(Value::Object(inner)) if step + 1 < path.len() => object = inner,
            Some(_) => return Err(step + 1),
        }
    }
    Ok(())
}

const ADDRESS: &str = "a mail address with an `@`, no white space around it";

fn is_address(address: &str) -> bool {
    address.contains('@')
        && address.trim().len() == address.len()
        && !address.chars().any(char::is_control)
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn non_empty(value: Value) -> Option<String> {
    text(value).filter(|text| !text.is_empty())
}

fn unknown(name: &str, known: &[&str]) -> PayloadError {
    let nearest = known
        .iter()
        .map(|known| (strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase()), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.75);
    let shown: String = name
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(NAME_CHARS)
        .chain(name.chars().nth(NAME_CHARS).map(|_| '…'))
        .collect();
    PayloadError::new(
        shown,
        match nearest {
            Some((_, nearest)) => format!("unknown field, did you mean `{nearest}`?"),
            None => format!("unknown field, known are {}", known.join(", ")),
        },
    )
}
