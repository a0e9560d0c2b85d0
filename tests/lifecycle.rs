//! Starting, draining, stopping, and living in an application's own file.

use crate::support::{Database, Gate, Job, Outbox, Reply, SOON, Server, eventually, sqlite_only};
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use std::time::Duration;

/// A daemon with one request on the wire that the gate holds back.
fn on_the_wire(server: &Server, outbox: &Outbox) -> (crate::support::Daemon, Gate, i64) {
    let gate = server.hold();
    let daemon = outbox.daemon();
    let id = outbox.chat(1, "on the wire");
    server.wait_for(1);
    (daemon, gate, id)
}

#[track_caller]
fn assert_drains_on(signal: i32) {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let (daemon, gate, id) = on_the_wire(&server, &outbox);
    let before = daemon.stderr().len();
    daemon.signal(signal);
    eventually(SOON, "the signal in the log", || daemon.stderr().len() > before);
    let late = outbox.chat(2, "too late");
    assert_eq!(outbox.status(id), "sending");
    gate.open();
    daemon.wait(SOON).expect(0);
    assert_eq!(outbox.status(id), "sent");
    assert_eq!(outbox.row(late)["status"], "pending");
    assert_eq!(outbox.row(late)["attempts"], 0);
    assert_eq!(server.words(), ["on the wire"]);
}

#[test]
fn sigterm_finishes_what_is_on_the_wire_and_claims_no_more() {
    assert_drains_on(libc::SIGTERM);
}

#[test]
fn an_interrupt_from_the_keyboard_does_the_same() {
    assert_drains_on(libc::SIGINT);
}

#[test]
fn sigterm_while_idle_ends_at_once() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let daemon = outbox.daemon();
    daemon.sigterm();
    daemon.wait(Duration::from_secs(5)).expect(0);
}

#[test]
fn a_second_sigterm_ends_at_once_and_the_row_can_be_recovered() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let (daemon, gate, id) = on_the_wire(&server, &outbox);
    daemon.sigterm_seen();
    daemon.sigterm();
    daemon.wait(Duration::from_secs(5));
    let row = outbox.row(id);
    assert_eq!((row.text("status"), row.int("attempts")), ("sending", 1), "the database is true");
    gate.open();
    outbox.run_until_empty();
    assert_eq!(outbox.row(id)["status"], "sent");
    assert_eq!(outbox.outcomes(id), ["uncertain", "accepted"]);
}

#[test]
fn what_was_claimed_and_never_written_goes_back_unspent() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).more("[channels.chat]\nrate = \"1/s\"").ready();
    for case in 1..=20 {
        outbox.chat(case, "hi");
    }
    let daemon = outbox.daemon();
    server.wait_for(1);
    daemon.sigterm();
    daemon.wait(SOON).expect(0);
    let sent = server.count();
    assert_eq!(outbox.count("sending"), 0);
    assert_eq!(outbox.count("sent"), sent as i64);
    let unspent = "SELECT count(*) FROM outbox WHERE status = 'pending' AND attempts = 0";
    assert_eq!(outbox.number(unspent), 20 - sent as i64);
    assert_eq!(outbox.number("SELECT count(*) FROM outbox_attempts"), sent as i64);
}

#[test]
fn the_daemon_says_nothing_on_standard_output() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "hi");
    let daemon = outbox.daemon();
    outbox.settled(id);
    daemon.sigterm();
    let finished = daemon.wait(SOON).expect(0);
    assert_eq!(finished.stdout, "");
    assert!(finished.stderr.contains("ready"), "{finished:?}");
}

#[test]
fn until_empty_ends_at_once_when_there_is_nothing_to_do() {
    let server = Server::start();
    Outbox::new(&server).run_until_empty();
    assert_eq!(server.count(), 0);
}

