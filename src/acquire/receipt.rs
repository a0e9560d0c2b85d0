//! The ids in a 2xx answer. Ten values of an SMS answer's 30 KB matter, so it is scanned, not parsed;
//! and a truncated answer still gives the ids before the cut.

mod number;
mod scan;
#[cfg(test)]
mod tests;

use crate::queue::outcome::Receipt;
pub(in crate::acquire) use scan::container_len;
use scan::{Scalar, Scan, ScanError};
use serde_json::{Map, Value};

/// The objects of an answer that can hold ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerObject {
    Root,
    /// `data`
    Data,
    /// `data.data`: only SMS, as are the following.
    InnerData,
    /// `data.timeline`
    Timeline,
    /// `data.data.meta`
    Meta,
}

/// What to do with one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldAction {
    Skip,
    /// Read the fields of this object.
    Enter(AnswerObject),
    /// Put it into the receipt under this name, unless it is null.
    Keep(&'static str),
    ProviderCode,
    ProviderMessage,
}

/// Where a channel's answer has its ids: what to do with a field of an object.
pub(super) type FieldMap = fn(AnswerObject, &[u8]) -> FieldAction;

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

/// Keeps the ids and statuses that need no other name.
pub(super) fn kept(name: &[u8]) -> FieldAction {
    KEPT.into_iter()
        .find(|kept| kept.as_bytes() == name)
        .map_or(FieldAction::Skip, FieldAction::Keep)
}

/// What an answer has of interest.
#[derive(Debug, Default, PartialEq)]
pub(super) struct AnswerFields {
    /// There is a `data` that is not null.
    pub has_data: bool,
    pub fields: Map<String, Value>,
    pub provider: Option<ProviderError>,
}

/// The SMS provider's error inside a 2xx.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ProviderError {
    pub code: Option<String>,
    pub message: Option<String>,
}

impl AnswerFields {
    pub(super) fn has_message_id(&self) -> bool {
        match self.fields.get("id") {
            Some(Value::String(text)) => is_word(text) && !text.is_empty(),
            id => id.is_some(),
        }
    }

    /// Ids, statuses and times are one word each. A value with a space is some other text, which does
    /// not belong in a receipt.
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

/// Reads an answer's JSON. `None`: it is not JSON. `cut`: these are only its first bytes; they count
/// as JSON unless something in them is invalid.
///
/// Names, numbers and literals of the objects that are read, and every value that is kept, are checked
/// strictly. A string, object or array that is skipped only has to end: at its closing quote, or at
/// the bracket that balances it. To validate the contents would double the cost, and an answer whose
/// `data` can be read was accepted, whatever is wrong elsewhere.
pub(super) fn read(map: FieldMap, json: &[u8], cut: bool) -> Option<AnswerFields> {
    // A number at the cut may be incomplete, and so the wrong id.
    let json = if cut { json.trim_suffix_of(|b| b"+-.eE0123456789".contains(&b)) } else { json };
    let mut walker = Walker { map, scan: Scan::new(json), found: AnswerFields::default() };
    match walker.value(AnswerObject::Root).and_then(|()| walker.scan.end()) {
        Ok(()) => Some(walker.found),
        Err(ScanError::Ended) if cut => Some(walker.found),
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

/// Reads the answer in one pass.
struct Walker<'j> {
    map: FieldMap,
    scan: Scan<'j>,
    found: AnswerFields,
}

impl Walker<'_> {
    /// One value: enters an object, skips anything else. Recursion ends where `AnswerObject` does.
    fn value(&mut self, object: AnswerObject) -> Result<(), ScanError> {
        let is_null = if self.scan.take(b'{')? {
            self.fields(object)?;
            false
        } else {
            self.scan.scalar()? == Scalar::Null
        };
        self.found.has_data |= object == AnswerObject::Data && !is_null;
        Ok(())
    }

    /// An object's fields, and its closing bracket.
    fn fields(&mut self, object: AnswerObject) -> Result<(), ScanError> {
        if self.scan.take(b'}')? {
            return Ok(());
        }
        loop {
            let name = self.scan.name()?;
            let action = match (object, &*name) {
                (AnswerObject::Root, b"data") => FieldAction::Enter(AnswerObject::Data),
                (AnswerObject::Root, _) => FieldAction::Skip,
                (object, name) => (self.map)(object, name),
            };
            self.scan.expect(b':')?;
            self.field(action)?;
            if !self.scan.take(b',')? {
                return self.scan.expect(b'}');
            }
        }
    }

    /// Of a repeated field, the last counts.
    fn field(&mut self, action: FieldAction) -> Result<(), ScanError> {
        match action {
            FieldAction::Skip => self.scan.skip()?,
            FieldAction::Enter(object) => self.value(object)?,
            FieldAction::Keep(name) => match self.scan.scalar()? {
                Scalar::Value(value) => drop(self.found.fields.insert(name.into(), value)),
                Scalar::Null | Scalar::Other => {}
            },
            FieldAction::ProviderCode => {
                if let Some(text) = scalar_text(self.scan.scalar()?) {
                    self.found.provider.get_or_insert_default().code = text;
                }
            }
            FieldAction::ProviderMessage => {
                if let Some(text) = scalar_text(self.scan.scalar()?) {
                    self.found.provider.get_or_insert_default().message = text;
                }
            }
        }
        Ok(())
    }
}

/// `None` for null; `Some(None)` for a value that is not text.
fn scalar_text(scalar: Scalar) -> Option<Option<String>> {
    match scalar {
        Scalar::Null => None,
        Scalar::Value(Value::String(text)) => Some(Some(text)),
        Scalar::Value(number) => Some(Some(number.to_string())),
        Scalar::Other => Some(None),
    }
}
