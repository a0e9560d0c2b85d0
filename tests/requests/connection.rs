//! Connections that fail, are closed or are reused: what was written, and what is known about it.

use super::server::{Reply, json, serve};
use super::{
    ACCEPTED, accepted, answered, assert_ended, chat, endpoint, endpoint_within, fault, payload_of,
};
use crate::support::Refusing;
use acquire_outbox::acquire::{AccountCheck, WriteGate};
use acquire_outbox::queue::job::Channel;
use acquire_outbox::queue::outcome::Outcome;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

#[tokio::test]
async fn a_connection_dropped_after_the_request_leaves_the_outcome_unknown() {
    let (attempt, gate) = answered(Reply::Close).await;
    assert_ended(&attempt, "unknown", "connection_lost");
    assert!(gate.passed());
    assert_eq!(attempt.http_status, None);
}

#[tokio::test]
async fn a_connection_dropped_at_once_is_classified_by_the_gate() {
    for _ in 0..20 {
        let (attempt, gate) = answered(Reply::Refuse).await;
        match gate.passed() {
            true => assert_ended(&attempt, "unknown", "connection_lost"),
            false => assert_ended(&attempt, "not written", "connect"),
        }
    }
}

#[tokio::test]
async fn a_server_that_speaks_first_is_classified_by_the_gate() {
    for _ in 0..20 {
        let (base, seen) = serve(vec![Reply::Blurt("220 mail.example.com ESMTP\r\n")]).await;
        let (attempt, gate) = chat(&endpoint(Channel::Chat, &base)).await;
        if gate.passed() {
            assert_eq!(fault(&attempt.outcome).0, "unknown");
        } else {
            assert_eq!(fault(&attempt.outcome).0, "not written");
            seen.until(|seen| seen.closed() == 1).await;
            assert_eq!(seen.bytes(), 0);
        }
    }
}

#[tokio::test]
async fn a_slow_and_a_missing_answer_both_time_out() {
    let limit = Duration::from_millis(300);
    let drip = "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{\"data\":{\"id\":1}";
    for (reply, status) in [(Reply::Drip(drip.into()), Some(200)), (Reply::Silence, None)] {
        let (base, _) = serve(vec![reply]).await;
        let (attempt, gate) = chat(&endpoint_within(Channel::Chat, &base, limit)).await;
        assert_ended(&attempt, "unknown", "timeout");
        assert!(gate.passed());
        assert_eq!(attempt.http_status, status);
        assert!(attempt.duration >= limit && attempt.duration < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_refused_connection_has_written_nothing() {
    let nobody = Refusing::new();
    let base = Url::parse(&format!("http://{}/api/v1", nobody.address)).unwrap();
    let endpoint = endpoint(Channel::Chat, &base);
    let (attempt, gate) = chat(&endpoint).await;
    assert_ended(&attempt, "not written", "connect");
    assert!(!gate.passed() && gate.shut());
    assert!(
        matches!(endpoint.check_account().await, AccountCheck::Unreachable(fault) if fault.code == "connect")
    );
}

#[tokio::test]
async fn a_name_without_an_address_has_written_nothing() {
    let base = Url::parse("https://nobody.invalid/api/v1").unwrap();
    let (attempt, gate) = chat(&endpoint(Channel::Chat, &base)).await;
    assert_ended(&attempt, "not written", "dns");
    assert!(!gate.passed());
}

#[tokio::test]
async fn a_port_without_tls_fails_the_handshake() {
    for reply in
        [Reply::Blurt("HTTP/1.1 400 Bad Request\r\n\r\n"), Reply::Blurt("not TLS at all, nor HTTP")]
    {
        let (base, _) = serve(vec![reply]).await;
        let base = Url::parse(&base.as_str().replace("http:", "https:")).unwrap();
        let (attempt, gate) = chat(&endpoint(Channel::Chat, &base)).await;
        assert_ended(&attempt, "not written", "tls");
        assert!(!gate.passed());
    }
    let (base, _) = serve(vec![Reply::Silence]).await;
    let base = Url::parse(&base.as_str().replace("http:", "https:")).unwrap();
    let limit = Duration::from_millis(300);
    let (attempt, gate) = chat(&endpoint_within(Channel::Chat, &base, limit)).await;
    assert_ended(&attempt, "not written", "timeout");
    assert!(!gate.passed());
}

#[tokio::test]
async fn an_untrusted_server_gets_no_byte() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (tcp, _) = listener.accept().unwrap();
        let tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::StreamOwned::new(tls, tcp);
        let mut got = Vec::new();
        let ended = stream.read_to_end(&mut got);
        let _ = stream.flush();
        (got, ended.is_err())
    });
    let base = Url::parse(&format!("https://localhost:{port}/api/v1")).unwrap();
    let (attempt, gate) = chat(&endpoint(Channel::Chat, &base)).await;
    assert_ended(&attempt, "not written", "tls");
    assert!(!gate.passed());
    assert_eq!(server.join().unwrap(), (Vec::new(), true));
}

