//! What a client cannot do, however it behaves.

use super::client::{Client, dashboard, for_reading};
use crate::support::{Server, sqlite_only};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

#[test]
fn a_form_that_is_too_long_is_refused() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let person = client.clone().logged_in();
    let long = "x".repeat(100 * 1024);
    person.submit("/pauses/pause", &[("reason", &long)]).expect(413);
    client.clone().browser().post("/login", &[("token", &long)]).expect(413);
    person
        .submit("/pauses/pause", &[("channel", "sms"), ("reason", &long[..501])])
        .expect(400)
        .shows("at most 500");
    assert!(outbox.query("SELECT * FROM outbox_pauses").is_empty());
}

#[test]
fn what_is_no_request_gets_no_page() {
    let server = Server::start();
    let (outbox, mut daemon, client) = for_reading(&server);
    let long = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(100_000));
    let heads = (0..500).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let many = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{heads}\r\n");
    for bytes in ["hello\r\n\r\n", "GET\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n", &long, &many] {
        let mut stream = client.connect();
        let _ = stream.write_all(bytes.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert!(daemon.is_running());
    let id = outbox.chat(1, "hi");
    assert_eq!(outbox.settled(id)["status"], "sent");
    client.get("/").expect(200);
}

#[test]
fn connections_beyond_the_limit_hold_up_no_message_and_no_page() {
    let server = Server::start();
    let (outbox, _daemon, client) = for_reading(&server);
    // Far more than there are places; none of them sends a byte.
    let _idle: Vec<_> = (0..200).map(|_| client.connect()).collect();
    let ids: Vec<i64> = (0..20).map(|case| outbox.chat(case, "hi")).collect();
    for id in ids {
        assert_eq!(outbox.settled(id)["status"], "sent");
    }
    client.get("/").expect(200);
}

#[test]
fn clients_that_hold_connections_open_keep_no_probe_out() {
    let server = Server::start();
    let (_outbox, _daemon, client) = dashboard(&server);
    let half_head = "GET / HTTP/1.1\r\nhost: localhost\r\n".to_owned();
    let half_body = format!(
        "POST /login HTTP/1.1\r\nhost: {0}\r\norigin: http://{0}\r\ncontent-length: 9\r\n\r\ntoken",
        client.address
    );
    let whole = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned();
    for bytes in [half_head, half_body, whole] {
        let mut open: Vec<_> = (0..185).map(|_| client.connect()).collect();
        for stream in &mut open {
            // Some have already been closed.
            let _ = stream.write_all(bytes.as_bytes());
        }
        client.get("/healthz").expect(200);
        client.clone().bearer().get("/metrics").expect(200);
        client.clone().logged_in();
        // Otherwise the probe would prove nothing.
        assert!(open.iter_mut().any(is_open), "{bytes}");
    }
}

fn is_open(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    match stream.read(&mut [0; 1]) {
        Ok(read) => read > 0,
        Err(e) => e.kind() == ErrorKind::WouldBlock,
    }
}

#[test]
fn a_head_that_never_ends_is_given_up() {
    let server = Server::start();
    let (_outbox, _daemon, client) = for_reading(&server);
    let mut slow = client.connect();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nx-slow: ").unwrap();
    let mut answer = Vec::new();
    // The client's own time limit is far longer.
    let ended = slow.read_to_end(&mut answer);
    assert!(ended.is_ok(), "{ended:?}");
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
    client.get("/").expect(200);
}

#[test]
fn a_body_that_never_ends_is_given_up() {
    let server = Server::start();
    let (_outbox, _daemon, client) = dashboard(&server);
    let mut slow = client.connect();
    let head = format!(
        "POST /login HTTP/1.1\r\nhost: {0}\r\norigin: http://{0}\r\ncontent-length: 100\r\n\r\ntoken",
        client.address
    );
    slow.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let ended = slow.read_to_end(&mut answer);
    assert!(ended.is_ok(), "{ended:?}");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[test]
fn a_client_that_reads_nothing_holds_up_nobody() {
    let server = Server::start();
    let (outbox, _daemon, client) = for_reading(&server);
    for case in 0..60 {
        outbox.chat(case, "hi");
    }
    let pages = "GET /jobs HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(200);
    let mut deaf: Vec<_> = (0..4).map(|_| client.connect()).collect();
    for stream in &mut deaf {
        stream.set_nonblocking(true).unwrap();
        let _ = stream.write(pages.as_bytes());
    }
    client.get("/").expect(200);
    let id = outbox.chat(61, "hi");
    assert_eq!(outbox.settled(id)["status"], "sent");
}

#[test]
fn methods_and_pages_that_are_not_there_say_so() {
    let server = Server::start();
    let (_outbox, _daemon, client) = for_reading(&server);
    client.get("/nothing/here").expect(404).shows("There is no page /nothing/here");
    client.get("/%3Cscript%3E").expect(404).hides("<script>");
    client.get("/jobs/change").expect(405);
    client.clone().browser().post("/", &[]).expect(405);
    client.get("/jobs/none").expect(404);
    client.get("/jobs/4711").expect(404).shows("There is no job 4711");
    client.get("/jobs/99999999999999999999").expect(404);
}

#[test]
fn a_database_that_others_write_long_is_waited_for_and_then_told() {
    sqlite_only!("one program at a time may write a file");
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let person: Client = client.logged_in();
    let csrf = person.csrf();
    outbox.database().with(async |connection| {
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await.unwrap();
        // Reading goes on; a change waits and is then told.
        person.get("/").expect(200);
        let fields = [("csrf", csrf.as_str()), ("channel", "sms"), ("reason", "why")];
        person
            .post("/pauses/pause", &fields)
            .expect(503)
            .shows("The database is busy: another program");
        sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.unwrap();
    });
    assert!(outbox.query("SELECT * FROM outbox_pauses").is_empty());
    person.submit("/pauses/pause", &[("channel", "sms"), ("reason", "why")]).expect(303);
    assert_eq!(outbox.one("SELECT * FROM outbox_pauses").text("channel"), "sms");
}
