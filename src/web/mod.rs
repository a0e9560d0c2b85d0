//! The dashboard: pages on the queue, served from the program itself.
//!
//! It never hurts the dispatch: it reads through a connection of its own ([`reader`]), one query
//! at a time and each within a time limit, and [`server`] bounds what a client can cost. What is
//! asked for passes, in this order: the Host header ([`host`]), the token ([`guard`]), the page.
//!
//! A route that anybody may ask stands in `open`, every other one in `guarded`.

mod health;
mod host;
mod levels;
mod metrics;
mod reader;
mod server;

pub use reader::{Reader, Reading};
pub use server::{Running, WebError};

use crate::config::{Config, Web};
use crate::metrics::Metrics;
use axum::Router;
use axum::routing::get;
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
}

/// Starts to listen where the configuration says so; it serves until [`Running::end`].
///
/// # Errors
/// [`WebError`] where the address cannot be used. One that is in use is waited for: a standby on
/// the same machine takes it over when the first ends.
pub async fn start(config: &Config, metrics: &Arc<Metrics>) -> Result<Option<Running>, WebError> {
    let Some(settings) = config.web.clone() else { return Ok(None) };
    let reader = Reader::of(&config.database);
    let counter = Reader::within(levels::READING, &config.database);
    let shared = Arc::new(Shared {
        settings,
        reader,
        counter,
        levels: levels::Cache::default(),
        health: health::Probe::of(&config.database),
        metrics: Arc::clone(metrics),
    });
    server::start(shared).await.map(Some)
}

fn router(shared: &Arc<Shared>) -> Router {
    Router::new().merge(open()).merge(guarded()).with_state(Arc::clone(shared))
}

/// What anybody may ask, token or not.
fn open() -> Router<Arc<Shared>> {
    Router::new().route("/healthz", get(health::alive)).route("/readyz", get(health::ready))
}

/// What needs the token, where there is one.
fn guarded() -> Router<Arc<Shared>> {
    Router::new().route("/", get(async || "acquire-outbox")).route("/metrics", get(metrics::page))
}
