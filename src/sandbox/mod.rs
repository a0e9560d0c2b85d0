//! A stand-in for Acquire on loopback: the three endpoints that send, the three calls that read
//! back, and the ways a real service fails. It delivers nothing to anyone.
//!
//! Under `/api/v1` it answers as the vendor documents (`POST /crm/messenger/chat/add-message`,
//! `POST /mail/add-message`, `POST /voip/send-sms`), checks the documented required fields and
//! the bearer key, and serves the read-back calls over what it accepted. Outside it,
//! `GET /sandbox/messages` lists the last 10,000 requests as a JSON array: `n`, `received_at`,
//! `channel`, `id`, `accepted`, `status` (answered; `null`: none), `query`, `body`.
//! `threadId` is the case's id throughout. `x-user-type` and `-x-user-type` are both understood.
//!
//! # Magic case ids
//!
//! Some cases behave in one way always, like the test cards of payment providers. For SMS the
//! case is `threadId`.
//!
//! | case | what happens |
//! |---|---|
//! | `900400` | 400 `ERROR_INVALID_INPUT`: the case is not active |
//! | `900403` | always a firewall's page with 403: it blocks only this message |
//! | `900404` | 404 `ERROR_RECORD_NOT_FOUND` |
//! | `900429` | the first request of each distinct (channel, body): 429 with `Retry-After: 1`; then accepted |
//! | `900503` | the first two requests of each distinct (channel, body): 503; then accepted |
//! | `900000` | accepted, then silence: no answer as long as the client waits (an hour at most) |
//! | `900001` | accepted, then the connection is dropped without an answer |
//! | `900021` | SMS: 200 with a provider's error inside (21610); chat and mail: accepted |

mod answer;
mod endpoint;
mod faults;
mod log;
mod message;
mod odd;
mod read_back;
mod report;
mod server;

pub use faults::{ErrorShare, Faults, ShareError, parse_share};
pub use log::{Log, Message};
pub use odd::{ODD, Odd, OddShare};
pub use server::{Sandbox, SandboxError};

use secrecy::SecretString;
use std::net::{Ipv4Addr, SocketAddr};

/// How a sandbox behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens: loopback only, it is a toy. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The only key it takes; `None`: any bearer key that is not empty.
    pub api_key: Option<SecretString>,
    /// What goes wrong at random.
    pub faults: Faults,
    /// Its address and one line per request on stdout, never with the message's text.
    pub report: bool,
}

impl Default for Settings {
    /// A free port, any key, no faults, no report.
    fn default() -> Self {
        Settings {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            api_key: None,
            faults: Faults::default(),
            report: false,
        }
    }
}
