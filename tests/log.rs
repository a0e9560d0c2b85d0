//! The log: for programs one JSON object a line, for people words; about a job always with its id
//! and attempt. What the journal gets is tried in tests/systemd.

use crate::support::{
    Job, Manager, Outbox, Page, Program, Reply, SOON, Scrape, Server, eventually, found,
};
use serde_json::Value;
use std::process::Command;

/// Every line, as JSON.
fn objects(log: &str) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    log.lines().map(parse).collect()
}

/// An outbox with one job that is sent at its second attempt, and the log of its delivery.
fn log_of_a_retry(level: &str) -> (i64, String) {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    server.queue([Reply::status(503)]);
    let id = outbox.chat(1, "a word that is nobody's business");
    let log = outbox.program().env("ACQUIRE_OUTBOX_LOG", level);
    let log = log.run(&["run", "--until-empty"]).expect(0).stderr;
    crate::support::never_shows("the log", &log, "nobody's business");
    (id, log)
}

#[test]
fn in_a_pipe_each_line_is_a_json_object_with_a_time_and_a_level() {
    let (_, log) = log_of_a_retry("info");
    let lines = objects(&log);
    let ready = lines.iter().find(|line| line["message"] == "ready").expect("a line that says so");
    assert_eq!(ready["level"], "INFO");
    assert_eq!(ready["accounts"], "default");
    chrono::DateTime::parse_from_rfc3339(ready["timestamp"].as_str().unwrap()).unwrap();
    assert!(lines.iter().all(|line| line.get("job").is_none()), "nothing of one job: {log}");
}

#[test]
fn at_debug_each_attempt_is_a_line_with_its_job_and_number() {
    let (id, log) = log_of_a_retry("debug");
    let of_the_job: Vec<_> = objects(&log).into_iter().filter(|line| line["job"] == id).collect();
    let told: Vec<_> = of_the_job.iter().map(|line| (&line["attempt"], &line["status"])).collect();
    assert_eq!(told, [(&1.into(), &"pending".into()), (&2.into(), &"sent".into())], "{log}");
    assert!(
        of_the_job.iter().all(|line| line["channel"] == "chat" && line["account"] == "default")
    );
}

#[test]
fn on_a_terminal_it_is_written_for_people() {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_acquire-outbox");
    let line = format!("{program} run --sandbox --until-empty 2>&1 >/dev/null");
    let ran = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(folder.path())
        .output();
    let Ok(ran) = ran else { return crate::support::skipped("script is not installed") };
    let log = String::from_utf8_lossy(&ran.stdout);
    assert!(log.contains("INFO") && log.contains("ready") && !log.contains("{\""), "{log}");
}

#[test]
fn its_format_can_be_chosen_and_a_typing_error_in_it_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let said = |format: &str| {
        let program = Program::in_folder(folder.path()).env("ACQUIRE_OUTBOX_LOG_FORMAT", format);
        program.run(&["run", "--sandbox", "--until-empty"]).expect(0).stderr
    };
    assert!(said("pretty").contains("INFO ready"));
    objects(&said("json"));
    objects(&said(""));
    let wrong = said("xml");
    let (note, rest) = wrong.split_once('\n').unwrap();
    assert!(note.contains("ACQUIRE_OUTBOX_LOG_FORMAT must be pretty"), "{wrong}");
    objects(rest);
}

#[test]
fn without_a_journal_nothing_that_was_meant_for_it_is_lost() {
    if std::path::Path::new("/run/systemd/journal/socket").exists() {
        return crate::support::skipped("there is a journal");
    }
    let folder = tempfile::tempdir().unwrap();
    let program = Program::in_folder(folder.path()).env("ACQUIRE_OUTBOX_LOG_FORMAT", "journald");
    let log = program.run(&["run", "--sandbox", "--until-empty"]).expect(0).stderr;
    assert!(log.contains("ready database=") && log.contains("recovered=0"), "{log}");
}

#[test]
fn a_wrong_level_is_told_and_taken_for_info() {
    let folder = tempfile::tempdir().unwrap();
    let log = |level: &str| {
        let program = Program::in_folder(folder.path()).env("ACQUIRE_OUTBOX_LOG", level);
        program.run(&["run", "--sandbox", "--until-empty"]).expect(0).stderr
    };
    for wrong in ["debgu", "debug=debgu"] {
        let log = log(wrong);
        assert!(log.contains("ACQUIRE_OUTBOX_LOG is not a level"), "{log}");
        assert!(log.contains("\"ready\""), "{log}");
    }
    for right in ["", " ", "Info", "info,sqlx=off"] {
        let log = log(right);
        assert!(!log.contains("ACQUIRE_OUTBOX_LOG") && log.contains("\"ready\""), "{log}");
    }
    assert_eq!(log("off"), "");
}

/// Level `trace` logs several lines for each job: more than the log keeps for its reader.
const JOBS: i64 = 400;

