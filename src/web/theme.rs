//! The colours of the pages: as the system prefers, light or dark. A switch on every page chooses; a cookie keeps
//! the choice, so that a page has the right colours from the start, without a script.

use super::Shared;
use super::error_page::ErrorPage;
use super::guard::cookie;
use super::posted::{fields, require_from_here};
use super::session::secure;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use std::sync::Arc;

/// A choice about colours, not a secret.
const COOKIE: &str = "acquire_outbox_theme";
const A_YEAR: u32 = 365 * 24 * 60 * 60;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Theme {
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    const ALL: [Theme; 3] = [Theme::System, Theme::Light, Theme::Dark];

    fn as_str(self) -> &'static str {
        match self {
            Theme::System => "system",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }

    fn named(name: &str) -> Option<Theme> {
        Theme::ALL.into_iter().find(|theme| theme.as_str() == name)
    }

    /// For the attribute of the page that the style sheet looks at.
    pub fn chosen(self) -> Option<&'static str> {
        (self != Theme::System).then_some(self.as_str())
    }

    /// For browsers, before they have the style sheet.
    pub fn color_scheme(self) -> &'static str {
        self.chosen().unwrap_or("light dark")
    }
}

/// What every page, error pages included, knows about its request.
#[derive(Debug, Clone, Default)]
struct Visit {
    theme: Theme,
    /// Its address, to come back to; none after a form.
    path: Option<String>,
}

tokio::task_local! {
    static VISIT: Visit;
}

/// Reads which colours the reader has chosen, for every page.
pub async fn remember(request: Request, next: Next) -> Response {
    let theme = cookie(request.headers(), COOKIE).and_then(Theme::named).unwrap_or_default();
    let path = request.uri().path_and_query().filter(|_| request.method() == Method::GET);
    let visit = Visit { theme, path: path.map(ToString::to_string) };
    VISIT.scope(visit, next.run(request)).await
}

pub fn current() -> Theme {
    VISIT.try_with(|visit| visit.theme).unwrap_or_default()
}

/// The switch. Without the script it loads the page again.
pub fn switch() -> Markup {
    let Visit { theme: current, path } = VISIT.try_with(Clone::clone).unwrap_or_default();
    html! {
        form .theme method="post" action="/theme" {
            @if let Some(path) = path { input type="hidden" name="back" value=(path); }
            fieldset {
                legend { "Colours" }
                @for (theme, label) in Theme::ALL.into_iter().zip(["System", "Light", "Dark"]) {
                    button .quiet type="submit" name="theme" value=(theme.as_str()) aria-pressed=((theme == current).to_string()) { (label) }
                }
            }
        }
    }
}

/// `POST /theme`: keeps the choice and goes back.
pub async fn choose(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, ErrorPage> {
    require_from_here(&headers, &shared)?;
    let given = fields(request, &shared).await?;
    let theme = given.get("theme").and_then(Theme::named);
    let theme = theme.ok_or_else(|| ErrorPage::bad("theme: must be system, light or dark"))?;
    let seconds = if theme == Theme::System { 0 } else { A_YEAR };
    let (name, secure) = (theme.as_str(), secure(&headers));
    let cookie =
        format!("{COOKIE}={name}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    let back = given.path("back").unwrap_or("/").to_owned();
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&back)).into_response())
}
