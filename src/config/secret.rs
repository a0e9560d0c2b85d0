//! Where an API key, the dashboard's token or the database's password is, and how it is read.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::config_error::{ConfigError, PACKAGED, Place};
use super::section::Section;
use super::{Env, variable};

/// Far longer than any key. The path may be wrong, and the file huge.
const MAX_KEY_FILE_BYTES: u64 = 64 * 1024;

/// A text that is not longer cannot be a key in the wrong place, so an error may show it.
const TOO_SHORT_FOR_KEY: usize = 12;

/// What is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secret {
    ApiKey,
    WebToken,
    DatabasePassword,
    SigningKey,
}

impl Secret {
    fn name(self) -> &'static str {
        match self {
            Secret::ApiKey => "API key",
            Secret::WebToken => "token",
            Secret::DatabasePassword => "password",
            Secret::SigningKey => "secret",
        }
    }

    fn short(self) -> &'static str {
        match self {
            Secret::ApiKey => "key",
            Secret::WebToken => "token",
            Secret::DatabasePassword => "password",
            Secret::SigningKey => "secret",
        }
    }
}

impl Secret {
    /// The settings for it in its section: a path, the name of a variable, the name of a credential.
    fn settings(self) -> [&'static str; 3] {
        match self {
            Secret::ApiKey => ["api_key_file", "api_key_env", "api_key_credential"],
            Secret::WebToken => ["token_file", "token_env", "token_credential"],
            Secret::DatabasePassword => {
                ["database_password_file", "database_password_env", "database_password_credential"]
            }
            Secret::SigningKey => ["secret_file", "secret_env", "secret_credential"],
        }
    }

    /// The environment variables for it: a path, or the secret itself.
    fn variables(self) -> [&'static str; 2] {
        match self {
            Secret::ApiKey => ["ACQUIRE_API_KEY_FILE", "ACQUIRE_API_KEY"],
            Secret::WebToken => ["ACQUIRE_OUTBOX_WEB_TOKEN_FILE", "ACQUIRE_OUTBOX_WEB_TOKEN"],
            Secret::DatabasePassword => ["ACQUIRE_OUTBOX_DATABASE_PASSWORD_FILE", "PGPASSWORD"],
            Secret::SigningKey => {
                ["ACQUIRE_OUTBOX_NOTIFY_SECRET_FILE", "ACQUIRE_OUTBOX_NOTIFY_SECRET"]
            }
        }
    }
}

/// Where the key is. Not `Debug`: a key may be misplaced in a name.
pub(super) struct KeySource {
    of: Secret,
    pub place: Place,
    kind: KeyKind,
}

enum KeyKind {
    File(PathBuf),
    /// The name of an environment variable.
    Variable(String),
    /// The name of a systemd credential: a file under `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// The key itself, from the environment.
    Itself(OsString),
}

impl KeySource {
    /// The one that the file sets. A relative path is relative to `folder`.
    pub fn in_section(
        of: Secret,
        section: &Section<'_>,
        folder: &Path,
    ) -> Result<Option<Self>, ConfigError> {
        let [file, variable, credential] = of.settings();
        let given = [
            section.text(file)?.map(|path| (path.place, KeyKind::File(folder.join(path.value)))),
            section.text(variable)?.map(|name| (name.place, KeyKind::Variable(name.value))),
            section.text(credential)?.map(|name| (name.place, KeyKind::Credential(name.value))),
        ];
        let twice = format!(
            "the {} is set twice; keep one of `{file}`, `{variable}` and `{credential}`",
            of.name()
        );
        KeySource::only_one(of, given, &twice)
    }

    /// The one that the environment sets.
    pub fn in_environment(of: Secret, env: Env<'_>) -> Result<Option<Self>, ConfigError> {
        let [file, itself] = of.variables();
        let given = [
            variable(env, file).map(|path| (Place::Variable(file), KeyKind::File(path.into()))),
            variable(env, itself).map(|key| (Place::Variable(itself), KeyKind::Itself(key))),
        ];
        KeySource::only_one(of, given, &format!("unset one of {file} and {itself}"))
    }

    fn only_one<const N: usize>(
        of: Secret,
        given: [Option<(Place, KeyKind)>; N],
        twice: &str,
    ) -> Result<Option<Self>, ConfigError> {
        let mut given = given.into_iter().flatten();
        let Some((place, kind)) = given.next() else { return Ok(None) };
        match given.next() {
            Some((second, _)) => Err(ConfigError::invalid(&second, twice)),
            None => KeySource { of, place, kind }.check().map(Some),
        }
    }

