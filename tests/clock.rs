//! The daemon's wall clock set an hour ahead or back (by libfaketime, where it is there), and the
//! daemon suspended. Producers keep the true time.

use crate::support::{Daemon, Gate, Job, Outbox, Program, Reply, Row, SOON, Server};
use crate::support::{eventually, from_now, sqlite_only};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A wall clock that a test can set while the daemon runs.
struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// None where there is no libfaketime.
    fn of(outbox: &Outbox) -> Option<Clock> {
        let library = crate::support::libfaketime()?;
        let clock = Clock { library, file: outbox.folder().join("clock") };
        clock.set("+0");
        Some(clock)
    }

    /// An offset in seconds from the true time.
    fn set(&self, offset: &str) {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{offset}\n")).unwrap();
        fs::rename(new, &self.file).unwrap();
    }

    fn program(&self, outbox: &Outbox) -> Program {
        let program = outbox.program().env("LD_PRELOAD", self.library.to_str().unwrap());
        let program = program.env("FAKETIME_TIMESTAMP_FILE", self.file.to_str().unwrap());
        let settings = ["FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC", "NO_FAKE_STAT"];
        settings.into_iter().fold(program, |program, name| program.env(name, "1"))
    }

    fn daemon(&self, outbox: &Outbox) -> Daemon {
        self.program(outbox).start(&["run"]).ready()
    }
}

/// An outbox whose first request is turned away, so that its job waits for 2 s.
fn turned_away_once(more: &str) -> (Server, Outbox, Option<Clock>) {
    let server = Server::start();
    server.queue([Reply::status(503)]);
    let retry = format!("initial = \"2s\"\njitter = 0.0\n{more}");
    let outbox = Outbox::setup(&server).retry(&retry).ready();
    let clock = Clock::of(&outbox);
    (server, outbox, clock)
}

fn waits(row: &Row) -> bool {
    row.text("status") == "pending" && !row.is_null("next_attempt_at")
}

/// Sent on the second try, after the pause and not long after.
fn sent_after_the_pause(server: &Server, outbox: &Outbox, id: i64) {
    assert_eq!(outbox.settled(id)["status"], "sent");
    let requests = server.requests();
    assert_eq!(requests.len(), 2, "{:?}", server.words());
    let pause = requests[1].arrived - requests[0].arrived;
    assert!(pause > Duration::from_millis(1900), "early: {pause:?}");
}

#[test]
fn a_clock_that_is_set_back_delays_no_retry() {
    let (server, outbox, Some(clock)) = turned_away_once("") else { return };
    let _daemon = clock.daemon(&outbox);
    let id = outbox.chat(1, "hi");
    outbox.when(id, "waits", waits);
    clock.set("-3600");
    sent_after_the_pause(&server, &outbox, id);
}

#[test]
fn a_clock_that_is_set_ahead_brings_no_retry_forward_and_uses_up_no_budget() {
    let (server, outbox, Some(clock)) = turned_away_once("give_up_after = \"30m\"") else { return };
    let _daemon = clock.daemon(&outbox);
    let id = outbox.chat(1, "hi");
    outbox.when(id, "waits", waits);
    clock.set("+3600");
    sent_after_the_pause(&server, &outbox, id);
}

#[test]
fn a_clock_that_was_set_back_during_a_restart_delays_no_retry() {
    let (server, outbox, Some(clock)) = turned_away_once("") else { return };
    let mut daemon = clock.daemon(&outbox);
    let id = outbox.chat(1, "hi");
    outbox.when(id, "waits", waits);
    daemon.kill9();
    clock.set("-3600");
    let _daemon = clock.daemon(&outbox);
    sent_after_the_pause(&server, &outbox, id);
}

#[test]
fn an_attempt_that_fails_after_the_clock_was_set_waits_its_own_pause() {
    for offset in ["+3600", "-3600"] {
        let (server, outbox, Some(clock)) = turned_away_once("") else { return };
        let _daemon = clock.daemon(&outbox);
        clock.set(offset);
        let id = outbox.chat(1, "hi");
        sent_after_the_pause(&server, &outbox, id);
    }
}

