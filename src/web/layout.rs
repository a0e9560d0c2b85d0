//! The frame around every page.

use super::Shared;
use super::error_page::ErrorPage;
use super::guard::Caller;
use super::{theme, verdict_bar};
use crate::desk::assessment::Assessment;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use maud::{DOCTYPE, Markup, html};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The script sends this when it refreshes the page: such a request does not use up the flash.
const LIVE_HEADER: &str = "x-live";
/// Without the script, live pages are reloaded after this many seconds.
const RELOAD: &str = "10";

/// Every page has the sandbox's banner, including errors and the login page, which do not know the
/// configuration. This does not change while the process runs.
static SANDBOX: AtomicBool = AtomicBool::new(false);

/// Sets whether pages have the sandbox's banner.
pub fn show_banner(sandbox: bool) {
    SANDBOX.store(sandbox, Ordering::Relaxed);
}

/// Who requested the page, and which notices it shows.
pub struct Frame {
    pub caller: Caller,
    /// What the last action did.
    flash: Option<String>,
    /// The progress of a bulk change.
    bulk: Option<String>,
    assessment: Arc<Assessment>,
}

/// How a page is refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refresh {
    /// By the script, or without it by reloading.
    Always,
    /// Only by the script: reloading would clear the fields.
    ByScript,
    Never,
}

impl FromRequestParts<Arc<Shared>> for Frame {
    type Rejection = ErrorPage;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Arc<Shared>,
    ) -> Result<Self, ErrorPage> {
        let caller = parts.extensions.get::<Caller>().cloned().unwrap_or(Caller::Reader);
        let live = parts.headers.contains_key(LIVE_HEADER);
        let flash = match &caller {
            Caller::Person { key, .. } if !live => shared.sessions.take_flash(key),
            _ => None,
        };
        let assessment = shared.assessment().await;
        Ok(Frame { caller, flash, bulk: shared.background.says(), assessment })
    }
}

/// The entries of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    Overview,
    Jobs,
    Pauses,
}

const TABS: [(Tab, &str, &str); 3] = [
    (Tab::Overview, "/", "Overview"),
    (Tab::Jobs, "/jobs", "Jobs"),
    (Tab::Pauses, "/pauses", "Pauses"),
];

impl Frame {
    /// For the page after a form.
    pub async fn of(shared: &Shared, caller: Caller) -> Frame {
        Frame { caller, flash: None, bulk: None, assessment: shared.assessment().await }
    }

    pub fn may_act(&self) -> bool {
        self.caller.may_act()
    }

    /// The hidden field that every form needs, so that other sites cannot send one.
    pub fn csrf(&self) -> Markup {
        csrf_field(&self.caller)
    }

    /// A page whose parts with `data-live` are refreshed.
    pub fn live(&self, tab: Tab, title: &str, content: &Markup) -> Markup {
        self.page(tab, title, Refresh::Always, content)
    }

    /// Like [`Frame::live`], for a page with fields to fill in.
    pub fn live_by_script(&self, tab: Tab, title: &str, content: &Markup) -> Markup {
        self.page(tab, title, Refresh::ByScript, content)
    }

    /// A page that is not refreshed.
    pub fn still(&self, tab: Tab, title: &str, content: &Markup) -> Markup {
        self.page(tab, title, Refresh::Never, content)
    }

    fn page(&self, tab: Tab, title: &str, refresh: Refresh, content: &Markup) -> Markup {
        let body = html! {
            (self.header(tab))
            (verdict_bar::bar(&self.assessment, &self.caller))
            main #main tabindex="-1" {
                @if refresh != Refresh::Never {
                    p #lost .notice.bad role="status" hidden {
                        "The daemon is not responding. This page shows the last known state and updates when the daemon responds again."
                    }
                }
                @if let Some(flash) = &self.flash {
                    p #flash .notice.good role="status" { (flash) }
                }
                div #bulk data-live {
                    @if let Some(says) = &self.bulk {
                        div .notice.busy { p role="status" { (says) } @if self.may_act() { (self.stop_button()) } }
                    }
                }
                (content)
            }
            (self.footer())
        };
        let title = format!("{}{title}", verdict_bar::title_prefix(&self.assessment));
        document(&title, refresh, verdict_bar::icon(&self.assessment), &body)
    }

    fn stop_button(&self) -> Markup {
        html! {
            form method="post" action="/jobs/stop" {
                (self.csrf())
                button type="submit" { "Stop after this batch" }
            }
        }
    }

    fn header(&self, tab: Tab) -> Markup {
        html! {
            a .skip href="#main" { "Skip to content" }
            header .top {
                a .brand href="/" { img src="/assets/icon.svg" alt="" width="22" height="22"; span { "acquire-outbox" } }
                nav aria-label="Pages" {
                    @for (of, path, name) in TABS {
                        a href=(path) aria-current=[(of == tab).then_some("page")] { (name) }
                    }
                }
                form .search role="search" method="post" action="/search" {
                    input type="search" name="q" required autocomplete="off"
                        aria-label="Find by case, contact, phone number, email address, job id, message id, key or source"
                        placeholder="Case, phone, email, id or key";
                    button type="submit" { "Search" }
                }
                @if matches!(self.caller, Caller::Person { .. }) {
                    form .logout method="post" action="/logout" {
                        (self.csrf())
                        button .quiet type="submit" { "Log out" }
                    }
                }
            }
        }
    }

    fn footer(&self) -> Markup {
        html! {
            footer {
                @if !self.may_act() {
                    p {
                        "This dashboard is read-only. To make changes here, set a token ("
                        code { "token_file" } " in " code { "[web]" } ", or "
                        code { "ACQUIRE_OUTBOX_WEB_TOKEN_FILE" } ") and restart."
                    }
                }
                p { "acquire-outbox " (env!("CARGO_PKG_VERSION")) ". Times are in UTC; hover over one to see it in full. " button #times .quiet type="button" hidden { "Exact times" } }
                (theme::switch())
            }
        }
    }
}

/// A page without navigation: the login, an error.
pub fn bare(title: &str, content: &Markup) -> Markup {
    let body = html! {
        main #main .narrow {
            p .brand { img src="/assets/icon.svg" alt="" width="22" height="22"; "acquire-outbox" }
            (content)
        }
        footer .narrow-footer { (theme::switch()) }
    };
    document(title, Refresh::Never, "/assets/icon.svg", &body)
}

/// The hidden field of a caller's forms.
pub fn csrf_field(caller: &Caller) -> Markup {
    html! {
        @if let Caller::Person { csrf, .. } = caller {
            input type="hidden" name="csrf" value=(csrf);
        }
    }
}

fn document(title: &str, refresh: Refresh, icon: &str, body: &Markup) -> Markup {
    let theme = theme::current();
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[theme.chosen()] {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content=(theme.color_scheme());
                title { (title) " · acquire-outbox" }
                link rel="icon" href=(icon) type="image/svg+xml";
                link rel="stylesheet" href="/assets/style.css";
                script src="/assets/page.js" defer {}
                @if refresh != Refresh::Never { script src="/assets/live.js" defer {} }
                @if refresh == Refresh::Always { noscript { meta http-equiv="refresh" content=(RELOAD); } }
            }
            body {
                @if SANDBOX.load(Ordering::Relaxed) {
                    section #sandbox .banner aria-label="Sandbox" {
                        strong { "Sandbox." } " Nothing is sent to Acquire: a stand-in answers."
                    }
                }
                (body)
            }
        }
    }
}
