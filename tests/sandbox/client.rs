//! A running sandbox and the plainest HTTP client: what it reads is what came.

use acquire_outbox::queue::job::Channel;
use acquire_outbox::sandbox::{Faults, Log, Sandbox, Settings};
use serde_json::{Value, json};
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const CHAT: &str = "/api/v1/crm/messenger/chat/add-message";
pub const MAIL: &str = "/api/v1/mail/add-message";
pub const SMS: &str = "/api/v1/voip/send-sms";

pub struct Running {
    pub address: SocketAddr,
    pub log: Log,
    pub stop: oneshot::Sender<()>,
    pub served: JoinHandle<()>,
}

/// One whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub json: Value,
}

impl Answer {
    pub fn error(&self) -> (u16, &str, &str) {
        let text = |field: &str| self.json["error"][field].as_str().unwrap_or_default();
        (self.status, text("type"), text("message"))
    }
}

pub async fn start(settings: Settings) -> Running {
    let sandbox = Sandbox::bind(settings).await.unwrap();
    let (address, log) = (sandbox.address(), sandbox.log());
    assert_eq!(sandbox.base_url(), format!("http://{address}/api/v1"));
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(sandbox.serve(async move {
        let _ = stopped.await;
    }));
    Running { address, log, stop, served }
}

pub async fn plain() -> Running {
    start(Settings::default()).await
}

pub async fn faulty(faults: Faults) -> Running {
    start(Settings { faults, ..Settings::default() }).await
}

/// No test waits longer than this.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("it took too long")
}

/// Polls until `condition` holds.
pub async fn until(condition: impl Fn() -> bool) {
    soon(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

impl Running {
    pub async fn write(&self, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\n\
             Content-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Every byte that comes back, until the sandbox closes.
    pub async fn bytes(&self, method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
        let mut stream = self.write(method, path, headers, body).await;
        let mut answer = Vec::new();
        // A reset is the end, too: what was read before it stays.
        let _ = soon(stream.read_to_end(&mut answer)).await;
        answer
    }

    pub async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let answer = String::from_utf8(self.bytes(method, path, headers, body).await).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_lowercase(),
            json: serde_json::from_str(body).expect("JSON"),
        }
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, HEADERS, &body.to_string()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "Authorization: Bearer k\r\n", "").await
    }
}

pub const HEADERS: &str = "Authorization: Bearer k\r\nContent-Type: application/json\r\n";

pub fn chat(case: i64, text: &str) -> Value {
    json!({"channel": "chat", "caseId": case, "message": {"type": "message", "message": text}})
}

pub fn mail(case: i64) -> Value {
    json!({"data": {"caseId": case, "contactId": 9156860, "from": "test@acquire.io",
        "to": ["user@gmail.com", "two@gmail.com"], "cc": ["c@gmail.com"], "bcc": [],
        "subject": "test", "type": "message", "textBody": "plain", "htmlBody": "<p>html</p>",
        "attachments": [{"name": "a.pdf"}]}})
}

pub fn sms(case: i64) -> Value {
    json!({"Body": "hi", "From": "+12513188609", "To": "+919666929552", "contactId": 751069,
        "id": case, "threadId": case, "timelineId": 2108, "isClosed": false,
        "isMultiChannel": false, "message": "hi", "sms": "hi", "markValue": "<p>hi</p>",
        "msgType": "message"})
}

/// A request for each channel to a case.
pub fn each(case: i64) -> [(Channel, &'static str, Value); 3] {
    [
        (Channel::Chat, CHAT, chat(case, "Hello")),
        (Channel::Mail, MAIL, mail(case)),
        (Channel::Sms, SMS, sms(case)),
    ]
}
