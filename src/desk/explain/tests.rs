//! Of the sentences, and of what they are made from.

use super::*;
use crate::queue::job::Channel;
use crate::queue::story::{Delivery, Detail};

pub const NOW: Millis = 1_764_000_000_000;

pub fn story(status: &str, wait: &str) -> Story {
    let delivery = Delivery {
        id: 7,
        channel: "chat".to_owned(),
        account: "default".to_owned(),
        source: None,
        idempotency_key: None,
        status: status.to_owned(),
        attempts: 2,
        message_id: None,
        failure: None,
        error_code: Some("http_503".to_owned()),
        error: Some("down".to_owned()),
        created_at: iso(NOW),
        send_at: None,
        next_attempt_at: None,
        finished_at: None,
    };
    let job = Detail {
        delivery,
        payload_bytes: 2,
        payload_fields: "[]".to_owned(),
        receipt: None,
        receipt_bytes: None,
        priority: 0,
        ordering_key: None,
        max_attempts: None,
        expires: None,
        wait: Some(wait.to_owned()),
        due: Some(NOW + 3_600_000),
        retry: Some(NOW + 12_000),
        updated: Some(NOW - 5_000),
    };
    Story {
        job,
        history: vec![],
        attempts: 0,
        ahead: None,
        holds: vec![],
        pauses: vec![],
        aside: None,
    }
}

fn known(story: &Story) -> Known<'_> {
    Known { story, holder: None, position: None, policy: None, dispatcher: true, now: NOW }
}

fn running(story: &Story) -> String {
    next(&known(story)).unwrap().sentence
}

/// The sentence where no dispatcher runs.
fn alone(story: &Story) -> String {
    next(&Known { dispatcher: false, ..known(story) }).unwrap().sentence
}

fn sms_is_paused() -> Pause {
    let reason = "the provider changes".to_owned();
    Pause { account: None, channel: Some(Channel::Sms), reason, since: NOW - 60_000 }
}

#[test]
fn a_time_that_is_waited_for_is_named() {
    let scheduled = running(&story("pending", "scheduled"));
    assert_eq!(scheduled, "scheduled for 2025-11-24T17:00:00.000Z (in 1h)");
    let backoff = running(&story("pending", "backoff"));
    assert_eq!(backoff, "retry at 2025-11-24T16:00:12.000Z (in 12s), after http_503: down");
}

#[test]
fn a_parked_job_names_the_one_before_it() {
    let mut parked = story("pending", "parked");
    let holder_status = "sending".to_owned();
    parked.ahead = Some(Ahead { holder: 3, holder_status, holder_retry: None, jobs: 2 });
    let sentence = running(&parked);
    assert_eq!(sentence, "behind job 3 of its ordering key, which is sending, 2 jobs ahead in all");
}

#[test]
fn a_hold_is_told_with_its_end_while_its_dispatcher_runs() {
    let mut held = story("pending", "ready");
    assert_eq!(running(&held), "ready, and waits its turn");
    held.holds = vec![Block {
        account: "default".to_owned(),
        channel: String::new(),
        kind: BlockKind::Refused,
        reason: "http_401: no".to_owned(),
        since: NOW,
        until: Some(NOW + 1_000),
    }];
    let sentence_held = running(&held);
    assert!(sentence_held.contains("account default is refused or misconfigured: http_401: no"));
    assert!(sentence_held.ends_with("2025-11-24T16:00:01.000Z (in 1s)"), "{sentence_held}");
    assert_eq!(alone(&held), format!("ready; {NO_DISPATCHER}"));
}

#[test]
fn what_has_ended_waits_for_nothing() {
    for status in ["sent", "failed", "cancelled"] {
        assert_eq!(next(&known(&story(status, ""))), None);
    }
    let uncertain = running(&story("uncertain", ""));
    assert!(uncertain.contains("`acquire-outbox resolve 7 --sent|--failed`"), "{uncertain}");
    assert!(uncertain.contains("`acquire-outbox retry 7`"), "{uncertain}");
    assert!(alone(&story("sending", "")).contains("on_uncertain"));
}

#[test]
fn a_pause_is_told_with_its_reason_and_with_what_ends_it() {
    let mut paused = story("pending", "ready");
    paused.pauses = vec![sms_is_paused()];
    let words = "paused: sms since 2025-11-24T15:59:00.000Z (1m ago): the provider changes; \
                 resume it with `acquire-outbox resume sms`";
    assert_eq!(running(&paused), words);
    assert_eq!(alone(&paused), format!("{words}; {NO_DISPATCHER}"));
    let json = serde_json::to_value(next(&known(&paused)).unwrap()).unwrap();
    let cause = serde_json::json!({
        "kind": "pause", "account": null, "channel": "sms", "reason": "the provider changes",
        "since": "2025-11-24T15:59:00.000Z"
    });
    assert_eq!(json, serde_json::json!({ "waits_for": [cause] }));
}

#[test]
fn behind_one_that_is_held_itself_the_reason_of_that_one_is_told() {
    let mut parked = story("pending", "parked");
    let holder_status = "pending".to_owned();
    parked.ahead = Some(Ahead { holder: 3, holder_status, holder_retry: None, jobs: 1 });
    assert!(running(&parked).ends_with("job 3 of its ordering key, which waits its turn"));
    let mut holder = story("pending", "ready");
    holder.pauses = vec![sms_is_paused()];
    let told = next(&Known { holder: Some(&holder), ..known(&parked) }).unwrap();
    let start = "behind job 3 of its ordering key; job 3 itself waits: paused: sms since ";
    assert!(told.sentence.starts_with(start), "{}", told.sentence);
    let [Cause::Job { id: Some(3), waits_for, .. }] = &told.waits_for[..] else {
        panic!("{told:?}")
    };
    assert!(matches!(waits_for[..], [Cause::Pause { .. }]), "{waits_for:?}");
}

#[test]
fn a_hold_that_ends_before_the_retry_is_not_told() {
    let mut held = story("pending", "backoff");
    let hold = |until| Block {
        account: "default".to_owned(),
        channel: "chat".to_owned(),
        kind: BlockKind::Breaker,
        reason: "down".to_owned(),
        since: NOW,
        until: Some(until),
    };
    held.holds = vec![hold(NOW + 11_000)];
    assert!(!running(&held).contains("breaker"));
    held.holds = vec![hold(NOW + 13_000)];
    assert!(
        running(&held).ends_with("the next probe goes out at 2025-11-24T16:00:13.000Z (in 13s)")
    );
}
