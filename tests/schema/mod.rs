//! The schema by itself, without a dispatcher: in the SQLite that the program brings, and in
//! 3.26, the oldest one that a producer may have.

mod engines;
mod guards;
mod steps;
mod texts;

use engines::{Bundled, Engine, Sqlite326};
use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType};
use std::path::Path;

const SCHEMA: &str = include_str!("../../migrations/sqlite/0001_outbox.sql");
const CHAT: &str = r#"'{"caseId":1,"message":"hi"}'"#;

/// Runs `check` in both engines, each with a fresh outbox.
fn in_both(check: impl Fn(&dyn Fn(&str) -> Result<String, String>)) {
    let old = Sqlite326::build();
    assert_eq!(old.sql(Path::new(":memory:"), "SELECT sqlite_version()").unwrap(), "3.26.0");
    for engine in [&Bundled::default() as &dyn Engine, &old] {
        let dir = tempfile::tempdir().unwrap();
        let db = dir.path().join("outbox.db");
        engine.sql(&db, SCHEMA).unwrap();
        check(&|sql| engine.sql(&db, sql));
    }
}

/// By its checksum an outbox is recognised as one of an earlier build. Until the first release, put a
/// new one here when the file is edited, and expect to carry over the outboxes that you have. After
/// it, never: write another migration.
#[test]
fn the_first_migration_is_what_outboxes_were_made_with() {
    const CHECKSUM: &str = "bf3cc6589de1964f2771ade0fa5d0207f69b0c072e3107eb185972b85974b2d1\
                            d72104895ae6d2e60fcd73b37e585117";
    let text = SqlStr::from_static(include_str!("../../migrations/sqlite/0001_outbox.sql"));
    let first = Migration::new(1, "outbox".into(), MigrationType::Simple, text, false);
    let checksum = first.checksum.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(checksum, CHECKSUM);
}

#[test]
fn every_migration_is_tried() {
    let files = std::fs::read_dir("migrations/sqlite").unwrap();
    for file in files.map(|file| file.unwrap().path()) {
        let sql = std::fs::read_to_string(&file).unwrap();
        assert!(SCHEMA.contains(&sql), "{} is not in SCHEMA", file.display());
    }
}

