//! Help, exit codes, and the commands that only look: status, list, show, check.

mod support;

use serde_json::{Value, json};
use support::{Finished, Gate, Job, Outbox, Program, Reply, SOON, Server, eventually};

const COMMANDS: [&[&str]; 14] = [
    &["init"],
    &["run"],
    &["send"],
    &["send", "chat"],
    &["send", "mail"],
    &["send", "sms"],
    &["status"],
    &["list"],
    &["show"],
    &["retry"],
    &["cancel"],
    &["check"],
    &["sandbox"],
    &["demo"],
];

/// Jobs of every kind, ended and waiting, and what became of them.
struct Shop {
    outbox: Outbox,
    sent: i64,
    refused: i64,
    exhausted: i64,
    cancelled: i64,
    later: i64,
}

fn shop(server: &Server) -> Shop {
    server.answer_with(|request| match request.words().as_str() {
        "refused" => Reply::json(400, json!({"error": "ERROR_INVALID_INPUT", "message": "no"})),
        "down" => Reply::status(503),
        _ => Reply::accepted(request),
    });
    let outbox = Outbox::new(server);
    let sent = outbox.add(Job::chat(1, "sent").column("source", "'shop'"));
    let refused = outbox.add(Job::mail(2, "refused").column("source", "'crm'"));
    let exhausted = outbox.add(Job::sms(3, "down").column("max_attempts", "2"));
    let cancelled = outbox.add(Job::chat(4, "cancelled").column("idempotency_key", "'k4'"));
    outbox.execute(&format!("UPDATE outbox SET status = 'cancelled' WHERE id = {cancelled}"));
    outbox.run_until_empty();
    let tomorrow = Job::chat(5, "later").column("send_at", "datetime('now', '+1 day')");
    let later = outbox.add(tomorrow);
    Shop { outbox, sent, refused, exhausted, cancelled, later }
}

#[test]
fn every_command_has_a_help_text_with_its_usage() {
    let program = Program::in_folder(&std::env::temp_dir());
    for command in COMMANDS {
        for help in ["--help", "-h"] {
            let mut arguments = command.to_vec();
            arguments.push(help);
            let finished = program.run(&arguments).expect(0);
            assert!(finished.stdout.contains("Usage: acquire-outbox"), "{finished:?}");
            assert_eq!(finished.stderr, "");
        }
    }
    let all = program.run(&["--help"]).expect(0).stdout;
    for command in COMMANDS {
        assert!(all.contains(command[0]), "{} is missing in:\n{all}", command[0]);
    }
    let version = program.run(&["--version"]).expect(0).stdout;
    assert!(version.starts_with("acquire-outbox ") && version.lines().count() == 1, "{version}");
}

#[test]
fn the_help_of_each_command_shows_an_example() {
    let program = Program::in_folder(&std::env::temp_dir());
    for command in COMMANDS {
        let mut arguments = command.to_vec();
        arguments.push("--help");
        let help = program.run(&arguments).expect(0).stdout;
        let as_typed = format!("acquire-outbox {}", command.join(" "));
        let examples = help.lines().filter(|line| !line.contains("Usage:"));
        assert!(examples.filter(|line| line.contains(&as_typed)).count() >= 1, "{help}");
    }
}

#[test]
fn wrong_usage_ends_with_two() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let wrong: [&[&str]; 10] = [
        &[],
        &["frobnicate"],
        &["status", "--jsn"],
        &["show"],
        &["show", "seven"],
        &["send"],
        &["send", "fax"],
        &["list", "--status", "lost"],
        &["list", "--limit", "-3"],
        &["retry"],
    ];
    for arguments in wrong {
        let finished = outbox.run(arguments).expect(2);
        assert_eq!(finished.stdout, "", "{finished:?}");
        assert!(!finished.stderr.is_empty());
    }
    let finished = outbox.run(&["stauts"]).expect(2);
    assert!(finished.stderr.contains("status"), "the nearest command: {finished:?}");
}

