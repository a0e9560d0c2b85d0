//! `fill_missing`: a payload leaves out the ids of its case, and its contact's only active case answers.

use crate::support::{Job, Outbox, Reply, Request, Server};
use serde_json::{Value, json};
use std::time::SystemTime;

/// Answers questions about cases with these, and accepts every message.
fn with_cases(server: &Server, cases: Value) {
    server.answer_with(move |request| match request.method.as_str() {
        "GET" => Reply::json(200, json!({"data": {"limit": 100, "data": cases}})),
        _ => Reply::accepted(request),
    });
}

fn case(id: i64, status: &str) -> Value {
    json!({"id": id, "contactId": 751_069, "channel": "chat", "status": status,
        "timeline": {"id": id + 1, "threadId": id}})
}

/// Both channels may leave ids out.
fn filling(server: &Server) -> Outbox {
    Outbox::setup(server)
        .more("[channels.sms]\nfill_missing = true\n[channels.mail]\nfill_missing = true\n")
        .ready()
}

fn sms(words: &str) -> Job {
    Job::sms(0, words).field("threadId", Value::Null).field("timelineId", Value::Null)
}

fn mail(subject: &str) -> Job {
    Job::mail(0, subject).field("contactId", json!(751_069)).field("caseId", Value::Null)
}

fn questions(server: &Server) -> usize {
    server.requests().iter().filter(|request| request.method == "GET").count()
}

fn sent(server: &Server) -> Vec<Request> {
    server.requests().into_iter().filter(|request| request.method == "POST").collect()
}

#[test]
fn the_only_active_case_of_a_contact_fills_what_was_left_out() {
    let server = Server::start();
    with_cases(&server, json!([case(7, "closed"), case(2219, "active")]));
    let outbox = filling(&server);
    let ids = [outbox.add(sms("one")), outbox.add(mail("two")), outbox.add(sms("three"))];
    let complete = outbox.add(Job::sms(9, "complete"));
    outbox.run_until_empty();
    for id in ids.iter().chain([&complete]) {
        assert_eq!(outbox.status(*id), "sent", "{:?}", outbox.row(*id));
    }
    for request in sent(&server) {
        let body = request.json();
        match request.words().as_str() {
            "one" | "three" => {
                assert_eq!((&body["threadId"], &body["id"]), (&json!(2219), &json!(2219)));
                assert_eq!(body["timelineId"], 2220);
            }
            "two" => assert_eq!(body["data"]["caseId"], 2219),
            _ => assert_eq!(body["threadId"], 9),
        }
    }
    assert!((1..=2).contains(&questions(&server)), "{}", questions(&server));
    // The row stays as the producer wrote it.
    let payload = outbox.row(ids[0]).text("payload").to_owned();
    assert!(!payload.contains("2219"), "{payload}");
}

#[test]
fn what_has_no_single_answer_fails_with_the_candidates() {
    let server = Server::start();
    for (cases, words) in [
        (json!([case(7, "active"), case(9, "active")]), "has 2 active cases; name one: case 7"),
        (json!([case(7, "closed")]), "has no active case that it could be; case 7 (closed"),
        (json!([]), "Acquire shows none at all"),
    ] {
        with_cases(&server, cases);
        let outbox = filling(&server);
        let id = outbox.add(sms("hi"));
        outbox.run_until_empty();
        let row = outbox.row(id);
        assert_eq!((row.text("status"), row.text("failure")), ("failed", "invalid"), "{row:?}");
        assert_eq!(row.text("error_code"), "invalid_payload");
        assert!(row.text("error").contains(words), "{row:?}");
    }
    assert!(sent(&server).is_empty());
}

#[test]
fn an_error_of_reading_is_tried_again() {
    let server = Server::start();
    with_cases(&server, json!([case(2219, "active")]));
    let outbox = filling(&server);
    server.queue([
        Reply::json(200, json!({"error": {"code": "BUSY", "message": "not now", "data": null}})),
        Reply::status(503),
    ]);
    let id = outbox.add(sms("hi"));
    outbox.run_until_empty();
    assert_eq!(outbox.status(id), "sent", "{:?}", outbox.row(id));
    assert_eq!(outbox.outcomes(id), ["retry", "retry", "accepted"]);
}

