//! What a run says at its end and of what went wrong, and how the demo ends.

use crate::support::{
    Job, Outbox, Page, Program, Reply, SOON, Server, found, never_shows, now_ms, skipped,
    sqlite_only,
};
use serde_json::Value;
use std::process::Command;
use tempfile::TempDir;

/// An outbox whose jobs end in each way: two sent, one failed, one uncertain, one expired.
fn each_way(server: &Server) -> Outbox {
    server.answer_with(|request| match request.words().as_str() {
        "refused" => Reply::status(400),
        "lost" => Reply::drop(),
        _ => Reply::accepted(request),
    });
    let hold = "[channels.chat]\non_uncertain = \"hold\"";
    let outbox = Outbox::setup(server).more(hold).ready();
    for (case, words) in [(1, "one"), (2, "two"), (3, "refused"), (4, "lost")] {
        outbox.chat(case, words);
    }
    outbox.add(Job::chat(5, "too late").at("expires_at", now_ms() - 60_000));
    outbox
}

/// The counts of a summary; panics unless the rest is as it should be.
#[track_caller]
fn counts(line: &str) -> &str {
    let (counts, took) = line.trim_end().split_once(" in ").unwrap_or_else(|| panic!("{line}"));
    assert!(took.ends_with(" s") && took.starts_with(|c: char| c.is_ascii_digit()), "{line}");
    counts
}

#[test]
fn until_empty_ends_with_a_line_of_what_was_done() {
    let server = Server::start();
    let outbox = each_way(&server);
    let finished = outbox.run_until_empty();
    assert_eq!(finished.stdout.lines().count(), 1, "{finished:?}");
    assert_eq!(counts(&finished.stdout), "2 sent, 2 failed, 1 uncertain");
    // Each run counts its own.
    assert_eq!(counts(&outbox.run_until_empty().stdout), "0 sent, 0 failed, 0 uncertain");
}

fn warnings(log: &str) -> Vec<Value> {
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["level"] == "WARN").collect()
}

#[test]
fn a_job_that_ends_badly_is_one_warning_without_a_text() {
    let server = Server::start();
    let outbox = each_way(&server);
    let log = outbox.run_until_empty().stderr;
    let warnings = warnings(&log);
    let of =
        |job: i64| -> Vec<&Value> { warnings.iter().filter(|line| line["job"] == job).collect() };
    let [failed] = of(3)[..] else { panic!("one line: {log}") };
    assert_eq!((&failed["failure"], &failed["channel"]), (&"rejected".into(), &"chat".into()));
    assert!(failed["message"].as_str().unwrap().starts_with("a job has failed"), "{log}");
    let [uncertain] = of(4)[..] else { panic!("one line: {log}") };
    let message = uncertain["message"].as_str().unwrap();
    assert!(message.contains("a person must decide; see `acquire-outbox show 4`"), "{log}");
    assert!(warnings.iter().any(|line| line["failure"] == "expired"), "{log}");
    assert_eq!(warnings.len(), 3, "{log}");
    for words in ["refused", "lost", "too late"] {
        never_shows("the log", &log.replace("acquire-outbox", ""), &format!("\"{words}\""));
    }
}

#[test]
fn many_that_end_badly_are_ten_warnings_and_a_count() {
    let server = Server::answering(|_| Reply::status(400));
    let outbox = Outbox::new(&server);
    outbox.add_all((1..=40).map(|case| Job::chat(case, "no")));
    let finished = outbox.run_until_empty();
    let warnings = warnings(&finished.stderr);
    assert_eq!(warnings.len(), 11, "{finished:?}");
    assert_eq!(warnings[10]["jobs"], 30, "{finished:?}");
    assert_eq!(counts(&finished.stdout), "0 sent, 40 failed, 0 uncertain");
}

#[test]
fn a_job_that_is_looked_for_is_no_warning_until_a_person_must_decide() {
    let server = Server::answering(|_| Reply::drop());
    let more = "[channels.chat]\non_uncertain = \"verify\"\nverify_after = [\"1h\"]";
    let outbox = Outbox::setup(&server).more(more).ready();
    let id = outbox.chat(1, "lost");
    let daemon = outbox.daemon();
    outbox.when_status(id, "uncertain");
    let before = daemon.stderr().lines().count();
    daemon.sigterm();
    let log = daemon.wait(SOON).expect(0).stderr;
    assert!(log.lines().count() >= before);
    assert!(!log.contains("a person must decide"), "{log}");
}

#[test]
fn on_a_terminal_a_run_shows_how_far_it_is() {
    let server = Server::answering(|request| match request.words().as_str() {
        "slow" => Reply::accepted(request).delay(std::time::Duration::from_secs(2)),
        _ => Reply::accepted(request),
    });
    let outbox = Outbox::new(&server);
    outbox.chat(1, "quick");
    outbox.chat(2, "slow");
    let line = format!("{} run --until-empty", env!("CARGO_BIN_EXE_acquire-outbox"));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(outbox.folder());
    script.env("ACQUIRE_OUTBOX_CONFIG", outbox.config_file()).env("TERM", "xterm");
    let Ok(ran) = script.output() else { return skipped("script is not installed") };
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(said.contains("1 sent, 0 failed, 0 uncertain, 1 left"), "{said}");
    let last = said.trim_end().rsplit(['\n', '\r']).next().unwrap();
    assert_eq!(counts(last.trim_start_matches("\u{1b}[2K")), "2 sent, 0 failed, 0 uncertain");
}

#[test]
fn what_the_demo_ends_with_can_be_pasted() {
    sqlite_only!("the demo has a file");
    let folder = TempDir::new().unwrap();
    let demo = Program::in_folder(folder.path()).start(&["demo"]).wait(3 * SOON).expect(0);
    let next = demo.stdout.split_once("Try next:\n").expect("what to try").1;
    let commands: Vec<&str> = next.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    assert_eq!(commands.len(), 4, "{demo:?}");
    let sqlite3 = Command::new("sqlite3").arg("--version").output().is_ok();
    for command in commands {
        let serves = command.contains(" run ");
        if command.starts_with("sqlite3") && !sqlite3 {
            continue;
        }
        // As in a shell that does not find the program by its name.
        let command = if serves { format!("{command} --until-empty") } else { command.to_owned() };
        let command = command.replace("127.0.0.1:9464", "127.0.0.1:0");
        let mut shell = Command::new("sh");
        let ran = shell.args(["-c", &command]).current_dir(folder.path()).output().unwrap();
        assert!(ran.status.success() && !ran.stdout.is_empty(), "{command}: {ran:?}");
    }
    assert!(demo.stdout.contains("Your order has shipped."), "{demo:?}");
}

#[test]
fn the_demos_page_stays_until_it_is_stopped() {
    sqlite_only!("the demo has a file");
    let folder = TempDir::new().unwrap();
    let demo = Program::in_folder(folder.path()).start(&["demo", "--page"]);
    let address = found(3 * SOON, "the dashboard's address", || {
        let said = demo.stdout();
        let line = said.lines().find_map(|line| line.strip_prefix("The dashboard: http://"))?;
        Some(line.split('/').next().unwrap().to_owned())
    });
    let page = Page::of(&address, "/jobs", "").expect("it listens");
    assert!(page.status == 200 && page.body.contains("failed"), "{page:?}");
    demo.sigterm();
    let ended = demo.wait(SOON).expect(0);
    assert!(ended.stdout.contains("Try next:"), "{ended:?}");
}
