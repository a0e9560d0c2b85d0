//! The dashboard: pages about the queue, served by the program itself.
//!
//! It must not slow down the dispatcher: it reads through separate connections (`reader`), one
//! page at a time and within a time limit, and `listener` limits what a client can cost. A request
//! passes these checks in this order: the host name (`browser`), the token (`guard`) and, for a
//! form, whether a page of the dashboard sent it (`posted`).
//!
//! Public routes are in `open`, all others in `guarded`. The pages work without a script;
//! `assets/live.js` only fetches the page again and changes what differs in the parts marked with `data-live`, and
//! `assets/page.js` has exact times, buttons that copy, and boxes that are checked together.

mod act_table;
mod actions;
mod api;
mod assets;
mod browser;
mod background_change;
mod below_prefix;
mod cache;
mod chart;
mod edit_page;
mod error_page;
mod exposition;
mod guard;
mod health_checks;
mod job_export;
mod job_list;
mod job_page;
mod layout;
mod listener;
mod login;
mod message_fields;
mod front_page;
mod pause_page;
mod posted;
mod parameters;
mod reader;
mod search_page;
mod send_page;
mod session;
mod theme;
mod verdict_bar;
mod display;

pub use listener::{Running, WebError};
pub use reader::{PageReader, ReadError, ReadGuard};

use crate::config::{AccountAddress, Config, Web};
use crate::desk::assessment::Assessment;
use crate::metrics::Metrics;
use crate::queue::overview::{Census, FailureGroup, RouteBacklog, SourceRow};
use crate::queue::story::Delivery;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, http::Uri};
use background_change::BackgroundChange;
use cache::{Cache, Counted};
use error_page::ErrorPage;
use exposition::Levels;
use session::{Guesses, Sessions};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long reading for the verdict may take.
const WATCHING: Duration = Duration::from_secs(3);

/// What every request needs.
pub struct Shared {
    pub settings: Web,
    pub reader: PageReader,
    /// For the metrics: their counts may take longer than a page.
    pub counter: PageReader,
    /// For exports, which may also take longer and must not hold up a page.
    pub exporter: PageReader,
    pub write_probe: health_checks::WriteProbe,
    pub metrics: Arc<Metrics>,
    /// The names of the accounts when the program started, to choose from.
    accounts: Vec<String>,
    /// Where their requests go.
    addresses: BTreeMap<String, AccountAddress>,
    /// The sandbox answers instead of Acquire.
    pub sandbox: bool,
    /// For the verdict on every page, which no slow page delays.
    pub watcher: PageReader,
    assessments: Cache<Arc<Assessment>>,
    /// For the metrics.
    levels: Cache<Arc<Levels>>,
    census: Cache<Census>,
    failures: Cache<Vec<FailureGroup>>,
    backlogs: Cache<Vec<RouteBacklog>>,
    sources: Cache<Vec<SourceRow>>,
    /// The answer of `/api/status`, as JSON.
    statuses: Cache<Bytes>,
    sessions: Sessions,
    guesses: Guesses,
    background: BackgroundChange,
}

impl Shared {
    fn new(config: &Config, settings: Web, metrics: &Arc<Metrics>) -> Shared {
        Shared {
            settings,
            reader: PageReader::of(&config.database),
            exporter: PageReader::within(job_export::WRITING, &config.database),
            counter: PageReader::within(exposition::COUNTING, &config.database),
            write_probe: health_checks::WriteProbe::of(&config.database),
            metrics: Arc::clone(metrics),
            accounts: config.accounts.keys().cloned().collect(),
            addresses: addresses(config),
            sandbox: config.sandbox,
            watcher: PageReader::within(WATCHING, &config.database),
            assessments: Cache::default(),
            levels: Cache::default(),
            census: Cache::default(),
            failures: Cache::default(),
            backlogs: Cache::default(),
            sources: Cache::default(),
            statuses: Cache::default(),
            sessions: Sessions::default(),
            guesses: Guesses::default(),
            background: BackgroundChange::default(),
        }
    }

    /// The number of jobs by channel and state, from the cache while it is fresh.
    pub async fn census(&self) -> Result<Counted<Census>, ReadError> {
        let count = async {
            let mut reading = self.reader.read().await?;
            let census = reading.census().await?;
            reading.done();
            Ok(census)
        };
        self.census.get(count).await
    }