#[test]
fn wrong_usage_is_told_in_words() {
    let folder = tempfile::TempDir::new().unwrap();
    let program = Program::in_folder(folder.path());
    let wrong: [(&[&str], &str); 12] = [
        (&["show", "seven"], "a whole number is needed"),
        (&["cancel", "99999999999999999999"], "a whole number is needed"),
        (&["list", "--limit", "-1"], "-1 is not in 1.."),
        (&["list", "--limit", "0"], "0 is not in 1.."),
        (&["retry", "--status", "sent"], "must be failed or cancelled or uncertain"),
        (&["send", "chat", "--case-id", "x", "--message", "hi"], "a whole number is needed"),
        (
            &["send", "mail", "--case-id", "1"],
            "<--json <JSON>|--html-body <HTML>|--text-body <TEXT>>",
        ),
        (&["sandbox", "--listen", "0.0.0.0:0"], "it listens on 127.0.0.1 or [::1] alone"),
        (&["sandbox", "--listen", "here"], "like 127.0.0.1:8787"),
        (&["sandbox", "--latency", "1"], "a number and its unit are needed"),
        (&["sandbox", "--error", "500=60%", "--error", "503=60%"], "add up to more than 1"),
        (&["demo", "--database", "mine.db"], "uses neither --config nor --database"),
    ];
    for (arguments, words) in wrong {
        let finished = program.run(arguments).expect(2);
        assert!(finished.stderr.contains(words), "no {words:?} in {finished:?}");
        assert_eq!(finished.stdout, "", "{finished:?}");
    }
}

#[test]
fn status_counts_by_channel_and_status() {
    let server = Server::start();
    let Shop { outbox, .. } = shop(&server);
    let status = outbox.run(&["status", "--json"]).expect(0).json();
    assert!(status["database"].as_str().unwrap().ends_with("outbox.db"));
    assert_eq!(status["dispatcher"], json!({"running": false, "pid": null}));
    assert_eq!(status["oldest_due_seconds"], Value::Null);
    assert_eq!(status["holds"], json!([]));
    let counted = |channel: &str, status_word: &str| {
        let counts = status["counts"].as_array().unwrap().iter();
        let of = |count: &&Value| count["channel"] == channel && count["status"] == status_word;
        counts.filter(of).map(|count| count["count"].as_i64().unwrap()).sum::<i64>()
    };
    assert_eq!(counted("chat", "sent"), 1);
    assert_eq!(counted("chat", "cancelled"), 1);
    assert_eq!(counted("chat", "pending"), 1);
    assert_eq!(counted("mail", "failed"), 1);
    assert_eq!(counted("sms", "failed"), 1);
    let plain = outbox.run(&["status"]).expect(0).stdout;
    assert!(plain.contains("chat") && plain.contains("pending"), "{plain}");
    assert!(!plain.contains('\u{1b}'), "no colours when piped");
}

#[test]
fn status_says_whether_a_dispatcher_runs_and_how_old_the_oldest_due_job_is() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.add(Job::chat(1, "old").column("send_at", "datetime('now', '-90 seconds')"));
    let status = outbox.run(&["status", "--json"]).expect(0).json();
    let age = status["oldest_due_seconds"].as_f64().unwrap();
    assert!((85.0..150.0).contains(&age), "{age}");

    let mut daemon = outbox.daemon();
    let dispatcher = |running: Value| {
        let status = outbox.run(&["status", "--json"]).expect(0).json();
        status["dispatcher"] == running
    };
    assert!(dispatcher(json!({"running": true, "pid": daemon.pid()})));
    daemon.kill9();
    assert!(dispatcher(json!({"running": false, "pid": null})));
}

fn ids(finished: &Finished) -> Vec<i64> {
    let rows = finished.json();
    rows.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

#[test]
fn list_shows_the_newest_first_by_every_filter() {
    let server = Server::start();
    let Shop { outbox, sent, refused, exhausted, cancelled, later } = shop(&server);
    let cases: [(&[&str], &[i64]); 9] = [
        (&[], &[later, cancelled, exhausted, refused, sent]),
        (&["--status", "failed"], &[exhausted, refused]),
        (&["--channel", "chat"], &[later, cancelled, sent]),
        (&["--account", "default"], &[later, cancelled, exhausted, refused, sent]),
        (&["--account", "nobody"], &[]),
        (&["--source", "shop"], &[sent]),
        (&["--failure", "exhausted"], &[exhausted]),
        (&["--limit", "2"], &[later, cancelled]),
        (&["--channel", "chat", "--status", "pending"], &[later]),
    ];
    for (filters, expected) in cases {
        let mut arguments = vec!["list", "--json"];
        arguments.extend(filters);
        assert_eq!(ids(&outbox.run(&arguments).expect(0)), expected, "{filters:?}");
    }
}

#[test]
fn list_gives_the_columns_of_the_view() {
    let server = Server::start();
    let Shop { outbox, .. } = shop(&server);
    let listed = outbox.run(&["list", "--json"]).expect(0).json();
    let rows = outbox.query("SELECT * FROM delivery_status ORDER BY id DESC");
    let of_view: Vec<Value> = rows.into_iter().map(|row| Value::Object(row.0)).collect();
    assert_eq!(listed, Value::Array(of_view));
}

#[test]
fn list_is_plain_when_piped() {
    let server = Server::start();
    let Shop { outbox, sent, .. } = shop(&server);
    let plain = outbox.run(&["list"]).expect(0).stdout;
    assert!(!plain.contains('\u{1b}'), "{plain}");
    let with = |words: [&str; 2]| plain.lines().any(|line| words.iter().all(|w| line.contains(w)));
    assert!(with([&sent.to_string(), "sent"]), "{plain}");
    assert!(with(["failed", "exhausted"]), "{plain}");
}

#[test]
fn list_gives_fifty_unless_told_otherwise() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let jobs: Vec<String> = (1..=60).map(|case| Job::chat(case, "hi").sql()).collect();
    outbox.execute(&format!("BEGIN; {}; COMMIT", jobs.join(";")));
    assert_eq!(ids(&outbox.run(&["list", "--json"]).expect(0)).len(), 50);
    assert_eq!(ids(&outbox.run(&["list", "--json", "--limit", "60"]).expect(0)).len(), 60);
}

