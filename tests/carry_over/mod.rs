//! An outbox that was made before the first release is refused, and `packaging/carry-over.sql` carries
//! its jobs into a new one: none is lost and none is sent twice.

use crate::support::{Database, Job, Outbox, Server, now_ms, skipped};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The schemas of the first build and of the last one with four migrations, with the record of their
/// migrations.
const EARLIER: [(&str, &str); 2] = [
    ("first build", include_str!("first_build.sql")),
    ("four migrations", include_str!("four_migrations.sql")),
];

/// What the steps in docs/operating.md execute for an application's own database.
const DROP: &str = "\
SELECT 'DROP ' || type || ' IF EXISTS ' || name || ';' FROM sqlite_schema
WHERE (name GLOB 'outbox*' OR name = 'delivery_status') AND type IN ('trigger', 'view', 'table')
ORDER BY type = 'table'";

/// Jobs in every state, as an earlier dispatcher left them: two lanes with parked jobs, one of which
/// is led by a job in backoff, a scheduled job, and one that was being sent.
fn fill(database: &Database) {
    let lane = |case: i64| format!("case:chat/{case}/default");
    for (case, words) in [(1, "a1"), (1, "a2"), (2, "b1"), (2, "b2"), (1, "a3")] {
        database.execute(&Job::chat(case, words).sql());
    }
    database.execute(&Job::chat(3, "later").column("send_at", "datetime('now', '+1 day')").sql());
    for words in ["sent", "failed", "cancelled", "uncertain", "sending", "behind"] {
        let case = if words == "behind" { 4 } else { 9 };
        let case = if words == "sending" { 4 } else { case };
        let job = Job::chat(case, words).column("idempotency_key", &format!("'key-{words}'"));
        database.execute(&job.sql());
    }
    let now = now_ms();
    let soon = now + 50;
    database.past_the_rules(&format!(
        "UPDATE outbox SET wait = 'backoff', attempts = 1, next_attempt_at = {soon}, error_code = 'http_500',
             error = 'try again', updated_at = {now}, budget_from = {now} WHERE id = 3;
         INSERT INTO outbox_attempts VALUES (3, 1, {now}, 12, 'retry', 500, 'http_500', 'try again');
         UPDATE outbox SET status = 'sent', wait = NULL, holds = NULL, attempts = 2, message_id = '8289',
             receipt = '{{\"id\": 8289}}', finished_at = {now}, updated_at = {now} WHERE id = 7;
         INSERT INTO outbox_attempts VALUES (7, 1, {now}, 9, 'retry', 503, 'http_503', 'busy'),
                                            (7, 2, {now}, 8, 'accepted', 200, NULL, NULL);
         UPDATE outbox SET status = 'failed', wait = NULL, holds = NULL, attempts = 1, failure = 'rejected',
             error_code = 'no_case', error = 'no such case', finished_at = {now} WHERE id = 8;
         INSERT INTO outbox_attempts VALUES (8, 1, {now}, 7, 'rejected', 404, 'no_case', 'no such case');
         UPDATE outbox SET status = 'cancelled', wait = NULL, holds = NULL, finished_at = {now} WHERE id = 9;
         UPDATE outbox SET status = 'uncertain', wait = NULL, holds = NULL, attempts = 1,
             error_code = 'interrupted', error = 'may have arrived' WHERE id = 10;
         UPDATE outbox SET wait = NULL, holds = 1, status = 'sending', attempts = 1, claimed_by = 3,
             updated_at = {now} WHERE id = 11;
         UPDATE outbox SET wait = 'parked', holds = NULL, lane = '{}' WHERE id = 12;
         DELETE FROM outbox_dispatcher;
         INSERT INTO outbox_dispatcher (one, epoch) VALUES (1, 3)",
        lane(4)
    ));
    // A job whose id is not to be given again.
    database.execute(&Job::chat(99, "deleted").sql());
    database.past_the_rules("DELETE FROM outbox WHERE id = 13");
}

