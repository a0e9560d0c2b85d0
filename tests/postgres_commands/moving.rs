//! `move`: an outbox carried from a file to PostgreSQL and back.

use super::Place;
use super::daemon::configured;
use crate::support::{Database, Job, Outbox, PostgresDatabase, Program, Reply, Row, SOON, Server};
use serde_json::{Value, json};

/// What people see of every job; in both engines' view, times are text.
const STATUS: &str = "SELECT * FROM delivery_status ORDER BY id";
const HISTORY: &str = "SELECT job_id, attempt, duration_ms, outcome, http_status, error_code, error \
    FROM outbox_attempts ORDER BY job_id, attempt";
const ACTS: &str = "SELECT job_id, deed, origin, name, detail, CAST(payload AS text) AS payload FROM outbox_acts ORDER BY id";
const LOOKED_FOR: &str = "SELECT id, case_id, contact_id, recipient FROM outbox ORDER BY id";
const BUDGETS: &str = "SELECT id, ordering_key, priority, max_attempts, unspent, uncertain_attempts, \
    delivery, delivery_at, follow_at, followed_at FROM outbox ORDER BY id";
/// What became of jobs over time; by which node is known to PostgreSQL alone.
const OUTCOMES: &str = "SELECT account, channel, CAST(sum(sent) AS bigint) AS sent, \
    CAST(sum(failed) AS bigint) AS failed, CAST(sum(uncertain) AS bigint) AS uncertain, \
    CAST(sum(retried) AS bigint) AS retried, CAST(sum(late_0 + late_1 + late_2 + late_3) AS bigint) AS soon, \
    CAST(sum(late_15) AS bigint) AS late \
    FROM outbox_history GROUP BY account, channel ORDER BY account, channel";
const PAUSES: &str = "SELECT account, channel, reason FROM outbox_pauses ORDER BY account, channel";

/// By the message's words.
fn answer(request: &crate::support::Request) -> Reply {
    let problem = json!({"error": {"type": "ERROR_INVALID_INPUT", "message": "no such case"}});
    match request.words().as_str() {
        "refused" => Reply::json(400, problem),
        "unknown" => Reply::status(502),
        "later" => Reply::status(503),
        _ => Reply::accepted(request),
    }
}

/// An outbox in a file with jobs in every state but `sending`; no dispatcher runs any more.
fn lived_in(server: &Server) -> Outbox {
    let outbox = Outbox::setup(server)
        .retry("initial = \"1h\"\nmax = \"1h\"")
        .more("[channels.chat]\non_uncertain = \"hold\"")
        .ready();
    let sent =
        outbox.add(Job::chat(1, "accepted ü 'quoted'").field("extra", json!({"a": [1.5, null]})));
    let refused = outbox.chat(2, "refused");
    let unknown = outbox.chat(3, "unknown");
    let later = outbox.chat(4, "later");
    // Parked behind it.
    let parked = outbox.chat(4, "second");
    outbox.add(Job::chat(4, "third").column("priority", "9").column("source", "'crm'"));
    outbox.add(Job::chat(5, "some day").column("send_at", "datetime('now', '+1 day')"));
    outbox.add(Job::chat(6, "cancelled").column("idempotency_key", "'k'"));
    outbox.execute("UPDATE outbox SET status = 'cancelled' WHERE idempotency_key = 'k'");
    // Noted by the trigger, and as a command notes it.
    outbox.execute(
        "INSERT INTO outbox_acts (job_id, at, deed, origin, name, detail, payload)
         VALUES (1, 1800000000123, 'change', 'command', 'anna', 'payload', '[1]')",
    );
    outbox.execute("INSERT INTO outbox_pauses (channel, reason) VALUES ('sms', 'a reason')");
    let deleted = outbox.chat(7, "paused");
    let daemon = outbox.daemon();
    outbox.settled(sent);
    outbox.settled(refused);
    outbox.when_status(unknown, "uncertain");
    outbox.when(later, "backoff", |row| row["wait"] == "backoff");
    outbox.settled(deleted);
    daemon.sigterm();
    daemon.wait(SOON).expect(0);
    // As the dispatcher writes what became of it.
    outbox.execute(&format!(
        "UPDATE outbox SET delivery = 'delivered', delivery_at = 1800000000123, followed_at = 1800000000456,
             follow_at = 1800003600789, moves = moves + 1 WHERE id = {sent}"
    ));
    // No id is given twice, not even a deleted job's.
    outbox.execute(&format!("DELETE FROM outbox WHERE id = {deleted}"));
    outbox.execute(
        "INSERT INTO outbox (channel, payload) SELECT channel, payload FROM outbox WHERE id = 1",
    );
    outbox.add(Job::mail(8, "waits"));
    assert_eq!(outbox.row(parked)["wait"], "parked");
    outbox
}

