//! The configuration: flags override the environment, which overrides a TOML file. It is read into raw
//! values, then validated.
//!
//! The file is the first of `--config`, `ACQUIRE_OUTBOX_CONFIG`, `acquire-outbox.toml` in the
//! working directory and `/etc/acquire-outbox/config.toml`; the last two may be missing. Relative paths
//! in it are relative to its directory. An empty environment variable counts as unset.

mod address;
mod config_error;
mod database;
mod loading;
mod inbox_link;
mod pass_file;
mod path_prefix;
mod postgres_server;
mod proxy;
mod raw;
mod raw_account;
mod raw_notify;
mod raw_web;
mod secret;
mod section;
pub mod settings;
mod sources;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use secrecy::SecretString;
use url::Url;

pub use self::config_error::{ConfigError, Place};
pub use self::database::Database;
use self::database::DatabaseLayers;
pub use self::inbox_link::InboxLink;
pub use self::loading::{
    LeftOut, is_database_named, load, load_database, load_end, load_for_sandbox, load_outline,
    load_sandbox_database, load_without_credentials,
};
pub use self::path_prefix::{OWN_PATHS, PathPrefix};
pub use self::postgres_server::{PostgresServer, ServerHost, ServerTls};
use self::proxy::Proxies;
pub use self::proxy::Proxy;
use self::raw::RawConfig;
pub use self::raw_account::AccountAddress;
use self::raw_account::RawAccount;
use self::raw_notify::RawNotify;
pub use self::raw_notify::{Notify, NotifyTarget};
pub use self::raw_web::ListenAddress;
use self::raw_web::RawWeb;
use self::sources::{given_database, parsed_variable, read_file, text_variable, variable};
use crate::queue::job::Channel;
use crate::queue::policy::Purpose;
pub use crate::queue::policy::{ChannelPolicy, OnUncertain, Rate, Retention};
use crate::queue::retry::RetryPolicy;

/// The account of rows that do not name one; the environment variables configure this account.
pub const DEFAULT_ACCOUNT: &str = "default";

/// The key of every account in a sandbox, which accepts any key.
pub const SANDBOX_KEY: &str = "sandbox";

const DEFAULT_DATABASE: &str = "outbox.db";

const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// 64 MiB.
const DEFAULT_MAX_IN_FLIGHT_BYTES: u64 = 64 << 20;

/// Used if neither a flag nor the environment names a file: the first that exists.
const DEFAULT_FILES: [&str; 2] = ["acquire-outbox.toml", "/etc/acquire-outbox/config.toml"];

/// Reads an environment variable: `&|name| std::env::var_os(name)`.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Settings from the command line, which override all others.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`; the file must exist.
    pub config: Option<PathBuf>,
    /// `--database`
    pub database: Option<PathBuf>,
    /// `--schema`
    pub schema: Option<String>,
    /// `--listen`
    pub listen: Option<ListenAddress>,
}

/// The validated settings of the whole program.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the outbox is. Default `outbox.db` in the working directory.
    pub database: Database,
    /// By name, as in the column `account`; never empty.
    pub accounts: BTreeMap<String, Account>,
    /// Always has all three channels.
    pub channels: BTreeMap<Channel, ChannelPolicy>,
    /// `[retry]`; also determines how often a refused account is probed.
    pub retry: RetryPolicy,
    /// How long finished rows are kept.
    pub retention: Retention,
    /// How long to wait at shutdown for requests in flight; at most 1 h. Default 30 s.
    pub shutdown_timeout: Duration,
    /// The most bytes of payloads that may be claimed or in flight, over all routes. A larger payload is
    /// sent alone. Default 64 MiB.
    pub max_in_flight_bytes: u64,
    /// The dashboard. Default none.
    pub web: Option<Web>,
    /// Whom to tell when the verdict changes. Default nobody.
    pub notify: Option<Notify>,
    /// Every account's address is a stand-in for Acquire; only a sandbox's database may be used.
    pub sandbox: bool,
}

impl Config {
    /// The channels with `fill_missing`.
    pub fn filled_channels(&self) -> Vec<Channel> {
        filled(&self.channels)
    }

    /// The purpose that the database must have.
    pub fn purpose(&self) -> Purpose {
        if self.sandbox { Purpose::Sandbox } else { Purpose::Delivery }
    }
}

/// `[web]`: the dashboard. Its `Debug` shows no token.
#[derive(Debug, Clone)]
pub struct Web {
    /// Loopback, unless there is a token. Port 0 chooses a free port.
    pub listen: SocketAddr,
    /// At least 16 visible ASCII characters. `None`: everyone on this machine may read, nobody may act.
    pub token: Option<SecretString>,
    /// Host names, in lower case, by which it can be reached, in addition to its address and loopback.
    pub hosts: Vec<String>,
    /// Where a case is in Acquire's own inbox.
    pub inbox: Option<InboxLink>,
    /// Below which path a reverse proxy has it.
    pub path_prefix: Option<PathPrefix>,
}

