//! What a crash leaves behind, and what the next dispatcher makes of it.

use crate::support::{
    Gate, Job, Outbox, Reply, SOON, Server, eventually, now_ms, sqlite_only, write_lock,
};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

const HOLD: &str = "[channels.chat]\non_uncertain = \"hold\"";

/// A job whose request has arrived, whose answer never came, and whose daemon is dead.
fn killed_while_sending(server: &Server, more: &str) -> (Outbox, i64) {
    server.queue([Reply::hang()]);
    let outbox = Outbox::setup(server).more(more).ready();
    let mut daemon = outbox.daemon();
    let id = outbox.chat(1, "hi");
    server.wait_for(1);
    daemon.kill9();
    let row = outbox.row(id);
    assert_eq!((row.text("status"), row.int("attempts")), ("sending", 1));
    (outbox, id)
}

#[test]
fn the_claim_is_durable_before_the_request_arrives() {
    let seen: Arc<Mutex<Vec<(Value, Value)>>> = Arc::default();
    let outbox: Arc<OnceLock<Outbox>> = Arc::default();
    let (sink, asked) = (Arc::clone(&seen), Arc::clone(&outbox));
    let server = Server::answering(move |request| {
        let outbox = asked.get().expect("set before the daemon starts");
        let row = outbox.one("SELECT status, attempts FROM outbox");
        sink.lock().unwrap().push((row["status"].clone(), row["attempts"].clone()));
        if request.number == 0 { Reply::status(500) } else { Reply::accepted(request) }
    });
    let outbox = outbox.get_or_init(|| Outbox::new(&server));
    outbox.chat(1, "hi");
    outbox.run_until_empty();
    let expected = [(json!("sending"), json!(1)), (json!("sending"), json!(2))];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn a_claim_survives_kill_nine_and_is_sent_again_under_retry() {
    let server = Server::start();
    let (outbox, id) = killed_while_sending(&server, "");
    outbox.run_until_empty();
    let row = outbox.row(id);
    assert_eq!((row.text("status"), row.int("attempts")), ("sent", 2));
    assert_eq!(outbox.outcomes(id), ["uncertain", "accepted"]);
    assert_eq!(server.words(), ["hi", "hi"]);
}

#[test]
fn a_claim_survives_kill_nine_and_is_left_to_a_person_under_hold() {
    let server = Server::start();
    let (outbox, id) = killed_while_sending(&server, HOLD);
    let later = outbox.chat(1, "the next");
    outbox.run_until_empty();
    let row = outbox.row(id);
    assert_eq!((row.text("status"), row.int("attempts")), ("uncertain", 1));
    assert!(!row.text("error").is_empty() && !row.text("error_code").is_empty());
    assert!(row.is_null("finished_at"));
    assert_eq!(outbox.outcomes(id), ["uncertain"]);
    assert_eq!(outbox.status(later), "sent");
    assert_eq!(server.words(), ["hi", "the next"]);
}

/// It has an answer that it could not record, because another program has the write lock, and is dead.
fn killed_with_an_answer(server: &Server, more: &str) -> (Outbox, i64, PathBuf) {
    let gate = server.hold();
    let outbox = Outbox::setup(server).more(more).ready();
    let mut daemon = outbox.daemon();
    let id = outbox.chat(1, "hi");
    server.wait_for(1);
    let (release, lock) = write_lock(outbox.database());
    gate.open();
    let note = outbox.folder().join(".outbox.db.dispatcher-answers");
    eventually(SOON, "the answer in the note", || {
        fs::read(&note).unwrap().windows(6).any(|text| text == b"\"8289\"")
    });
    daemon.kill9();
    drop(release);
    lock.join().unwrap();
    assert_eq!(outbox.status(id), "sending");
    (outbox, id, note)
}

#[test]
fn an_answer_that_was_not_recorded_is_recorded_by_the_next_start() {
    sqlite_only!("the note of answers next to the file");
    for more in ["", HOLD] {
        let server = Server::start();
        let (outbox, id, _) = killed_with_an_answer(&server, more);
        outbox.run_until_empty();
        let row = outbox.row(id);
        assert_eq!((row.text("status"), row.text("message_id")), ("sent", "8289"), "{row:?}");
        assert_eq!(outbox.outcomes(id), ["accepted"]);
        assert_eq!(server.count(), 1);
    }
}

/// The job is of unknown outcome, as without a note.
#[test]
fn a_note_of_answers_that_cannot_be_read_or_is_of_another_start_is_ignored() {
    sqlite_only!("the note of answers next to the file");
    let damages: [fn(&Path); 4] = [
        |note| fs::remove_file(note).unwrap(),
        |note| fs::write(note, [0xff; 100]).unwrap(),
        |note| edit(note, "\"epoch\":1,", "\"epoch\":2,"),
        |note| edit(note, "\"8289\"", "8289\""),
    ];
    for damage in damages {
        let server = Server::start();
        let (outbox, id, note) = killed_with_an_answer(&server, "");
        damage(&note);
        outbox.run_until_empty();
        assert_eq!(outbox.status(id), "sent");
        assert_eq!(outbox.outcomes(id), ["uncertain", "accepted"]);
        assert_eq!(server.count(), 2);
    }
}

fn edit(file: &Path, from: &str, to: &str) {
    let bytes = fs::read(file).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(file, text.replace(from, to)).unwrap();
}

#[test]
fn crashes_count_towards_the_bound_of_uncertain_attempts() {
    let server = Server::answering(|_| Reply::hang());
    let two = "[channels.chat]\nuncertain_retries = 2";
    let outbox = Outbox::setup(&server).more(two).ready();
    let id = outbox.chat(1, "hi");
    for crash in 1..=2 {
        let mut daemon = outbox.daemon();
        server.wait_for(crash);
        daemon.kill9();
    }
    outbox.run_until_empty();
    assert_eq!(outbox.status(id), "uncertain");
    assert_eq!(server.count(), 2);
}

#[test]
fn kill_nine_among_many_loses_nothing() {
    let server = Server::answering(|r| Reply::accepted(r).delay(Duration::from_millis(4)));
    // A job may be on the wire at each of the three crashes.
    let outbox = Outbox::setup(&server).more("[channels.chat]\nuncertain_retries = 9").ready();
    outbox.add_all((0..300).map(|n| Job::chat(n % 40 + 1, &format!("message {n}"))));
    for already in [40, 110, 190] {
        let mut daemon = outbox.daemon();
        server.wait_for(already);
        daemon.kill9();
    }
    outbox.run_until_empty();
    assert_eq!(outbox.count("sent"), 300);
    let words = server.words();
    for n in 0..300 {
        assert!(words.contains(&format!("message {n}")), "message {n} was never sent");
    }
    // Each conversation is in order; only what was on the wire at a crash stands there twice.
    for case in 0..40 {
        let mut of_case: Vec<i64> = words
            .iter()
            .map(|words| words["message ".len()..].parse().unwrap())
            .filter(|n| n % 40 == case)
            .collect();
        of_case.dedup();
        assert!(of_case.is_sorted(), "case {case}: {of_case:?}");
    }
}

#[test]
fn a_wait_for_the_next_attempt_survives_a_restart() {
    let server = Server::start();
    server.queue([Reply::status(503)]);
    let outbox = Outbox::setup(&server).retry("initial = \"10m\"").ready();
    let mut daemon = outbox.daemon();
    let waiting = outbox.chat(1, "waiting");
    let due = |row: &crate::support::Row| !row.is_null("next_attempt_at");
    let before = outbox.when(waiting, "due again", due);
    daemon.kill9();
    let _daemon = outbox.daemon();
    let other = outbox.chat(2, "other");
    assert_eq!(outbox.settled(other)["status"], "sent");
    assert_eq!(outbox.row(waiting), before);
    assert!(before.int("next_attempt_at") > now_ms());
    assert_eq!(server.words(), ["waiting", "other"]);
}

#[test]
fn a_standby_takes_over_after_kill_nine() {
    sqlite_only!("a second daemon stands by; on PostgreSQL it is a second node");
    let server = Server::start();
    server.queue([Reply::hang()]);
    let outbox = Outbox::new(&server);
    let mut first = outbox.daemon();
    let mut standby = outbox.program().start(&["run"]);
    standby.wait_for_log("standing by");
    let stuck = outbox.chat(1, "stuck");
    server.wait_for(1);
    assert!(!standby.stderr().contains("ready"), "{}", standby.stderr());
    first.kill9();
    let mut standby = standby.ready();
    assert_eq!(outbox.settled(stuck)["status"], "sent");
    let new = outbox.chat(2, "new");
    assert_eq!(outbox.settled(new)["status"], "sent");
    assert_eq!(server.words(), ["stuck", "stuck", "new"]);
    assert!(standby.is_running());
}

#[test]
fn a_standby_takes_over_after_an_orderly_end_and_sends_nothing_before() {
    sqlite_only!("a second daemon stands by; on PostgreSQL it is a second node");
    let gate = Gate::closed();
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let first = outbox.daemon();
    let mut standby = outbox.program().start(&["run"]);
    standby.wait_for_log("standing by");
    for case in 1..=50 {
        outbox.chat(case, "by the first");
    }
    eventually(SOON, "all are sent", || outbox.count("sent") == 50);
    assert_eq!(server.count(), 50, "each once");

    server.queue([Reply::json(200, json!({"data": {"id": 5}})).behind(&gate)]);
    let draining = outbox.chat(1, "on the wire");
    server.wait_for(51);
    first.sigterm_seen();
    let next = outbox.chat(2, "by the second");
    gate.open();
    first.wait(SOON).expect(0);
    assert_eq!(outbox.settled(draining)["message_id"], "5");
    assert_eq!(outbox.settled(next)["status"], "sent");
    standby.wait_for_log("ready");
    assert_eq!(server.count(), 52);
}

#[test]
fn a_standby_ends_at_once_on_sigterm() {
    sqlite_only!("a second daemon stands by; on PostgreSQL it is a second node");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let mut first = outbox.daemon();
    let mut standby = outbox.program().start(&["run"]);
    standby.wait_for_log("standing by");
    standby.sigterm();
    standby.wait(SOON).expect(0);
    assert!(first.is_running());
    let id = outbox.chat(1, "hi");
    assert_eq!(outbox.settled(id)["status"], "sent");
}
