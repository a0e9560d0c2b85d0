//! Who may see a page, and who may act.
//!
//! Without a configured token everybody on this machine may read and nobody may act. With one a
//! browser logs in and has a session, a program sends `Authorization: Bearer`.

use super::Shared;
use super::host;
use super::problem::Problem;
use super::server::Peer;
use super::session::{Key, same_secret};
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header, uri::Authority};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use secrecy::ExposeSecret;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use url::form_urlencoded;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// No token is configured.
    Reader,
    /// Has sent the token with this request.
    Program,
    /// Has logged in.
    Person {
        key: Key,
        /// What its forms carry.
        csrf: String,
    },
}

impl Caller {
    pub fn may_act(&self) -> bool {
        *self != Caller::Reader
    }
}

/// Lets pass who has the token, and says so to the page.
pub async fn check(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    match caller(&shared, peer.remote, request.headers()) {
        Ok(Some(caller)) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Ok(None) => unknown(&request),
        Err(problem) => problem.into_response(),
    }
}

fn caller(shared: &Shared, from: IpAddr, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
    if shared.settings.token.is_none() {
        return Ok(Some(Caller::Reader));
    }
    if let Some(given) = bearer(headers) {
        return Ok(is_token(shared, from, given)?.then_some(Caller::Program));
    }
    let cookie = cookie(headers, &shared.cookie_name());
    let session = cookie.and_then(|id| shared.sessions.find(id, Instant::now()));
    Ok(session.map(|(key, csrf)| Caller::Person { key, csrf }))
}

/// Whether it is the configured token; who guesses is slowed down.
///
/// The right one always passes: behind a proxy or a tunnel everybody comes from one address, and
/// who guesses there must lock nobody out.
pub fn is_token(shared: &Shared, from: IpAddr, given: &str) -> Result<bool, Problem> {
    let token = shared.settings.token.as_ref();
    if token.is_some_and(|token| same_secret(token.expose_secret(), given)) {
        return Ok(true);
    }
    if shared.guesses.was_wrong(from, Instant::now()) {
        return Ok(false);
    }
    Err(Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "Too many wrong tokens came from your address; wait a second and try again.",
    ))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|p| p.trim().split_once('='));
    pairs.find(|(given, _)| *given == name).map(|(_, value)| value)
}

/// A browser is sent to the login, a program is told what is missing.
fn unknown(request: &Request) -> Response {
    let accepts = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let browser = accepts.is_some_and(|types| types.contains("text/html"));
    if browser && request.method() == Method::GET && bearer(request.headers()).is_none() {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let query =
            form_urlencoded::Serializer::new(String::new()).append_pair("next", path).finish();
        return Redirect::to(&format!("/login?{query}")).into_response();
    }
    let sentence =
        "The dashboard's token is needed: log in, or send it as `Authorization: Bearer`.";
    let mut response = Problem::new(StatusCode::UNAUTHORIZED, sentence).into_response();
    let bearer = header::HeaderValue::from_static("Bearer");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
    response
}

/// Whether a form was sent by a page of ours: browsers say where it stood.
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

/// The name that was asked for, or one that is configured: a proxy may ask by another.
fn is_own(origin: &str, headers: &HeaderMap, hosts: &[String]) -> bool {
    let Some((_, name)) = origin.split_once("://") else { return false };
    let asked = host::of_header(headers);
    let same = asked.is_some_and(|asked| asked.as_str().eq_ignore_ascii_case(name));
    let configured = |name: Authority| {
        let (whole, host) = (name.as_str().to_ascii_lowercase(), name.host().to_ascii_lowercase());
        hosts.iter().any(|known| *known == whole || *known == host)
    };
    same || name.parse().is_ok_and(configured)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_form_counts_only_from_a_page_of_ours() {
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
            let mut headers = headers(&of);
            headers.insert(header::HOST, "localhost:9464".parse().unwrap());
            assert_eq!(is_from_here(&headers, &hosts), expected, "{of:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = headers(&[("cookie", "a=1; outbox=two"), ("cookie", "b=3")]);
        assert_eq!(cookie(&headers, "outbox"), Some("two"));
        assert_eq!(cookie(&headers, "b"), Some("3"));
        assert_eq!(cookie(&headers, "box"), None);
    }

    #[test]
    fn a_bearer_token_is_found_whatever_its_case() {
        let token = |value| bearer(&headers(&[("authorization", value)])).map(str::to_owned);
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("bearer  abc").as_deref(), Some("abc"));
        assert_eq!(token("Basic abc"), None);
    }
}
