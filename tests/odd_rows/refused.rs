//! Rows that the database refuses to change: an application's own trigger fails for them.

use crate::support::{Gate, Job, Outbox, Reply, SOON, Server, eventually};

fn refuse(outbox: &Outbox, when: &str, word: &str) {
    outbox.execute(&format!(
        "CREATE TRIGGER own_refuses AFTER UPDATE OF status ON outbox WHEN {when}
         BEGIN SELECT RAISE({word}); END"
    ));
}

#[test]
fn an_outcome_that_cannot_be_recorded_is_kept_and_recorded_later_and_never_sent_again() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let job = |case: i64| outbox.chat(case, &format!("job {case}"));
    refuse(&outbox, "NEW.status = 'sent' AND NEW.id = 2", "ABORT, 'the audit says no'");
    let ids: Vec<i64> = (1..=6).map(job).collect();
    let mut daemon = outbox.daemon();
    for id in ids.iter().filter(|id| **id != 2) {
        assert_eq!(outbox.settled(*id).text("status"), "sent");
    }
    daemon.wait_for_log("cannot be recorded");
    assert!(daemon.stderr().contains("the audit says no"), "{}", daemon.stderr());
    let later = job(7);
    assert_eq!(outbox.settled(later).text("status"), "sent");
    let kept =
        outbox.database().one("SELECT reason, record FROM outbox_set_aside WHERE job_id = 2");
    assert_eq!(kept.text("reason"), "the audit says no");
    assert_eq!(kept.json("record")["status"], "sent");
    assert_eq!(outbox.status(2), "sending");
    let said = outbox.run(&["show", "2"]).expect(0).stdout;
    assert!(said.contains("set aside") && said.contains("the audit says no"), "{said}");
    assert!(outbox.run(&["status"]).expect(0).stdout.contains("set aside\t1 job: 2"));

    // Neither a stop nor a crash causes another request for it.
    daemon.kill9();
    let mut daemon = outbox.daemon();
    let next = job(8);
    assert_eq!(outbox.settled(next).text("status"), "sent");
    assert_eq!(outbox.status(2), "sending");
    daemon.kill9();
    outbox.execute("DROP TRIGGER own_refuses");
    let _daemon = outbox.daemon();
    let row = outbox.settled(2);
    assert_eq!(row.text("status"), "sent");
    assert!(!row.is_null("message_id") && !row.is_null("receipt"), "{row:?}");
    assert_eq!(outbox.outcomes(2), ["accepted"]);
    eventually(SOON, "it is no longer set aside", || {
        outbox.database().number("SELECT count(*) FROM outbox_set_aside") == 0
    });
    assert_eq!(server.requests_for("job 2").len(), 1);
}

#[test]
fn every_kind_of_outcome_is_kept_as_it_was() {
    let gate = Gate::closed();
    let behind = gate.clone();
    let server = Server::answering(move |request| {
        let reply = match request.words().as_str() {
            "refused" => Reply::json(
                400,
                serde_json::json!({"error": "ERROR_INVALID_INPUT", "message": "no"}),
            ),
            "unknown" => Reply::status(502),
            "again" => Reply::status(503),
            _ => Reply::accepted(request),
        };
        reply.behind(&behind)
    });
    let more = "[channels.chat]\non_uncertain = \"hold\"";
    let outbox = Outbox::setup(&server).retry("initial = \"1h\"\nmax = \"2h\"").more(more).ready();
    refuse(&outbox, "OLD.status = 'sending'", "ABORT, 'not now'");
    let ids = ["refused", "unknown", "again", "fine"]
        .map(|words| outbox.chat(i64::from(words.as_bytes()[0]), words));
    let daemon = outbox.daemon();
    server.wait_for(4);
    gate.open();
    eventually(SOON, "all are set aside", || {
        outbox.database().number("SELECT count(*) FROM outbox_set_aside WHERE record IS NOT NULL")
            == 4
    });
    daemon.sigterm();
    daemon.wait(SOON).expect(0);
    outbox.execute("DROP TRIGGER own_refuses");
    let _daemon = outbox.daemon();
    let is = |id: i64, status: &str| outbox.when_status(id, status);
    assert_eq!(is(ids[0], "failed").text("failure"), "rejected");
    assert_eq!(is(ids[1], "uncertain").text("error_code"), "http_502");
    assert_eq!(is(ids[2], "pending").text("wait"), "backoff");
    assert!(!is(ids[3], "sent").is_null("message_id"));
    assert_eq!(server.count(), 4);
}

