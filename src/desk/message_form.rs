//! A payload as the fields of a form, and back. Fields that nobody touches stay exactly as they were.

use crate::queue::job::Channel;
use crate::queue::payload::{self, Json, Object, PayloadError};

/// How a field is filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// Text on one line.
    Line,
    /// Text on several lines.
    Text,
    Whole,
    /// Email addresses, one on each line.
    Addresses,
    /// One of these.
    Choice(&'static [&'static str]),
    /// JSON of any kind; also for a field that this version does not know.
    AnyJson,
}

use EntryKind::{Addresses, AnyJson, Choice, Line, Text, Whole};

const WHO: EntryKind = Choice(&["user", "contact"]);
const YES_NO: EntryKind = Choice(&["true", "false"]);

/// The fields of each channel, those that are needed first.
const CHAT: &[(&str, EntryKind, bool)] = &[
    ("caseId", Whole, true),
    ("message", Text, true),
    ("type", Choice(&["message", "note", "event"]), false),
    ("translateLangKey", Line, false),
    ("userType", WHO, false),
    ("contactId", Whole, false),
    ("extra", AnyJson, false),
];

const MAIL: &[(&str, EntryKind, bool)] = &[
    ("caseId", Whole, false),
    ("contactId", Whole, true),
    ("from", Line, true),
    ("to", Addresses, true),
    ("subject", Line, true),
    ("textBody", Text, false),
    ("htmlBody", Text, false),
    ("cc", Addresses, false),
    ("bcc", Addresses, false),
    ("attachments", AnyJson, false),
    ("type", Line, false),
    ("extra", AnyJson, false),
];

const SMS: &[(&str, EntryKind, bool)] = &[
    ("From", Line, true),
    ("To", Line, true),
    ("Body", Text, true),
    ("contactId", Whole, true),
    ("threadId", Whole, false),
    ("timelineId", Whole, false),
    ("userType", WHO, false),
    ("title", Line, false),
    ("id", Whole, false),
    ("isClosed", YES_NO, false),
    ("isMultiChannel", YES_NO, false),
    ("markValue", Text, false),
    ("msgType", Line, false),
    ("extra", AnyJson, false),
];

/// A field, with what is in it. It contains message text, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageField {
    pub name: String,
    pub kind: EntryKind,
    pub required: bool,
    /// As it is shown and typed, lines ended by `\n`.
    pub text: String,
    /// What is wrong with it.
    pub fault: Option<String>,
    /// What the payload had.
    original: Option<Json>,
}

/// The form of a channel's payload.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageForm {
    pub channel: Channel,
    pub fields: Vec<MessageField>,
    /// What is wrong with the payload as a whole.
    pub fault: Option<String>,
}

impl MessageForm {
    pub fn empty(channel: Channel) -> MessageForm {
        MessageForm::of(channel, "{}")
    }

    /// The form of this payload; an empty one if it is not an object.
    pub fn of(channel: Channel, payload: &str) -> MessageForm {
        let mut given = match Json::parse(payload) {
            Ok(Json::Object(fields)) => fields,
            _ => Object::new(),
        };
        let known = match channel {
            Channel::Chat => CHAT,
            Channel::Mail => MAIL,
            Channel::Sms => SMS,
        };
        let known = known.iter().map(|(name, kind, required)| {
            MessageField::of(name, *kind, *required, given.remove(*name))
        });
        let mut fields: Vec<_> = known.collect();
        let others = given.into_iter();
        fields
            .extend(others.map(|(name, json)| MessageField::of(&name, AnyJson, false, Some(json))));
        MessageForm { channel, fields, fault: None }
    }

    /// Takes over what was typed, by the names of the fields; what is not given stays.
    pub fn fill<'a>(&mut self, typed: impl Fn(&str) -> Option<&'a str>) {
        for field in &mut self.fields {
            if let Some(text) = typed(&field.name) {
                field.text = lines(text);
            }
        }
    }

    /// The payload, checked as a producer's is before it is inserted. `None`: the fields say what is wrong.
    pub fn payload(&mut self) -> Option<String> {
        let mut object = Object::new();
        for field in &mut self.fields {
            match field.value() {
                Ok(Some(value)) => {
                    object.insert(field.name.clone(), value);
                }
                Ok(None) => {}
                Err(sentence) => field.fault = Some(sentence),
            }
        }
        if self.fields.iter().any(|field| field.fault.is_some()) {
            return None;
        }
        let payload = Json::Object(object).to_string();
        match payload::check(self.channel, &payload) {
            Ok(()) => Some(payload),
            Err(error) => {
                self.blame_by(&error);
                None
            }
        }
    }

    fn blame_by(&mut self, error: &PayloadError) {
        self.blame(error.field(), error.rule());
    }

    /// Shows the sentence of a database rule, like `outbox.payload.caseId: required`, next to its field.
    pub fn blame_rule(&mut self, sentence: &str) {
        match sentence.strip_prefix("outbox.payload.").and_then(|rest| rest.split_once(": ")) {
            Some((field, rule)) => self.blame(Some(field), rule),
            None => self.blame(None, sentence),
        }
    }

    fn blame(&mut self, name: Option<&str>, rule: &str) {
        let field = self.fields.iter_mut().find(|field| Some(field.name.as_str()) == name);
        match (field, name) {
            (Some(field), _) => field.fault = Some(rule.to_owned()),
            (None, Some(name)) => self.fault = Some(format!("{name}: {rule}")),
            (None, None) => self.fault = Some(rule.to_owned()),
        }
    }
}

