use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn minimal(channel: Channel) -> Value {
    match channel {
        Channel::Chat => json!({"caseId": 2069, "message": "Hello there"}),
        Channel::Mail => json!({
            "caseId": 1128, "contactId": 9156860, "from": "test@acquire.io",
            "to": "user@gmail.com", "subject": "Greetings", "htmlBody": "<p>Hello</p>"
        }),
        Channel::Sms => json!({
            "From": "+12513188609", "To": "+919666929552", "Body": "Hello there",
            "contactId": 751069, "threadId": 2219, "timelineId": 2108
        }),
    }
}

fn with(channel: Channel, changes: Value) -> Result<Payload, String> {
    let mut payload = minimal(channel);
    for (name, value) in changes.as_object().unwrap() {
        payload[name] = value.clone();
    }
    parse(channel, &payload.to_string()).map_err(|error| error.to_string())
}

fn refusal(channel: Channel, changes: Value) -> String {
    with(channel, changes.clone()).expect_err(&changes.to_string())
}

#[test]
fn the_required_fields_are_enough() {
    for channel in Channel::ALL {
        let payload = with(channel, json!({})).unwrap();
        assert_eq!(payload.channel(), channel);
    }
}

#[test]
fn every_missing_field_is_named() {
    for channel in Channel::ALL {
        for name in minimal(channel).as_object().unwrap().keys() {
            for absent in [None, Some(Value::Null)] {
                let mut payload = minimal(channel);
                match absent {
                    None => drop(payload.as_object_mut().unwrap().remove(name)),
                    Some(null) => payload[name] = null,
                }
                let error = parse(channel, &payload.to_string()).unwrap_err().to_string();
                assert!(error.starts_with(&format!("payload.{name}: required, ")), "{error}");
            }
        }
    }
    assert_eq!(
        parse(Channel::Chat, "{}").unwrap_err().to_string(),
        "payload.caseId: required, a whole number (the case)"
    );
}

#[test]
fn wrong_types_are_named_with_what_is_allowed() {
    for (channel, changes, sentence) in [
        (
            Channel::Chat,
            json!({"caseId": "2069"}),
            "payload.caseId: must be a whole number (the case)",
        ),
        (
            Channel::Chat,
            json!({"caseId": 1.5}),
            "payload.caseId: must be a whole number (the case), not 1.5",
        ),
        (
            Channel::Chat,
            json!({"caseId": 2069.0}),
            "payload.caseId: must be a whole number (the case), not 2069.0: a driver bound it as a float; bind an integer",
        ),
        (
            Channel::Chat,
            json!({"caseId": u64::MAX}),
            "payload.caseId: must be a whole number (the case), not 18446744073709551615: the largest is 9223372036854775807",
        ),
        (
            Channel::Chat,
            json!({"message": ""}),
            "payload.message: must be text that is not empty (the message)",
        ),
        (
            Channel::Chat,
            json!({"message": {"message": "x"}}),
            "payload.message: must be text that is not empty (the message)",
        ),
        (
            Channel::Chat,
            json!({"type": "shout"}),
            "payload.type: must be one of `message`, `note`, `event`",
        ),
        (
            Channel::Chat,
            json!({"userType": "agent"}),
            "payload.userType: must be one of `user`, `contact`",
        ),
        (
            Channel::Chat,
            json!({"extra": []}),
            "payload.extra: must be an object (fields to add to the request's body)",
        ),
        (
            Channel::Mail,
            json!({"to": []}),
            "payload.to: required, one email address or an array of at least one",
        ),
        (
            Channel::Mail,
            json!({"to": ["a@b", "nobody"]}),
            "payload.to[1]: must be one email address, like ann@example.com or Ann <ann@example.com>; it has no `@`",
        ),
        (
            Channel::Mail,
            json!({"cc": 7}),
            "payload.cc: must be an array of email addresses, or one email address, like ann@example.com or Ann <ann@example.com>",
        ),
        (Channel::Mail, json!({"attachments": ["x"]}), "payload.attachments[0]: must be an object"),
        (Channel::Sms, json!({"isClosed": 0}), "payload.isClosed: must be true or false"),
    ] {
        assert_eq!(refusal(channel, changes), sentence);
    }
}

