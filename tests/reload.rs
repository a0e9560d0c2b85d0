//! SIGHUP: a new configuration without dropping a send.

use crate::support::{Daemon, Gate, Job, Manager, Outbox, Reply, Request, SOON, Server};
use crate::support::{eventually, sqlite_only};
use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const NEW_KEY: &str = "k-the-new-one";

fn edit(outbox: &Outbox, old: &str, new: &str) {
    let text = fs::read_to_string(outbox.config_file()).unwrap();
    assert!(text.contains(old), "{old:?} in {text}");
    fs::write(outbox.config_file(), text.replacen(old, new, 1)).unwrap();
}

fn append(outbox: &Outbox, more: &str) {
    let text = fs::read_to_string(outbox.config_file()).unwrap();
    fs::write(outbox.config_file(), format!("{text}\n{more}\n")).unwrap();
}

fn write_key(outbox: &Outbox, key: &str) {
    fs::write(outbox.folder().join("key"), key).unwrap();
}

/// SIGHUP, and waits until its log line is there once more.
#[track_caller]
fn hangup(daemon: &Daemon, words: &str) {
    let count = || daemon.stderr().matches(words).count();
    let before = count();
    daemon.signal(libc::SIGHUP);
    eventually(SOON, &format!("{words:?} in the log"), || count() > before);
}

#[track_caller]
fn reload(daemon: &Daemon) {
    hangup(daemon, "the configuration has been reloaded");
}

fn key_of(request: &Request) -> &str {
    request.header("authorization").unwrap().strip_prefix("Bearer ").unwrap()
}

#[test]
fn a_new_key_is_used_and_what_is_on_the_wire_goes_on_and_counts() {
    let server = Server::start();
    let gate = Gate::closed();
    let held = gate.clone();
    server.answer_with(move |request| match request.target.contains("/chat/") {
        true => Reply::accepted(request).behind(&held),
        false => Reply::accepted(request),
    });
    let outbox = Outbox::setup(&server).more("[channels.chat]\nmax_in_flight = 2").ready();
    let daemon = outbox.daemon();
    let mut jobs = vec![outbox.chat(1, "old"), outbox.chat(2, "old")];
    server.wait_for(2);

    write_key(&outbox, NEW_KEY);
    reload(&daemon);
    jobs.push(outbox.chat(3, "new"));
    jobs.push(outbox.add(Job::mail(4, "new mail")));
    assert_eq!(key_of(&server.wait_for_words("new mail")), NEW_KEY);
    outbox.settled(jobs[3]);
    assert_eq!(server.count(), 3, "two chat requests are the limit, before and after");
    gate.open();
    for job in jobs {
        assert_eq!(outbox.settled(job)["status"], "sent");
        assert_eq!(outbox.row(job)["attempts"], 1);
    }
    assert_eq!(key_of(&server.wait_for_words("new")), NEW_KEY);
    assert_eq!(server.count(), 4);
    crate::support::never_shows("the log", &daemon.stderr(), NEW_KEY);
}

#[test]
fn a_refused_account_with_a_new_key_is_tried_at_once_by_one_request() {
    let server = Server::answering(|request| match key_of(request) {
        NEW_KEY => Reply::accepted(request).delay(Duration::from_millis(50)),
        _ => Reply::status(401),
    });
    let outbox = Outbox::setup(&server).retry("initial = \"15m\"\nmax = \"1h\"").ready();
    let daemon = outbox.daemon();
    let first = outbox.chat(1, "refused");
    server.wait_for(1);
    let jobs: Vec<_> = (2..10).map(|case| outbox.chat(case, "waits")).collect();
    outbox.when(first, "back", |row| row.text("status") == "pending");
    write_key(&outbox, "still-wrong");
    reload(&daemon);
    server.wait_for(2);
    write_key(&outbox, NEW_KEY);
    reload(&daemon);
    for job in jobs {
        assert_eq!(outbox.settled(job)["status"], "sent");
    }
    let requests = server.requests();
    let probes: Vec<_> = requests.iter().take(3).map(|r| (key_of(r), r.open)).collect();
    assert_eq!(&probes[..2], [(crate::support::KEY, 1), ("still-wrong", 1)]);
    assert_eq!(probes[2], (NEW_KEY, 1));
    eventually(SOON, "accepted again", || daemon.stderr().contains("accepts the account again"));
}