#[test]
fn a_row_that_cannot_be_claimed_or_moved_waits_by_itself() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    refuse(&outbox, "NEW.status = 'sending' AND NEW.id = 2", "ABORT, 'not this one'");
    outbox.execute(
        "CREATE TRIGGER own_expiry BEFORE UPDATE OF status ON outbox WHEN NEW.failure = 'expired' AND NEW.id = 3
         BEGIN SELECT RAISE(ABORT, 'not that one'); END;
         CREATE TRIGGER own_due BEFORE UPDATE OF wait ON outbox WHEN OLD.wait = 'scheduled' AND NEW.id = 4
         BEGIN SELECT RAISE(ABORT, 'not the third'); END;
         CREATE TRIGGER own_account BEFORE UPDATE OF status ON outbox WHEN NEW.account = 'gone' AND NEW.id = 5
         BEGIN SELECT RAISE(ABORT, 'not the fourth'); END;
         CREATE TRIGGER own_attempts BEFORE INSERT ON outbox_attempts WHEN NEW.job_id = 7
         BEGIN SELECT RAISE(ABORT, 'no history'); END",
    );
    outbox.chat(1, "one");
    outbox.chat(2, "not claimed");
    outbox.add(Job::chat(3, "not expired").column("expires_at", "datetime('now', '-1 hour')"));
    outbox.add(Job::chat(4, "not due").column("send_at", "datetime('now', '+2 seconds')"));
    for case in [5, 6] {
        outbox.add(Job::chat(case, "gone").column("account", "'gone'"));
    }
    outbox.chat(7, "no history");
    let daemon = outbox.daemon();
    for id in [1, 6] {
        outbox.settled(id);
    }
    let reasons = [
        (2, "not this one"),
        (3, "not that one"),
        (4, "not the third"),
        (5, "not the fourth"),
        (7, "no history"),
    ];
    for (id, reason) in reasons {
        let aside = format!(
            "SELECT count(*) FROM outbox_set_aside WHERE job_id = {id} AND reason LIKE '%{reason}%'"
        );
        eventually(SOON, reason, || outbox.database().number(&aside) == 1);
    }
    // Two more seconds: a job that is scheduled for then does not stop the rest.
    for case in 10..30 {
        assert_eq!(outbox.settled(outbox.chat(case, "fine")).text("status"), "sent");
    }
    assert_eq!(outbox.status(6), "failed");
    daemon.sigterm();
    daemon.wait(SOON).expect(0);
    outbox.execute(
        "DROP TRIGGER own_refuses; DROP TRIGGER own_expiry; DROP TRIGGER own_due;
                    DROP TRIGGER own_account; DROP TRIGGER own_attempts",
    );
    let _daemon = outbox.daemon();
    for (id, status) in [(2, "sent"), (3, "failed"), (4, "sent"), (5, "failed"), (7, "sent")] {
        assert_eq!(outbox.settled(id).text("status"), status, "{id}");
    }
    assert_eq!(server.requests_for("no history").len(), 1);
}

#[test]
fn a_change_that_a_trigger_ignores_is_kept_too() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.execute(
        "CREATE TRIGGER own_ignores BEFORE UPDATE OF status ON outbox WHEN NEW.status = 'sent' AND NEW.id = 1
         BEGIN SELECT RAISE(IGNORE); END",
    );
    outbox.chat(1, "ignored");
    let mut daemon = outbox.daemon();
    daemon.wait_for_log("RAISE(IGNORE)");
    assert_eq!(outbox.settled(outbox.chat(2, "fine")).text("status"), "sent");
    daemon.kill9();
    outbox.execute("DROP TRIGGER own_ignores");
    let _daemon = outbox.daemon();
    assert_eq!(outbox.settled(1).text("status"), "sent");
    assert_eq!(server.words(), ["ignored", "fine"]);
}

#[test]
fn a_claim_that_a_trigger_ignores_takes_no_ones_place() {
    let server = Server::start();
    let more = "[channels.chat]\nmax_in_flight = 2";
    let outbox = Outbox::setup(&server).more(more).ready();
    outbox.execute(
        "CREATE TRIGGER own_ignores BEFORE UPDATE OF status ON outbox WHEN NEW.status = 'sending' AND NEW.id <= 5
         BEGIN SELECT RAISE(IGNORE); END",
    );
    let ids: Vec<i64> = (1..=8).map(|case| outbox.chat(case, "hi")).collect();
    let _daemon = outbox.daemon();
    for id in &ids[5..] {
        assert_eq!(outbox.settled(*id).text("status"), "sent");
    }
    assert_eq!(outbox.run(&["status", "--json"]).expect(0).json()["set_aside"], 5);
}

#[test]
fn a_row_that_a_trigger_keeps_does_not_keep_the_others() {
    let server = Server::start();
    let more = "[retention]\nsent = \"1s\"\n[channels.chat]\nscrub = \"1s\"";
    let outbox = Outbox::setup(&server).more(more).ready();
    outbox.execute(
        "CREATE TRIGGER own_keeps BEFORE DELETE ON outbox WHEN OLD.id = 2
         BEGIN SELECT RAISE(ABORT, 'kept for the audit'); END",
    );
    for case in 1..=4 {
        outbox.chat(case, "hi");
    }
    outbox.run_until_empty();
    outbox.execute("UPDATE outbox SET finished_at = finished_at - 60000 WHERE status = 'sent'");
    let _daemon = outbox.daemon();
    eventually(SOON, "the others are pruned", || {
        outbox.query("SELECT id FROM outbox").iter().map(|row| row.int("id")).eq([2])
    });
}

#[test]
fn a_trigger_that_refuses_every_claim_is_no_rows_fault() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    refuse(&outbox, "NEW.status = 'sending'", "ABORT, 'nobody'");
    for case in 1..=40 {
        outbox.chat(case, "hi");
    }
    let mut daemon = outbox.daemon();
    daemon.wait_for_log("the database refuses every change");
    assert_eq!(outbox.database().number("SELECT count(*) FROM outbox_set_aside"), 0);
    outbox.execute("DROP TRIGGER own_refuses");
    eventually(SOON, "all are sent", || outbox.count("sent") == 40);
}
