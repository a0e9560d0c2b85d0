//! The fields of a payload, taken out one by one and validated.

use super::json::{Json, Object};
use super::json_reader::{JsonFault, parse_object};
use super::mailbox::{self, is_line_break_or_control};
use super::{PayloadError, UserType};
use std::fmt;

pub(super) struct PayloadFields(Object);

/// A name in the payload may be anything: errors show it shortened and without control characters.
const NAME_CHARS: usize = 40;
/// The most digits of a number that an error shows.
const NUMBER_CHARS: usize = 40;

/// The values that a field may have, for an error.
struct OneOf<'a>(&'a [&'static str]);

impl fmt::Display for OneOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, word) in self.0.iter().enumerate() {
            write!(f, "{}`{word}`", if n == 0 { "one of " } else { ", " })?;
        }
        Ok(())
    }
}

impl PayloadFields {
    /// Reads an object in which every name is known and appears once; null counts as missing.
    pub(super) fn read(text: &str, known: &[&str]) -> Result<Self, PayloadError> {
        let entries = parse_object(text).map_err(|fault| {
            PayloadError::whole(match fault {
                JsonFault::NotObject => "must be a JSON object".to_owned(),
                fault => format!("must be a JSON object; {fault}"),
            })
        })?;
        let mut fields = Object::new();
        for (name, value) in entries {
            if !known.contains(&name.as_str()) {
                return Err(unknown(&name, known));
            }
            // SQLite's JSON functions read the first of the two, serde_json the last.
            if fields.contains_key(&name) {
                return Err(PayloadError::new(name, "appears twice"));
            }
            fields.insert(name, value);
        }
        fields.retain(|_, value| *value != Json::Null);
        Ok(PayloadFields(fields))
    }

