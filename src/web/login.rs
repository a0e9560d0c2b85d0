//! Logging in with the token, and logging out.

use super::Shared;
use super::error_page::ErrorPage;
use super::guard::{Caller, is_token};
use super::layout;
use super::listener::Peer;
use super::posted::{FormFields, Posted, fields, require_from_here};
use super::session::{LIFE, secure};
use crate::queue::act::one_line;
use axum::extract::{Extension, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use std::sync::Arc;
use std::time::Instant;

pub async fn show(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    let asked = FormFields::parse(query.unwrap_or_default().as_bytes());
    let next = asked.path("next").unwrap_or("/");
    if shared.settings.token.is_none() {
        return Redirect::to(next).into_response();
    }
    form(next, None).into_response()
}

pub async fn login(
    State(shared): State<Arc<Shared>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ErrorPage> {
    require_from_here(&headers, &shared)?;
    let given = fields(request, &shared).await?;
    let next = given.path("next").unwrap_or("/");
    if !is_token(&shared, peer.remote, given.get("token").unwrap_or_default())? {
        let page = form(next, Some("Wrong token."));
        return Ok((StatusCode::UNAUTHORIZED, page).into_response());
    }
    let name = given.get("name").and_then(one_line);
    let id = shared.sessions.begin(name, Instant::now())?;
    let cookie = cookie(&shared, &headers, &id, LIFE.as_secs());
    Ok(([cookie], Redirect::to(next)).into_response())
}

pub async fn logout(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    posted: Posted,
) -> Response {
    if let Caller::Person { key, .. } = &posted.caller {
        shared.sessions.end(key);
    }
    ([cookie(&shared, &headers, "", 0)], Redirect::to("/login")).into_response()
}

fn form(next: &str, wrong: Option<&str>) -> Markup {
    layout::bare(
        "Log in",
        &html! {
            h1 { "Log in" }
            @if let Some(wrong) = wrong {
                p #wrong .notice.bad role="alert" { (wrong) }
            }
            form method="post" action="/login" .stack {
                input type="hidden" name="next" value=(next);
                label for="token" { "Token" }
                input #token type="password" name="token" required autofocus
                    autocomplete="current-password" aria-describedby=[wrong.map(|_| "wrong")];
                p .hint { "It is the content of the file that " code { "token_file" } " in [web] names." }
                label for="name" { "Your name " small { "(optional)" } }
                input #name type="text" name="name" maxlength="100" autocomplete="name" aria-describedby="name-hint";
                p #name-hint .hint { "Your colleagues see it next to what you do to a job." }
                button .primary type="submit" { "Log in" }
            }
        },
    )
}

/// A browser does not send it with requests from other sites, and scripts cannot read it.
fn cookie(shared: &Shared, headers: &HeaderMap, id: &str, seconds: u64) -> (HeaderName, String) {
    let (name, secure) = (shared.cookie_name(), secure(headers));
    let cookie =
        format!("{name}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    (header::SET_COOKIE, cookie)
}