fn file(outbox: &Outbox) -> &str {
    outbox.database().path().to_str().unwrap()
}

fn program(folder: &std::path::Path) -> Program {
    Program::in_folder(folder)
}

/// Numbers that one engine gives as text or as JSON of another spacing are the same.
#[track_caller]
fn assert_same(before: &[Row], after: &[Row]) {
    assert!(!before.is_empty());
    assert_eq!(before, after);
}

#[test]
fn an_outbox_moves_to_postgresql_and_back_with_ids_states_and_history() {
    let Some(place) = Place::fresh() else { return };
    let server = Server::answering(answer);
    let outbox = lived_in(&server);
    let old = outbox.database();
    let before: Vec<_> =
        [STATUS, HISTORY, ACTS, BUDGETS, PAUSES, OUTCOMES].map(|sql| old.query(sql)).into();
    let requests = server.count();

    let program = program(place.folder.path());
    let schema = ["--to-schema", "messaging"];
    let to = ["move", "--from", file(&outbox), "--to", place.database.url()];
    let moved = program.run(&[&to[..], &schema].concat()).expect(0);
    assert!(moved.stdout.contains("10 jobs"), "{moved:?}");
    let new = place.database.in_schema("messaging");
    let after: Vec<_> =
        [STATUS, HISTORY, ACTS, BUDGETS, PAUSES, OUTCOMES].map(|sql| new.query(sql)).into();
    for (before, after) in before.iter().zip(&after) {
        assert_same(before, after);
    }
    let payload =
        |rows: Vec<Row>| -> Value { serde_json::from_str(rows[0].text("payload")).unwrap() };
    let of_first = "SELECT CAST(payload AS text) AS payload FROM outbox WHERE id = 1";
    assert_eq!(payload(old.query(of_first)), payload(new.query(of_first)));
    let places = "SELECT wait, count(*) AS jobs FROM outbox WHERE wait IS NOT NULL GROUP BY wait ORDER BY wait";
    let places: Vec<_> = new.query(places).iter().map(|row| row.text("wait").to_owned()).collect();
    assert_eq!(places, ["parked", "scheduled"]);
    assert!(new.number("SELECT count(*) FROM outbox_elections") > 0);
    // What it is looked for by.
    assert_same(
        &old.query(LOOKED_FOR),
        &new.query(&LOOKED_FOR.replace("recipient", "recipient[1] AS recipient")),
    );
    // The rules are in force again, and the next id is a new one.
    assert!(new.try_query("UPDATE outbox SET status = 'sent' WHERE id = 4").is_err());
    let next = new.insert("INSERT INTO outbox (channel, payload) VALUES ('chat', '{\"caseId\": 1, \"message\": \"x\"}')");
    let last = old.number("SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'");
    assert_eq!(next, last + 1);

    // What was left is paused for good, and says where it went.
    let paused = old.one("SELECT reason FROM outbox_pauses WHERE account = '' AND channel = ''");
    assert!(paused.text("reason").starts_with("moved to postgres://"), "{paused:?}");
    outbox.run(&["run", "--until-empty"]).expect(0);
    assert_eq!(server.count(), requests, "the old outbox has sent something");

    // And back.
    new.execute(&format!("DELETE FROM outbox WHERE id = {next}"));
    let again = place.folder.path().join("again.db");
    let back =
        ["move", "--from", place.database.url(), "--from-schema", "messaging", "--to", "again.db"];
    program.run(&back).expect(0);
    let again = Database::at(&again);
    for (before, sql) in before.iter().zip([STATUS, HISTORY, ACTS, BUDGETS, PAUSES, OUTCOMES]) {
        assert_same(before, &again.query(sql));
    }
    assert_eq!(payload(old.query(of_first)), payload(again.query(of_first)));
    assert_eq!(
        again.one("SELECT wait, holds FROM outbox WHERE id = 4"),
        old.one("SELECT wait, holds FROM outbox WHERE id = 4")
    );
    let flaws = program.clone().env("ACQUIRE_OUTBOX_DATABASE", "again.db").run(&["init"]).expect(0);
    assert!(!flaws.output().contains("repaired"), "{flaws:?}");
    assert!(
        again.try_insert("INSERT INTO outbox (channel, payload) VALUES ('chat', '{}')").is_err()
    );
}