    /// After an action, so that the next page shows its effect.
    async fn changed(&self) {
        self.assessments.expire();
        self.census.invalidate();
        self.failures.invalidate();
        self.backlogs.invalidate();
    }

    /// Where a job's case is in Acquire's own inbox.
    fn inbox(&self, job: &Delivery) -> Option<String> {
        let address = self.addresses.get(&job.account).and_then(|of| of.base_url.as_ref());
        let host = address.and_then(|url| url.host_str());
        self.settings.inbox.as_ref()?.of(job.case_id?, job.contact_id, host)
    }

    /// Browsers keep cookies by host name only: two dashboards on one machine differ by port.
    fn cookie_name(&self) -> String {
        format!("acquire_outbox_{}", self.settings.listen.port())
    }
}

/// Starts to listen if the configuration has an address, and serves until [`Running::end`].
///
/// # Errors
/// [`WebError`] if the address cannot be used. An address in use is no error: a standby on the same
/// machine waits for it and takes it over when the first ends.
pub async fn start(config: &Config, metrics: &Arc<Metrics>) -> Result<Option<Running>, WebError> {
    let Some(settings) = config.web.clone() else { return Ok(None) };
    layout::show_banner(config.sandbox);
    listener::start(Arc::new(Shared::new(config, settings, metrics))).await.map(Some)
}

fn addresses(config: &Config) -> BTreeMap<String, AccountAddress> {
    let all = config.accounts.iter();
    all.map(|(name, account)| (name.clone(), account.into())).collect()
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

/// Routes for everybody, with or without the token.
fn open() -> Router<Arc<Shared>> {
    let asset = |of: &'static assets::Asset| {
        get(async move |headers: HeaderMap| assets::serve(of, headers).await)
    };
    Router::new()
        .route("/healthz", get(health_checks::alive))
        .route("/readyz", get(health_checks::ready))
        .route("/login", get(login::show).post(login::login))
        .route("/theme", post(theme::choose))
        .route("/assets/style.css", asset(&assets::STYLE))
        .route("/assets/live.js", asset(&assets::SCRIPT))
        .route("/assets/page.js", asset(&assets::PAGE_SCRIPT))
        .route("/assets/icon.svg", asset(&assets::ICON))
        .route("/assets/icon-attention.svg", asset(&assets::ICON_ATTENTION))
        .route("/assets/icon-down.svg", asset(&assets::ICON_DOWN))
}

/// Routes that require the token, if one is configured.
fn guarded() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(front_page::show))
        .route("/jobs", get(job_list::show))
        .route("/jobs/{id}", get(job_page::show))
        .route("/jobs/{id}/text", post(job_page::show_text))
        .route("/jobs/{id}/edit", post(edit_page::edit))
        .route("/jobs/{id}/correct", post(edit_page::send_again))
        .route("/send", get(send_page::show).post(send_page::send))
        .route("/jobs/confirm", post(actions::ask))
        .route("/jobs/change", post(actions::change))
        .route("/jobs/stop", post(actions::stop))
        .route("/jobs/export", get(job_export::export))
        .route("/jobs/next-uncertain", get(job_page::next_uncertain))
        .route("/search", get(search_page::search).post(search_page::search_posted))
        .route("/pauses", get(pause_page::show))
        .route("/pauses/ask", post(pause_page::ask))
        .route("/pauses/pause", post(pause_page::pause))
        .route("/pauses/resume", post(pause_page::resume))
        .route("/metrics", get(exposition::page))
        .route("/logout", post(login::logout))
        .merge(api::routes())
}

async fn unknown(uri: Uri) -> ErrorPage {
    ErrorPage::missing(format!("There is no page {}", uri.path()))
}

async fn wrong_method(uri: Uri) -> Response {
    let sentence = "This page does not support that method";
    error(uri.path(), ErrorPage::new(StatusCode::METHOD_NOT_ALLOWED, sentence))
}

/// As a page, or as JSON under `/api/`.
fn error(path: &str, page: ErrorPage) -> Response {
    if path.starts_with(api::ROOT) {
        return api::ApiError::from(page).into_response();
    }
    page.into_response()
}