#[test]
fn an_answer_to_the_old_key_does_not_hold_the_account_with_the_new_one() {
    let server = Server::start();
    let gate = Gate::closed();
    let held = gate.clone();
    server.answer_with(move |request| match key_of(request) {
        NEW_KEY => Reply::accepted(request),
        _ => Reply::status(401).behind(&held),
    });
    let outbox = Outbox::setup(&server).retry("initial = \"15m\"\nmax = \"1h\"").ready();
    let daemon = outbox.daemon();
    let old = outbox.chat(1, "by the old key");
    server.wait_for(1);
    write_key(&outbox, NEW_KEY);
    reload(&daemon);
    gate.open();
    assert_eq!(outbox.settled(old)["status"], "sent");
    assert_eq!(outbox.outcomes(old), ["retry", "accepted"]);
    assert!(!daemon.stderr().contains("refuses the account"), "{}", daemon.stderr());
}

#[test]
fn an_open_breaker_with_a_new_address_is_tried_at_once() {
    let (down, up) = (Server::answering(|_| Reply::status(500)), Server::start());
    let outbox = Outbox::setup(&down).retry("initial = \"15m\"\nmax = \"1h\"").ready();
    let daemon = outbox.daemon();
    let jobs: Vec<_> = (1..=5).map(|case| outbox.chat(case, "hi")).collect();
    eventually(SOON, "an open breaker", || daemon.stderr().contains("the breaker opens"));
    edit(&outbox, &down.base_url(), &up.base_url());
    reload(&daemon);
    let late = outbox.chat(7, "to the new one");
    assert_eq!(outbox.settled(late)["status"], "sent");
    eventually(SOON, "closed", || daemon.stderr().contains("the breaker closes"));
    for job in jobs {
        assert_eq!(outbox.status(job), "pending", "its own pause of 15 minutes goes on");
    }
}

#[test]
fn a_bad_file_keeps_the_old_configuration_and_says_so_until_a_good_one() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let manager = Manager::in_folder(outbox.folder());
    let daemon = manager.over(outbox.program()).start(&["run"]).ready();
    manager.wait_for_status("0 in flight");

    // The line break of the key's name must not begin a line of the manager's.
    append(&outbox, "[channels.chat]\n\"max\\nERRNO=5\" = 1");
    hangup(&daemon, "the new configuration cannot be used");
    manager.wait_for_status("not reloaded; the old configuration stays in use: ");
    manager.wait_for_status("outbox.toml, line ");
    manager.wait_for_status("0 in flight, 0 sent since the start");
    assert!(manager.heard().iter().all(|text| !text.contains("\nERRNO")), "{:?}", manager.heard());
    outbox.settled(outbox.chat(1, "by the old one"));

    fs::remove_file(outbox.folder().join("key")).unwrap();
    hangup(&daemon, "the new configuration cannot be used");
    outbox.settled(outbox.chat(2, "by the old key"));
    manager.wait_for_status("2 sent since the start");
    assert!(manager.statuses().last().unwrap().starts_with("not reloaded"));

    edit(&outbox, "\"max\\nERRNO=5\" = 1", "max_in_flight = 1");
    write_key(&outbox, NEW_KEY);
    fs::set_permissions(outbox.folder().join("key"), owner_only()).unwrap();
    reload(&daemon);
    outbox.settled(outbox.chat(3, "by the new one"));
    assert_eq!(key_of(&server.wait_for_words("by the new one")), NEW_KEY);
    eventually(SOON, "a status without the notice", || {
        manager.statuses().last().is_some_and(|line| line.starts_with("0 in flight, 3 sent"))
    });
}

fn owner_only() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o600)
}

#[test]
fn the_manager_sees_a_reload_begin_and_end() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let manager = Manager::in_folder(outbox.folder());
    let daemon = manager.over(outbox.program()).start(&["run"]).ready();
    reload(&daemon);
    let begun = manager.wait_for("RELOADING=1\nMONOTONIC_USEC=");
    eventually(SOON, "ready again", || manager.count("READY=1") == 2);
    let ended = manager.heard().iter().rposition(|text| text == "READY=1").unwrap();
    assert!(begun < ended, "{:?}", manager.heard());
}