#[test]
fn a_scheduled_job_follows_the_wall_clock_ahead() {
    sqlite_only!("the dispatcher's clock; on PostgreSQL it is the database's");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let Some(clock) = Clock::of(&outbox) else { return };
    let _daemon = clock.daemon(&outbox);
    let later = outbox.add(Job::chat(1, "hi").at("send_at", from_now(1800.0)));
    let now = outbox.chat(2, "before it");
    assert_eq!(outbox.settled(now)["status"], "sent");
    assert_eq!(outbox.status(later), "pending");
    clock.set("+3600");
    assert_eq!(outbox.settled(later)["status"], "sent");
    assert_eq!(server.words(), ["before it", "hi"]);
}

#[test]
fn a_scheduled_job_follows_the_wall_clock_back() {
    sqlite_only!("the dispatcher's clock; on PostgreSQL it is the database's");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let Some(clock) = Clock::of(&outbox) else { return };
    let _daemon = clock.daemon(&outbox);
    clock.set("-3600");
    let later = outbox.add(Job::chat(1, "hi").at("send_at", from_now(1.0)));
    let sent_at = outbox.row(later).int("send_at");
    eventually(SOON, "its time has come for everybody else", || crate::support::now_ms() > sent_at);
    let now = outbox.chat(2, "before it");
    assert_eq!(outbox.settled(now)["status"], "sent");
    assert_eq!(outbox.status(later), "pending");
    clock.set("+0");
    assert_eq!(outbox.settled(later)["status"], "sent");
    assert_eq!(server.words(), ["before it", "hi"]);
}

#[test]
fn a_jumping_clock_sends_nothing_twice() {
    let server = Server::answering(|request| {
        let delay = Duration::from_millis(request.number as u64 % 7);
        // Three of ten are turned away.
        let turned_away = request.number * 7 % 10 < 3;
        if turned_away { Reply::status(503) } else { Reply::accepted(request) }.delay(delay)
    });
    // Short pauses: of 180 jobs one may be turned away five times, and where the clock is the server's no jump ends its pause.
    let outbox = Outbox::setup(&server).retry("initial = \"100ms\"\nmax = \"500ms\"").ready();
    let Some(clock) = Clock::of(&outbox) else { return };
    let _daemon = clock.daemon(&outbox);
    let offsets = ["+3600", "-3600", "+0", "-3600", "+7200", "+0"];
    for (round, offset) in offsets.into_iter().enumerate() {
        for case in 0..30 {
            outbox.chat(case, &format!("message {round} {case}"));
        }
        clock.set(offset);
    }
    eventually(SOON, "all are sent", || outbox.count("sent") == 180);
    let turned_away = outbox.query("SELECT 1 FROM outbox_attempts WHERE outcome <> 'accepted'");
    assert_eq!(server.count(), 180 + turned_away.len());
}

#[test]
fn an_answer_that_came_while_the_daemon_was_suspended_counts() {
    let (server, gate) = (Server::start(), Gate::closed());
    server.queue([Reply::json(200, crate::support::chat_accepted(5)).behind(&gate)]);
    let channel = "[channels.chat]\nrequest_timeout = \"1s\"";
    let outbox = Outbox::setup(&server).more(channel).ready();
    let daemon = outbox.daemon();
    let id = outbox.chat(1, "hi");
    server.wait_for(1);
    daemon.signal(libc::SIGSTOP);
    let stopped = Instant::now();
    gate.open();
    // Longer than the request may take, with the answer there all along.
    eventually(SOON, "its time is over", || {
        server.open() == 0 && stopped.elapsed() > Duration::from_millis(2500)
    });
    daemon.signal(libc::SIGCONT);
    assert_eq!(outbox.settled(id)["message_id"], "5");
    assert_eq!(server.words(), ["hi"]);
}

#[test]
fn a_suspended_daemon_goes_on_with_what_came_meanwhile() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let daemon = outbox.daemon();
    let first = outbox.chat(1, "before");
    outbox.settled(first);
    // Idle: suspended within a transaction it would keep the write lock.
    daemon.signal(libc::SIGSTOP);
    let ids: Vec<i64> = (0..20).map(|case| outbox.chat(case, &format!("message {case}"))).collect();
    daemon.signal(libc::SIGCONT);
    for id in ids {
        assert_eq!(outbox.settled(id)["status"], "sent");
    }
    assert_eq!(server.count(), 21);
}
