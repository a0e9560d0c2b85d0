//! The sandbox's port, routes and state.

use super::endpoint::receive;
use super::faults::{Faults, ShareError};
use super::request_log::{Log, ReceivedRequest, Repeats, RequestReport, start_report};
use super::response::{Ids, Reply};
use super::{Settings, read_back};
use crate::http_server::{self, http1};
use crate::queue::job::{Channel, Millis};
use crate::queue::when::now;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::map_response_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use secrecy::SecretString;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tower::ServiceExt;

/// The first id: that of the vendor's example.
const FIRST_ID: i64 = 8289;
/// For a request's head, including the time that the connection is idle before it. It is longer than
/// clients keep idle connections (90 seconds), so that this side never closes one under a request.
const HEAD_TIME: Duration = Duration::from_secs(150);
/// The same if idle connections are closed soon, and how such a server announces it.
const HEAD_TIME_OF_CLOSING: Duration = Duration::from_secs(1);
pub(super) const KEEP_ALIVE: HeaderValue = HeaderValue::from_static("timeout=1");
/// How long the report's reader has at the end.
const REPORT_FLUSH: Duration = Duration::from_secs(1);

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Any address but 127.0.0.0/8 and ::1.
    #[error(
        "{0} is not loopback: anyone can write to the sandbox, so it only listens on 127.0.0.1 \
         or [::1]"
    )]
    NotLoopback(SocketAddr),
    /// The port is taken, or not allowed.
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    /// The thread that prints the report cannot be started.
    #[error("cannot start the report: {0}")]
    Report(std::io::Error),
    /// A share outside 0 to 1, or a status that is not an error.
    #[error(transparent)]
    Share(#[from] ShareError),
}

/// A stand-in for Acquire that has its port. It answers once `serve` runs.
#[derive(Debug)]
pub struct Sandbox {
    listener: TcpListener,
    address: SocketAddr,
    state: Arc<SandboxState>,
}

/// What every connection needs.
#[derive(Debug)]
pub(super) struct SandboxState {
    pub(super) api_key: Option<SecretString>,
    pub(super) faults: Faults,
    pub(super) log: Log,
    pub(super) repeats: Repeats,
    report: Option<RequestReport>,
    next_id: AtomicI64,
}

impl SandboxState {
    /// New ids, unique over all channels.
    pub(super) fn next_ids(&self, channel: Channel) -> Ids {
        let next = || self.next_id.fetch_add(1, Ordering::Relaxed);
        let id = next();
        // In the vendor's example answers, only an SMS has an id other than its case message's.
        Ids { id, case_message: if channel == Channel::Sms { next() } else { id } }
    }

    /// The time by the sandbox's own clock, which may be wrong.
    pub(super) fn now(&self) -> Millis {
        self.at(now())
    }

    /// The same of another time.
    pub(super) fn at(&self, time: Millis) -> Millis {
        time.saturating_add(self.faults.reading.clock.saturating_mul(1000))
    }

    pub(super) fn report(&self, line: impl FnOnce() -> String) {
        if let Some(report) = &self.report {
            report.put(line());
        }
    }
}

impl Sandbox {
    /// Binds the port; connections wait until `serve`. Refuses any address but loopback.
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
        let report = settings.report.then(start_report).transpose();
        let report = report.map_err(SandboxError::Report)?;
        let state = Arc::new(SandboxState {
            api_key: settings.api_key,
            faults: settings.faults,
            log: Log::default(),
            repeats: Repeats::default(),
            report,
            next_id: AtomicI64::new(FIRST_ID),
        });
        Ok(Sandbox { listener, address, state })
    }

    /// Its address, with the actual port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The `base_url` to configure for an account.
    pub fn base_url(&self) -> String {
        format!("http://{}/api/v1", self.address)
    }

    /// The requests that it receives. Remains usable after the end.
    pub fn log(&self) -> Log {
        self.state.log.clone()
    }

    /// Answers until `shutdown`. Then it closes every connection at once, even in the middle of a
    /// request: silent ones would never end.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) {
        self.state.report(|| format!("listening on {}", self.base_url()));
        let Sandbox { listener, state, .. } = self;
        let head_time = if state.faults.closes_idle() { HEAD_TIME_OF_CLOSING } else { HEAD_TIME };
        let router = routes(Arc::clone(&state));
        let serve = |stream, _| converse(stream, router.clone(), head_time);
        let connections = http_server::accept(listener, Semaphore::MAX_PERMITS, serve, shutdown);
        connections.await.shutdown().await;
        if let Some(report) = &state.report {
            report.flush(REPORT_FLUSH);
        }
    }
}

