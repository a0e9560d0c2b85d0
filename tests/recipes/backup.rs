//! Copies of a file that is in use, and what is sent after a restore.

use crate::page::{Machine, block, can_run, text};
use crate::support::{Database, Gate, Outbox, Reply, SOON, Server, eventually, skipped};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[test]
fn a_backup_beside_a_daemon_at_work_is_whole() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let machine = Machine::with_shop(Outbox::setup(&server));
    let _daemon = machine.daemon();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // A bounded load: 400 messages at most, while the copies are made.
            for case in 1..=400 {
                machine.chat(case, "under load");
                if ended.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        eventually(SOON, "some are sent", || machine.count("sent") >= 20);
        let before = machine.shop.number("SELECT max(id) FROM outbox");
        assert_eq!(machine.run(block("VACUUM INTO")), "ok\n");
        machine.run(block(".backup "));
        ended.store(true, Ordering::Relaxed);
        for name in ["shop.db", "shop-again.db"] {
            let copy = Database::at(machine.path("/var/backups").join(name));
            assert_eq!(copy.one("PRAGMA integrity_check")["integrity_check"], "ok");
            let rows = copy.number("SELECT count(*) FROM outbox");
            assert!(rows >= before, "{name}: {rows} of {before}");
            assert_eq!(copy.number("SELECT max(id) FROM outbox"), rows, "of one moment");
        }
    });
    let again = machine.try_run(block("VACUUM INTO"));
    assert!(!again.status.success(), "it writes over nothing: {again:?}");
}

/// A backup in which two messages are pending that are sent after it.
fn sent_after_the_backup(server: &Server) -> Machine {
    let machine = Machine::with_shop(Outbox::setup(server));
    for words in ["one", "two"] {
        let created = "strftime('%s', 'now') * 1000 - 7200000";
        let payload = format!("json_object('caseId', 1, 'message', '{words}')");
        machine.shop.execute(&format!(
            "INSERT INTO outbox (channel, payload, created_at, idempotency_key)
             VALUES ('chat', {payload}, {created}, '{words}')"
        ));
    }
    machine.run(block("VACUUM INTO"));
    machine.run_until_empty();
    assert_eq!(server.words(), ["one", "two"]);
    machine
}

#[test]
fn a_restored_backup_sends_again_what_was_sent_since() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let machine = sent_after_the_backup(&server);
    machine.run("rm /var/lib/shop/shop.db*; cp /var/backups/shop.db /var/lib/shop/shop.db");
    machine.run_until_empty();
    assert_eq!(server.words(), ["one", "two", "one", "two"]);
}

#[test]
fn a_backup_that_is_restored_as_the_page_says_sends_nothing_again() {
    if !can_run() {
        return;
    }
    for mended in ["ATTACH ", "--older-than 1h"] {
        let server = Server::start();
        let machine = sent_after_the_backup(&server);
        machine.run(block("'restored a backup'"));
        // Paused, though the daemon runs.
        let daemon = machine.daemon();
        machine.chat(7, "new");
        machine.run(block(mended));
        eventually(SOON, "what is new is sent", || machine.count("sent") == 1);
        daemon.sigterm();
        daemon.wait(SOON);
        assert_eq!(server.words(), ["one", "two", "new"], "{mended}");
        assert_eq!(machine.count("cancelled"), 2);
        assert!(machine.path("/var/lib/shop/before/shop.db").exists());
    }
}

#[test]
fn what_was_on_the_wire_when_the_backup_was_made_is_not_sent_again_either() {
    if !can_run() {
        return;
    }
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::answering(move |request| Reply::accepted(request).behind(&held));
    let machine = Machine::with_shop(Outbox::setup(&server));
    let daemon = machine.daemon();
    machine.chat(1, "on the wire");
    server.wait_for(1);
    machine.run(block("VACUUM INTO"));
    gate.open();
    eventually(SOON, "it is sent", || machine.count("sent") == 1);
    daemon.sigterm();
    daemon.wait(SOON);

    machine.run(block("'restored a backup'"));
    assert_eq!(machine.count("sending"), 1);
    let _daemon = machine.daemon();
    eventually(SOON, "it is decided", || machine.count("pending") == 1);
    machine.chat(2, "new");
    machine.run(block("ATTACH "));
    eventually(SOON, "what is new is sent", || machine.count("sent") == 1);
    assert_eq!(server.words(), ["on the wire", "new"]);
}

/// Litestream, where it is: on the PATH, or where the gate puts it.
fn litestream() -> Option<PathBuf> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/litestream/bin/litestream");
    let places = [ours, PathBuf::from("litestream")];
    let found =
        places.into_iter().find(|place| Command::new(place).arg("version").output().is_ok());
    if found.is_none() {
        skipped("litestream is not installed, its recipe was not run");
    }
    found
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn litestream_copies_what_the_daemon_does() {
    let Some(litestream) = litestream().filter(|_| can_run()) else { return };
    let server = Server::start();
    let machine = Machine::with_shop(Outbox::setup(&server));
    let configuration = machine.here(text("yaml", "replicas:"));
    fs::write(machine.path("/etc/litestream.yml"), configuration).unwrap();
    if litestream.is_absolute() {
        std::os::unix::fs::symlink(&litestream, machine.path("bin/litestream")).unwrap();
    }
    let daemon = machine.daemon();
    let command = machine.here(block("litestream replicate"));
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    let _replicating = Running(Command::new(&litestream).args(words).spawn().unwrap());
    for case in 1..=50 {
        machine.chat(case, "copied");
    }
    eventually(SOON, "all are sent", || machine.count("sent") == 50);
    let restored = machine.path("/var/backups/restored.db");
    eventually(SOON * 2, "the replica has them", || {
        let _ = fs::remove_file(&restored);
        let ran = machine.try_run(block("litestream restore"));
        let copy = Database::at(&restored);
        ran.status.success()
            && copy.number("SELECT count(*) FROM outbox WHERE status = 'sent'") == 50
    });
    assert_eq!(server.count(), 50);
    daemon.sigterm();
    assert_eq!(daemon.wait(SOON).code, Some(0));
}
