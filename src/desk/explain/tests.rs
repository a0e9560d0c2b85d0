//! The sentences, and the reasons behind them.

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
        delivery: None,
        delivery_at: None,
        verifying: wait == "verifying",
        case_id: Some(1),
        contact_id: None,
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
        next_look: Some(NOW + 30_000),
        looks: 1,
        seen: None,
        next_follow_up: None,
        followed: None,
    };
    Story {
        job,
        history: vec![],
        attempts: 0,
        acts: vec![],
        ahead: None,
        blocks: vec![],
        pauses: vec![],
        set_aside: None,
    }
}

fn known(story: &Story) -> Known<'_> {
    Known { story, head: None, position: None, policy: None, dispatcher: true, now: NOW }
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
    Pause { account: None, channel: Some(Channel::Sms), reason, since: NOW - 60_000, until: None }
}

#[test]
fn the_time_of_the_next_attempt_is_named() {
    let scheduled = running(&story("pending", "scheduled"));
    assert_eq!(scheduled, "scheduled for 2025-11-24T17:00:00.000Z (in 1h)");
    let backoff = running(&story("pending", "backoff"));
    assert_eq!(backoff, "next attempt at 2025-11-24T16:00:12.000Z (in 12s), after http_503: down");
}

#[test]
fn a_parked_job_names_the_head_of_its_key() {
    let mut parked = story("pending", "parked");
    let holder_status = "sending".to_owned();
    parked.ahead = Some(Ahead { holder: 3, holder_status, holder_retry: None, jobs: 2 });
    let sentence = running(&parked);
    assert_eq!(
        sentence,
        "behind job 3 of its ordering key, which is sending (2 jobs are ahead of it)"
    );
}

#[test]
fn a_block_is_explained_with_its_end_while_its_dispatcher_runs() {
    let mut blocked = story("pending", "ready");
    assert_eq!(running(&blocked), "ready, waiting its turn");
    blocked.blocks = vec![Block {
        account: "default".to_owned(),
        channel: String::new(),
        kind: BlockKind::Refused,
        reason: "http_401: no".to_owned(),
        since: NOW,
        until: Some(NOW + 1_000),
    }];
    let sentence = running(&blocked);
    assert!(sentence.contains("account default is refused or misconfigured: http_401: no"));
    assert!(sentence.ends_with("2025-11-24T16:00:01.000Z (in 1s)"), "{sentence}");
    assert_eq!(alone(&blocked), format!("ready; {NO_DISPATCHER}"));
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
fn a_pause_is_explained_with_its_reason_and_the_command_that_ends_it() {
    let mut paused = story("pending", "ready");
    paused.pauses = vec![sms_is_paused()];
    let sentence = "paused: sms since 2025-11-24T15:59:00.000Z (1m ago): the provider changes; \
                 resume it with `acquire-outbox resume sms`";
    assert_eq!(running(&paused), sentence);
    assert_eq!(alone(&paused), format!("{sentence}; {NO_DISPATCHER}"));
    let json = serde_json::to_value(next(&known(&paused)).unwrap()).unwrap();
    let reason = serde_json::json!({
        "kind": "pause", "account": null, "channel": "sms", "reason": "the provider changes",
        "since": "2025-11-24T15:59:00.000Z"
    });
    assert_eq!(json, serde_json::json!({ "waits_for": [reason] }));
}

#[test]
fn what_holds_back_the_head_is_explained_too() {
    let mut parked = story("pending", "parked");
    let holder_status = "pending".to_owned();
    parked.ahead = Some(Ahead { holder: 3, holder_status, holder_retry: None, jobs: 1 });
    assert!(running(&parked).ends_with("job 3 of its ordering key, which is waiting its turn"));
    let mut head = story("pending", "ready");
    head.pauses = vec![sms_is_paused()];
    let explained = next(&Known { head: Some(&head), ..known(&parked) }).unwrap();
    let start = "behind job 3 of its ordering key; job 3 itself waits: paused: sms since ";
    assert!(explained.sentence.starts_with(start), "{}", explained.sentence);
    let [WaitReason::Job { id: Some(3), waits_for, .. }] = &explained.waits_for[..] else {
        panic!("{explained:?}")
    };
    assert!(matches!(waits_for[..], [WaitReason::Pause { .. }]), "{waits_for:?}");
}

#[test]
fn a_block_that_ends_before_the_next_attempt_is_left_out() {
    let mut blocked = story("pending", "backoff");
    let block = |until| Block {
        account: "default".to_owned(),
        channel: "chat".to_owned(),
        kind: BlockKind::Breaker,
        reason: "down".to_owned(),
        since: NOW,
        until: Some(until),
    };
    blocked.blocks = vec![block(NOW + 11_000)];
    assert!(!running(&blocked).contains("breaker"));
    blocked.blocks = vec![block(NOW + 13_000)];
    assert!(
        running(&blocked).ends_with("the next probe goes out at 2025-11-24T16:00:13.000Z (in 13s)")
    );
}