fn sqlite3(arguments: &[&str]) -> Output {
    Command::new("sqlite3").args(arguments).output().unwrap()
}

#[track_caller]
fn carry_over(old: &Path, new: &Path) -> Output {
    let attach = |path: &Path, name: &str| format!("ATTACH '{}' AS {name}", path.display());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/carry-over.sql");
    let read = format!(".read {script}");
    sqlite3(&[":memory:", &attach(old, "old"), &attach(new, "new"), &read])
}

fn there_is_sqlite3() -> bool {
    let there = Command::new("sqlite3").arg("-version").output().is_ok();
    if !there {
        skipped("there is no sqlite3 program");
    }
    there
}

/// An outbox in the folder, with the schema of an earlier build and jobs in it.
fn earlier(server: &Server, schema: &str) -> Outbox {
    let outbox = Outbox::setup(server).written();
    outbox.execute(&format!("PRAGMA journal_mode = WAL; {schema}"));
    fill(outbox.database());
    outbox
}

#[test]
fn every_command_refuses_it_with_one_sentence_and_changes_nothing() {
    let server = Server::start();
    for (build, schema) in EARLIER {
        let outbox = earlier(&server, schema);
        let state = "SELECT (SELECT count(*) FROM sqlite_schema) AS objects, (SELECT count(*) FROM outbox) AS jobs,
                     (SELECT group_concat(hex(checksum)) FROM outbox_migrations) AS migrations";
        let before = outbox.query(state);
        for command in [
            &["init"][..],
            &["init", "--sandbox"],
            &["run", "--until-empty"],
            &["status"],
            &["list"],
            &["show", "1"],
            &["cancel", "1"],
            &["export"],
            &["pause", "--all"],
            &["check"],
        ] {
            let refused = outbox.run(command);
            assert_ne!(refused.code, Some(0), "{build}: {command:?}: {}", refused.output());
            let said = refused.output();
            assert!(said.contains("from before its first release"), "{build}: {command:?}: {said}");
            assert!(said.contains("carry-over.sql"), "{build}: {command:?}: {said}");
        }
        assert_eq!(outbox.query(state), before, "{build}");
    }
    // The requests of `check` have no words.
    assert!(server.words().iter().all(String::is_empty));
}

