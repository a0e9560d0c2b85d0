//! A new configuration for a running dispatcher, asked for by SIGHUP.
//!
//! It is read, and its clients are set up, beside the loop; the loop only takes over what is
//! whole. What cannot be used changes nothing.

use crate::acquire::{Connection, Endpoint, EndpointError};
use crate::config::{Account, ChannelPolicy, Config, ConfigError, OnUncertain, Web};
use crate::dispatcher::routes::{Route, Routes};
use crate::limits::Descriptors;
use crate::queue::job::Channel;
use secrecy::ExposeSecret;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

/// Reads the configuration as the start did: file, environment, flags.
type Load = Arc<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// Waits for SIGHUP and reads the configuration anew.
pub struct Reload {
    source: Option<(Signal, Load)>,
    reading: Option<JoinHandle<Result<Fresh, ReloadError>>>,
}

/// A configuration, and the routes that it makes.
pub struct Fresh {
    pub config: Config,
    pub routes: Routes,
}

/// Why a new configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the HTTP client cannot be set up: {0}")]
    Endpoint(#[from] EndpointError),
    #[error("reading the configuration failed: {0}")]
    Task(#[from] JoinError),
}

/// How far a reload has got.
pub enum Step {
    /// It is asked for, and begins.
    Asked,
    Read(Box<Result<Fresh, ReloadError>>),
}

impl Reload {
    /// From now on SIGHUP ends the program no more. One that comes before [`Reload::next`] is
    /// first called counts then.
    ///
    /// # Errors
    /// When the signal cannot be received.
    pub fn on_hangup(
        load: impl Fn() -> Result<Config, ConfigError> + Send + Sync + 'static,
    ) -> std::io::Result<Reload> {
        Ok(Reload { source: Some((signal(SignalKind::hangup())?, Arc::new(load))), reading: None })
    }

    /// SIGHUP is left alone, and nothing is ever reloaded.
    pub fn never() -> Reload {
        Reload { source: None, reading: None }
    }

    /// The next step. Dropping the future loses nothing: the next call goes on.
    pub async fn next(&mut self) -> Step {
        if let Some(reading) = &mut self.reading {
            let read = reading.await;
            self.reading = None;
            return Step::Read(Box::new(read.unwrap_or_else(|e| Err(e.into()))));
        }
        let Some((hangup, load)) = &mut self.source else { return std::future::pending().await };
        if hangup.recv().await.is_none() {
            return std::future::pending().await;
        }
        let load = Arc::clone(load);
        self.reading = Some(spawn_blocking(move || {
            let config = load()?;
            Ok(Fresh { routes: routes(&config)?, config })
        }));
        Step::Asked
    }
}

/// The routes of a configuration: one per account and channel.
pub fn routes(config: &Config) -> Result<Routes, EndpointError> {
    let Descriptors { requests, idle_connections } = Descriptors::of_this_process(config);
    let mut routes = Vec::new();
    for (name, account) in &config.accounts {
        let mut endpoints: Vec<Arc<Endpoint>> = Vec::new();
        for channel in Channel::ALL {
            let policy = config.channels[&channel].clone();
            let connection = Connection { idle_connections, ..connection(account, &policy) };
            let endpoint = Arc::new(Endpoint::beside(&endpoints, channel, &connection)?);
            endpoints.push(Arc::clone(&endpoint));
            routes.push(Route::new(name.clone(), channel, endpoint, policy));
        }
    }
    Ok(Routes::new(routes, config.retry.clone()).limited(requests, config.max_in_flight_bytes))
}

/// How an account is reached with a channel's time limits.
pub fn connection<'a>(account: &'a Account, policy: &ChannelPolicy) -> Connection<'a> {
    Connection {
        base_url: &account.base_url,
        api_key: &account.api_key,
        user_type_parameter: &account.user_type_parameter,
        extra_roots: &account.extra_roots,
        request_timeout: policy.request_timeout,
        connect_timeout: policy.connect_timeout,
        proxy: account.proxy.as_ref(),
        at_most_once: policy.on_uncertain == OnUncertain::Hold,
        idle_connections: usize::MAX,
    }
}

/// Whether the dashboard stays as it is: it is not reloaded.
pub fn same_web(old: Option<&Web>, new: Option<&Web>) -> bool {
    fn token(web: &Web) -> Option<&str> {
        web.token.as_ref().map(ExposeSecret::expose_secret)
    }
    match (old, new) {
        (None, None) => true,
        (Some(old), Some(new)) => {
            old.listen == new.listen && old.hosts == new.hosts && token(old) == token(new)
        }
        _ => false,
    }
}

/// The accounts that `new` reaches in another way than `old`: another key, another
/// address, other certificates to trust.
pub fn renewed(old: &Config, new: &Config) -> BTreeSet<String> {
    let same = |old: &Account, new: &Account| {
        old.base_url == new.base_url
            && old.user_type_parameter == new.user_type_parameter
            && old.extra_roots == new.extra_roots
            && old.proxy == new.proxy
            && old.api_key.expose_secret() == new.api_key.expose_secret()
    };
    let renewed = |new: &&Account| old.accounts.get(&new.name).is_none_or(|old| !same(old, new));
    new.accounts.values().filter(renewed).map(|account| account.name.clone()).collect()
}
