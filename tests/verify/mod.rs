//! `on_uncertain = "verify"`: what was lost on the way is looked for at Acquire.

mod crashes;
mod figures;
mod people;
mod lost_and_dropped;
pub mod vendor;

use crate::support::{Job, Outbox, Reply};
use crashes::impatient;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use vendor::{Fate, Vendor};

/// The first look after 50 ms, the last one a second after it.
const VERIFY: &str = "[channels.chat]\non_uncertain = \"verify\"\nverify_after = [\"50ms\", \"1s\"]\n\
                      request_timeout = \"2s\"\nconnect_timeout = \"500ms\"";

/// The answer to the first request of each message is lost.
fn loses_answers(shown_after: Duration) -> impl Fn(&str, u32) -> Fate {
    move |_, times| if times == 1 { Fate::LostAnswer(shown_after) } else { Fate::Answered }
}

fn verifying(vendor: &Vendor) -> Outbox {
    Outbox::setup(&vendor.server).more(VERIFY).ready()
}

#[test]
fn a_message_that_is_there_is_sent_with_its_id() {
    let vendor = Vendor::new(loses_answers(Duration::ZERO));
    let outbox = verifying(&vendor);
    let id = outbox.chat(1, "hello");
    outbox.run_until_empty();
    let row = outbox.row(id);
    assert_eq!((row.text("status"), row.int("attempts")), ("sent", 1));
    assert_eq!((row.text("message_id"), row.text("error_code")), ("9000", "verified"));
    assert_eq!(row.json("receipt")["id"], 9000);
    assert_eq!(outbox.outcomes(id), ["verified"]);
    assert_eq!(vendor.copies("hello"), 1);
}

#[test]
fn a_message_that_is_not_there_is_sent_again_after_the_last_look() {
    let vendor = Vendor::new(|_, times| match times {
        1 => Fate::LostRequest,
        _ => Fate::Answered,
    });
    let outbox = verifying(&vendor);
    let id = outbox.chat(1, "hello");
    outbox.run_until_empty();
    let row = outbox.row(id);
    assert_eq!((row.text("status"), row.int("attempts")), ("sent", 2));
    assert_eq!(outbox.outcomes(id), ["uncertain", "accepted"]);
    assert_eq!(vendor.copies("hello"), 1);
    assert!(vendor.looks() >= 2, "a look for each pause");
}

#[test]
fn a_message_that_is_shown_late_is_found() {
    let vendor = Vendor::new(loses_answers(Duration::from_millis(600)));
    let outbox = verifying(&vendor);
    let id = outbox.chat(1, "hello");
    outbox.run_until_empty();
    assert_eq!((outbox.status(id).as_str(), vendor.copies("hello")), ("sent", 1));
}

#[test]
fn later_jobs_of_its_key_wait_until_it_is_verified() {
    let vendor = Vendor::new(|text, times| match (text, times) {
        ("first", 1) => Fate::LostRequest,
        _ => Fate::Answered,
    });
    let outbox = verifying(&vendor);
    let first = outbox.chat(1, "first");
    let second = outbox.chat(1, "second");
    outbox.run_until_empty();
    assert_eq!((outbox.status(first).as_str(), outbox.status(second).as_str()), ("sent", "sent"));
    let words: Vec<_> = vendor.server.words().into_iter().filter(|w| !w.is_empty()).collect();
    assert_eq!(words, ["first", "first", "second"]);
}

#[test]
fn two_messages_alike_are_left_to_a_person() {
    let vendor = Vendor::new(loses_answers(Duration::ZERO));
    let outbox = verifying(&vendor);
    vendor.put(1, "hello");
    let id = outbox.chat(1, "hello");
    let later = outbox.chat(1, "later");
    outbox.run_until_empty();
    let row = outbox.row(id);
    assert_eq!((row.text("status"), row.text("error_code")), ("uncertain", "verify_ambiguous"));
    assert_eq!(row.json("verify_seen").as_array().unwrap().len(), 2);
    assert!(row.is_null("verify_at") && row.is_null("wait") && row.is_null("holds"));
    assert_eq!(vendor.copies("hello"), 2, "ours and the other one");
    assert_eq!(outbox.status(later), "sent", "it holds nothing back any more");
    let shown = outbox.run(&["show", &id.to_string()]).expect(0).stdout;
    assert!(shown.contains("2 candidates") && shown.contains("9000"), "{shown}");
    assert!(!shown.contains("hello"), "{shown}");
}

#[test]
fn two_jobs_alike_do_not_take_each_others_message() {
    // One is accepted, the other is not: nobody can say which.
    let count = AtomicU32::new(0);
    let vendor = Vendor::new(move |_, _| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Fate::LostAnswer(Duration::ZERO),
        _ => Fate::LostRequest,
    });
    let outbox = verifying(&vendor);
    let free = || Job::chat(1, "hello").column("ordering_key", "''");
    let jobs = [outbox.add(free()), outbox.add(free())];
    outbox.run_until_empty();
    for id in jobs {
        let row = outbox.row(id);
        assert_eq!((row.text("status"), row.text("error_code")), ("uncertain", "verify_ambiguous"));
    }
    assert_eq!(vendor.copies("hello"), 1);
}

