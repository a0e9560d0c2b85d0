//! A schema that lost its rules: it is reported and repaired, and rows that were inserted meanwhile
//! are handled.

use crate::support::{Database, Job, Outbox, Program, SOON, Server, eventually};

/// Kind and name of each of our objects.
fn objects(database: &Database) -> Vec<(String, String)> {
    let rows = database.query(
        "SELECT type, name FROM sqlite_schema WHERE sql IS NOT NULL AND type IN ('trigger', 'view', 'index')
             AND (name GLOB 'outbox*' OR name = 'delivery_status') ORDER BY rowid",
    );
    rows.iter().map(|row| (row.text("type").to_owned(), row.text("name").to_owned())).collect()
}

#[test]
fn each_object_that_is_dropped_is_named_and_repaired_and_what_was_inserted_meanwhile_is_sent() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let database = outbox.database();
    let all = objects(database);
    assert!(all.len() > 40, "{all:?}");
    let schema =
        "SELECT type || name || sql AS object FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY 1";
    let mut expected = database.query(schema);
    for (number, (kind, name)) in all.iter().enumerate() {
        database.execute(&format!("DROP {kind} {name}"));
        let named = format!("{kind} {name} is missing");
        let said = outbox.run(&["check"]).expect(1).stdout;
        assert!(said.contains(&named) && said.contains("acquire-outbox init"), "{said}");
        let said = outbox.run(&["status"]).expect(0).stdout;
        assert!(said.contains(&named) && said.contains("acquire-outbox init"), "{said}");
        let case = i64::try_from(number).unwrap() + 1;
        database.past_the_rules(&Job::chat(case, "meanwhile").sql());
        if number % 2 == 0 {
            let said = outbox.run(&["init"]).expect(0).stderr;
            assert!(said.contains(&format!("repaired: {named}")), "{said}");
            let status = outbox.run(&["status", "--json"]).json();
            assert_eq!(status["untouched_jobs"], serde_json::json!([case]));
            let said = outbox.run(&["check"]).expect(1).stdout;
            assert!(
                said.contains(&format!(
                    "1 job was written without the triggers and is in no queue (job {case}"
                )),
                "{said}"
            );
        }
        let run = outbox.run_until_empty();
        assert_eq!(number % 2 == 0, !run.stderr.contains(&named), "{run:?}");
        assert_eq!(outbox.count("sent"), case, "{name}: {run:?}");
        let mut is = database.query(schema);
        is.sort_by_key(|row| row.text("object").to_owned());
        expected.sort_by_key(|row| row.text("object").to_owned());
        assert_eq!(is, expected, "after {name}");
    }
    outbox.run(&["check"]).expect(0);
}

#[test]
fn rules_that_are_lost_while_the_daemon_works_are_made_again() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let mut daemon = outbox.daemon();
    let lost = Job::chat(1, "no rule has seen it")
        .column("id", "1")
        .column("send_at", "'2026-01-02 03:04:05+0100'");
    // In one transaction, or the daemon may be quicker.
    outbox.execute(&format!(
        "BEGIN IMMEDIATE; DROP TRIGGER outbox_inserted; DROP VIEW delivery_status; DROP INDEX outbox_parked;
         {}; COMMIT",
        lost.sql()
    ));
    assert_eq!(outbox.settled(1).text("status"), "sent");
    assert_eq!(outbox.row(1).int("send_at"), 1_767_319_445_000);
    daemon.wait_for_log("trigger outbox_inserted is missing");
    outbox.run(&["check"]).expect(0);
    assert_eq!(outbox.run(&["status", "--json"]).json()["schema"], serde_json::json!([]));
}

#[test]
fn a_row_past_the_rules_that_breaks_one_fails_with_its_sentence() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let rows = [
        ("'chat', '{}', NULL", "outbox.payload.caseId: required for chat"),
        ("'fax', '{\"caseId\": 1}', NULL", "outbox.channel: must be chat, mail or sms"),
        ("'chat', '{\"caseId\": 1, \"message\": \"hi\"}', 'soon'", "outbox.send_at: must be"),
    ];
    for (values, _) in rows {
        let insert = format!("INSERT INTO outbox (channel, payload, send_at) VALUES ({values})");
        outbox.database().past_the_rules(&insert);
    }
    let fine = Job::chat(1, "fine").column("priority", "3");
    outbox.database().past_the_rules(&fine.sql());
    let said = outbox.run(&["show", "4"]).expect(0).stdout;
    assert!(said.contains("not in the queue yet"), "{said}");
    assert_eq!(
        outbox.run(&["list", "--status", "pending", "--json"]).json().as_array().unwrap().len(),
        4
    );
    let log = outbox.run_until_empty().stderr;
    for (id, (_, sentence)) in rows.iter().enumerate() {
        let row = outbox.row(id as i64 + 1);
        assert_eq!((row.text("status"), row.text("failure")), ("failed", "invalid"), "{row:?}");
        assert!(row.text("error").starts_with(sentence), "{row:?}");
        assert!(log.contains(sentence), "{log}");
    }
    assert_eq!(server.words(), ["fine"]);
}