/// The new outbox after it was carried over: what is in it, and what a run sends.
fn check(build: &str, server: &Server, outbox: &Outbox) {
    let status = |id| outbox.status(id);
    let states = (1..=12).map(status).collect::<Vec<_>>();
    let expected = [
        "pending",
        "pending",
        "pending",
        "pending",
        "pending",
        "pending",
        "sent",
        "failed",
        "cancelled",
        "uncertain",
        "uncertain",
        "pending",
    ];
    assert_eq!(states, expected, "{build}");
    assert_eq!(outbox.run(&["check"]).stdout.matches("writable").count(), 1, "{build}");
    let (before, all) = (server.words().len(), 6);
    let daemon = outbox.daemon();
    server.wait_for(before + all);
    // None of the others is sent: a job that is inserted now goes after them.
    let next = outbox.chat(77, "next");
    assert_eq!(next, 14, "{build}: an id is not given twice");
    outbox.when_status(next, "sent");
    daemon.sigterm();
    daemon.wait(crate::support::SOON).expect(0);
    let sent = server.words().split_off(before);
    let of = |lane: &[&str]| {
        let sent = sent.iter().filter(|words| lane.contains(&words.as_str()));
        sent.cloned().collect::<Vec<_>>()
    };
    assert_eq!(of(&["a1", "a2", "a3"]), ["a1", "a2", "a3"], "{build}");
    assert_eq!(of(&["b1", "b2"]), ["b1", "b2"], "{build}");
    assert_eq!(of(&["behind", "next"]), ["behind", "next"], "{build}");
    assert_eq!(sent.len(), all + 1, "{build}: {sent:?}");

    let show = |id: &str| outbox.run(&["show", id, "--json"]).expect(0).json();
    let outcomes = |job: &Value| {
        let history = job["history"].as_array().unwrap().iter();
        history.map(|attempt| attempt["outcome"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(&show("3")), ["retry", "accepted"], "{build}");
    let sent = show("7");
    assert_eq!((&sent["message_id"], outcomes(&sent).len()), (&"8289".into(), 2), "{build}");
    assert_eq!(show("8")["failure"], "rejected", "{build}");
    let interrupted = show("11");
    assert_eq!(interrupted["error_code"], "interrupted", "{build}");
    assert_eq!(outcomes(&interrupted), ["uncertain"], "{build}");
    // What was sent is known by its key.
    let again = Job::chat(9, "sent").column("idempotency_key", "'key-sent'").sql();
    outbox.execute(&again.replace("INSERT", "INSERT OR IGNORE"));
    assert_eq!(outbox.count("pending"), 1, "{build}: the scheduled one");
    // A person's decisions, as before.
    outbox.run(&["resolve", "10", "--sent"]).expect(0);
    outbox.run(&["retry", "11"]).expect(0);
    outbox.run_until_empty();
    assert_eq!((outbox.status(10), outbox.status(11)), ("sent".into(), "sent".into()), "{build}");
}

#[test]
fn its_jobs_are_carried_over_with_their_ids_and_history() {
    if !there_is_sqlite3() {
        return;
    }
    for (build, schema) in EARLIER {
        let server = Server::start();
        let outbox = earlier(&server, schema);
        let (old, new) = (outbox.folder().join("old.db"), outbox.database().path());
        outbox.execute(&format!("VACUUM INTO '{}'", old.display()));
        fs::remove_file(new).unwrap();
        outbox.run(&["init"]).expect(0);
        let done = carry_over(&old, new);
        assert!(done.status.success(), "{build}: {done:?}");
        assert!(String::from_utf8_lossy(&done.stdout).contains("12 jobs carried over"), "{done:?}");
        let twice = carry_over(&old, new);
        assert!(!twice.status.success(), "{build}");
        let said = String::from_utf8_lossy(&twice.stderr).into_owned();
        assert!(said.contains("the_new_outbox_must_be_empty"), "{build}: {said}");
        check(build, &server, &outbox);
    }
}

#[test]
fn in_an_applications_own_database_its_tables_stay() {
    if !there_is_sqlite3() {
        return;
    }
    let (build, schema) = EARLIER[1];
    let server = Server::start();
    let outbox = earlier(&server, schema);
    outbox.execute(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY); INSERT INTO orders VALUES (1), (2)",
    );
    outbox.execute(
        "INSERT INTO outbox_pauses (channel, reason) VALUES ('sms', 'the provider is down')",
    );
    let (old, new) = (outbox.folder().join("old.db"), outbox.database().path());
    outbox.execute(&format!("VACUUM INTO '{}'", old.display()));
    let drops = sqlite3(&[new.to_str().unwrap(), DROP]);
    outbox.execute(&String::from_utf8(drops.stdout).unwrap());
    outbox.run(&["init"]).expect(0);
    let done = carry_over(&old, new);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(outbox.database().number("SELECT count(*) FROM orders"), 2);
    assert!(outbox.run(&["status"]).expect(0).stdout.contains("the provider is down"));
    check(build, &server, &outbox);
}

/// What is only rehearsed must not be delivered.
#[test]
fn a_sandboxs_jobs_stay_in_a_sandbox() {
    if !there_is_sqlite3() {
        return;
    }
    let server = Server::start();
    let outbox = earlier(&server, EARLIER[0].1);
    let sandbox = outbox.folder().join("sandbox.db");
    let made = outbox.run(&["init", "--sandbox", "--database", sandbox.to_str().unwrap()]);
    made.expect(0);
    let refused = carry_over(outbox.database().path(), &sandbox);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("both_or_neither_must_be_for_the_sandbox"), "{said}");
    assert_eq!(Database::at(&sandbox).number("SELECT count(*) FROM outbox"), 0);
}
