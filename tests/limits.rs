//! What the machine and the settings allow: memory, open files, a large number of accounts.

use crate::support::{Daemon, Job, Outbox, Reply, SOON, Server};
use crate::support::{can_trace, eventually, found, skipped, sqlite_only};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// An email with this many bytes of text.
fn large(case: i64, subject: &str, bytes: usize) -> Job {
    Job::mail(case, subject)
        .field("textBody", "x".repeat(bytes).into())
        .column("ordering_key", "''")
}

fn mails(server: &Server) -> usize {
    server.requests().iter().filter(|request| request.target.contains("/mail/")).count()
}

#[test]
fn large_messages_wait_for_their_bytes_and_small_ones_do_not_wait_for_them() {
    let server = Server::start();
    let gate = server.hold();
    // Three quarters of it are for large ones: two fit.
    let outbox = Outbox::setup(&server).written();
    let config = fs::read_to_string(outbox.config_file()).unwrap();
    fs::write(outbox.config_file(), format!("max_in_flight_bytes = \"1MiB\"\n{config}")).unwrap();
    outbox.run(&["init"]).expect(0);
    let first: Vec<_> = (0..5).map(|case| outbox.add(large(case, "large", 300_000))).collect();
    let huge = outbox.add(large(9, "huge", 3_000_000));
    let _daemon = outbox.daemon();
    server.wait_for(2);
    let small: Vec<_> = (10..20).map(|case| outbox.chat(case, "small")).collect();
    server.wait_for(12);
    assert_eq!(mails(&server), 2, "the others wait, unspent");
    assert_eq!(outbox.row(first[2]).int("attempts"), 0);
    gate.open();
    for id in first.iter().chain(&small).chain([&huge]) {
        assert_eq!(outbox.settled(*id).int("attempts"), 1);
    }
    let alone = server.requests_for("huge");
    assert_eq!((alone.len(), alone[0].open), (1, 1), "more than all there is, and alone");
    let most = server.requests().iter().filter(|r| r.words() == "large").map(|r| r.open).max();
    assert!(most <= Some(12), "{most:?} at once, ten of them small");
}

#[test]
fn a_reload_changes_the_bytes_that_may_be_on_their_way() {
    let server = Server::start();
    let gate = server.hold();
    let outbox = Outbox::setup(&server).written();
    let config = fs::read_to_string(outbox.config_file()).unwrap();
    let with = |size: &str| {
        let limit = format!("max_in_flight_bytes = \"{size}\"\n");
        fs::write(outbox.config_file(), limit + &config).unwrap();
    };
    with("1MiB");
    outbox.run(&["init"]).expect(0);
    let ids: Vec<_> = (0..4).map(|case| outbox.add(large(case, "large", 500_000))).collect();
    let mut daemon = outbox.daemon();
    server.wait_for(1);
    with("8MiB");
    daemon.signal(libc::SIGHUP);
    daemon.wait_for_log("the configuration has been reloaded");
    server.wait_for(4);
    gate.open();
    for id in ids {
        outbox.when_status(id, "sent");
    }
}

/// The configuration of this many accounts at this server, instead of the default one.
fn many_accounts(server: &Server, count: usize) -> Outbox {
    let accounts: String = (0..count)
        .map(|n| {
            let url = server.base_url();
            format!("[accounts.a{n}]\nbase_url = \"{url}\"\napi_key_file = \"key\"\n")
        })
        .collect();
    Outbox::setup(server).more(&accounts).ready()
}

fn blocks(outbox: &Outbox) -> Vec<Value> {
    let status = outbox.run(&["status", "--json"]).expect(0).json();
    status["holds"].as_array().unwrap().clone()
}

#[test]
fn four_hundred_accounts_share_few_open_files_and_spend_no_attempt_on_that() {
    let server = Server::answering(|request| {
        Reply::accepted(request).delay(std::time::Duration::from_millis(20))
    });
    let outbox = many_accounts(&server, 400);
    let job = |n: i64| Job::chat(n, "hi").column("account", &format!("'a{}'", n % 400));
    outbox.add_all((0..1200).map(job));
    let program = outbox.program().with_open_files(200, 200);
    let ended = program.run(&["run", "--until-empty"]).expect(0);
    assert_eq!(outbox.count("sent"), 1200);
    let spent = outbox.number("SELECT count(*) FROM outbox_attempts");
    assert_eq!(spent, 1200, "one attempt each");
    assert!(!ended.stderr.contains("breaker") && !ended.stderr.contains("run out"), "{ended:?}");
    assert!(server.most_open() <= 40, "{} at once", server.most_open());
}

