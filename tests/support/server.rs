//! A plain HTTP/1.1 server on a free port that records every request whole and answers by a
//! script. Made of bare sockets, so that it can also misbehave.

use super::reply::{Ending, Gate, Reply};
use super::{SOON, eventually};
use serde_json::Value;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;

/// One request as it came over the wire.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its place in the order of arrival, from 0.
    pub number: usize,
    /// Every byte up to and with the empty line.
    pub head: Vec<u8>,
    pub method: String,
    /// Path and query.
    pub target: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub arrived: Instant,
    /// The wall clock at arrival, Unix milliseconds.
    pub arrived_ms: i64,
    /// Requests without an answer at that moment, this one included.
    pub open: usize,
}

impl Request {
    /// A header's value; None when it is missing or stands there twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let first = values.next()?;
        values.next().is_none().then_some(first.1.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub fn body_text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("a body in UTF-8")
    }

    /// The words of the message: chat `message.message`, SMS `Body`, mail `data.subject`;
    /// empty for a request that sends none.
    pub fn words(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        [&body["message"]["message"], &body["Body"], &body["data"]["subject"]]
            .into_iter()
            .find_map(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}

type Script = Box<dyn Fn(&Request) -> Reply + Send + Sync>;

struct Shared {
    requests: Mutex<Vec<Request>>,
    queue: Mutex<VecDeque<Reply>>,
    script: Mutex<Arc<Script>>,
    open: AtomicUsize,
    connections: Mutex<Vec<TcpStream>>,
    accepted_connections: AtomicUsize,
    to_close_unread: AtomicUsize,
    stopping: AtomicBool,
}

pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    /// Accepts everything, as Acquire would.
    pub fn start() -> Server {
        Server::answering(Reply::accepted)
    }

    pub fn answering(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let shared = Arc::new(Shared {
            requests: Mutex::default(),
            queue: Mutex::default(),
            script: Mutex::new(Arc::new(Box::new(script))),
            open: AtomicUsize::new(0),
            connections: Mutex::default(),
            accepted_connections: AtomicUsize::new(0),
            to_close_unread: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        });
        let acceptor = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &acceptor));
        Server { address, shared }
    }

    /// Replies for the next requests, one each; afterwards the script answers again.
    pub fn queue(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.queue.lock().unwrap().extend(replies);
    }

    /// Another script from now on.
    pub fn answer_with(&self, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(Box::new(script));
    }

    /// From now on every request is accepted once the gate is opened.
    pub fn hold(&self) -> Gate {
        let gate = Gate::closed();
        let held = gate.clone();
        self.answer_with(move |request| Reply::accepted(request).behind(&held));
        gate
    }

    /// Closes the next connections before reading a byte from them.
    pub fn close_next_connections(&self, count: usize) {
        self.shared.to_close_unread.store(count, Ordering::SeqCst);
    }

    pub fn connections(&self) -> usize {
        self.shared.accepted_connections.load(Ordering::SeqCst)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/api/v1", self.address)
    }

    /// Every request read whole so far, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.shared.requests.lock().unwrap().len()
    }

    /// The words of every message sent, in order of arrival.
    pub fn words(&self) -> Vec<String> {
        self.requests().iter().map(Request::words).collect()
    }

    pub fn requests_for(&self, words: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.words() == words).collect()
    }

    /// Requests that have no answer yet.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// The most that were ever open at once.
    pub fn most_open(&self) -> usize {
        self.requests().iter().map(|request| request.open).max().unwrap_or(0)
    }

    /// Waits until that many requests have come.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Request> {
        eventually(SOON, &format!("request number {count}"), || self.count() >= count);
        self.requests()
    }

    /// Waits until a message with these words has come.
    #[track_caller]
    pub fn wait_for_words(&self, words: &str) -> Request {
        super::found(SOON, &format!("a request that says {words:?}"), || {
            self.requests_for(words).into_iter().next()
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        for connection in self.shared.connections.lock().unwrap().iter() {
            let _ = connection.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(self.address); // wakes the acceptor, which then ends
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for connection in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(connection) = connection else { continue };
        shared.accepted_connections.fetch_add(1, Ordering::SeqCst);
        let unread = shared.to_close_unread.load(Ordering::SeqCst);
        if unread > 0 {
            shared.to_close_unread.store(unread - 1, Ordering::SeqCst);
            continue;
        }
        if let Ok(copy) = connection.try_clone() {
            shared.connections.lock().unwrap().push(copy);
        }
        let shared = Arc::clone(shared);
        thread::spawn(move || serve(connection, &shared));
    }
}

/// One connection, request after request.
fn serve(mut connection: TcpStream, shared: &Arc<Shared>) {
    let mut read_ahead = Vec::new();
    while let Some(message) = read_message(&mut connection, &mut read_ahead) {
        let request = record(message, shared);
        if !answer(&mut connection, &request, shared) {
            break;
        }
    }
    let _ = connection.shutdown(Shutdown::Both);
}

fn record(message: Message, shared: &Shared) -> Request {
    let mut requests = shared.requests.lock().unwrap();
    let request = Request {
        number: requests.len(),
        head: message.head,
        method: message.method,
        target: message.target,
        headers: message.headers,
        body: message.body,
        arrived: Instant::now(),
        arrived_ms: super::now_ms(),
        open: shared.open.fetch_add(1, Ordering::SeqCst) + 1,
    };
    requests.push(request.clone());
    request
}

/// Plays the reply; false when the connection ends with it.
fn answer(connection: &mut TcpStream, request: &Request, shared: &Shared) -> bool {
    let open = Open(&shared.open);
    let queued = shared.queue.lock().unwrap().pop_front();
    let script = Arc::clone(&shared.script.lock().unwrap());
    let reply = queued.unwrap_or_else(|| script(request));
    while reply.gate.as_ref().is_some_and(|gate| !gate.wait_a_little()) {
        if shared.stopping.load(Ordering::SeqCst) {
            return false;
        }
    }
    // The reply's own latency, part of the script: nothing waits on this but the client.
    thread::sleep(reply.delay);
    match reply.ending() {
        Ending::Bytes(bytes) => {
            drop(open); // before the client can read the answer and send its next request
            connection.write_all(&bytes).is_ok()
        }
        Ending::BytesThenClose(bytes) => {
            drop(open);
            let _ = connection.write_all(&bytes);
            false
        }
        Ending::Hang => {
            let _ = connection.set_read_timeout(Some(Duration::from_secs(120)));
            let _ = connection.read(&mut [0; 1]); // returns when the client lets go
            false
        }
    }
}

/// Counts a request as open until it is dropped, a panic of the script included.
struct Open<'a>(&'a AtomicUsize);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Message {
    head: Vec<u8>,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// None at the connection's end, and for bytes that are no HTTP request (a TLS hello).
fn read_message(connection: &mut TcpStream, read_ahead: &mut Vec<u8>) -> Option<Message> {
    let head_end = loop {
        if let Some(at) = read_ahead.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if read_ahead.first().is_some_and(|first| !first.is_ascii_uppercase()) {
            let _ = connection.write_all(b"HTTP/1.1 400 This is no TLS\r\n\r\n");
            return None;
        }
        read_more(connection, read_ahead)?;
    };
    let head: Vec<u8> = read_ahead.drain(..head_end).collect();
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut lines = text.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.parse().expect("Content-Length is a number"));
    while read_ahead.len() < length {
        read_more(connection, read_ahead)?;
    }
    let body = read_ahead.drain(..length).collect();
    Some(Message { head, method, target, headers, body })
}

fn read_more(connection: &mut TcpStream, read_ahead: &mut Vec<u8>) -> Option<()> {
    let mut some = [0; 16 * 1024];
    match connection.read(&mut some) {
        Ok(0) | Err(_) => None,
        Ok(count) => {
            read_ahead.extend(&some[..count]);
            Some(())
        }
    }
}

/// An address of this machine at which nobody listens, and nobody else can as long as this exists. (A port that was
/// only just free may be another test's server by the time it is tried.)
pub struct Refusing {
    pub address: SocketAddr,
    _bound: TcpSocket,
}

impl Refusing {
    pub fn new() -> Refusing {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Refusing { address: socket.local_addr().unwrap(), _bound: socket }
    }
}
