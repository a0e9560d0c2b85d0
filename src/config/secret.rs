//! Where an account's API key comes from, and reading it.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::Env;
use super::error::{ConfigError, Place};

/// Far more than any key: a wrong path shall not fill the memory.
const MAX_KEY_FILE_BYTES: u64 = 64 * 1024;

/// A name this short is the name of something, and may be shown.
const SURELY_NO_KEY: usize = 12;

/// Where the key is, not yet read. It is no `Debug`: a key may stand where a name should.
pub(super) struct KeySource {
    pub place: Place,
    pub kind: KeyKind,
}

pub(super) enum KeyKind {
    File(PathBuf),
    /// The name of an environment variable.
    Variable(String),
    /// The name of a systemd credential: a file under `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// The key itself, from the environment.
    Itself(OsString),
}

impl KeySource {
    /// What can be wrong before anything is read: the names.
    pub fn check(self) -> Result<Self, ConfigError> {
        let problem = match &self.kind {
            KeyKind::Variable(name) if !is_variable_name(name) => {
                Some("the name of an environment variable is needed, not the key itself")
            }
            KeyKind::Credential(name) if name.contains('/') || name == "." || name == ".." => {
                Some("the name of a credential is needed, not a path")
            }
            _ => None,
        };
        match problem {
            Some(problem) => Err(ConfigError::invalid(&self.place, problem)),
            None => Ok(self),
        }
    }

    /// The key, checked to be one that fits into an HTTP header.
    pub fn read(&self, env: Env<'_>) -> Result<SecretString, ConfigError> {
        let key = match &self.kind {
            KeyKind::File(path) => self.read_file(path, Readers::NotOthers)?,
            KeyKind::Credential(name) => {
                let folder = super::variable(env, "CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    self.invalid(
                        "CREDENTIALS_DIRECTORY is not set; run as a systemd service with \
                         LoadCredential= or LoadCredentialEncrypted=",
                    )
                })?;
                self.read_file(&Path::new(&folder).join(name), Readers::AsSystemdSet)?
            }
            KeyKind::Variable(name) => super::variable(env, name)
                .ok_or_else(|| {
                    let known = name.len() <= SURELY_NO_KEY || name.contains("API_KEY");
                    let name = if known { name } else { "named here" };
                    self.invalid(format!("the environment variable {name} is not set, or empty"))
                })?
                .into_encoded_bytes(),
            KeyKind::Itself(key) => key.clone().into_encoded_bytes(),
        };
        let key = key.trim_ascii_end();
        if key.is_empty() {
            return Err(self.invalid("the API key is empty"));
        }
        match std::str::from_utf8(key) {
            Ok(text) if key.iter().all(u8::is_ascii_graphic) => Ok(SecretString::from(text)),
            _ => Err(self.invalid(
                "the API key must be one line of visible ASCII characters, without white space",
            )),
        }
    }

    fn read_file(&self, path: &Path, readers: Readers) -> Result<Vec<u8>, ConfigError> {
        // As long as nothing opens, a long name may be a key in the wrong place.
        let name = path.file_name().filter(|name| name.len() <= SURELY_NO_KEY);
        let named = name.map_or(String::new(), |_| format!(" {}", path.display()));
        let unreadable = |error: std::io::Error| {
            self.invalid(format!("cannot read the key file{named}: {error}"))
        };
        let file = File::open(path).map_err(unreadable)?;
        let found = file.metadata().map_err(unreadable)?;
        let mode = found.permissions().mode();
        if readers == Readers::NotOthers && found.is_file() && mode & 0o004 != 0 {
            let path = path.display();
            return Err(self.invalid(format!(
                "every user of this machine can read the key file; run: chmod o-r {path}"
            )));
        }
        let mut key = Vec::new();
        file.take(MAX_KEY_FILE_BYTES).read_to_end(&mut key).map_err(unreadable)?;
        Ok(key)
    }

    fn invalid(&self, problem: impl Into<String>) -> ConfigError {
        ConfigError::invalid(&self.place, problem)
    }
}

/// Whose reading of the key file is checked.
#[derive(PartialEq)]
enum Readers {
    NotOthers,
    /// The credentials folder is closed by systemd, and its files cannot be changed.
    AsSystemdSet,
}

fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
