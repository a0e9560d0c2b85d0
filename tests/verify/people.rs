//! What a person and a producer can do while a message is verified, and afterwards.

use super::vendor::{Fate, Vendor};
use super::{VERIFY, loses_answers, verifying};
use crate::support::{Outbox, Reply};
use std::time::Duration;

/// Verified for so long that a person comes first.
fn slow(vendor: &Vendor) -> Outbox {
    let slow = VERIFY.replace("[\"50ms\", \"1s\"]", "[\"1h\"]");
    Outbox::setup(&vendor.server).more(&slow).ready()
}

#[test]
fn a_person_may_decide_while_it_is_verified() {
    let vendor = Vendor::new(loses_answers(Duration::ZERO));
    let outbox = slow(&vendor);
    let (first, second) = (outbox.chat(1, "first"), outbox.chat(1, "second"));
    let mut daemon = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]).ready();
    outbox.when_status(first, "uncertain");
    let shown = outbox.run(&["show", &first.to_string()]).expect(0).stdout;
    assert!(shown.contains("being verified at Acquire: next lookup at"), "{shown}");
    let status = outbox.run(&["status"]).expect(0).stdout;
    assert!(status.contains("1 uncertain job is being verified at Acquire"), "{status}");
    let listed = outbox.run(&["list", "--json"]).expect(0).json();
    let marked = |id: i64| {
        let jobs = listed.as_array().unwrap();
        jobs.iter().find(|job| job["id"] == id).unwrap()["verifying"] == true
    };
    assert!(marked(first) && !marked(second), "{listed}");
    let listed = outbox.run(&["list", "--status", "uncertain"]).expect(0).stdout;
    assert!(listed.contains("uncertain\tverifying\t"), "{listed}");
    let list = daemon.get("/jobs?status=uncertain").body;
    assert!(list.contains(": verifying"), "{list}");
    let refused = outbox.try_query(&format!(
        "UPDATE outbox SET payload = '{{\"caseId\": 1, \"message\": \"other\"}}' WHERE id = {first}"
    ));
    assert!(refused.unwrap_err().contains("being verified cannot be changed"));
    assert_eq!(outbox.status(second), "pending", "it waits");
    outbox.run(&["resolve", &first.to_string(), "--sent"]).expect(0);
    let row = outbox.row(first);
    assert_eq!(row.text("status"), "sent");
    assert!(row.is_null("verify_at") && row.is_null("wait"));
    outbox.when_status(second, "uncertain");
    outbox.run(&["retry", &second.to_string()]).expect(0);
    outbox.when_status(second, "sent");
    assert_eq!(vendor.copies("second"), 2, "as the person asked");
    drop(daemon);
}

#[test]
fn a_person_may_have_it_looked_for_again() {
    let vendor = Vendor::new(loses_answers(Duration::ZERO));
    let shape = || Reply::json(200, serde_json::json!({"data": {"rows": []}}));
    vendor.read_by(move |_| Some(shape()));
    let outbox = verifying(&vendor);
    let id = outbox.chat(1, "hello");
    outbox.run_until_empty();
    assert_eq!(outbox.status(id), "uncertain");
    vendor.read_by(|_| None);
    outbox.run(&["resolve", &id.to_string(), "--verify"]).expect(0);
    outbox.run_until_empty();
    assert_eq!((outbox.status(id).as_str(), vendor.copies("hello")), ("sent", 1));
    let done = outbox.run(&["resolve", &id.to_string(), "--verify"]);
    assert!(
        done.output().contains("is sent; only uncertain jobs can be verified"),
        "{}",
        done.output()
    );
}

#[test]
fn under_hold_a_look_that_was_asked_for_sends_nothing() {
    let vendor = Vendor::new(|text, _| match text {
        "lost" => Fate::LostRequest,
        _ => Fate::LostAnswer(Duration::ZERO),
    });
    let hold = VERIFY.replace("\"verify\"", "\"hold\"");
    let outbox = Outbox::setup(&vendor.server).more(&hold).ready();
    let (there, lost) = (outbox.chat(1, "there"), outbox.chat(2, "lost"));
    outbox.run_until_empty();
    assert_eq!(outbox.count("uncertain"), 2);
    outbox.run(&["resolve", "--all", "--verify"]).expect(0);
    outbox.run_until_empty();
    assert_eq!(outbox.status(there), "sent");
    let row = outbox.row(lost);
    assert_eq!((row.text("status"), row.text("error_code")), ("uncertain", "not_delivered"));
    assert_eq!(vendor.server.requests_for("lost").len(), 1);
}