/// The settings that need no key, for commands that send nothing.
#[derive(Debug, Clone)]
pub struct Outline {
    /// Where the outbox is.
    pub database: Database,
    /// The accounts by name; may be empty.
    pub accounts: BTreeMap<String, AccountAddress>,
    /// `[web] inbox_url`.
    pub inbox: Option<InboxLink>,
    /// Always has all three channels.
    pub channels: BTreeMap<Channel, ChannelPolicy>,
    /// How long finished rows are kept.
    pub retention: Retention,
}

impl Outline {
    /// The channels with `fill_missing`.
    pub fn filled_channels(&self) -> Vec<Channel> {
        filled(&self.channels)
    }
}

fn filled(channels: &BTreeMap<Channel, ChannelPolicy>) -> Vec<Channel> {
    channels.iter().filter(|(_, policy)| policy.fill_missing).map(|(channel, _)| *channel).collect()
}

/// One account at Acquire. Its `Debug` shows no key.
#[derive(Debug, Clone)]
pub struct Account {
    /// As in the column `account`.
    pub name: String,
    /// `https`, or `http` to loopback; without query, fragment and trailing slash.
    pub base_url: Url,
    /// Not empty, visible ASCII: valid in a header.
    pub api_key: SecretString,
    /// The query parameter for the sender's type. Default `x-user-type`.
    pub user_type_parameter: String,
    /// Certificates to trust in addition to the system's: `ca_file`. Default none.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// The proxy for `base_url`, from the environment. Default none.
    pub proxy: Option<Proxy>,
}

impl Account {
    fn in_sandbox(name: &str, base_url: &Url, user_type_parameter: Option<String>) -> Self {
        Account {
            name: name.to_owned(),
            base_url: base_url.clone(),
            api_key: SecretString::from(SANDBOX_KEY),
            user_type_parameter: raw_account::parameter_or_default(user_type_parameter),
            extra_roots: Vec::new(),
            proxy: None,
        }
    }
}

impl Config {
    /// All defaults, and the account `default` at a sandbox's `base_url`. Reads neither file nor
    /// environment.
    pub fn for_sandbox(database: Database, base_url: &Url) -> Self {
        let account = Account::in_sandbox(DEFAULT_ACCOUNT, base_url, None);
        let policies = Channel::ALL.map(|channel| (channel, ChannelPolicy::default()));
        Config {
            database,
            accounts: BTreeMap::from([(account.name.clone(), account)]),
            channels: BTreeMap::from(policies),
            retry: RetryPolicy::default(),
            retention: Retention::default(),
            shutdown_timeout: DEFAULT_SHUTDOWN_TIMEOUT,
            max_in_flight_bytes: DEFAULT_MAX_IN_FLIGHT_BYTES,
            web: None,
            notify: None,
            sandbox: true,
        }
    }
}

/// All layers combined and validated, but without the accounts' keys.
struct Draft {
    database: Database,
    /// Whether a flag, the environment or a file names it.
    is_named: bool,
    /// The system's configuration file, if that names the database.
    system_file: Option<PathBuf>,
    accounts: BTreeMap<String, RawAccount>,
    channels: BTreeMap<Channel, ChannelPolicy>,
    retry: RetryPolicy,
    retention: Retention,
    shutdown_timeout: Duration,
    max_in_flight_bytes: u64,
    web: RawWeb,
    notify: RawNotify,
}