#[test]
fn show_gives_one_job_with_its_history() {
    let server = Server::start();
    let Shop { outbox, exhausted, sent, .. } = shop(&server);
    let shown = outbox.run(&["show", &exhausted.to_string(), "--json"]).expect(0).json();
    let view = format!("SELECT * FROM delivery_status WHERE id = {exhausted}");
    for (column, value) in &outbox.database().one(&view).0 {
        assert_eq!(&shown[column], value, "{column}");
    }
    assert_eq!(shown["receipt"], Value::Null);
    assert_eq!(shown["payload_bytes"], outbox.row(exhausted).text("payload").len());
    let history = shown["history"].as_array().unwrap();
    assert_eq!(history.len(), 2);
    for (at, attempt) in history.iter().enumerate() {
        assert_eq!(attempt["attempt"], at + 1);
        assert_eq!(attempt["outcome"], "retry");
        assert_eq!(attempt["http_status"], 503);
        assert_eq!(attempt["error_code"], "http_503");
        assert!(attempt["started_at"].as_str().unwrap().ends_with('Z'));
        assert!(attempt["duration_ms"].is_i64() && attempt["error"].is_string());
    }
    let shown = outbox.run(&["show", &sent.to_string(), "--json"]).expect(0).json();
    assert_eq!(shown["receipt"]["threadId"], 1875);

    let plain = outbox.run(&["show", &exhausted.to_string()]).expect(0).stdout;
    for word in ["failed", "exhausted", "http_503", "sms"] {
        assert!(plain.contains(word), "no {word} in:\n{plain}");
    }
}

#[test]
fn show_says_why_a_job_waits() {
    let server = Server::start();
    let Shop { outbox, later, .. } = shop(&server);
    let next = |id: i64| {
        let shown = outbox.run(&["show", &id.to_string(), "--json"]).expect(0).json();
        shown["next"].as_str().unwrap_or_default().to_owned()
    };
    let day = outbox.database().one(&format!(
        "SELECT substr(send_at, 1, 10) AS day FROM delivery_status WHERE id = {later}"
    ));
    assert!(next(later).contains(day.text("day")), "when: {:?}", next(later));

    let gate = Gate::closed();
    let held = gate.clone();
    server.answer_with(move |request| Reply::accepted(request).behind(&held));
    let _daemon = outbox.daemon();
    let first = outbox.chat(70, "first");
    let behind = outbox.chat(70, "behind");
    eventually(SOON, "the first is on the wire", || outbox.status(first) == "sending");
    assert!(next(behind).contains(&first.to_string()), "what for: {:?}", next(behind));
    gate.open();
}

#[test]
fn show_of_an_unknown_id_fails() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    for arguments in [vec!["show", "12345"], vec!["show", "12345", "--json"]] {
        let finished = outbox.run(&arguments).expect(1);
        assert!(finished.stderr.contains("12345"), "{finished:?}");
        assert_eq!(finished.stdout, "");
    }
}

#[test]
fn looking_before_init_fails_with_what_to_do() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    for arguments in [vec!["status"], vec!["list"], vec!["show", "1"]] {
        let finished = outbox.run(&arguments).expect(1);
        assert!(finished.stderr.contains("init"), "{finished:?}");
    }
    assert!(!outbox.database().path().exists(), "looking creates nothing");
}

