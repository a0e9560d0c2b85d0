//! Copies of a file that is in use, and what is sent after a restore.

use super::page::{Machine, block, can_run, text};
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

/// The messages that arrived, without the requests of `check`.
fn sent(server: &Server) -> Vec<String> {
    server.words().into_iter().filter(|words| !words.is_empty()).collect()
}

/// However the backup is restored: with the old files moved or deleted, over them, or by SQLite
/// itself.
const RESTORES: [&str; 4] = [
    "rm /var/lib/shop/shop.db*; cp /var/backups/shop.db /var/lib/shop/shop.db",
    "cp /var/backups/shop.db /var/lib/shop/shop.db",
    "mkdir /var/away; mv /var/lib/shop/shop.db* /var/away/; mv /var/backups/shop.db /var/lib/shop/shop.db",
    "sqlite3 /var/lib/shop/shop.db '.restore /var/backups/shop.db'",
];

#[test]
fn a_restored_backup_sends_nothing_until_a_person_has_decided() {
    if !can_run() {
        return;
    }
    for restore in RESTORES {
        let server = Server::start();
        let machine = sent_after_the_backup(&server);
        machine.run(restore);
        let checked = machine.try_run("acquire-outbox check");
        let said = String::from_utf8_lossy(&checked.stdout);
        assert!(said.contains("is older than what was sent from it"), "{said}");
        let mut daemon = machine.listening();
        daemon.wait_for_log("is older than what was sent from it");
        let new = machine.chat(7, "new");
        assert_eq!(daemon.get("/readyz").status, 503);
        let reasons = daemon.get("/readyz").json()["reasons"].to_string();
        assert!(reasons.contains("a backup was restored"), "{reasons}");
        assert!(daemon.get("/").body.contains("restored backup"));
        assert_eq!(daemon.scrape().number("acquire_outbox_restored_backup"), 1.0);
        for command in ["status", "show 1"] {
            let said = machine.run(&format!("acquire-outbox {command}"));
            assert!(said.contains("acquire-outbox resume --restored"), "{said}");
        }
        daemon.sigterm();
        daemon.wait(SOON).expect(0);
        // It is detected once, and the pause stays over restarts.
        let mut daemon = machine.listening();
        assert!(!daemon.stderr().contains("like a restored backup"), "{}", daemon.stderr());
        eventually(SOON, "the page says it again", || daemon.get("/readyz").status == 503);
        assert_eq!(sent(&server), ["one", "two"], "{restore}");

        let said = machine.run("acquire-outbox resume --restored");
        assert!(said.contains("2 jobs that may have been sent are now uncertain"), "{said}");
        eventually(SOON, "what is new is sent", || machine.count("sent") == 1);
        assert_eq!(sent(&server), ["one", "two", "new"], "{restore}");
        eventually(SOON, "it is ready again", || daemon.get("/readyz").status == 200);
        assert_eq!(
            machine.shop.number(&format!("SELECT status = 'sent' FROM outbox WHERE id = {new}")),
            1
        );
        let listed = machine.run("acquire-outbox list --error-code restored --json");
        assert_eq!(listed.matches("\"uncertain\"").count(), 2, "{listed}");
        machine.run("acquire-outbox resolve --error-code restored --sent --yes");
        assert_eq!(machine.count("sent"), 3);
    }
}

#[test]
fn a_person_may_have_all_of_a_restored_backup_sent_again() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let machine = sent_after_the_backup(&server);
    machine.run(RESTORES[0]);
    machine.run_until_empty();
    assert_eq!(server.words(), ["one", "two"]);
    machine.run("acquire-outbox resume --all");
    machine.run_until_empty();
    assert_eq!(server.words(), ["one", "two", "one", "two"]);
    let again = machine.try_run("acquire-outbox resume --restored");
    assert_eq!(again.status.code(), Some(1), "{again:?}");
}

#[test]
fn a_backup_of_the_same_start_is_recognised_by_what_was_sent_since() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let machine = Machine::with_shop(Outbox::setup(&server));
    let mut daemon = machine.daemon();
    machine.chat(1, "before");
    eventually(SOON, "it is sent", || machine.count("sent") == 1);
    machine.shop.execute("INSERT INTO outbox_pauses (channel) VALUES ('mail')");
    machine.run(block("VACUUM INTO"));
    machine.chat(2, "since");
    eventually(SOON, "it is sent, too", || machine.count("sent") == 2);
    let until_noted = || {
        let note = fs::read_to_string(machine.path("/var/lib/shop/.shop.db.dispatcher-note"));
        note.is_ok_and(|note| note.contains(r#""job":2,"#))
    };
    eventually(SOON, "it is noted within a second", until_noted);
    daemon.kill9();
    machine.run(RESTORES[0]);
    machine.chat(3, "another, in the place of the second");
    let mut daemon = machine.daemon();
    daemon.wait_for_log("is older than what was sent from it");
    assert_eq!(server.words(), ["before", "since"]);
}

#[test]
fn what_has_not_gone_back_is_not_held() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let machine = Machine::with_shop(Outbox::setup(&server));
    machine.chat(1, "one");
    machine.run_until_empty();
    let goes_on = |what: &str, prepared: &str| {
        machine.run(prepared);
        machine.chat(1, what);
        machine.run_until_empty();
        assert_eq!(server.words().last().map(String::as_str), Some(what), "held after: {what}");
        assert_eq!(machine.count("pending"), 0, "{what}");
    };
    goes_on(
        "a copy of the whole folder",
        "cp -a /var/lib/shop /var/copy; rm -r /var/lib/shop; mv /var/copy /var/lib/shop",
    );
    goes_on(
        "a backup of what was all sent",
        "sqlite3 /var/lib/shop/shop.db \"VACUUM INTO '/var/b.db'\"; rm /var/lib/shop/shop.db*; mv /var/b.db /var/lib/shop/shop.db",
    );
    goes_on(
        "a job that was deleted",
        "sqlite3 -cmd '.timeout 5000' /var/lib/shop/shop.db 'DELETE FROM outbox'",
    );
    goes_on("a vacuum", "sqlite3 -cmd '.timeout 5000' /var/lib/shop/shop.db VACUUM");
    goes_on("another outbox", "rm /var/lib/shop/shop.db*; acquire-outbox init");
    goes_on("a note that cannot be read", "echo nonsense > /var/lib/shop/.shop.db.dispatcher-note");
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

/// With the note of answers, the restored outbox learns what became of it.
#[test]
fn what_was_on_the_wire_when_the_backup_was_made_is_not_sent_again_either() {
    if !can_run() {
        return;
    }
    for (is_noted, becomes) in [(true, "sent"), (false, "pending")] {
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
        if !is_noted {
            fs::remove_file(machine.path("/var/lib/shop/.shop.db.dispatcher-answers")).unwrap();
        }
        let _daemon = machine.daemon();
        eventually(SOON, "it is decided", || machine.count(becomes) == 1);
        machine.chat(2, "new");
        machine.run(block("ATTACH "));
        let sent = if is_noted { 2 } else { 1 };
        eventually(SOON, "what is new is sent", || machine.count("sent") == sent);
        assert_eq!(server.words(), ["on the wire", "new"]);
    }
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
