//! Reads one table of the file: typed values with their places, and an error for unknown keys.
//!
//! Not with serde, whose errors quote invalid values: a value may be a misplaced API key.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::config_error::{ConfigError, Place};
use crate::queue::policy::looks_like_a_number;

/// A value and where it was set.
pub(super) struct Located<T> {
    pub value: T,
    pub place: Place,
}

/// The file, for its name and line numbers.
pub(super) struct Document<'a> {
    file: &'a Path,
    text: &'a str,
    /// The positions of the line breaks. Counting them for each value took a quarter of a start with 400 accounts.
    breaks: Vec<usize>,
}

impl<'a> Document<'a> {
    pub fn new(file: &'a Path, text: &'a str) -> Document<'a> {
        Document { file, text, breaks: text.match_indices('\n').map(|(at, _)| at).collect() }
    }

    /// `position` is in bytes.
    fn line(&self, position: usize) -> usize {
        self.breaks.partition_point(|at| *at < position) + 1
    }

    pub fn parse(&self) -> Result<Spanned<DeTable<'a>>, ConfigError> {
        // Not the error's `Display`, which quotes the line.
        DeTable::parse(self.text).map_err(|error| ConfigError::Syntax {
            file: self.file.to_owned(),
            line: self.line(error.span().map_or(0, |span| span.start)),
            problem: error.message().to_owned(),
        })
    }

    /// The whole file as a section.
    pub fn root<'d>(&'d self, table: &'d DeTable<'d>) -> Section<'d> {
        Section { document: self, name: String::new(), table }
    }
}

/// One table of the file.
pub(super) struct Section<'a> {
    document: &'a Document<'a>,
    /// The full name, `channels.sms`; empty for the top level.
    name: String,
    table: &'a DeTable<'a>,
}

impl<'a> Section<'a> {
    /// Refuses keys that are not `known`; the error names the first in the file.
    pub fn allow(&self, known: &[&str]) -> Result<(), ConfigError> {
        let unknown = self.table.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        let Some(first) = unknown.min_by_key(|key| key.span().start) else { return Ok(()) };
        let key = first.get_ref().as_ref();
        let line = self.document.line(first.span().start);
        if key == "api_key" {
            return Err(ConfigError::KeyInFile { place: self.place(key, line) });
        }
        if (self.name.as_str(), key) == ("web", "token") {
            return Err(ConfigError::TokenInFile { place: self.place(key, line) });
        }
        if self.name.is_empty() && ["password", "database_password"].contains(&key) {
            return Err(ConfigError::PasswordInFile { place: self.place(key, line) });
        }
        let section = match self.name.as_str() {
            "" => "at the top level".to_owned(),
            name => format!("in [{name}]"),
        };
        let hint = match nearest(key, known) {
            Some(near) => format!("did you mean `{near}`? The keys here: {}", known.join(", ")),
            None => format!("the keys here: {}", known.join(", ")),
        };
        let (file, key) = (self.document.file.to_owned(), key.escape_debug().to_string());
        Err(ConfigError::UnknownKey { file, line, key, section, hint })
    }

