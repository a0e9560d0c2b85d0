//! The dashboard below a path prefix, for a reverse proxy that gives it no host name.
//!
//! The pages know nothing about it: this is the one place where the prefix is removed from what comes in, and put
//! before every path that goes out, in the page (links, forms, assets) and in the headers. So no page can forget
//! it. A path without the prefix is answered, too: some proxies remove it.

use super::Shared;
use crate::config::PathPrefix;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// The attributes that contain addresses. A quotation mark in a text is escaped, so only an attribute matches.
const ATTRIBUTES: [&str; 4] = [" href=\"/", " action=\"/", " formaction=\"/", " src=\"/"];

/// Far longer than any page, which is made in memory.
const LONGEST_PAGE: usize = 64 * 1024 * 1024;

pub async fn serve(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(prefix) = &shared.settings.path_prefix else { return next.run(request).await };
    if let Some(uri) = without(prefix, request.uri()) {
        *request.uri_mut() = uri;
    }
    let mut response = next.run(request).await;
    put_before_headers(prefix, response.headers_mut());
    let kind = response.headers().get(header::CONTENT_TYPE);
    if kind.is_none_or(|kind| !kind.as_bytes().starts_with(b"text/html")) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let page = to_bytes(body, LONGEST_PAGE).await.ok();
    let Some(page) = page.and_then(|page| String::from_utf8(page.into()).ok()) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(put_before_paths(prefix, &page)))
}

/// `/outbox/jobs?page=2` as `/jobs?page=2`; `None` for a path that is not below the prefix.
fn without(prefix: &PathPrefix, uri: &Uri) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix(prefix.as_str())?;
    let path = match rest.as_bytes().first() {
        Some(b'/') => rest.to_owned(),
        None | Some(b'?') => format!("/{rest}"),
        Some(_) => return None,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn put_before_paths(prefix: &PathPrefix, page: &str) -> String {
    ATTRIBUTES.iter().fold(page.to_owned(), |page, attribute| {
        let opened = attribute.trim_end_matches('/');
        page.replace(attribute, &format!("{opened}{prefix}/"))
    })
}

/// Where a redirect and the next page of the API lead, and which paths a cookie is for.
fn put_before_headers(prefix: &PathPrefix, headers: &mut HeaderMap) {
    let rewrite = |headers: &mut HeaderMap, name: HeaderName, from: &str, to: &str| {
        let Some(value) = headers.get(&name).and_then(|value| value.to_str().ok()) else { return };
        if let Ok(value) = HeaderValue::from_str(&value.replacen(from, to, 1)) {
            headers.insert(name, value);
        }
    };
    if headers.get(header::LOCATION).is_some_and(|path| path.as_bytes().starts_with(b"/")) {
        rewrite(headers, header::LOCATION, "/", &format!("{prefix}/"));
    }
    rewrite(headers, header::LINK, "</", &format!("<{prefix}/"));
    // The program sets one cookie at a time.
    rewrite(headers, header::SET_COOKIE, "; Path=/;", &format!("; Path={prefix};"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OWN_PATHS;

    fn prefix() -> PathPrefix {
        "/outbox".parse().unwrap()
    }

    #[test]
    fn the_prefix_is_removed_from_what_is_below_it() {
        for (from, to) in [
            ("/outbox", Some("/")),
            ("/outbox/", Some("/")),
            ("/outbox?window=1h", Some("/?window=1h")),
            ("/outbox/jobs?page=2", Some("/jobs?page=2")),
            ("http://localhost:9464/outbox/jobs", Some("http://localhost:9464/jobs")),
            ("/jobs", None),
            ("/outboxes", None),
        ] {
            let found = without(&prefix(), &from.parse().unwrap());
            assert_eq!(found, to.map(|to| to.parse().unwrap()), "{from}");
        }
    }

    #[test]
    fn it_is_put_before_paths_and_not_into_text() {
        let page = r##"<a href="/"><form action="/jobs"><a href="#main"><img src="/a"> href=&quot;/ <a href="https://x/">"##;
        let below = r##"<a href="/outbox/"><form action="/outbox/jobs"><a href="#main"><img src="/outbox/a"> href=&quot;/ <a href="https://x/">"##;
        assert_eq!(put_before_paths(&prefix(), page), below);
    }

    #[test]
    fn the_headers_that_contain_paths_follow() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("location", "/jobs?x=/"),
            ("link", "</api/jobs?page=2>; rel=\"next\""),
            ("set-cookie", "a=b; Path=/; HttpOnly"),
        ] {
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        put_before_headers(&prefix(), &mut headers);
        assert_eq!(headers["location"], "/outbox/jobs?x=/");
        assert_eq!(headers["link"], "</outbox/api/jobs?page=2>; rel=\"next\"");
        assert_eq!(headers["set-cookie"], "a=b; Path=/outbox; HttpOnly");
    }

    /// Otherwise a prefix could be confused with a page.
    #[test]
    fn the_first_part_of_every_route_is_refused_as_a_prefix() {
        for text in [include_str!("mod.rs"), include_str!("api.rs")] {
            let routes = text.split(".route(\"/").skip(1);
            let firsts = routes.filter_map(|route| route.split(['/', '"']).next());
            for first in firsts.filter(|first| !first.is_empty()) {
                assert!(OWN_PATHS.contains(&first), "{first}");
            }
        }
    }
}