#[test]
fn a_message_that_another_job_has_recorded_is_not_taken() {
    let vendor = Vendor::new(|text, times| match (text, times) {
        ("hello", 2) => Fate::LostRequest,
        _ => Fate::Answered,
    });
    let outbox = verifying(&vendor);
    // One after the other: the second request is lost, and sent again.
    let jobs = [outbox.chat(1, "hello"), outbox.chat(1, "hello")];
    outbox.run_until_empty();
    assert_eq!(jobs.map(|id| outbox.status(id)), ["sent", "sent"]);
    assert_eq!(vendor.copies("hello"), 2);
    let ids = jobs.map(|id| outbox.row(id).text("message_id").to_owned());
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn where_nothing_can_be_read_it_is_as_under_hold_and_the_log_says_so() {
    let vendor = Vendor::new(loses_answers(Duration::ZERO));
    vendor.read_by(|_| {
        let no =
            serde_json::json!({"error": {"code": "ERROR_UNAUTHORIZED_ACCESS", "message": "no"}});
        Some(Reply::json(403, no))
    });
    let outbox = verifying(&vendor);
    let jobs = [outbox.chat(1, "hello"), outbox.chat(2, "there")];
    let done = outbox.run_until_empty();
    for id in jobs {
        assert_eq!(outbox.status(id), "uncertain");
        assert!(outbox.row(id).is_null("verify_at"));
    }
    assert_eq!((vendor.copies("hello"), vendor.copies("there")), (1, 1));
    let warnings = done.stderr.matches("messages cannot be verified here").count();
    assert_eq!(warnings, 1, "{}", done.stderr);
    let status = outbox.run(&["status"]).expect(0).stdout;
    let says =
        "chat messages of default cannot be verified: those of unknown outcome wait for a person";
    assert!(status.contains(says) && status.contains("ERROR_UNAUTHORIZED_ACCESS"), "{status}");
    let json = outbox.run(&["status", "--json"]).expect(0).json();
    assert_eq!(json["unreadable"][0]["purpose"], "verify");
    // From when it can be read again, the line is gone.
    vendor.read_by(|_| None);
    let again = outbox.chat(3, "again");
    outbox.run_until_empty();
    assert_eq!(outbox.status(again), "sent");
    let json = outbox.run(&["status", "--json"]).expect(0).json();
    assert_eq!(json["unreadable"], serde_json::json!([]));
}

#[test]
fn a_shape_that_is_not_understood_is_no_proof() {
    let vendor = Vendor::new(|_, _| Fate::LostRequest);
    vendor.read_by(|_| Some(Reply::json(200, serde_json::json!({"data": {"rows": []}}))));
    let outbox = verifying(&vendor);
    let id = outbox.chat(1, "hello");
    outbox.run_until_empty();
    assert_eq!(outbox.status(id), "uncertain");
    assert_eq!(vendor.server.requests_for("hello").len(), 1, "it is not sent again");
}

#[test]
fn a_refused_key_spends_no_look() {
    let vendor = Vendor::new(loses_answers(Duration::ZERO));
    let looks = AtomicU32::new(0);
    vendor.read_by(move |_| {
        let refused = looks.fetch_add(1, Ordering::SeqCst) < 2;
        refused.then(|| Reply::json(401, serde_json::json!({"error": "ERROR_UNAUTHORIZED"})))
    });
    let once = VERIFY.replace("[\"50ms\", \"1s\"]", "[\"50ms\"]");
    let outbox = Outbox::setup(&vendor.server).more(&once).ready();
    let id = outbox.chat(1, "hello");
    outbox.run_until_empty();
    assert_eq!((outbox.status(id).as_str(), vendor.copies("hello")), ("sent", 1));
}

#[test]
fn a_paused_channel_is_not_looked_at() {
    let vendor = Vendor::new(loses_answers(Duration::ZERO));
    let works = Arc::new(AtomicBool::new(false));
    let does = Arc::clone(&works);
    vendor.read_by(move |_| {
        let refused = !does.load(Ordering::SeqCst);
        refused.then(|| Reply::json(401, serde_json::json!({"error": "ERROR_UNAUTHORIZED"})))
    });
    let outbox = impatient(&vendor);
    let id = outbox.chat(1, "hello");
    let daemon = outbox.daemon();
    outbox.when_status(id, "uncertain");
    drop(daemon);
    outbox.run(&["pause", "chat"]).expect(0);
    works.store(true, Ordering::SeqCst);
    let before = vendor.looks();
    outbox.run_until_empty();
    assert_eq!((outbox.status(id).as_str(), vendor.looks()), ("uncertain", before));
    outbox.run(&["resume", "chat"]).expect(0);
    outbox.run_until_empty();
    assert_eq!((outbox.status(id).as_str(), vendor.copies("hello")), ("sent", 1));
}
