//! The calls that read back, and the reader that uses them, with each trap.

use super::client::*;
use crate::support::Refusing;
use acquire_outbox::acquire::Connection;
use acquire_outbox::acquire::read_back::{AccountReader, Capability, CaseQuestion, Way};
use acquire_outbox::queue::job::{Channel, Millis};
use acquire_outbox::queue::verification::{Likeness, Reading, Sought};
use acquire_outbox::queue::when::now;
use acquire_outbox::sandbox::{Faults, ReadingFaults, Rewriting, Settings};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::time::Duration;
use url::Url;

fn reader(sandbox: &Running) -> AccountReader {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let base = Url::parse(&format!("http://{}/api/v1", sandbox.address)).unwrap();
    let connection = Connection {
        base_url: &base,
        api_key: &SecretString::from("k"),
        user_type_parameter: "x-user-type",
        extra_roots: &[],
        request_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(10),
        proxy: None,
        at_most_once: false,
        idle_connections: 4,
    };
    AccountReader::new(&connection).unwrap()
}

async fn reading(faults: ReadingFaults) -> Running {
    faulty(Faults { reading: faults, ..Faults::default() }).await
}

const PAYLOADS: [(Channel, &str); 3] = [
    (Channel::Chat, r#"{"caseId":2069,"message":"Your order 4711 is ready"}"#),
    (
        Channel::Mail,
        r#"{"caseId":1128,"contactId":9156860,"from":"test@acquire.io","to":["user@gmail.com","two@gmail.com"],"cc":["c@gmail.com"],"subject":"test","textBody":"plain","htmlBody":"<p>html</p>","attachments":[{"name":"a.pdf"}]}"#,
    ),
    (
        Channel::Sms,
        r#"{"From":"+12513188609","To":"+919666929552","Body":"hi","contactId":751069,"threadId":2219,"timelineId":2108}"#,
    ),
];

fn sought(channel: Channel, since: Millis) -> Sought {
    let (_, payload) = PAYLOADS.into_iter().find(|(of, _)| *of == channel).unwrap();
    Sought {
        id: 1,
        round: 1,
        attempts: 1,
        channel,
        account: "default".to_owned(),
        payload: payload.to_owned(),
        since,
        until: now(),
        is_last: false,
    }
}

/// Sends the message of the channel as the dispatcher would.
async fn send(sandbox: &Running, channel: Channel) -> Value {
    match channel {
        Channel::Chat => sandbox.post(CHAT, &chat(2069, "Your order 4711 is ready")).await.json,
        Channel::Mail => sandbox.post(MAIL, &mail(1128)).await.json,
        Channel::Sms => sandbox.post(SMS, &sms(2219)).await.json,
    }
}

/// How a reading ended, and the candidates as `id likeness`.
fn told(reading: &Reading) -> (&'static str, Vec<String>, String) {
    let (end, candidates, fault) = match reading {
        Reading::Complete { candidates } => ("complete", &candidates[..], None),
        Reading::Partial { candidates, fault } => ("partial", &candidates[..], Some(fault)),
        Reading::Later { fault, .. } => ("later", &[][..], Some(fault)),
        Reading::Impossible { fault } => ("impossible", &[][..], Some(fault)),
        Reading::Nowhere { fault } => ("nowhere", &[][..], Some(fault)),
    };
    let candidates = candidates.iter().map(|seen| match &seen.likeness {
        Likeness::Same => format!("{} same", seen.message_id),
        Likeness::Possible(why) => format!("{} {why}", seen.message_id),
    });
    let code = fault.map(|fault| fault.code.clone()).unwrap_or_default();
    (end, candidates.collect(), code)
}

/// Sends one message, and looks for it.
async fn looked(faults: ReadingFaults, channel: Channel) -> (&'static str, Vec<String>, String) {
    let sandbox = reading(faults).await;
    let since = now();
    send(&sandbox, channel).await;
    told(&reader(&sandbox).look_for(&sought(channel, since)).await)
}

#[tokio::test]
async fn what_was_accepted_is_found_and_what_was_not_is_missed() {
    let sandbox = plain().await;
    let reader = reader(&sandbox);
    for channel in Channel::ALL {
        let since = now();
        let before = reader.look_for(&sought(channel, since)).await;
        assert_eq!(before, Reading::Complete { candidates: vec![] }, "{channel}");
        let answer = send(&sandbox, channel).await;
        let Reading::Complete { candidates } = reader.look_for(&sought(channel, since)).await
        else {
            panic!("{channel} cannot be read")
        };
        let [seen] = &candidates[..] else { panic!("{channel}: {candidates:?}") };
        assert_eq!(seen.likeness, Likeness::Same, "{channel}");
        let id = match channel {
            Channel::Sms => &answer["data"]["data"]["caseMessageId"],
            Channel::Chat | Channel::Mail => &answer["data"]["id"],
        };
        assert_eq!(seen.message_id, id.to_string(), "{channel}");
        assert!(seen.created.unwrap().abs_diff(now()) < 60_000 && seen.sender.starts_with("user"));
        assert_eq!(
            reader.capability(channel).await,
            Capability::By(match channel {
                Channel::Mail => Way::MailThread,
                Channel::Chat | Channel::Sms => Way::CaseMessage,
            })
        );
    }
}

#[tokio::test]
async fn ids_as_text_and_normalised_text_and_a_wrong_clock_do_no_harm() {
    for channel in Channel::ALL {
        for faults in [
            ReadingFaults { text_ids: true, ..ReadingFaults::default() },
            ReadingFaults { rewriting: Some(Rewriting::Normalised), ..ReadingFaults::default() },
            ReadingFaults { clock: -7, ..ReadingFaults::default() },
            ReadingFaults { clock: 3600, ..ReadingFaults::default() },
        ] {
            let (end, candidates, code) = looked(faults.clone(), channel).await;
            assert_eq!((end, code.as_str()), ("complete", ""), "{channel} {faults:?}");
            assert!(matches!(&candidates[..], [one] if one.ends_with(" same")), "{candidates:?}");
        }
    }
}

#[tokio::test]
async fn rewritten_html_is_possible_and_two_alike_are_both_named() {
    let html = ReadingFaults { rewriting: Some(Rewriting::Html), ..ReadingFaults::default() };
    for channel in Channel::ALL {
        let (end, candidates, _) = looked(html.clone(), channel).await;
        assert_eq!((end, candidates.len()), ("complete", 1), "{channel}");
        assert!(!candidates[0].ends_with(" same"), "{channel}: {candidates:?}");
        let twice = ReadingFaults { twice: 1.0, ..ReadingFaults::default() };
        let (end, candidates, _) = looked(twice, channel).await;
        let same = candidates.iter().filter(|seen| seen.ends_with(" same")).count();
        assert_eq!((end, same), ("complete", 2), "{channel}: {candidates:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_not_taken_for_nothing() {
    for channel in Channel::ALL {
        let forbidden = ReadingFaults { forbidden: true, ..ReadingFaults::default() };
        let (end, _, code) = looked(forbidden, channel).await;
        assert_eq!((end, code.as_str()), ("impossible", "ERROR_UNAUTHORIZED_ACCESS"), "{channel}");
        let unknown = ReadingFaults { unknown_shape: true, ..ReadingFaults::default() };
        let (end, _, code) = looked(unknown, channel).await;
        assert_eq!((end, code.as_str()), ("impossible", "read_shape"), "{channel}");
        let says_no = ReadingFaults { says_no: true, ..ReadingFaults::default() };
        let (end, _, code) = looked(says_no, channel).await;
        assert_eq!((end, code.as_str()), ("partial", "MESSAGES_NOT_AVAILABLE"), "{channel}");
    }
}

#[tokio::test]
async fn a_message_that_is_shown_late_is_found_late() {
    let delay = Duration::from_millis(700);
    let sandbox = reading(ReadingFaults { shown_after: delay, ..ReadingFaults::default() }).await;
    let (reader, since) = (reader(&sandbox), now());
    send(&sandbox, Channel::Chat).await;
    let mut of_attempt = sought(Channel::Chat, since);
    let early = reader.look_for(&of_attempt).await;
    of_attempt.round = 2;
    soon(async {
        while told(&reader.look_for(&of_attempt).await).1.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // A machine that was slow to ask may have seen it at once.
    assert!(matches!(early, Reading::Complete { .. }));
}

#[tokio::test]
async fn a_refused_key_and_a_server_that_is_gone_are_no_look() {
    let settings = Settings { api_key: Some("another".into()), ..Settings::default() };
    let sandbox = start(settings).await;
    let read = reader(&sandbox).look_for(&sought(Channel::Chat, now())).await;
    assert!(matches!(read, Reading::Later { account_refused: true, .. }), "{read:?}");
    let gone = Refusing::new();
    let sandbox = Running { address: gone.address, ..sandbox };
    let read = reader(&sandbox).look_for(&sought(Channel::Chat, now())).await;
    assert!(matches!(read, Reading::Later { account_refused: false, .. }), "{read:?}");
}

#[tokio::test]
async fn a_long_case_is_read_from_its_end_and_a_long_thread_to_both_ends() {
    let sandbox = plain().await;
    for n in 0..65 {
        sandbox.post(CHAT, &chat(2069, &format!("message {n}"))).await;
    }
    let since = now();
    send(&sandbox, Channel::Chat).await;
    for n in 0..65 {
        sandbox.post(CHAT, &chat(2069, &format!("later {n}"))).await;
    }
    let found = told(&reader(&sandbox).look_for(&sought(Channel::Chat, since)).await);
    assert!(matches!(&found, ("complete", one, _) if one.len() == 1), "{found:?}");

    let since = now();
    send(&sandbox, Channel::Mail).await;
    for n in 0..45 {
        let mut other = mail(1128);
        other["data"]["subject"] = Value::from(format!("another {n}"));
        other["data"]["textBody"] = Value::from(format!("another {n}"));
        other["data"]["htmlBody"] = Value::from(format!("<p>another {n}</p>"));
        sandbox.post(MAIL, &other).await;
    }
    let found = told(&reader(&sandbox).look_for(&sought(Channel::Mail, since)).await);
    assert!(matches!(&found, ("complete", one, _) if one.len() == 1), "{found:?}");
}

#[tokio::test]
async fn lists_have_the_documented_envelope() {
    let sandbox = plain().await;
    for n in 0..25 {
        sandbox.post(CHAT, &chat(7, &format!("{n}"))).await;
    }
    let list = "/api/v1/crm/objects/case-message?where=caseId%7Ceq%7C7";
    let page = sandbox.get(&format!("{list}&limit=10&offset=20&select=id&select=message")).await;
    let data = &page.json["data"];
    let envelope = [&data["page"], &data["offset"], &data["limit"], &data["count"]];
    assert_eq!(envelope, [2, 20, 10, 26]);
    // The event that begins the case is the first.
    assert_eq!(data["data"][0]["message"], "19");
    assert_eq!(data["data"][0].as_object().unwrap().len(), 2);
    let capped = sandbox.get(&format!("{list}&limit=100&relations=case")).await.json;
    assert_eq!(capped["data"]["data"].as_array().unwrap().len(), 20);
    assert_eq!(capped["data"]["data"][1]["case"]["id"], 7);
    for wrong in ["where=caseId%7Cgt%7C7", "where=text%7Ceq%7C7", "where=caseId%7Ceq%7Cx"] {
        let refused = sandbox.get(&format!("/api/v1/crm/objects/case-message?{wrong}")).await;
        assert_eq!(refused.error().0, 400, "{wrong}");
    }
    let single = sandbox.get("/api/v1/crm/objects/case/7").await.json;
    assert_eq!((&single["data"]["id"], &single["data"]["status"]), (&json!(7), &json!("active")));
    assert_eq!(sandbox.get("/api/v1/crm/objects/case/900404").await.error().0, 404);
}

#[tokio::test]
async fn what_became_of_a_message_is_shown_after_some_time() {
    let delay = Some(Duration::from_millis(1));
    let faults = ReadingFaults { delivered_after: delay, bounced: 1.0, ..ReadingFaults::default() };
    let sandbox = reading(faults).await;
    for channel in Channel::ALL {
        send(&sandbox, channel).await;
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    let thread = sandbox.get("/api/v1/mail/messages?threadId=1128").await.json;
    let mail = &thread["data"]["messages"][0];
    assert!(mail["dateBounce"].is_string() && mail["dateDelivery"].is_null(), "{mail}");
    let case = "/api/v1/crm/objects/case-message?where=caseId%7Ceq%7C";
    let chat = &sandbox.get(&format!("{case}2069")).await.json["data"]["data"][1];
    assert_eq!(chat["seen"], "yes");
    let sms = &sandbox.get(&format!("{case}2219")).await.json["data"]["data"][1];
    assert_eq!(sms["meta"]["status"], "undelivered");
}

#[tokio::test]
async fn a_contact_has_cases() {
    let sandbox = plain().await;
    let reader = reader(&sandbox);
    let ids = async |question| -> Vec<(i64, Option<i64>, bool)> {
        let cases = reader.cases(question).await.unwrap();
        cases.iter().map(|case| (case.case_id, case.timeline_id, case.is_active())).collect()
    };
    assert_eq!(ids(CaseQuestion::Contact(5)).await, [(5, Some(5), true)]);
    assert_eq!(ids(CaseQuestion::Contact(900_404)).await, []);
    assert_eq!(ids(CaseQuestion::Contact(900_002)).await.len(), 2);
    assert!(!ids(CaseQuestion::Contact(900_400)).await[0].2);
    assert_eq!(ids(CaseQuestion::Case(900_404)).await, []);
    send(&sandbox, Channel::Sms).await;
    assert_eq!(ids(CaseQuestion::Contact(751_069)).await, [(2219, Some(2108), true)]);
    assert_eq!(ids(CaseQuestion::Case(2219)).await, [(2219, Some(2108), true)]);
}