#[test]
fn accounts_come_and_go() {
    let (server, other) = (Server::start(), Server::start());
    let outbox = Outbox::new(&server);
    let daemon = outbox.daemon();
    let account = format!(
        "[accounts.shop]\naccount_id = \"s\"\napi_key_file = \"key\"\nbase_url = \"{}\"",
        other.base_url()
    );
    append(&outbox, &account);
    reload(&daemon);
    let shop = |case| outbox.add(Job::chat(case, "shop").column("account", "'shop'"));
    assert_eq!(outbox.settled(shop(1))["status"], "sent");
    assert_eq!(other.count(), 1);

    let gate = other.hold();
    let on_the_wire = shop(2);
    other.wait_for(2);
    edit(&outbox, &account, "");
    reload(&daemon);
    let late = outbox.settled(shop(3));
    assert_eq!((late.text("status"), late.text("failure")), ("failed", "invalid"));
    gate.open();
    assert_eq!(outbox.settled(on_the_wire)["status"], "sent");
    assert_eq!(outbox.settled(outbox.chat(4, "default"))["status"], "sent");
}

#[test]
fn a_pause_that_acquire_asked_for_outlives_a_reload() {
    let server = Server::start();
    server.queue([Reply::status(429).header("retry-after", 3600)]);
    let outbox = Outbox::setup(&server).more("[channels.chat]\nmax_in_flight = 3").ready();
    let daemon = outbox.daemon();
    let first = outbox.chat(1, "limited");
    outbox.when(first, "back", |row| row.text("status") == "pending" && row.int("attempts") == 1);
    edit(&outbox, "max_in_flight = 3", "max_in_flight = 4");
    write_key(&outbox, NEW_KEY);
    reload(&daemon);
    let waits = outbox.chat(2, "waits");
    outbox.settled(outbox.add(Job::mail(3, "goes")));
    assert_eq!(outbox.row(waits)["attempts"], 0);
    let status = outbox.run(&["status", "--json"]).json();
    assert_eq!(status["holds"][0]["kind"], "retry_after", "{status}");
}

#[test]
fn new_limits_timeouts_and_retries_take_effect() {
    let server = Server::start();
    let outbox =
        Outbox::setup(&server).more("[channels.chat]\n[channels.mail]\nmax_in_flight = 1").ready();
    let daemon = outbox.daemon();
    server.answer_with(|request| match request.words().as_str() {
        "slow" => Reply::hang(),
        "down" => Reply::status(500),
        _ => Reply::accepted(request),
    });
    edit(
        &outbox,
        "[channels.chat]",
        "[channels.chat]\nrequest_timeout = \"300ms\"\non_uncertain = \"hold\"",
    );
    edit(&outbox, "max_in_flight = 1", "max_in_flight = 7");
    edit(&outbox, "[retry]", "[retry]\nmax_attempts = 2");
    reload(&daemon);
    let begun = Instant::now();
    let slow = outbox.chat(1, "slow");
    let down = outbox.chat(2, "down");
    let row = outbox.when_status(slow, "uncertain");
    assert_eq!(row.text("error_code"), "timeout");
    assert!(begun.elapsed() < SOON, "not the 30 s of before");
    let row = outbox.settled(down);
    assert_eq!((row.text("failure"), row.int("attempts")), ("exhausted", 2));

    let gate = server.hold();
    let before = server.count();
    let jobs: Vec<_> = (10..20).map(|case| outbox.add(Job::mail(case, "at once"))).collect();
    server.wait_for(before + 7);
    gate.open();
    jobs.into_iter().for_each(|job| assert_eq!(outbox.settled(job)["status"], "sent"));
    assert_eq!(server.requests()[before..].iter().map(|request| request.open).max(), Some(7));
}

#[test]
fn a_rate_comes_and_goes() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).more("[channels.chat]\nrate = \"1/h\"").ready();
    let daemon = outbox.daemon();
    for case in 1..=20 {
        outbox.chat(case, "hi");
    }
    server.wait_for(1);
    edit(&outbox, "rate = \"1/h\"", "");
    reload(&daemon);
    server.wait_for(20);
}

