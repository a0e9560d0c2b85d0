//! Connections that the server closes just as they are reused: no message may become uncertain.

use crate::support::{Job, Outbox, SOON, Setup, chat_accepted, eventually, now_ms};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const MESSAGES_PER_ROUND: i64 = 30;
/// So that all messages of a round are in flight together.
const MANY_IN_FLIGHT: &str = "[channels.chat]\nmax_in_flight = 64\n";

/// Accepts every message. At each request it closes all connections that have been idle for `idle`, just
/// when the client is about to reuse them.
#[derive(Clone)]
struct Closing {
    idle: Duration,
    header: &'static str,
    connections: Arc<Mutex<Vec<(TcpStream, Instant)>>>,
    read: Arc<AtomicUsize>,
}

impl Closing {
    fn start(idle: Duration, header: &'static str) -> (Closing, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/api/v1", listener.local_addr().unwrap());
        let server = Closing { idle, header, connections: Arc::default(), read: Arc::default() };
        let accepting = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = accepting.clone();
                thread::spawn(move || server.converse(stream));
            }
        });
        (server, url)
    }

    fn converse(&self, mut stream: TcpStream) {
        let index = {
            let mut connections = self.connections.lock().unwrap();
            connections.push((stream.try_clone().unwrap(), Instant::now()));
            connections.len() - 1
        };
        let mut buffer = [0; 16 * 1024];
        let mut request = Vec::new();
        while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
            request.extend_from_slice(&buffer[..bytes]);
            // The body of a chat message ends with `}`, and no header does.
            if !request.ends_with(b"}") {
                continue;
            }
            request.clear();
            for (other, (idle, since)) in self.connections.lock().unwrap().iter_mut().enumerate() {
                if other == index {
                    *since = Instant::now();
                } else if since.elapsed() >= self.idle {
                    let _ = idle.shutdown(Shutdown::Both);
                }
            }
            let id = 8289 + self.read.fetch_add(1, Ordering::SeqCst);
            let body = chat_accepted(id).to_string();
            let length = body.len();
            let head =
                format!("HTTP/1.1 200 OK\r\n{}content-length: {length}\r\n\r\n", self.header);
            if stream.write_all((head + &body).as_bytes()).is_err() {
                return;
            }
        }
    }

    /// Sends rounds of messages; none becomes uncertain, and each is received once.
    #[track_caller]
    fn assert_certain(&self, outbox: &Outbox, rounds: i64, interval_ms: i64) {
        let _daemon = outbox.daemon();
        let start = now_ms() + 500;
        for n in 0..rounds * MESSAGES_PER_ROUND {
            let at = start + n / MESSAGES_PER_ROUND * interval_ms;
            outbox.add(Job::chat(n + 1, "hi").at("send_at", at));
        }
        let all = rounds * MESSAGES_PER_ROUND;
        eventually(SOON, "every job is finished", || {
            outbox.count("sent") + outbox.count("uncertain") == all
        });
        let uncertain = "SELECT count(*) FROM outbox_attempts WHERE outcome = 'uncertain'";
        let uncertain = outbox.number(uncertain);
        assert_eq!((uncertain, self.read.load(Ordering::SeqCst)), (0, all as usize));
    }
}

#[test]
fn under_hold_a_connection_that_may_be_closing_is_not_reused() {
    let (server, url) = Closing::start(Duration::from_millis(500), "");
    let more = format!("{MANY_IN_FLIGHT}on_uncertain = \"hold\"");
    let outbox = Setup::sending_to(&url).more(&more).ready();
    server.assert_certain(&outbox, 6, 800);
}

#[test]
fn a_servers_keep_alive_timeout_is_respected() {
    let header = "keep-alive: timeout=1, max=9\r\n";
    let (server, url) = Closing::start(Duration::from_millis(950), header);
    let outbox = Setup::sending_to(&url).more(MANY_IN_FLIGHT).ready();
    server.assert_certain(&outbox, 5, 1200);
}