#[test]
fn what_postgresql_cannot_hold_is_named_and_nothing_is_lost() {
    let Some(place) = Place::fresh() else { return };
    let server = Server::start();
    let outbox = Outbox::new(&server);
    for case in 1..=20 {
        outbox.chat(case, "words");
    }
    let odd = outbox.chat(21, "nul \u{0} inside");
    let program = program(place.folder.path());
    let to = ["move", "--from", file(&outbox), "--to", place.database.url()];
    let refused = program.run(&to).expect(78);
    assert!(refused.stderr.contains(&format!("job {odd}: ")), "{refused:?}");
    assert!(!refused.output().contains("inside"), "{refused:?}");
    let pauses = "SELECT count(*) FROM outbox_pauses";
    assert_eq!(outbox.database().number(pauses), 0, "still paused");
    assert_eq!(place.database.number("SELECT count(*) FROM outbox"), 0);

    let moved = program.run(&[&to[..], &["--leave-behind"]].concat()).expect(0);
    assert!(moved.stdout.contains("20 jobs") && moved.stdout.contains("1 job left"), "{moved:?}");
    assert_eq!(place.database.number("SELECT count(*) FROM outbox"), 20);
    assert_eq!(outbox.database().number(pauses), 1);
}

#[test]
fn jobs_that_leave_ids_out_move_and_need_the_setting_there_too() {
    let Some(place) = Place::fresh() else { return };
    let server = Server::answering(|request| match request.method.as_str() {
        "GET" => {
            let case = json!({"id": 7, "contactId": 751_069, "channel": "chat", "status": "active",
                "timeline": {"id": 8, "threadId": 7}});
            Reply::json(200, json!({"data": {"limit": 100, "data": [case]}}))
        }
        _ => Reply::accepted(request),
    });
    let fills = "[channels.sms]\nfill_missing = true\n";
    let outbox = Outbox::setup(&server).more(fills).ready();
    let sms = || Job::sms(0, "hi").field("threadId", Value::Null).field("timelineId", Value::Null);
    let id = outbox.add(sms());
    let program = configured(&place, &server);
    let to = ["move", "--from", file(&outbox), "--to", place.database.url()];
    let moved = program.run(&[&to[..], &["--to-schema", "messaging"]].concat()).expect(0);
    assert!(moved.stdout.contains("1 job"), "{moved:?}");
    let new = place.database.in_schema("messaging");
    assert_eq!(new.one("SELECT wait FROM outbox").text("wait"), "parked");

    // The setting belongs to a configuration, so it does not move.
    let payload = json!({"From": "+1", "To": "+2", "Body": "x", "contactId": 3});
    let another = format!("INSERT INTO outbox (channel, payload) VALUES ('sms', '{payload}')");
    let refused = new.try_query(&another).unwrap_err();
    assert!(refused.contains("outbox.payload.threadId: required for sms"), "{refused}");
    program.run(&["run", "--until-empty"]).expect(0);
    let row = new.one("SELECT status, failure, error FROM outbox");
    assert_eq!((row.text("status"), row.text("failure")), ("failed", "invalid"), "{row:?}");
    assert!(row.text("error").contains("threadId"), "{row:?}");
    assert_eq!(server.count(), 0);

    let config = place.folder.path().join("outbox.toml");
    let without = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, without + fills).unwrap();
    program.run(&["init"]).expect(0);
    program.run(&["retry", &id.to_string()]).expect(0);
    program.run(&["run", "--until-empty"]).expect(0);
    assert_eq!(new.one("SELECT status FROM outbox").text("status"), "sent");
    new.execute(&another);
}

#[test]
fn an_outbox_that_is_in_use_or_not_empty_is_refused() {
    let Some(place) = Place::fresh() else { return };
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let program = program(place.folder.path());
    let to = ["move", "--from", file(&outbox), "--to", place.database.url()];
    let daemon = outbox.daemon();
    let refused = program.run(&to).expect(78);
    assert!(refused.stderr.contains("a dispatcher works on"), "{refused:?}");
    daemon.sigterm();
    daemon.wait(SOON).expect(0);
    outbox.chat(1, "words");
    place.program().run(&["init"]).expect(0);
    let chat = "INSERT INTO outbox (channel, payload) VALUES ('chat', '{\"caseId\": 1, \"message\": \"x\"}')";
    place.database.execute(chat);
    let refused = program.run(&to).expect(78);
    assert!(refused.stderr.contains("has jobs already"), "{refused:?}");
    assert_eq!(outbox.database().number("SELECT count(*) FROM outbox_pauses"), 0);
    let both: PostgresDatabase = place.database.in_schema("other");
    let refused = program.run(&["move", "--from", both.url(), "--to", both.url()]).expect(78);
    assert!(refused.stderr.contains("name two"), "{refused:?}");
}
