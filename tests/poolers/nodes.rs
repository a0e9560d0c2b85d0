//! A node through a pooler.

use super::{Place, chat};
use crate::support::{Daemon, SOON, Server, eventually};
use serde_json::json;
use std::thread;

const WARNING: &str = "a pooler that gives each transaction another session";

#[test]
fn a_node_in_session_mode_is_as_any_other() {
    let Some(place) = Place::behind("session") else { return };
    let server = Server::start();
    let daemon = place.configured(&server).start(&["run"]).ready();
    // It has taken the bell, and so it listens.
    let bell = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1869771896 AND mode = 'ExclusiveLock'";
    eventually(SOON, "it listens", || place.database.number(bell) > 0);
    place.pooled().execute(&chat(1));
    eventually(SOON, "sent", || server.count() == 1);
    assert!(!daemon.stderr().contains("pooler"), "{}", daemon.stderr());
}

#[test]
fn nodes_in_transaction_mode_say_so_and_send_everything_once() {
    let Some(place) = Place::behind("transaction") else { return };
    let server = Server::start();
    let program = place.configured(&server);
    let run = ["run", "--listen", "127.0.0.1:0"];
    let mut nodes: Vec<Daemon> = (0..2).map(|_| program.start(&run).ready()).collect();
    for node in &nodes {
        assert_eq!(node.stderr().matches(WARNING).count(), 1, "{}", node.stderr());
    }
    let status = program.run(&["nodes"]).expect(0);
    assert!(status.stdout.contains("polling"), "{status:?}");
    let dashboard = nodes[0].get("/");
    assert!(dashboard.status == 200 && dashboard.body.contains("polling"), "{dashboard:?}");
    // Others use the same sessions meanwhile, and leave in them what they like.
    thread::scope(|scope| {
        for producer in 0..4 {
            let pooled = place.pooled();
            scope.spawn(move || {
                for job in 0..15 {
                    pooled.execute("SET search_path = pg_catalog");
                    pooled.execute("SET lock_timeout = 0");
                    pooled.execute(&chat(producer * 100 + job));
                }
            });
        }
    });
    let outbox = place.outbox();
    let sent = "SELECT count(*) FROM outbox WHERE status = 'sent' AND attempts = 1";
    eventually(SOON, "all sent", || outbox.number(sent) == 60);
    assert_eq!(server.count(), 60);
    // No lease was lost and nothing was tried again.
    for mut node in nodes {
        assert!(node.is_running());
        let log = node.stderr();
        assert!(!log.contains("ERROR") && !log.contains("cannot be used"), "{log}");
        node.sigterm();
        node.wait(SOON).expect(0);
    }
    let nodes = program.run(&["nodes", "--json"]).expect(0).json();
    assert_eq!(nodes, json!([]));
}

/// The jobs of a node that is killed are decided by another, all through the pooler.
#[test]
fn a_killed_node_is_buried_through_the_pooler() {
    let Some(place) = Place::behind("transaction") else { return };
    let server = Server::start();
    let gate = crate::support::Gate::closed();
    let (held, first) = (gate.clone(), std::sync::atomic::AtomicBool::new(true));
    server.answer_with(move |request| {
        let reply = crate::support::Reply::accepted(request);
        match first.swap(false, std::sync::atomic::Ordering::Relaxed) {
            true => reply.behind(&held),
            false => reply,
        }
    });
    let program = place.configured(&server);
    let mut node = program.start(&["run"]).ready();
    place.pooled().execute(&chat(1));
    eventually(SOON, "the request is out", || server.count() == 1);
    node.kill9();
    let outbox = place.outbox();
    let _next = program.start(&["run"]).ready();
    let again = "SELECT count(*) FROM outbox WHERE status = 'sent' AND attempts = 2";
    eventually(SOON, "sent again by the next", || outbox.number(again) == 1);
    gate.open();
}
