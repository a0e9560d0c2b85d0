//! What the test server answers with.

use super::Request;
use serde_json::{Value, json};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Holds replies back until a test opens it.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn closed() -> Gate {
        Gate::default()
    }

    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits a little; true once open.
    pub fn wait_a_little(&self) -> bool {
        let open = self.0.0.lock().unwrap();
        *self.0.1.wait_timeout_while(open, Duration::from_millis(20), |open| !*open).unwrap().0
    }
}

/// How the exchange ends once the request has been read.
#[derive(Clone)]
pub enum Ending {
    /// These bytes, then the connection stays open for the next request.
    Bytes(Vec<u8>),
    /// These bytes, then the connection is closed.
    BytesThenClose(Vec<u8>),
    /// No answer: the connection stays open until the client gives up.
    Hang,
}

/// One scripted answer.
#[derive(Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Overrides the three above.
    ending: Option<Ending>,
    /// Bytes of the body that are left out although Content-Length counts them.
    missing: usize,
    pub delay: Duration,
    pub gate: Option<Gate>,
}

impl Reply {
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Reply {
        Reply {
            status,
            headers: vec![("content-type".into(), content_type.into())],
            body: body.into(),
            ending: None,
            missing: 0,
            delay: Duration::ZERO,
            gate: None,
        }
    }

    pub fn json(status: u16, body: Value) -> Reply {
        Reply::new(status, "application/json", body.to_string())
    }

    pub fn text(status: u16, body: &str) -> Reply {
        Reply::new(status, "text/plain", body)
    }

    /// A status and no body.
    pub fn status(status: u16) -> Reply {
        Reply::text(status, "")
    }

    /// Acquire's answer to a request it accepts, shaped by the path; the message's id is
    /// 8289 and counts up with the server's requests.
    pub fn accepted(request: &Request) -> Reply {
        let id = 8289 + request.number;
        if request.target.contains("/crm/messenger/chat/") {
            Reply::json(200, chat_accepted(id))
        } else if request.target.contains("/mail/") {
            Reply::json(200, mail_accepted(id))
        } else if request.target.contains("/voip/") {
            Reply::json(200, sms_accepted(id))
        } else {
            Reply::json(200, json!({"data": []}))
        }
    }

    /// Closes the connection without an answer.
    pub fn drop() -> Reply {
        Reply::raw("")
    }

    /// Keeps the client waiting until it gives up.
    pub fn hang() -> Reply {
        Reply { ending: Some(Ending::Hang), ..Reply::status(200) }
    }

    /// These bytes and nothing else, then the connection closes.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Reply {
        Reply { ending: Some(Ending::BytesThenClose(bytes.into())), ..Reply::status(200) }
    }

    /// Promises the whole body and closes in its middle.
    pub fn half(self) -> Reply {
        Reply { missing: self.body.len().div_ceil(2), ..self }
    }

    pub fn header(mut self, name: &str, value: impl ToString) -> Reply {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn delay(self, delay: Duration) -> Reply {
        Reply { delay, ..self }
    }

    /// Answers only once the gate is open.
    pub fn behind(self, gate: &Gate) -> Reply {
        Reply { gate: Some(gate.clone()), ..self }
    }

    pub fn ending(&self) -> Ending {
        if let Some(ending) = &self.ending {
            return ending.clone();
        }
        let mut bytes = format!("HTTP/1.1 {} Scripted\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        if self.status != 204 {
            bytes.extend(format!("content-length: {}\r\n", self.body.len()).into_bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body[..self.body.len() - self.missing]);
        if self.missing > 0 { Ending::BytesThenClose(bytes) } else { Ending::Bytes(bytes) }
    }
}

/// The vendor's documented answers, cut to the fields that identify the message.
pub fn chat_accepted(id: usize) -> Value {
    json!({"data": {
        "channel": "chat", "senderType": "user", "senderId": 25, "type": "message",
        "seen": "no", "message": "as sent", "dateCreated": "2021-03-30T16:05:46.000Z",
        "case": {"id": 2069, "contact": {"id": 597_759}, "status": "active"},
        "sender": {"id": 25, "type": "user"},
        "id": id, "caseId": 2069, "threadId": 1875, "contactId": 597_759
    }})
}

pub fn mail_accepted(id: usize) -> Value {
    json!({"data": {
        "id": id, "caseMessageId": 407, "channelId": null, "caseId": 90, "inboxId": 1,
        "mailId": 1, "type": "message", "senderType": "user", "senderId": 93,
        "mailboxMessageId": "0.5345358743514836", "messageId": null,
        "dateCreated": "2021-03-12T09:21:20.000Z", "scheduleAt": "2021-03-12T09:21:20.000Z",
        "user": {"id": 93}, "sender": {"id": 93, "type": "user"}, "mailMsgId": 13
    }})
}

pub fn sms_accepted(id: usize) -> Value {
    json!({"data": {
        "cas": {"id": 2219, "contactId": 751_069},
        "threadId": 2219,
        "timeline": {"id": 2108, "caseId": 2219},
        "data": {
            "id": id, "caseMessageId": 6021, "caseId": 2219, "call_sid": "SM77f1",
            "status": "queued", "from": "+12513188609", "to": "+919666929552",
            "dateCreated": "2021-04-01T16:35:05.000Z",
            "meta": {"errorCode": null, "errorMessage": null}
        }
    }})
}
