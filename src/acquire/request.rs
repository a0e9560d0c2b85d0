//! The request for a payload: path, query and the exact bytes of the body.

use super::{chat_request, mail_request, sms_request};
use crate::queue::job::Channel;
use crate::queue::payload::{Json, Object, Payload, UserType};
use bytes::Bytes;
use serde::ser::{Serialize, SerializeMap, Serializer};

pub(super) fn path(channel: Channel) -> &'static str {
    match channel {
        Channel::Chat => chat_request::PATH,
        Channel::Mail => mail_request::PATH,
        Channel::Sms => sms_request::PATH,
    }
}

/// The most unused capacity that a body may keep.
const SPARE_BYTES: usize = 64 * 1024;

/// Query parameters. The name of the user type's is a setting of the account.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestQuery {
    pub user_type: Option<UserType>,
    pub contact_id: Option<i64>,
}

pub(super) fn query(payload: &Payload) -> RequestQuery {
    match payload {
        Payload::Chat(chat) => {
            RequestQuery { user_type: Some(chat.user_type), contact_id: chat.contact_id }
        }
        Payload::Mail(_) => RequestQuery { user_type: None, contact_id: None },
        Payload::Sms(sms) => RequestQuery { user_type: Some(sms.user_type), contact_id: None },
    }
}

pub(super) fn body(payload: &Payload) -> Bytes {
    let mut json = Vec::new();
    let written = match payload {
        Payload::Chat(chat) => serde_json::to_writer(&mut json, &chat_request::ChatBody::of(chat)),
        Payload::Mail(mail) => serde_json::to_writer(&mut json, &mail_request::MailBody::of(mail)),
        Payload::Sms(sms) => serde_json::to_writer(&mut json, &sms_request::SmsBody::of(sms)),
    };
    written.expect("objects with string keys always serialise");
    // The vector has grown by doubling, and sending a large body takes a while.
    if json.capacity() - json.len() > SPARE_BYTES {
        json.shrink_to_fit();
    }
    json.into()
}

/// The part of `extra` that is merged into one object of the body. `payload::parse` has checked that
/// it replaces nothing.
pub(super) struct Extra<'a> {
    fields: Option<&'a Object>,
    /// The name of a nested object of the body: its part of `extra` is merged there instead.
    except: Option<&'static str>,
}

impl<'a> Extra<'a> {
    pub(super) fn top(extra: &'a Object, except: Option<&'static str>) -> Self {
        Extra { fields: Some(extra), except }
    }

    pub(super) fn nested(extra: &'a Object, object: &str) -> Self {
        let fields = match extra.get(object) {
            Some(Json::Object(fields)) => Some(fields),
            _ => None,
        };
        Extra { fields, except: None }
    }
}

impl Serialize for Extra<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.fields.into_iter().flatten() {
            if self.except != Some(name.as_str()) {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::payload::parse;
    use serde_json::{Map, Value};

    fn sent(channel: Channel, payload: &str) -> (RequestQuery, String) {
        let payload = parse(channel, payload).unwrap();
        (query(&payload), String::from_utf8(body(&payload).to_vec()).unwrap())
    }

    #[test]
    fn a_chat_has_the_documented_fields_in_their_order() {
        let (query, body) = sent(
            Channel::Chat,
            r#"{"message":"Hello","caseId":2069,"translateLangKey":"en","extra":{"z":1,"message":{"a":{"b":2}}}}"#,
        );
        assert_eq!(query, RequestQuery { user_type: Some(UserType::User), contact_id: None });
        assert_eq!(
            body,
            r#"{"channel":"chat","message":{"type":"message","message":"Hello","translateLangKey":"en","a":{"b":2}},"caseId":2069,"z":1}"#
        );
        let (query, body) = sent(
            Channel::Chat,
            r#"{"message":"Hello","caseId":2069,"type":"note","userType":"contact","contactId":597759}"#,
        );
        assert_eq!(
            query,
            RequestQuery { user_type: Some(UserType::Contact), contact_id: Some(597759) }
        );
        assert_eq!(
            body,
            r#"{"channel":"chat","message":{"type":"note","message":"Hello"},"caseId":2069}"#
        );
    }

    #[test]
    fn numbers_keep_their_digits_and_unpaired_surrogates_are_replaced() {
        let (_, body) = sent(
            Channel::Mail,
            r#"{"caseId":1,"contactId":2,"from":"a@b","to":"c@d","subject":"s","htmlBody":"h\ud83d","attachments":[{"n":12345678901234567890123}],
                "extra":{"data":{"x":0.1000000000000000055511151231257827},"y":[1E5, -0, 1e999],"z":"\udc00"}}"#,
        );
        assert_eq!(
            body,
            "{\"data\":{\"caseId\":1,\"contactId\":2,\"from\":\"a@b\",\"to\":[\"c@d\"],\"cc\":[],\"bcc\":[],\"subject\":\"s\",\"type\":\"message\",\"htmlBody\":\"h\u{fffd}\",\"attachments\":[{\"n\":12345678901234567890123}],\"x\":0.1000000000000000055511151231257827},\"y\":[1E5,-0,1e999],\"z\":\"\u{fffd}\"}"
        );
    }

