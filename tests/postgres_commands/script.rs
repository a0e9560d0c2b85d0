//! `init --dry-run`: the SQL for a database's administrator.

use super::Place;
use crate::support::{Cluster, Program};
use std::io::Write as _;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Executes a script as an administrator would; panics unless psql succeeds.
#[track_caller]
fn psql(url: &str, script: &str) {
    let psql = Cluster::shared().expect("a cluster").bin().join("psql");
    let mut child = Command::new(psql)
        .args(["-qX", "-v", "ON_ERROR_STOP=1", url])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("psql starts");
    child.stdin.take().expect("piped").write_all(script.as_bytes()).expect("it reads");
    let ended = child.wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn an_administrator_can_execute_what_init_would() {
    let Some(place) = Place::fresh() else { return };
    let schema = r#"the "shop's" messages"#;
    let program = place.program().env("ACQUIRE_OUTBOX_SCHEMA", schema);
    let script = program.run(&["init", "--dry-run"]).expect(0).stdout;
    let none = "SELECT count(*) FROM pg_class WHERE relname LIKE 'outbox%'";
    assert_eq!(place.database.number(none), 0, "it changed something");

    psql(place.database.url(), &script);
    program.run(&["status"]).expect(0);
    let again = program.run(&["init", "--dry-run"]).expect(0).stdout;
    assert!(again.lines().all(|line| line.starts_with("-- ")), "{again}");
    assert!(again.contains("up to date"), "{again}");
    // It has nothing left to do.
    let record = r#"SELECT count(*) FROM "the ""shop's"" messages".outbox_migrations"#;
    assert_eq!(place.database.one(record).int("count"), 1);
    let init = program.run(&["init"]).expect(0);
    assert!(!init.output().contains("repaired"), "{init:?}");
    assert_eq!(place.database.one(record).int("count"), 1);
}

#[test]
fn a_script_for_the_sandbox_marks_the_outbox() {
    let Some(place) = Place::fresh() else { return };
    let script = place.program().run(&["init", "--sandbox", "--dry-run"]).expect(0).stdout;
    psql(place.database.url(), &script);
    let refused = place.program().run(&["init"]);
    assert!(refused.stderr.contains("sandbox"), "{refused:?}");
    place.program().run(&["init", "--sandbox"]).expect(0);
}

#[test]
fn a_script_for_a_file_makes_the_same_outbox() {
    let folder = TempDir::new().unwrap();
    let program = Program::in_folder(folder.path());
    let script = program.run(&["init", "--dry-run"]).expect(0).stdout;
    assert!(!folder.path().join("outbox.db").exists());
    let database = crate::support::Database::at(folder.path().join("outbox.db"));
    database.execute(&script);
    program.run(&["status"]).expect(0);
    let init = program.run(&["init"]).expect(0);
    assert!(!init.output().contains("repaired"), "{init:?}");
    let again = program.run(&["init", "--dry-run"]).expect(0).stdout;
    assert_eq!(again, "-- The outbox is up to date.\n");
}