#[tokio::test]
async fn redirects_are_not_followed_and_the_key_is_not_sent_elsewhere() {
    let (elsewhere, seen_there) = serve(vec![accepted()]).await;
    for status in ["301", "302", "303", "307", "308"] {
        let answer = format!(
            "HTTP/1.1 {status} Moved\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n"
        );
        let (base, seen) = serve(vec![Reply::Answer(answer)]).await;
        let (attempt, _) = chat(&endpoint(Channel::Chat, &base)).await;
        assert_ended(&attempt, "account", &format!("http_{status}"));
        assert_eq!((seen.requests().len(), seen_there.connections()), (1, 0));
    }
}

#[tokio::test]
async fn nothing_is_written_once_the_gate_is_shut() {
    let (base, seen) = serve(vec![accepted()]).await;
    let endpoint = endpoint(Channel::Chat, &base);
    let gate = WriteGate::new();
    assert!(gate.shut());
    let attempt = endpoint.send(&payload_of(Channel::Chat), &gate, 1).await;
    assert_eq!(attempt.outcome, Outcome::Withdrawn);
    assert!(gate.shut() && !gate.passed());
    seen.until(|seen| seen.closed() == 1).await;
    assert_eq!(seen.bytes(), 0);

    // Nor on a connection that has been used before.
    let (attempt, _) = chat(&endpoint).await;
    assert!(matches!(attempt.outcome, Outcome::Accepted { .. }));
    let before = seen.bytes();
    let attempt = endpoint.send(&payload_of(Channel::Chat), &gate, 1).await;
    assert_eq!(attempt.outcome, Outcome::Withdrawn);
    seen.until(|seen| seen.closed() == 2).await;
    assert_eq!((seen.bytes(), seen.connections()), (before, 2));
}

#[tokio::test]
async fn the_gate_of_a_dropped_send_says_whether_it_was_written() {
    let (base, seen) = serve(vec![Reply::Silence]).await;
    let endpoint = Arc::new(endpoint(Channel::Chat, &base));
    let gate = WriteGate::new();
    let task = tokio::spawn({
        let (endpoint, gate) = (endpoint.clone(), gate.clone());
        async move { endpoint.send(&payload_of(Channel::Chat), &gate, 1).await }
    });
    seen.until(|seen| seen.requests().len() == 1).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(gate.passed() && !gate.shut());
}

#[tokio::test]
async fn an_open_connection_is_reused_and_a_closed_one_is_not() {
    let (base, seen) = serve(vec![accepted()]).await;
    let first = endpoint(Channel::Chat, &base);
    for _ in 0..3 {
        assert!(matches!(chat(&first).await.0.outcome, Outcome::Accepted { .. }));
    }
    assert_eq!((seen.connections(), seen.requests().len()), (1, 3));

    let (base, seen) = serve(vec![Reply::AnswerAndClose(json("200 OK", ACCEPTED))]).await;
    let second = endpoint(Channel::Chat, &base);
    for sent in 1..=3 {
        let (attempt, gate) = chat(&second).await;
        // The close may not have been noticed yet: unknown then, but only if bytes may have left.
        match attempt.outcome {
            Outcome::Accepted { .. } => {}
            Outcome::Unknown { .. } => assert!(gate.passed()),
            other => panic!("{other:?}"),
        }
        assert!(seen.requests().len() <= sent);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_dropped_at_any_moment_wrote_nothing_if_its_gate_says_so() {
    let (base, seen) = serve(vec![accepted()]).await;
    let endpoint = endpoint(Channel::Chat, &base);
    let mut passed = 0;
    for round in 0..400u64 {
        let (gate, payload) = (WriteGate::new(), payload_of(Channel::Chat));
        let limit = Duration::from_micros(round * 7 % 1500);
        let _ = tokio::time::timeout(limit, endpoint.send(&payload, &gate, 1)).await;
        passed += usize::from(!gate.shut());
        // Each has arrived or ended before the next, so that none hides another.
        if gate.passed() {
            seen.until(|seen| seen.requests().len() + seen.closed() >= passed).await;
        }
        assert!(seen.requests().len() <= passed, "round {round}");
    }
    assert!(passed > 0);
}
