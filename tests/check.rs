//! `check`, and how a database or a configuration that cannot be used is told.

use crate::support::{Engine, Outbox, Program, Reply, Server, sqlite_only};
use serde_json::json;

#[test]
fn check_looks_at_configuration_database_and_account_without_sending() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.chat(1, "not by check");
    let finished = outbox.run(&["check"]).expect(0);
    let lines: Vec<&str> = finished.stdout.lines().collect();
    for subject in ["configuration", "database", "account default"] {
        let fine = |line: &&&str| line.starts_with("ok ") && line.contains(subject);
        assert!(lines.iter().find(fine).is_some(), "no ok for {subject}: {finished:?}");
    }
    assert!(server.count() >= 1, "the account was asked");
    assert!(server.requests().iter().all(|request| request.method == "GET"));
    assert_eq!(outbox.count("pending"), 1);
}

#[test]
fn check_fails_where_the_account_is_refused_or_nobody_answers() {
    let server = Server::answering(|_| Reply::json(401, json!({"error": "ERROR_UNAUTHORIZED"})));
    let outbox = Outbox::new(&server);
    let finished = outbox.run(&["check"]).expect(1);
    let failed = |line: &str| line.starts_with("FAIL") && line.contains("account default");
    assert!(finished.stdout.lines().any(failed), "{finished:?}");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/v1", free.local_addr().unwrap());
    drop(free);
    let outbox = crate::support::Setup::sending_to(&url).ready();
    let finished = outbox.run(&["check"]).expect(1);
    assert!(finished.stdout.lines().any(failed), "{finished:?}");
}

#[test]
fn a_database_that_cannot_be_used_is_told_once_with_what_to_do() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("text.db"), "no database at all, ".repeat(20)).unwrap();
    std::fs::create_dir(folder.path().join("folder.db")).unwrap();
    let program = Program::in_folder(folder.path());
    let cases = [
        ("text.db", "text.db is not a SQLite database; name the right file with --database"),
        (
            "folder.db",
            "folder.db cannot be opened; it must be a file, not a folder, that this user",
        ),
    ];
    for (database, sentence) in cases {
        for command in [&["init"][..], &["status"], &["list"], &["run", "--sandbox"]] {
            let finished = program.run(&[&["--database", database], command].concat()).expect(1);
            assert!(finished.stderr.contains(sentence), "{finished:?}");
            assert!(!finished.stderr.contains("code:"), "SQLite's own words: {finished:?}");
        }
    }
    for command in [&["init"][..], &["run", "--sandbox"]] {
        let arguments = [command, &["--database", "nowhere/outbox.db"]].concat();
        let finished = program.run(&arguments).expect(1);
        assert!(
            finished.stderr.contains("nowhere is not a folder; create it first"),
            "{finished:?}"
        );
    }
}

#[test]
fn a_file_or_folder_of_somebody_else_is_told_with_what_to_change() {
    sqlite_only!("who may write its file");
    // SAFETY: takes nothing and cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        eprintln!("SKIPPED: root may write to every file, so nothing was shown");
        return;
    }
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let database = outbox.database().path();
    let mut mode = std::fs::metadata(database).unwrap().permissions();
    mode.set_readonly(true);
    std::fs::set_permissions(database, mode).unwrap();
    let finished = outbox.run(&["send", "chat", "--case-id", "1", "--message", "hi"]).expect(1);
    assert!(finished.stderr.contains("give this user write access"), "{finished:?}");
    let checked = outbox.run(&["check"]).expect(1);
    let told = |line: &str| line.starts_with("FAIL  database") && line.contains("write access");
    assert!(checked.stdout.lines().any(told), "{checked:?}");
}

#[test]
fn an_error_names_its_cause_once() {
    let folder = tempfile::TempDir::new().unwrap();
    let program = Program::in_folder(folder.path());
    let missing = program.run(&["--config", "nope.toml", "status"]).expect(78);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let in_use = program.run(&["sandbox", "--listen", &address]).expect(1);
    for finished in [missing, in_use] {
        assert_eq!(finished.stderr.matches("os error").count(), 1, "{finished:?}");
        assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
    }
}

#[test]
fn looking_before_init_fails_with_what_to_do() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    for arguments in [vec!["status"], vec!["list"], vec!["show", "1"]] {
        let finished = outbox.run(&arguments).expect(1);
        assert!(finished.stderr.contains("init"), "{finished:?}");
    }
    if Engine::of_this_run() == Engine::Sqlite {
        assert!(!outbox.database().path().exists(), "looking creates nothing");
    }
}
