//! Jobs that the daemon refuses before any request is made.

use crate::support::{Engine, Job, Outbox, Server};
use serde_json::{Value, json};

/// The daemon ends the job as failed/invalid with every one of the words, and makes no request.
#[track_caller]
fn assert_invalid(job: Job, words: &[&str]) {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let id = outbox.add(job);
    let good = outbox.chat(1, "a good one beside it");
    outbox.run_until_empty();
    let row = outbox.row(id);
    assert_eq!((row.text("status"), row.text("failure")), ("failed", "invalid"), "{row:?}");
    for word in words {
        assert!(row.text("error").contains(word), "no {word:?} in {:?}", row.text("error"));
    }
    assert_eq!(row["attempts"], 0, "no request was begun");
    assert!(row.int("finished_at") > 0 && row.is_null("next_attempt_at"));
    assert_eq!(outbox.history(id), []);
    assert_eq!(outbox.status(good), "sent");
    assert_eq!(server.words(), ["a good one beside it"]);
}

#[test]
fn an_unknown_account_is_named() {
    assert_invalid(Job::chat(2, "hi").column("account", "'suport'"), &["suport"]);
}

#[test]
fn an_unknown_field_is_named_with_the_nearest_known_one() {
    let chat = Job::chat(2, "hi").field("translateLangkey", json!("en"));
    assert_invalid(chat, &["translateLangkey", "translateLangKey"]);
    let mail = Job::mail(2, "hi").field("attachment", json!([]));
    assert_invalid(mail, &["attachment", "attachments"]);
    let sms = Job::sms(2, "hi").field("isclosed", json!(false));
    assert_invalid(sms, &["isclosed", "isClosed"]);
}

#[test]
fn an_optional_field_that_sql_cannot_check_is_named_by_the_daemon() {
    assert_invalid(Job::mail(2, "hi").field("attachments", json!(["a.pdf"])), &["attachments"]);
    assert_invalid(Job::sms(2, "hi").field("isClosed", json!("no")), &["isClosed"]);
}

#[test]
fn a_number_that_is_not_e164_is_refused() {
    assert_invalid(Job::sms(2, "hi").field("To", json!("0049 171 5550")), &["To"]);
}

#[test]
fn extra_may_add_and_never_replace() {
    let job = Job::chat(2, "hi").field("extra", json!({"caseId": 3}));
    assert_invalid(job, &["extra", "caseId"]);
    let job = Job::chat(2, "hi").field("extra", json!({"message": {"message": "other"}}));
    assert_invalid(job, &["extra", "message"]);
}

#[test]
fn the_words_of_an_invalid_message_stay_out_of_its_error() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let secret = "the-patient-is-called-Ada";
    let id = outbox.add(Job::chat(2, secret).field("mesage", Value::from(secret)));
    let finished = outbox.run_until_empty();
    assert_eq!(outbox.row(id)["failure"], "invalid");
    crate::support::never_shows("the error", outbox.row(id).text("error"), secret);
    crate::support::never_shows("the log", &finished.stderr, secret);
}

#[test]
fn a_job_of_an_unknown_account_sets_free_the_other_accounts_jobs_behind_it() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let keyed = |job: Job| job.column("ordering_key", "'k'");
    let unknown = outbox.add(keyed(Job::chat(1, "first")).column("account", "'nobody'"));
    let known = outbox.add(keyed(Job::chat(1, "second")));
    outbox.run_until_empty();
    assert_eq!(outbox.row(unknown).text("failure"), "invalid");
    assert_eq!(outbox.status(known), "sent");
}

