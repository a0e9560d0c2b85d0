//! How Acquire is asked, and what its answers mean.

use super::{channels, delivery, following_on};
use crate::support::{Job, Outbox, Reply, Request, SOON, eventually};
use crate::verify::vendor::{Fate, Vendor};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

fn answering() -> Vendor {
    Vendor::new(|_, _| Fate::Answered)
}

/// The message that was asked for by its id, with these fields.
fn message(request: &Request, fields: Value) -> Reply {
    let id = request.target.rsplit('/').next().unwrap();
    let mut message = json!({"id": id, "caseId": "1", "type": "message", "seen": "no"});
    for (name, value) in fields.as_object().unwrap() {
        message[name] = value.clone();
    }
    Reply::json(200, json!({"data": message}))
}

fn is_for_one(request: &Request) -> bool {
    request.target.contains("/case-message/")
}

#[test]
fn acquire_is_asked_twice_and_no_more() {
    let vendor = answering();
    vendor.read_by(|request| is_for_one(request).then(|| message(request, json!({}))));
    let outbox = following_on(&vendor.server, "60ms");
    let id = outbox.chat(1, "hello");
    let _daemon = outbox.daemon();
    let row = outbox.when(id, "asked about for the first time", |row| !row.is_null("followed_at"));
    assert!(row.int("follow_at") - row.int("finished_at") >= 24 * 60, "{row:?}");
    let row = outbox.when(id, "asked about for the last time", |row| row.is_null("follow_at"));
    assert!(row.is_null("delivery") && row.is_null("delivery_at"), "{row:?}");
    assert!(row.int("followed_at") - row.int("finished_at") >= 24 * 60, "{row:?}");
    assert_eq!(vendor.looks(), 2);
}

#[test]
fn what_was_delivered_may_be_returned_later() {
    let vendor = answering();
    let asked = AtomicU32::new(0);
    vendor.read_by(move |request| {
        let delivered = json!({"dateDelivery": "2026-03-30T16:05:46.000Z"});
        let returned = json!({"dateDelivery": "2026-03-30T16:05:46.000Z",
            "dateBounce": "2026-03-30T17:00:00.000Z"});
        let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
        Some(message(request, if first { delivered } else { returned }))
    });
    let outbox = following_on(&vendor.server, "100ms");
    let id = outbox.chat(1, "hello");
    let _daemon = outbox.daemon();
    let row = outbox.when(id, "delivered", |row| !row.is_null("delivery"));
    assert_eq!((row.text("delivery"), row.int("delivery_at")), ("delivered", 1_774_886_746_000));
    let row = outbox.when(id, "asked about again", |row| row.is_null("follow_at"));
    assert_eq!((row.text("delivery"), row.int("delivery_at")), ("bounced", 1_774_890_000_000));
}

#[test]
fn where_one_message_cannot_be_asked_for_the_list_is() {
    let vendor = answering();
    let no = || json!({"error": {"code": "ERROR_RECORD_NOT_FOUND", "message": "no"}});
    vendor.read_by(move |request| {
        if is_for_one(request) {
            return Some(Reply::json(404, no()));
        }
        let found = json!([{"id": 9000, "caseId": 1, "type": "message", "seen": "yes"}]);
        let list = json!({"page": 0, "offset": 0, "limit": 20, "count": 1, "data": found});
        assert!(request.target.contains("id%7Ceq%7C9000"), "{}", request.target);
        Some(Reply::json(200, json!({"data": list})))
    });
    let outbox = following_on(&vendor.server, "50ms");
    let id = outbox.chat(1, "hello");
    let _daemon = outbox.daemon();
    let row = outbox.when(id, "seen", |row| delivery(row).as_deref() == Some("seen"));
    // Acquire does not say when: the time of the question counts.
    assert_eq!(row.int("delivery_at"), row.int("followed_at"));
}

#[test]
fn an_answer_about_another_message_says_nothing() {
    let vendor = answering();
    vendor.read_by(|_| {
        let other = json!({"id": 7, "caseId": 1, "type": "message", "seen": "yes"});
        Some(Reply::json(200, json!({"data": other})))
    });
    let outbox = following_on(&vendor.server, "50ms");
    let id = outbox.chat(1, "hello");
    let _daemon = outbox.daemon();
    let row = outbox.when(id, "given up", |row| row.is_null("follow_at"));
    assert!(row.is_null("delivery") && row.is_null("followed_at"), "{row:?}");
}

