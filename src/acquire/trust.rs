//! The system's certificates, read once for clients that are made together: each reading takes
//! milliseconds and a hundred kilobytes, and there may be hundreds of accounts.

use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls_platform_verifier::Verifier;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A client that is made later than this, by a reload, reads them again.
const FRESH: Duration = Duration::from_secs(60);

static RECENT: Mutex<Option<(Instant, ClientConfig)>> = Mutex::new(None);

/// TLS as [`reqwest`] sets it up for HTTP/1.1 by itself. `None` where that fails: reqwest then says why.
pub(super) fn of_the_system() -> Option<ClientConfig> {
    let mut recent = RECENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((since, config)) = &*recent
        && since.elapsed() < FRESH
    {
        return Some(config.clone());
    }
    let provider = CryptoProvider::get_default()?;
    let verifier = Verifier::new(Arc::clone(provider)).ok()?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider));
    let mut config = builder
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    *recent = Some((Instant::now(), config.clone()));
    Some(config)
}