/// Even where an application's own trigger moves it in the course of another job's move.
#[test]
fn a_job_that_is_sending_is_safe_from_a_move_within_a_move() {
    in_both(|sql| {
        let job = format!(
            "INSERT INTO outbox (channel, payload, ordering_key) VALUES ('chat', {CHAT}, '')"
        );
        sql(&format!("{job}; {job}")).unwrap();
        sql("UPDATE outbox SET status = 'sending', moves = moves + 1, claimed_by = 1, attempts = 1, wait = NULL WHERE id = 2")
            .unwrap();
        sql("CREATE TRIGGER own AFTER UPDATE OF finished_at ON outbox WHEN NEW.id = 1
             BEGIN UPDATE outbox SET status = 'cancelled' WHERE id = 2; END")
        .unwrap();
        let refused = sql("UPDATE outbox SET status = 'cancelled' WHERE id = 1").unwrap_err();
        assert!(refused.contains("outbox.status: a job that is sending can only"), "{refused}");
        assert_eq!(sql("SELECT group_concat(status) FROM outbox").unwrap(), "pending,sending");
    });
}

fn chat(columns: &str, values: &str) -> String {
    format!(
        "INSERT OR IGNORE INTO outbox (channel, payload, {columns}) VALUES ('chat', {CHAT}, {values})"
    )
}

#[test]
fn a_row_that_breaks_a_rule_is_refused_with_its_field_even_by_insert_or_ignore() {
    let payload = |channel: &str, json: &str| {
        format!("INSERT OR IGNORE INTO outbox (channel, payload) VALUES ('{channel}', {json})")
    };
    let mail = |change: &str| {
        payload(
            "mail",
            &format!(
                r#"json_patch('{{"caseId":1,"contactId":2,"from":"a@b","to":["c@d"],"subject":"s","textBody":"t"}}', '{change}')"#
            ),
        )
    };
    let sms = |change: &str| {
        payload(
            "sms",
            &format!(
                r#"json_patch('{{"From":"+1","To":"+2","Body":"b","contactId":2,"threadId":3,"timelineId":4}}', '{change}')"#
            ),
        )
    };
    let refused: Vec<(String, &str)> = vec![
        (payload("fax", CHAT), "outbox.channel: must be chat, mail or sms"),
        (
            format!("INSERT OR IGNORE INTO outbox (channel, payload) VALUES (NULL, {CHAT})"),
            "outbox.channel",
        ),
        (payload("chat", "NULL"), "outbox.payload: must be one JSON object"),
        (payload("chat", "'{'"), "outbox.payload: is not valid JSON"),
        (payload("chat", "'[]'"), "outbox.payload: must be one JSON object"),
        (payload("chat", "x'7b7d'"), "outbox.payload: must be one JSON object, as text"),
        (payload("chat", "'{}'"), "outbox.payload.caseId: required"),
        (payload("chat", r#"'{"caseId":"1","message":"hi"}'"#), "outbox.payload.caseId"),
        (payload("chat", r#"'{"caseId":1.5,"message":"hi"}'"#), "outbox.payload.caseId"),
        (payload("chat", r#"'{"caseId":1}'"#), "outbox.payload.message: required"),
        (payload("chat", r#"'{"caseId":1,"message":""}'"#), "outbox.payload.message"),
        (payload("chat", r#"'{"caseId":1,"message":"m","type":"shout"}'"#), "outbox.payload.type"),
        (
            payload("chat", r#"'{"caseId":1,"message":"m","userType":"bot"}'"#),
            "outbox.payload.userType",
        ),
        (
            payload("chat", r#"'{"caseId":1,"message":"m","userType":"contact"}'"#),
            "outbox.payload.contactId: required when",
        ),
        (
            payload("chat", r#"'{"caseId":1,"message":"m","contactId":"7"}'"#),
            "outbox.payload.contactId",
        ),
        (mail(r#"{"caseId":null}"#), "outbox.payload.caseId: required for mail"),
        (mail(r#"{"contactId":"x"}"#), "outbox.payload.contactId"),
        (mail(r#"{"from":null}"#), "outbox.payload.from"),
        (mail(r#"{"to":null}"#), "outbox.payload.to"),
        (mail(r#"{"to":[]}"#), "outbox.payload.to"),
        (mail(r#"{"to":[1]}"#), "outbox.payload.to"),
        (mail(r#"{"cc":5}"#), "outbox.payload.cc"),
        (mail(r#"{"bcc":{"a":1}}"#), "outbox.payload.bcc"),
        (mail(r#"{"attachments":"x"}"#), "outbox.payload.attachments"),
        (mail(r#"{"subject":null}"#), "outbox.payload.subject"),
        (mail(r#"{"textBody":null}"#), "outbox.payload.htmlBody: htmlBody or textBody"),
        (mail(r#"{"textBody":7}"#), "outbox.payload.textBody"),
        (sms(r#"{"From":null}"#), "outbox.payload.From"),
        (sms(r#"{"To":15551234}"#), "outbox.payload.To"),
        (sms(r#"{"Body":""}"#), "outbox.payload.Body"),
        (sms(r#"{"contactId":null}"#), "outbox.payload.contactId"),
        (sms(r#"{"threadId":"3"}"#), "outbox.payload.threadId"),
        (sms(r#"{"timelineId":null}"#), "outbox.payload.timelineId"),
        (sms(r#"{"userType":3}"#), "outbox.payload.userType"),
        (chat("account", "''"), "outbox.account"),
        (chat("account", "CAST(x'ff' AS TEXT)"), "outbox.account: must be printable ASCII"),
        (chat("account", "'a' || char(0)"), "outbox.account: must be printable ASCII"),
        (chat("id", "-1"), "outbox.id: must be from 1"),
        (chat("id", "0"), "outbox.id: must be from 1"),
        (chat("account", "NULL"), "outbox.account"),
        (chat("idempotency_key", "''"), "outbox.idempotency_key"),
        (chat("priority", "10"), "outbox.priority: must be a whole number from 0 to 9"),
        (chat("priority", "-1"), "outbox.priority"),
        (chat("priority", "1.5"), "outbox.priority"),
        (chat("priority", "'high'"), "outbox.priority"),
        (chat("priority", "NULL"), "outbox.priority"),
        (chat("max_attempts", "0"), "outbox.max_attempts"),
        (chat("max_attempts", "'many'"), "outbox.max_attempts"),
        (chat("send_at", "1763800000"), "outbox.send_at: a number must be Unix milliseconds"),
        (chat("send_at", "1763800000000000"), "outbox.send_at: a number must be Unix milliseconds"),
        (chat("send_at", "1763800000000.5"), "outbox.send_at"),
        (chat("send_at", "'tomorrow'"), "outbox.send_at"),
        (chat("send_at", "'09:30'"), "outbox.send_at"),
        (chat("send_at", "x'00'"), "outbox.send_at"),
        (chat("send_at", "'2031-02-30T09:00:00Z'"), "outbox.send_at: there is no such day"),
        (chat("send_at", "'2031-04-31'"), "outbox.send_at: there is no such day"),
        (
            chat("send_at", "'1999-12-31'"),
            "outbox.send_at: must be Unix milliseconds as a whole number, or",
        ),
        (chat("send_at", "'2031-02-29 10:00'"), "outbox.send_at: there is no such day"),
        (chat("send_at", "'2031-01-01T24:30Z'"), "outbox.send_at: there is no such day or time"),
        (
            chat("expires_at", "'2031-02-30T09:00:00+0200'"),
            "outbox.expires_at: there is no such day",
        ),
        (chat("created_at", "'2031-02-30'"), "outbox.created_at: there is no such day"),
        (chat("expires_at", "1763800000"), "outbox.expires_at"),
        (chat("expires_at", "'soon'"), "outbox.expires_at"),
        (chat("created_at", "'once'"), "outbox.created_at"),
        (chat("status", "'sent'"), "outbox.status: a new row is pending"),
        (chat("status", "NULL"), "outbox.status"),
        (chat("attempts", "3"), "are written by the dispatcher"),
        (chat("message_id", "'1'"), "are written by the dispatcher"),
        (chat("claimed_by", "1"), "are the dispatcher's own"),
        (chat("wait", "'ready'"), "are the dispatcher's own"),
    ];
    in_both(|sql| {
        for (insert, sentence) in &refused {
            let error = sql(insert).expect_err(insert);
            assert!(error.contains(sentence), "{insert}: {error}");
        }
        assert_eq!(sql("SELECT count(*) FROM outbox").unwrap(), "0");
    });
}

#[test]
fn time_text_becomes_milliseconds_on_insert_and_on_update() {
    in_both(|sql| {
        for (text, millis) in [
            ("2026-11-22T09:00:00+02:00", "1795330800000"),
            ("2026-11-22 07:00:00.123", "1795330800123"),
            ("2026-11-22", "1795305600000"),
            ("2026-11-22T07:00Z", "1795330800000"),
            ("2026-11-22T09:00:00+0200", "1795330800000"),
            ("2026-11-22 09:00:00.000+02", "1795330800000"),
            ("2026-11-21T23:30:00-0730", "1795330800000"),
        ] {
            sql(&chat("send_at, expires_at", &format!("'{text}', '{text}'"))).unwrap();
            let row = sql(
                "SELECT send_at, typeof(send_at), expires_at, due_at FROM outbox ORDER BY id DESC LIMIT 1",
            );
            assert_eq!(row.unwrap(), format!("{millis}|integer|{millis}|{millis}"), "{text}");
        }
        sql("UPDATE outbox SET send_at = '2030-01-01T00:00:00.001Z' WHERE id = 1").unwrap();
        let row = sql("SELECT send_at, due_at, wait FROM outbox WHERE id = 1").unwrap();
        assert_eq!(row, "1893456000001|1893456000001|scheduled");
        sql("UPDATE outbox SET send_at = NULL WHERE id = 1").unwrap();
        let row = sql(
            "SELECT send_at, due_at < 1893456000001, wait <> 'scheduled' FROM outbox WHERE id = 1",
        );
        assert_eq!(row.unwrap(), "|1|1");
        sql(&chat("send_at", "datetime('now', '+1 hour')")).unwrap();
        let hour = "SELECT abs(send_at - created_at - 3600000) <= 1000 FROM outbox ORDER BY id DESC LIMIT 1";
        assert_eq!(sql(hour).unwrap(), "1");
    });
}

#[test]
fn a_retry_whose_time_was_taken_back_is_due_now_and_keeps_nothing_back() {
    in_both(|sql| {
        sql(&chat("send_at", "datetime('now', '+30 days')")).unwrap();
        sql("UPDATE outbox SET status = 'cancelled'; UPDATE outbox SET status = 'pending', send_at = NULL").unwrap();
        assert_eq!(sql("SELECT wait, due_at <= updated_at FROM outbox").unwrap(), "ready|1");
    });
}

#[test]
fn the_view_shows_times_as_iso_text_with_milliseconds() {
    in_both(|sql| {
        sql(&chat("send_at", "4102444799999")).unwrap();
        let row =
            sql("SELECT send_at, length(created_at), finished_at FROM delivery_status").unwrap();
        assert_eq!(row, "2099-12-31T23:59:59.999Z|24|");
    });
}

#[test]
fn one_idempotency_key_is_one_message() {
    in_both(|sql| {
        let insert = chat("idempotency_key", "'order-1'");
        sql(&insert).unwrap();
        sql(&insert).unwrap();
        sql(&insert
            .replace("OR IGNORE ", "")
            .replace("'order-1')", "'order-1') ON CONFLICT (idempotency_key) DO NOTHING"))
        .unwrap();
        let plain = sql(&insert.replace("OR IGNORE ", "")).unwrap_err();
        assert!(plain.contains("UNIQUE constraint failed: outbox.idempotency_key"), "{plain}");
        let replace = sql(&insert.replace("OR IGNORE", "OR REPLACE")).unwrap_err();
        assert!(replace.contains("not REPLACE"), "{replace}");
        assert_eq!(sql("SELECT id, count(*) FROM outbox").unwrap(), "1|1");
        // Once the message is gone, so is its key.
        sql("DELETE FROM outbox WHERE id = 1").unwrap();
        sql(&insert).unwrap();
        assert_eq!(sql("SELECT count(*) FROM outbox").unwrap(), "1");
    });
}

#[test]
fn only_the_moves_of_the_state_machine_are_possible() {
    const STATES: [&str; 6] = ["pending", "sending", "sent", "failed", "cancelled", "uncertain"];
    let allowed_to_anyone = [
        ("pending", "cancelled"),
        ("failed", "pending"),
        ("cancelled", "pending"),
        ("uncertain", "pending"),
        ("uncertain", "sent"),
        ("uncertain", "failed"),
    ];
    let claim = "UPDATE outbox SET status = 'sending', moves = moves + 1, wait = NULL, attempts = attempts + 1, claimed_by = 1 WHERE id = 1";
    let leave = |to: &str| {
        format!(
            "UPDATE outbox SET status = '{to}', moves = moves + 1, claimed_by = NULL, holds = NULL WHERE id = 1"
        )
    };
    in_both(|sql| {
        for from in STATES {
            for to in STATES.into_iter().filter(|to| *to != from) {
                sql("UPDATE outbox SET moves = moves + 1, claimed_by = NULL, status = CASE status WHEN 'sending' THEN 'failed' ELSE status END; DELETE FROM outbox; DELETE FROM sqlite_sequence").unwrap();
                sql(&chat("priority", "0")).unwrap();
                match from {
                    "pending" => {}
                    "cancelled" => drop(sql("UPDATE outbox SET status = 'cancelled'").unwrap()),
                    "sending" => drop(sql(claim).unwrap()),
                    left => {
                        sql(claim).unwrap();
                        sql(&leave(left)).unwrap();
                    }
                }
                assert_eq!(sql("SELECT status FROM outbox").unwrap(), from);
                let moved = sql(&format!("UPDATE outbox SET status = '{to}' WHERE id = 1"));
                if allowed_to_anyone.contains(&(from, to)) {
                    moved.unwrap_or_else(|e| panic!("{from} to {to}: {e}"));
                } else {
                    let error = moved.expect_err(&format!("{from} to {to}"));
                    assert!(error.contains("outbox.status: "), "{from} to {to}: {error}");
                    assert_eq!(sql("SELECT status FROM outbox").unwrap(), from);
                }
            }
        }
        let error = sql("UPDATE outbox SET status = 'lost'").unwrap_err();
        assert!(error.contains("outbox.status: "), "{error}");
    });
}

#[test]
fn a_job_that_is_sending_can_be_neither_cancelled_changed_nor_deleted() {
    in_both(|sql| {
        sql(&chat("priority", "0")).unwrap();
        sql("UPDATE outbox SET status = 'sending', moves = moves + 1, wait = NULL, attempts = 1, claimed_by = 1")
            .unwrap();
        for refused in [
            "UPDATE outbox SET status = 'cancelled'",
            "UPDATE outbox SET status = 'pending'",
            "DELETE FROM outbox",
            "UPDATE outbox SET payload = '{\"caseId\":2,\"message\":\"x\"}'",
            "UPDATE outbox SET send_at = '2030-01-01'",
        ] {
            let error = sql(refused).expect_err(refused);
            assert!(error.contains("sending"), "{refused}: {error}");
        }
        assert_eq!(sql("SELECT status FROM outbox").unwrap(), "sending");
    });
}

#[test]
fn history_goes_with_its_job() {
    in_both(|sql| {
        sql(&chat("priority", "0")).unwrap();
        sql("INSERT INTO outbox_attempts VALUES (1, 1, 0, 0, 'retry', 503, 'http_503', 'x')")
            .unwrap();
        sql("DELETE FROM outbox").unwrap();
        assert_eq!(sql("SELECT count(*) FROM outbox_attempts").unwrap(), "0");
    });
}

#[test]
fn the_lane_of_a_job_is_its_key_its_conversation_or_none() {
    in_both(|sql| {
        sql(&chat("ordering_key", "NULL")).unwrap();
        sql(&chat("ordering_key", "'invoice-7'")).unwrap();
        sql(&chat("ordering_key", "''")).unwrap();
        sql(r#"INSERT INTO outbox (channel, payload, account) VALUES
            ('sms', '{"From":"+1","To":"+2","Body":"b","contactId":2,"threadId":3,"timelineId":4}', 'shop')"#).unwrap();
        assert_eq!(
            sql("SELECT ifnull(lane, '-'), wait, ifnull(holds, '-') FROM outbox ORDER BY id")
                .unwrap(),
            "case:chat/1/default|ready|1\nkey:invoice-7|ready|1\n-|ready|-\ncase:sms/3/shop|ready|1"
        );
    });
}

#[test]
fn every_object_is_named_after_the_outbox() {
    in_both(|sql| {
        let others = sql("SELECT group_concat(name) FROM sqlite_master
            WHERE name NOT LIKE 'outbox%' AND name <> 'delivery_status' AND name NOT LIKE 'sqlite_%'");
        assert_eq!(others.unwrap(), "");
        assert_eq!(sql("PRAGMA user_version; PRAGMA application_id").unwrap(), "0\n0");
    });
}
