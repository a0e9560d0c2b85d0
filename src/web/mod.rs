//! The dashboard: pages on the queue, served from the program itself.
//!
//! It never hurts the dispatch: it reads through a connection of its own (`reader`), one query
//! at a time and each within a time limit, and `server` bounds what a client can cost. What is
//! asked for passes, in this order: the Host header (`host`), the token (`guard`), and for a
//! form whether it was sent from here (`posted`).
//!
//! A route that anybody may ask stands in `open`, every other one in `guarded`. The pages are
//! whole without a script; `assets/live.js` only fetches the page again and exchanges the parts
//! that are marked with `data-live`.

mod actions;
mod assets;
mod background_change;
mod cached;
mod chart;
mod guard;
mod headers;
mod health;
mod host;
mod job_list;
mod job_page;
mod layout;
mod levels;
mod login;
mod metrics;
mod front_page;
mod pause_page;
mod places;
mod posted;
mod problem;
mod parameters;
mod reader;
mod server;
mod session;
mod display;

pub use reader::{ReadError, Reader, Reading};
pub use server::{Running, WebError};

use crate::config::{Config, Web};
use crate::metrics::Metrics;
use crate::queue::overview::{Census, FailureGroup};
use axum::http::HeaderMap;
use axum::middleware;
use axum::routing::{get, post};
use axum::{Router, http::Uri};
use background_change::BackgroundChange;
use cached::{Cached, Counted};
use problem::Problem;
use session::{Guesses, Sessions};
use std::sync::Arc;

/// What every request needs.
pub struct Shared {
    pub settings: Web,
    pub reader: Reader,
    /// Of the metrics: counting may take longer than a page does.
    pub counter: Reader,
    pub levels: levels::Cache,
    pub health: health::Probe,
    pub metrics: Arc<Metrics>,
    /// The accounts' names when the program started, to choose from.
    accounts: Vec<String>,
    /// A stand-in answers instead of Acquire.
    pub sandbox: bool,
    census: Cached<Census>,
    failures: Cached<Vec<FailureGroup>>,
    sessions: Sessions,
    guesses: Guesses,
    bulk: BackgroundChange,
}

impl Shared {
    fn new(config: &Config, settings: Web, metrics: &Arc<Metrics>) -> Shared {
        Shared {
            settings,
            reader: Reader::of(&config.database),
            counter: Reader::within(levels::READING, &config.database),
            levels: levels::Cache::default(),
            health: health::Probe::of(&config.database),
            metrics: Arc::clone(metrics),
            accounts: config.accounts.keys().cloned().collect(),
            sandbox: config.sandbox,
            census: Cached::default(),
            failures: Cached::default(),
            sessions: Sessions::default(),
            guesses: Guesses::default(),
            bulk: BackgroundChange::default(),
        }
    }

    /// All jobs, counted; no more often than they can be counted cheaply.
    pub async fn census(&self) -> Result<Counted<Census>, ReadError> {
        let count = async {
            let mut reading = self.reader.read().await?;
            let census = reading.census().await?;
            reading.done();
            Ok(census)
        };
        self.census.get(count).await
    }

    /// After an action: the next page shows what it did.
    async fn changed(&self) {
        self.census.forget().await;
        self.failures.forget().await;
    }

    /// Browsers keep cookies by host name alone: two dashboards of a machine differ by port.
    fn cookie_name(&self) -> String {
        format!("acquire_outbox_{}", self.settings.listen.port())
    }
}

/// Starts to listen where the configuration says so; it serves until [`Running::end`].
///
/// # Errors
/// [`WebError`] where the address cannot be used. One that is in use is waited for: a standby on
/// the same machine takes it over when the first ends.
pub async fn start(config: &Config, metrics: &Arc<Metrics>) -> Result<Option<Running>, WebError> {
    let Some(settings) = config.web.clone() else { return Ok(None) };
    layout::show_banner(config.sandbox);
    server::start(Arc::new(Shared::new(config, settings, metrics))).await.map(Some)
}

fn router(shared: &Arc<Shared>) -> Router {
    let guarded = guarded().layer(middleware::from_fn_with_state(Arc::clone(shared), guard::check));
    Router::new()
        .merge(open())
        .merge(guarded)
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::clone(shared))
}

/// What anybody may ask, token or not.
fn open() -> Router<Arc<Shared>> {
    let asset = |of: &'static assets::Asset| {
        get(async move |headers: HeaderMap| assets::serve(of, headers).await)
    };
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/login", get(login::show).post(login::login))
        .route("/assets/style.css", asset(&assets::STYLE))
        .route("/assets/live.js", asset(&assets::SCRIPT))
        .route("/assets/icon.svg", asset(&assets::ICON))
}

/// What needs the token, where there is one.
fn guarded() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(front_page::show))
        .route("/jobs", get(job_list::show))
        .route("/jobs/{id}", get(job_page::show))
        .route("/jobs/{id}/text", post(job_page::show_text))
        .route("/jobs/confirm", post(actions::ask))
        .route("/jobs/change", post(actions::change))
        .route("/search", get(job_list::search))
        .route("/pauses", get(pause_page::show))
        .route("/pauses/pause", post(pause_page::pause))
        .route("/pauses/resume", post(pause_page::resume))
        .route("/metrics", get(metrics::page))
        .route("/logout", post(login::logout))
}

async fn unknown(uri: Uri) -> Problem {
    Problem::missing(format!("There is no page {}", uri.path()))
}

async fn wrong_method() -> Problem {
    let sentence = "This page is not asked for in this way";
    Problem::new(axum::http::StatusCode::METHOD_NOT_ALLOWED, sentence)
}
