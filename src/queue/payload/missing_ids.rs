//! Ids that a payload leaves out and that a case of its contact answers: of an SMS `threadId` and
//! `timelineId`, of an email `caseId`. Only where `fill_missing` is set.

use super::json::{Json, Object};
use super::json_reader::parse_object;
use crate::queue::job::Channel;

/// What to ask for, and what the payload says already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingIds {
    pub contact_id: i64,
    /// Of an SMS that names one of the two.
    pub thread_id: Option<i64>,
    pub timeline_id: Option<i64>,
}

impl MissingIds {
    /// `None`: nothing is missing that can be filled, or the payload is wrong in another way, which
    /// [`parse`](super::parse) will say.
    pub fn of(channel: Channel, text: &[u8]) -> Option<MissingIds> {
        let fields = read(text)?;
        let id = |name: &str| match fields.get(name) {
            Some(Json::Number(digits)) => digits.parse().ok(),
            _ => None,
        };
        let is_absent = |name: &str| matches!(fields.get(name), None | Some(Json::Null));
        let is_missing = match channel {
            Channel::Chat => false,
            Channel::Mail => is_absent("caseId"),
            Channel::Sms => is_absent("threadId") || is_absent("timelineId"),
        };
        let contact_id = id("contactId").filter(|_| is_missing)?;
        Some(MissingIds { contact_id, thread_id: id("threadId"), timeline_id: id("timelineId") })
    }
}

/// The payload with these ids. Its other fields keep their values, numbers their digits.
pub fn with_ids(text: &[u8], ids: &[(&str, i64)]) -> Option<Vec<u8>> {
    let mut fields = read(text)?;
    for (name, id) in ids {
        fields.insert((*name).to_owned(), Json::Number(id.to_string()));
    }
    Some(Json::Object(fields).to_string().into_bytes())
}

/// `None` also for an object that has a field twice: `parse` refuses it.
fn read(text: &[u8]) -> Option<Object> {
    let entries = parse_object(std::str::from_utf8(text).ok()?).ok()?;
    let count = entries.len();
    let fields: Object = entries.into_iter().collect();
    (fields.len() == count).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::payload::parse_bytes;

    const SMS: &str =
        r#"{"From":"+1","To":"+2","Body":"hi","contactId":3,"extra":{"n":0.10}, "threadId":null}"#;

    #[test]
    fn what_is_left_out_is_filled_and_the_rest_stays_as_it_is() {
        let missing = MissingIds::of(Channel::Sms, SMS.as_bytes()).unwrap();
        assert_eq!(missing, MissingIds { contact_id: 3, thread_id: None, timeline_id: None });
        let filled = with_ids(SMS.as_bytes(), &[("threadId", 4), ("timelineId", 5)]).unwrap();
        let text = String::from_utf8(filled.clone()).unwrap();
        assert!(text.contains(r#""extra":{"n":0.10}"#), "{text}");
        assert!(parse_bytes(Channel::Sms, &filled).is_ok());
        assert_eq!(MissingIds::of(Channel::Sms, &filled), None);
        let mail = br#"{"contactId":3,"to":"a@b"}"#;
        assert_eq!(MissingIds::of(Channel::Mail, mail).unwrap().contact_id, 3);
    }

    #[test]
    fn a_payload_that_is_wrong_in_another_way_is_left_alone() {
        for text in ["", "[]", "{}", r#"{"contactId":"3"}"#, r#"{"contactId":3,"contactId":3}"#] {
            assert_eq!(MissingIds::of(Channel::Sms, text.as_bytes()), None, "{text}");
        }
        assert_eq!(MissingIds::of(Channel::Chat, br#"{"contactId":3}"#), None);
    }
}
