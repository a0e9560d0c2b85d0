//! What an error of the HTTP client means, as a [`Fault`]; the error's own message says little.

use super::error_answer::cap;
use super::redact::Redactor;
use crate::config::Proxy;
use crate::queue::outcome::Fault;
use secrecy::{ExposeSecret, SecretString};
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

type DynError = dyn StdError + 'static;

/// Where an endpoint's requests go, as its faults name it.
pub(super) struct Destination {
    pub host: String,
    pub proxy: Option<Proxy>,
    /// Redacted in every sentence.
    pub key: SecretString,
    pub request_timeout: Duration,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.proxy {
            Some(proxy) => write!(f, "{} through the proxy {proxy}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

impl Destination {
    pub fn connect_timeout(&self) -> Fault {
        self.fault("timeout", &format!("timed out while connecting to {self}"))
    }

    pub fn answer_timeout(&self) -> Fault {
        let limit = humantime::format_duration(self.request_timeout);
        Fault::new("timeout", format!("there was no complete answer within {limit}"))
    }

    /// There was no connection on which the request could be written.
    pub fn not_connected(&self, error: reqwest::Error) -> Fault {
        let cause = root_cause(&error);
        match &self.proxy {
            Some(proxy) if let Some(failure) = tunnel_failure(&error) => {
                self.fault("proxy", &format!("the proxy {proxy} {failure}"))
            }
            _ if is_tls_failure(&error) => {
                self.fault("tls", &format!("the TLS handshake with {self} failed: {cause}"))
            }
            _ if error.is_dns() => {
                self.fault("dns", &format!("cannot find an address for {self}: {cause}"))
            }
            _ if error.is_timeout() => self.connect_timeout(),
            _ => self.fault("connect", &format!("cannot connect to {self}: {cause}")),
        }
    }

    /// The connection failed once the request may have been written.
    pub fn lost(&self, error: reqwest::Error) -> Fault {
        let cause = root_cause(&error);
        if error.is_timeout() {
            self.answer_timeout()
        } else if is_not_http(&error) {
            self.fault("response_unreadable", &format!("the answer is not HTTP: {cause}"))
        } else {
            let through = self.proxy.as_ref().map(|proxy| format!(" through the proxy {proxy}"));
            let through = through.unwrap_or_default();
            let sentence =
                format!("the connection{through} was lost before the answer was complete: {cause}");
            self.fault("connection_lost", &sentence)
        }
    }

    fn fault(&self, code: &str, sentence: &str) -> Fault {
        let redactor = Redactor::new(self.key.expose_secret(), &[]);
        Fault::new(code, cap(redactor.line(sentence)))
    }
}

/// An error and its causes, the innermost last. `source` of an `io::Error` skips the error that it
/// wraps, so that one is included here.
pub(super) fn error_chain(error: &DynError) -> impl Iterator<Item = &DynError> {
    fn inner(error: &DynError) -> Option<&DynError> {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    }
    std::iter::successors(Some(error), |error| inner(*error))
}

fn root_cause(error: &reqwest::Error) -> String {
    // The outermost is reqwest's own, which includes the URL.
    error_chain(error)
        .skip(1)
        .last()
        .map(ToString::to_string)
        .unwrap_or_else(|| "unknown cause".into())
}

/// Why a proxy did not open the tunnel to Acquire, to follow "the proxy ...". hyper-util's error for
/// this has no public type.
fn tunnel_failure(error: &reqwest::Error) -> Option<String> {
    const PREFIX: &str = "tunnel error: ";
    let text = error_chain(error).map(ToString::to_string).find(|text| text.starts_with(PREFIX))?;
    Some(match &text[PREFIX.len()..] {
        "proxy authorization required" => {
            "requires a valid user name and password (407)".to_owned()
        }
        "unsuccessful" => "refuses to connect to Acquire".to_owned(),
        "failed to create underlying connection" => {
            format!("cannot be reached: {}", root_cause(error))
        }
        "unexpected end of file" => "closed the connection before the tunnel was open".to_owned(),
        _ => format!("cannot be used: {}", root_cause(error)),
    })
}

fn is_tls_failure(error: &reqwest::Error) -> bool {
    error_chain(error).any(|error| {
        error.is::<rustls::Error>()
            || (error.is::<io::Error>() && error.to_string() == "tls handshake eof")
    })
}

/// Bytes were received, but they are not HTTP.
fn is_not_http(error: &reqwest::Error) -> bool {
    error_chain(error).any(|error| {
        error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)
            || error.downcast_ref::<io::Error>().is_some_and(|error| {
                matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
            })
    })
}
