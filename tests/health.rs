//! `/healthz` and `/readyz`: what a load balancer and an orchestrator are told.

use crate::support::{Daemon, Gate, Outbox, Page, Reply, SOON, Server, SmallDisk};
use crate::support::{eventually, sqlite_only, write_lock};

const LISTEN: [&str; 3] = ["run", "--listen", "127.0.0.1:0"];

fn daemon(outbox: &Outbox) -> Daemon {
    outbox.program().start(&LISTEN).ready()
}

fn reasons(page: &Page) -> Vec<String> {
    let json = page.json();
    let reasons = json["reasons"].as_array().expect("reasons");
    reasons.iter().map(|reason| reason.as_str().expect("a sentence").to_owned()).collect()
}

#[test]
fn a_daemon_that_dispatches_is_alive_and_ready() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let mut daemon = daemon(&outbox);
    eventually(SOON, "ready", || daemon.get("/readyz").status == 200);
    let ready = daemon.get("/readyz").json();
    assert_eq!(ready["ready"], true, "{ready}");
    assert_eq!(ready["state"], "dispatching", "{ready}");
    assert_eq!(ready["reasons"], serde_json::json!([]), "{ready}");
    let alive = daemon.get("/healthz");
    assert_eq!((alive.status, alive.json()["alive"].as_bool()), (200, Some(true)), "{alive:?}");
}

#[test]
fn a_standby_is_alive_and_not_ready_until_it_takes_over() {
    sqlite_only!("a second daemon stands by; on PostgreSQL it is a second node");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let first = outbox.daemon();
    let mut standby = outbox.program().start(&LISTEN);
    standby.wait_for_log("standing by");
    assert_eq!(standby.get("/healthz").status, 200);
    let page = standby.get("/readyz");
    assert_eq!(page.status, 503, "{page:?}");
    assert_eq!(reasons(&page), ["it is a standby: another dispatcher has the lock"]);
    drop(first);
    eventually(SOON, "ready after the take-over", || standby.get("/readyz").status == 200);
}

#[test]
fn one_that_cannot_write_is_alive_and_not_ready() {
    sqlite_only!("one program at a time may write a file");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let mut daemon = daemon(&outbox);
    let (release, producer) = write_lock(outbox.database());
    eventually(SOON, "the lock is noticed", || {
        let page = daemon.get("/readyz");
        page.status == 503 && reasons(&page).iter().any(|r| r.contains("write lock"))
    });
    assert_eq!(daemon.get("/healthz").status, 200);
    release.send(()).unwrap();
    producer.join().unwrap();
    eventually(SOON, "ready again", || daemon.get("/readyz").status == 200);
}

#[test]
fn one_whose_results_cannot_be_recorded_says_so() {
    sqlite_only!("one program at a time may write a file");
    let (server, gate) = (Server::start(), Gate::closed());
    server.queue([Reply::json(200, crate::support::chat_accepted(5)).behind(&gate)]);
    let outbox = Outbox::new(&server);
    let mut daemon = daemon(&outbox);
    outbox.chat(1, "hi");
    server.wait_for(1);
    let (release, producer) = write_lock(outbox.database());
    gate.open();
    daemon.wait_for_log("the database cannot be used");
    let page = daemon.get("/readyz");
    assert_eq!((page.status, page.json()["state"].as_str()), (503, Some("trouble")), "{page:?}");
    assert!(reasons(&page)[0].contains("results wait in memory"), "{page:?}");
    assert_eq!(daemon.get("/healthz").status, 200, "a new start would mend nothing");
    release.send(()).unwrap();
    producer.join().unwrap();
    eventually(SOON, "ready again", || daemon.get("/readyz").status == 200);
}

#[test]
fn one_that_drains_is_alive_and_not_ready() {
    let (server, gate) = (Server::start(), Gate::closed());
    server.queue([Reply::json(200, crate::support::chat_accepted(5)).behind(&gate)]);
    let outbox = Outbox::new(&server);
    let mut daemon = daemon(&outbox);
    outbox.chat(1, "hi");
    server.wait_for(1);
    daemon.sigterm_seen();
    let page = daemon.get("/readyz");
    assert_eq!((page.status, page.json()["state"].as_str()), (503, Some("stopping")), "{page:?}");
    assert_eq!(daemon.get("/healthz").status, 200);
    gate.open();
    daemon.wait(SOON);
}

#[test]
fn health_is_told_without_a_token_and_names_no_path() {
    sqlite_only!("one program at a time may write a file");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let token = "a-token-that-is-long-enough-for-it";
    let program = outbox.program().env("ACQUIRE_OUTBOX_WEB_TOKEN", token);
    let mut daemon = program.start(&LISTEN).ready();
    assert_eq!(daemon.get("/healthz").status, 200);
    eventually(SOON, "ready", || daemon.get("/readyz").status == 200);
    let folder = outbox.folder().to_str().unwrap().to_owned();
    let (release, producer) = write_lock(outbox.database());
    eventually(SOON, "not ready", || daemon.get("/readyz").status == 503);
    crate::support::never_shows("/readyz", &daemon.get("/readyz").body, &folder);
    drop(release);
    producer.join().unwrap();
}

#[test]
fn one_on_a_full_or_read_only_disk_is_not_ready() {
    sqlite_only!("a full disk of this machine");
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    let Some(disk) = SmallDisk::mount(outbox.folder().join("small"), 40) else { return };
    disk.program(&outbox).run(&["init"]).expect(0);
    let mut daemon = disk.program(&outbox).start(&LISTEN).ready();
    eventually(SOON, "ready", || daemon.get("/readyz").status == 200);
    let filler = disk.fill();
    let page = daemon.get("/readyz");
    assert_eq!(page.status, 503, "{page:?}");
    assert!(reasons(&page).iter().any(|reason| reason.ends_with("has 0 KiB left")), "{page:?}");
    assert_eq!(daemon.get("/healthz").status, 200);
    std::fs::remove_file(filler).unwrap();
    eventually(SOON, "ready again", || daemon.get("/readyz").status == 200);
    if disk.remount("ro") {
        let page = daemon.get("/readyz");
        assert!(reasons(&page).iter().any(|reason| reason.contains("read-only")), "{page:?}");
    }
}
