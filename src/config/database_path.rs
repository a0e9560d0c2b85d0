//! The path of the database: a file's path, not a URI or anything else that SQLite treats specially.

use std::ffi::OsString;
use std::path::PathBuf;

use super::config_error::{ConfigError, Place};

/// How a URI of a database begins.
const URI_PREFIXES: [&str; 3] = ["file:", "sqlite:", "sqlite3:"];

/// # Errors
/// If it is not a file's path: `:memory:`, a URI, or empty.
pub(super) fn check(given: OsString, place: &Place) -> Result<PathBuf, ConfigError> {
    let text = given.to_string_lossy();
    let lower = text.to_ascii_lowercase();
    let problem = if text.is_empty() {
        "must not be empty; give the path of a file, such as outbox.db"
    } else if lower.starts_with(":memory:") {
        "other programs cannot insert into a database in memory; give the path of a file, such as \
         outbox.db"
    } else if URI_PREFIXES.iter().any(|scheme| lower.starts_with(scheme)) || lower.contains("://") {
        "a URI is not supported; give the path of the file, such as outbox.db (with ./ in front if \
         its name looks like a URI)"
    } else {
        return Ok(given.into());
    };
    Err(ConfigError::invalid(place, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_path_of_a_file_is_accepted() {
        let read = |text: &str| check(text.into(), &Place::Flag("--database"));
        for path in ["outbox.db", "/var/lib/shop/shop.db", "./file:x.db", "memory", "a:b.db"] {
            assert_eq!(read(path).unwrap(), PathBuf::from(path));
        }
        for other in [
            "",
            ":memory:",
            ":MEMORY:",
            "file:x.db",
            "FILE:x.db?mode=ro",
            "sqlite:x.db",
            "sqlite://x",
        ] {
            let refused = read(other).unwrap_err().to_string();
            assert!(refused.starts_with("--database: "), "{refused}");
            assert!(refused.contains("such as outbox.db"), "{refused}");
        }
    }
}