fn add_jobs(outbox: &Outbox) {
    outbox.add_all((1..=JOBS).map(|case| Job::chat(case, "hi")));
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_delivery_nor_the_watchdog_nor_the_end() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let manager = Manager::in_folder(outbox.folder());
    let program = manager.over(outbox.program()).env("WATCHDOG_USEC", "400000");
    let program = program.env("ACQUIRE_OUTBOX_LOG", "trace");
    let (daemon, _stuck) = program.start_with_stuck_stderr(&["run"]);
    add_jobs(&outbox);
    eventually(SOON, "all are sent", || outbox.count("sent") == JOBS);
    manager.wait_for_more("WATCHDOG=1", 5);
    daemon.sigterm();
    daemon.wait(SOON).expect(0);
    manager.wait_for("STOPPING=1");
}

#[test]
fn a_journal_that_reads_nothing_holds_up_neither_delivery_nor_the_end() {
    if !crate::support::can_unshare() {
        return;
    }
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let program = outbox.program().env("ACQUIRE_OUTBOX_LOG", "trace").with_a_stuck_journal();
    let daemon = program.start(&["run"]);
    add_jobs(&outbox);
    eventually(SOON, "all are sent", || outbox.count("sent") == JOBS);
    daemon.sigterm();
    let finished = daemon.wait(SOON).expect(0);
    assert_eq!(finished.stderr, "", "all of it went to the journal");
}

#[test]
fn lost_lines_are_counted_and_reported_once_the_log_is_read_again() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = port.to_string();
    let program = outbox.program().env("ACQUIRE_OUTBOX_LOG", "trace,hyper=off,sqlx=off");
    let (daemon, stuck) = program.start_with_stuck_stderr(&["run", "--listen", &address]);
    let lost = || {
        let page = Page::of(&address, "/metrics", "")?;
        Scrape(page.body).value("acquire_outbox_log_lines_lost_total")
    };
    eventually(SOON, "a count of none", || lost() == Some(0.0));
    eventually(SOON * 2, "lines are lost", || {
        add_jobs(&outbox);
        let left = || outbox.count("pending") + outbox.count("sending");
        eventually(SOON, "they are sent", || left() == 0);
        lost().is_some_and(|lost| lost > 10.0)
    });
    let before = lost().unwrap();
    let reading = stuck.read();
    let report = found(SOON, "a line on what was lost", || {
        outbox.settled(outbox.chat(1, "more"));
        let lines = reading.text();
        lines.lines().find(|line| line.contains("log lines were lost")).map(str::to_owned)
    });
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["level"], "WARN");
    assert!(report["lines"].as_f64().unwrap() >= before, "{report} after {before}");
    daemon.sigterm();
    daemon.wait(SOON).expect(0);
    eventually(SOON, "the last line", || reading.text().contains("\"stopped\""));
    let log = reading.text();
    objects(&log);
    assert_eq!(log.matches("log lines were lost").count(), 1, "{log}");
}

#[test]
fn a_second_sigterm_and_an_error_end_the_program_though_nobody_reads_why() {
    let server = Server::start();
    let gate = server.hold();
    let outbox = Outbox::new(&server);
    let (mut daemon, _stuck) = outbox.program().start_with_stuck_stderr(&["run"]);
    outbox.chat(1, "on its way");
    server.wait_for(1);
    // Signals that are still pending count as one.
    eventually(SOON, "an end at once", || {
        let running = daemon.is_running();
        if running {
            daemon.sigterm();
        }
        !running
    });
    daemon.wait(SOON).expect(1);
    gate.open();
    let wrong = Outbox::setup(&server).more("nonsense = 1").written();
    let (daemon, _stuck) = wrong.program().start_with_stuck_stderr(&["run"]);
    daemon.wait(SOON).expect(78);
}

#[test]
fn at_a_normal_end_every_line_is_there_in_its_order() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    add_jobs(&outbox);
    let program = outbox.program().env("ACQUIRE_OUTBOX_LOG", "debug,hyper=off,sqlx=off");
    let log = program.run(&["run", "--until-empty"]).expect(0).stderr;
    let lines = objects(&log);
    let sent = lines.iter().filter(|line| line["status"] == "sent" && line["job"].is_i64());
    assert_eq!(sent.count() as i64, JOBS);
    let times: Vec<&str> = lines.iter().map(|line| line["timestamp"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{log}");
    assert!(!log.contains("were lost"), "{log}");
}

#[test]
fn results_that_nobody_reads_hold_up_no_service() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::in_folder(folder.path());
    let (sandbox, _stuck) =
        program.start_with_stuck_stdout(&["sandbox", "--listen", "127.0.0.1:0"]);
    sandbox.wait_until_it_catches(libc::SIGTERM);
    sandbox.sigterm();
    sandbox.wait(SOON).expect(0);

    let (demo, _stuck) = program.start_with_stuck_stdout(&["demo"]);
    demo.wait(SOON * 2).expect(0);

    let server = Server::start();
    let outbox = Outbox::new(&server);
    let (watch, _stuck) = outbox.program().start_with_stuck_stdout(&["status", "--watch", "0.1"]);
    watch.wait_until_it_catches(libc::SIGINT);
    watch.signal(libc::SIGINT);
    watch.wait(SOON).expect(0);
}
