//! What the service manager is told, over a socket of the test's own.

use crate::support::{Daemon, Job, Manager, Outbox, Reply, SOON, Server, eventually, found};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn started(outbox: &Outbox, manager: &Manager) -> Daemon {
    manager.over(outbox.program()).start(&["run"])
}

/// A daemon under a watchdog of 400 ms, which asks for a ping each 100 ms.
fn watched(outbox: &Outbox, manager: &Manager) -> Daemon {
    let program = manager.over(outbox.program()).env("WATCHDOG_USEC", "400000");
    program.start(&["run"]).ready()
}

#[test]
fn a_standby_says_so_and_is_ready_only_with_the_lock() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let mut first = outbox.daemon();
    let manager = Manager::in_folder(outbox.folder());
    let second = started(&outbox, &manager);
    manager.wait_for("STATUS=standing by: another dispatcher works on ");
    let id = outbox.chat(1, "by the first");
    outbox.settled(id);
    assert_eq!(manager.heard().len(), 1, "{:?}", manager.heard());

    first.kill9();
    let ready = manager.wait_for("READY=1");
    assert_eq!(manager.heard()[ready - 1], "STATUS=recovering");
    drop(second);
}

#[test]
fn a_standby_that_is_stopped_says_so() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let _first = outbox.daemon();
    let manager = Manager::in_folder(outbox.folder());
    let second = started(&outbox, &manager);
    manager.wait_for("STATUS=standing by");
    second.sigterm();
    second.wait(SOON).expect(0);
    manager.wait_for("STOPPING=1");
    assert_eq!(manager.count("READY=1"), 0);
}

#[test]
fn ready_comes_after_the_recovery() {
    let server = Server::start();
    let gate = server.hold();
    let outbox = Outbox::setup(&server).more("[channels.chat]\non_uncertain = \"hold\"").ready();
    let mut first = outbox.daemon();
    let id = outbox.chat(1, "on the wire");
    server.wait_for(1);
    first.kill9();
    gate.open();

    let manager = Manager::in_folder(outbox.folder());
    let _second = started(&outbox, &manager);
    manager.wait_for("READY=1");
    assert_eq!(outbox.status(id), "uncertain");
}

#[test]
fn the_status_counts_what_happens_at_most_once_a_second() {
    let server = Server::start();
    let gate = server.hold();
    let outbox = Outbox::setup(&server).more("[channels.chat]\nmax_in_flight = 2").ready();
    let manager = Manager::in_folder(outbox.folder());
    let _daemon = started(&outbox, &manager);
    manager.wait_for_status("0 in flight, 0 sent since the start, 0 due, 0 waiting, none blocked");
    for case in 1..=5 {
        outbox.chat(case, "hi");
    }
    outbox.chat(5, "after the one before");
    manager.wait_for_status("2 in flight, 0 sent since the start, 3 due, 1 waiting, none blocked");
    gate.open();
    manager.wait_for_status("0 in flight, 6 sent since the start, 0 due, 0 waiting, none blocked");

    let counted = |text: &str| text.starts_with("STATUS=") && text.contains("in flight");
    let timed: Vec<_> = manager.timed().into_iter().filter(|(_, text)| counted(text)).collect();
    for pair in timed.windows(2) {
        assert!(pair[1].0 - pair[0].0 > Duration::from_millis(700), "{timed:?}");
        assert_ne!(pair[0].1, pair[1].1);
    }
}

#[test]
fn the_status_names_what_is_held() {
    let server = Server::start();
    server.queue([Reply::status(429).header("retry-after", 600)]);
    let outbox = Outbox::new(&server);
    let manager = Manager::in_folder(outbox.folder());
    let _daemon = started(&outbox, &manager);
    outbox.chat(1, "hi");
    manager.wait_for_status("1 waiting, blocked: default chat");
}

#[test]
fn an_idle_daemon_pings_and_says_nothing_else() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let manager = Manager::in_folder(outbox.folder());
    let _daemon = watched(&outbox, &manager);
    manager.wait_for_status("0 in flight");
    let before = manager.statuses();
    manager.wait_for_more("WATCHDOG=1", 25);
    assert_eq!(manager.statuses(), before);
}

