//! What stands around every page.

use super::Shared;
use super::error_page::Problem;
use super::guard::Caller;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use maud::{DOCTYPE, Markup, html};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The script asks with it for the page that it shows: what is told once is not for it.
const LIVE_HEADER: &str = "x-live";
/// Without the script a page that shows what goes on is loaded anew so often, in seconds.
const RELOAD: &str = "10";

/// Every page says that nothing is real, also errors and the login page, which do not know the
/// configuration. A process is a sandbox, or is not, for its whole life.
static SANDBOX: AtomicBool = AtomicBool::new(false);

/// Whether every page from now on is one of a sandbox.
pub fn show_banner(sandbox: bool) {
    SANDBOX.store(sandbox, Ordering::Relaxed);
}

/// Who looks, and what there is to tell.
pub struct Frame {
    pub caller: Caller,
    flash: Option<String>,
    /// What goes on beside the page.
    bulk: Option<String>,
}

/// How a page follows what goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follow {
    /// By the script, or without it by being loaded anew.
    Always,
    /// By the script alone: what is typed into its fields would be lost.
    ByScript,
    Never,
}

impl FromRequestParts<Arc<Shared>> for Frame {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned().unwrap_or(Caller::Reader);
        let live = parts.headers.contains_key(LIVE_HEADER);
        let flash = match &caller {
            Caller::Person { key, .. } if !live => shared.sessions.take_flash(key),
            _ => None,
        };
        Ok(Frame { caller, flash, bulk: shared.bulk.says() })
    }
}

/// Which entry of the navigation a page belongs to.
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
    /// Of a page that follows a form.
    pub fn of(caller: Caller) -> Frame {
        Frame { caller, flash: None, bulk: None }
    }

    pub fn may_act(&self) -> bool {
        self.caller.may_act()
    }

    /// What each form of a person carries, so that no other site can send one.
    pub fn csrf(&self) -> Markup {
        html! {
            @if let Caller::Person { csrf, .. } = &self.caller {
                input type="hidden" name="csrf" value=(csrf);
            }
        }
    }

    /// A page whose parts with `data-live` follow what goes on.
    pub fn live(&self, tab: Tab, title: &str, content: &Markup) -> Markup {
        self.page(tab, title, Follow::Always, content)
    }

    /// As [`Frame::live`], of a page with fields to fill in.
    pub fn live_by_script(&self, tab: Tab, title: &str, content: &Markup) -> Markup {
        self.page(tab, title, Follow::ByScript, content)
    }

    /// A page that stays as it is.
    pub fn still(&self, tab: Tab, title: &str, content: &Markup) -> Markup {
        self.page(tab, title, Follow::Never, content)
    }

    fn page(&self, tab: Tab, title: &str, follow: Follow, content: &Markup) -> Markup {
        let body = html! {
            (self.header(tab))
            main #main tabindex="-1" {
                @if follow != Follow::Never {
                    p #lost .notice.bad role="status" hidden {
                        "The daemon does not answer. This page shows how it was; it goes on by itself."
                    }
                }
                @if let Some(flash) = &self.flash {
                    p #flash .notice.good role="status" { (flash) }
                }
                div #bulk data-live { @if let Some(says) = &self.bulk { p .notice.busy role="status" { (says) } } }
                (content)
            }
            (self.footer())
        };
        document(title, follow, &body)
    }

    fn header(&self, tab: Tab) -> Markup {
        html! {
            a .skip href="#main" { "To the content" }
            header .top {
                a .brand href="/" { img src="/assets/icon.svg" alt="" width="22" height="22"; span { "acquire-outbox" } }
                nav aria-label="Pages" {
                    @for (of, path, name) in TABS {
                        a href=(path) aria-current=[(of == tab).then_some("page")] { (name) }
                    }
                }
                form .search role="search" action="/search" {
                    input type="search" name="q" required aria-label="Search: a job’s id, an idempotency key, or words of an error"
                        placeholder="Id, key, or words of an error";
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
                        "For reading only. To retry, cancel, resolve and pause from here, set a token: "
                        code { "token_file" } " in " code { "[web]" } ", or "
                        code { "ACQUIRE_OUTBOX_WEB_TOKEN_FILE" } ", and restart."
                    }
                }
                p { "acquire-outbox " (env!("CARGO_PKG_VERSION")) ". Times are UTC; point at one to see it whole." }
            }
        }
    }
}

/// A page without navigation: the login, a problem.
pub fn bare(title: &str, content: &Markup) -> Markup {
    let body = html! {
        main #main .narrow {
            p .brand { img src="/assets/icon.svg" alt="" width="22" height="22"; "acquire-outbox" }
            (content)
        }
    };
    document(title, Follow::Never, &body)
}

fn document(title: &str, follow: Follow, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · acquire-outbox" }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/style.css";
                @if follow != Follow::Never { script src="/assets/live.js" defer {} }
                @if follow == Follow::Always { noscript { meta http-equiv="refresh" content=(RELOAD); } }
            }
            body {
                @if SANDBOX.load(Ordering::Relaxed) {
                    p #sandbox .banner role="note" {
                        strong { "Sandbox." } " Nothing here reaches Acquire: a stand-in answers."
                    }
                }
                (body)
            }
        }
    }
}
