//! A stand-in for Acquire on loopback: the three endpoints that send, the calls that read back, and
//! the ways a real service fails. It delivers nothing.
//!
//! Under `/api/v1` it answers as the vendor documents (`POST /crm/messenger/chat/add-message`,
//! `POST /mail/add-message`, `POST /voip/send-sms`), checks the required fields and the bearer
//! key, and serves the calls that read back what it accepted. Outside that path,
//! `GET /sandbox/messages` lists the last 10,000 requests as a JSON array: `n`, `received_at`,
//! `channel`, `id`, `accepted`, `status` (`null`: no answer), `query`, `body`.
//! `threadId` is always the case's id. Both `x-user-type` and `-x-user-type` are accepted.
//!
//! # Magic case ids
//!
//! Some cases always behave in the same way, like the test cards of payment providers. For SMS
//! the case is `threadId`.
//!
//! | case | what happens |
//! |---|---|
//! | `900400` | 400 `ERROR_INVALID_INPUT`: the case is not active |
//! | `900403` | always 403 with a firewall's page: it blocks only this message |
//! | `900404` | 404 `ERROR_RECORD_NOT_FOUND` |
//! | `900429` | the first request of each distinct (channel, body): 429 with `Retry-After: 1`; then accepted |
//! | `900503` | the first two requests of each distinct (channel, body): 503; then accepted |
//! | `900000` | accepted, then no answer for as long as the client waits (an hour at most) |
//! | `900001` | accepted, then the connection is dropped without an answer |
//! | `900021` | SMS: 200 with a provider's error inside (21610); chat and mail: accepted |
//!
//! Reading back: every case exists and is active, but 900400, which is closed, and 900404, which does not
//! exist. A contact has the cases that something was sent to, or else one with its own id; 900002 has two,
//! 900404 none, 900400 a closed one.

mod endpoint;
mod faults;
mod kept_message;
mod message;
mod odd;
mod read_back;
mod reading_faults;
mod request_log;
mod response;
mod server;

pub use faults::{ErrorShare, Faults, ShareError, parse_share};
pub use odd::{ODD, Odd, OddShare};
pub use reading_faults::{ReadingFaults, Rewriting};
pub use request_log::{Log, ReceivedRequest};
pub use server::{Sandbox, SandboxError};

use secrecy::SecretString;
use std::net::{Ipv4Addr, SocketAddr};

/// How a sandbox behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A loopback address. Port 0 means any free port.
    pub listen: SocketAddr,
    /// The only key it accepts; `None`: any bearer key that is not empty.
    pub api_key: Option<SecretString>,
    /// What goes wrong at random.
    pub faults: Faults,
    /// Whether its address and one line per request are printed to stdout, without message text.
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
