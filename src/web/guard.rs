//! Who may see a page, and who may act.
//!
//! Without a configured token, everybody on this machine may read and nobody may act. With a token,
//! a browser logs in and has a session; a program sends `Authorization: Bearer`.

use super::Shared;
use super::error_page::ErrorPage;
use super::listener::Peer;
use super::session::{Key, same_secret};
use crate::http_server::bearer;
use crate::queue::act::{ActOrigin, Actor};
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use secrecy::ExposeSecret;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use url::form_urlencoded;

/// The actor's name for requests that carry the token.
const BY_TOKEN: &str = "token";

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// No token is configured.
    Reader,
    /// Sent the token with the request.
    Program,
    /// Has logged in.
    Person {
        key: Key,
        /// The token in the session's forms.
        csrf: String,
        /// Who they say they are.
        name: Option<String>,
    },
}

impl Caller {
    pub fn may_act(&self) -> bool {
        *self != Caller::Reader
    }

    /// Who is recorded as having made the changes of this request.
    pub fn actor(&self) -> Actor {
        match self {
            Caller::Person { name, .. } => Actor { origin: ActOrigin::Page, name: name.clone() },
            _ => Actor::new(ActOrigin::Page, BY_TOKEN),
        }
    }
}

/// Admits callers with the token, and tells the page who they are.
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
        Ok(None) => unauthorized(&request),
        Err(problem) => super::error(request.uri().path(), problem),
    }
}

fn caller(shared: &Shared, from: IpAddr, headers: &HeaderMap) -> Result<Option<Caller>, ErrorPage> {
    if shared.settings.token.is_none() {
        return Ok(Some(Caller::Reader));
    }
    if let Some(given) = bearer(headers) {
        return Ok(is_token(shared, from, given)?.then_some(Caller::Program));
    }
    let cookie = cookie(headers, &shared.cookie_name());
    let session = cookie.and_then(|id| shared.sessions.find(id, Instant::now()));
    Ok(session.map(|(key, csrf, name)| Caller::Person { key, csrf, name }))
}

/// Whether it is the configured token. Guessing is slowed down.
///
/// The right token always passes: behind a proxy everybody has the same address, and somebody who
/// guesses there must not lock the others out.
pub fn is_token(shared: &Shared, from: IpAddr, given: &str) -> Result<bool, ErrorPage> {
    let token = shared.settings.token.as_ref();
    if token.is_some_and(|token| same_secret(token.expose_secret(), given)) {
        return Ok(true);
    }
    if shared.guesses.allow(from) {
        return Ok(false);
    }
    Err(ErrorPage::new(
        StatusCode::TOO_MANY_REQUESTS,
        "Too many wrong tokens were sent from your address; wait a second and try again.",
    ))
}

/// The value of a cookie of this name.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|p| p.trim().split_once('='));
    pairs.find(|(given, _)| *given == name).map(|(_, value)| value)
}

/// Sends a browser to the login page; tells a program what is missing.
fn unauthorized(request: &Request) -> Response {
    let accepts = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let browser = accepts.is_some_and(|types| types.contains("text/html"));
    if browser && request.method() == Method::GET && bearer(request.headers()).is_none() {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let query =
            form_urlencoded::Serializer::new(String::new()).append_pair("next", path).finish();
        return Redirect::to(&format!("/login?{query}")).into_response();
    }
    let sentence =
        "The dashboard's token is required: log in, or send it as `Authorization: Bearer`.";
    let page = ErrorPage::new(StatusCode::UNAUTHORIZED, sentence);
    let mut response = super::error(request.uri().path(), page);
    let bearer = header::HeaderValue::from_static("Bearer");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        for cookies in ["a=1; outbox=two", "b=3"] {
            headers.append(header::COOKIE, cookies.parse().unwrap());
        }
        assert_eq!(cookie(&headers, "outbox"), Some("two"));
        assert_eq!(cookie(&headers, "b"), Some("3"));
        assert_eq!(cookie(&headers, "box"), None);
    }
}