#[test]
fn a_cancellation_that_no_rule_has_seen_frees_its_key_once_the_rules_are_back() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let first = outbox.chat(1, "withdrawn");
    let second = outbox.chat(1, "sent");
    outbox
        .database()
        .past_the_rules(&format!("UPDATE outbox SET status = 'cancelled' WHERE id = {first}"));
    outbox.run(&["init"]).expect(0);
    outbox.run_until_empty();
    assert_eq!((outbox.status(first), outbox.status(second)), ("cancelled".into(), "sent".into()));
    assert_eq!(server.words(), ["sent"]);
}

#[test]
fn what_was_cancelled_past_the_rules_takes_no_ones_place() {
    let server = Server::start();
    let more = "[channels.chat]\nmax_in_flight = 2";
    let outbox = Outbox::setup(&server).more(more).ready();
    for case in 1..=60 {
        outbox.chat(case, "withdrawn");
    }
    let behind = outbox.chat(1, "sent");
    let other = outbox.add(Job::chat(100, "sent, too").column("priority", "0"));
    outbox.database().past_the_rules("UPDATE outbox SET status = 'cancelled' WHERE id <= 60");
    let _daemon = outbox.daemon();
    for id in [behind, other] {
        assert_eq!(outbox.settled(id).text("status"), "sent");
    }
    assert_eq!(outbox.count("cancelled"), 60);
    assert_eq!(server.count(), 2);
}

#[test]
fn a_copy_of_the_schema_alone_says_the_way_out_and_init_finishes_it() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let folder = outbox.folder();
    let copied = std::process::Command::new("sh")
        .args(["-c", "sqlite3 outbox.db .schema | sqlite3 copy.db; sqlite3 outbox.db '.schema outbox' | sqlite3 part.db"])
        .current_dir(folder)
        .status();
    assert!(copied.is_ok(), "sqlite3 is needed");
    for copy in ["copy.db", "part.db"] {
        let program = outbox.program().env("ACQUIRE_OUTBOX_DATABASE", copy);
        for command in [&["status"][..], &["list"], &["run", "--until-empty"], &["check"]] {
            let said = program.run(command);
            assert_ne!(said.code, Some(0));
            assert!(said.output().contains("complete it with `acquire-outbox init`"), "{said:?}");
        }
        program.run(&["init"]).expect(0);
        program.run(&["check"]).expect(0);
        let database = Database::at(folder.join(copy));
        database.execute(&Job::chat(1, copy).sql());
        program.run(&["run", "--until-empty"]).expect(0);
        program.run(&["status"]).expect(0);
        assert!(server.words().contains(&copy.to_owned()));
    }
}

#[test]
fn a_table_of_another_program_is_left_alone() {
    let folder = tempfile::TempDir::new().unwrap();
    let database = Database::at(folder.path().join("shop.db"));
    database.execute("CREATE TABLE outbox (id INTEGER PRIMARY KEY, topic TEXT, payload TEXT)");
    let program = Program::in_folder(folder.path());
    for command in ["init", "status"] {
        let said = program.run(&["--database", "shop.db", command]).expect(1).stderr;
        assert!(said.contains("has a table `outbox` that another program made"), "{said}");
    }
    assert_eq!(database.query("SELECT name FROM sqlite_schema WHERE type = 'table'").len(), 1);
}

#[test]
fn a_strict_table_is_made_an_ordinary_one_again() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.chat(1, "of before");
    let sql = outbox
        .database()
        .one("SELECT sql FROM sqlite_schema WHERE name = 'outbox'")
        .text("sql")
        .to_owned();
    let strict = sql.replacen("outbox", "new", 1) + " STRICT";
    outbox.execute(&format!(
        "PRAGMA legacy_alter_table = ON; {strict}; INSERT INTO new SELECT * FROM outbox; DROP TABLE outbox;
         ALTER TABLE new RENAME TO outbox"
    ));
    assert!(outbox.run(&["check"]).expect(1).stdout.contains("table outbox is STRICT"));
    outbox.run(&["init"]).expect(0);
    outbox.add(Job::chat(2, "by text").column("send_at", "datetime('now', '-1 minute')"));
    outbox.run_until_empty();
    assert_eq!(outbox.count("sent"), 2);
}

