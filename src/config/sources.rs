//! Where settings come from: the configuration file and the environment.

use super::config_error::{ConfigError, Place};
use super::database::Database;
use super::section::Located;
use super::{Env, Flags};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The configuration file and its text; `None`: there is none.
pub(super) fn read_file(
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

/// A database that a flag or a variable names; a relative path starts at the working directory.
pub(super) fn given_database(
    given: Option<OsString>,
    place: Place,
) -> Result<Option<Located<Database>>, ConfigError> {
    let Some(given) = given else { return Ok(None) };
    Ok(Some(Located { value: Database::read(given, Path::new(""), &place)?, place }))
}

pub(super) fn text_variable(
    env: Env<'_>,
    name: &'static str,
) -> Result<Option<Located<String>>, ConfigError> {
    let (Some(text), place) = (variable(env, name), Place::Variable(name)) else { return Ok(None) };
    match text.into_string() {
        Ok(value) => Ok(Some(Located { value, place })),
        Err(_) => Err(ConfigError::invalid(&place, "must be UTF-8")),
    }
}

/// An environment variable that is parsed as `T`, whose error says what is allowed.
pub(super) fn parsed_variable<T>(
    env: Env<'_>,
    name: &'static str,
) -> Result<Option<Located<T>>, ConfigError>
where
    T: FromStr<Err = &'static str>,
{
    let Some(text) = variable(env, name) else { return Ok(None) };
    let place = Place::Variable(name);
    match text.to_str().ok_or("must be UTF-8").and_then(str::parse) {
        Ok(value) => Ok(Some(Located { value, place })),
        Err(problem) => Err(ConfigError::invalid(&place, problem)),
    }
}

/// An environment variable; an empty one counts as unset.
pub(super) fn variable(env: Env<'_>, name: &str) -> Option<OsString> {
    env(name).filter(|value| !value.is_empty())
}