/// Arrays within arrays, this many levels deep.
fn nested(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

/// What a payload's `extra` may hold, and how it is sent.
fn odd_extras() -> Vec<(String, String)> {
    let same = |text: &str| (text.to_owned(), text.to_owned());
    let deep = nested(900);
    vec![
        same("12345678901234567890123"),
        same("0.1000000000000000055511151231257827"),
        same("1E5"),
        same("-0"),
        same("1e999"),
        same("-1e-999"),
        same("2069.0"),
        same("[true,null,{\"a\":[]}]"),
        same(&deep),
        (r#""\ud83d""#.into(), "\"\u{fffd}\"".into()),
        (r#""a\udc00\ud83d\ude00""#.into(), "\"a\u{fffd}\u{1f600}\"".into()),
        (r#"{"\ud83d":1}"#.into(), "{\"\u{fffd}\":1}".into()),
        (r#""\u0000""#.into(), r#""\u0000""#.into()),
        (r#""\u0001\/\u00e9""#.into(), "\"\\u0001/é\"".into()),
        (" [ 1 ,\n2 ] ".into(), "[1,2]".into()),
    ]
}

/// How PostgreSQL's `jsonb` gives it back. None: it refuses that.
fn from_jsonb(given: &str, sent: String) -> Option<String> {
    match given {
        "1E5" => Some("100000".into()),
        "-0" => Some("0".into()),
        "1e999" => Some(format!("1{}", "0".repeat(999))),
        "-1e-999" => Some(format!("-0.{}1", "0".repeat(998))),
        given if given.contains("\\ud83d") || given.contains("\\u0000") => None,
        _ => Some(sent),
    }
}

#[test]
fn what_an_insert_accepts_is_sent_with_the_digits_that_came_in() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let on_sqlite = Engine::of_this_run() == Engine::Sqlite;
    let (message, its_sent) = if on_sqlite { (r"\ud83d", "\u{fffd}") } else { ("an é", "an é") };
    let mut expected = Vec::new();
    for (case, (given, sent)) in odd_extras().into_iter().enumerate() {
        let Some(sent) = (if on_sqlite { Some(sent) } else { from_jsonb(&given, sent) }) else {
            continue;
        };
        let payload =
            format!(r#"{{"caseId": {case}, "message": "{message}", "extra": {{"x": {given}}}}}"#);
        let sql = format!("INSERT INTO outbox (channel, payload) VALUES ('chat', '{payload}')");
        let id = outbox.insert(&sql);
        expected.push((id, format!(",\"caseId\":{case},\"x\":{sent}}}")));
    }
    let attachment = r#"{"caseId": 1, "contactId": 2, "from": "a@b", "to": "c@d", "subject": "s",
        "textBody": "t", "attachments": [{"id": 12345678901234567890123, "size": 1.50}]}"#;
    let sql = format!("INSERT INTO outbox (channel, payload) VALUES ('mail', '{attachment}')");
    expected.push((outbox.insert(&sql), r#"[{"id":12345678901234567890123,"size":1.50}]"#.into()));
    // The sandbox accepts them, too, before anything else is sent.
    if on_sqlite {
        rehearse(&outbox);
    }

    outbox.run_until_empty();
    let bodies: Vec<String> = server.requests().iter().map(|r| r.body_text()).collect();
    for (id, part) in expected {
        assert_eq!(outbox.status(id), "sent", "{:?}", outbox.row(id));
        assert_eq!(
            bodies.iter().filter(|body| body.contains(&part)).count(),
            1,
            "{part}: {bodies:?}"
        );
    }
    // Of another channel, the email may arrive first.
    let its_sent = format!("\"message\":\"{its_sent}\"");
    assert!(bodies.iter().any(|body| body.contains(&its_sent)), "{bodies:?}");
}

/// Sends the outbox's messages to the sandbox, from a file.
fn rehearse(outbox: &Outbox) {
    let rehearsed = outbox.folder().join("rehearsed.db");
    let rehearsed = rehearsed.to_str().unwrap();
    outbox.run(&["init", "--sandbox", "--database", rehearsed]).expect(0);
    let payloads = outbox.query("SELECT channel, payload FROM outbox");
    let other = crate::support::Database::at(rehearsed);
    for row in &payloads {
        let payload = row.text("payload").replace('\'', "''");
        let channel = row.text("channel");
        other
            .try_insert(&format!(
                "INSERT INTO outbox (channel, payload) VALUES ('{channel}', '{payload}')"
            ))
            .unwrap();
    }
    outbox.run(&["run", "--sandbox", "--until-empty", "--database", rehearsed]).expect(0);
    let sent = other.number("SELECT count(*) FROM outbox WHERE status = 'sent'");
    assert_eq!(sent, payloads.len() as i64, "{:?}", other.query("SELECT error FROM outbox"));
}

#[test]
fn what_cannot_be_sent_is_refused_by_the_insert_and_by_send_alike() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let chat = |case: &str, extra: &str| {
        ("chat", format!(r#"{{"caseId": {case}, "message": "xyzzy", "extra": {{"x": {extra}}}}}"#))
    };
    let mail = |field: &str, value: serde_json::Value| {
        let mut payload = json!({"caseId": 1, "contactId": 2, "from": "a@b", "to": ["c@d"],
                                 "subject": "xyzzy", "textBody": "xyzzy"});
        payload[field] = value;
        ("mail", payload.to_string())
    };
    for ((channel, payload), field, words) in [
        (chat("2069.0", "1"), "caseId", "float"),
        (chat("2.069e3", "1"), "caseId", "float"),
        (chat("9223372036854775808", "1"), "caseId", "whole number"),
        (chat("\"2069\"", "1"), "caseId", "whole number"),
        (chat("1", "01"), "payload", "JSON"),
        (mail("to", json!("a@example.com, xyzzy@example.com")), "to", "one email address"),
        (mail("to", json!(["a@b", "xyzzy@example.com;a@b"])), "to", "one email address"),
        (mail("to", json!("@")), "to", "one email address"),
        (mail("cc", json!(["xyzzy\u{200b}@example.com"])), "cc", "one email address"),
        (mail("bcc", json!(["xyzzy@exa mple.com"])), "bcc", "one email address"),
        (mail("from", json!("xyzzy@a@b")), "from", "one email address"),
        (mail("subject", json!("xyzzy\nBcc: a@b")), "subject", "line"),
    ] {
        // PostgreSQL's `jsonb` reads 2.069e3 as the whole number 2069, and has its own error for what is no JSON.
        let of_jsonb = payload.contains("2.069e3") || payload.contains("01");
        if Engine::of_this_run() == Engine::Sqlite || !of_jsonb {
            let sql =
                format!("INSERT INTO outbox (channel, payload) VALUES ('{channel}', '{payload}')");
            let refused = outbox.try_insert(&sql).unwrap_err();
            assert!(refused.contains(field) && refused.contains(words), "{payload}: {refused}");
            crate::support::never_shows("the refusal", &refused, "xyzzy");
        }
        let refused = outbox.run(&["send", channel, "--json", &payload]).expect(1).stderr;
        assert!(refused.contains(field) && refused.contains(words), "{payload}: {refused}");
        crate::support::never_shows("the refusal", &refused, "xyzzy");
    }
    outbox.run_until_empty();
    assert_eq!(server.count(), 0);
}

#[test]
fn addresses_of_every_kind_go_out_as_they_are_written() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let to = json!([
        "дора@пример.рф",
        "Ann <ann@example.com>",
        "\"Doe, Ann\" <ann@example.com>",
        "ann+tag@example.co.uk",
        "a..b@docomo.ne.jp",
        "Größe AG <info@größe.example>"
    ]);
    let id = outbox.add(Job::mail(1, "Größe 👋").field("to", to.clone()).field("cc", json!("a@b")));
    outbox.run_until_empty();
    assert_eq!(outbox.status(id), "sent");
    assert_eq!(server.requests()[0].json()["data"]["to"], to);
}

#[test]
fn an_address_that_hides_behind_quotes_is_found_by_the_daemon() {
    let odd = json!(["\"a\" <b@example.com>, c@example.com"]);
    assert_invalid(Job::mail(2, "hi").field("to", odd), &["payload.to[0]", "one email address"]);
}