    /// The section below `key`, if there is one.
    pub fn section(&self, key: &str) -> Result<Option<Section<'a>>, ConfigError> {
        self.section_or(key, &format!("must be a section: [{}]", self.full_name(key)))
    }

    /// All sections below this one; `expected` is the error for a key that is not a section.
    pub fn sections(
        &self,
        expected: &str,
    ) -> Result<Vec<(Located<&'a str>, Section<'a>)>, ConfigError> {
        let mut sections = Vec::new();
        for key in self.table.keys() {
            let (name, line) = (key.get_ref().as_ref(), self.document.line(key.span().start));
            if let Some(section) = self.section_or(name, expected)? {
                sections.push((Located { value: name, place: self.place(name, line) }, section));
            }
        }
        Ok(sections)
    }

    fn section_or(&self, key: &str, expected: &str) -> Result<Option<Section<'a>>, ConfigError> {
        let table = self.get(key, expected, |value| value.as_table())?;
        Ok(table.map(|table| Section {
            document: self.document,
            name: self.full_name(key),
            table: table.value,
        }))
    }

    pub fn text(&self, key: &str) -> Result<Option<Located<String>>, ConfigError> {
        let text = self.get(key, "must be a string in quotes", |value| value.as_str())?;
        match text {
            Some(text) if text.value.is_empty() => Err(ConfigError::invalid(
                &text.place,
                "must not be empty; leave the key out instead",
            )),
            text => {
                Ok(text.map(|text| Located { value: text.value.to_owned(), place: text.place }))
            }
        }
    }

    /// An array of strings.
    pub fn texts(&self, key: &str) -> Result<Option<Located<Vec<String>>>, ConfigError> {
        self.get(key, "must be an array of strings in quotes", |value| {
            let items = value.as_array()?.iter();
            items.map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
        })
    }

    /// A text that is parsed as `T`, whose error says what is allowed.
    pub fn parsed<T>(&self, key: &str) -> Result<Option<Located<T>>, ConfigError>
    where
        T: FromStr<Err: Display>,
    {
        self.parsed_by(key, str::parse)
    }

    /// A text that `parse` reads; its error says what is allowed.
    pub fn parsed_by<T, E: Display>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<Located<T>>, ConfigError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match parse(&text.value) {
            Ok(value) => Ok(Some(Located { value, place: text.place })),
            Err(problem) => Err(ConfigError::invalid(&text.place, problem.to_string())),
        }
    }

    pub fn boolean(&self, key: &str) -> Result<Option<Located<bool>>, ConfigError> {
        self.get(key, "must be true or false, without quotes", |value| value.as_bool())
    }

    pub fn integer(
        &self,
        key: &str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<Located<u32>>, ConfigError> {
        let expected = format!("must be a whole number from {} to {}", range.start(), range.end());
        self.get(key, &expected, |value| {
            let integer = value.as_integer()?;
            let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok()?;
            range.contains(&number).then_some(number)
        })
    }

    pub fn number(
        &self,
        key: &str,
        range: RangeInclusive<f64>,
    ) -> Result<Option<Located<f64>>, ConfigError> {
        let expected = format!("must be a number from {} to {}", range.start(), range.end());
        self.get(key, &expected, |value| {
            let number: f64 = match value {
                DeValue::Float(float) => float.as_str().parse().ok()?,
                DeValue::Integer(integer) if integer.radix() == 10 => {
                    integer.as_str().parse().ok()?
                }
                _ => return None,
            };
            range.contains(&number).then_some(number)
        })
    }

    /// A duration in humantime's format, within `range`.
    pub fn duration(
        &self,
        key: &str,
        range: RangeInclusive<Duration>,
    ) -> Result<Option<Located<Duration>>, ConfigError> {
        let expected = "must be a duration in quotes, such as \"30s\", \"15m\" or \"24h\"";
        let Some(text) = self.get(key, expected, |value| value.as_str())? else { return Ok(None) };
        let value = parse_duration(text.value)
            .and_then(|duration| match range.contains(&duration) {
                true => Ok(duration),
                false => Err(format!(
                    "{} is out of range: {} to {}",
                    humantime::format_duration(duration),
                    humantime::format_duration(*range.start()),
                    humantime::format_duration(*range.end())
                )),
            })
            .map_err(|problem| ConfigError::invalid(&text.place, problem))?;
        Ok(Some(Located { value, place: text.place }))
    }

    /// A size with its unit, in bytes, within `range`.
    pub fn bytes(
        &self,
        key: &str,
        range: RangeInclusive<ByteSize>,
    ) -> Result<Option<Located<u64>>, ConfigError> {
        let expected = "must be a size in quotes, such as \"64MiB\" or \"1GiB\"";
        let Some(text) = self.get(key, expected, |value| value.as_str())? else { return Ok(None) };
        let parsed = text.value.parse::<ByteSize>().ok().filter(|_| has_unit(text.value));
        let size = parsed.ok_or_else(|| match looks_like_a_number(text.value) {
            true => format!(
                "{:?} is not a size; write a number and its unit: KiB, MiB or GiB",
                text.value
            ),
            false => expected.to_owned(),
        });
        let size = size.and_then(|size| match range.contains(&size) {
            true => Ok(size.as_u64()),
            false => Err(format!("{size} is out of range: {} to {}", range.start(), range.end())),
        });
        let value = size.map_err(|problem| ConfigError::invalid(&text.place, problem))?;
        Ok(Some(Located { value, place: text.place }))
    }

    /// `pick` returns `None` for a value that is invalid; `expected` is then the error.
    fn get<T>(
        &self,
        key: &str,
        expected: &str,
        pick: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Result<Option<Located<T>>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let place = self.place(key, self.document.line(value.span().start));
        match pick(value.get_ref()) {
            Some(value) => Ok(Some(Located { value, place })),
            None => Err(ConfigError::invalid(&place, expected)),
        }
    }

    fn full_name(&self, key: &str) -> String {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let key = match !key.is_empty() && key.chars().all(bare) {
            true => key.to_owned(),
            false => format!("{key:?}"),
        };
        if self.name.is_empty() { key } else { format!("{}.{key}", self.name) }
    }

    fn place(&self, key: &str, line: usize) -> Place {
        Place::File { file: self.document.file.to_owned(), line, key: self.full_name(key) }
    }
}

/// A duration in humantime's format; the error quotes the text only if it looks like one.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| {
        let rule = "write a number and its unit, such as \"30s\", \"15m\", \"24h\" or \"30d\"";
        match looks_like_a_number(text) {
            true => format!("{text:?} is not a duration; {rule}"),
            false => format!("this is not a duration; {rule}"),
        }
    })
}

/// A number without a unit is ambiguous.
fn has_unit(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_alphabetic())
}

fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let key = key.to_lowercase().replace('-', "_");
    known
        .iter()
        .map(|near| (strsim::damerau_levenshtein(&key, near), *near))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, near)| *distance <= (near.len() / 3).max(1))
        .map(|(_, near)| near)
}
