//! The configuration: a TOML file, then the environment, then flags; raw first, then validated.
//!
//! The file is the first of `--config`, `ACQUIRE_OUTBOX_CONFIG`, `acquire-outbox.toml` in the
//! working folder and `/etc/acquire-outbox/config.toml`; the last two may be missing. Relative
//! paths in it start at its folder. An environment variable that is empty counts as unset.

mod account;
mod address;
mod database;
mod error;
mod proxy;
mod raw;
mod secret;
mod section;
mod web;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use secrecy::SecretString;
use url::Url;

use self::account::RawAccount;
pub use self::database::Database;
pub use self::error::{ConfigError, Place};
use self::proxy::Proxies;
pub use self::proxy::Proxy;
use self::raw::RawConfig;
pub use self::web::ListenAddress;
use self::web::RawWeb;
use crate::queue::job::Channel;
pub use crate::queue::policy::{ChannelPolicy, OnUncertain, Rate, Retention};
use crate::queue::purpose::Purpose;
use crate::queue::retry::RetryPolicy;

/// The account of rows that name none, and the one that the environment configures.
pub const DEFAULT_ACCOUNT: &str = "default";

/// The key of every account under a sandbox, which takes any.
pub const SANDBOX_KEY: &str = "sandbox";

const DEFAULT_DATABASE: &str = "outbox.db";

const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// 64 MiB.
const DEFAULT_MAX_IN_FLIGHT_BYTES: u64 = 64 << 20;

/// Read when neither a flag nor the environment names a file; the first that exists.
const DEFAULT_FILES: [&str; 2] = ["acquire-outbox.toml", "/etc/acquire-outbox/config.toml"];

/// Reads an environment variable: `&|name| std::env::var_os(name)`.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// What the command line says; it comes before the environment and the file.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`: must exist.
    pub config: Option<PathBuf>,
    /// `--database`
    pub database: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<ListenAddress>,
}

/// The settings of the whole program, validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the outbox is. Default `outbox.db` in the working folder.
    pub database: Database,
    /// By name, which is the rows' `account`; never empty.
    pub accounts: BTreeMap<String, Account>,
    /// All three, always.
    pub channels: BTreeMap<Channel, ChannelPolicy>,
    /// `[retry]`: also paces the probes of a refused account.
    pub retry: RetryPolicy,
    /// How long finished rows are kept.
    pub retention: Retention,
    /// How long a stop waits for what is on the wire; at most 1 h. Default 30 s.
    pub shutdown_timeout: Duration,
    /// The most bytes of payloads that may be claimed or being sent at once, over all routes; a
    /// larger payload goes alone. Default 64 MiB.
    pub max_in_flight_bytes: u64,
    /// The dashboard. Default none.
    pub web: Option<Web>,
    /// Every account leads to a stand-in for Acquire: only a database that was made for it may be
    /// used.
    pub sandbox: bool,
}

impl Config {
    /// What the database must have been made for.
    pub fn purpose(&self) -> Purpose {
        if self.sandbox { Purpose::Sandbox } else { Purpose::Delivery }
    }
}

/// `[web]`: the dashboard. Its `Debug` shows no token.
#[derive(Debug, Clone)]
pub struct Web {
    /// Loopback, unless there is a token. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// At least 16 visible ASCII characters. `None`: anyone on this machine may read, nobody may act.
    pub token: Option<SecretString>,
    /// The names, in lower case, by which it is reached beside its address and loopback's.
    pub hosts: Vec<String>,
}

/// What a command that sends nothing asks of the configuration: no key is read for it.
#[derive(Debug, Clone)]
pub struct Outline {
    /// Where the outbox is.
    pub database: Database,
    /// The names of the configured accounts; may be empty.
    pub accounts: BTreeSet<String>,
    /// All three, always.
    pub channels: BTreeMap<Channel, ChannelPolicy>,
    /// How long finished rows are kept.
    pub retention: Retention,
}

