//! The log: for programs one JSON object a line, for people words; about a job always with its id
//! and attempt. What the journal gets is tried in tests/systemd.

mod support;

use serde_json::Value;
use std::process::Command;
use support::{Outbox, Program, Reply, Server};

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
    support::never_shows("the log", &log, "nobody's business");
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
    let Ok(ran) = ran else { return support::skipped("script is not installed") };
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
    assert!(note.contains("ACQUIRE_OUTBOX_LOG_FORMAT is none of pretty"), "{wrong}");
    objects(rest);
}

#[test]
fn without_a_journal_nothing_that_was_meant_for_it_is_lost() {
    if std::path::Path::new("/run/systemd/journal/socket").exists() {
        return support::skipped("there is a journal");
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
        assert!(log.contains("ACQUIRE_OUTBOX_LOG is no level"), "{log}");
        assert!(log.contains("\"ready\""), "{log}");
    }
    for right in ["", " ", "Info", "info,sqlx=off"] {
        let log = log(right);
        assert!(!log.contains("ACQUIRE_OUTBOX_LOG") && log.contains("\"ready\""), "{log}");
    }
    assert_eq!(log("off"), "");
}
