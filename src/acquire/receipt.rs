//! The ids of a 2xx answer: an SMS answer is 30 KB of which ten values matter, and one cut at the
//! cap still yields the ids that came before.

mod number;
mod scan;
#[cfg(test)]
mod tests;

use crate::queue::outcome::Receipt;
pub(in crate::acquire) use scan::brackets as balanced;
use scan::{Found, Scan, Stop};
use serde_json::{Map, Value};

/// Objects of an answer that are looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Root,
    /// `data`
    Data,
    /// `data.data`, SMS alone as the following
    Message,
    /// `data.timeline`
    Timeline,
    /// `data.data.meta`
    Meta,
}

/// What to do with one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Skip,
    Into(Place),
    /// Goes into the receipt under this name, unless it is null.
    Keep(&'static str),
    ProviderCode,
    ProviderWords,
}

/// A channel's map of its answer.
pub(super) type Steps = fn(Place, &[u8]) -> Step;

const KEPT: [&str; 13] = [
    "id",
    "caseMessageId",
    "caseId",
    "threadId",
    "contactId",
    "mailMsgId",
    "mailId",
    "inboxId",
    "mailboxMessageId",
    "messageId",
    "status",
    "dateCreated",
    "scheduleAt",
];

/// Ids and statuses that keep their name.
pub(super) fn kept(name: &[u8]) -> Step {
    KEPT.into_iter().find(|kept| kept.as_bytes() == name).map_or(Step::Skip, Step::Keep)
}

/// What an answer said.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Reading {
    /// It has `data`, other than null.
    pub has_data: bool,
    pub fields: Map<String, Value>,
    pub provider: Option<ProviderError>,
}

/// A provider's refusal inside a 2xx.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ProviderError {
    pub code: Option<String>,
    pub words: Option<String>,
}

impl Reading {
    /// Whether it has a message id, as [`Reading::into_receipt`] reads it.
    pub(super) fn has_id(&self) -> bool {
        match self.fields.get("id") {
            Some(Value::String(text)) => is_word(text) && !text.is_empty(),
            id => id.is_some(),
        }
    }

    /// An id, a status and a time are one word each; anything with a space in it is some text that
    /// has no place in a receipt.
    pub(super) fn into_receipt(mut self) -> Receipt {
        self.fields.retain(|_, value| value.as_str().is_none_or(is_word));
        let message_id = match self.fields.get("id") {
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        Receipt { message_id, fields: self.fields }
    }
}

fn is_word(text: &str) -> bool {
    !text.contains(char::is_whitespace)
}

/// Reads an answer's JSON. `cut`: these are its first bytes only, and it counts as JSON when
/// nothing so far contradicts it. `None`: not JSON.
///
/// The objects that are looked into, their names, numbers, truth values and nulls, and every value
/// that is kept are checked as JSON. A text, an object or an array that is read over counts as
/// JSON when it ends: the text at a quote, the others where as many brackets are closed as were
/// opened. What stands in it is not looked at: 30 KB checked to the letter cost as much as their
/// reading, and an answer whose `data` could be read was accepted, whatever is wrong elsewhere.
pub(super) fn read(steps: Steps, json: &[u8], cut: bool) -> Option<Reading> {
    // A number that the cut may have shortened would be a wrong id.
    let json = if cut { json.trim_suffix_of(|b| b"+-.eE0123456789".contains(&b)) } else { json };
    let mut walk = Walk { steps, scan: Scan::new(json), reading: Reading::default() };
    match walk.value(Place::Root).and_then(|()| walk.scan.end()) {
        Ok(()) => Some(walk.reading),
        Err(Stop::Ended) if cut => Some(walk.reading),
        Err(_) => None,
    }
}

trait TrimSuffix {
    fn trim_suffix_of(&self, of: impl Fn(u8) -> bool) -> &Self;
}

impl TrimSuffix for [u8] {
    fn trim_suffix_of(&self, of: impl Fn(u8) -> bool) -> &Self {
        let end = self.iter().rposition(|byte| !of(*byte)).map_or(0, |last| last + 1);
        &self[..end]
    }
}

/// Goes through the answer once.
struct Walk<'j> {
    steps: Steps,
    scan: Scan<'j>,
    reading: Reading,
}

impl Walk<'_> {
    /// One value: an object is walked, anything else is read over. No deeper than places lead.
    fn value(&mut self, place: Place) -> Result<(), Stop> {
        let is_null = if self.scan.take(b'{')? {
            self.fields(place)?;
            false
        } else {
            self.scan.scalar()? == Found::Null
        };
        self.reading.has_data |= place == Place::Data && !is_null;
        Ok(())
    }

    /// An object's fields, and its closing bracket.
    fn fields(&mut self, place: Place) -> Result<(), Stop> {
        if self.scan.take(b'}')? {
            return Ok(());
        }
        loop {
            let name = self.scan.name()?;
            let step = match (place, &*name) {
                (Place::Root, b"data") => Step::Into(Place::Data),
                (Place::Root, _) => Step::Skip,
                (place, name) => (self.steps)(place, name),
            };
            self.scan.expect(b':')?;
            self.field(step)?;
            if !self.scan.take(b',')? {
                return self.scan.expect(b'}');
            }
        }
    }

    /// Of a field that comes twice, the later counts.
    fn field(&mut self, step: Step) -> Result<(), Stop> {
        match step {
            Step::Skip => self.scan.skip()?,
            Step::Into(place) => self.value(place)?,
            Step::Keep(name) => match self.scan.scalar()? {
                Found::Value(value) => drop(self.reading.fields.insert(name.into(), value)),
                Found::Null | Found::Other => {}
            },
            Step::ProviderCode => {
                if let Some(text) = words(self.scan.scalar()?) {
                    self.reading.provider.get_or_insert_default().code = text;
                }
            }
            Step::ProviderWords => {
                if let Some(text) = words(self.scan.scalar()?) {
                    self.reading.provider.get_or_insert_default().words = text;
                }
            }
        }
        Ok(())
    }
}

/// `None` for null; `Some(None)` for what has no words.
fn words(found: Found) -> Option<Option<String>> {
    match found {
        Found::Null => None,
        Found::Value(Value::String(text)) => Some(Some(text)),
        Found::Value(number) => Some(Some(number.to_string())),
        Found::Other => Some(None),
    }
}
