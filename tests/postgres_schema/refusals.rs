//! What an INSERT refuses and accepts: the same as on SQLite, with the same sentences.

use super::both::Both;
use serde_json::{Value, json};

/// A payload that is right, by channel.
pub fn payloads() -> [(&'static str, Value); 3] {
    [
        ("chat", json!({"caseId": 1, "message": "hi"})),
        (
            "mail",
            json!({"caseId": 1, "contactId": 2, "from": "a@b", "to": ["c@d"], "subject": "s", "textBody": "t"}),
        ),
        (
            "sms",
            json!({"From": "+1", "To": "+2", "Body": "b", "contactId": 2, "threadId": 3, "timelineId": 4}),
        ),
    ]
}

pub fn insert(channel: &str, payload: &Value) -> String {
    let payload = payload.to_string().replace('\'', "''");
    format!("INSERT INTO outbox (channel, payload) VALUES ('{channel}', '{payload}')")
}

/// A chat with one more column.
fn chat(column: &str, value: &str) -> String {
    let payload = &payloads()[0].1;
    format!("INSERT INTO outbox (channel, payload, {column}) VALUES ('chat', '{payload}', {value})")
}

/// Every kind of value that JSON has, the ones that a field may have included.
fn values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-7),
        json!(7.5),
        json!(17.0),
        json!(9_223_372_036_854_775_807_i64),
        json!(9_223_372_036_854_775_808_u64),
        json!(""),
        json!("7"),
        json!("a@b"),
        json!("two\nlines"),
        json!("two\u{2028}lines"),
        json!("message"),
        json!("event"),
        json!("user"),
        json!("contact"),
        json!([]),
        json!([""]),
        json!(["a@b", "c@d"]),
        json!(["a@b", 7]),
        json!([["a@b"]]),
        json!({}),
        json!({"a": 1}),
    ]
}