#[test]
fn numbers_are_e164() {
    for number in ["12513188609", "+", "+1 251", "+1251318860912345", "+12a", "", " +1251", "+١٢"]
    {
        assert!(refusal(Channel::Sms, json!({"To": number})).starts_with("payload.To: must be"));
    }
    for number in ["+1", "+123456789012345"] {
        with(Channel::Sms, json!({"To": number})).unwrap();
    }
}

#[test]
fn an_address_is_one_mailbox() {
    for address in ["", "nobody", " a@b", "a@b\n", "a@b, c@d", "a\u{200b}@b", "\u{a0}a@b"] {
        assert!(
            refusal(Channel::Mail, json!({"from": address})).starts_with("payload.from: must be")
        );
        assert!(refusal(Channel::Mail, json!({"bcc": [address]})).starts_with("payload.bcc[0]: "));
        assert!(refusal(Channel::Mail, json!({"to": address})).starts_with("payload.to: must be"));
    }
    let Payload::Mail(mail) =
        with(Channel::Mail, json!({"to": "Anne <anne@example.com>", "cc": ["b@c"], "bcc": []}))
            .unwrap()
    else {
        panic!("an email")
    };
    assert_eq!((mail.to.len(), mail.cc.len(), mail.bcc.len()), (1, 1, 0));
}

#[test]
fn one_body_of_a_mail_is_enough_and_none_is_not() {
    with(Channel::Mail, json!({"htmlBody": null, "textBody": "plain"})).unwrap();
    with(Channel::Mail, json!({"htmlBody": "", "textBody": "plain"})).unwrap();
    let error = refusal(Channel::Mail, json!({"htmlBody": "", "textBody": ""}));
    assert_eq!(error, "payload.htmlBody: required, text that is not empty, here or in `textBody`");
}

#[test]
fn a_contact_who_sends_is_named() {
    let error = refusal(Channel::Chat, json!({"userType": "contact"}));
    assert!(error.starts_with("payload.contactId: required, a whole number"), "{error}");
    with(Channel::Chat, json!({"userType": "contact", "contactId": 1})).unwrap();
}

#[test]
fn unknown_fields_are_refused_with_the_nearest_known_one() {
    for (channel, name, nearest) in [
        (Channel::Chat, "caseID", "caseId"),
        (Channel::Chat, "mesage", "message"),
        (Channel::Sms, "body", "Body"),
        (Channel::Sms, "from", "From"),
        (Channel::Mail, "htmlbody", "htmlBody"),
    ] {
        assert_eq!(
            refusal(channel, json!({name: 1})),
            format!("payload.{name}: unknown field, did you mean `{nearest}`?")
        );
    }
    let error = refusal(Channel::Chat, json!({"zzz": 1}));
    assert!(
        error.starts_with("payload.zzz: unknown field; the known ones are caseId, message,"),
        "{error}"
    );
    let error = refusal(Channel::Chat, json!({"\n".repeat(900): 1}));
    assert!(error.len() < 300 && !error.contains('\n'), "{error}");
}

