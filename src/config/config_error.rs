//! What can be wrong with a configuration, and what to do about it.
//!
//! Errors quote no values except durations, rates, sizes and paths: any other value could be a
//! misplaced API key.

use super::database::Database;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A key in the configuration file, with its full name and its line (from 1).
    File { file: PathBuf, line: usize, key: String },
    /// An environment variable.
    Variable(&'static str),
    /// A command-line flag.
    Flag(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { file, line, key } => {
                write!(f, "{}, line {line}: `{key}`", file.display())
            }
            Place::Variable(name) => write!(f, "environment variable {name}"),
            Place::Flag(name) => f.write_str(name),
        }
    }
}

/// Why there is no usable configuration; the program exits with status 78.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A named file that is missing, or one that cannot be read as UTF-8.
    #[error(
        "cannot read the configuration file {}: {source}; make it readable, or name another one with \
         --config or ACQUIRE_OUTBOX_CONFIG", .file.display()
    )]
    Unreadable { file: PathBuf, source: io::Error },

    /// `line` counts from 1; `problem` is the parser's message.
    #[error("{}, line {line}: not valid TOML: {problem}", .file.display())]
    Syntax { file: PathBuf, line: usize, problem: String },

    /// `section` is `in [channels.sms]` or `at the top level`; `hint` lists the known keys.
    #[error("{}, line {line}: unknown key `{key}` {section}; {hint}", .file.display())]
    UnknownKey { file: PathBuf, line: usize, key: String, section: String, hint: String },

    /// `api_key` in the file.
    #[error(
        "{place}: an API key does not belong in this file; put it into a separate file that only the \
         service can read and set `api_key_file` to its path, or use `api_key_env` or \
         `api_key_credential`"
    )]
    KeyInFile { place: Place },

    /// `token` in `[web]`.
    #[error(
        "{place}: a token does not belong in this file; put it into a separate file that only the \
         service can read and set `token_file` to its path, or use `token_env` or \
         `token_credential`"
    )]
    TokenInFile { place: Place },

    /// `password` or `database_password` in the file.
    #[error(
        "{place}: a password does not belong in this file; put it into a separate file that only the \
         service can read and set `database_password_file` to its path, or use ~/.pgpass, \
         `database_password_env` or `database_password_credential`"
    )]
    PasswordInFile { place: Place },

    /// An invalid value; `problem` says what is allowed, or what to do.
    #[error("{place}: {problem}")]
    Invalid { place: Place, problem: String },

    /// A systemd credential, where systemd gives none: outside the service.
    #[error("{place}: {}", of_credential(*.is_packaged))]
    NoCredential {
        place: Place,
        /// Its name is the packages'. Another name is not kept: it may be a misplaced key.
        is_packaged: bool,
    },

    /// The sandbox would use the database of the system's configuration file.
    #[error(
        "the database {} comes from this machine's own configuration, {}, and the sandbox does not \
         use that one; create another with `acquire-outbox init --sandbox --database sandbox.db`, and name \
         it with --database or ACQUIRE_OUTBOX_DATABASE", .database,
        .file.display()
    )]
    SystemDatabase { file: PathBuf, database: Database },

    /// Neither the file nor the environment configures an account.
    #[error(
        "no Acquire account is configured; set ACQUIRE_ACCOUNT_ID and ACQUIRE_API_KEY, or add \
         a section [accounts.default] to acquire-outbox.toml"
    )]
    NoAccount,

    /// An account with neither `account_id` nor `base_url`.
    #[error(
        "account `{account}` has no address; give it `account_id` or `base_url`{}",
        or_variables(.account, "ACQUIRE_ACCOUNT_ID or ACQUIRE_BASE_URL")
    )]
    NoAddress { account: String },

    /// An account with no key setting.
    #[error(
        "account `{account}` has no API key; give it `api_key_file`, `api_key_env` or \
         `api_key_credential`{}",
        or_variables(.account, "ACQUIRE_API_KEY or ACQUIRE_API_KEY_FILE")
    )]
    NoKey { account: String },
}

impl ConfigError {
    pub(super) fn invalid(place: &Place, problem: impl Into<String>) -> Self {
        ConfigError::Invalid { place: place.clone(), problem: problem.into() }
    }
}

/// The packaged unit's credential, and the file that it is read from.
pub(super) const PACKAGED: (&str, &str) = ("acquire-api-key", "/etc/acquire-outbox/key");

/// Only a name that the package has given is shown: another may be a misplaced key.
fn of_credential(is_packaged: bool) -> String {
    let (name, path) = if is_packaged { PACKAGED } else { ("NAME", "PATH") };
    format!(
        "only the service has this systemd credential (CREDENTIALS_DIRECTORY is not set); to use it for a \
         command, put `systemd-run --pipe --wait --property=LoadCredential={name}:{path}` in front of the \
         command, as root"
    )
}

/// The environment variables configure only the account `default`.
fn or_variables(account: &str, variables: &str) -> String {
    if account == super::DEFAULT_ACCOUNT { format!(", or set {variables}") } else { String::new() }
}
