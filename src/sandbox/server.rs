//! The listening side: sockets, routes and the end.

use super::answer::{Answer, Ids};
use super::faults::{Faults, ShareError};
use super::log::{Log, Message, Repeats};
use super::report::{self, Report};
use super::{Settings, endpoint, read_back};
use crate::queue::job::Channel;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use secrecy::SecretString;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceExt;

/// The first id given out: that of the vendor's example.
const FIRST_ID: i64 = 8289;
/// For a request's head, idle time of a kept connection included: longer than clients keep
/// theirs (90 seconds), so that it is not this side that closes under a request.
const HEAD_TIME: Duration = Duration::from_secs(150);
/// The same where idle connections are closed soon, and how such a server announces it.
const HEAD_TIME_OF_CLOSING: Duration = Duration::from_secs(1);
pub(super) const KEEP_ALIVE: HeaderValue = HeaderValue::from_static("timeout=1");
/// How long the end waits for the report's reader.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Any address but 127.0.0.0/8 and ::1.
    #[error(
        "{0} is not loopback: the sandbox is a toy that anyone may write to, so it listens on \
         127.0.0.1 or [::1] alone"
    )]
    NotLoopback(SocketAddr),
    /// The port is taken, or not allowed.
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    /// No thread to print the report.
    #[error("cannot start the report: {0}")]
    Report(std::io::Error),
    /// A share outside 0 to 1, or a status that is no error.
    #[error(transparent)]
    Share(#[from] ShareError),
}

/// A stand-in for Acquire that has its port; `serve` answers on it.
#[derive(Debug)]
pub struct Sandbox {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What every connection needs.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) api_key: Option<SecretString>,
    pub(super) faults: Faults,
    pub(super) log: Log,
    pub(super) repeats: Repeats,
    report: Option<Report>,
    next_id: AtomicI64,
}

impl Shared {
    /// Ids no message had before, of any channel.
    pub(super) fn next_ids(&self, channel: Channel) -> Ids {
        let next = || self.next_id.fetch_add(1, Ordering::Relaxed);
        let id = next();
        // In the vendor's example answers only an SMS's own id is not its case message's.
        Ids { id, case_message: if channel == Channel::Sms { next() } else { id } }
    }

    pub(super) fn report(&self, line: impl FnOnce() -> String) {
        if let Some(report) = &self.report {
            report.put(line());
        }
    }
}

impl Sandbox {
    /// Takes the port; connections wait until `serve`. Refuses any address but loopback.
    ///
    /// # Errors
    /// [`SandboxError`]
    pub async fn bind(settings: Settings) -> Result<Self, SandboxError> {
        let address = settings.listen;
        if !address.ip().to_canonical().is_loopback() {
            return Err(SandboxError::NotLoopback(address));
        }
        settings.faults.check()?;
        let listen = |source| SandboxError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let report = settings.report.then(report::start).transpose();
        let report = report.map_err(SandboxError::Report)?;
        let shared = Arc::new(Shared {
            api_key: settings.api_key,
            faults: settings.faults,
            log: Log::default(),
            repeats: Repeats::default(),
            report,
            next_id: AtomicI64::new(FIRST_ID),
        });
        Ok(Sandbox { listener, address, shared })
    }

    /// Where it listens, with the port it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to configure as an account's `base_url`.
    pub fn base_url(&self) -> String {
        format!("http://{}/api/v1", self.address)
    }

    /// A handle on what it is sent, good also after the end.
    pub fn log(&self) -> Log {
        self.shared.log.clone()
    }

    /// Answers until `shutdown`. Then it closes every connection at once, answered or not:
    /// silent ones would never end.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) {
        self.shared.report(|| format!("listening on {}", self.base_url()));
        let Sandbox { listener, shared, .. } = self;
        let head_time = if shared.faults.closes_idle() { HEAD_TIME_OF_CLOSING } else { HEAD_TIME };
        let router = routes(Arc::clone(&shared));
        let mut connections = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(converse(stream, router.clone(), head_time));
                    }
                    Err(error) => {
                        // Out of descriptors: the next call would fail at once, too.
                        tracing::warn!(%error, "the sandbox cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
        drop(listener);
        connections.shutdown().await;
        if let Some(report) = &shared.report {
            report.flush(LAST_LINES);
        }
    }
}