#[test]
fn a_field_given_twice_is_refused() {
    let error = parse(Channel::Chat, r#"{"caseId":1,"message":"a","caseId":2}"#).unwrap_err();
    assert_eq!(error.to_string(), "payload.caseId: appears twice");
}

#[test]
fn what_is_no_object_is_said_to_be_none() {
    for text in ["", "[]", "7", "null", "\"Hello there\"", "{", "{} x"] {
        let error = parse(Channel::Chat, text).unwrap_err().to_string();
        assert!(error.starts_with("payload: must be a JSON object"), "{text}: {error}");
    }
}

#[test]
fn a_subject_is_one_line() {
    for subject in ["a\nBcc: x", "a\r", "a\u{85}b", "a\u{2028}b", "a\u{0}"] {
        let error = refusal(Channel::Mail, json!({"subject": subject}));
        assert!(error.ends_with("without a line break"), "{error}");
    }
    with(Channel::Mail, json!({"subject": "Größe 👩\u{200d}💻"})).unwrap();
    with(Channel::Chat, json!({"message": "two\nlines"})).unwrap();
}

#[test]
fn extra_adds_and_never_replaces() {
    with(Channel::Mail, json!({"extra": {"data": {"x": 1}, "y": [2]}})).unwrap();
    with(Channel::Chat, json!({"extra": {"message": {"tone": "kind"}}})).unwrap();
    with(Channel::Sms, json!({"extra": {"title": "not given otherwise"}})).unwrap();
    for (channel, extra, path) in [
        (Channel::Chat, json!({"caseId": 1}), "caseId"),
        (Channel::Chat, json!({"caseId": {"a": 1}}), "caseId"),
        (Channel::Chat, json!({"channel": null}), "channel"),
        (Channel::Chat, json!({"message": "x"}), "message"),
        (Channel::Chat, json!({"message": {"type": "x"}}), "message.type"),
        (Channel::Mail, json!({"data": []}), "data"),
        (Channel::Mail, json!({"data": {"cc": []}}), "data.cc"),
        (Channel::Sms, json!({"sms": "x"}), "sms"),
    ] {
        let error = refusal(channel, json!({"extra": extra}));
        assert!(error.starts_with(&format!("payload.extra.{path}: must be left out")), "{error}");
    }
}

#[test]
fn debug_shows_no_words() {
    for channel in Channel::ALL {
        let payload = with(channel, json!({"extra": {"hint": "Hello again"}})).unwrap();
        let shown = format!("{payload:?}");
        for word in ["Hello", "Greetings", "gmail", "+1", "hint"] {
            assert!(!shown.contains(word), "{shown}");
        }
    }
}

#[test]
fn texts_are_the_peoples_words() {
    let mail = with(
        Channel::Mail,
        json!({"textBody": "", "attachments": [{"name": "contract of Anne.pdf", "n": 1}]}),
    );
    assert_eq!(mail.unwrap().texts(), ["Greetings", "<p>Hello</p>", "contract of Anne.pdf"]);
    let sms = with(
        Channel::Sms,
        json!({"title": "Anne", "extra": {"a": [{"b": "her own words"}], "mode": "fast"}}),
    );
    assert_eq!(sms.unwrap().texts(), ["Hello there", "Anne", "her own words"]);
}

/// Any JSON, its texts and numbers all marked as values.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (770_000_000i64..779_999_999).prop_map(Value::from),
        "[^\\x00-\\x1f]{0,12}".prop_map(|text| Value::from(format!("VALUE{text}"))),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-z@]{1,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn channels() -> impl Strategy<Value = Channel> {
    prop::sample::select(Channel::ALL.to_vec())
}

proptest! {
    #[test]
    fn any_text_is_judged_without_a_panic(channel in channels(), text in any::<String>()) {
        let _ = parse(channel, &text);
    }

    #[test]
    fn any_json_is_judged_and_no_error_repeats_a_value(
        channel in channels(),
        field in any::<prop::sample::Index>(),
        value in json_value(),
        whole in any::<bool>(),
    ) {
        let mut payload = minimal(channel);
        let name = field.get(known_fields(channel));
        payload[*name] = value.clone();
        let text = if whole { value.to_string() } else { payload.to_string() };
        match parse(channel, &text) {
            Ok(payload) => prop_assert!(payload.texts().iter().all(|text| !text.is_empty())),
            Err(error) => {
                let error = error.to_string();
                prop_assert!(!error.contains("VALUE") && !error.contains("77"), "{}", error);
            }
        }
    }
}

#[test]
fn a_payload_may_have_64_mebibytes() {
    let chat = |bytes: usize| {
        let start = r#"{"caseId":1,"message":""#;
        format!("{start}{}\"}}", "x".repeat(bytes - start.len() - 2))
    };
    assert!(parse_bytes(Channel::Chat, chat(MAX_BYTES).as_bytes()).is_ok());
    let error = parse_bytes(Channel::Chat, chat(MAX_BYTES + 1).as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "payload: must be at most 64 MiB; send a link to larger content");
}
