//! Connections that the server closes just as they are used again: how many messages that makes
//! uncertain. It counts; nothing depends on how long anything takes.

use crate::support::{Job, Outbox, Setup, chat_accepted, now_ms};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const A_ROUND: i64 = 30;

/// Accepts everything, and closes a connection as soon as it has been idle for `idle`. Returns its
/// port and how many requests it read.
fn closing(idle: Duration, header: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let read = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&read);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            thread::spawn(move || converse(stream, idle, header, &count));
        }
    });
    (port, read)
}

fn converse(mut stream: TcpStream, idle: Duration, header: &str, count: &AtomicUsize) {
    stream.set_read_timeout(Some(idle)).unwrap();
    let mut buffer = [0; 16 * 1024];
    let mut request = Vec::new();
    while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
        request.extend_from_slice(&buffer[..bytes]);
        // A chat message's body ends its object, and no header does.
        if request.ends_with(b"}") {
            request.clear();
            let body = chat_accepted(8289 + count.fetch_add(1, Ordering::SeqCst)).to_string();
            let head = format!("HTTP/1.1 200 OK\r\n{header}content-length: {}\r\n\r\n", body.len());
            if stream.write_all((head + &body).as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// Rounds of messages, each due when the connections of the one before are just being closed.
fn rounds(outbox: &Outbox, idle: i64, rounds: i64) {
    let start = now_ms() + 1000;
    for round in 0..rounds {
        // The moment is met from a little before to a little after.
        let at = start + round * idle + (round - 2) * 2;
        for n in 0..A_ROUND {
            let job = Job::chat(round * A_ROUND + n + 1, "hi").column("send_at", &at.to_string());
            outbox.add(job);
        }
    }
    outbox.run_until_empty();
}

/// That none was uncertain, though each round needs connections anew.
fn assert_certain(outbox: &Outbox, sent: i64, read: &AtomicUsize) {
    let uncertain = "SELECT count(*) FROM outbox_attempts WHERE outcome = 'uncertain'";
    assert_eq!(outbox.database().number(uncertain), 0);
    assert_eq!((outbox.count("sent"), read.load(Ordering::SeqCst)), (sent, sent as usize));
}

#[test]
fn under_hold_a_connection_that_may_be_closing_is_not_used_again() {
    let (port, read) = closing(Duration::from_millis(400), "");
    let outbox = Setup::sending_to(&format!("http://127.0.0.1:{port}/api/v1"))
        .more("[channels.chat]\non_uncertain = \"hold\"")
        .ready();
    rounds(&outbox, 400, 8);
    assert_certain(&outbox, 8 * A_ROUND, &read);
}

#[test]
fn a_server_that_says_when_it_closes_connections_is_believed() {
    let (port, read) = closing(Duration::from_secs(1), "keep-alive: timeout=1, max=9\r\n");
    let outbox = Setup::sending_to(&format!("http://127.0.0.1:{port}/api/v1")).ready();
    rounds(&outbox, 1000, 5);
    assert_certain(&outbox, 5 * A_ROUND, &read);
}