/// One connection, until either side closes it.
async fn converse(stream: TcpStream, router: Router, head_time: Duration) {
    // Answers are small: waiting to fill a packet would only add latency.
    let _ = stream.set_nodelay(true);
    let last_words = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (router, last_words) = (router.clone(), Arc::clone(&last_words));
        Box::pin(async move {
            let Ok(mut response) = router.oneshot(request).await;
            // An error of the service makes hyper close the connection without an answer.
            match response.extensions_mut().remove::<HangUp>() {
                Some(hang_up) => {
                    *last_words.lock().unwrap_or_else(PoisonError::into_inner) = hang_up.0.clone();
                    Err(hang_up)
                }
                None => Ok(response),
            }
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_time)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = poll_fn(|cx| connection.poll_without_shutdown(cx)).await {
        tracing::debug!(%error, "a connection to the sandbox ended early");
    }
    let mut stream = connection.into_parts().io.into_inner();
    let bytes = std::mem::take(&mut *last_words.lock().unwrap_or_else(PoisonError::into_inner));
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
}

/// In a response's extensions: write these bytes, if any, and close the connection.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the sandbox hangs up")]
struct HangUp(Vec<u8>);

pub(super) fn hang_up() -> Response {
    respond_with(Vec::new())
}

/// These bytes as they are, and then the end of the connection.
pub(super) fn respond_with(bytes: Vec<u8>) -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(HangUp(bytes));
    response
}

pub(super) fn respond(answer: Answer) -> Response {
    let mut response = (answer.status, Json(answer.body)).into_response();
    if let Some(wait) = answer.retry_after {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn routes(shared: Arc<Shared>) -> Router {
    let sending = |channel: Channel| {
        post(move |State(shared): State<Arc<Shared>>, request: Request| async move {
            endpoint::receive(&shared, channel, request).await
        })
    };
    let api = Router::new()
        .route("/crm/messenger/chat/add-message", sending(Channel::Chat))
        .route("/mail/add-message", sending(Channel::Mail))
        .route("/voip/send-sms", sending(Channel::Sms))
        .route("/crm/messenger/chat/messages", get(threads))
        .route("/crm/objects/case", get(cases))
        .route("/crm/objects/case-message/{id}", get(case_message));
    Router::new()
        .nest("/api/v1", api)
        .route("/sandbox/messages", get(listing))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(shared)
}

async fn threads(State(shared): State<Arc<Shared>>, headers: HeaderMap, uri: Uri) -> Response {
    respond(read_back::threads(&shared, &headers, &uri).unwrap_or_else(|refusal| refusal))
}

async fn cases(State(shared): State<Arc<Shared>>, headers: HeaderMap, uri: Uri) -> Response {
    respond(read_back::cases(&shared, &headers, &uri).unwrap_or_else(|refusal| refusal))
}

async fn case_message(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Response {
    respond(read_back::case_message(&shared, &headers, &id).unwrap_or_else(|refusal| refusal))
}

async fn listing(State(shared): State<Arc<Shared>>) -> Response {
    let messages = shared.log.messages();
    let messages: Vec<&Message> = messages.iter().map(Arc::as_ref).collect();
    Json(messages).into_response()
}

async fn unknown(uri: Uri) -> Response {
    respond(Answer::error(
        StatusCode::NOT_FOUND,
        format!("{} is not a path of the API", uri.path()),
    ))
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let words = format!("{} does not take {method}", uri.path());
    respond(Answer::error(StatusCode::METHOD_NOT_ALLOWED, words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[tokio::test]
    async fn an_address_that_others_can_reach_is_refused() {
        for listen in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0", "[::ffff:192.0.2.1]:0"] {
            let settings = Settings { listen: listen.parse().unwrap(), ..Settings::default() };
            let words = Sandbox::bind(settings).await.unwrap_err().to_string();
            assert!(words.contains("is not loopback"), "{listen}: {words}");
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_an_error_that_names_it() {
        let first = Sandbox::bind(Settings::default()).await.unwrap();
        let settings = Settings { listen: first.address(), ..Settings::default() };
        let words = Sandbox::bind(settings).await.unwrap_err().to_string();
        assert!(words.contains(&first.address().to_string()), "{words}");
        assert_eq!(first.address().ip(), Ipv4Addr::LOCALHOST);
    }
}
