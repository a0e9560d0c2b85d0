//! The disk under the database: full, read-only, locked by somebody, its log kept long by a reader.

use crate::support::{
    Daemon, Database, Gate, Job, Outbox, Reply, SOON, Server, SmallDisk, eventually, write_lock,
};
use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const ONE_AT_A_TIME: &str = "[channels.chat]\nmax_in_flight = 1";
const TROUBLE: &str = "the database cannot be used";

/// How often the log says so.
fn said(daemon: &Daemon, words: &str) -> usize {
    daemon.stderr().matches(words).count()
}

fn all_sent(database: &Database) -> bool {
    database.number("SELECT count(*) FROM outbox WHERE status <> 'sent'") == 0
}

#[test]
fn a_full_disk_stops_the_claims_keeps_the_results_and_costs_nothing_once_there_is_room() {
    let (server, gate) = (Server::start(), Gate::closed());
    server.queue([Reply::json(200, crate::support::chat_accepted(5)).behind(&gate)]);
    let outbox = Outbox::setup(&server).more(ONE_AT_A_TIME).written();
    let Some(disk) = SmallDisk::mount(outbox.folder().join("small"), 2) else { return };
    disk.program(&outbox).run(&["init"]).expect(0);
    let database = disk.database();
    let mut daemon = disk.program(&outbox).start(&["run"]).ready();
    for case in 1..=3 {
        database.try_insert(&Job::chat(case, &format!("message {case}")).sql()).unwrap();
    }
    server.wait_for(1);
    let filler = disk.fill();
    gate.open();
    daemon.wait_for_log(TROUBLE);
    // For some of its tries, a producer is told, too.
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        let refused = database.try_insert(&Job::chat(9, "no room for this").sql()).unwrap_err();
        assert!(refused.contains("full") || refused.contains("disk I/O"), "{refused}");
    }
    let room_since = Instant::now();
    fs::remove_file(filler).unwrap();
    eventually(SOON, "all are sent", || all_sent(&database));
    eventually(SOON, "the end is told", || said(&daemon, "can be used again") == 1);
    assert_eq!(said(&daemon, TROUBLE), 1, "{}", daemon.stderr());
    assert_eq!(database.one("SELECT message_id FROM outbox WHERE id = 1")["message_id"], "5");
    assert_eq!(server.words(), ["message 1", "message 2", "message 3"]);
    assert!(server.requests()[1].arrived > room_since, "sent without a claim on disk");
}

#[test]
fn a_read_only_disk_ends_the_start_with_a_sentence_and_nothing_is_sent() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    let Some(disk) = SmallDisk::mount(outbox.folder().join("small"), 2) else { return };
    disk.program(&outbox).run(&["init"]).expect(0);
    disk.database().try_insert(&Job::chat(1, "hi").sql()).unwrap();
    assert!(disk.remount("ro"));
    let ended = disk.program(&outbox).run(&["run"]).expect(1);
    assert!(ended.stderr.to_lowercase().contains("read-only"), "{ended:?}");
    assert!(ended.stderr.contains("outbox.db"), "{ended:?}");
    assert!(disk.remount("rw"));
    disk.program(&outbox).run(&["run", "--until-empty"]).expect(0);
    assert_eq!(server.words(), ["hi"]);
}

#[test]
fn a_producer_that_keeps_the_write_lock_delays_the_results_and_nothing_else() {
    let (server, gate) = (Server::start(), Gate::closed());
    server.queue([Reply::json(200, crate::support::chat_accepted(5)).behind(&gate)]);
    let outbox = Outbox::setup(&server).more(ONE_AT_A_TIME).ready();
    let mut daemon = outbox.daemon();
    let first = outbox.chat(1, "first");
    server.wait_for(1);
    let second = outbox.chat(2, "second");
    let (release, producer) = write_lock(outbox.database());
    gate.open();
    // Only after the busy timeout, which is 5 s.
    daemon.wait_for_log(TROUBLE);
    assert!(daemon.stderr().contains("locked"), "{}", daemon.stderr());
    assert_eq!((server.count(), outbox.status(first)), (1, "sending".to_owned()));
    let released_at = Instant::now();
    release.send(()).unwrap();
    producer.join().unwrap();
    assert_eq!(outbox.settled(first)["message_id"], "5");
    assert_eq!(outbox.settled(second)["status"], "sent");
    eventually(SOON, "the end is told", || said(&daemon, "can be used again") == 1);
    assert_eq!(said(&daemon, TROUBLE), 1, "{}", daemon.stderr());
    assert_eq!(server.words(), ["first", "second"]);
    assert!(server.requests()[1].arrived > released_at);
}

#[test]
fn a_start_waits_for_a_producer_that_keeps_the_write_lock() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "hi");
    let (release, producer) = write_lock(outbox.database());
    let mut daemon = outbox.program().start(&["run"]);
    daemon.wait_for_log("busy");
    release.send(()).unwrap();
    producer.join().unwrap();
    assert_eq!(outbox.settled(id)["status"], "sent");
}

fn wal_bytes(database: &Path) -> u64 {
    let mut wal = database.as_os_str().to_owned();
    wal.push("-wal");
    fs::metadata(wal).map_or(0, |meta| meta.len())
}

#[test]
fn a_log_that_a_long_reader_let_grow_is_cut_short_once_the_reader_has_gone() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    let database = outbox.database().clone();
    let (release, released) = mpsc::channel::<()>();
    let (reading, is_reading) = mpsc::channel();
    let reader = thread::spawn(move || {
        database.with(async |connection| {
            let read = "BEGIN; SELECT count(*) FROM outbox";
            sqlx::raw_sql(read).execute(&mut *connection).await.unwrap();
            reading.send(()).unwrap();
            let _ = released.recv();
        });
    });
    is_reading.recv().expect("the reader's snapshot");
    let words = "x".repeat(60_000);
    let jobs: Vec<String> = (0..200).map(|case| Job::chat(case, &words).sql()).collect();
    outbox.execute(&format!("BEGIN; {}; COMMIT", jobs.join(";")));
    eventually(Duration::from_secs(60), "all are sent", || outbox.count("sent") == 200);
    let grown = wal_bytes(outbox.database().path());
    assert!(grown > 20_000_000, "{grown}");
    release.send(()).unwrap();
    reader.join().unwrap();
    eventually(SOON, "a short log, although nobody writes", || {
        wal_bytes(outbox.database().path()) < 1_000_000
    });
}