#[test]
fn the_rules_of_an_insert_follow_the_configuration() {
    let server = Server::start();
    let outbox = filling(&server);
    for job in [sms("a"), mail("b")] {
        outbox.try_insert(&job.sql()).expect("ids may be left out");
    }
    let text = sms("c").field("threadId", json!("7"));
    let refused = outbox.try_insert(&text.sql()).unwrap_err();
    assert!(refused.contains("outbox.payload.threadId: required for sms"), "{refused}");
    let no_contact = sms("c").field("contactId", Value::Null);
    let refused = outbox.try_insert(&no_contact.sql()).unwrap_err();
    assert!(refused.contains("outbox.payload.contactId: required for sms"), "{refused}");
    outbox
        .run(&["send", "sms", "--from", "+1", "--to", "+2", "--body", "d", "--contact-id", "3"])
        .expect(0);

    let config = std::fs::read_to_string(outbox.config_file()).unwrap();
    let off = config.replace("fill_missing = true", "fill_missing = false");
    std::fs::write(outbox.config_file(), off).unwrap();
    outbox.run(&["init"]).expect(0);
    for (job, field) in [(sms("a"), "threadId"), (mail("b"), "caseId")] {
        let refused = outbox.try_insert(&job.sql()).unwrap_err();
        assert!(refused.contains(&format!("outbox.payload.{field}: required for ")), "{refused}");
    }
    let refused = outbox
        .run(&["send", "sms", "--from", "+1", "--to", "+2", "--body", "d", "--contact-id", "3"])
        .expect(1);
    assert!(refused.stderr.contains("threadId"), "{refused:?}");
}

#[test]
fn jobs_without_a_case_are_in_order_by_their_contact() {
    let server = Server::start();
    with_cases(&server, json!([case(2219, "active")]));
    let outbox = filling(&server);
    let words: Vec<String> = (0..6).map(|n| format!("message {n}")).collect();
    for word in &words {
        outbox.add(sms(word));
    }
    let lanes =
        outbox.query("SELECT count(lane) AS jobs, count(DISTINCT lane) AS lanes FROM outbox");
    assert_eq!((lanes[0].int("jobs"), lanes[0].int("lanes")), (6, 1));
    outbox.run_until_empty();
    let sent: Vec<String> = sent(&server).iter().map(Request::words).collect();
    assert_eq!(sent, words);
}

#[test]
fn what_cannot_be_looked_for_is_held_and_the_other_messages_are_verified() {
    let server = Server::start();
    server.answer_with(|request| match request.method.as_str() {
        "GET" if request.target.contains("/case-message") => {
            let opening = json!({"id": 1, "caseId": 9, "senderId": 0, "senderType": "contact",
                "type": "event", "message": "The visitor started chat.", "meta": {},
                "dateCreated": "2021-03-30T16:05:46.000Z", "dateUpdated": null, "seen": "yes"});
            Reply::json(
                200,
                json!({"data": {"page": 0, "offset": 0, "limit": 20, "count": 1, "data": [opening]}}),
            )
            .header("date", httpdate::fmt_http_date(SystemTime::now()))
        }
        "GET" => Reply::json(200, json!({"data": {"limit": 100, "data": [case(2219, "active")]}})),
        _ => Reply::drop(),
    });
    let outbox = Outbox::setup(&server)
        .more(
            "[channels.sms]\nfill_missing = true\non_uncertain = \"verify\"\n\
             verify_after = [\"50ms\", \"300ms\"]\n",
        )
        .ready();
    let daemon = outbox.daemon();
    let held = outbox.add(sms("lost"));
    let row = outbox
        .when(held, "held", |row| row.text("status") == "uncertain" && row.is_null("verify_at"));
    assert_eq!(row.text("error_code"), "verify_no_case", "{row:?}");
    assert!(row.is_null("wait") && row.is_null("holds"), "{row:?}");

    let complete = outbox.add(Job::sms(9, "dropped"));
    outbox.when(complete, "sent again", |row| row.int("attempts") >= 2);
    assert_eq!(outbox.outcomes(complete)[0], "uncertain");
    drop(daemon);
}
