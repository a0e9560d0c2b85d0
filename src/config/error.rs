//! What can be wrong with a configuration, each as a sentence that says what to do.
//!
//! No error carries a text value of the file or the environment, but for durations, rates and
//! paths: a misplaced API key may stand in any of the others.

use super::database::Database;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A key of the configuration file, by its full name and its line (from 1).
    File { file: PathBuf, line: usize, key: String },
    /// An environment variable.
    Variable(&'static str),
    /// A flag of the command line.
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
    /// A file that was named and is missing, or one that is there and cannot be read as UTF-8.
    #[error(
        "cannot read the configuration file {}: {source}; make it readable, or name another with \
         --config or ACQUIRE_OUTBOX_CONFIG", .file.display()
    )]
    Unreadable { file: PathBuf, source: io::Error },

    /// `line` counts from 1; `problem` is the parser's.
    #[error("{}, line {line}: not valid TOML: {problem}", .file.display())]
    Syntax { file: PathBuf, line: usize, problem: String },

    /// `section` reads `in [channels.sms]` or `at the top level`; `hint` names the known keys.
    #[error("{}, line {line}: unknown key `{key}` {section}; {hint}", .file.display())]
    UnknownKey { file: PathBuf, line: usize, key: String, section: String, hint: String },

    /// A key `api_key` in the file; its value is not repeated.
    #[error(
        "{place}: an API key does not belong in this file; put it into a file of its own that only \
         the service can read and name that as `api_key_file`, or use `api_key_env` or \
         `api_key_credential`"
    )]
    KeyInFile { place: Place },

    /// A key `token` in `[web]`; its value is not repeated.
    #[error(
        "{place}: a token does not belong in this file; put it into a file of its own that only \
         the service can read and name that as `token_file`, or use `token_env` or \
         `token_credential`"
    )]
    TokenInFile { place: Place },

    /// A value that cannot be used; `problem` says what is allowed, or what to do.
    #[error("{place}: {problem}")]
    Invalid { place: Place, problem: String },

    /// The sandbox would work on the database that the machine's own configuration names.
    #[error(
        "{} names {}, which is this machine's own database, and the sandbox never works on that; name \
         another one with `--database sandbox.db` or ACQUIRE_OUTBOX_DATABASE", .file.display(),
        .database
    )]
    SystemDatabase { file: PathBuf, database: Database },

    /// Neither the file nor the environment names one.
    #[error(
        "no Acquire account is configured; set ACQUIRE_ACCOUNT_ID and ACQUIRE_API_KEY, or write a \
         section [accounts.default] into acquire-outbox.toml"
    )]
    NoAccount,

    /// An account with neither `account_id` nor `base_url`.
    #[error(
        "account `{account}` has no address; give it `account_id` or `base_url`{}",
        or_variables(.account, "ACQUIRE_ACCOUNT_ID or ACQUIRE_BASE_URL")
    )]
    NoAddress { account: String },

    /// An account that says nowhere where its key is.
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

/// The variables speak of the account `default` alone.
fn or_variables(account: &str, variables: &str) -> String {
    if account == super::DEFAULT_ACCOUNT { format!(", or set {variables}") } else { String::new() }
}
