//! The dashboard's port: which connections are served, what each may cost, and the end.

use super::{Shared, below_prefix, browser, router, theme};
use crate::config::PathPrefix;
use crate::http_server::{self, http1};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;
use tracing::{debug, info, warn};

/// How many connections are served at a time.
const CONNECTIONS: usize = 64;
/// The time limit for a whole request, from its head to the beginning of its answer.
const REQUEST_TIME: Duration = Duration::from_secs(20);
/// How long open requests may take when their connection, or the program, ends.
const GRACE: Duration = Duration::from_secs(3);
/// How long the last batch of a bulk change may take after that.
const LAST_BATCH: Duration = Duration::from_secs(3);
/// The largest head of a request: the smallest buffer that hyper can have.
const HEAD_BYTES: usize = 16 * 1024;
/// The largest body: a form with a thousand selected jobs fits easily.
const BODY_BYTES: usize = 64 * 1024;
/// How often an address in use is tried again.
const IN_USE_PAUSE: Duration = Duration::from_secs(1);

/// How long a connection may take.
struct TimeLimits {
    /// For a request's head, including the time that the connection is idle before it.
    head: Duration,
    body: Duration,
    /// Then the connection ends with its request, even if its client reads nothing.
    connection: Duration,
    keep_alive: bool,
}

/// While at least half of the places are free.
const RELAXED: TimeLimits = TimeLimits {
    head: Duration::from_secs(5),
    body: REQUEST_TIME,
    connection: Duration::from_secs(300),
    keep_alive: true,
};

/// For the other half: a client that sends its request at once gets its answer, and one that holds
/// connections open frees them soon. So health checks, scrapes and logins always get through.
const STRICT: TimeLimits = TimeLimits {
    head: Duration::from_millis(500),
    body: Duration::from_millis(500),
    connection: Duration::from_secs(30),
    keep_alive: false,
};

/// Why the dashboard did not start.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address} for the dashboard: {source}; give another address with --listen, \
     or `listen` in [web]"
)]
pub struct WebError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Both ends of a request's connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    pub local: SocketAddr,
    pub remote: IpAddr,
}

/// A dashboard that is listening, or waiting for its port.
pub struct Running {
    end: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// Stops listening, and gives open requests a few seconds to end.
    pub async fn end(self) {
        self.end.send_replace(true);
        let abort = self.task.abort_handle();
        if timeout(2 * GRACE + LAST_BATCH, self.task).await.is_err() {
            abort.abort();
        }
    }
}

pub async fn start(shared: Arc<Shared>) -> Result<Running, WebError> {
    let address = shared.settings.listen;
    let (end, ended) = watch::channel(false);
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => Some(listener),
        Err(e) if e.kind() == ErrorKind::AddrInUse => {
            warn!(%address, "the dashboard's address is in use: waiting for it");
            None
        }
        Err(source) => return Err(WebError { address, source }),
    };
    let task = tokio::spawn(async move {
        let mut ending = ended.clone();
        let listener = tokio::select! {
            listener = waited_for(listener, address) => Some(listener),
            _ = ending.wait_for(|end| *end) => None,
        };
        if let Some(listener) = listener {
            serve(listener, &shared, ended).await;
        }
        shared.background.end();
        let _ = timeout(LAST_BATCH, shared.background.ended()).await;
        shared.reader.close().await;
        shared.counter.close().await;
        shared.watcher.close().await;
        shared.exporter.close().await;
        shared.write_probe.close().await;
    });
    Ok(Running { end, task })
}

async fn waited_for(listener: Option<TcpListener>, address: SocketAddr) -> TcpListener {
    if let Some(listener) = listener {
        return listener;
    }
    loop {
        sleep(IN_USE_PAUSE).await;
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => debug!(%error, "the dashboard's address is still in use"),
        }
    }
}

/// Answers requests until the end, and then those that are still open.
async fn serve(listener: TcpListener, shared: &Arc<Shared>, mut ended: watch::Receiver<bool>) {
    if let Ok(address) = listener.local_addr() {
        let prefix = shared.settings.path_prefix.as_ref().map_or("", PathPrefix::as_str);
        info!(url = format!("http://{address}{prefix}/"), "the dashboard is listening");
        if !address.ip().to_canonical().is_loopback() {
            warn!(
                "the dashboard's pages and token cross the network unencrypted: put TLS in front of it"
            );
        }
    }
    let app = app(shared);
    let ending = ended.clone();
    let serve = move |stream, free| {
        let limits = if free >= CONNECTIONS / 2 { &RELAXED } else { &STRICT };
        converse(stream, limits, app.clone(), ending.clone())
    };
    let shutdown = async { drop(ended.wait_for(|end| *end).await) };
    let mut connections = http_server::accept(listener, CONNECTIONS, serve, shutdown).await;
    // A browser may be waiting for the end of its bulk change.
    shared.background.end();
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, all_ended).await.is_err() {
        connections.shutdown().await;
    }
}

/// One connection, until either side closes it, its time is up or the program ends.
async fn converse(
    stream: TcpStream,
    limits: &'static TimeLimits,
    app: Router,
    mut ended: watch::Receiver<bool>,
) {
    let (Ok(local), Ok(remote)) = (stream.local_addr(), stream.peer_addr()) else { return };
    let peer = Peer { local, remote: remote.ip() };
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let answer = timeout(REQUEST_TIME, answer(app.clone(), request, limits.body));
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|_| too_slow())) }
    });
    let connection = http1(limits.head)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(limits.keep_alive)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = ended.wait_for(|end| *end) => {}
        () = sleep(limits.connection) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, connection).await;
}

/// Reads the whole body first, so that its limits apply to every page.
async fn answer(app: Router, request: Request<Incoming>, body_time: Duration) -> Response {
    let (parts, body) = request.into_parts();
    match timeout(body_time, to_bytes(Body::new(body), BODY_BYTES)).await {
        Ok(Ok(body)) => {
            let answer = app.oneshot(Request::from_parts(parts, Body::from(body))).await;
            answer.unwrap_or_else(|never| match never {})
        }
        // Or the client has gone, and nobody reads this.
        Ok(Err(_)) => {
            (StatusCode::PAYLOAD_TOO_LARGE, "The request is too large.\n").into_response()
        }
        Err(_) => too_slow(),
    }
}

fn too_slow() -> Response {
    (StatusCode::REQUEST_TIMEOUT, "The request took too long.\n").into_response()
}

/// The pages behind the checks that apply to every request.
fn app(shared: &Arc<Shared>) -> Router {
    let pages = router(shared)
        .layer(middleware::from_fn_with_state(Arc::clone(shared), browser::check))
        .layer(middleware::from_fn(browser::add_headers))
        .layer(middleware::from_fn(theme::remember));
    // Before the routes are chosen, as a layer of theirs is not.
    let below = middleware::from_fn_with_state(Arc::clone(shared), below_prefix::serve);
    Router::new().fallback_service(pages).layer(below)
}
