//! The magic cases, the random faults and the end.

use super::client::*;
use acquire_outbox::sandbox::{ErrorShare, Faults};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_case_that_is_closed_or_missing_refuses_on_every_channel() {
    let sandbox = plain().await;
    for (_, path, body) in each(900_400) {
        let answer = sandbox.post(path, &body).await;
        assert_eq!(answer.error(), (400, "ERROR_INVALID_INPUT", "case is not active"));
    }
    for (_, path, body) in each(900_404) {
        let answer = sandbox.post(path, &body).await;
        assert_eq!((answer.error().0, answer.error().1), (404, "ERROR_RECORD_NOT_FOUND"));
    }
    assert_eq!(sandbox.log.accepted(), 0);
}

#[tokio::test]
async fn a_throttled_case_takes_each_message_the_second_time() {
    let sandbox = plain().await;
    for (_, path, body) in each(900_429) {
        let first = sandbox.post(path, &body).await;
        assert_eq!(first.status, 429);
        assert!(first.head.contains("retry-after: 1"), "{}", first.head);
        for _ in 0..2 {
            assert_eq!(sandbox.post(path, &body).await.status, 200);
        }
    }
    assert_eq!(sandbox.post(CHAT, &chat(900_429, "another")).await.status, 429);
}

#[tokio::test]
async fn a_case_in_maintenance_takes_each_message_the_third_time() {
    let sandbox = plain().await;
    for (_, path, body) in each(900_503) {
        for status in [503, 503, 200, 200] {
            let answer = sandbox.post(path, &body).await;
            assert_eq!(answer.status, status);
            assert!(!answer.head.contains("retry-after"));
        }
    }
}

#[tokio::test]
async fn a_silent_case_accepts_and_does_not_answer() {
    let sandbox = plain().await;
    for (n, (_, path, body)) in each(900_000).into_iter().enumerate() {
        let mut stream = sandbox.write("POST", path, HEADERS, &body.to_string()).await;
        until(|| sandbox.log.accepted() == n as u64 + 1).await;
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut byte)).await;
        assert!(read.is_err(), "silence was broken: {read:?}");
    }
    let kept = sandbox.log.messages();
    assert!(kept.iter().all(|message| message.accepted && message.status.is_none()));
    let id = kept[0].id.unwrap();
    assert_eq!(sandbox.get(&format!("/api/v1/crm/objects/case-message/{id}")).await.status, 200);
}

#[tokio::test]
async fn silence_ends_when_the_client_goes() {
    let sandbox = plain().await;
    let body = chat(900_000, "x").to_string();
    let mut stream = sandbox.write("POST", CHAT, HEADERS, &body).await;
    until(|| sandbox.log.accepted() == 1).await;
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    assert_eq!(answer, b"");
}

#[tokio::test]
async fn a_case_that_hangs_up_accepts_and_sends_no_byte() {
    let sandbox = plain().await;
    for (n, (_, path, body)) in each(900_001).into_iter().enumerate() {
        assert_eq!(sandbox.bytes("POST", path, HEADERS, &body.to_string()).await, b"");
        assert_eq!(sandbox.log.accepted(), n as u64 + 1);
    }
}

#[tokio::test]
async fn a_provider_refuses_an_sms_inside_a_200() {
    let sandbox = plain().await;
    let [(_, _, chat), _, (_, _, sms)] = each(900_021);
    let answer = sandbox.post(SMS, &sms).await;
    assert_eq!(answer.status, 200);
    let message = &answer.json["data"]["data"];
    assert_eq!((&message["meta"]["errorCode"], &message["id"]), (&json!(21610), &json!(8289)));
    assert!(message["meta"]["errorMessage"].as_str().unwrap().contains("unsubscribed"));
    assert_eq!(sandbox.log.accepted(), 0);
    assert_eq!(sandbox.post(CHAT, &chat).await.status, 200);
}

#[tokio::test]
async fn told_errors_come_with_their_retry_after_and_accept_nothing() {
    for (status, told) in [(503, true), (429, true), (500, false), (401, false)] {
        let sandbox = faulty(Faults {
            errors: vec![ErrorShare { status, share: 1.0 }],
            retry_after: Some(Duration::from_millis(1500)),
            ..Faults::default()
        })
        .await;
        let answer = sandbox.post(MAIL, &mail(1)).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.head.contains("retry-after: 2"), told, "{}", answer.head);
        assert_eq!((sandbox.log.accepted(), sandbox.log.messages().len()), (0, 1));
    }
}

#[tokio::test]
async fn a_share_of_drops_closes_before_anything_is_accepted() {
    let sandbox = faulty(Faults { drop: 1.0, ..Faults::default() }).await;
    assert_eq!(sandbox.bytes("POST", CHAT, HEADERS, &chat(1, "x").to_string()).await, b"");
    assert!(sandbox.log.messages().is_empty());
}

#[tokio::test]
async fn a_share_of_silence_accepts_and_does_not_answer() {
    let sandbox = faulty(Faults { silent: 1.0, ..Faults::default() }).await;
    let _open = sandbox.write("POST", CHAT, HEADERS, &chat(1, "x").to_string()).await;
    until(|| sandbox.log.accepted() == 1).await;
    assert_eq!(sandbox.log.messages()[0].status, None);
}

#[tokio::test]
async fn latency_comes_after_the_message_was_accepted() {
    let latency = Duration::from_millis(100);
    let sandbox = faulty(Faults { latency, ..Faults::default() }).await;
    let begun = Instant::now();
    assert_eq!(sandbox.post(CHAT, &chat(1, "x")).await.status, 200);
    assert!(begun.elapsed() >= latency);

    let latency = Duration::from_secs(3600);
    let sandbox = faulty(Faults { latency, ..Faults::default() }).await;
    let _open = sandbox.write("POST", CHAT, HEADERS, &chat(1, "x").to_string()).await;
    until(|| sandbox.log.accepted() == 1).await;
}

#[tokio::test]
async fn it_stops_at_once_with_silent_connections_open() {
    let sandbox = plain().await;
    let body = chat(900_000, "x").to_string();
    let mut silent = sandbox.write("POST", CHAT, HEADERS, &body).await;
    let idle = TcpStream::connect(sandbox.address).await.unwrap();
    until(|| sandbox.log.accepted() == 1).await;
    sandbox.stop.send(()).unwrap();
    soon(sandbox.served).await.unwrap();
    let mut nothing = Vec::new();
    let _ = soon(silent.read_to_end(&mut nothing)).await;
    assert!(nothing.is_empty());
    assert!(TcpStream::connect(sandbox.address).await.is_err());
    assert_eq!(sandbox.log.messages().len(), 1);
    drop(idle);
}
