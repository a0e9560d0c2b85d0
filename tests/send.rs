//! `send`: a job from the command line.

use crate::support::{Finished, Outbox, Reply, Server};
use serde_json::{Value, json};

#[track_caller]
fn id_of(finished: &Finished) -> i64 {
    let line = finished.stdout.trim_end_matches('\n');
    line.parse().unwrap_or_else(|_| panic!("an id alone on its line: {finished:?}"))
}

/// `send` prints the id; the row holds this payload.
#[track_caller]
fn assert_inserts(arguments: &[&str], input: &str, channel: &str, payload: Value) {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let finished = outbox.program().run_with_input(arguments, input).expect(0);
    let row = outbox.row(id_of(&finished));
    assert_eq!(row["channel"], channel);
    assert_eq!(row.json("payload"), payload);
    assert_eq!((row.text("status"), row.int("attempts")), ("pending", 0));
}

#[test]
fn send_inserts_a_chat_job_from_flags() {
    let flags = ["send", "chat", "--case-id", "9", "--message", "hi there"];
    assert_inserts(&flags, "", "chat", json!({"caseId": 9, "message": "hi there"}));
    let mut all = flags.to_vec();
    all.extend(["--type", "note", "--translate-lang-key", "en"]);
    all.extend(["--user-type", "contact", "--contact-id", "5"]);
    let payload = json!({
        "caseId": 9, "message": "hi there", "type": "note", "translateLangKey": "en",
        "userType": "contact", "contactId": 5
    });
    assert_inserts(&all, "", "chat", payload);
}

#[test]
fn a_payload_from_an_empty_standard_input_is_told_as_that() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let finished = outbox.program().run_with_input(&["send", "chat", "--json", "-"], "\n");
    assert!(finished.clone().expect(1).stderr.contains("standard input is empty"), "{finished:?}");
}

#[test]
fn a_mail_needs_one_of_its_two_texts() {
    let to = ["send", "mail", "--case-id", "9", "--contact-id", "5", "--from", "a@b.example"];
    let what = ["--to", "c@d.example", "--subject", "news", "--html-body", "<p>hi</p>"];
    let payload = json!({
        "caseId": 9, "contactId": 5, "from": "a@b.example", "to": ["c@d.example"],
        "subject": "news", "htmlBody": "<p>hi</p>"
    });
    assert_inserts(&[&to[..], &what].concat(), "", "mail", payload);
    let server = Server::start();
    let finished = Outbox::new(&server).run(&[&to[..], &what[..4]].concat()).expect(2);
    assert!(finished.stderr.contains("--text-body"), "{finished:?}");
}

#[test]
fn send_inserts_a_mail_job_from_flags() {
    let flags = [
        "send",
        "mail",
        "--case-id",
        "9",
        "--contact-id",
        "5",
        "--from",
        "a@acquire.io",
        "--to",
        "b@x.example",
        "--to",
        "c@x.example",
        "--subject",
        "news",
        "--text-body",
        "plain",
        "--html-body",
        "<p>html</p>",
        "--cc",
        "d@x.example",
    ];
    let payload = json!({
        "caseId": 9, "contactId": 5, "from": "a@acquire.io", "to": ["b@x.example", "c@x.example"],
        "subject": "news", "textBody": "plain", "htmlBody": "<p>html</p>", "cc": ["d@x.example"]
    });
    assert_inserts(&flags, "", "mail", payload);
}

#[test]
fn send_inserts_an_sms_job_from_flags() {
    let flags = [
        "send",
        "sms",
        "--from",
        "+12513188609",
        "--to",
        "+919666929552",
        "--body",
        "hi",
        "--contact-id",
        "5",
        "--thread-id",
        "6",
        "--timeline-id",
        "7",
    ];
    let payload = json!({
        "From": "+12513188609", "To": "+919666929552", "Body": "hi", "contactId": 5,
        "threadId": 6, "timelineId": 7
    });
    assert_inserts(&flags, "", "sms", payload);
}

#[test]
fn send_takes_the_payload_as_json_or_from_standard_input() {
    let payload = json!({"caseId": 9, "message": "hi", "extra": {"tag": 1}});
    let text = payload.to_string();
    assert_inserts(&["send", "chat", "--json", &text], "", "chat", payload.clone());
    assert_inserts(&["send", "chat", "--json", "-"], &text, "chat", payload);
}

#[test]
fn send_sets_every_column_that_a_producer_has() {
    let server = Server::start();
    let more = "[accounts.support]\naccount_id = \"s\"\napi_key_file = \"key\"";
    let outbox = Outbox::setup(&server).more(more).ready();
    let finished = outbox.run(&[
        "send",
        "chat",
        "--case-id",
        "9",
        "--message",
        "hi",
        "--account",
        "support",
        "--idempotency-key",
        "order 1",
        "--ordering-key",
        "orders",
        "--priority",
        "7",
        "--send-at",
        "2036-11-22T09:00:00+02:00",
        "--expires-at",
        "2036-11-22 08:00:00",
        "--max-attempts",
        "4",
        "--source",
        "shell",
    ]);
    let row = outbox.row(id_of(&finished.expect(0)));
    assert_eq!(row["account"], "support");
    assert_eq!(row["idempotency_key"], "order 1");
    assert_eq!(row["ordering_key"], "orders");
    assert_eq!(row["priority"], 7);
    assert_eq!(row["send_at"], 2_110_950_000_000_i64);
    assert_eq!(row["expires_at"], 2_110_953_600_000_i64);
    assert_eq!(row["max_attempts"], 4);
    assert_eq!(row["source"], "shell");
}

