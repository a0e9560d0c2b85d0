use super::*;
use crate::acquire::read_back::server_clock::ServerClock;
use crate::queue::job::Channel;
use crate::queue::payload::parse;
use reqwest::header::{DATE, HeaderMap, HeaderValue};
use serde_json::{Value, json};

/// 2026-11-26T12:00:00Z: when the attempt began. It was given up half a minute later.
const SINCE: Millis = 1_795_694_400_000;
const UNTIL: Millis = SINCE + 30_000;

/// A clock that is `ahead` of ours, read from an answer that took 20 ms.
fn clock(ahead: Millis) -> Option<ServerClock> {
    let asked = UNTIL + 5_000;
    let date = std::time::UNIX_EPOCH
        + std::time::Duration::from_millis(u64::try_from(asked + 10 + ahead).unwrap());
    let date = HeaderValue::from_str(&httpdate::fmt_http_date(date)).unwrap();
    ServerClock::read(&HeaderMap::from_iter([(DATE, date)]), asked, asked + 20)
}

fn at(millis: Millis) -> String {
    chrono::DateTime::from_timestamp_millis(millis).unwrap().to_rfc3339()
}

fn likeness_by(
    channel: Channel,
    payload: &Value,
    read: &Value,
    clock: Option<ServerClock>,
) -> String {
    let payload = parse(channel, &payload.to_string()).unwrap();
    let expected = Expected { payload: &payload, since: SINCE, until: UNTIL };
    match expected.likeness(&SeenMessage::read(read, clock).unwrap()) {
        None => "another".to_owned(),
        Some(Likeness::Same) => "same".to_owned(),
        Some(Likeness::Possible(why)) => why,
    }
}

fn chat() -> Value {
    json!({"caseId": 2069, "message": "Your order 4711 is ready"})
}

/// A message as the case shows it, with changes.
fn message(changes: Value) -> Value {
    let mut read = json!({"id": 8289, "caseId": 2069, "senderId": 25, "senderType": "user",
        "type": "message", "message": "Your order 4711 is ready", "seen": "no", "meta": {},
        "dateCreated": at(SINCE + 1234), "dateUpdated": null});
    for (name, value) in changes.as_object().unwrap() {
        read[name] = value.clone();
    }
    read
}

fn chat_likeness(changes: Value) -> String {
    likeness_by(Channel::Chat, &chat(), &message(changes), clock(0))
}

#[test]
fn only_a_message_that_differs_in_nothing_is_the_same() {
    assert_eq!(chat_likeness(json!({})), "same");
    assert_eq!(chat_likeness(json!({"id": "8289", "caseId": "2069"})), "same");
    assert_eq!(chat_likeness(json!({"message": "<p>Your order 4711 is ready</p>"})), "same");
    assert_eq!(chat_likeness(json!({"dateUpdated": at(SINCE + 9000), "seen": "yes"})), "same");
    for (changes, why) in [
        (json!({"senderType": "contact"}), "it has a different sender"),
        (json!({"senderType": null}), "it does not say who sent it"),
        (json!({"type": "note"}), "it has a different type"),
        (json!({"type": null}), "it does not say what type it has"),
        (json!({"message": null}), NO_TEXT),
        (json!({"message": "your order 4711, is ready!"}), "its text is written differently"),
        (json!({"message": "Your order 4711 is ready. Bye"}), "its text is longer or shorter"),
        (json!({"message": "Sold out", "dateUpdated": at(SINCE + 9000)}), "it was edited"),
        (
            json!({"message": "Fertig", "meta": {"translateLangKey": "de"}}),
            "it may be a translation",
        ),
        (json!({"dateCreated": "soon"}), "it is not known when it was created"),
    ] {
        assert_eq!(chat_likeness(changes.clone()), why, "{changes}");
    }
    for changes in [
        json!({"message": "Hello"}),
        json!({"type": "event", "message": "The visitor started chat."}),
        // Of the customer's own messages only the very same text raises a doubt.
        json!({"message": "Your order 4711 is ready?!", "senderType": "contact"}),
    ] {
        assert_eq!(chat_likeness(changes.clone()), "another", "{changes}");
    }
}

#[test]
fn a_message_that_was_to_be_translated_may_be_any_of_its_time() {
    let payload = json!({"caseId": 2069, "message": "Ready", "translateLangKey": "de"});
    let of = |changes| likeness_by(Channel::Chat, &payload, &message(changes), clock(0));
    assert_eq!(of(json!({"message": "Ready"})), "same");
    assert_eq!(of(json!({"message": "Fertig"})), "it may be a translation");
    let later = json!({"message": "Fertig", "dateCreated": at(UNTIL + 60_000)});
    assert_eq!(of(later), "another");
}

#[test]
fn the_time_is_told_by_the_answers_own_clock() {
    for ahead in [-86_400_000, -7_000, 0, 7_000, 3_600_000] {
        let of = |created: Millis| {
            let read = message(json!({"dateCreated": at(created + ahead)}));
            likeness_by(Channel::Chat, &chat(), &read, clock(ahead))
        };
        assert_eq!(of(SINCE + 100), "same", "{ahead}");
        assert_eq!(of(UNTIL - 100), "same", "{ahead}");
        assert_eq!(of(SINCE - 30_000), "it was created shortly before the attempt", "{ahead}");
        let after = "it was created after the attempt had been given up";
        assert_eq!(of(UNTIL + 30_000), after, "{ahead}");
        assert_eq!(of(SINCE - 600_000), "another", "{ahead}");
    }
}

