//! A database made by an earlier version: brought up to date where it stands, with rows in every
//! state, and all of them go on. One made by a later version is refused.

mod support;

use sqlx::migrate::Migrator;
use std::fs;
use std::path::PathBuf;
use support::{Database, Outbox, Server};

/// A row in every state, by what each version's triggers allow; the case is the id.
const EVERY_STATE: &str = r#"
INSERT INTO outbox (id, channel, payload, send_at) VALUES
    (1, 'chat', '{"caseId": 1, "message": "ready"}', NULL),
    (2, 'chat', '{"caseId": 2, "message": "sending"}', NULL),
    (3, 'chat', '{"caseId": 2, "message": "parked behind it"}', NULL),
    (4, 'chat', '{"caseId": 4, "message": "scheduled"}', '2090-01-01'),
    (5, 'chat', '{"caseId": 5, "message": "in backoff"}', NULL),
    (6, 'chat', '{"caseId": 5, "message": "parked behind that"}', NULL),
    (7, 'chat', '{"caseId": 7, "message": "failed"}', NULL),
    (8, 'chat', '{"caseId": 8, "message": "cancelled"}', NULL),
    (9, 'chat', '{"caseId": 9, "message": "uncertain"}', NULL),
    (10, 'chat', '{"caseId": 10, "message": "sent"}', NULL),
    (11, 'chat', '{"caseId": 11, "message": "resolved"}', NULL);
UPDATE outbox_dispatcher SET epoch = 1;
UPDATE outbox SET status = 'sending', wait = NULL, attempts = 1, claimed_by = 1,
        updated_at = (SELECT now FROM outbox_clock)
    WHERE id IN (2, 5, 7, 9, 10, 11);
UPDATE outbox SET status = 'pending', wait = 'backoff', claimed_by = NULL, next_attempt_at = updated_at WHERE id = 5;
UPDATE outbox SET status = 'failed', failure = 'rejected', claimed_by = NULL, holds = NULL, finished_at = updated_at
    WHERE id = 7;
UPDATE outbox SET status = 'cancelled' WHERE id = 8;
UPDATE outbox SET status = 'uncertain', claimed_by = NULL, holds = NULL WHERE id IN (9, 11);
UPDATE outbox SET status = 'sent', message_id = 'm', claimed_by = NULL, holds = NULL, finished_at = updated_at
    WHERE id = 10;
INSERT INTO outbox_attempts VALUES (10, 1, 1000, 5, 'accepted', 200, NULL, NULL);
"#;

/// The migrations' files in their order.
fn migrations() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    files
}

/// What a version with the first `count` migrations made.
fn make(database: &Database, count: usize) {
    let folder = tempfile::tempdir().unwrap();
    for file in migrations().iter().take(count) {
        fs::copy(file, folder.path().join(file.file_name().unwrap())).unwrap();
    }
    fs::File::create_new(database.path()).unwrap();
    database.execute("PRAGMA journal_mode = wal");
    database.with(async |conn| {
        let mut migrator = Migrator::new(folder.path()).await.unwrap();
        migrator.dangerous_set_table_name("outbox_migrations");
        migrator.run_direct(None, conn, false).await.unwrap();
    });
}

/// The objects of the schema, by name and text.
fn schema(database: &Database) -> Vec<(String, String)> {
    let rows = database
        .query("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name");
    rows.iter().map(|row| (row.text("name").to_owned(), row.text("sql").to_owned())).collect()
}

#[test]
fn a_database_of_every_earlier_version_is_brought_up_to_date_and_goes_on() {
    for count in 1..migrations().len() {
        let server = Server::start();
        let outbox = Outbox::setup(&server).written();
        make(outbox.database(), count);
        outbox.execute(EVERY_STATE);

        let refused = outbox.run(&["status"]).expect(1);
        assert!(refused.stderr.contains("older acquire-outbox"), "{}", refused.output());
        outbox.run(&["init"]).expect(0);
        let fresh = Outbox::new(&server);
        assert_eq!(schema(outbox.database()), schema(fresh.database()), "from {count} migrations");

        outbox.execute("UPDATE outbox SET send_at = NULL WHERE id = 4");
        outbox.execute("UPDATE outbox SET status = 'pending' WHERE id IN (7, 8, 9)");
        outbox.execute("UPDATE outbox SET status = 'sent' WHERE id = 11");
        let error =
            outbox.database().try_query("UPDATE outbox SET status = 'pending' WHERE id = 10");
        assert!(error.unwrap_err().contains("sent is final"));
        outbox.run_until_empty();

        let others =
            outbox.query("SELECT id, status, wait, error FROM outbox WHERE status <> 'sent'");
        assert!(others.is_empty(), "{others:?}");
        let words = server.words();
        let at = |word: &str| words.iter().position(|sent| sent == word).expect(word);
        assert!(at("sending") < at("parked behind it"), "{words:?}");
        assert!(at("in backoff") < at("parked behind that"), "{words:?}");
        for word in ["ready", "scheduled", "failed", "cancelled", "uncertain"] {
            at(word);
        }
        assert_eq!(words.len(), 9, "{words:?}");
        assert_eq!(outbox.outcomes(2), ["uncertain", "accepted"]);
        assert_eq!(outbox.row(10).text("message_id"), "m");
        assert_eq!(outbox.database().one("PRAGMA integrity_check").text("integrity_check"), "ok");
    }
}

#[test]
fn the_daemon_itself_brings_a_database_up_to_date() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    make(outbox.database(), 1);
    outbox.execute(r#"INSERT INTO outbox (channel, payload) VALUES ('chat', '{"caseId": 1, "message": "hi"}')"#);
    outbox.run_until_empty();
    assert_eq!(server.words(), ["hi"]);
}

#[test]
fn a_database_of_a_later_version_is_refused_and_left_alone() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.chat(1, "hi");
    outbox.execute(
        "INSERT INTO outbox_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'of a later version', 1, x'00', 0)",
    );
    for command in [&["init"][..], &["run", "--until-empty"], &["status"], &["list"]] {
        let refused = outbox.run(command).expect(1);
        assert!(refused.stderr.contains("newer acquire-outbox"), "{}", refused.output());
    }
    assert_eq!((outbox.count("pending"), server.words().len()), (1, 0));
}
