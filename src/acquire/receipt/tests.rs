use super::*;
use crate::acquire::{chat_request, sms_request};
use proptest::prelude::*;
use serde_json::json;

#[test]
fn the_ids_of_data_are_kept_and_nulls_and_objects_are_not() {
    let json =
        br#"{"ok":true,"data":{"id":8289,"caseId":"2069","threadId":null,"contactId":{"id":1},
        "status":true,"message":"words","case":{"id":1,"caseId":2},"dateCreated":"2021"}}"#;
    let receipt = read(chat_request::field_action, json, false).unwrap().into_receipt();
    assert_eq!(receipt.message_id.as_deref(), Some("8289"));
    assert_eq!(
        Value::Object(receipt.fields),
        json!({"id": 8289, "caseId": "2069", "dateCreated": "2021"})
    );
}

#[test]
fn an_sms_has_its_ids_in_nested_objects() {
    let json = br#"{"data":{"cas":{"id":1,"timeline":{"id":2}},"threadId":2219,"timeline":{"id":2108,"case":{"id":9}},
        "data":{"id":339,"caseMessageId":8653,"caseId":2219,"threadId":4,"call_sid":"SM1","status":"sent",
        "meta":{"errorCode":null,"errorMessage":null,"status":"queued"},"sender":{"id":28}}}}"#;
    let reading = read(sms_request::field_action, json, false).unwrap();
    assert_eq!(reading.provider, None);
    let receipt = reading.into_receipt();
    assert_eq!(receipt.message_id.as_deref(), Some("339"));
    assert_eq!(
        Value::Object(receipt.fields),
        json!({"id": 339, "caseMessageId": 8653, "caseId": 2219, "threadId": 2219,
               "timelineId": 2108, "callSid": "SM1", "status": "sent"})
    );
}

