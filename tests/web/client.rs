//! A browser's requests made of bare sockets: each header is the test's own.

use crate::support::{Daemon, Job, Outbox, SOON, Server, Setup};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What opens the dashboard of these tests.
pub const TOKEN: &str = "t-4c1f-long-enough-to-be-a-token";

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    pub fn shows(&self, words: &str) {
        assert!(self.body.contains(words), "no {words:?} in {}", self.body);
    }

    #[track_caller]
    pub fn hides(&self, words: &str) {
        assert!(!self.body.contains(words), "{words:?} in {}", self.body);
    }
}

/// Who asks: an address, and what each request carries.
#[derive(Debug, Clone)]
pub struct Client {
    pub address: String,
    host: String,
    headers: Vec<(String, String)>,
}

impl Client {
    /// Of the dashboard that this daemon serves.
    #[track_caller]
    pub fn of(daemon: &Daemon) -> Client {
        Client::at(&daemon.listens_on())
    }

    /// Of the one that answers at this address.
    pub fn at(address: &str) -> Client {
        Client { host: address.to_owned(), address: address.to_owned(), headers: Vec::new() }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Client {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Asks for another name than the address.
    pub fn named(self, host: &str) -> Client {
        Client { host: host.to_owned(), ..self }
    }

    /// A program that knows the token.
    pub fn bearer(self) -> Client {
        self.with("authorization", format!("Bearer {TOKEN}"))
    }

    /// A browser that has logged in.
    #[track_caller]
    pub fn logged_in(self) -> Client {
        let browser = self.browser();
        let answer = browser.post("/login", &[("token", TOKEN)]).expect(303);
        let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
        let pair = cookie.split_once(';').expect("attributes").0.to_owned();
        browser.with("cookie", pair)
    }

    /// What a browser says of a request from a page of the same site.
    pub fn browser(self) -> Client {
        let origin = format!("http://{}", self.host);
        self.with("accept", "text/html,*/*").with("origin", origin)
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.send(&self.head("GET", path, ""))
    }

    #[track_caller]
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = encoded(fields);
        let more = format!(
            "content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n",
            body.len()
        );
        self.send(&(self.head("POST", path, &more) + &body))
    }

    /// Sends a form with the token of this session's forms.
    #[track_caller]
    pub fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf();
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend(fields);
        self.post(path, &all)
    }

    #[track_caller]
    pub fn csrf(&self) -> String {
        let page = self.get("/pauses").expect(200).body;
        let (_, rest) = page.split_once("name=\"csrf\" value=\"").expect("a form");
        rest.split_once('"').expect("a value").0.to_owned()
    }

    fn head(&self, method: &str, path: &str, more: &str) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.host);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head + "connection: close\r\n" + more + "\r\n"
    }

    /// Sends these bytes and reads the answer.
    #[track_caller]
    pub fn send(&self, bytes: &str) -> Answer {
        let mut stream = self.connect();
        // The server may answer, and close, before it has read all of it.
        let _ = stream.write_all(bytes.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        parsed(&String::from_utf8_lossy(&answer))
    }

    #[track_caller]
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("the dashboard takes connections");
        stream.set_read_timeout(Some(SOON + Duration::from_secs(30))).unwrap();
        stream
    }
}

#[track_caller]
fn parsed(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().to_owned()))
    };
    Answer {
        status: status.expect("a status"),
        headers: lines.filter_map(header).collect(),
        body: body.to_owned(),
    }
}

fn encoded(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// A configuration with a dashboard on a free port, and with a token.
pub fn setup(server: &Server) -> Setup {
    Outbox::setup(server).more("[web]\nlisten = \"127.0.0.1:0\"\ntoken_env = \"WEB_TOKEN\"")
}

/// An outbox whose daemon serves a dashboard that has a token.
pub fn dashboard(server: &Server) -> (Outbox, Daemon, Client) {
    let outbox = setup(server).ready();
    let daemon = start(&outbox);
    let client = Client::of(&daemon);
    (outbox, daemon, client)
}

pub fn start(outbox: &Outbox) -> Daemon {
    outbox.program().env("WEB_TOKEN", TOKEN).start(&["run"]).ready()
}

/// An outbox whose daemon serves a dashboard for reading.
pub fn for_reading(server: &Server) -> (Outbox, Daemon, Client) {
    let outbox = Outbox::new(server);
    let daemon = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]).ready();
    let client = Client::of(&daemon);
    (outbox, daemon, client)
}

/// A chat job that Acquire refuses, failed.
pub fn failed(outbox: &Outbox, server: &Server, words: &str) -> i64 {
    server.queue([crate::support::Reply::json(
        400,
        serde_json::json!({"error": "ERROR_INVALID_INPUT", "message": words}),
    )]);
    let id = outbox.add(Job::chat(7, "a secret word"));
    assert_eq!(outbox.settled(id)["status"], "failed");
    id
}