#[test]
fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let daemon = outbox.program().with_open_files(100, 1000).start(&["run"]).ready();
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("1000"), "{line}");
}

/// Sets the soft limit of a running process.
fn limit_open_files(daemon: &Daemon, soft: usize) {
    let (pid, limit) = (daemon.pid().to_string(), format!("--nofile={soft}:"));
    let done = Command::new("prlimit").args(["--pid", &pid, &limit]).status();
    assert!(done.expect("prlimit, of util-linux").success());
}

/// Where the kernel gives them to everybody, the allocator's memory would be resident 2 MiB at a time.
#[test]
fn the_dispatcher_takes_no_huge_pages() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let daemon = outbox.daemon();
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let Some(line) = status.lines().find(|line| line.starts_with("THP_enabled:")) else {
        return skipped("this kernel does not say");
    };
    assert!(line.ends_with('0'), "{line}");
}

/// The number that its next file would get, once it has stopped opening and closing files: on PostgreSQL a node that is ready
/// still connects. The limit is one of numbers, and what was closed has left a gap.
fn next_file(daemon: &Daemon) -> usize {
    let free = || {
        let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
        let open: Vec<usize> = open
            .filter_map(|file| file.unwrap().file_name().to_str().unwrap().parse().ok())
            .collect();
        (0..).find(|number| !open.contains(number)).unwrap()
    };
    let mut last = (usize::MAX, Instant::now());
    eventually(SOON, "the same files for a while", || {
        let number = free();
        if number != last.0 {
            last = (number, Instant::now());
        }
        last.1.elapsed() > Duration::from_millis(400)
    });
    last.0
}

#[test]
fn jobs_wait_unspent_while_no_file_can_be_opened_and_go_out_when_one_can() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).retry("max_attempts = 1").ready();
    let daemon = outbox.daemon();
    limit_open_files(&daemon, next_file(&daemon));
    let jobs: Vec<_> = (0..20).map(|case| outbox.chat(case, "hi")).collect();
    let hold = found(SOON, "the shortage in status", || blocks(&outbox).pop());
    assert_eq!(
        (&hold["kind"], &hold["account"], &hold["channel"]),
        (&"shortage".into(), &json!(null), &json!(null))
    );
    assert!(hold["reason"].as_str().unwrap().contains("file descriptors"), "{hold}");
    // It is tried again from time to time: then it is `sending` for a moment.
    let row = outbox
        .when(jobs[0], "its error", |row| row["status"] == "pending" && !row.is_null("error_code"));
    assert_eq!(row.text("error_code"), "no_descriptors");
    assert_eq!((row.int("attempts"), outbox.history(jobs[0]).len()), (0, 0));
    // It may just be tried once more.
    eventually(SOON, "no attempt is spent", || {
        let shown = outbox.run(&["show", &jobs[0].to_string()]).expect(0).stdout;
        shown.contains("no attempt is spent")
    });
    limit_open_files(&daemon, 1000);
    for id in &jobs {
        let row = outbox.settled(*id);
        assert_eq!((row.text("status"), row.int("attempts")), ("sent", 1));
        assert_eq!(outbox.outcomes(*id), ["accepted"]);
    }
    eventually(SOON, "no hold", || blocks(&outbox).is_empty());
    let log = daemon.stderr();
    assert_eq!(log.matches("this machine is short of a resource").count(), 1, "{log}");
    assert_eq!(log.matches("this machine can open new connections again").count(), 1, "{log}");
    assert!(!log.contains("breaker"), "{log}");
}

#[test]
fn what_another_machine_would_have_is_no_fault_of_the_account() {
    sqlite_only!("the first sockets, which fail, are on PostgreSQL those to the database");
    if !can_trace() {
        return;
    }
    for (fault, code) in [
        ("socket:error=ENFILE", "no_descriptors"),
        ("socket:error=ENOBUFS", "no_memory"),
        ("connect:error=ENOMEM", "no_memory"),
        ("connect:error=EADDRNOTAVAIL", "no_ports"),
    ] {
        let server = Server::start();
        let outbox = Outbox::setup(&server).retry("max_attempts = 1").ready();
        let id = outbox.chat(1, "hi");
        let fault = format!("inject={fault}:when=1..2");
        let daemon = outbox.program().traced(&["-e", "trace=socket,connect", "-e", &fault]);
        let daemon = daemon.start(&["run"]);
        let row = outbox.when_status(id, "sent");
        assert_eq!((row.int("attempts"), outbox.outcomes(id)), (1, vec!["accepted".to_owned()]));
        let log = daemon.stderr();
        assert!(log.contains(code) && !log.contains("breaker"), "{fault}: {log}");
    }
}