#[test]
fn until_empty_waits_for_retries_and_not_for_what_has_ended_or_is_scheduled() {
    let server = Server::answering(|request| match request.words().as_str() {
        "refused" => Reply::json(400, serde_json::json!({"error": "no"})),
        _ => Reply::accepted(request),
    });
    server.queue([Reply::status(500)]);
    let outbox = Outbox::new(&server);
    let retried = outbox.chat(1, "tried twice");
    let refused = outbox.chat(2, "refused");
    let later = |words: &str, at: &str| outbox.add(Job::chat(3, words).column("send_at", at));
    let next = later("later", "'2035-01-02T03:04:05Z'");
    let last = later("much later", "'2036-01-01T00:00:00Z'");
    let ended = outbox.run_until_empty();
    let statuses = [retried, refused, next, last].map(|id| outbox.status(id));
    // Which of the first two met the queued 500 is open; each of them ended.
    assert_eq!(statuses, ["sent", "failed", "pending", "pending"]);
    assert_eq!(server.count(), 3);
    let told = ended.stderr.lines().find(|line| line.contains("scheduled jobs remain"));
    let told = told.unwrap_or_else(|| panic!("{ended:?}"));
    for words in [r#""jobs":2"#, r#""next_due":"2035-01-02T03:04:05.000Z""#] {
        assert!(told.contains(words), "{told}");
    }
    outbox.run_until_empty();
    assert_eq!(server.count(), 3);
}

#[test]
fn the_daemon_creates_its_own_database_where_it_is_asked_to() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    outbox.run(&["run", "--init", "--until-empty"]).expect(0);
    let id = outbox.chat(1, "hi");
    outbox.run_until_empty();
    assert_eq!(outbox.status(id), "sent");
}

#[test]
fn init_twice_is_harmless() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "hi");
    let before = outbox.row(id);
    outbox.run(&["init"]).expect(0);
    assert_eq!(outbox.row(id), before);
}

#[test]
fn the_database_is_in_wal_mode() {
    sqlite_only!("its log");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.run_until_empty();
    assert_eq!(outbox.one("PRAGMA journal_mode")["journal_mode"], "wal");
}

/// An application that keeps its own tables by its own sqlx migrations in the same file.
fn migrate_application(database: &Database) {
    let first = "CREATE TABLE orders (id INTEGER PRIMARY KEY, total INTEGER NOT NULL)";
    let second = "CREATE INDEX orders_by_total ON orders (total)";
    let migrations = [(1, first), (2, second)].map(|(version, sql)| {
        let kind = MigrationType::Simple;
        Migration::new(version, "application".into(), kind, sql.into_sql_str(), false)
    });
    let migrator = Migrator::with_migrations(migrations.into());
    database.with(async |connection| migrator.run(connection).await).expect("it migrates");
}

#[test]
fn the_outbox_lives_in_an_applications_own_file() {
    sqlite_only!("an application's file");
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    let database = outbox.database();
    migrate_application(database);
    database.execute("PRAGMA user_version = 77; PRAGMA application_id = 4242");
    database.execute("INSERT INTO orders (total) VALUES (10)");
    let theirs = "SELECT version, description, hex(checksum) FROM _sqlx_migrations";
    let objects = "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name";
    let (migrations, before) = (database.query(theirs), database.query(objects));

    outbox.run(&["init"]).expect(0);
    let order = "INSERT INTO orders (total) VALUES (20)";
    database.execute(&format!("BEGIN; {order}; {}; COMMIT", Job::chat(1, "thanks").sql()));
    outbox.run_until_empty();
    assert_eq!(server.words(), ["thanks"]);
    migrate_application(database);

    assert_eq!(database.query(theirs), migrations);
    assert_eq!(database.number("PRAGMA user_version"), 77);
    assert_eq!(database.number("PRAGMA application_id"), 4242);
    assert_eq!(database.number("SELECT count(*) FROM orders"), 2);
    for object in database.query(objects) {
        let name = object.text("name");
        let ours = name.starts_with("outbox") || name.starts_with("delivery_status");
        assert!(ours || before.contains(&object), "{name} is neither ours nor theirs");
    }
}