#[test]
fn data_must_be_there_and_not_null() {
    for (json, has_data) in [
        ("{}", false),
        ("[]", false),
        ("7", false),
        (r#"{"data":null}"#, false),
        (r#"{"error":{"data":1}}"#, false),
        (r#"{"data":{}}"#, true),
        (r#"{"data":[]}"#, true),
        (r#"{"data":"queued"}"#, true),
        (r#"{"data":{},"data":{"id":1}}"#, true),
    ] {
        assert_eq!(
            read(chat_request::field_action, json.as_bytes(), false).unwrap().has_data,
            has_data,
            "{json}"
        );
    }
    for garbage in ["", "<html>", "{", "{}{}", r#"{"data":{"id":1}"#] {
        assert_eq!(read(chat_request::field_action, garbage.as_bytes(), false), None, "{garbage}");
    }
}

#[test]
fn a_number_at_the_cut_is_not_an_id() {
    let whole = r#"{"data":{"id":8289,"caseId":2069}}"#;
    for end in 0..whole.len() {
        let reading = read(chat_request::field_action, &whole.as_bytes()[..end], true).unwrap();
        let id = reading.fields.get("id");
        assert!(id.is_none() || id == Some(&json!(8289)), "{end}");
        let case = reading.fields.get("caseId");
        assert!(case.is_none() || case == Some(&json!(2069)), "{end}");
    }
    assert_eq!(read(chat_request::field_action, b"<html>", true), None);
}

#[test]
fn a_number_that_a_float_cannot_hold_is_still_an_id() {
    for (number, id) in [
        ("12345678901234567890123", "12345678901234567890123"),
        ("8289.0", "8289"),
        ("1e400", "1e400"),
    ] {
        let json = format!(r#"{{"data":{{"caseId":1e400,"id":{number}}}}}"#);
        let receipt =
            read(chat_request::field_action, json.as_bytes(), false).unwrap().into_receipt();
        assert_eq!(receipt.message_id.as_deref(), Some(id));
        assert_eq!(receipt.fields["caseId"], "1e400");
    }
}

#[test]
fn unusual_values_do_not_hide_the_id() {
    let deep =
        format!(r#"{{"x":{}1{},"data":{{"id":1}}}}"#, "[".repeat(50_000), "]".repeat(50_000));
    assert_eq!(
        read(chat_request::field_action, deep.as_bytes(), false)
            .unwrap()
            .into_receipt()
            .message_id
            .as_deref(),
        Some("1")
    );
    let bytes = b"{\"\xff\":\"\xfe\",\"data\":{\"message\":\"\xc3\",\"\\ud800\":\"\\ud800\",\"id\":\"a1\"}}";
    assert_eq!(
        read(chat_request::field_action, bytes, false)
            .unwrap()
            .into_receipt()
            .message_id
            .as_deref(),
        Some("a1")
    );
    let long = format!(r#"{{"data":{{"id":"{}"}}}}"#, "1".repeat(5_000));
    assert_eq!(
        read(chat_request::field_action, long.as_bytes(), false).unwrap().into_receipt().message_id,
        None
    );
}

#[test]
fn what_is_not_json_is_not_an_answer() {
    for garbage in [
        "",
        " \n",
        "<html><body>{\"data\":{\"id\":1}}</body></html>",
        "Bad gateway",
        "nul",
        "1.",
        "\u{feff}{}",
        "{}{}",
        "{} x",
        "{}]",
        "{",
        "{\"data\":{\"id\":1}",
        "{\"data\":{\"id\":1},}",
        "{\"data\":{\"id\":1,}}",
        "{\"data\":{\"id\":1 \"caseId\":2}}",
        "{\"data\":{\"id\" 1}}",
        "{\"data\":{id:1}}",
        "{\"data\":{\"id\":}}",
        "{\"data\":{\"id\":01}}",
        "{\"data\":{\"id\":1]}",
        "{\"data\":{\"message\":nope}}",
        "{\"data\":{\"id\":\"\\q\"}}",
        "{\"data\":{\"message\":\"it \"was\" said\"}}",
        "{\"data\":{\"message\":\"\\\"}}",
        "{\"data\":{\"case\":{\"title\":\"{\"}}",
        "{\"data\":{\"case\":[1,2}",
    ] {
        assert_eq!(read(chat_request::field_action, garbage.as_bytes(), false), None, "{garbage}");
    }
}

#[test]
fn a_skipped_value_only_has_to_end() {
    for odd in [
        r#"{"a":NaN}"#,
        r#"[1,,2]"#,
        r#"{"a" "b"}"#,
        r#"["}",{"\"]":"\\"}]"#,
        "\"a\nb\"",
        r#""\q""#,
    ] {
        let json = format!(r#"{{"data":{{"case":{odd},"id":7}}}}"#);
        let reading = read(chat_request::field_action, json.as_bytes(), false);
        assert_eq!(reading.unwrap().into_receipt().message_id.as_deref(), Some("7"), "{odd}");
    }
}

#[test]
fn the_last_of_repeated_fields_counts() {
    let json = br#"{"data":{"id":1,"caseId":2},"data":{"id":3,"i\u0064":4,"caseId":null}}"#;
    let reading = read(chat_request::field_action, json, false).unwrap();
    assert_eq!(Value::Object(reading.fields), json!({"id": 4, "caseId": 2}));
}

/// What `read` must find, taken from an answer that serde_json has parsed.
fn of_value(object: AnswerObject, value: &Value, found: &mut AnswerFields) {
    found.has_data |= object == AnswerObject::Data && !value.is_null();
    for (name, value) in value.as_object().into_iter().flatten() {
        let text = match value {
            Value::String(text) if text.len() <= 1024 => Some(text.clone()),
            Value::Number(number) => Some(match number::as_written(&number.to_string()) {
                Value::String(digits) => digits,
                number => number.to_string(),
            }),
            _ => None,
        };
        let action = match (object, name.as_str()) {
            (AnswerObject::Root, "data") => FieldAction::Enter(AnswerObject::Data),
            (AnswerObject::Root, _) => FieldAction::Skip,
            (object, name) => sms_request::field_action(object, name.as_bytes()),
        };
        match action {
            FieldAction::Enter(object) => of_value(object, value, found),
            FieldAction::Keep(name) if text.is_some() => {
                let as_written = |number: &_| number::as_written(&format!("{number}"));
                let value = value.as_number().map_or_else(|| value.clone(), as_written);
                found.fields.insert(name.into(), value);
            }
            FieldAction::ProviderCode if !value.is_null() => {
                found.provider.get_or_insert_default().code = text;
            }
            FieldAction::ProviderMessage if !value.is_null() => {
                found.provider.get_or_insert_default().message = text;
            }
            _ => {}
        }
    }
}

/// Answers that often have fields to keep, and strings that look like JSON.
fn answers() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        9 => prop::sample::select(vec![
            "data", "id", "caseId", "status", "timeline", "meta", "threadId", "call_sid",
            "errorCode", "errorMessage", "cas",
        ])
        .prop_map(String::from),
        1 => "[a\"\\\\{}\\[\\]é\n]{0,70}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // serde_json reads other numbers slightly wrong.
        (-1_000_000_000..1_000_000_000i64).prop_map(|n| Value::from(n as f64 / 4.0)),
        "[a\"\\\\{}\\[\\]:,é\n]{0,70}".prop_map(Value::from),
        (1000..1050usize).prop_map(|length| "1".repeat(length).into()),
    ];
    let any_value = leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::vec((name.clone(), inner), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    (any_value, 0..3usize).prop_map(|(value, wrapped)| match wrapped {
        0 => value,
        1 => json!({"data": value}),
        _ => json!({"data": {"cas": {"id": 1}, "data": value}}),
    })
}

proptest! {
    #[test]
    fn an_answer_and_its_beginnings_are_read_as_serde_json_reads_it(
        value in answers(), pretty in any::<bool>()
    ) {
        let json = if pretty { format!("{value:#}\n") } else { value.to_string() };
        let mut expected = AnswerFields::default();
        of_value(AnswerObject::Root, &serde_json::from_str(&json).unwrap(), &mut expected);
        prop_assert_eq!(read(sms_request::field_action, json.as_bytes(), false), Some(expected));
        let whole = read(sms_request::field_action, json.as_bytes(), false).unwrap();

        let mut kept = 0;
        for end in (0..json.len()).step_by(1 + json.len() / 200) {
            let part = read(sms_request::field_action, &json.as_bytes()[..end], true);
            prop_assert!(part.is_some(), "{end}");
            let part = part.unwrap();
            for (name, value) in &part.fields {
                prop_assert_eq!(Some(value), whole.fields.get(name), "{}", end);
            }
            prop_assert!(part.fields.len() >= kept, "{end}");
            kept = part.fields.len();
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200), cut in any::<bool>(), prefix in any::<bool>()
    ) {
        if prefix {
            bytes.splice(0..0, *b"{\"data\":{\"data\":{\"id\":");
        }
        let _ = read(sms_request::field_action, &bytes, cut);
    }
}