/// One connection, until either side closes it.
async fn converse(stream: TcpStream, router: Router, head_time: Duration) {
    let last_bytes = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (router, last_bytes) = (router.clone(), Arc::clone(&last_bytes));
        Box::pin(async move {
            let Ok(mut response) = router.oneshot(request).await;
            // If the service fails, hyper closes the connection without an answer.
            match response.extensions_mut().remove::<HangUp>() {
                Some(hang_up) => {
                    *last_bytes.lock().unwrap_or_else(PoisonError::into_inner) = hang_up.0.clone();
                    Err(hang_up)
                }
                None => Ok(response),
            }
        })
    });
    let mut connection = http1(head_time).serve_connection(TokioIo::new(stream), service);
    if let Err(error) = poll_fn(|cx| connection.poll_without_shutdown(cx)).await {
        tracing::debug!(%error, "a connection to the sandbox ended early");
    }
    let mut stream = connection.into_parts().io.into_inner();
    let bytes = std::mem::take(&mut *last_bytes.lock().unwrap_or_else(PoisonError::into_inner));
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
}

/// An extension of a response: write these bytes, if any, and close the connection.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the sandbox hangs up")]
struct HangUp(Vec<u8>);

pub(super) fn hang_up() -> Response {
    respond_with(Vec::new())
}

/// Sends these bytes as they are and closes the connection.
pub(super) fn respond_with(bytes: Vec<u8>) -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(HangUp(bytes));
    response
}

fn routes(state: Arc<SandboxState>) -> Router {
    let sending = |channel: Channel| {
        post(async move |State(state): State<Arc<SandboxState>>, request: Request| {
            receive(&state, channel, request).await
        })
    };
    let api = Router::new()
        .route("/crm/messenger/chat/add-message", sending(Channel::Chat))
        .route("/mail/add-message", sending(Channel::Mail))
        .route("/voip/send-sms", sending(Channel::Sms))
        .route("/crm/messenger/chat/messages", get(read_back::threads))
        .route("/crm/objects/case", get(read_back::cases))
        .route("/crm/objects/case/{id}", get(read_back::case))
        .route("/crm/objects/case-message", get(read_back::case_messages))
        .route("/crm/objects/case-message/{id}", get(read_back::case_message))
        .route("/mail/messages", get(read_back::mails))
        .layer(map_response_with_state(Arc::clone(&state), dated));
    Router::new()
        .nest("/api/v1", api)
        .route("/sandbox/messages", get(listing))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .with_state(state)
}

/// With the `Date` of the sandbox's own clock, if it is wrong.
async fn dated(State(state): State<Arc<SandboxState>>, mut response: Response) -> Response {
    if state.faults.reading.clock != 0 {
        let millis = u64::try_from(state.now()).unwrap_or_default();
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(millis));
        if let Ok(date) = HeaderValue::from_str(&date) {
            response.headers_mut().insert(header::DATE, date);
        }
    }
    response
}

async fn listing(State(state): State<Arc<SandboxState>>) -> Response {
    let messages = state.log.messages();
    let messages: Vec<&ReceivedRequest> = messages.iter().map(Arc::as_ref).collect();
    Json(messages).into_response()
}

async fn unknown(uri: Uri) -> Reply {
    Reply::error(StatusCode::NOT_FOUND, format!("{} is not a path of the API", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Reply {
    let sentence = format!("{} does not support {method}", uri.path());
    Reply::error(StatusCode::METHOD_NOT_ALLOWED, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[tokio::test]
    async fn an_address_that_others_can_reach_is_refused() {
        for listen in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0", "[::ffff:192.0.2.1]:0"] {
            let settings = Settings { listen: listen.parse().unwrap(), ..Settings::default() };
            let message = Sandbox::bind(settings).await.unwrap_err().to_string();
            assert!(message.contains("is not loopback"), "{listen}: {message}");
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_an_error_that_names_it() {
        let first = Sandbox::bind(Settings::default()).await.unwrap();
        let settings = Settings { listen: first.address(), ..Settings::default() };
        let message = Sandbox::bind(settings).await.unwrap_err().to_string();
        assert!(message.contains(&first.address().to_string()), "{message}");
        assert_eq!(first.address().ip(), Ipv4Addr::LOCALHOST);
    }
}
