//! Loading the configuration, or the part of it that a command needs.

use super::database::DatabaseLayers;
use super::{
    Config, ConfigError, DEFAULT_DATABASE, DEFAULT_FILES, Database, Draft, Env, Flags, Outline,
};
use url::Url;

/// The whole configuration with its keys, for commands that talk to Acquire.
///
/// # Errors
/// [`ConfigError`], also if there is no account, or an account without an address or a usable key.
pub fn load(flags: &Flags, env: Env<'_>) -> Result<Config, ConfigError> {
    Draft::load(&DEFAULT_FILES, flags, env)?.open(env)
}

/// As [`load`], for `check` outside the service: what needs a systemd credential is left out, and named
/// with the reason.
///
/// # Errors
/// As [`load`], except for a missing credential.
pub fn load_without_credentials(
    flags: &Flags,
    env: Env<'_>,
) -> Result<(Config, Vec<LeftOut>), ConfigError> {
    Draft::load(&DEFAULT_FILES, flags, env)?.open_in_part(env)
}

/// A part of the configuration that cannot be used outside the service.
#[derive(Debug)]
pub struct LeftOut {
    /// `account shop`, `the dashboard's token`
    pub part: String,
    /// [`ConfigError::NoCredential`]
    pub reason: ConfigError,
}

/// Where the outbox is, for commands that need nothing else. Missing accounts and missing or
/// unreadable keys are not errors here.
///
/// # Errors
/// [`ConfigError`] for a file that cannot be read, and for every invalid value.
pub fn load_database(flags: &Flags, env: Env<'_>) -> Result<Database, ConfigError> {
    Ok(Draft::load(&DEFAULT_FILES, flags, env)?.database)
}

/// Whether a flag, the environment or a file names the database, which is `outbox.db` otherwise.
///
/// # Errors
/// As [`load_database`].
pub fn is_database_named(flags: &Flags, env: Env<'_>) -> Result<bool, ConfigError> {
    Ok(Draft::load(&DEFAULT_FILES, flags, env)?.is_named)
}

/// A database that a command names by itself, with no file read: only its flags count, and for a
/// password the environment.
///
/// # Errors
/// As [`load_database`].
pub fn load_end(flags: &Flags, env: Env<'_>) -> Result<Database, ConfigError> {
    DatabaseLayers::of_flags(flags, env)?.combined(DEFAULT_DATABASE, env)
}

/// All settings that need no key. Missing accounts and missing or unreadable keys are not errors here.
///
/// # Errors
/// As [`load_database`].
pub fn load_outline(flags: &Flags, env: Env<'_>) -> Result<Outline, ConfigError> {
    let draft = Draft::load(&DEFAULT_FILES, flags, env)?;
    Ok(Outline {
        database: draft.database,
        accounts: draft.accounts.iter().map(|(name, raw)| (name.clone(), raw.into())).collect(),
        inbox: draft.web.inbox,
        channels: draft.channels,
        retention: draft.retention,
    })
}

/// The configuration with every account (`default` if there is none) at a sandbox's `base_url` with
/// `SANDBOX_KEY`, so that no real key is read or sent there.
///
/// # Errors
/// As [`load_sandbox_database`], and for an unusable token of the dashboard.
pub fn load_for_sandbox(
    flags: &Flags,
    env: Env<'_>,
    base_url: &Url,
) -> Result<Config, ConfigError> {
    Draft::load(&DEFAULT_FILES, flags, env)?.in_sandbox(base_url, env)
}

/// As [`load_database`], for a sandbox's database.
///
/// # Errors
/// As [`load_database`], and [`ConfigError::SystemDatabase`] if only the system's configuration file
/// names the database: it may be in production.
pub fn load_sandbox_database(flags: &Flags, env: Env<'_>) -> Result<Database, ConfigError> {
    Draft::load(&DEFAULT_FILES, flags, env)?.sandbox_database()
}