#[test]
fn an_application_may_come_into_the_file_after_the_outbox() {
    sqlite_only!("an application's file");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    migrate_application(outbox.database());
    let id = outbox.chat(1, "hi");
    outbox.run_until_empty();
    assert_eq!(outbox.status(id), "sent");
    migrate_application(outbox.database());
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    sqlite_only!("a file that is no database");
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    let words = "These are somebody's notes, and no database at all.\n".repeat(50);
    std::fs::write(outbox.database().path(), &words).unwrap();
    for command in ["init", "run", "status"] {
        let finished = outbox.run(&[command]);
        assert_ne!(finished.code, Some(0), "{finished:?}");
        assert!(finished.stderr.contains("outbox.db"), "{finished:?}");
    }
    assert_eq!(std::fs::read_to_string(outbox.database().path()).unwrap(), words);
}

#[test]
fn large_and_small_payloads_go_out_whole_and_in_their_order() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let odd = "a \"quote\", a \\, a \u{1}, an é and a 😀";
    let words = [odd, &"b".repeat(16_300), &"c".repeat(300_000), "d", &"e".repeat(20_000), "f"];
    for words in words {
        outbox.chat(1, words);
    }
    for (case, words) in (10..).zip(words) {
        outbox.chat(case, words);
    }
    outbox.run_until_empty();
    let requests = server.requests();
    let of = |is: fn(i64) -> bool| {
        let cases = requests.iter().filter(|r| is(r.json()["caseId"].as_i64().unwrap()));
        cases.map(|request| request.words()).collect::<Vec<_>>()
    };
    assert_eq!(of(|case| case == 1), words);
    let mut apart = of(|case| case >= 10);
    apart.sort();
    let mut all = words;
    all.sort_unstable();
    assert_eq!(apart, all);
}

#[test]
fn a_database_of_a_later_version_is_refused_and_left_alone() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.chat(1, "hi");
    outbox.execute(
        "INSERT INTO outbox_migrations (version, description, success, checksum, execution_time)
         SELECT 9999, 'of a later version', success, checksum, 0 FROM outbox_migrations WHERE version = 1",
    );
    for command in [&["init"][..], &["run", "--until-empty"], &["status"], &["list"]] {
        let refused = outbox.run(command).expect(1);
        assert!(refused.stderr.contains("newer acquire-outbox"), "{}", refused.output());
    }
    assert_eq!((outbox.count("pending"), server.words().len()), (1, 0));
}

/// With any encoding of the application's database.
#[test]
fn a_database_in_utf16_is_an_outbox_like_any_other() {
    sqlite_only!("a file's encoding; on PostgreSQL it is always UTF-8");
    let server = Server::start();
    for encoding in ["UTF-16le", "UTF-16be"] {
        let outbox = Outbox::setup(&server).written();
        std::fs::File::create_new(outbox.database().path()).unwrap();
        outbox.execute(&format!("PRAGMA encoding = '{encoding}'; CREATE TABLE own (x)"));
        outbox.run(&["init"]).expect(0);
        let long = "ü€😀".repeat(3000);
        for words in ["Grüße €😀", &long] {
            let payload = serde_json::json!({"caseId": 1, "message": words}).to_string();
            outbox.execute(&format!(
                "INSERT INTO outbox (channel, payload, source) VALUES ('chat', '{payload}', 'Zürich')"
            ));
        }
        outbox.run_until_empty();
        assert_eq!(server.words().split_off(server.words().len() - 2), ["Grüße €😀", &long]);
        assert_eq!(outbox.count("sent"), 2);
        let one = "PRAGMA encoding";
        assert_eq!(outbox.one(one).text("encoding"), encoding);
        for command in [
            &["list", "--json"][..],
            &["show", "1", "--json"],
            &["export", "--format", "jsonl"],
            &["list"],
        ] {
            let shown = outbox.run(command).expect(0);
            assert!(shown.stdout.contains("Zürich") || command == ["list"], "{}", shown.output());
        }
        outbox.run(&["status"]).expect(0);
        outbox.run(&["check"]);
    }
}