/// One account at Acquire. Its `Debug` shows no key.
#[derive(Debug, Clone)]
pub struct Account {
    /// The rows' `account`.
    pub name: String,
    /// `https`, or `http` to loopback; no query, no fragment, no slash at the end of its path.
    pub base_url: Url,
    /// Not empty, visible ASCII: it fits into a header as it is.
    pub api_key: SecretString,
    /// The query parameter that says who writes. Default `x-user-type`.
    pub user_type_parameter: String,
    /// Certificates to trust beside the system's: `ca_file`. Default none.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// On the way to `base_url`, from the environment. Default none.
    pub proxy: Option<Proxy>,
}

impl Account {
    /// The URL of a path of the API, such as `/mail/add-message`; the leading slash may be left out.
    pub fn endpoint(&self, path: &str) -> Url {
        address::endpoint(&self.base_url, path)
    }

    fn in_sandbox(name: &str, base_url: &Url, user_type_parameter: Option<String>) -> Self {
        Account {
            name: name.to_owned(),
            base_url: base_url.clone(),
            api_key: SecretString::from(SANDBOX_KEY),
            user_type_parameter: account::parameter_or_default(user_type_parameter),
            extra_roots: Vec::new(),
            proxy: None,
        }
    }
}

impl Config {
    /// Every default, and the account `default` at a sandbox's `base_url` with a throw-away key;
    /// reads neither file nor environment.
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
            sandbox: true,
        }
    }
}

/// The whole configuration, keys read: what a command that talks to Acquire needs.
///
/// # Errors
/// [`ConfigError`], also when no account is configured or one has no address or no usable key.
pub fn load(flags: &Flags, env: Env<'_>) -> Result<Config, ConfigError> {
    Draft::load(&DEFAULT_FILES, flags, env)?.open(env)
}

/// Where the database is, for commands that need nothing else. A key that is missing or cannot
/// be read is no error here, nor is a missing account.
///
/// # Errors
/// [`ConfigError`] for a file that cannot be read, and for any value that is wrong by itself.
pub fn load_database(flags: &Flags, env: Env<'_>) -> Result<Database, ConfigError> {
    Ok(Draft::load(&DEFAULT_FILES, flags, env)?.database)
}

/// All that needs no key, for commands that look and change: a key that is missing or cannot be read
/// is no error here, nor is a missing account.
///
/// # Errors
/// As [`load_database`].
pub fn load_outline(flags: &Flags, env: Env<'_>) -> Result<Outline, ConfigError> {
    let draft = Draft::load(&DEFAULT_FILES, flags, env)?;
    Ok(Outline {
        database: draft.database,
        accounts: draft.accounts.into_keys().collect(),
        channels: draft.channels,
        retention: draft.retention,
    })
}

/// The configuration with every account (`default` where there is none) at a sandbox's
/// `base_url`, with [`SANDBOX_KEY`]: no real key is read, none is sent there.
///
/// # Errors
/// As [`load_sandbox_database`], and for a token of the dashboard that cannot be used.
pub fn load_for_sandbox(
    flags: &Flags,
    env: Env<'_>,
    base_url: &Url,
) -> Result<Config, ConfigError> {
    Draft::load(&DEFAULT_FILES, flags, env)?.in_sandbox(base_url, env)
}

/// As [`load_database`], for a sandbox's database.
///
/// # Errors As [`load_database`], and [`ConfigError::SystemDatabase`] for one that only the
/// machine's own configuration names: nobody has chosen it for the sandbox.
pub fn load_sandbox_database(flags: &Flags, env: Env<'_>) -> Result<Database, ConfigError> {
    Draft::load(&DEFAULT_FILES, flags, env)?.sandbox_database()
}

