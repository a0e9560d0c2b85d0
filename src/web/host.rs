//! The Host header: a page of another site that has its own name resolve to this machine (DNS
//! rebinding) is told from one of ours by the name that the browser asks for. And a page of another
//! site may link to this one, but not have a browser load parts of it.

use super::Shared;
use super::server::Peer;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header, uri::Authority};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Lets pass what asks for this dashboard by a name of its own.
pub async fn check(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if is_part_of_elsewhere(request.method(), request.headers()) {
        let sentence = "Another site's page asked for this. Open it by itself.\n";
        return (StatusCode::FORBIDDEN, sentence).into_response();
    }
    let asked = asked(&request);
    if asked.is_some_and(|name| is_ours(&name, peer.local, &shared.settings.hosts)) {
        return next.run(request).await;
    }
    let sentence = "This dashboard is not reached by that name. Use its address, or add the name to \
                    `hosts` in [web] and restart.\n";
    (StatusCode::MISDIRECTED_REQUEST, sentence).into_response()
}

/// Whether a browser asks because a page of another site has this as an image, a frame or the like:
/// nobody would see it, and it would cost what a page costs. What is posted is looked at by itself.
fn is_part_of_elsewhere(method: &Method, headers: &HeaderMap) -> bool {
    let is = |name, word: &str| headers.get(name).is_some_and(|value| value == word);
    let dest = headers.get("sec-fetch-dest");
    let followed = is("sec-fetch-mode", "navigate") && dest.is_none_or(|dest| dest == "document");
    method.is_safe() && is("sec-fetch-site", "cross-site") && !followed
}

/// Of the request line where it has one; it goes before the header.
fn asked(request: &Request) -> Option<Authority> {
    let of_line = request.uri().authority().cloned();
    of_line.or_else(|| of_header(request.headers()))
}

/// The Host header's value; `None` where it is missing, twice there, or no name.
pub fn of_header(headers: &HeaderMap) -> Option<Authority> {
    let mut all = headers.get_all(header::HOST).iter();
    let (first, second) = (all.next()?, all.next());
    second.is_none().then(|| first.to_str().ok()?.parse().ok()).flatten()
}

/// Names of loopback by any port (it may be forwarded here), the address that the connection came
/// to, and what is configured.
pub fn is_ours(asked: &Authority, local: SocketAddr, hosts: &[String]) -> bool {
    // Nothing but a host and a port; the parser takes more.
    let rest = asked.as_str().strip_prefix(asked.host());
    let port = rest.map(|rest| rest.strip_prefix(':').unwrap_or(rest));
    if !port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit())) {
        return false;
    }
    let host = asked.host().to_ascii_lowercase();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let loopback = host == "localhost" || ip.is_some_and(|ip| ip.is_loopback());
    let here = ip.is_some_and(|ip| ip.to_canonical() == local.ip().to_canonical());
    let whole = asked.as_str().to_ascii_lowercase();
    loopback || here || hosts.iter().any(|name| *name == host || *name == whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_loopback_the_own_address_and_configured_names_are_ours() {
        let local: SocketAddr = "192.0.2.7:9464".parse().unwrap();
        let hosts = ["outbox.example.com".to_owned(), "other.example.com:444".to_owned()];
        for ours in [
            "localhost:9464",
            "LOCALHOST:8080",
            "127.0.0.1:9464",
            "[::1]:9464",
            "192.0.2.7:9464",
            "outbox.example.com",
            "Outbox.Example.com:8443",
            "other.example.com:444",
        ] {
            assert!(is_ours(&ours.parse().unwrap(), local, &hosts), "{ours}");
        }
        for foreign in [
            "evil.example.com",
            "localhost.evil.example.com:9464",
            "192.0.2.8:9464",
            "other.example.com",
            "me@localhost:9464",
            "[::1].evil.example.com",
        ] {
            let ours = foreign.parse().is_ok_and(|name| is_ours(&name, local, &hosts));
            assert!(!ours, "{foreign}");
        }
    }
}
