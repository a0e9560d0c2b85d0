//! The listening side: the port, the connections and what each may cost, the end.

use super::places::{Place, Places};
use super::{Shared, headers, host, router};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;
use tracing::{debug, info, warn};

/// One more takes the place of another, see [`Places`].
const CONNECTIONS: usize = 64;
/// For a request's head, idle time of a kept connection included.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// For a whole request, its body included, until its answer begins.
const REQUEST_TIME: Duration = Duration::from_secs(20);
/// After this a connection ends with its request, so that one that reads nothing holds no place
/// for ever.
const CONNECTION_TIME: Duration = Duration::from_secs(300);
/// How long requests under way have at the end, of a connection or of the program.
const GRACE: Duration = Duration::from_secs(3);
/// How long the last batch of a change has after that.
const LAST_BATCH: Duration = Duration::from_secs(3);
/// hyper's least buffer: a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// A form with a thousand checked jobs fits well.
const BODY_BYTES: usize = 64 * 1024;
/// How often an address in use is tried again.
const IN_USE_PAUSE: Duration = Duration::from_secs(1);

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

/// Both ends of the connection that a request came by.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    pub local: SocketAddr,
    pub remote: IpAddr,
}

/// A dashboard that listens, or waits for its port.
pub struct Running {
    end: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// Ends with the requests under way, within some seconds.
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
        shared.bulk.end();
        let _ = timeout(LAST_BATCH, shared.bulk.ended()).await;
        shared.reader.close().await;
        shared.counter.close().await;
        shared.health.close().await;
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
            Err(error) => debug!(%error, "the dashboard's address cannot be used yet"),
        }
    }
}

/// Answers until the end, and then what is under way.
async fn serve(listener: TcpListener, shared: &Arc<Shared>, mut ended: watch::Receiver<bool>) {
    if let Ok(address) = listener.local_addr() {
        info!(url = format!("http://{address}/"), "the dashboard listens");
        if !address.ip().to_canonical().is_loopback() {
            warn!(
                "the dashboard's pages and token cross the network as they are: put TLS before it"
            );
        }
    }
    let app = app(shared);
    let places = Places::new(CONNECTIONS);
    let mut connections = JoinSet::new();
    let ending = ended.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = ended.wait_for(|end| *end) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let place = places.take(Instant::now());
                connections.spawn(converse(stream, place, app.clone(), ending.clone()));
            }
            Err(error) => {
                // Out of descriptors, say: the next call would fail at once, too.
                warn!(%error, "the dashboard cannot accept a connection");
                sleep(IN_USE_PAUSE).await;
            }
        }
    }
    // Now: a browser that still waits for its end is told.
    shared.bulk.end();
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, all_ended).await.is_err() {
        connections.shutdown().await;
    }
}

/// One connection, until either side closes it, its time is up or another needs its place.
async fn converse(
    stream: TcpStream,
    mut place: Place,
    app: Router,
    mut ended: watch::Receiver<bool>,
) {
    let (Ok(local), Ok(remote)) = (stream.local_addr(), stream.peer_addr()) else { return };
    let peer = Peer { local, remote: remote.ip() };
    // Answers are small: waiting to fill a packet would only add latency.
    let _ = stream.set_nodelay(true);
    let holder = place.holder.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let holder = holder.clone();
        holder.goes_on(Instant::now());
        request.extensions_mut().insert(peer);
        let answer = timeout(REQUEST_TIME, app.clone().oneshot(request));
        async move {
            let answer = answer.await.map_or_else(|_| too_slow(), within_time);
            holder.goes_on(Instant::now());
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = place.lost() => return,
        _ = ended.wait_for(|end| *end) => {}
        () = sleep(CONNECTION_TIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, connection).await;
}

fn within_time(answer: Result<Response, Infallible>) -> Response {
    answer.unwrap_or_else(|never| match never {})
}

fn too_slow() -> Response {
    (StatusCode::REQUEST_TIMEOUT, "The request took too long.\n").into_response()
}

/// The pages behind what is checked of every request.
fn app(shared: &Arc<Shared>) -> Router {
    router(shared)
        .layer(middleware::from_fn_with_state(Arc::clone(shared), host::check))
        .layer(middleware::from_fn(headers::add))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
}
