//! The setting `database`: where the outbox is. Only this folder and the store know what that means.

use super::config_error::{ConfigError, Place};
use super::postgres_server::PostgresServer;
use super::secret::{KeySource, Secret};
use super::section::Located;
use super::sources::given_database;
use super::{Env, Flags};
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

/// As the person wrote it; of a PostgreSQL database, its schema too.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::File(path) => path.display().fmt(f),
            Database::Postgres(server) => server.fmt(f),
        }
    }
}

impl<P: Into<PathBuf>> From<P> for Database {
    fn from(path: P) -> Database {
        Database::File(path.into())
    }
}

/// How a URI of a database begins that is a file under another name.
const URI_PREFIXES: [&str; 3] = ["file:", "sqlite:", "sqlite3:"];

impl Database {
    /// A relative path starts at `folder`.
    ///
    /// # Errors
    /// A sentence if it is neither a file's path nor a PostgreSQL database: `:memory:`, another URI, or
    /// nothing at all.
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
        } else if PostgresServer::is_meant_by(&lower) {
            let server = PostgresServer::read(&text, folder)
                .map_err(|problem| ConfigError::invalid(place, problem))?;
            return Ok(Database::Postgres(Box::new(server)));
        } else if URI_PREFIXES.iter().any(|scheme| lower.starts_with(scheme))
            || lower.contains("://")
        {
            "this URI is not supported; give the path of a file, such as outbox.db (with ./ in front if \
             its name looks like a URI), or postgres://user@host/database"
        } else {
            return Ok(Database::File(folder.join(given)));
        };
        Err(ConfigError::invalid(place, problem))
    }
}

/// What the layers say about the database, from the strongest layer to the weakest.
pub(super) struct DatabaseLayers {
    /// The flag's, the environment's, the file's.
    pub database: [Option<Located<Database>>; 3],
    pub schema: [Option<Located<String>>; 3],
    /// The password of the database that the file names.
    pub file_password: Option<KeySource>,
    /// The password of the database that counts, unless the file names both.
    pub env_password: Option<KeySource>,
}

impl DatabaseLayers {
    /// What the flags say, and the environment's password.
    pub fn of_flags(flags: &Flags, env: Env<'_>) -> Result<DatabaseLayers, ConfigError> {
        let place = Place::Flag("--schema");
        let schema = flags.schema.clone().map(|value| Located { value, place });
        let database = flags.database.clone().map(Into::into);
        Ok(DatabaseLayers {
            database: [given_database(database, Place::Flag("--database"))?, None, None],
            schema: [schema, None, None],
            file_password: None,
            env_password: KeySource::in_environment(Secret::DatabasePassword, env)?,
        })
    }

    /// The database that counts, with its schema and the way to its password. `default` is the
    /// database if no layer names one.
    pub fn combined(self, default: &str, env: Env<'_>) -> Result<Database, ConfigError> {
        let DatabaseLayers { database, schema, file_password, env_password } = self;
        let layer = database.iter().position(Option::is_some);
        let database = database.into_iter().flatten().next();
        let schema = schema.into_iter().enumerate().find_map(|(at, schema)| Some((at, schema?)));
        match database.map_or(default.into(), |database| database.value) {
            Database::File(path) => match schema {
                // A schema in the file is not wrong because a flag names another database.
                Some((at, schema)) if at <= layer.unwrap_or(2) => Err(ConfigError::invalid(
                    &schema.place,
                    "only a PostgreSQL database has schemas; leave it out, or set the database to \
                     postgres://user@host/database",
                )),
                _ => Ok(Database::File(path)),
            },
            Database::Postgres(mut server) => {
                if let Some((_, schema)) = schema {
                    let set = server.set_schema(schema.value);
                    set.map_err(|problem| ConfigError::invalid(&schema.place, problem))?;
                }
                // The file's password belongs to the file's database: it is never sent to another.
                let of_file = file_password.filter(|_| layer == Some(2));
                server.find_password(env_password.or(of_file), env)?;
                Ok(Database::Postgres(server))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_or_a_postgresql_database_is_accepted() {
        let read =
            |text: &str| Database::read(text.into(), Path::new(""), &Place::Flag("--database"));
        for path in ["outbox.db", "/var/lib/shop/shop.db", "./file:x.db", "memory", "a:b.db"] {
            assert_eq!(read(path).unwrap(), Database::File(path.into()));
        }
        for url in ["postgres://app@db/shop", "postgresql://app@db/shop", "POSTGRES://app@db/shop"]
        {
            assert!(matches!(read(url).unwrap(), Database::Postgres(_)), "{url}");
        }
        for other in [
            "",
            ":memory:",
            ":MEMORY:",
            "file:x.db",
            "FILE:x.db?mode=ro",
            "sqlite:x.db",
            "sqlite://x",
            "mysql://x",
        ] {
            let refused = read(other).unwrap_err().to_string();
            assert!(refused.starts_with("--database: "), "{refused}");
            assert!(refused.contains("such as outbox.db"), "{refused}");
        }
    }
}
