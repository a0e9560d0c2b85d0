//! Text that an INSERT refuses, and odd text that it accepts.

use super::engines::{Bundled, Engine, Sqlite326};
use super::{SCHEMA, chat, in_both};

fn bytes(hex: &str) -> String {
    format!("CAST(x'{hex}' AS TEXT)")
}

/// A chat whose message holds these bytes.
fn message(hex: &str) -> String {
    format!(
        "INSERT OR IGNORE INTO outbox (channel, payload)
         VALUES ('chat', '{{\"caseId\":1,\"message\":\"m' || {} || '\"}}')",
        bytes(hex)
    )
}

/// Latin-1 and Windows-1252, and UTF-8 that was cut by bytes, in the middle and at the end.
const BROKEN: [(&str, &str); 18] = [
    ("4dfc6c6c6572", "Latin-1, ue"),
    ("e9", "Latin-1, e acute"),
    ("a7", "Latin-1, section sign"),
    ("6180", "Windows-1252, euro"),
    ("939d94", "Windows-1252, quotes"),
    ("4772c3", "two bytes, cut"),
    ("e282", "three bytes, cut after two"),
    ("e3", "three bytes, cut after one"),
    ("e38120", "three bytes, cut before a blank"),
    ("f09f98", "four bytes, cut after three"),
    ("f09f", "four bytes, cut after two"),
    ("c3bcbc", "two bytes and the last one again"),
    ("e4bda0a5", "three bytes and one more"),
    ("f09f9f9880", "four bytes and one more"),
    ("f3a0812d", "four bytes in a high plane, cut"),
    ("f4bfbfbf", "beyond the last character"),
    ("c0af", "overlong"),
    ("eda080", "half of a surrogate pair"),
];

#[test]
fn text_that_is_not_utf8_is_refused_in_every_text_column() {
    in_both(|sql| {
        for (hex, what) in BROKEN {
            for column in ["idempotency_key", "ordering_key", "source"] {
                let refused = sql(&chat(column, &bytes(hex))).expect_err(what);
                assert!(
                    refused.contains(&format!("outbox.{column}: is not UTF-8")),
                    "{what}: {refused}"
                );
            }
            let refused = sql(&message(hex)).expect_err(what);
            assert!(refused.contains("outbox.payload: is not UTF-8"), "{what}: {refused}");
            sql(&chat("account", &bytes(hex))).expect_err(what);
        }
        sql(&chat("source", "'shop'")).unwrap();
        let update = format!("UPDATE outbox SET source = {}", bytes("e9"));
        assert!(sql(&update).unwrap_err().contains("outbox.source: is not UTF-8"));
        assert_eq!(sql("SELECT count(*) FROM outbox").unwrap(), "1");
    });
}

#[test]
fn utf8_of_every_length_is_taken() {
    in_both(|sql| {
        for text in [
            "Grüße",
            "§ 7 «à» ÿ",
            "Привет",
            "Ω ᾳ ა",
            "日本語 ﾟ",
            "€ 5",
            "😀🏳️‍🌈",
            "half \u{fffd} a sign",
            "\u{1fff}\u{7ff}\u{1000}\u{10ffff}",
        ] {
            for column in ["ordering_key", "source"] {
                sql(&chat(column, &format!("'{text}'"))).unwrap_or_else(|e| panic!("{text}: {e}"));
            }
            let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
            sql(&message(&hex)).unwrap_or_else(|e| panic!("{text}: {e}"));
        }
    });
}

#[test]
fn a_key_that_was_bound_as_a_float_is_refused_before_it_stands_for_others() {
    in_both(|sql| {
        for column in ["idempotency_key", "ordering_key", "source"] {
            for float in [
                "9007199254740983.0",
                "17.0",
                "'17.0'",
                "'-17.0'",
                "'9.00719925474098e+15'",
                "'9.007199254740983E15'",
                "'1e+21'",
                "'0.1'",
            ] {
                let refused = sql(&chat(column, float)).expect_err(float);
                assert!(refused.contains("bind it as text"), "{float}: {refused}");
            }
            for key in [
                "'17'",
                "17",
                "9007199254740983",
                "'1e5'",
                "'12345e67'",
                "'1.2.3'",
                "'2026-11-25'",
                "'v1.0'",
                "'1.0-rc'",
                "'+49.30'",
            ] {
                sql(&format!("DELETE FROM outbox; {}", chat(column, key)))
                    .unwrap_or_else(|e| panic!("{key}: {e}"));
            }
            let refused = sql(&chat(column, "'a' || char(0) || 'b'")).unwrap_err();
            assert!(refused.contains("NUL"), "{refused}");
        }
    });
}

