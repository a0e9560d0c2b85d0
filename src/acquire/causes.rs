//! What is behind an error of the HTTP client: the client itself says little of it.

use std::error::Error as StdError;
use std::io;

type Cause = dyn StdError + 'static;

/// An error and what caused it, the innermost last. `source` of an `io::Error` skips the error
/// it was made of, so that is looked into as well.
pub(super) fn chain(error: &Cause) -> impl Iterator<Item = &Cause> {
    fn inner(error: &Cause) -> Option<&Cause> {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    }
    std::iter::successors(Some(error), |error| inner(*error))
}

pub(super) fn cause(error: &reqwest::Error) -> String {
    // The outermost is reqwest's and names the URL.
    chain(error).skip(1).last().map(ToString::to_string).unwrap_or_else(|| "no cause given".into())
}

/// What went wrong with a proxy before the tunnel to Acquire was open. hyper-util's error for this has no public
/// type.
pub(super) fn tunnel(error: &reqwest::Error) -> Option<String> {
    const BEGINNING: &str = "tunnel error: ";
    let said = chain(error).map(ToString::to_string).find(|said| said.starts_with(BEGINNING))?;
    Some(match &said[BEGINNING.len()..] {
        "proxy authorization required" => "requires a valid user and password (407)".to_owned(),
        "unsuccessful" => "refuses to connect to Acquire".to_owned(),
        "failed to create underlying connection" => format!("cannot be reached: {}", cause(error)),
        "unexpected end of file" => "closed the connection before the tunnel was open".to_owned(),
        _ => format!("cannot be used: {}", cause(error)),
    })
}

pub(super) fn in_tls(error: &reqwest::Error) -> bool {
    chain(error).any(|error| {
        error.is::<rustls::Error>()
            || (error.is::<io::Error>() && error.to_string() == "tls handshake eof")
    })
}

/// Bytes came that are not HTTP, rather than none.
pub(super) fn is_garbage(error: &reqwest::Error) -> bool {
    chain(error).any(|error| {
        error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)
            || error.downcast_ref::<io::Error>().is_some_and(|error| {
                matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
            })
    })
}