/// As migration tools do it: a table with the same columns, without what they do not know.
const REBUILT: &str = "
    CREATE TABLE new AS SELECT * FROM outbox;
    DROP TABLE outbox;
    ALTER TABLE new RENAME TO outbox;
    ALTER TABLE outbox ADD COLUMN tenant TEXT NOT NULL DEFAULT 'own';
    CREATE INDEX own_tenant ON outbox (tenant);";

#[test]
fn a_table_that_a_migration_tool_rebuilt_is_refused_by_run_and_repaired_by_init() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let first = outbox.add(Job::chat(1, "of before").column("idempotency_key", "'k'"));
    outbox.execute("PRAGMA legacy_alter_table = ON; DROP VIEW delivery_status");
    outbox.database().execute(&format!("PRAGMA legacy_alter_table = ON; {REBUILT}"));
    for command in [&["run"][..], &["run", "--until-empty"]] {
        let said = outbox.run(command).expect(78).stderr;
        assert!(said.contains("table outbox") && said.contains("acquire-outbox init"), "{said}");
    }
    outbox.run(&["check"]).expect(1);
    let said = outbox.run(&["init"]).expect(0).stderr;
    for lost in [
        "has lost AUTOINCREMENT",
        "does not keep idempotency_key UNIQUE",
        "priority with another default",
    ] {
        assert!(said.contains(lost), "{said}");
    }
    outbox.run(&["check"]).expect(0);
    let taken =
        outbox.database().try_insert(&Job::chat(2, "again").column("idempotency_key", "'k'").sql());
    assert!(taken.is_err());
    let next = outbox.chat(3, "after it");
    assert!(next > first);
    outbox.run_until_empty();
    let mut sent: Vec<_> = server.words().into_iter().filter(|words| !words.is_empty()).collect();
    sent.sort();
    assert_eq!(sent, ["after it", "of before"]);
    assert_eq!(outbox.row(first).text("tenant"), "own");
    assert_eq!(
        outbox.query("SELECT 1 AS one FROM sqlite_schema WHERE name = 'own_tenant'").len(),
        1
    );
}

#[test]
fn a_rebuilt_table_that_breaks_its_own_rules_is_told_and_left_as_it_is() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.add(Job::chat(1, "one").column("idempotency_key", "'k'"));
    outbox
        .execute(&format!("PRAGMA legacy_alter_table = ON; DROP VIEW delivery_status; {REBUILT}"));
    outbox.execute("INSERT INTO outbox SELECT 2 AS id, channel, payload, account, idempotency_key, ordering_key, priority,
        send_at, expires_at, max_attempts, source, created_at, status, attempts, next_attempt_at, message_id, receipt,
        failure, error_code, error, updated_at, finished_at, delivery, delivery_at, lane, due_at, wait, holds, claimed_by, unspent,
        uncertain_attempts, budget_from, verify_at, verify_round, verify_from, verify_until, verify_seen,
        follow_at, followed_at, case_id, contact_id, recipient, moves, tenant
        FROM outbox");
    let said = outbox.run(&["init"]).expect(1).stderr;
    assert!(said.contains("table outbox cannot be rebuilt: UNIQUE constraint failed"), "{said}");
    assert_eq!(outbox.query("SELECT id FROM outbox").len(), 2);
    outbox.execute("DELETE FROM outbox WHERE id = 2");
    outbox.run(&["init"]).expect(0);
    outbox.run_until_empty();
    assert_eq!(server.words(), ["one"]);
}

#[test]
fn a_table_that_is_missing_stops_run_but_not_status_and_init_makes_it() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "hi");
    for table in [
        "outbox_pauses",
        "outbox_holds",
        "outbox_set_aside",
        "outbox_scrubbing",
        "outbox_attempts",
        "outbox_dispatcher",
    ] {
        outbox.execute(&format!("DROP TABLE {table}"));
        let named = format!("table {table} is missing");
        assert!(outbox.run(&["status"]).expect(0).stdout.contains(&named));
        assert!(outbox.run(&["show", &id.to_string()]).expect(0).stderr.contains(&named));
        assert!(outbox.run(&["run"]).expect(78).stderr.contains(&named));
        assert!(outbox.run(&["init"]).expect(0).stderr.contains(&named));
    }
    outbox.run_until_empty();
    assert_eq!(outbox.status(id), "sent");
    eventually(SOON, "all is well", || outbox.run(&["check"]).code == Some(0));
}