    #[test]
    fn a_mail_always_has_cc_bcc_and_attachments() {
        let (query, body) = sent(
            Channel::Mail,
            r#"{"caseId":1128,"contactId":9156860,"from":"test@acquire.io","to":"user@gmail.com","subject":"test","htmlBody":"<p>html</p>","extra":{"data":{"x":1},"y":[]}}"#,
        );
        assert_eq!(query, RequestQuery { user_type: None, contact_id: None });
        assert_eq!(
            body,
            r#"{"data":{"caseId":1128,"contactId":9156860,"from":"test@acquire.io","to":["user@gmail.com"],"cc":[],"bcc":[],"subject":"test","type":"message","htmlBody":"<p>html</p>","attachments":[],"x":1},"y":[]}"#
        );
        let (_, body) = sent(
            Channel::Mail,
            r#"{"caseId":1,"contactId":2,"from":"a@b","to":["c@d"],"cc":"e@f","subject":"s","htmlBody":"h","textBody":"t","attachments":[{"name":"n"}]}"#,
        );
        assert_eq!(
            body,
            r#"{"data":{"caseId":1,"contactId":2,"from":"a@b","to":["c@d"],"cc":["e@f"],"bcc":[],"subject":"s","type":"message","textBody":"t","htmlBody":"h","attachments":[{"name":"n"}]}}"#
        );
    }

    #[test]
    fn an_sms_derives_the_fields_that_the_producer_left_out() {
        let (query, body) = sent(
            Channel::Sms,
            r#"{"Body":"a <b> & \"c\"","From":"+12513188609","To":"+919666929552","contactId":751069,"threadId":2219,"timelineId":2108,"extra":{"x":1}}"#,
        );
        assert_eq!(query, RequestQuery { user_type: Some(UserType::User), contact_id: None });
        assert_eq!(
            body,
            r#"{"Body":"a <b> & \"c\"","From":"+12513188609","To":"+919666929552","contactId":751069,"id":2219,"threadId":2219,"timelineId":2108,"isClosed":false,"isMultiChannel":false,"message":"a <b> & \"c\"","sms":"a <b> & \"c\"","markValue":"<p>a &lt;b&gt; &amp; &quot;c&quot;</p>","msgType":"message","x":1}"#
        );
        let (_, body) = sent(
            Channel::Sms,
            r#"{"Body":"hi","From":"+1","To":"+2","contactId":3,"threadId":4,"timelineId":5,"id":6,"isClosed":true,"isMultiChannel":true,"markValue":"m","msgType":"sms","title":"t"}"#,
        );
        assert_eq!(
            body,
            r#"{"Body":"hi","From":"+1","To":"+2","contactId":3,"id":6,"threadId":4,"timelineId":5,"isClosed":true,"isMultiChannel":true,"message":"hi","sms":"hi","markValue":"m","msgType":"sms","title":"t"}"#
        );
    }

    /// The path of every value that is not an object.
    fn leaves(value: &Value, path: Vec<String>, into: &mut Vec<Vec<String>>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, field)| {
                leaves(field, [path.clone(), vec![name.clone()]].concat(), into);
            }),
            _ => into.push(path),
        }
    }

    #[test]
    fn extra_cannot_replace_any_field_of_a_body() {
        for (channel, payload) in [
            (Channel::Chat, r#"{"caseId":1,"message":"m","translateLangKey":"en"}"#),
            (
                Channel::Mail,
                r#"{"caseId":1,"contactId":2,"from":"a@b","to":"c@d","subject":"s","htmlBody":"h","textBody":"t"}"#,
            ),
            (
                Channel::Sms,
                r#"{"Body":"hi","From":"+1","To":"+2","contactId":3,"threadId":4,"timelineId":5,"title":"t"}"#,
            ),
        ] {
            let said: Value = serde_json::from_str(&sent(channel, payload).1).unwrap();
            let mut paths = Vec::new();
            leaves(&said, Vec::new(), &mut paths);
            for path in paths {
                let extra = path.iter().rev().fold(Value::from("new"), |inner, name| {
                    Value::Object(Map::from_iter([(name.clone(), inner)]))
                });
                let mut changed: Value = serde_json::from_str(payload).unwrap();
                changed["extra"] = extra;
                let error = parse(channel, &changed.to_string()).unwrap_err().to_string();
                assert!(
                    error.starts_with(&format!("payload.extra.{}:", path.join("."))),
                    "{error}"
                );
            }
        }
    }
}
