//! The HTTP client of an account: its settings, its TLS, and how long its connections may be idle.

use reqwest::header::HeaderMap;
use reqwest::{Certificate, Client, Proxy, redirect, retry};
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls_platform_verifier::Verifier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};
use tracing::debug;
use url::Url;

/// Many servers close an idle connection after 5 s. A request on a connection that is being closed
/// has an unknown outcome.
const IDLE: Duration = Duration::from_secs(4);

/// Used if a message of unknown outcome waits for a person: some servers close a connection after 1 s
/// without announcing it.
const IDLE_AT_MOST_ONCE: Duration = Duration::from_millis(100);

/// The most header fields that an answer may have; hyper's default is 100.
const MAX_HEADERS: usize = 1024;

/// Clients that are made within this time share one reading of the system's certificates. It takes
/// milliseconds and 100 KB, and there may be hundreds of accounts. A later reload reads them again.
const SYSTEM_TLS_FRESH: Duration = Duration::from_secs(60);

static SYSTEM_TLS: Mutex<Option<(Instant, ClientConfig)>> = Mutex::new(None);

/// Everything that determines a client.
#[derive(PartialEq)]
pub(super) struct ClientSettings {
    pub headers: HeaderMap,
    pub connect_timeout: Duration,
    pub roots: Vec<CertificateDer<'static>>,
    /// Plain HTTP, which goes only to this machine.
    pub plain_http: bool,
    pub proxy: Option<Url>,
    /// A message of unknown outcome is not sent again.
    pub at_most_once: bool,
    /// The most idle connections to keep.
    pub idle_connections: usize,
}

/// The current client. If a server announces that it closes idle connections sooner, a new client
/// replaces it; requests in flight finish on the old one.
pub(super) struct AccountClient {
    settings: ClientSettings,
    /// With how long its connections may be idle.
    current: RwLock<(Client, Duration)>,
    /// A new client is being made.
    replacing: AtomicBool,
}

impl AccountClient {
    pub fn new(settings: ClientSettings) -> reqwest::Result<Self> {
        let idle = if settings.at_most_once { IDLE_AT_MOST_ONCE } else { IDLE };
        let current = RwLock::new((settings.build(idle)?, idle));
        Ok(AccountClient { settings, current, replacing: AtomicBool::new(false) })
    }

    pub fn has_settings(&self, settings: &ClientSettings) -> bool {
        self.settings == *settings
    }

    /// Whether a message of unknown outcome is not sent again.
    pub fn at_most_once(&self) -> bool {
        self.settings.at_most_once
    }

    pub fn get(&self) -> Client {
        self.current.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Follows the `Keep-Alive` of an answer.
    pub fn follow_keep_alive(self: &Arc<Self>, headers: &HeaderMap) {
        let Some(idle) = headers.get("keep-alive").and_then(|v| safe_idle_time(v.to_str().ok()?))
        else {
            return;
        };
        if idle < self.idle() && !self.replacing.swap(true, Ordering::SeqCst) {
            let client = Arc::clone(self);
            // In a thread, as making a client reads the system's certificates.
            let thread = thread::Builder::new().spawn(move || {
                client.shorten_idle(idle);
                client.replacing.store(false, Ordering::SeqCst);
            });
            if thread.is_err() {
                // Out of threads: the next answer tries again.
                self.replacing.store(false, Ordering::SeqCst);
            }
        }
    }

    fn idle(&self) -> Duration {
        self.current.read().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Makes the new client before it takes the lock, so that no request waits for it.
    fn shorten_idle(&self, idle: Duration) {
        match self.settings.build(idle) {
            Ok(client) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = (client, idle);
            }
            Err(error) => debug!(%error, "cannot make a new HTTP client; the old one is kept"),
        }
    }
}

/// How long a connection may be idle if its server sends `timeout=5, max=100`: a second less than
/// announced, but at least half of it.
fn safe_idle_time(keep_alive: &str) -> Option<Duration> {
    let mut fields = keep_alive.split(',').filter_map(|field| field.split_once('='));
    let (_, seconds) = fields.find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))?;
    let timeout = Duration::from_secs(seconds.trim().parse().ok()?);
    Some((timeout / 2).max(timeout.saturating_sub(Duration::from_secs(1))))
}

impl ClientSettings {
    fn build(&self, idle: Duration) -> reqwest::Result<Client> {
        let mut builder = Client::builder()
            .default_headers(self.headers.clone())
            .user_agent(concat!("acquire-outbox/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .http1_only()
            // Answers are read leniently: malformed headers must not lose one.
            .http1_max_headers(MAX_HEADERS)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .tcp_nodelay(true)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(idle)
            .pool_max_idle_per_host(self.idle_connections)
            // `config` has already read the proxy variables.
            .no_proxy();
        if idle.is_zero() {
            builder = builder.pool_max_idle_per_host(0);
        }
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(Proxy::all(proxy.as_str())?);
        }
        if self.plain_http {
            // Needs no certificates, so none are read.
            builder = builder.tls_certs_only([]);
        } else if self.roots.is_empty() {
            if let Some(tls) = system_tls() {
                builder = builder.tls_backend_preconfigured(tls);
            }
        } else {
            let roots = self.roots.iter().map(|der| Certificate::from_der(der));
            builder = builder.tls_certs_merge(roots.collect::<Result<Vec<_>, _>>()?);
        }
        builder.build()
    }
}

/// TLS with the system's certificates, as [`reqwest`] itself sets it up for HTTP/1.1. `None` if that
/// fails; reqwest then tries by itself and reports why.
fn system_tls() -> Option<ClientConfig> {
    let mut cached = SYSTEM_TLS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((since, config)) = &*cached
        && since.elapsed() < SYSTEM_TLS_FRESH
    {
        return Some(config.clone());
    }
    let provider = CryptoProvider::get_default()?;
    let verifier = Verifier::new(Arc::clone(provider)).ok()?;
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    *cached = Some((Instant::now(), config.clone()));
    Some(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_given_up_before_its_server_closes_it() {
        for (header, millis) in [
            ("timeout=5", Some(4000)),
            ("timeout=5, max=100", Some(4000)),
            ("max=100, Timeout = 2", Some(1000)),
            ("timeout=1", Some(500)),
            ("timeout=0", Some(0)),
            ("timeout=60", Some(59_000)),
            ("timeout=soon", None),
            ("max=100", None),
            ("", None),
        ] {
            assert_eq!(safe_idle_time(header), millis.map(Duration::from_millis), "{header}");
        }
    }
}
