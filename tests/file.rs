//! The database file taken away from under the daemon, exchanged, or damaged: it ends, says why,
//! and nothing is sent twice.

use crate::support::{Daemon, Gate, Outbox, Reply, SOON, Server};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::Duration;

fn file(outbox: &Outbox, ending: &str) -> PathBuf {
    let mut name = outbox.database().path().as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A daemon with the request of one job on the wire, whose answer waits for the gate.
fn on_the_wire(server: &Server, gate: &Gate) -> (Outbox, Daemon, i64) {
    server.queue([Reply::json(200, crate::support::chat_accepted(5)).behind(gate)]);
    let outbox = Outbox::setup(server).more("[channels.chat]\nmax_in_flight = 1").ready();
    let daemon = outbox.daemon();
    let id = outbox.chat(1, "on the wire");
    server.wait_for(1);
    (outbox, daemon, id)
}

#[test]
fn a_file_that_was_deleted_ends_an_idle_daemon_which_makes_no_new_one() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let daemon = outbox.daemon();
    for ending in ["", "-wal", "-shm"] {
        fs::remove_file(file(&outbox, ending)).unwrap();
    }
    let ended = daemon.wait(SOON).expect(1);
    assert!(ended.stderr.contains("deleted"), "{ended:?}");
    assert!(!outbox.database().path().exists());
}

#[test]
fn a_log_that_was_deleted_ends_the_daemon_before_it_claims_anything() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let daemon = outbox.daemon();
    fs::remove_file(file(&outbox, "-wal")).unwrap();
    let ended = daemon.wait(SOON).expect(1);
    assert!(ended.stderr.contains("outbox.db-wal was deleted"), "{ended:?}");
    let id = outbox.chat(1, "hi");
    let _next = outbox.daemon();
    assert_eq!(outbox.settled(id)["status"], "sent");
    assert_eq!(server.words(), ["hi"]);
}

#[test]
fn a_deleted_file_costs_no_answer_that_is_still_to_come() {
    let (server, gate) = (Server::start(), Gate::closed());
    let (outbox, mut daemon, id) = on_the_wire(&server, &gate);
    fs::remove_file(file(&outbox, "")).unwrap();
    daemon.wait_for_log("was deleted");
    gate.open();
    let ended = daemon.wait(SOON).expect(1);
    // There is nowhere to record it: a person reads it in the log.
    let told = format!(r#""job":{id},"attempt":1,"status":"sent","message_id":"5""#);
    assert!(ended.stderr.contains(&told), "{ended:?}");
}

#[test]
fn a_result_goes_into_the_copy_that_has_taken_the_files_place() {
    let (server, gate) = (Server::start(), Gate::closed());
    let (outbox, mut daemon, id) = on_the_wire(&server, &gate);
    let waiting = outbox.chat(2, "waiting");
    let copy = outbox.folder().join("copy");
    outbox.execute(&format!("VACUUM INTO '{}'", copy.display()));
    fs::rename(&copy, file(&outbox, "")).unwrap();
    fs::remove_file(file(&outbox, "-wal")).unwrap();
    fs::remove_file(file(&outbox, "-shm")).unwrap();
    daemon.wait_for_log("was replaced");
    gate.open();
    daemon.wait(SOON).expect(1);
    let row = outbox.row(id);
    assert_eq!((row.text("status"), row.text("message_id")), ("sent", "5"));
    assert_eq!(outbox.status(waiting), "pending");
    outbox.run_until_empty();
    assert_eq!(server.words(), ["on the wire", "waiting"]);
}

#[test]
fn a_result_does_not_go_into_another_outbox_that_has_taken_the_files_place() {
    let (server, gate) = (Server::start(), Gate::closed());
    let other = Outbox::new(&server);
    let waiting = other.chat(7, "of the other");
    let (outbox, mut daemon, _) = on_the_wire(&server, &gate);
    fs::copy(file(&other, ""), file(&outbox, "-new")).unwrap();
    fs::rename(file(&outbox, "-new"), file(&outbox, "")).unwrap();
    fs::remove_file(file(&outbox, "-wal")).unwrap();
    fs::remove_file(file(&outbox, "-shm")).unwrap();
    daemon.wait_for_log("was replaced");
    gate.open();
    daemon.wait(SOON).expect(1);
    assert_eq!(outbox.status(waiting), "pending");
    assert!(outbox.history(waiting).is_empty());
    assert_eq!(server.words(), ["on the wire"]);
}

#[test]
fn a_damaged_page_ends_the_daemon_and_nothing_is_sent_again_behind_it() {
    let (server, gate) = (Server::start(), Gate::closed());
    let (outbox, daemon, id) = on_the_wire(&server, &gate);
    let later = outbox.chat(2, "not sent by a damaged outbox");
    // What it has not read yet, so that it is no page of its cache: where the result goes.
    let page = outbox
        .database()
        .number("SELECT rootpage FROM sqlite_schema WHERE name = 'outbox_attempts'");
    outbox.execute("PRAGMA wal_checkpoint(TRUNCATE)");
    let database = fs::OpenOptions::new().write(true).open(outbox.database().path()).unwrap();
    let page_start = u64::try_from((page - 1) * 4096).unwrap();
    database.write_all_at(&[0xa5; 4096], page_start).unwrap();
    drop(database);
    gate.open();
    let ended = daemon.wait(Duration::from_secs(30)).expect(1);
    assert!(ended.stderr.contains("malformed"), "{ended:?}");
    let told = format!(r#""job":{id},"attempt":1,"status":"sent","message_id":"5""#);
    assert!(ended.stderr.contains(&told), "{ended:?}");
    // The next one must not send it again: it cannot even record what it would decide.
    let again = outbox.run(&["run"]).expect(1);
    assert!(again.stderr.contains("malformed"), "{again:?}");
    assert_eq!((outbox.status(id), outbox.status(later)), ("sending".into(), "pending".into()));
    assert_eq!(server.words(), ["on the wire"]);
}
