//! What the dashboard's and the sandbox's HTTP servers share: accepting connections, and reading
//! a bearer token.

use axum::http::{HeaderMap, header};
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::warn;

/// The pause after a failed accept: without descriptors the next one would fail at once, too.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves at most `most` connections at a time until `shutdown`; further ones wait in the
/// kernel's queue. `serve` is given each connection and how many more could be served.
///
/// Returns the connections that are still open. Dropping them closes them.
pub async fn accept<S>(
    listener: TcpListener,
    most: usize,
    serve: impl Fn(TcpStream, usize) -> S,
    shutdown: impl Future<Output = ()>,
) -> JoinSet<()>
where
    S: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(most));
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = &mut shutdown => return connections,
            Some(_) = connections.join_next() => continue,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                // Answers are small: waiting to fill a packet would only add latency.
                let _ = stream.set_nodelay(true);
                let connection = serve(stream, places.available_permits());
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept an HTTP connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// HTTP/1 with a time limit for reading each request's head. The time that a connection is idle
/// before the head counts, too.
pub fn http1(head_time: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head_time);
    builder
}

/// The token of `Authorization: Bearer`, without spaces around it.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn a_bearer_token_is_found_in_any_case() {
        let token = |value: &str| {
            let headers = [(header::AUTHORIZATION, value.parse().unwrap())];
            bearer(&headers.into_iter().collect()).map(str::to_owned)
        };
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("bearer  abc").as_deref(), Some("abc"));
        assert_eq!(token("Basic abc"), None);
    }

    #[tokio::test]
    async fn a_connection_beyond_the_limit_is_served_when_a_place_is_free() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Says how many places are left, then waits for the client to close.
        let serve = |mut stream: TcpStream, free: usize| async move {
            let _ = stream.write_u8(free as u8).await;
            let _ = stream.read_u8().await;
        };
        let server = tokio::spawn(accept(listener, 2, serve, std::future::pending()));
        let connect = || async { TcpStream::connect(address).await.unwrap() };
        let (mut first, mut second, mut third) =
            (connect().await, connect().await, connect().await);
        assert_eq!(first.read_u8().await.unwrap(), 1);
        assert_eq!(second.read_u8().await.unwrap(), 0);
        let early = tokio::time::timeout(Duration::from_millis(50), third.read_u8()).await;
        assert!(early.is_err(), "both places are taken");
        drop(first);
        assert_eq!(third.read_u8().await.unwrap(), 0);
        server.abort();
    }
}
