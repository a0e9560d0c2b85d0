//! Retention: what has finished is deleted after a while, bit by bit, and the file shrinks again.

use crate::support::{Engine, Job, Outbox, Reply, Server, eventually, from_now, sqlite_only};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(90);
const DAY: Duration = Duration::from_secs(86_400);

/// An application may have its own trigger on the outbox.
#[test]
fn retention_that_is_refused_holds_up_neither_messages_nor_scrubbing() {
    let server = Server::start();
    let more = "[retention]\nsent = \"1h\"\n[channels.chat]\nscrub = \"1h\"";
    let outbox = Outbox::setup(&server).more(more).ready();
    outbox.ended_long_ago("sent", 10, "hi");
    outbox.own_rule("DELETE", "true", "kept by us");
    let mut daemon = outbox.daemon();
    daemon.wait_for_log("kept by us");
    let id = outbox.chat(1, "hi");
    assert_eq!(outbox.settled(id)["status"], "sent");
    eventually(LONG, "scrubbed all the same", || outbox.scrubbed() == 10);
    assert!(!daemon.stderr().contains("the database cannot be used"), "{}", daemon.stderr());
}

#[test]
fn each_state_is_kept_as_long_as_is_said_and_goes_with_its_history() {
    let server = Server::answering(|request| match request.words().as_str() {
        "refused" => Reply::status(400),
        "lost" => Reply::drop(),
        _ => Reply::accepted(request),
    });
    let more =
        "[channels.chat]\non_uncertain = \"hold\"\n[retention]\nsent = \"2d\"\nfailed = \"4d\"";
    let outbox = Outbox::setup(&server).more(more).ready();
    let jobs = |prefix: i64| {
        [
            outbox.chat(prefix + 1, "hi"),
            outbox.chat(prefix + 2, "refused"),
            outbox.chat(prefix + 3, "lost"),
        ]
    };
    let old = jobs(10);
    let withdrawn = outbox.add(Job::chat(20, "no").tomorrow());
    outbox.run(&["cancel", &withdrawn.to_string()]).expect(0);
    outbox.run_until_empty();
    outbox.move_back("finished_at", DAY * 3, "finished_at IS NOT NULL");
    let daemon = outbox.daemon();
    let there =
        |id: i64| !outbox.query(&format!("SELECT 1 FROM outbox WHERE id = {id}")).is_empty();
    eventually(LONG, "the sent one is deleted", || !there(old[0]));
    assert!(outbox.history(old[0]).is_empty(), "its history goes with it");
    assert!(there(old[1]), "failed: kept for four days");
    drop(daemon);
    outbox.move_back("finished_at", DAY * 365, "finished_at IS NOT NULL");
    let _daemon = outbox.daemon();
    eventually(LONG, "the failed one is deleted", || !there(old[1]));
    assert!(there(old[2]), "what is uncertain waits for a person");
    assert!(there(withdrawn), "cancelled: kept until that is set");
}

#[test]
fn a_long_backlog_goes_bit_by_bit_while_messages_go_out_and_producers_write() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).more("[retention]\nsent = \"1h\"").ready();
    outbox.ended_long_ago("sent", 6_000, "hi");
    outbox.ended_long_ago("failed", 100, "hi");
    let _daemon = outbox.daemon();
    let an_hour_ago = Engine::of_this_run().time(from_now(-3600.0));
    let left = format!(
        "SELECT count(*) FROM outbox WHERE status = 'sent' AND finished_at < {an_hour_ago}"
    );
    let (mut ids, mut seen) = (vec![], vec![]);
    eventually(LONG, "all that is old is gone", || {
        // A producer never sees SQLITE_BUSY because of it.
        ids.push(outbox.chat(9_000 + ids.len() as i64, "new"));
        seen.push(outbox.number(&left));
        seen.last() == Some(&0)
    });
    assert!(seen.iter().any(|left| (500..6_000).contains(left)), "all at once: {seen:?}");
    assert!(ids.iter().all(|id| outbox.settled(*id)["status"] == "sent"));
    assert_eq!(outbox.count("failed"), 100);
    let orphans =
        "SELECT count(*) FROM outbox_attempts WHERE job_id NOT IN (SELECT id FROM outbox)";
    assert_eq!(outbox.number(orphans), 0);
}

fn bytes(outbox: &Outbox) -> u64 {
    std::fs::metadata(outbox.database().path()).unwrap().len()
}

#[test]
fn after_a_big_table_was_pruned_the_file_gets_smaller_by_itself() {
    sqlite_only!("the size of its file");
    let server = Server::start();
    let outbox = Outbox::setup(&server).more("[retention]\nsent = \"1h\"").ready();
    outbox.ended_long_ago("sent", 4_000, &"00".repeat(3_000));
    let kept: Vec<_> = (1..=200).map(|case| outbox.chat(case, &"kept".repeat(500))).collect();
    let full = bytes(&outbox).max(4_000 * 6_000);
    let daemon = outbox.daemon();
    kept.iter().for_each(|id| assert_eq!(outbox.settled(*id)["status"], "sent"));
    eventually(LONG, "the old ones are gone", || outbox.count("sent") == 200);
    eventually(LONG, "a small file", || bytes(&outbox) < full / 3);
    daemon.sigterm();
    daemon.wait(LONG).expect(0);
    let said = outbox.one("PRAGMA integrity_check");
    assert_eq!(said["integrity_check"], "ok");
    assert_eq!(outbox.count("sent"), 200);
    let words = format!(
        "SELECT count(*) FROM outbox WHERE json_extract(payload, '$.message') = '{}'",
        "kept".repeat(500)
    );
    assert_eq!(outbox.number(&words), 200);
}

#[test]
fn a_file_that_an_application_made_is_left_as_it_is() {
    sqlite_only!("an application's file");
    let server = Server::start();
    let outbox = Outbox::setup(&server).more("[retention]\nsent = \"1h\"").written();
    outbox.execute(
        "PRAGMA journal_mode = WAL; CREATE TABLE own (x); INSERT INTO own VALUES ('theirs')",
    );
    outbox.run(&["init"]).expect(0);
    assert_eq!(outbox.number("PRAGMA auto_vacuum"), 0);
    outbox.ended_long_ago("sent", 2_000, &"00".repeat(3_000));
    let daemon = outbox.daemon();
    eventually(LONG, "the old ones are deleted", || outbox.count("sent") == 0);
    let id = outbox.chat(1, "hi");
    outbox.settled(id);
    assert!(outbox.number("PRAGMA freelist_count") > 1_000);
    assert_eq!(outbox.number("PRAGMA auto_vacuum"), 0);
    // The way that the documentation gives.
    drop(daemon);
    outbox.execute("PRAGMA auto_vacuum = INCREMENTAL; VACUUM");
    assert_eq!(outbox.number("PRAGMA freelist_count"), 0);
    assert_eq!(outbox.number("PRAGMA auto_vacuum"), 2);
    assert_eq!(outbox.one("SELECT x FROM own")["x"], "theirs");
}