#[test]
fn check_looks_at_configuration_database_and_account_without_sending() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.chat(1, "not by check");
    let finished = outbox.run(&["check"]).expect(0);
    let lines: Vec<&str> = finished.stdout.lines().collect();
    for subject in ["configuration", "database", "account default"] {
        let fine = |line: &&&str| line.starts_with("ok ") && line.contains(subject);
        assert!(lines.iter().find(fine).is_some(), "no ok for {subject}: {finished:?}");
    }
    assert!(server.count() >= 1, "the account was asked");
    assert!(server.requests().iter().all(|request| request.method == "GET"));
    assert_eq!(outbox.count("pending"), 1);
}

#[test]
fn check_fails_where_the_account_is_refused_or_nobody_answers() {
    let server = Server::answering(|_| Reply::json(401, json!({"error": "ERROR_UNAUTHORIZED"})));
    let outbox = Outbox::new(&server);
    let finished = outbox.run(&["check"]).expect(1);
    let failed = |line: &str| line.starts_with("FAIL") && line.contains("account default");
    assert!(finished.stdout.lines().any(failed), "{finished:?}");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/v1", free.local_addr().unwrap());
    drop(free);
    let outbox = support::Setup::sending_to(&url).ready();
    let finished = outbox.run(&["check"]).expect(1);
    assert!(finished.stdout.lines().any(failed), "{finished:?}");
}

#[test]
fn a_database_that_cannot_be_used_is_told_once_with_what_to_do() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("text.db"), "no database at all, ".repeat(20)).unwrap();
    std::fs::create_dir(folder.path().join("folder.db")).unwrap();
    let program = Program::in_folder(folder.path());
    let cases = [
        ("text.db", "text.db is not a SQLite database; name the right file with --database"),
        (
            "folder.db",
            "folder.db cannot be opened; it must be a file, not a folder, that this user",
        ),
    ];
    for (database, sentence) in cases {
        for command in [&["init"][..], &["status"], &["list"], &["run", "--sandbox"]] {
            let finished = program.run(&[&["--database", database], command].concat()).expect(1);
            assert!(finished.stderr.contains(sentence), "{finished:?}");
            assert!(!finished.stderr.contains("code:"), "SQLite's own words: {finished:?}");
        }
    }
    for command in [&["init"][..], &["run", "--sandbox"]] {
        let arguments = [command, &["--database", "nowhere/outbox.db"]].concat();
        let finished = program.run(&arguments).expect(1);
        assert!(finished.stderr.contains("nowhere is no folder; create it first"), "{finished:?}");
    }
}

#[test]
fn a_file_or_folder_of_somebody_else_is_told_with_what_to_change() {
    // SAFETY: takes nothing and cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        eprintln!("SKIPPED: root may write to every file, so nothing was shown");
        return;
    }
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let database = outbox.database().path();
    let mut mode = std::fs::metadata(database).unwrap().permissions();
    mode.set_readonly(true);
    std::fs::set_permissions(database, mode).unwrap();
    let finished = outbox.run(&["send", "chat", "--case-id", "1", "--message", "hi"]).expect(1);
    assert!(finished.stderr.contains("give this user write access"), "{finished:?}");
    let checked = outbox.run(&["check"]).expect(1);
    let told = |line: &str| line.starts_with("FAIL  database") && line.contains("write access");
    assert!(checked.stdout.lines().any(told), "{checked:?}");
}

#[test]
fn an_error_names_its_cause_once() {
    let folder = tempfile::TempDir::new().unwrap();
    let program = Program::in_folder(folder.path());
    let missing = program.run(&["--config", "nope.toml", "status"]).expect(78);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let in_use = program.run(&["sandbox", "--listen", &address]).expect(1);
    for finished in [missing, in_use] {
        assert_eq!(finished.stderr.matches("os error").count(), 1, "{finished:?}");
        assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = tempfile::TempDir::new().unwrap();
    let deaf = |arguments: &str| {
        let script = format!(
            "{{ '{}' {arguments}; echo $? >&3; }} 3>&2 2>/dev/null | true",
            env!("CARGO_BIN_EXE_acquire-outbox")
        );
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script]).current_dir(folder.path()).env_clear();
        String::from_utf8(shell.output().unwrap().stderr).unwrap()
    };
    for command in ["init", "list", "status --json", "demo"] {
        assert_eq!(deaf(command).trim(), "0", "{command}");
    }
}
