//! A dead endpoint costs little: the breaker of an account and channel.

use crate::support::{Outbox, Reply, SOON, Server, eventually, found};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Chat answers 503 as long as `down`; mail works. Probes are far apart but for the first ones.
fn outage() -> (Server, Outbox, Arc<AtomicBool>) {
    let down = Arc::new(AtomicBool::new(true));
    let is_down = down.clone();
    let server = Server::answering(move |request| {
        if is_down.load(Ordering::SeqCst) && request.target.contains("/chat/") {
            Reply::json(503, serde_json::json!({"error": "down for maintenance"}))
        } else {
            Reply::accepted(request)
        }
    });
    let retry = "initial = \"50ms\"\nmultiplier = 4.0\nmax = \"2s\"\njitter = 0.0";
    let outbox = Outbox::setup(&server).retry(retry).ready();
    (server, outbox, down)
}

#[test]
fn jobs_wait_unspent_behind_an_open_breaker_and_other_channels_go_on() {
    let (server, outbox, down) = outage();
    let waiting: Vec<_> = (0..200).map(|case| outbox.chat(case, "hi")).collect();
    let daemon = outbox.daemon();
    let breaker = found(SOON, "the breaker in status", || {
        let status = outbox.run(&["status", "--json"]).expect(0).json();
        status["holds"].as_array()?.iter().find(|hold| hold["kind"] == "breaker").cloned()
    });
    assert_eq!((&breaker["account"], &breaker["channel"]), (&"default".into(), &"chat".into()));
    assert!(breaker["reason"].as_str().unwrap().contains("503"), "{breaker}");
    assert!(breaker["until"].is_string(), "{breaker}");

    let mail = outbox.add(crate::support::Job::mail(1, "hi"));
    outbox.when_status(mail, "sent");
    // 32 were on the wire when it opened; probes have followed one by one.
    let probes =
        |server: &Server| server.requests().iter().filter(|r| r.target.contains("/chat/")).count();
    let begun = probes(&server);
    assert!(begun <= 40, "{begun} requests to a dead endpoint");
    let row = outbox.row(*waiting.last().unwrap());
    assert_eq!(row["attempts"], 0, "it waits, and spends nothing");

    down.store(false, Ordering::SeqCst);
    eventually(SOON, "everything sent", || outbox.count("sent") == 201);
    let log = daemon.stderr();
    assert_eq!(log.matches("the breaker opens").count(), 1, "{log}");
    assert_eq!(log.matches("the breaker closes").count(), 1, "{log}");
    let status = outbox.run(&["status", "--json"]).expect(0).json();
    assert_eq!(status["holds"], serde_json::json!([]));
}

#[test]
fn no_stampede_follows_the_recovery() {
    let (server, outbox, _down) = outage();
    for case in 0..100 {
        outbox.chat(case, "hi");
    }
    let mut daemon = outbox.daemon();
    daemon.wait_for_log("the breaker opens");
    eventually(SOON, "nothing claimed", || outbox.count("sending") == 0);
    let gate = server.hold();
    eventually(SOON, "a probe of chat", || server.open() == 1);
    let mail = outbox.add(crate::support::Job::mail(1, "beside it"));
    eventually(SOON, "the email", || server.requests_for("beside it").len() == 1);
    assert_eq!(server.open(), 2, "one probe of chat, and the email");
    gate.open();
    outbox.when_status(mail, "sent");
    eventually(SOON, "everything sent", || outbox.count("sent") == 101);
}

#[test]
fn a_probe_that_fails_makes_the_next_one_wait_longer() {
    let (server, outbox, _down) = outage();
    for case in 0..40 {
        outbox.chat(case, "hi");
    }
    let mut daemon = outbox.daemon();
    daemon.wait_for_log("the breaker opens");
    let until = || {
        let status = outbox.run(&["status", "--json"]).expect(0).json();
        let hold = status["holds"].as_array()?.first()?.clone();
        Some((hold["since"].as_str()?.to_owned(), hold["until"].as_str()?.to_owned()))
    };
    let first = found(SOON, "the breaker in status", until);
    let later = found(SOON, "a later probe", || until().filter(|now| now.1 > first.1));
    assert_eq!(first.0, later.0, "it is open since the same time");
    assert!(server.count() < 60, "{} requests", server.count());
}