#[test]
fn a_watchdog_for_another_process_is_not_ours() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let manager = Manager::in_folder(outbox.folder());
    let program = manager.over(outbox.program()).env("WATCHDOG_USEC", "2000");
    let daemon = program.env("WATCHDOG_PID", "1").start(&["run"]);
    manager.wait_for("READY=1");
    outbox.settled(outbox.chat(1, "hi"));
    daemon.sigterm();
    daemon.wait(SOON).expect(0);
    assert_eq!(manager.count("WATCHDOG=1"), 0);
}

#[test]
fn a_stop_says_how_long_it_may_take_and_pings_until_its_end() {
    let server = Server::start();
    let gate = server.hold();
    let outbox = Outbox::new(&server);
    let manager = Manager::in_folder(outbox.folder());
    let daemon = watched(&outbox, &manager);
    let id = outbox.chat(1, "on the wire");
    server.wait_for(1);
    daemon.sigterm();
    // 30 s for what is on the wire, 30 s for the database.
    manager.wait_for("STOPPING=1\nEXTEND_TIMEOUT_USEC=60000000");
    manager.wait_for_status("stopping: 1 in flight");
    manager.wait_for_more("WATCHDOG=1", 10);
    gate.open();
    daemon.wait(SOON).expect(0);
    assert_eq!(outbox.status(id), "sent");
}

/// Stops one thread of a process, as nothing but a debugger can; it goes on when this is dropped.
struct Frozen(libc::pid_t);

impl Frozen {
    fn thread(pid: u32, name: &str) -> Frozen {
        let tid = fs::read_dir(format!("/proc/{pid}/task"))
            .unwrap()
            .map(|task| task.unwrap().path())
            .find(|task| fs::read_to_string(task.join("comm")).unwrap().starts_with(name))
            .unwrap_or_else(|| panic!("a thread {name}"));
        let tid: libc::pid_t = tid.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: these requests take no memory of ours; the thread is one of our child's.
        unsafe {
            assert_eq!(libc::ptrace(libc::PTRACE_SEIZE, tid, none, none), 0);
            assert_eq!(libc::ptrace(libc::PTRACE_INTERRUPT, tid, none, none), 0);
            assert_eq!(libc::waitpid(tid, std::ptr::null_mut(), libc::__WALL), tid);
        }
        Frozen(tid)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: as above; we are its tracer.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, none, none) };
    }
}

#[test]
fn a_wedged_loop_stops_pinging_though_the_process_runs() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let manager = Manager::in_folder(outbox.folder());
    let daemon = watched(&outbox, &manager);
    manager.wait_for_more("WATCHDOG=1", 3);
    // The loop waits for its database's thread for ever; all others are free to run.
    let frozen = Frozen::thread(daemon.pid(), "sqlx-sqlite-wor");
    let interval = Duration::from_millis(400);
    found(SOON, "three intervals without a ping", || {
        let last = manager.timed().iter().rev().find(|(_, text)| text == "WATCHDOG=1")?.0;
        (last.elapsed() > 3 * interval).then_some(())
    });
    drop(frozen);
    manager.wait_for_more("WATCHDOG=1", 3);
    outbox.settled(outbox.chat(1, "it goes on"));
}

#[test]
fn a_database_in_trouble_is_told_and_the_loop_still_turns() {
    let server = Server::start();
    let gate = server.hold();
    let outbox = Outbox::new(&server);
    let manager = Manager::in_folder(outbox.folder());
    let _daemon = watched(&outbox, &manager);
    let id = outbox.chat(1, "accepted, and not yet on disk");
    server.wait_for(1);
    outbox.database().with(async |connection| {
        use sqlx::Executor as _;
        connection.execute("BEGIN IMMEDIATE").await.unwrap();
        gate.open();
        let status = "the database is locked by another program; try again when that has ended; \
                      0 in flight, 1 unrecorded in memory";
        manager.wait_for_status(status);
        manager.wait_for_more("WATCHDOG=1", 3);
        connection.execute("ROLLBACK").await.unwrap();
    });
    outbox.settled(id);
    manager.wait_for_status("0 in flight, 1 sent since the start");
}

#[test]
fn a_manager_in_the_abstract_namespace_hears_the_same() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let manager = Manager::abstract_of(outbox.folder());
    let daemon = watched(&outbox, &manager);
    manager.wait_for("READY=1");
    manager.wait_for_more("WATCHDOG=1", 2);
    daemon.sigterm();
    daemon.wait(SOON).expect(0);
    manager.wait_for("STOPPING=1");
}