impl Draft {
    fn load(
        default_files: &[impl AsRef<Path>],
        flags: &Flags,
        env: Env<'_>,
    ) -> Result<Self, ConfigError> {
        let read = read_file(default_files, flags, env)?;
        let system: Option<&Path> = default_files.last().map(AsRef::as_ref);
        let is_named = flags.config.is_some() || variable(env, "ACQUIRE_OUTBOX_CONFIG").is_some();
        let of_system = read.as_ref().map(|(file, _)| file.clone()).filter(|file| {
            // The files next to it are those of other outboxes, which are always named.
            Some(file.as_path()) == system
                || is_named && file.parent() == system.and_then(Path::parent)
        });
        let raw = match read {
            Some((file, text)) => RawConfig::read(&file, &text)?,
            None => RawConfig::default(),
        };
        let RawConfig {
            database,
            schema,
            database_password,
            shutdown_timeout,
            mut accounts,
            channels,
            retry,
            ..
        } = raw;
        raw_account::overlay_environment(&mut accounts, env)?;

        let by_environment = variable(env, "ACQUIRE_OUTBOX_DATABASE");
        let mut layers = DatabaseLayers::of_flags(flags, env)?;
        layers.database[1] =
            given_database(by_environment, Place::Variable("ACQUIRE_OUTBOX_DATABASE"))?;
        layers.schema[1] = text_variable(env, "ACQUIRE_OUTBOX_SCHEMA")?;
        (layers.database[2], layers.schema[2]) = (database, schema);
        layers.file_password = database_password;
        let [by_flag, by_environment, by_file] = &layers.database;
        let is_by_file = by_flag.is_none() && by_environment.is_none() && by_file.is_some();
        let system_file = of_system.filter(|_| is_by_file);
        let is_named = layers.database.iter().any(Option::is_some);
        let retry = retry.over(&Default::default())?;
        let policy = |channel| match channels.get(&channel) {
            Some(given) => given.over_defaults(&retry),
            None => Ok(ChannelPolicy { retry: retry.clone(), ..ChannelPolicy::default() }),
        };
        let policies = Channel::ALL.map(|channel| Ok((channel, policy(channel)?)));
        Ok(Draft {
            database: layers.combined(DEFAULT_DATABASE, env)?,
            is_named,
            system_file,
            accounts,
            channels: policies.into_iter().collect::<Result<_, ConfigError>>()?,
            retry,
            retention: raw.retention.over_defaults(),
            web: raw.web.overlay(flags, env)?,
            notify: raw.notify.overlay(env)?,
            shutdown_timeout: shutdown_timeout.unwrap_or(DEFAULT_SHUTDOWN_TIMEOUT),
            max_in_flight_bytes: raw.max_in_flight_bytes.unwrap_or(DEFAULT_MAX_IN_FLIGHT_BYTES),
        })
    }

    fn open(self, env: Env<'_>) -> Result<Config, ConfigError> {
        let (config, left_out) = self.open_in_part(env)?;
        match left_out.into_iter().next() {
            Some(left_out) => Err(left_out.reason),
            None => Ok(config),
        }
    }

    fn open_in_part(mut self, env: Env<'_>) -> Result<(Config, Vec<LeftOut>), ConfigError> {
        if self.accounts.is_empty() {
            return Err(ConfigError::NoAccount);
        }
        let (mut accounts, mut left_out) = (BTreeMap::new(), Vec::new());
        let proxies = Proxies::read(env)?;
        for (name, account) in std::mem::take(&mut self.accounts) {
            match account.open(&name, env, &proxies) {
                Ok(account) => drop(accounts.insert(name, account)),
                Err(reason @ ConfigError::NoCredential { .. }) => {
                    left_out.push(LeftOut { part: format!("account {name}"), reason });
                }
                Err(e) => return Err(e),
            }
        }
        let web = match std::mem::take(&mut self.web).open(env) {
            Err(reason @ ConfigError::NoCredential { .. }) => {
                left_out.push(LeftOut { part: "the dashboard's token".to_owned(), reason });
                None
            }
            web => web?,
        };
        Ok((Config { web, ..self.with_accounts(accounts, env)? }, left_out))
    }

    fn sandbox_database(&self) -> Result<Database, ConfigError> {
        match &self.system_file {
            Some(file) => Err(ConfigError::SystemDatabase {
                file: file.clone(),
                database: self.database.clone(),
            }),
            None => Ok(self.database.clone()),
        }
    }

    fn in_sandbox(mut self, base_url: &Url, env: Env<'_>) -> Result<Config, ConfigError> {
        self.sandbox_database()?;
        if self.accounts.is_empty() {
            self.accounts.insert(DEFAULT_ACCOUNT.to_owned(), RawAccount::default());
        }
        let accounts = std::mem::take(&mut self.accounts).into_iter().map(|(name, account)| {
            let account = Account::in_sandbox(&name, base_url, account.user_type_parameter);
            (name, account)
        });
        Ok(Config { sandbox: true, ..self.with_accounts(accounts.collect(), env)? })
    }

    fn with_accounts(
        self,
        accounts: BTreeMap<String, Account>,
        env: Env<'_>,
    ) -> Result<Config, ConfigError> {
        Ok(Config {
            database: self.database,
            accounts,
            channels: self.channels,
            retry: self.retry,
            retention: self.retention,
            shutdown_timeout: self.shutdown_timeout,
            max_in_flight_bytes: self.max_in_flight_bytes,
            web: self.web.open(env)?,
            notify: self.notify.open(env)?,
            sandbox: false,
        })
    }
}
