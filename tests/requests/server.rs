//! A TCP server that gives the replies of a test, byte by byte.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

#[derive(Clone)]
pub enum Reply {
    /// Answers and keeps the connection open.
    Answer(String),
    /// Answers and closes.
    AnswerAndClose(String),
    /// Sends the headers, then the body slowly and without end.
    Drip(String),
    /// Reads the request and closes.
    Close,
    /// Closes without reading.
    Refuse,
    /// Sends this at once, without reading.
    Blurt(&'static str),
    /// Reads the request and never answers.
    Silence,
}

/// What the server saw.
#[derive(Default, Clone)]
pub struct Seen(Arc<Mutex<Sight>>);

#[derive(Default)]
struct Sight {
    connections: usize,
    requests: Vec<String>,
    bytes: usize,
    closed: usize,
}

impl Seen {
    pub fn connections(&self) -> usize {
        self.0.lock().unwrap().connections
    }

    pub fn requests(&self) -> Vec<String> {
        self.0.lock().unwrap().requests.clone()
    }

    /// The bytes read, including those of incomplete requests.
    pub fn bytes(&self) -> usize {
        self.0.lock().unwrap().bytes
    }

    /// The connections that the client closed before a complete request.
    pub fn closed(&self) -> usize {
        self.0.lock().unwrap().closed
    }

    pub async fn until(&self, met: impl Fn(&Seen) -> bool) {
        let wait = async {
            while !met(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("the server sees it");
    }
}

pub fn json(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Serves on a free port. The n-th request gets `replies[n]`; the last reply is repeated.
pub async fn serve(replies: Vec<Reply>) -> (Url, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let shared = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            shared.0.lock().unwrap().connections += 1;
            tokio::spawn(converse(stream, shared.clone(), replies.clone()));
        }
    });
    (Url::parse(&format!("http://127.0.0.1:{port}/api/v1")).unwrap(), seen)
}

async fn converse(mut stream: TcpStream, seen: Seen, replies: Vec<Reply>) {
    loop {
        let next = seen.requests().len().min(replies.len() - 1);
        match &replies[next] {
            Reply::Refuse => return,
            Reply::Blurt(bytes) => {
                let _ = stream.write_all(bytes.as_bytes()).await;
            }
            _ => {}
        }
        let Some(request) = read_request(&mut stream, &seen).await else { return };
        seen.0.lock().unwrap().requests.push(request);
        match &replies[next] {
            Reply::Answer(answer) => {
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
            Reply::AnswerAndClose(answer) => {
                let _ = stream.write_all(answer.as_bytes()).await;
                return;
            }
            Reply::Drip(head) => {
                let _ = stream.write_all(head.as_bytes()).await;
                while stream.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                return;
            }
            Reply::Silence => {
                let _ = stream.read(&mut [0; 64]).await;
                return;
            }
            Reply::Close | Reply::Refuse | Reply::Blurt(_) => return,
        }
    }
}

/// Headers and body of one request; `None` if the client closes the connection first.
async fn read_request(stream: &mut TcpStream, seen: &Seen) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, length)| length.parse().unwrap());
            if body.len() >= length {
                return Some(text);
            }
        }
        match stream.read_buf(&mut bytes).await {
            Ok(read @ 1..) => seen.0.lock().unwrap().bytes += read,
            _ => {
                seen.0.lock().unwrap().closed += 1;
                return None;
            }
        }
    }
}