/// All layers, validated, but for the accounts: their keys are not read.
struct Draft {
    database: Database,
    /// The machine's own configuration file, if that names the database.
    database_of_system: Option<PathBuf>,
    accounts: BTreeMap<String, RawAccount>,
    channels: BTreeMap<Channel, ChannelPolicy>,
    retry: RetryPolicy,
    retention: Retention,
    shutdown_timeout: Duration,
    max_in_flight_bytes: u64,
    web: RawWeb,
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
            // Next to it are those of the machine's other outboxes, which are always named.
            Some(file.as_path()) == system
                || is_named && file.parent() == system.and_then(Path::parent)
        });
        let raw = match read {
            Some((file, text)) => RawConfig::read(&file, &text)?,
            None => RawConfig::default(),
        };
        let RawConfig { database, shutdown_timeout, mut accounts, channels, retry, .. } = raw;
        account::overlay_environment(&mut accounts, env)?;

        let given = match (&flags.database, variable(env, "ACQUIRE_OUTBOX_DATABASE")) {
            (Some(path), _) => Some((path.into(), Place::Flag("--database"))),
            (None, Some(path)) => Some((path, Place::Variable("ACQUIRE_OUTBOX_DATABASE"))),
            (None, None) => None,
        };
        let given = given.map(|(path, place)| Database::read(path, Path::new(""), &place));
        let given = given.transpose()?;
        let database_of_system = of_system.filter(|_| given.is_none() && database.is_some());
        let retry = retry.over(&Default::default())?;
        let policy = |channel| match channels.get(&channel) {
            Some(given) => given.over_defaults(&retry),
            None => Ok(ChannelPolicy { retry: retry.clone(), ..ChannelPolicy::default() }),
        };
        let policies = Channel::ALL.map(|channel| Ok((channel, policy(channel)?)));
        Ok(Draft {
            database: given.or(database).unwrap_or(DEFAULT_DATABASE.into()),
            database_of_system,
            accounts,
            channels: policies.into_iter().collect::<Result<_, ConfigError>>()?,
            retry,
            retention: raw.retention.over_defaults(),
            web: raw.web.overlay(flags, env)?,
            shutdown_timeout: shutdown_timeout.unwrap_or(DEFAULT_SHUTDOWN_TIMEOUT),
            max_in_flight_bytes: raw.max_in_flight_bytes.unwrap_or(DEFAULT_MAX_IN_FLIGHT_BYTES),
        })
    }

    fn open(mut self, env: Env<'_>) -> Result<Config, ConfigError> {
        let mut accounts = BTreeMap::new();
        let proxies = Proxies::read(env)?;
        for (name, account) in std::mem::take(&mut self.accounts) {
            let account = account.open(&name, env, &proxies)?;
            accounts.insert(name, account);
        }
        match accounts.is_empty() {
            true => Err(ConfigError::NoAccount),
            false => self.with_accounts(accounts, env),
        }
    }

    fn sandbox_database(&self) -> Result<Database, ConfigError> {
        match &self.database_of_system {
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
            sandbox: false,
        })
    }
}

/// The file that counts, and its text.
fn read_file(
    default_files: &[impl AsRef<Path>],
    flags: &Flags,
    env: Env<'_>,
) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let unreadable =
        |file: &Path, source| Err(ConfigError::Unreadable { file: file.to_owned(), source });
    let variable = || variable(env, "ACQUIRE_OUTBOX_CONFIG").map(PathBuf::from);
    if let Some(file) = flags.config.clone().or_else(variable) {
        return match std::fs::read_to_string(&file) {
            Ok(text) => Ok(Some((file, text))),
            Err(error) => unreadable(&file, error),
        };
    }
    for file in default_files.iter().map(AsRef::as_ref) {
        match std::fs::read_to_string(file) {
            Ok(text) => return Ok(Some((file.to_owned(), text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return unreadable(file, error),
        }
    }
    Ok(None)
}

/// An environment variable; an empty one counts as unset.
fn variable(env: Env<'_>, name: &str) -> Option<OsString> {
    env(name).filter(|value| !value.is_empty())
}
