//! Every channel against the sandbox, which loses the answers to some messages and drops others before it
//! accepts them: each is recognised where its channel shows it.

use crate::support::{Job, Outbox, Setup, StandIn};
use acquire_outbox::sandbox::{Faults, ReadingFaults, Rewriting};
use std::time::Duration;

const JOBS: i64 = 40;
/// Several messages of a case, one after the other.
const CASES: i64 = 16;

fn outbox(acquire: &StandIn, channel: &str) -> Outbox {
    Setup::sending_to(acquire.base_url())
        .more(&format!(
            "[channels.{channel}]\non_uncertain = \"verify\"\nverify_after = [\"50ms\", \"300ms\"]\n"
        ))
        .ready()
}

fn text(n: i64) -> String {
    format!("message {n:03}")
}

/// Sends them all; gives how many attempts there were.
fn all_arrive_once(channel: &str, reading: ReadingFaults, job: impl Fn(i64, &str) -> Job) -> i64 {
    let acquire = StandIn::with(Faults { lost: 0.3, drop: 0.3, reading, ..Faults::default() });
    let outbox = outbox(&acquire, channel);
    outbox.add_all((0..JOBS).map(|n| job(n % CASES, &text(n))));
    outbox.run_until_empty();
    let unsent =
        outbox.query("SELECT id, status, error_code, error FROM outbox WHERE status <> 'sent'");
    assert!(unsent.is_empty(), "{unsent:?}");
    for n in 0..JOBS {
        assert_eq!(acquire.copies(&text(n)), 1, "{}", text(n));
    }
    let found =
        "SELECT count(*) FROM outbox WHERE error_code = 'verified' AND message_id IS NOT NULL";
    assert!(outbox.number(found) > 0, "some answers were lost");
    let ids = "SELECT count(DISTINCT message_id) FROM outbox";
    assert_eq!(outbox.number(ids), JOBS, "each has its own");
    outbox.number("SELECT max(attempts) FROM outbox")
}

#[test]
fn every_chat_arrives_once() {
    let attempts = all_arrive_once("chat", ReadingFaults::default(), |case, text| {
        Job::chat(2069 + case, text)
    });
    assert!(attempts > 1, "some were dropped");
}

#[test]
fn every_mail_arrives_once() {
    let mail = |case, text: &str| {
        Job::mail(1128 + case, text).field("htmlBody", format!("<p>{text}</p>").into())
    };
    assert!(all_arrive_once("mail", ReadingFaults::default(), mail) > 1, "some were dropped");
}

#[test]
fn every_sms_arrives_once() {
    let sms = |thread, text: &str| Job::sms(2219 + thread, text);
    assert!(all_arrive_once("sms", ReadingFaults::default(), sms) > 1, "some were dropped");
}

#[test]
fn an_sms_whose_ids_are_shown_as_text_is_recognised() {
    let reading = ReadingFaults { text_ids: true, clock: -7, ..ReadingFaults::default() };
    all_arrive_once("sms", reading, |thread, text| Job::sms(2219 + thread, text));
}

/// The HTML of an email that was rewritten is no proof: it is left to a person, and not sent again.
#[test]
fn a_rewritten_mail_is_left_to_a_person_and_never_sent_twice() {
    let reading = ReadingFaults { rewriting: Some(Rewriting::Html), ..ReadingFaults::default() };
    let acquire = StandIn::with(Faults { lost: 1.0, reading, ..Faults::default() });
    let outbox = outbox(&acquire, "mail");
    let id = outbox.add(Job::mail(1128, &text(1)));
    outbox.run_until_empty();
    let row = outbox.row(id);
    assert_eq!((row.text("status"), row.text("error_code")), ("uncertain", "verify_unclear"));
    assert!(row.text("error").contains("rewritten"), "{row:?}");
    assert_eq!(acquire.copies(&text(1)), 1);
}

#[test]
fn a_mail_and_an_sms_that_are_shown_late_are_found() {
    let late =
        ReadingFaults { shown_after: Duration::from_millis(150), ..ReadingFaults::default() };
    for (channel, job) in [("mail", Job::mail(1128, &text(2))), ("sms", Job::sms(2219, &text(2)))] {
        let reading = late.clone();
        let acquire = StandIn::with(Faults { lost: 1.0, reading, ..Faults::default() });
        let outbox = outbox(&acquire, channel);
        let id = outbox.add(job);
        outbox.run_until_empty();
        let row = outbox.row(id);
        assert_eq!((row.text("status"), row.text("error_code")), ("sent", "verified"), "{row:?}");
        assert_eq!(acquire.copies(&text(2)), 1);
    }
}