    /// `read` returns the value, or what to append to the error `must be {allowed}`.
    fn take<T>(
        &mut self,
        name: &str,
        allowed: fmt::Arguments<'_>,
        read: impl FnOnce(Json) -> Result<T, String>,
    ) -> Result<Option<T>, PayloadError> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(value) => match read(value) {
                Ok(value) => Ok(Some(value)),
                Err(more) => Err(PayloadError::new(name, format!("must be {allowed}{more}"))),
            },
        }
    }

    fn require<T>(
        &mut self,
        name: &str,
        allowed: fmt::Arguments<'_>,
        read: impl FnOnce(Json) -> Result<T, String>,
    ) -> Result<T, PayloadError> {
        self.take(name, allowed, read)?
            .ok_or_else(|| PayloadError::new(name, format!("required, {allowed}")))
    }

    /// `what`: the object that the id refers to.
    pub(super) fn id(&mut self, name: &str, what: &str) -> Result<i64, PayloadError> {
        self.require(name, format_args!("a whole number ({what})"), integer)
    }

    pub(super) fn optional_id(
        &mut self,
        name: &str,
        what: &str,
    ) -> Result<Option<i64>, PayloadError> {
        self.take(name, format_args!("a whole number ({what})"), integer)
    }

    /// Text that is not empty and has no line break.
    pub(super) fn single_line(&mut self, name: &str, what: &str) -> Result<String, PayloadError> {
        let allowed = format_args!("text that is not empty ({what}), without a line break");
        self.require(name, allowed, |value| {
            non_empty(value).and_then(|text| {
                if text.contains(is_line_break_or_control) { not_allowed() } else { Ok(text) }
            })
        })
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
    pub(super) fn text_or_empty(
        &mut self,
        name: &str,
        what: &str,
    ) -> Result<Option<String>, PayloadError> {
        self.take(name, format_args!("text ({what})"), text)
    }

    pub(super) fn boolean(&mut self, name: &str) -> Result<Option<bool>, PayloadError> {
        self.take(name, format_args!("true or false"), |value| match value {
            Json::Bool(value) => Ok(value),
            _ => not_allowed(),
        })
    }

    pub(super) fn one_of(
        &mut self,
        name: &str,
        allowed: &[&'static str],
    ) -> Result<Option<&'static str>, PayloadError> {
        self.take(name, format_args!("{}", OneOf(allowed)), |value| {
            let word = text(value)?;
            allowed.iter().copied().find(|known| *known == word).map_or_else(not_allowed, Ok)
        })
    }

    pub(super) fn user_type(&mut self) -> Result<UserType, PayloadError> {
        let kinds = [UserType::User, UserType::Contact];
        let word = self.one_of("userType", &kinds.map(UserType::as_str))?;
        Ok(kinds.into_iter().find(|kind| Some(kind.as_str()) == word).unwrap_or_default())
    }

    pub(super) fn phone(&mut self, name: &str, whose: &str) -> Result<String, PayloadError> {
        let allowed = format_args!(
            "{whose} with its country code: `+` and 1 to 15 digits, with nothing between them"
        );
        self.require(name, allowed, |value| {
            let number = text(value)?;
            let is_one = number.strip_prefix('+').is_some_and(|digits| {
                (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
            });
            if is_one { Ok(number) } else { not_allowed() }
        })
    }

    pub(super) fn address(&mut self, name: &str, whose: &str) -> Result<String, PayloadError> {
        self.require(name, format_args!("{whose}, {ADDRESS}"), mailbox)
    }

    /// An array of addresses, or one address as text.
    pub(super) fn addresses(&mut self, name: &str) -> Result<Option<Vec<String>>, PayloadError> {
        let list = match self.0.remove(name) {
            None => return Ok(None),
            Some(Json::Array(list)) => list,
            Some(one @ Json::String(_)) => {
                return mailbox(one).map(|address| Some(vec![address])).map_err(|more| {
                    PayloadError::new(name, format!("must be {ADDRESS}, or an array of them{more}"))
                });
            }
            Some(_) => {
                return Err(PayloadError::new(
                    name,
                    format!("must be an array of email addresses, or {ADDRESS}"),
                ));
            }
        };
        list.into_iter()
            .enumerate()
            .map(|(index, item)| {
                mailbox(item).map_err(|more| {
                    let name = format_args!("{name}[{index}]");
                    PayloadError::new(name, format!("must be {ADDRESS}{more}"))
                })
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Some)
    }

    pub(super) fn objects(&mut self, name: &str) -> Result<Vec<Object>, PayloadError> {
        let items = self.take(name, format_args!("an array of objects"), |value| match value {
            Json::Array(items) => Ok(items),
            _ => not_allowed(),
        })?;
        items
            .unwrap_or_default()
            .into_iter()
            .enumerate()
            .map(|(index, item)| match item {
                Json::Object(object) => Ok(object),
                _ => Err(PayloadError::new(format_args!("{name}[{index}]"), "must be an object")),
            })
            .collect()
    }

    /// The object `extra`, which must not replace anything in `occupied`: the paths in the request's body
    /// that have a value other than an object.
    pub(super) fn extra(&mut self, occupied: &[&[&str]]) -> Result<Object, PayloadError> {
        let extra = self
            .take(
                "extra",
                format_args!("an object (fields to add to the request's body)"),
                |value| match value {
                    Json::Object(object) => Ok(object),
                    _ => not_allowed(),
                },
            )?
            .unwrap_or_default();
        for path in occupied {
            check_collision(&extra, path).map_err(|depth| {
                PayloadError::new(
                    format_args!("extra.{}", path[..depth].join(".")),
                    "must be left out: the request already has this field, and `extra` can only add fields",
                )
            })?;
        }
        debug_assert!(self.0.is_empty(), "every known field is read");
        Ok(extra)
    }
}

/// `Err` with the number of steps along `path` at which `extra` would replace a value.
fn check_collision(extra: &Object, path: &[&str]) -> Result<(), usize> {
    let mut object = extra;
    for (step, name) in path.iter().enumerate() {
        match object.get(*name) {
            None => return Ok(()),
            Some(Json::Object(inner)) if step + 1 < path.len() => object = inner,
            Some(_) => return Err(step + 1),
        }
    }
    Ok(())
}

const ADDRESS: &str = "one email address, like ann@example.com or Ann <ann@example.com>";

/// An error that has nothing to append to what is allowed.
fn not_allowed<T>() -> Result<T, String> {
    Err(String::new())
}

fn mailbox(value: Json) -> Result<String, String> {
    let address = text(value)?;
    match mailbox::check(&address) {
        Ok(()) => Ok(address),
        Err(fault) => Err(format!("; {fault}")),
    }
}

/// An integer of 64 bits. A number is not message text, so the error may show it.
fn integer(value: Json) -> Result<i64, String> {
    let Json::Number(digits) = value else { return not_allowed() };
    if let Ok(number) = digits.parse() {
        return Ok(number);
    }
    let shown: String = digits.chars().take(NUMBER_CHARS).collect();
    Err(if !digits.contains(['.', 'e', 'E']) {
        format!(", not {shown}: the largest is {}", i64::MAX)
    } else if digits.parse::<f64>().is_ok_and(|float| float.fract() == 0.0) {
        format!(", not {shown}: a driver bound it as a float; bind an integer")
    } else {
        format!(", not {shown}")
    })
}

fn text(value: Json) -> Result<String, String> {
    match value {
        Json::String(text) => Ok(text),
        _ => not_allowed(),
    }
}

fn non_empty(value: Json) -> Result<String, String> {
    text(value).and_then(|text| if text.is_empty() { not_allowed() } else { Ok(text) })
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
            None => format!("unknown field; the known ones are {}", known.join(", ")),
        },
    )
}
