//! The HTTP client of an account, and how long its connections may be idle.

use super::trust;
use reqwest::header::HeaderMap;
use reqwest::{Certificate, Client, Proxy, redirect, retry};
use rustls::pki_types::CertificateDer;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;
use tracing::debug;
use url::Url;

/// Servers close an idle connection after 5 s; reusing one while it closes would leave a message's
/// outcome unknown.
const IDLE: Duration = Duration::from_secs(4);

/// Where such a message waits for a person: some servers close after 1 s without announcing it.
const IDLE_AT_MOST_ONCE: Duration = Duration::from_millis(100);

/// Header fields that an answer may have; hyper's own limit is 100.
const FIELDS: usize = 1024;

/// Everything that determines a client.
#[derive(PartialEq)]
pub(super) struct Recipe {
    pub headers: HeaderMap,
    pub connect_timeout: Duration,
    pub roots: Vec<CertificateDer<'static>>,
    /// Plain HTTP, to this machine.
    pub plain: bool,
    pub proxy: Option<Url>,
    /// A message of unknown outcome is not sent again.
    pub at_most_once: bool,
    /// How many idle connections are kept.
    pub idle_connections: usize,
}

/// The current client. A server may announce that it closes idle connections sooner; a new client
/// then takes over, and requests that are out end on the old one.
pub(super) struct Clients {
    recipe: Recipe,
    /// And how long its connections may be idle.
    now: RwLock<(Client, Duration)>,
    /// A new one is being made.
    renewing: AtomicBool,
}

impl Clients {
    pub fn new(recipe: Recipe) -> reqwest::Result<Self> {
        let idle = if recipe.at_most_once { IDLE_AT_MOST_ONCE } else { IDLE };
        let client = recipe.client(idle)?;
        Ok(Clients { recipe, now: RwLock::new((client, idle)), renewing: AtomicBool::new(false) })
    }

    /// Whether another of this recipe would be the same.
    pub fn is_by(&self, recipe: &Recipe) -> bool {
        self.recipe == *recipe
    }

    /// Whether a message of unknown outcome is not sent again.
    pub fn at_most_once(&self) -> bool {
        self.recipe.at_most_once
    }

    pub fn get(&self) -> Client {
        self.now.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Follows what an answer says about its connection.
    pub fn heard(self: &Arc<Self>, headers: &HeaderMap) {
        let Some(idle) = headers.get("keep-alive").and_then(|v| announced(v.to_str().ok()?)) else {
            return;
        };
        if idle < self.idle() && !self.renewing.swap(true, Ordering::SeqCst) {
            let clients = Arc::clone(self);
            // Making it reads the system's certificates.
            let renewed = thread::Builder::new().spawn(move || {
                clients.shorten(idle);
                clients.renewing.store(false, Ordering::SeqCst);
            });
            if renewed.is_err() {
                // Out of threads: the next answer tries again.
                self.renewing.store(false, Ordering::SeqCst);
            }
        }
    }

    fn idle(&self) -> Duration {
        self.now.read().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Nothing waits while the new client is made.
    fn shorten(&self, idle: Duration) {
        match self.recipe.client(idle) {
            Ok(client) => {
                *self.now.write().unwrap_or_else(PoisonError::into_inner) = (client, idle);
            }
            Err(error) => debug!(%error, "the client stays as it is"),
        }
    }
}

/// How long a connection may be idle if its server says `timeout=5, max=100`: a second less, or
/// half as long for one or two seconds.
fn announced(words: &str) -> Option<Duration> {
    let mut fields = words.split(',').filter_map(|field| field.split_once('='));
    let (_, seconds) = fields.find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))?;
    let timeout = Duration::from_secs(seconds.trim().parse().ok()?);
    Some((timeout / 2).max(timeout.saturating_sub(Duration::from_secs(1))))
}

impl Recipe {
    fn client(&self, idle: Duration) -> reqwest::Result<Client> {
        let mut builder = Client::builder()
            .default_headers(self.headers.clone())
            .user_agent(concat!("acquire-outbox/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .http1_only()
            // Answers are read leniently: what is odd in their headers does not matter.
            .http1_max_headers(FIELDS)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .tcp_nodelay(true)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(idle)
            .pool_max_idle_per_host(self.idle_connections)
            // The environment was read with the configuration.
            .no_proxy();
        if idle.is_zero() {
            builder = builder.pool_max_idle_per_host(0);
        }
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(Proxy::all(proxy.as_str())?);
        }
        if self.plain {
            // Loopback: no system certificates are needed.
            builder = builder.tls_certs_only([]);
        } else if self.roots.is_empty() {
            if let Some(tls) = trust::of_the_system() {
                builder = builder.tls_backend_preconfigured(tls);
            }
        } else {
            let roots = self.roots.iter().map(|der| Certificate::from_der(der));
            builder = builder.tls_certs_merge(roots.collect::<Result<Vec<_>, _>>()?);
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_given_up_before_its_server_closes_it() {
        for (words, millis) in [
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
            assert_eq!(announced(words), millis.map(Duration::from_millis), "{words}");
        }
    }
}