    /// Validates the names.
    fn check(self) -> Result<Self, ConfigError> {
        let problem = match &self.kind {
            KeyKind::Variable(name) if !is_variable_name(name) => Some(format!(
                "must be the name of an environment variable, not the {} itself",
                self.of.short()
            )),
            KeyKind::Credential(name) if name.contains('/') || name == "." || name == ".." => {
                Some("must be the name of a credential, not a path".to_owned())
            }
            _ => None,
        };
        match problem {
            Some(problem) => Err(ConfigError::invalid(&self.place, problem)),
            None => Ok(self),
        }
    }

    /// The key, validated.
    pub fn read(&self, env: Env<'_>) -> Result<SecretString, ConfigError> {
        self.locate(env)?.read()
    }

    /// Looks up in the environment where the key is, so that it can be read later without it.
    pub fn locate(&self, env: Env<'_>) -> Result<FoundSecret, ConfigError> {
        let at = match &self.kind {
            KeyKind::File(path) => SecretAt::File(path.clone(), ModeCheck::NotForOthers),
            KeyKind::Credential(name) => {
                let folder = variable(env, "CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    let is_packaged = name == PACKAGED.0;
                    ConfigError::NoCredential { place: self.place.clone(), is_packaged }
                })?;
                SecretAt::File(Path::new(&folder).join(name), ModeCheck::BySystemd)
            }
            KeyKind::Variable(name) => SecretAt::Value(variable(env, name).ok_or_else(|| {
                let known = name.len() <= TOO_SHORT_FOR_KEY
                    || ["API_KEY", "TOKEN", "PASSWORD"].iter().any(|word| name.contains(word));
                let name = if known { name } else { "named here" };
                self.invalid(format!("the environment variable {name} is not set or is empty"))
            })?),
            KeyKind::Itself(key) => SecretAt::Value(key.clone()),
        };
        Ok(FoundSecret { of: self.of, place: self.place.clone(), at })
    }

    fn invalid(&self, problem: impl Into<String>) -> ConfigError {
        ConfigError::invalid(&self.place, problem)
    }
}

/// A secret that has been located. Not `Debug`, as a [`KeySource`].
#[derive(Clone)]
pub(super) struct FoundSecret {
    of: Secret,
    place: Place,
    at: SecretAt,
}

#[derive(Clone)]
enum SecretAt {
    File(PathBuf, ModeCheck),
    Value(OsString),
}

impl FoundSecret {
    /// A key or a token is valid in an HTTP header, a password is one line of text.
    pub fn read(&self) -> Result<SecretString, ConfigError> {
        let content = match &self.at {
            SecretAt::File(path, check) => self.read_file(path, *check)?,
            SecretAt::Value(value) => value.clone().into_encoded_bytes(),
        };
        let is_password = self.of == Secret::DatabasePassword;
        let secret = match is_password {
            // It may end with a blank.
            true => without_line_end(&content),
            false => content.trim_ascii_end(),
        };
        if secret.is_empty() {
            return Err(self.invalid(format!("the {} is empty", self.of.name())));
        }
        match std::str::from_utf8(secret) {
            Ok(text) if is_password && !text.contains(char::is_control) => {
                Ok(SecretString::from(text))
            }
            Ok(text) if secret.iter().all(u8::is_ascii_graphic) => Ok(SecretString::from(text)),
            _ if is_password => Err(self.invalid("the password must be one line of text")),
            _ => Err(self.invalid(format!(
                "the {} must be one line of visible ASCII characters, without white space",
                self.of.name()
            ))),
        }
    }

    fn read_file(&self, path: &Path, check: ModeCheck) -> Result<Vec<u8>, ConfigError> {
        // Until the file has been opened, a long name may be a misplaced key.
        let name = path.file_name().filter(|name| name.len() <= TOO_SHORT_FOR_KEY);
        let named = name.map_or(String::new(), |_| format!(" {}", path.display()));
        let unreadable = |error: std::io::Error| {
            self.invalid(format!("cannot read the {} file{named}: {error}", self.of.short()))
        };
        let file = File::open(path).map_err(unreadable)?;
        let found = file.metadata().map_err(unreadable)?;
        let mode = found.permissions().mode();
        if check == ModeCheck::NotForOthers && found.is_file() && mode & 0o004 != 0 {
            let (of, path) = (self.of.short(), path.display());
            return Err(self.invalid(format!(
                "the {of} file can be read by every user of this machine; run: chmod o-r {path}"
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

fn without_line_end(content: &[u8]) -> &[u8] {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.strip_suffix(b"\r").unwrap_or(content)
}

/// Whether the file's mode is checked.
#[derive(Clone, Copy, PartialEq)]
enum ModeCheck {
    NotForOthers,
    /// systemd restricts the credentials directory, and nobody can change the modes in it.
    BySystemd,
}

fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