impl MessageField {
    fn of(name: &str, kind: EntryKind, required: bool, original: Option<Json>) -> MessageField {
        let text = original.as_ref().map(|json| shown(kind, json)).unwrap_or_default();
        MessageField { name: name.to_owned(), kind, required, text, fault: None, original }
    }

    /// Its value in the payload; `None` leaves it out.
    fn value(&self) -> Result<Option<Json>, String> {
        if let Some(original) = &self.original
            && shown(self.kind, original) == self.text
        {
            return Ok(Some(original.clone()));
        }
        let trimmed = self.text.trim();
        if trimmed.is_empty() {
            return Ok(None);
        }
        let number = || trimmed.parse::<i64>().map_err(|_| "must be a whole number".to_owned());
        Ok(Some(match self.kind {
            Line => trimmed.into(),
            Text => self.text.as_str().into(),
            Whole => number()?.into(),
            Addresses => {
                let each = trimmed.lines().map(str::trim).filter(|line| !line.is_empty());
                each.map(str::to_owned).collect::<Vec<_>>().into()
            }
            Choice(_) if trimmed == "true" || trimmed == "false" => (trimmed == "true").into(),
            Choice(_) => trimmed.into(),
            AnyJson => Json::parse(trimmed).map_err(|fault| format!("must be JSON; {fault}"))?,
        }))
    }
}

/// As a form shows it. A value of another kind is shown as JSON.
fn shown(kind: EntryKind, json: &Json) -> String {
    match (kind, json) {
        (AnyJson, json) => json.to_string(),
        (_, Json::Null) => String::new(),
        (_, Json::String(text)) => lines(text),
        (Addresses, Json::Array(items)) => {
            let texts = items.iter().map(|item| match item {
                Json::String(text) => lines(text),
                other => other.to_string(),
            });
            texts.collect::<Vec<_>>().join("\n")
        }
        (_, other) => other.to_string(),
    }
}

/// Browsers send `\r\n`.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(form: &mut MessageForm, name: &str, text: &str) {
        form.fill(|field| (field == name).then_some(text));
    }

    #[test]
    fn every_field_of_a_channel_has_an_entry() {
        for channel in Channel::ALL {
            let form = MessageForm::empty(channel);
            let mut entries: Vec<_> = form.fields.iter().map(|field| field.name.as_str()).collect();
            let mut known = payload::known_fields(channel).to_vec();
            entries.sort_unstable();
            known.sort_unstable();
            assert_eq!(entries, known);
        }
    }

    #[test]
    fn what_is_not_touched_stays_as_it_was() {
        let before = r#"{"caseId":7,"extra":{"n":1.50},"message":"a\r\nb","type":"note"}"#;
        let mut form = MessageForm::of(Channel::Chat, before);
        typed(&mut form, "message", "a\r\nb");
        assert_eq!(form.payload().as_deref(), Some(before));
        typed(&mut form, "message", "a\r\nc");
        typed(&mut form, "type", "");
        let after = r#"{"caseId":7,"extra":{"n":1.50},"message":"a\nc"}"#;
        assert_eq!(form.payload().as_deref(), Some(after));
    }

    #[test]
    fn what_is_wrong_is_said_at_its_field() {
        let mut form = MessageForm::of(Channel::Sms, r#"{"From":"+1","to":"x","Body":"hi"}"#);
        typed(&mut form, "contactId", "seven");
        assert!(form.payload().is_none());
        let fault = |form: &MessageForm, name: &str| {
            let field = form.fields.iter().find(|field| field.name == name);
            field.and_then(|field| field.fault.clone()).unwrap_or_default()
        };
        assert_eq!(fault(&form, "contactId"), "must be a whole number");
        form.fields.iter_mut().for_each(|field| field.fault = None);
        typed(&mut form, "contactId", "7");
        assert!(form.payload().is_none());
        assert!(fault(&form, "to").contains("did you mean"), "{}", fault(&form, "to"));
        form.blame_rule("outbox.payload.To: required for sms");
        assert_eq!(fault(&form, "To"), "required for sms");
        form.blame_rule("outbox.payload: must be one JSON object");
        assert!(form.fault.is_some());
    }

    #[test]
    fn addresses_are_one_on_each_line() {
        let mut form =
            MessageForm::of(Channel::Mail, r#"{"to":["a@x.org","b@x.org"],"cc":"c@x.org"}"#);
        let text = |form: &MessageForm, name: &str| {
            form.fields.iter().find(|field| field.name == name).map(|field| field.text.clone())
        };
        assert_eq!(text(&form, "to").as_deref(), Some("a@x.org\nb@x.org"));
        assert_eq!(text(&form, "cc").as_deref(), Some("c@x.org"));
        for (name, value) in [
            ("to", " a@x.org \r\n\r\nd@x.org\r\n"),
            ("caseId", "1"),
            ("contactId", "2"),
            ("from", "f@x.org"),
            ("subject", "s"),
            ("textBody", "t"),
        ] {
            typed(&mut form, name, value);
        }
        let payload = form.payload().unwrap_or_default();
        assert!(payload.contains(r#""to":["a@x.org","d@x.org"]"#), "{payload}");
        assert!(payload.contains(r#""cc":"c@x.org""#), "{payload}");
    }
}