#[test]
fn a_repeated_idempotency_key_gives_the_first_jobs_id() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let send = |words: &str| {
        let key = ["--idempotency-key", "k"];
        let flags = ["send", "chat", "--case-id", "9", "--message", words, key[0], key[1]];
        outbox.run(&flags).expect(0)
    };
    let (first, again) = (send("once"), send("twice"));
    assert_eq!(id_of(&first), id_of(&again));
    assert_eq!(first.stderr, "");
    assert!(!again.stderr.is_empty(), "a note says that it was there: {again:?}");
    assert_eq!(outbox.count("pending"), 1);
}

#[test]
fn a_time_is_utc_unless_it_says_its_offset_and_a_day_that_does_not_exist_is_refused() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let send = |time: &str| {
        let message = ["send", "chat", "--case-id", "1", "--message", "x", "--send-at", time];
        outbox.run(&message)
    };
    for (time, stored) in [
        ("2031-02-28T09:00:00+0200", "2031-02-28T07:00:00.000Z"),
        ("2031-02-28T09:00:00+02:00", "2031-02-28T07:00:00.000Z"),
        ("2031-02-28 09:00", "2031-02-28T09:00:00.000Z"),
    ] {
        let id = id_of(&send(time).expect(0));
        assert_eq!(outbox.seen(id)["send_at"], stored, "{time}");
    }
    for (time, words) in [
        ("2031-02-30T09:00:00Z", "there is no such day in the calendar"),
        ("2031-02-29", "there is no such day in the calendar"),
        ("2031-01-01T24:00:00Z", "there is no such time of day"),
        ("2031-01-01T09:00:00+15:00", "there is no such offset"),
        ("tomorrow", "without an offset it is UTC"),
    ] {
        let refused = send(time).expect(2);
        assert!(refused.stderr.contains(words), "{refused:?}");
    }
    assert_eq!(outbox.number("SELECT count(*) FROM outbox"), 3);
    for command in [&["send", "chat", "--help"][..], &["import", "--help"]] {
        let help = outbox.run(command).expect(0).stdout;
        assert!(help.contains("UTC"), "{help}");
    }
}

#[test]
fn send_refuses_what_the_daemon_would_refuse_and_inserts_nothing() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let wrong: [(&[&str], &str); 7] = [
        (&["send", "chat", "--json", r#"{"caseId":1,"message":"x","mesage":"y"}"#], "message"),
        (&["send", "chat", "--json", r#"{"message":"x"}"#], "caseId"),
        (&["send", "chat", "--json", "{nonsense"], "JSON"),
        (&["send", "chat", "--message", "x"], "case"),
        (&["send", "chat", "--case-id", "1", "--message", "x", "--send-at", "soon"], "--send-at"),
        (&["send", "chat", "--case-id", "1", "--message", "x", "--priority", "10"], "priority"),
        (&["send", "chat", "--case-id", "1", "--message", "x", "--account", "nobody"], "nobody"),
    ];
    for (arguments, word) in wrong {
        let finished = outbox.run(arguments);
        assert!(matches!(finished.code, Some(1 | 2)), "{finished:?}");
        assert!(finished.stderr.contains(word), "no {word} in {finished:?}");
        assert_eq!(finished.stdout, "");
    }
    assert_eq!(outbox.number("SELECT count(*) FROM outbox"), 0);
}

#[test]
fn send_and_wait_gives_the_outcome() {
    let server = Server::start();
    let hold = "[channels.chat]\non_uncertain = \"hold\"";
    let outbox = Outbox::setup(&server).more(hold).ready();
    let _daemon = outbox.daemon();
    let send = || outbox.run(&["send", "chat", "--case-id", "9", "--message", "hi", "--wait"]);

    assert_eq!(send().expect(0).stdout, "1\nsent 8289\n");

    server.queue([Reply::json(400, json!({"error": "ERROR_INVALID_INPUT", "message": "no"}))]);
    let refused = send().expect(1).stdout;
    assert!(refused.starts_with("2\nfailed rejected ERROR_INVALID_INPUT: "), "{refused}");
    assert_eq!(refused.lines().count(), 2);

    server.queue([Reply::status(504)]);
    let lost = send().expect(1).stdout;
    assert!(lost.starts_with("3\nuncertain http_504: "), "{lost}");
}

#[test]
fn send_and_wait_sees_a_withdrawal() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let flags = ["send", "chat", "--case-id", "9", "--message", "hi", "--wait"];
    let waiting = outbox.program().start(&flags);
    crate::support::eventually(crate::support::SOON, "the id", || waiting.stdout().contains("1\n"));
    outbox.execute("UPDATE outbox SET status = 'cancelled'");
    assert_eq!(waiting.wait(crate::support::SOON).expect(1).stdout, "1\ncancelled\n");
}

#[test]
fn send_waits_for_several_attempts() {
    let server = Server::start();
    server.queue([Reply::status(503), Reply::status(503)]);
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    let flags = ["send", "chat", "--case-id", "9", "--message", "hi", "--wait"];
    assert_eq!(outbox.run(&flags).expect(0).stdout, "1\nsent 8291\n");
}