#[test]
fn a_manager_that_reads_nothing_holds_up_nothing_and_hears_all_once_it_reads() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let path = outbox.folder().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"X_FILLS=1", &path).is_ok() {}
    let program = outbox.program().env("NOTIFY_SOCKET", path.to_str().unwrap());
    let daemon = program.env("WATCHDOG_USEC", "400000").start(&["run"]).ready();
    for case in 1..=20 {
        outbox.settled(outbox.chat(case, "hi"));
    }
    let manager = Manager::on(socket, path.to_str().unwrap());
    let ready = manager.wait_for("READY=1");
    assert!(manager.heard()[..ready].iter().all(|text| !text.starts_with("WATCHDOG")));
    manager.wait_for_status("0 in flight, 20 sent since the start");
    manager.wait_for_more("WATCHDOG=1", 3);
    daemon.sigterm();
    daemon.wait(SOON).expect(0);
    manager.wait_for("STOPPING=1");
}

#[test]
fn a_manager_that_still_reads_nothing_at_the_end_holds_up_no_end() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let path = outbox.folder().join("notify");
    let _socket = UnixDatagram::bind(&path).unwrap();
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"X_FILLS=1", &path).is_ok() {}
    let program = outbox.program().env("NOTIFY_SOCKET", path.to_str().unwrap());
    let daemon = program.start(&["run"]).ready();
    daemon.sigterm();
    daemon.wait(SOON).expect(0);
}

#[test]
fn a_form_of_the_managers_address_that_is_not_supported_is_logged_and_stops_nothing() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    for name in ["vsock:2:1234", "relative/path", &format!("/{}", "x".repeat(200))] {
        let id = outbox.chat(1, "hi");
        let program = outbox.program().env("NOTIFY_SOCKET", name);
        let log = program.run(&["run", "--until-empty"]).expect(0).stderr;
        assert!(log.contains("NOTIFY_SOCKET cannot be used"), "{log}");
        assert_eq!(outbox.status(id), "sent");
    }
}

#[test]
fn a_manager_that_is_not_there_is_no_reason_to_stop() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let gone = outbox.folder().join("gone");
    let program = outbox.program().env("NOTIFY_SOCKET", gone.to_str().unwrap());
    let id = outbox.add(Job::chat(1, "hi"));
    let begun = Instant::now();
    program.run(&["run", "--until-empty"]).expect(0);
    assert!(begun.elapsed() < SOON);
    assert_eq!(outbox.status(id), "sent");
    eventually(SOON, "no socket made", || !gone.exists());
}

#[test]
fn a_log_that_nobody_reads_any_more_stops_nothing() {
    let server = Server::start();
    server.queue([Reply::status(401)]);
    let outbox = Outbox::new(&server);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_acquire-outbox"))
        .arg("run")
        .arg("--config")
        .arg(outbox.config_file())
        .env("ACQUIRE_OUTBOX_LOG", "debug")
        .stderr(Stdio::from(writer))
        .spawn()
        .unwrap();
    drop(reader);
    let id = outbox.chat(1, "hi");
    let row = outbox.settled(id);
    let ended = daemon.try_wait().unwrap();
    let _ = daemon.kill();
    daemon.wait().unwrap();
    assert_eq!((row.text("status"), row.int("attempts")), ("sent", 2));
    assert_eq!(ended, None);
}

#[test]
fn the_umask_decides_who_may_write_the_database() {
    let server = Server::start();
    for (umask, mode) in [("007", 0o660), ("022", 0o644), ("077", 0o600)] {
        let outbox = Outbox::setup(&server).written();
        let script = format!("umask {umask}; exec \"$0\" --config \"$1\" init");
        let program = env!("CARGO_BIN_EXE_acquire-outbox");
        let mut init = Command::new("sh");
        init.args(["-c", &script, program]).arg(outbox.config_file()).stdout(Stdio::null());
        assert!(init.status().unwrap().success());
        let _daemon = outbox.daemon();
        for file in ["outbox.db", "outbox.db-wal", "outbox.db-shm"] {
            let found = fs::metadata(outbox.folder().join(file)).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode, "{file} by {umask}");
        }
    }
}