#[test]
fn a_time_on_the_second_is_cut_to_it() {
    // Created 900 ms after the attempt began, and shown as 100 ms before.
    let since = SINCE + 100;
    let payload = parse(Channel::Chat, &chat().to_string()).unwrap();
    let expected = Expected { payload: &payload, since, until: UNTIL };
    let read = message(json!({"dateCreated": at(SINCE)}));
    let seen = SeenMessage::read(&read, clock(0)).unwrap();
    assert_eq!(expected.likeness(&seen), Some(Likeness::Same));
}

#[test]
fn without_a_clock_nothing_is_the_same() {
    let of = |changes| likeness_by(Channel::Chat, &chat(), &message(changes), None);
    assert_eq!(of(json!({})), "it is not known when it was created");
    assert_eq!(of(json!({"dateCreated": at(SINCE - 2 * 86_400_000)})), "another");
}

fn mail() -> Value {
    json!({"caseId": 1128, "contactId": 7, "from": "Shop <Shop@acquire.io>",
        "to": ["b@example.com", "Anne <a@example.com>"], "cc": "c@example.com",
        "subject": "Your order", "htmlBody": "<p>It is <b>ready</b> to be collected</p>",
        "textBody": "It is ready to be collected"})
}

fn mail_likeness(changes: Value) -> String {
    let mut read = json!({"id": 407, "caseMessageId": 407, "caseId": 1128, "senderType": "user",
        "from": {"Name": "Shop", "Email": "shop@acquire.io"}, "isDraft": "no",
        "to": [{"Name": "", "Email": "a@example.com"}, {"Name": "", "Email": "b@example.com"}],
        "cc": [{"Name": "", "Email": "C@example.com"}], "bcc": [], "subject": "Your order",
        "htmlBody": "<p>It is <b>ready</b> to be collected</p>", "type": "message",
        "textBody": "It is ready to be collected\r\n", "dateCreated": at(SINCE + 1000)});
    for (name, value) in changes.as_object().unwrap() {
        read[name] = value.clone();
    }
    likeness_by(Channel::Mail, &mail(), &read, clock(0))
}

#[test]
fn a_mail_is_the_same_by_subject_recipients_and_bodies() {
    assert_eq!(mail_likeness(json!({})), "same");
    let rewritten = "<div>It is <strong>ready</strong> to be collected</div>";
    let signed = "<p>It is <b>ready</b> to be collected</p><p class=\"acq-signature\">Via us</p>";
    for (changes, why) in [
        (json!({"htmlBody": rewritten}), "its HTML or its text was rewritten"),
        (json!({"htmlBody": signed}), "its body is longer or shorter"),
        (json!({"htmlBody": null}), "its body is longer or shorter"),
        (json!({"htmlBody": "<p>No</p>", "textBody": "No"}), "its body is different"),
        (json!({"isDraft": "yes"}), "it is a draft"),
        (json!({"subject": "YOUR ORDER!"}), "its subject is different"),
        (json!({"subject": "Something else"}), "its subject is different"),
        (json!({"from": {"Email": "other@acquire.io"}}), "it has a different sender"),
        (json!({"cc": []}), "it has different recipients"),
        (json!({"to": []}), "it has different recipients"),
    ] {
        assert_eq!(mail_likeness(changes.clone()), why, "{changes}");
    }
    for changes in [
        json!({"to": [{"Email": "somebody@example.com"}]}),
        json!({"subject": "Bye", "htmlBody": "<p>No</p>", "textBody": "No"}),
        json!({"senderType": "contact", "subject": "Re: Your order"}),
        // The next email of a kind that always has this subject.
        json!({"htmlBody": "No", "textBody": "No", "dateCreated": at(UNTIL + 60_000)}),
    ] {
        assert_eq!(mail_likeness(changes.clone()), "another", "{changes}");
    }
}

#[test]
fn an_sms_is_told_from_other_messages_by_its_own_fields() {
    let payload = json!({"From": "+1", "To": "+2", "Body": "hi", "contactId": 3, "threadId": 4,
        "timelineId": 5});
    let of = |changes| {
        let mut read = json!({"message": "SMS by agent", "type": "sms",
            "meta": {"sid": "SM1", "To": "+2", "Body": "hi"}});
        for (name, value) in Value::as_object(&changes).unwrap() {
            read[name] = value.clone();
        }
        likeness_by(Channel::Sms, &payload, &message(read), clock(0))
    };
    assert_eq!(of(json!({})), "same");
    assert_eq!(of(json!({"meta": {}, "message": "hi"})), "same");
    let chat = json!({"type": "message", "meta": {}, "message": "hi"});
    assert_eq!(of(chat), "it does not say that it is an SMS");
    assert_eq!(of(json!({"meta": {"sid": "SM1", "To": "+2", "Body": "ho"}})), "another");
}
