//! What wakes the idle daemon: an event of the `-wal` file, and behind it a slow poll. Each is
//! shown where the other cannot be the cause: time that stands still ends no pause, and events
//! are taken away by system calls that fail (strace).

use crate::support::{Daemon, Job, Outbox, SOON, Server, can_trace, eventually, sqlite_only};
use std::fs;
use std::path::Path;

const SAID: &str = "no file events for the database";

/// The daemon in a world where time stands still: none of its pauses ever ends, the poll's neither.
fn timeless(outbox: &Outbox) -> Option<Daemon> {
    let library = crate::support::libfaketime()?;
    let program = outbox.program().env("LD_PRELOAD", library.to_str().unwrap());
    let program = program.env("FAKETIME", "2026-11-22 07:00:00").env("NO_FAKE_STAT", "1");
    Some(program.start(&["run"]).ready())
}

/// Each thread's state and how often it has been switched; equal before and after a moment at
/// which all slept, they slept all along.
fn threads(daemon: &Daemon) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("it runs");
    let status = |task: fs::DirEntry| fs::read_to_string(task.path().join("status")).ok();
    let told = |line: &&str| line.starts_with("State:") || line.contains("ctxt_switches:");
    tasks
        .filter_map(|task| status(task.ok()?))
        .map(|status| status.lines().filter(told).collect::<Vec<_>>().join("\n"))
        .collect()
}

/// Waits until every thread of the daemon sleeps: it has done all it knows of.
#[track_caller]
fn at_rest(daemon: &Daemon) {
    eventually(SOON, "a daemon at rest", || {
        let before = threads(daemon);
        before.iter().all(|thread| thread.contains("S (sleeping)")) && threads(daemon) == before
    });
}

/// Rows inserted one by one, each into a daemon at rest, are sent one by one.
#[track_caller]
fn wakes(daemon: &Daemon, outbox: &Outbox) {
    for case in 0..5 {
        at_rest(daemon);
        let id = outbox.chat(case, "hi");
        assert_eq!(outbox.settled(id)["status"], "sent");
    }
}

#[test]
fn an_event_alone_wakes_the_daemon() {
    sqlite_only!("events of its log; tests/nodes has the bell");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let Some(daemon) = timeless(&outbox) else { return };
    wakes(&daemon, &outbox);
    // The log is emptied, or written from its beginning again.
    for mode in ["TRUNCATE", "RESTART"] {
        outbox.execute(&format!("PRAGMA wal_checkpoint({mode})"));
        // Emptying it is an event without a commit; this one ends the looks for it.
        let id = outbox.chat(9, "hi");
        assert_eq!(outbox.settled(id)["status"], "sent");
        wakes(&daemon, &outbox);
    }
    assert_eq!(server.count(), 17);
    assert!(!daemon.stderr().contains(SAID));
}

/// The event comes when the log is written, before its fsync; only after that the commit is there.
#[test]
fn a_commit_that_is_long_in_coming_after_its_event_is_waited_for() {
    sqlite_only!("events of its log; tests/nodes has the bell");
    if !can_trace() {
        return;
    }
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let Some(daemon) = timeless(&outbox) else { return };
    for case in ["1", "2", "3"] {
        at_rest(&daemon);
        let slow_disk = ["-e", "trace=fsync,fdatasync", "-e"];
        let slow_disk = [&slow_disk[..], &["inject=fsync,fdatasync:delay_enter=200000"]].concat();
        let producer = outbox.program().traced(&slow_disk);
        producer.run(&["send", "chat", "--case-id", case, "--message", "hi"]).expect(0);
        eventually(SOON, "sent", || outbox.count("sent").to_string() == case);
    }
    let trace = fs::read_to_string(outbox.folder().join("trace")).unwrap();
    assert!(trace.contains("outbox.db-wal") && trace.contains("DELAYED"), "{trace}");
}

#[test]
fn the_log_of_a_database_behind_a_symbolic_link_is_watched() {
    sqlite_only!("events of its log; tests/nodes has the bell");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let (path, elsewhere) = (outbox.database().path(), outbox.folder().join("elsewhere"));
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(path, elsewhere.join("real.db")).unwrap();
    std::os::unix::fs::symlink(Path::new("elsewhere/real.db"), path).unwrap();
    let Some(daemon) = timeless(&outbox) else { return };
    wakes(&daemon, &outbox);
}

/// The daemon, with a system call that ends as strace's `inject` says.
fn injected(outbox: &Outbox, options: &[&str], inject: &str) -> Option<Daemon> {
    let (call, inject) = (inject.split(':').next()?, format!("inject={inject}"));
    let calls = format!("trace={call}");
    let program = outbox.program().traced(&[options, &["-e", &calls, "-e", &inject]].concat());
    can_trace().then(|| program.start(&["run"]).ready())
}

/// Sends what comes, and has said `times` times that there are no events.
#[track_caller]
fn polls(server: &Server, outbox: &Outbox, daemon: &Daemon, times: usize) {
    for case in 1..=4 {
        let id = outbox.add(Job::sms(case, "hi"));
        assert_eq!(outbox.settled(id)["status"], "sent");
    }
    assert_eq!(server.count(), 4);
    assert_eq!(daemon.stderr().matches(SAID).count(), times, "{}", daemon.stderr());
    let trace = fs::read_to_string(outbox.folder().join("trace")).unwrap();
    assert!(trace.contains("INJECTED"), "{trace}");
}

#[test]
fn where_no_events_can_be_had_the_poll_wakes_and_the_log_says_so() {
    sqlite_only!("events of its log; tests/nodes has the bell");
    for inject in ["inotify_init1:error=EMFILE", "inotify_add_watch:error=ENOSPC"] {
        let server = Server::start();
        let outbox = Outbox::new(&server);
        let Some(daemon) = injected(&outbox, &[], inject) else { return };
        polls(&server, &outbox, &daemon, 1);
    }
}

/// As on a network file system, where another machine writes: the watch is taken, and tells nothing.
#[test]
fn where_the_file_system_tells_nothing_the_poll_wakes() {
    sqlite_only!("events of its log; tests/nodes has the bell");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let Some(daemon) = injected(&outbox, &[], "inotify_add_watch:retval=1") else { return };
    polls(&server, &outbox, &daemon, 0);
}

#[test]
fn events_that_fail_later_leave_the_poll_and_the_log_says_so_once() {
    sqlite_only!("events of its log; tests/nodes has the bell");
    for from in 1..=4 {
        let server = Server::start();
        let outbox = Outbox::new(&server);
        let inject = format!("read:error=EIO:when={from}+");
        let of_events = ["-P", "anon_inode:inotify"];
        let Some(daemon) = injected(&outbox, &of_events, &inject) else { return };
        polls(&server, &outbox, &daemon, 1);
    }
}
