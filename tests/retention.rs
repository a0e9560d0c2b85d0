//! Retention: what has finished is deleted after a while, bit by bit, and the file shrinks again.

mod support;

use std::time::Duration;
use support::{Job, Outbox, Reply, Server, eventually};

const LONG: Duration = Duration::from_secs(90);

/// An application may have its own trigger on the outbox.
#[test]
fn retention_that_is_refused_holds_up_neither_messages_nor_scrubbing() {
    let server = Server::start();
    let more = "[retention]\nsent = \"1h\"\n[channels.chat]\nscrub = \"1h\"";
    let outbox = Outbox::setup(&server).more(more).ready();
    finished_long_ago(&outbox, "sent", 10, 100);
    outbox.execute(
        "CREATE TRIGGER own BEFORE DELETE ON outbox BEGIN SELECT RAISE(ABORT, 'kept by us'); END",
    );
    let mut daemon = outbox.daemon();
    daemon.wait_for_log("kept by us");
    let id = outbox.chat(1, "hi");
    assert_eq!(outbox.settled(id)["status"], "sent");
    let scrubbed = "SELECT count(*) FROM outbox WHERE payload LIKE '%\"scrubbed\":true%'";
    eventually(LONG, "scrubbed all the same", || outbox.database().number(scrubbed) == 10);
    assert!(!daemon.stderr().contains("the database cannot be used"), "{}", daemon.stderr());
}

/// So many finished chat messages of two hours ago, each with a history and so many bytes of words.
fn finished_long_ago(outbox: &Outbox, status: &str, count: u32, bytes: u32) {
    outbox.execute(&format!(
        "BEGIN IMMEDIATE;
         INSERT INTO outbox (channel, payload, ordering_key)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         SELECT 'chat', json_object('caseId', i, 'message', hex(zeroblob({bytes} / 2))), '' FROM n;
         UPDATE outbox SET status = 'sending', moves = moves + 1, wait = NULL, attempts = 1, claimed_by = 0 WHERE status = 'pending';
         INSERT INTO outbox_attempts (job_id, attempt, started_at, duration_ms, outcome)
         SELECT id, 1, 1, 1, 'accepted' FROM outbox WHERE status = 'sending';
         UPDATE outbox SET status = '{status}', moves = moves + 1, claimed_by = NULL,
             failure = CASE '{status}' WHEN 'failed' THEN 'rejected' END,
             finished_at = (SELECT now FROM outbox_clock) - 7200000 + id WHERE status = 'sending';
         COMMIT"
    ));
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
    let withdrawn = outbox.add(Job::chat(20, "no").column("send_at", "datetime('now', '+1 day')"));
    outbox.run(&["cancel", &withdrawn.to_string()]).expect(0);
    outbox.run_until_empty();
    outbox.execute("UPDATE outbox SET finished_at = finished_at - 3 * 86400000");
    let daemon = outbox.daemon();
    let there =
        |id: i64| !outbox.query(&format!("SELECT 1 FROM outbox WHERE id = {id}")).is_empty();
    eventually(LONG, "the sent one is deleted", || !there(old[0]));
    assert!(outbox.history(old[0]).is_empty(), "its history goes with it");
    assert!(there(old[1]), "failed: kept for four days");
    drop(daemon);
    outbox.execute("UPDATE outbox SET finished_at = finished_at - 365 * 86400000");
    let _daemon = outbox.daemon();
    eventually(LONG, "the failed one is deleted", || !there(old[1]));
    assert!(there(old[2]), "what is uncertain waits for a person");
    assert!(there(withdrawn), "cancelled: kept until that is set");
}

#[test]
fn a_long_backlog_goes_bit_by_bit_while_messages_go_out_and_producers_write() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).more("[retention]\nsent = \"1h\"").ready();
    finished_long_ago(&outbox, "sent", 6_000, 100);
    finished_long_ago(&outbox, "failed", 100, 100);
    let _daemon = outbox.daemon();
    let left = "SELECT count(*) FROM outbox WHERE status = 'sent' AND finished_at < (SELECT now FROM outbox_clock) - 3600000";
    let (mut ids, mut seen) = (vec![], vec![]);
    eventually(LONG, "all that is old is gone", || {
        // A producer never sees SQLITE_BUSY because of it.
        ids.push(outbox.chat(9_000 + ids.len() as i64, "new"));
        seen.push(outbox.database().number(left));
        seen.last() == Some(&0)
    });
    assert!(seen.iter().any(|left| (500..6_000).contains(left)), "all at once: {seen:?}");
    assert!(ids.iter().all(|id| outbox.settled(*id)["status"] == "sent"));
    assert_eq!(outbox.count("failed"), 100);
    let orphans =
        "SELECT count(*) FROM outbox_attempts WHERE job_id NOT IN (SELECT id FROM outbox)";
    assert_eq!(outbox.database().number(orphans), 0);
}

fn bytes(outbox: &Outbox) -> u64 {
    std::fs::metadata(outbox.database().path()).unwrap().len()
}

#[test]
fn after_a_big_table_was_pruned_the_file_gets_smaller_by_itself() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).more("[retention]\nsent = \"1h\"").ready();
    finished_long_ago(&outbox, "sent", 4_000, 6_000);
    let kept: Vec<_> = (1..=200).map(|case| outbox.chat(case, &"kept".repeat(500))).collect();
    let full = bytes(&outbox).max(4_000 * 6_000);
    let daemon = outbox.daemon();
    kept.iter().for_each(|id| assert_eq!(outbox.settled(*id)["status"], "sent"));
    eventually(LONG, "the old ones are gone", || outbox.count("sent") == 200);
    eventually(LONG, "a small file", || bytes(&outbox) < full / 3);
    daemon.sigterm();
    daemon.wait(LONG).expect(0);
    let said = outbox.database().one("PRAGMA integrity_check");
    assert_eq!(said["integrity_check"], "ok");
    assert_eq!(outbox.count("sent"), 200);
    let words = format!(
        "SELECT count(*) FROM outbox WHERE json_extract(payload, '$.message') = '{}'",
        "kept".repeat(500)
    );
    assert_eq!(outbox.database().number(&words), 200);
}

#[test]
fn a_file_that_an_application_made_is_left_as_it_is() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).more("[retention]\nsent = \"1h\"").written();
    outbox.execute(
        "PRAGMA journal_mode = WAL; CREATE TABLE own (x); INSERT INTO own VALUES ('theirs')",
    );
    outbox.run(&["init"]).expect(0);
    assert_eq!(outbox.database().number("PRAGMA auto_vacuum"), 0);
    finished_long_ago(&outbox, "sent", 2_000, 6_000);
    let daemon = outbox.daemon();
    eventually(LONG, "the old ones are deleted", || outbox.count("sent") == 0);
    let id = outbox.chat(1, "hi");
    outbox.settled(id);
    assert!(outbox.database().number("PRAGMA freelist_count") > 1_000);
    assert_eq!(outbox.database().number("PRAGMA auto_vacuum"), 0);
    // The way that the documentation gives.
    drop(daemon);
    outbox.execute("PRAGMA auto_vacuum = INCREMENTAL; VACUUM");
    assert_eq!(outbox.database().number("PRAGMA freelist_count"), 0);
    assert_eq!(outbox.database().number("PRAGMA auto_vacuum"), 2);
    assert_eq!(outbox.database().one("SELECT x FROM own")["x"], "theirs");
}