#[test]
fn an_id_that_was_bound_as_a_float_is_refused_with_its_cause() {
    in_both(|sql| {
        let chat = |id: &str| {
            format!(
                "INSERT INTO outbox (channel, payload) VALUES ('chat', json_object('caseId', {id}, 'message', 'hi'))"
            )
        };
        let refused = sql(&chat("2069.0")).unwrap_err();
        assert!(
            refused.contains("outbox.payload.caseId: ") && refused.contains("float"),
            "{refused}"
        );
        let refused = sql(&chat("json('12345678901234567890123')")).unwrap_err();
        assert!(
            refused.contains("outbox.payload.caseId: must be a whole number that fits in 64 bits"),
            "{refused}"
        );
        for no_id in ["json('true')", "'2069'", "NULL"] {
            let refused = sql(&chat(no_id)).expect_err(no_id);
            assert!(
                refused.contains("outbox.payload.caseId: required for chat, a whole number"),
                "{refused}"
            );
        }
        let sms = sql("INSERT INTO outbox (channel, payload) VALUES ('sms', json_object('From', '+1', 'To', '+2', 'Body', 'b',
            'contactId', 1, 'threadId', 2, 'timelineId', 3, 'id', 4.0))");
        assert!(sms.unwrap_err().contains("outbox.payload.id: must be a whole number"));
    });
}

#[test]
fn json_that_sqlite_reads_in_part_is_refused_and_deep_nesting_is_not() {
    let nested = |depth: usize| {
        let extra = "{\"a\":".repeat(depth - 1);
        format!("'{{\"caseId\":1,\"message\":\"m\",\"extra\":{extra}1{}}}'", "}".repeat(depth - 1))
    };
    in_both(|sql| {
        let insert = |payload: &str| {
            sql(&format!("INSERT INTO outbox (channel, payload) VALUES ('chat', {payload})"))
        };
        for depth in [100, 129, 900] {
            insert(&nested(depth)).unwrap();
        }
        let refused = insert(&nested(3000)).unwrap_err();
        assert!(refused.contains("nested deeper than SQLite reads"), "{refused}");
        let large = "json_object('caseId', 1, 'message', hex(zeroblob(34000000)))";
        assert!(insert(large).unwrap_err().contains("must not be larger than 64 MiB"));
        let refused = insert("'{\"caseId\":1,\"message\":\"m\"}' || char(0)").unwrap_err();
        assert!(refused.contains("NUL"), "{refused}");
        for payload in [
            r#""message":"half \ud83d""#,
            r#""message":"a\u0000b""#,
            r#""message":"m","extra":{"n":1e999}"#,
        ] {
            insert(&format!("'{{\"caseId\":1,{payload}}}'"))
                .unwrap_or_else(|e| panic!("{payload}: {e}"));
        }
    });
}

#[test]
fn one_entry_is_one_mail_address() {
    let mail = |field: &str, value: &str| {
        let value = value.replace('\'', "''");
        format!(
            "INSERT INTO outbox (channel, payload) VALUES ('mail', json_patch('{{\"caseId\":1,\"contactId\":2,\"from\":\"a@b\",
             \"to\":[\"c@d\"],\"subject\":\"s\",\"textBody\":\"t\"}}', json_object('{field}', json_array('{value}'))))"
        )
    };
    in_both(|sql| {
        for address in [
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
            "Jane <a@b>, Joe <c@d>",
            "Jane <@b>",
            "Jane <a@b> x",
        ] {
            for field in ["to", "cc", "bcc"] {
                let refused = sql(&mail(field, address)).expect_err(address);
                assert!(
                    refused.contains(&format!("outbox.payload.{field}: each entry must be one")),
                    "{address:?}: {refused}"
                );
            }
        }
        for address in [
            "anne@example.com",
            "Anne <anne@example.com>",
            "\"Doe, Jane\" <jane@example.com>",
            "müller@exämple.de",
            "Ñandú O'Neil <ñ@ü.de>",
            "<a@b>",
            "用户@例子.广告",
            "a+tag@b.co",
        ] {
            for field in ["to", "cc", "bcc"] {
                sql(&mail(field, address)).unwrap_or_else(|e| panic!("{address}: {e}"));
            }
        }
        let subject = sql("INSERT INTO outbox (channel, payload) VALUES ('mail', json_object('caseId', 1, 'contactId', 2, 'from', 'a@b',
            'to', 'c@d', 'subject', 'one' || char(10) || 'Bcc: x@y', 'textBody', 't'))");
        assert!(subject.unwrap_err().contains("outbox.payload.subject: must be one line"));
    });
}

#[test]
fn a_database_in_utf16_takes_messages_too() {
    let old = Sqlite326::build();
    for engine in [&Bundled::default() as &dyn Engine, &old] {
        for encoding in ["UTF-16le", "UTF-16be"] {
            let folder = tempfile::tempdir().unwrap();
            let db = folder.path().join("outbox.db");
            engine.sql(&db, &format!("PRAGMA encoding = '{encoding}'; {SCHEMA}")).unwrap();
            engine
                .sql(
                    &db,
                    &chat("source, ordering_key, idempotency_key", "'Müller €😀', 'Größe', 'k'"),
                )
                .unwrap();
            let refused = engine.sql(&db, &chat("account", "'Zürich'")).unwrap_err();
            assert!(refused.contains("printable ASCII"), "{refused}");
            assert_eq!(
                engine.sql(&db, "SELECT account, source, lane, wait FROM outbox").unwrap(),
                "default|Müller €😀|key:Größe|ready"
            );
        }
    }
}