#[test]
fn another_database_needs_a_restart_and_everything_else_is_taken() {
    sqlite_only!("another file");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let manager = Manager::in_folder(outbox.folder());
    let daemon = manager.over(outbox.program()).start(&["run"]).ready();
    edit(&outbox, "database = \"outbox.db\"", "database = \"other.db\"");
    write_key(&outbox, NEW_KEY);
    hangup(&daemon, "changing the database needs a restart");
    manager.wait_for_status("other.db needs a restart");
    outbox.settled(outbox.chat(1, "to the old one"));
    assert_eq!(key_of(&server.wait_for_words("to the old one")), NEW_KEY);
    assert!(!outbox.folder().join("other.db").exists());
}

#[test]
fn a_standby_takes_over_with_the_configuration_as_it_is_by_then() {
    sqlite_only!("a second daemon stands by; on PostgreSQL it is a second node");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let mut first = outbox.daemon();
    let mut second = outbox.program().start(&["run"]);
    second.wait_for_log("standing by");
    write_key(&outbox, NEW_KEY);
    second.signal(libc::SIGHUP);
    outbox.settled(outbox.chat(1, "by the first"));
    assert!(second.is_running());
    first.kill9();
    second.wait_for_log("the configuration has been reloaded");
    outbox.settled(outbox.chat(2, "by the second"));
    assert_eq!(key_of(&server.wait_for_words("by the second")), NEW_KEY);
}

#[test]
fn twenty_reloads_under_load_drop_no_send_and_double_none() {
    let server =
        Server::answering(|request| Reply::accepted(request).delay(Duration::from_millis(5)));
    let outbox = Outbox::setup(&server).more("[channels.chat]\nmax_in_flight = 4").ready();
    let daemon = outbox.daemon();
    outbox.add_all((1..=600).map(|case| Job::chat(case, &format!("m{case}"))));
    for round in 0..20 {
        let (old, new) = (4 + round, 5 + round);
        edit(&outbox, &format!("max_in_flight = {old}"), &format!("max_in_flight = {new}"));
        write_key(&outbox, &format!("key-{round}"));
        reload(&daemon);
    }
    eventually(SOON, "all are sent", || outbox.count("sent") == 600);
    let words: BTreeSet<_> = server.words().into_iter().collect();
    assert_eq!((words.len(), server.count()), (600, 600));
    assert!(server.most_open() <= 24);
}

/// Both ends of a new terminal: the one that its window holds, and the programs' one.
fn terminal() -> (OwnedFd, OwnedFd) {
    let (mut window, mut programs) = (0, 0);
    let none = std::ptr::null_mut();
    // SAFETY: both integers are ours to be written to; the rest may be null. Nobody else has
    // the descriptors yet.
    unsafe {
        assert_eq!(libc::openpty(&mut window, &mut programs, none, none.cast(), none.cast()), 0);
        (OwnedFd::from_raw_fd(window), OwnedFd::from_raw_fd(programs))
    }
}

#[test]
fn a_terminal_that_goes_away_is_a_stop_and_not_a_reload() {
    let server = Server::start();
    let gate = server.hold();
    let outbox = Outbox::new(&server);
    let (window, programs) = terminal();
    // Nobody else may keep the window open.
    // SAFETY: a flag of a descriptor that we own.
    unsafe {
        libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&window), libc::F_SETFD, libc::FD_CLOEXEC)
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_acquire-outbox"));
    command.arg("run").arg("--config").arg(outbox.config_file());
    command.stdin(Stdio::from(programs)).stderr(Stdio::null());
    // SAFETY: both calls may be made between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY, 0);
            Ok(())
        });
    }
    let mut daemon = command.spawn().unwrap();
    drop(command);
    let id = outbox.chat(1, "on the wire");
    server.wait_for(1);
    drop(window);
    let late = outbox.chat(2, "perhaps too late");
    gate.open();
    eventually(SOON, "an end in order", || daemon.try_wait().unwrap().is_some_and(|s| s.success()));
    assert_eq!(outbox.status(id), "sent");
    assert!(["pending", "sent"].contains(&outbox.status(late).as_str()));
}
