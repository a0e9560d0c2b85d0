//! Jobs that the daemon refuses before any request is made.

mod support;

use serde_json::{Value, json};
use support::{Job, Outbox, Server};

/// The daemon ends the job as failed/invalid with every one of the words, and makes no request.
#[track_caller]
fn assert_invalid(job: Job, words: &[&str]) {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let id = outbox.add(job);
    let good = outbox.chat(1, "a good one beside it");
    outbox.run_until_empty();
    let row = outbox.row(id);
    assert_eq!((row.text("status"), row.text("failure")), ("failed", "invalid"), "{row:?}");
    for word in words {
        assert!(row.text("error").contains(word), "no {word:?} in {:?}", row.text("error"));
    }
    assert_eq!(row["attempts"], 0, "no request was begun");
    assert!(row.int("finished_at") > 0 && row.is_null("next_attempt_at"));
    assert_eq!(outbox.history(id), []);
    assert_eq!(outbox.status(good), "sent");
    assert_eq!(server.words(), ["a good one beside it"]);
}

#[test]
fn an_unknown_account_is_named() {
    assert_invalid(Job::chat(2, "hi").column("account", "'suport'"), &["suport"]);
}

#[test]
fn an_unknown_field_is_named_with_the_nearest_known_one() {
    let chat = Job::chat(2, "hi").field("translateLangkey", json!("en"));
    assert_invalid(chat, &["translateLangkey", "translateLangKey"]);
    let mail = Job::mail(2, "hi").field("attachment", json!([]));
    assert_invalid(mail, &["attachment", "attachments"]);
    let sms = Job::sms(2, "hi").field("isclosed", json!(false));
    assert_invalid(sms, &["isclosed", "isClosed"]);
}

#[test]
fn an_optional_field_that_sql_cannot_check_is_named_by_the_daemon() {
    assert_invalid(Job::mail(2, "hi").field("cc", json!([7])), &["cc"]);
    assert_invalid(Job::mail(2, "hi").field("attachments", json!(["a.pdf"])), &["attachments"]);
    assert_invalid(Job::sms(2, "hi").field("isClosed", json!("no")), &["isClosed"]);
}

#[test]
fn a_number_that_is_not_e164_is_refused() {
    assert_invalid(Job::sms(2, "hi").field("To", json!("0049 171 5550")), &["To"]);
}

#[test]
fn an_address_that_is_none_is_refused() {
    assert_invalid(Job::mail(2, "hi").field("to", json!(["user.gmail.com"])), &["to"]);
}

#[test]
fn extra_may_add_and_never_replace() {
    let job = Job::chat(2, "hi").field("extra", json!({"caseId": 3}));
    assert_invalid(job, &["extra", "caseId"]);
    let job = Job::chat(2, "hi").field("extra", json!({"message": {"message": "other"}}));
    assert_invalid(job, &["extra", "message"]);
}

#[test]
fn the_words_of_an_invalid_message_stay_out_of_its_error() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let secret = "the-patient-is-called-Ada";
    let id = outbox.add(Job::chat(2, secret).field("mesage", Value::from(secret)));
    let finished = outbox.run_until_empty();
    assert_eq!(outbox.row(id)["failure"], "invalid");
    support::never_shows("the error", outbox.row(id).text("error"), secret);
    support::never_shows("the log", &finished.stderr, secret);
}

#[test]
fn a_payload_that_is_not_utf8_fails_alone() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let broken = outbox.insert(
        "INSERT INTO outbox (channel, payload)
         VALUES ('chat', CAST(x'7b22636173654964223a312c226d657373616765223a22ff227d' AS TEXT))",
    );
    let good = outbox.chat(2, "hi");
    outbox.run_until_empty();
    assert_eq!(outbox.status(good), "sent");
    let row = &outbox.query(&format!("SELECT failure, error FROM outbox WHERE id = {broken}"))[0];
    assert_eq!(row.text("failure"), "invalid");
    assert_eq!(row.text("error"), "payload: must be text in UTF-8");
}

#[test]
fn a_job_of_an_unknown_account_sets_free_the_other_accounts_jobs_behind_it() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let keyed = |job: Job| job.column("ordering_key", "'k'");
    let unknown = outbox.add(keyed(Job::chat(1, "first")).column("account", "'nobody'"));
    let known = outbox.add(keyed(Job::chat(1, "second")));
    outbox.run_until_empty();
    assert_eq!(outbox.row(unknown).text("failure"), "invalid");
    assert_eq!(outbox.status(known), "sent");
}
