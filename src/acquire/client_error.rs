//! What caused an error of the HTTP client; its own message says little.

use std::error::Error as StdError;
use std::io;

type DynError = dyn StdError + 'static;

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

pub(super) fn root_cause(error: &reqwest::Error) -> String {
    // The outermost is reqwest's own, which includes the URL.
    error_chain(error)
        .skip(1)
        .last()
        .map(ToString::to_string)
        .unwrap_or_else(|| "unknown cause".into())
}

/// Why a proxy did not open the tunnel to Acquire, to follow "the proxy ...". hyper-util's error for
/// this has no public type.
pub(super) fn tunnel_failure(error: &reqwest::Error) -> Option<String> {
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

pub(super) fn is_tls_failure(error: &reqwest::Error) -> bool {
    error_chain(error).any(|error| {
        error.is::<rustls::Error>()
            || (error.is::<io::Error>() && error.to_string() == "tls handshake eof")
    })
}

/// Bytes were received, but they are not HTTP.
pub(super) fn is_not_http(error: &reqwest::Error) -> bool {
    error_chain(error).any(|error| {
        error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)
            || error.downcast_ref::<io::Error>().is_some_and(|error| {
                matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
            })
    })
}