#[test]
fn every_field_of_every_channel_takes_and_refuses_what_it_does_on_sqlite() {
    let Some(mut both) = Both::fresh() else { return };
    let fields = "caseId message type userType contactId translateLangKey extra from to cc bcc subject htmlBody \
                  textBody attachments From To Body threadId timelineId id title isClosed";
    let (mut taken, mut refused) = (0, 0);
    for (channel, right) in payloads() {
        both.agree(&insert(channel, &right));
        for field in fields.split_whitespace() {
            let mut without = right.clone();
            without.as_object_mut().unwrap().remove(field);
            let _ = both.same(&insert(channel, &without));
            for value in values() {
                let mut payload = right.clone();
                payload[field] = value;
                match both.same(&insert(channel, &payload)) {
                    Ok(_) => taken += 1,
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(taken > 500 && refused > 250, "{taken} taken, {refused} refused");
    let count = taken + 3;
    assert!(both.agree("SELECT count(*) FROM outbox").parse::<i32>().unwrap() >= count);
}

#[test]
fn two_fields_that_are_wrong_are_both_named_in_turn() {
    let Some(mut both) = Both::fresh() else { return };
    let chat = json!({"caseId": 1, "message": "hi", "userType": "contact"});
    both.refuse(&insert("chat", &chat));
    for contact in [json!(7), json!(7.0), json!("7"), Value::Null] {
        let mut chat = chat.clone();
        chat["contactId"] = contact;
        let _ = both.same(&insert("chat", &chat));
    }
    let mut mail = payloads()[1].1.clone();
    mail["textBody"] = json!("");
    both.refuse(&insert("mail", &mail));
    mail["htmlBody"] = json!("<p>");
    both.agree(&insert("mail", &mail));
}

#[test]
fn one_entry_is_one_mail_address() {
    let Some(mut both) = Both::fresh() else { return };
    let addresses = [
        "a@example.com, b@example.com",
        "a@b; c@d",
        "@",
        "a@",
        "@b",
        "a@b@c",
        "a b@c",
        " a@b",
        "a@b ",
        "a@b\n",
        "a@b\u{200b}",
        "\u{feff}a@b",
        "a\u{ad}@b",
        "\u{202e}a@b",
        "a@b\u{2028}",
        "Doe, Jane <a@b>",
        "a\u{e0041}@b",
        "Jane <a@b>, Joe <c@d>",
        "Jane <@b>",
        "Jane <a@b> x",
        "<>",
        "<a@b",
        "a@b>",
        "J@ne <a@b>",
        "a\u{7f}@b",
        "a\u{9f}@b",
        "anne@example.com",
        "Anne <anne@example.com>",
        "\"Doe, Jane\" <jane@example.com>",
        "müller@exämple.de",
        "Ñandú O'Neil <ñ@ü.de>",
        "<a@b>",
        "用户@例子.广告",
        "a+tag@b.co",
        "A%_B@c.d",
    ];
    let mut refused = 0;
    for address in addresses {
        for field in ["from", "to", "cc", "bcc"] {
            let mut mail = payloads()[1].1.clone();
            mail[field] = json!(address);
            refused += usize::from(both.same(&insert("mail", &mail)).is_err());
            if field != "from" {
                mail[field] = json!(["c@d", address]);
                refused += usize::from(both.same(&insert("mail", &mail)).is_err());
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn every_column_of_the_producers_is_checked_as_on_sqlite() {
    let Some(mut both) = Both::fresh() else { return };
    for channel in ["'fax'", "''", "NULL", "'Chat'"] {
        both.refuse(&insert("chat", &payloads()[0].1).replace("'chat'", channel));
    }
    both.refuse("INSERT INTO outbox (channel, payload) VALUES ('chat', '[]')");
    both.refuse("INSERT INTO outbox (channel, payload) VALUES ('chat', '\"text\"')");
    for (column, value) in [
        ("account", "''"),
        ("account", "NULL"),
        ("account", "'Zürich'"),
        ("account", "'two\nlines'"),
        ("idempotency_key", "''"),
        ("priority", "10"),
        ("priority", "-1"),
        ("priority", "NULL"),
        ("max_attempts", "0"),
        ("max_attempts", "-3"),
        ("status", "'sent'"),
        ("status", "'sending'"),
        ("attempts", "3"),
        ("next_attempt_at", "ms(1800000000000)"),
        ("message_id", "'1'"),
        ("receipt", "'{}'"),
        ("failure", "'expired'"),
        ("error_code", "'x'"),
        ("error", "'x'"),
        ("updated_at", "ms(1800000000000)"),
        ("finished_at", "ms(1800000000000)"),
        ("lane", "'5'"),
        ("due_at", "ms(1800000000000)"),
        ("wait", "'ready'"),
        ("holds", "1"),
        ("claimed_by", "1"),
        ("unspent", "1"),
        ("uncertain_attempts", "1"),
        ("budget_from", "ms(1800000000000)"),
        ("verify_at", "ms(1800000000000)"),
        ("verify_round", "1"),
        ("verify_from", "ms(1800000000000)"),
        ("verify_until", "ms(1800000000000)"),
        ("delivery", "'seen'"),
        ("delivery_at", "ms(1800000000000)"),
        ("follow_at", "ms(1800000000000)"),
        ("followed_at", "ms(1800000000000)"),
        ("moves", "1"),
    ] {
        both.refuse(&chat(column, value));
    }
    for column in ["idempotency_key", "ordering_key", "source"] {
        for float in
            ["17.5", "'17.0'", "'-17.0'", "'9.00719925474098e+15'", "'1e+21'", "'0.1'", "'Inf'"]
        {
            both.refuse(&chat(column, float));
        }
        for float in ["'Infinity'", "'NaN'", "17.0::float8 / 3"] {
            both.on_postgres(&chat(column, float)).unwrap_err();
        }
        for key in [
            "'17'",
            "'-1e5'",
            "'1e5'",
            "'12345e67'",
            "'1.2.3'",
            "'2026-11-25'",
            "'1.0-rc'",
            "'+49.30'",
            "'Größe 😀'",
            "'Info'",
            "'NaNa'",
            "'01.5'",
        ] {
            both.agree(&chat(column, key));
            both.agree("DELETE FROM outbox");
        }
    }
    both.agree("SELECT count(*) FROM outbox");
}

/// What PostgreSQL's own types refuse has PostgreSQL's own words.
#[test]
fn times_are_of_these_centuries_and_keep_whole_milliseconds() {
    let Some(mut both) = Both::fresh() else { return };
    for column in ["send_at", "expires_at", "created_at"] {
        for odd in
            ["'1999-12-31'", "'infinity'", "'-infinity'", "'10000-01-01'", "'1970-01-21T09:00Z'"]
        {
            let refused = both.on_postgres(&chat(column, odd)).unwrap_err();
            let start = format!("outbox.{column}: must be a time from the year 2000 to 9999");
            assert!(refused.starts_with(&start), "{refused}");
        }
        let refused = both.on_postgres(&chat(column, "'soon'")).unwrap_err();
        assert!(refused.contains("invalid input syntax for type timestamp"), "{refused}");
    }
    both.on_postgres("SET TIME ZONE 'Pacific/Auckland'").unwrap();
    let text = "2031-11-22T09:00:00.123+02:00";
    both.agree(&chat("send_at, expires_at, created_at", &format!("'{text}', '{text}', '{text}'")));
    let times = "SELECT millis(send_at) || ' ' || millis(expires_at) || ' ' || millis(created_at) || ' ' || millis(due_at) || ' ' || wait FROM outbox";
    assert_eq!(
        both.agree(times),
        "1953097200123 1953097200123 1953097200123 1953097200123 scheduled"
    );
    let shown = "SELECT created_at || ' ' || send_at || ' ' || coalesce(finished_at, '-') FROM delivery_status";
    assert_eq!(both.agree(shown), "2031-11-22T07:00:00.123Z 2031-11-22T07:00:00.123Z -");
    both.on_postgres("DELETE FROM outbox").unwrap();
    both.on_postgres(&chat(
        "send_at, expires_at, created_at",
        "'2031-01-01 00:00:00.0009Z', '2031-01-01 00:00:00.0009Z', now()",
    ))
    .unwrap();
    let exact = "SELECT bool_and(t = date_trunc('milliseconds', t)) FROM outbox, unnest(ARRAY[send_at, expires_at, created_at, due_at]) AS t";
    assert_eq!(both.on_postgres(exact).unwrap(), "t");
}

#[test]
fn a_key_has_room_for_what_an_index_can_hold() {
    let Some(mut both) = Both::fresh() else { return };
    let key = "ü".repeat(1000);
    both.on_postgres(&chat("idempotency_key", &format!("'{key}'"))).unwrap();
    let refused = both.on_postgres(&chat("idempotency_key", &format!("'{key}x'"))).unwrap_err();
    assert_eq!(refused, "outbox.idempotency_key: must not be longer than 2000 bytes");
    let long = "x".repeat(100_000);
    both.on_postgres(&chat("ordering_key", &format!("'{long}'"))).unwrap();
}

#[test]
fn one_idempotency_key_is_one_message() {
    let Some(mut both) = Both::fresh() else { return };
    let insert = chat("idempotency_key", "'order-1'");
    both.agree(&insert);
    both.agree(&format!("{insert} ON CONFLICT DO NOTHING"));
    both.agree(&format!("{insert} ON CONFLICT (idempotency_key) DO NOTHING"));
    let taken = both.on_postgres(&insert).unwrap_err();
    assert!(taken.contains("outbox_idempotency_key_key"), "{taken}");
    assert_eq!(both.agree("SELECT count(*) FROM outbox"), "1");
    both.agree("DELETE FROM outbox");
    both.agree(&insert);
}

#[test]
fn a_refusal_is_a_check_violation_with_table_and_column() {
    let Some(database) = crate::support::PostgresDatabase::fresh() else { return };
    let database = database.with_schema();
    database.execute(
        "DO $$
         DECLARE code text; t text; c text; s text;
         BEGIN
             INSERT INTO outbox (channel, payload) VALUES ('chat', '{\"caseId\": 1}');
         EXCEPTION WHEN check_violation THEN
             GET STACKED DIAGNOSTICS t = TABLE_NAME, c = COLUMN_NAME, s = SCHEMA_NAME;
             IF (s, t, c) <> ('public', 'outbox', 'payload') THEN RAISE 'it is %.%.%', s, t, c; END IF;
         END $$",
    );
}