#[test]
fn a_message_without_an_id_is_not_asked_about() {
    let vendor = answering();
    vendor.read_by(|request| Some(message(request, json!({"seen": "yes"}))));
    let outbox = following_on(&vendor.server, "50ms");
    vendor.server.queue([Reply::json(200, json!({"data": {"caseId": 1}}))]);
    let nameless = outbox.chat(1, "nameless");
    let named = outbox.chat(1, "named");
    let _daemon = outbox.daemon();
    outbox.when(named, "asked about", |row| !row.is_null("followed_at"));
    let row = outbox.row(nameless);
    assert_eq!(row["status"], "sent");
    assert!(row.is_null("message_id") && row.is_null("follow_at"), "{row:?}");
}

#[test]
fn a_refused_key_or_no_answer_is_asked_again_and_holds_up_no_message() {
    for refusal in [401, 503] {
        let vendor = answering();
        let asked = AtomicU32::new(0);
        vendor.read_by(move |request| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => Some(Reply::json(refusal, json!({"error": "later"}))),
            _ => Some(message(request, json!({"seen": "yes"}))),
        });
        // A lease of two seconds: what had no answer is asked again after it.
        let quick =
            channels("50ms").replace("\"2s\"", "\"100ms\"").replace("\"500ms\"", "\"50ms\"");
        let outbox = Outbox::setup(&vendor.server).more(&quick).ready();
        let id = outbox.chat(1, "hello");
        let _daemon = outbox.daemon();
        eventually(SOON, "a question", || vendor.looks() > 0);
        let other = outbox.chat(2, "other");
        outbox.when_status(other, "sent");
        outbox.when(id, "seen", |row| delivery(row).as_deref() == Some("seen"));
    }
}

#[test]
fn a_paused_channel_is_not_asked_about() {
    let vendor = answering();
    vendor.read_by(|request| {
        // Of the email nothing is known.
        let no = json!({"error": {"code": "ERROR_RECORD_NOT_FOUND", "message": "no"}});
        let seen = || message(request, json!({"seen": "yes"}));
        Some(if is_for_one(request) { seen() } else { Reply::json(404, no) })
    });
    let outbox = following_on(&vendor.server, "500ms");
    let id = outbox.chat(1, "hello");
    outbox.run_until_empty();
    outbox.run(&["pause", "chat"]).expect(0);
    let daemon = outbox.daemon();
    let mail = outbox.add(Job::mail(1, "hello"));
    outbox.when(mail, "asked about", |row| {
        row.text("status") == "sent" && (row.is_null("follow_at") || !row.is_null("followed_at"))
    });
    let row = outbox.row(id);
    assert!(row.is_null("followed_at") && !row.is_null("follow_at"), "{row:?}");
    outbox.run(&["resume", "chat"]).expect(0);
    outbox.when(id, "seen", |row| delivery(row).as_deref() == Some("seen"));
    drop(daemon);
}

#[test]
fn where_nothing_can_be_read_the_log_and_the_status_say_so_until_it_can() {
    let vendor = answering();
    let works = Arc::new(AtomicBool::new(false));
    let does = Arc::clone(&works);
    vendor.read_by(move |request| {
        let no = json!({"error": {"code": "ERROR_UNAUTHORIZED_ACCESS", "message": "no"}});
        match does.load(Ordering::SeqCst) {
            true => Some(message(request, json!({"seen": "yes"}))),
            false => Some(Reply::json(403, no)),
        }
    });
    let outbox = following_on(&vendor.server, "50ms");
    let jobs = [outbox.chat(1, "hello"), outbox.chat(2, "there")];
    let daemon = outbox.daemon();
    for id in jobs {
        let row = outbox
            .when(id, "given up", |row| row.text("status") == "sent" && row.is_null("follow_at"));
        assert!(row.is_null("delivery") && row.is_null("followed_at"), "{row:?}");
    }
    daemon.sigterm();
    let log = daemon.wait(SOON).stderr;
    assert_eq!(log.matches("messages cannot be followed up here").count(), 1, "{log}");
    let status = outbox.run(&["status"]).expect(0).stdout;
    assert!(status.contains("chat messages of default cannot be followed up"), "{status}");
    let json = outbox.run(&["status", "--json"]).expect(0).json();
    let unreadable = &json["unreadable"][0];
    assert_eq!(unreadable["error_code"], "ERROR_UNAUTHORIZED_ACCESS");
    assert_eq!(
        (&unreadable["account"], &unreadable["purpose"]),
        (&json!("default"), &json!("follow_up"))
    );
    works.store(true, Ordering::SeqCst);
    let _daemon = outbox.daemon();
    let id = outbox.chat(3, "again");
    outbox.when(id, "seen", |row| delivery(row).as_deref() == Some("seen"));
    let json = outbox.run(&["status", "--json"]).expect(0).json();
    assert_eq!(json["unreadable"], json!([]));
}
