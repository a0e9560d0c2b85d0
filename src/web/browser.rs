//! Protection against other sites' pages in a browser.
//!
//! The Host header shows whether the browser asked for this dashboard by one of its names: with
//! DNS rebinding, a foreign page's name resolves to this machine. Other sites may link here, but
//! not embed parts of the dashboard or send its forms.

use super::Shared;
use super::listener::Peer;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
     img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The referrer is sent within this site: without it a form would have no origin.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Adds the headers that restrict what a browser does with an answer.
pub async fn add_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Refuses requests that another site's page embeds, and those for another host name.
pub async fn check(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if is_embedded_elsewhere(request.method(), request.headers()) {
        let sentence = "Another site's page requested this. Open it directly.\n";
        return (StatusCode::FORBIDDEN, sentence).into_response();
    }
    // An absolute request target takes precedence over the header.
    let host = request.uri().authority().cloned().or_else(|| host_of(request.headers()));
    if host.is_some_and(|host| is_ours(&host, peer.local, &shared.settings.hosts)) {
        return next.run(request).await;
    }
    let sentence = "This dashboard does not answer to that host name. Use its address, or add the \
                    name to `hosts` in [web] and restart.\n";
    (StatusCode::MISDIRECTED_REQUEST, sentence).into_response()
}

/// Whether a page of another site has this as an image, a frame or the like: nobody would see it,
/// and it would cost as much as a page. Forms are checked by [`is_from_here`].
fn is_embedded_elsewhere(method: &Method, headers: &HeaderMap) -> bool {
    let is = |name, word: &str| headers.get(name).is_some_and(|value| value == word);
    let dest = headers.get("sec-fetch-dest");
    let link = is("sec-fetch-mode", "navigate") && dest.is_none_or(|dest| dest == "document");
    method.is_safe() && is("sec-fetch-site", "cross-site") && !link
}

/// The Host header's value; `None` if it is missing, appears twice or is not a host name.
fn host_of(headers: &HeaderMap) -> Option<Authority> {
    let mut all = headers.get_all(header::HOST).iter();
    let (first, second) = (all.next()?, all.next());
    second.is_none().then(|| first.to_str().ok()?.parse().ok()).flatten()
}

/// Loopback names with any port (it may be forwarded), the connection's own address, and the
/// configured names.
fn is_ours(name: &Authority, local: SocketAddr, hosts: &[String]) -> bool {
    // Only a host and a port; the parser accepts more.
    let rest = name.as_str().strip_prefix(name.host());
    let port = rest.map(|rest| rest.strip_prefix(':').unwrap_or(rest));
    if !port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit())) {
        return false;
    }
    let host = name.host().to_ascii_lowercase();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let loopback = host == "localhost" || ip.is_some_and(|ip| ip.is_loopback());
    let here = ip.is_some_and(|ip| ip.to_canonical() == local.ip().to_canonical());
    loopback || here || is_configured(name, hosts)
}

/// With its port or without.
fn is_configured(name: &Authority, hosts: &[String]) -> bool {
    let is = |host: &String| {
        host.eq_ignore_ascii_case(name.host()) || host.eq_ignore_ascii_case(name.as_str())
    };
    hosts.iter().any(is)
}

/// Whether a form was sent by a page of this dashboard: browsers say which site it was on.
pub fn is_from_here(headers: &HeaderMap, hosts: &[String]) -> bool {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    match (site, origin) {
        (None, None) => false,
        (site, origin) => {
            site.is_none_or(|site| site == b"same-origin")
                && origin.is_none_or(|origin| is_own(origin, headers, hosts))
        }
    }
}

/// The name in the Host header, or a configured one: a proxy may ask by another name.
fn is_own(origin: &str, headers: &HeaderMap, hosts: &[String]) -> bool {
    let Some((_, name)) = origin.split_once("://") else { return false };
    let same = host_of(headers).is_some_and(|host| host.as_str().eq_ignore_ascii_case(name));
    same || name.parse().is_ok_and(|name| is_configured(&name, hosts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_our_address_and_configured_names_are_ours() {
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

    #[test]
    fn only_forms_from_our_own_pages_are_accepted() {
        let hosts = ["outbox.example.com".to_owned()];
        for (of, expected) in [
            (vec![("origin", "http://localhost:9464")], true),
            (vec![("origin", "http://localhost:8080")], false),
            (vec![("origin", "https://evil.example.com")], false),
            (vec![("origin", "https://outbox.example.com")], true),
            (vec![("origin", "null")], false),
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "same-site")], false),
            (
                vec![("sec-fetch-site", "same-origin"), ("origin", "https://evil.example.com")],
                false,
            ),
            (vec![("sec-fetch-site", "cross-site"), ("origin", "http://localhost:9464")], false),
            (vec![], false),
        ] {
            let mut headers: HeaderMap =
                of.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
            headers.insert(header::HOST, "localhost:9464".parse().unwrap());
            assert_eq!(is_from_here(&headers, &hosts), expected, "{of:?}");
        }
    }
}
