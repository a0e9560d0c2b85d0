//! The setting `database`: where the outbox is. Only this file and the store know what that means.

use super::config_error::{ConfigError, Place};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where the outbox is. Everybody else compares it and shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A file's path; not something that SQLite or another program reads differently.
    File(PathBuf),
    /// A schema of a PostgreSQL database.
    Postgres(Box<PostgresServer>),
}

/// Which PostgreSQL database, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresServer {
    /// `postgres://user@host:port/database?sslmode=...`, without a password.
    pub url: String,
    /// The schema that the outbox is in.
    pub schema: String,
}

/// As the person wrote it.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::File(path) => path.display().fmt(f),
            Database::Postgres(server) => server.url.fmt(f),
        }
    }
}

impl<P: Into<PathBuf>> From<P> for Database {
    fn from(path: P) -> Database {
        Database::File(path.into())
    }
}

/// How a URI of a database begins.
const URI_PREFIXES: [&str; 3] = ["file:", "sqlite:", "sqlite3:"];

impl Database {
    /// A relative path starts at `folder`.
    ///
    /// # Errors
    /// A sentence if it is not a file's path: `:memory:`, a URI, or nothing at all.
    pub(super) fn read(
        given: OsString,
        folder: &Path,
        place: &Place,
    ) -> Result<Database, ConfigError> {
        let text = given.to_string_lossy();
        let lower = text.to_ascii_lowercase();
        let problem = if text.is_empty() {
            "must not be empty; give the path of a file, such as outbox.db"
        } else if lower.starts_with(":memory:") {
            "other programs cannot insert into a database in memory; give the path of a file, such as \
             outbox.db"
        } else if URI_PREFIXES.iter().any(|scheme| lower.starts_with(scheme))
            || lower.contains("://")
        {
            "a URI is not supported; give the path of the file, such as outbox.db (with ./ in front if \
             its name looks like a URI)"
        } else {
            return Ok(Database::File(folder.join(given)));
        };
        Err(ConfigError::invalid(place, problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_path_of_a_file_is_accepted() {
        let read =
            |text: &str| Database::read(text.into(), Path::new(""), &Place::Flag("--database"));
        for path in ["outbox.db", "/var/lib/shop/shop.db", "./file:x.db", "memory", "a:b.db"] {
            assert_eq!(read(path).unwrap(), Database::File(path.into()));
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
