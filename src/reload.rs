//! Reloads the configuration of a running dispatcher on SIGHUP.
//!
//! A blocking task reads it and makes its HTTP clients, while the dispatcher continues; the dispatcher
//! then switches to the complete result. An invalid configuration changes nothing.

use crate::acquire::read_back::AccountReader;
use crate::acquire::{Connection, Endpoint, EndpointError, IdFiller};
use crate::config::{Account, ChannelPolicy, Config, ConfigError, Notify, OnUncertain, Web};
use crate::dispatcher::routes::{Route, Routes};
use crate::limits::Descriptors;
use crate::queue::job::Channel;
use secrecy::ExposeSecret;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

/// Reads the configuration from file, environment and flags, as the start does.
type LoadConfig = Arc<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// Waits for SIGHUP and reads the configuration again.
pub struct Reload {
    source: Option<(Signal, LoadConfig)>,
    reading: Option<JoinHandle<Result<Reloaded, ReloadError>>>,
}

/// A configuration that was read, and its routes.
pub struct Reloaded {
    pub config: Config,
    pub routes: Routes,
}

/// Why a new configuration was not used.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the HTTP client cannot be set up: {0}")]
    Endpoint(#[from] EndpointError),
    #[error("reading the configuration failed: {0}")]
    Task(#[from] JoinError),
}

/// The steps of a reload.
pub enum ReloadStep {
    /// SIGHUP was received; reading begins.
    Requested,
    /// Reading has ended.
    Finished(Box<Result<Reloaded, ReloadError>>),
}

impl Reload {
    /// From now on SIGHUP no longer ends the program. One that arrives before the first call of
    /// [`Reload::next`] is not lost.
    ///
    /// # Errors
    /// If no handler can be installed.
    pub fn on_hangup(
        load: impl Fn() -> Result<Config, ConfigError> + Send + Sync + 'static,
    ) -> std::io::Result<Reload> {
        Ok(Reload { source: Some((signal(SignalKind::hangup())?, Arc::new(load))), reading: None })
    }

    /// Does not handle SIGHUP and never reloads.
    pub fn never() -> Reload {
        Reload { source: None, reading: None }
    }

    /// The next step. Cancel-safe: the next call continues.
    pub async fn next(&mut self) -> ReloadStep {
        if let Some(reading) = &mut self.reading {
            let read = reading.await;
            self.reading = None;
            return ReloadStep::Finished(Box::new(read.unwrap_or_else(|e| Err(e.into()))));
        }
        let Some((hangup, load)) = &mut self.source else { return std::future::pending().await };
        if hangup.recv().await.is_none() {
            return std::future::pending().await;
        }
        let load = Arc::clone(load);
        self.reading = Some(spawn_blocking(move || {
            let config = load()?;
            Ok(Reloaded { routes: routes(&config)?, config })
        }));
        ReloadStep::Requested
    }
}

/// The routes of a configuration: one per account and channel.
pub fn routes(config: &Config) -> Result<Routes, EndpointError> {
    let Descriptors { requests, idle_connections } = Descriptors::of_this_process(config);
    let mut routes = Vec::new();
    for (name, account) in &config.accounts {
        let mut endpoints: Vec<Arc<Endpoint>> = Vec::new();
        let fills = config.channels.values().any(|policy| policy.fill_missing);
        let filler = match fills {
            true => Some(Arc::new(IdFiller::new(reader(config, account)?))),
            false => None,
        };
        for channel in Channel::ALL {
            let policy = config.channels[&channel].clone();
            let connection = Connection { idle_connections, ..connection(account, &policy) };
            let mut endpoint = Endpoint::sharing(&endpoints, channel, &connection)?;
            if let Some(filler) = filler.as_ref().filter(|_| policy.fill_missing) {
                endpoint = endpoint.filling(Arc::clone(filler));
            }
            let endpoint = Arc::new(endpoint);
            endpoints.push(Arc::clone(&endpoint));
            routes.push(Route::new(name.clone(), channel, endpoint, policy));
        }
    }
    Ok(Routes::new(routes, config.retry.clone()).limited(requests, config.max_in_flight_bytes))
}

/// Reads what an account has at Acquire, with the timeouts of chat.
pub fn reader(config: &Config, account: &Account) -> Result<AccountReader, EndpointError> {
    let policy = &config.channels[&Channel::Chat];
    let connection = connection(account, policy);
    AccountReader::new(&Connection { at_most_once: false, idle_connections: 4, ..connection })
}

/// How to reach an account, with the timeouts of a channel.
pub fn connection<'a>(account: &'a Account, policy: &ChannelPolicy) -> Connection<'a> {
    Connection {
        base_url: &account.base_url,
        api_key: &account.api_key,
        user_type_parameter: &account.user_type_parameter,
        extra_roots: &account.extra_roots,
        request_timeout: policy.request_timeout,
        connect_timeout: policy.connect_timeout,
        proxy: account.proxy.as_ref(),
        at_most_once: policy.on_uncertain != OnUncertain::Retry,
        idle_connections: usize::MAX,
    }
}

/// Whether the dashboard's settings are unchanged. They take effect only at a restart.
pub fn has_same_web(old: Option<&Web>, new: Option<&Web>) -> bool {
    fn token(web: &Web) -> Option<&str> {
        web.token.as_ref().map(ExposeSecret::expose_secret)
    }
    match (old, new) {
        (None, None) => true,
        (Some(old), Some(new)) => {
            let same_address = old.listen == new.listen && old.hosts == new.hosts;
            let same_links = old.inbox == new.inbox && old.path_prefix == new.path_prefix;
            same_address && same_links && token(old) == token(new)
        }
        _ => false,
    }
}

/// Whether the target of notifications is unchanged. A change takes effect only at a restart.
pub fn has_same_notify(old: Option<&Notify>, new: Option<&Notify>) -> bool {
    fn secret(notify: &Notify) -> Option<&str> {
        notify.secret.as_ref().map(ExposeSecret::expose_secret)
    }
    match (old, new) {
        (None, None) => true,
        (Some(old), Some(new)) => old.target == new.target && secret(old) == secret(new),
        _ => false,
    }
}

/// The accounts of `new` that are not in `old`, or have a different address, key, proxy or certificates there.
pub fn changed_accounts(old: &Config, new: &Config) -> BTreeSet<String> {
    let same = |old: &Account, new: &Account| {
        old.base_url == new.base_url
            && old.user_type_parameter == new.user_type_parameter
            && old.extra_roots == new.extra_roots
            && old.proxy == new.proxy
            && old.api_key.expose_secret() == new.api_key.expose_secret()
    };
    let is_changed = |new: &&Account| old.accounts.get(&new.name).is_none_or(|old| !same(old, new));
    new.accounts.values().filter(is_changed).map(|account| account.name.clone()).collect()
}
