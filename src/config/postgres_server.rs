//! A PostgreSQL database as the setting `database` names it: `postgres://user@host/database`.

use super::Env;
use super::config_error::ConfigError;
use super::pass_file::PassFile;
use super::secret::{FoundSecret, KeySource};
use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use std::fmt;
use std::path::{Path, PathBuf};

const DEFAULT_PORT: u16 = 5432;

/// The schema that PostgreSQL itself uses where none is named.
const DEFAULT_SCHEMA: &str = "public";

/// The longest name that PostgreSQL keeps, in bytes; it cuts off what is longer.
const MAX_NAME: usize = 63;

const PASSWORD_IN_URL: &str = "\
    a password does not belong in the database's URL; put it into ~/.pgpass, or into a file that \
    only the service can read, and set `database_password_file` to its path, or use \
    `database_password_credential`";

/// Which PostgreSQL database, and as whom. Two are equal if they are the same schema at the same URL,
/// wherever their password is.
#[derive(Clone)]
pub struct PostgresServer {
    /// `postgres://user@host:port/database?sslmode=...`, as it was written; never with a password.
    pub url: String,
    /// The schema that the outbox is in.
    pub schema: String,
    hosts: Vec<ServerHost>,
    user: Option<String>,
    name: String,
    tls: ServerTls,
    password: PasswordSource,
}

/// One of the places where the server may be; they are tried in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerHost {
    /// A name or an address.
    Tcp { host: String, port: u16 },
    /// The folder of a Unix socket.
    Socket { folder: PathBuf, port: u16 },
}

/// What the URL says about TLS; `None` is the server library's default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerTls {
    /// One of PostgreSQL's own: `disable` to `verify-full`.
    pub mode: Option<&'static str>,
    /// PEM: authorities to trust in addition to the system's.
    pub root_file: Option<PathBuf>,
    /// PEM: the client's own certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Where the password is, if there is one. It is read for each connection, so that it can be changed
/// while the program runs.
#[derive(Clone)]
enum PasswordSource {
    Found(FoundSecret),
    PassFile(PassFile),
    Nowhere,
}

const TLS_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

impl PartialEq for PostgresServer {
    fn eq(&self, other: &Self) -> bool {
        (&self.url, &self.schema) == (&other.url, &other.schema)
    }
}

impl Eq for PostgresServer {}

/// Without anything of the password, its place included.
impl fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("PostgresServer");
        shown.field("url", &self.url).field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl fmt::Display for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.schema.as_str() {
            DEFAULT_SCHEMA => f.write_str(&self.url),
            schema => write!(f, "{}, schema {schema}", self.url),
        }
    }
}

/// What it takes to connect.
impl PostgresServer {
    /// At least one.
    pub fn hosts(&self) -> &[ServerHost] {
        &self.hosts
    }

    /// The role; `None`: as `PGUSER` or the name of this process's user says.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn tls(&self) -> &ServerTls {
        &self.tls
    }

    /// The password for this host and user; `None` if there is none. Reads a file each time.
    ///
    /// # Errors
    /// A sentence for people, without the password.
    pub fn password(&self, host: &ServerHost, user: &str) -> Result<Option<SecretString>, String> {
        match &self.password {
            PasswordSource::Found(found) => found.read().map(Some).map_err(|e| e.to_string()),
            PasswordSource::PassFile(file) => file.password(host, &self.name, user),
            PasswordSource::Nowhere => Ok(None),
        }
    }
}

/// How it is configured.
impl PostgresServer {
    /// Whether the setting `database`, in lower case, means PostgreSQL.
    pub(super) fn is_meant_by(lower: &str) -> bool {
        lower.starts_with("postgres:") || lower.starts_with("postgresql:")
    }

    /// A database in the default schema, without a password. Relative paths in it start at `folder`.
    ///
    /// # Errors
    /// A sentence that quotes nothing of the URL, which may contain a misplaced password.
    pub fn read(url: &str, folder: &Path) -> Result<PostgresServer, String> {
        let example = "write it as postgres://user@host/database";
        let (_, rest) = url.split_once("://").ok_or(example)?;
        if rest.contains(|c: char| c.is_control() || c == ' ' || c == '#') {
            return Err("must not contain spaces or `#`; write them as %20 and %23".to_owned());
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        // A password may contain a slash that should have been encoded.
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user).filter(|user| !user.is_empty()), rest),
            None => (None, rest),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(PASSWORD_IN_URL.to_owned());
        }
        let (hosts, name) = rest.split_once('/').unwrap_or((rest, ""));
        let mut parts = UrlParts {
            user: user.map(decoded).transpose()?,
            hosts: hosts.split(',').filter(|host| !host.is_empty()).map(str::to_owned).collect(),
            name: decoded(name)?,
            ..UrlParts::default()
        };
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            parts.set(&key, value.into_owned(), folder)?;
        }
        let name = parts.name.clone();
        if name.is_empty() || name.contains('/') {
            return Err(format!("the URL must name one database; {example}"));
        }
        Ok(PostgresServer {
            url: url.to_owned(),
            schema: DEFAULT_SCHEMA.to_owned(),
            hosts: parts.hosts()?,
            tls: parts.tls()?,
            user: parts.user,
            name,
            password: PasswordSource::Nowhere,
        })
    }

    /// # Errors
    /// A sentence for a name that PostgreSQL would not accept.
    pub fn set_schema(&mut self, schema: String) -> Result<(), String> {
        if schema.is_empty() || schema.len() > MAX_NAME || schema.contains(char::is_control) {
            return Err(format!("must be the name of a schema: 1 to {MAX_NAME} bytes of text"));
        }
        if schema.starts_with("pg_") || schema == "information_schema" {
            return Err("belongs to PostgreSQL itself; name another schema".to_owned());
        }
        self.schema = schema;
        Ok(())
    }

    /// Where the password is: `given`, else the password file of the environment.
    pub(super) fn find_password(
        &mut self,
        given: Option<KeySource>,
        env: Env<'_>,
    ) -> Result<(), ConfigError> {
        self.password = match given {
            Some(source) => {
                let found = source.locate(env)?;
                found.read()?;
                PasswordSource::Found(found)
            }
            None => PassFile::of(env).map_or(PasswordSource::Nowhere, PasswordSource::PassFile),
        };
        Ok(())
    }
}

/// The parts of a URL, decoded as far as they are unambiguous.
#[derive(Default)]
struct UrlParts {
    user: Option<String>,
    /// As they are written, with or without a port.
    hosts: Vec<String>,
    /// One for all hosts, or one for each.
    ports: Vec<u16>,
    name: String,
    mode: Option<&'static str>,
    root_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_key: Option<PathBuf>,
}

const PARAMETERS: &str = "host, port, user, dbname, sslmode, sslrootcert, sslcert, sslkey";

impl UrlParts {
    /// A parameter after the `?`. Names and values are PostgreSQL's own.
    fn set(&mut self, key: &str, value: String, folder: &Path) -> Result<(), String> {
        match key {
            "user" => self.user = Some(value),
            "dbname" => self.name = value,
            "host" => self.hosts = value.split(',').map(encoded_socket).collect(),
            "port" => {
                let ports: Result<_, _> = value.split(',').map(str::parse).collect();
                self.ports = ports.map_err(|_| "port: must be a number from 1 to 65535")?;
            }
            "sslmode" => {
                let known = TLS_MODES.into_iter().find(|mode| *mode == value);
                let problem = || format!("sslmode: must be one of {}", TLS_MODES.join(", "));
                self.mode = Some(known.ok_or_else(problem)?);
            }
            // The system's authorities are trusted anyway.
            "sslrootcert" if value == "system" => {}
            "sslrootcert" => self.root_file = Some(folder.join(value)),
            "sslcert" => self.client_certificate = Some(folder.join(value)),
            "sslkey" => self.client_key = Some(folder.join(value)),
            "password" | "sslpassword" | "passfile" => return Err(PASSWORD_IN_URL.to_owned()),
            _ => {
                return Err(format!(
                    "unknown parameter in the URL; the known ones are {PARAMETERS}"
                ));
            }
        }
        Ok(())
    }

    fn hosts(&self) -> Result<Vec<ServerHost>, String> {
        let no_host = "name the host, or the folder of a socket: \
                       postgres:///database?host=/run/postgresql&user=app";
        if self.hosts.is_empty() {
            return Err(no_host.to_owned());
        }
        if self.ports.len() > 1 && self.ports.len() != self.hosts.len() {
            return Err("port: give one for all hosts, or one for each".to_owned());
        }
        let port_of =
            |at: usize| self.ports.get(at).or(self.ports.first()).copied().unwrap_or(DEFAULT_PORT);
        self.hosts.iter().enumerate().map(|(at, host)| server_host(host, port_of(at))).collect()
    }

    fn tls(&self) -> Result<ServerTls, String> {
        let client = match (&self.client_certificate, &self.client_key) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            _ => return Err("sslcert and sslkey: give both or neither".to_owned()),
        };
        Ok(ServerTls { mode: self.mode, root_file: self.root_file.clone(), client })
    }
}

/// A folder in the parameter `host`, written as in the other place, where a slash must be encoded.
fn encoded_socket(host: &str) -> String {
    host.replace('%', "%25").replace('/', "%2F").replace(':', "%3A")
}

fn server_host(text: &str, default_port: u16) -> Result<ServerHost, String> {
    let is_address_alone = text.starts_with('[') && text.ends_with(']');
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !is_address_alone => {
            (host, port.parse().map_err(|_| "the port must be a number from 1 to 65535")?)
        }
        _ => (text, default_port),
    };
    let host = decoded(host.trim_start_matches('[').trim_end_matches(']'))?;
    if port == 0 || host.is_empty() {
        return Err("a host must have a name, and a port that is not 0".to_owned());
    }
    Ok(match host.starts_with('/') {
        true => ServerHost::Socket { folder: host.into(), port },
        false => ServerHost::Tcp { host, port },
    })
}

fn decoded(text: &str) -> Result<String, String> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) if !text.contains('\0') => Ok(text.into_owned()),
        _ => Err("the URL must be UTF-8 once %-codes are decoded".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<PostgresServer, String> {
        PostgresServer::read(url, Path::new("/etc/outbox"))
    }

    fn tcp(host: &str, port: u16) -> ServerHost {
        ServerHost::Tcp { host: host.to_owned(), port }
    }

    #[test]
    fn a_url_names_hosts_user_database_and_tls() {
        let server = read("postgres://app@db.example:6543/shop").unwrap();
        assert_eq!(server.hosts(), [tcp("db.example", 6543)]);
        assert_eq!((server.user(), server.name()), (Some("app"), "shop"));
        assert_eq!(server.tls(), &ServerTls::default());

        let many = read("postgresql://a%40b@one,two:7,[::1]:8,[::2]/x%2Dy?port=9").unwrap();
        assert_eq!(many.hosts(), [tcp("one", 9), tcp("two", 7), tcp("::1", 8), tcp("::2", 9)]);
        assert_eq!((many.user(), many.name()), (Some("a@b"), "x-y"));

        let tls = "postgres://db/shop?sslmode=verify-full&sslrootcert=ca.pem";
        let tls = read(tls).unwrap().tls().clone();
        assert_eq!(tls.mode, Some("verify-full"));
        assert_eq!(tls.root_file, Some("/etc/outbox/ca.pem".into()));
    }

    #[test]
    fn a_socket_is_named_by_its_folder() {
        for url in [
            "postgres:///shop?host=/run/pg:1&user=app",
            "postgres://app@/shop?host=/run/pg:1",
            "postgres://app@%2Frun%2Fpg%3A1/shop",
        ] {
            let server = read(url).unwrap();
            let socket = ServerHost::Socket { folder: "/run/pg:1".into(), port: 5432 };
            assert_eq!((server.hosts(), server.user()), (&[socket][..], Some("app")), "{url}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_never_quoted() {
        for url in [
            "postgres://app:hunter2@db/shop",
            "postgres://app:hun/ter2@db/shop",
            "postgres://app:@db/shop",
            "postgres://app@db/shop?password=hunter2",
            "postgres://app@db/shop?sslmode=hunter2",
            "postgres://app@db/shop?passwort=hunter2",
            "postgres://app@db:hunter2/shop",
            "postgres://app@db/shop?host=hunter2&port=hunter2",
        ] {
            let refused = read(url).map(drop).unwrap_err();
            assert!(!refused.contains("ter2"), "{refused}");
        }
        assert!(read("postgres://app:x@db/shop").unwrap_err().contains("database_password_file"));
    }

    #[test]
    fn a_url_without_a_host_or_a_database_is_refused() {
        for url in
            ["postgres:shop", "postgres://", "postgres://db", "postgres://db/", "postgres:///shop"]
        {
            assert!(read(url).unwrap_err().contains("postgres://"), "{url}");
        }
        for url in
            ["postgres://db/a/b", "postgres://db:0/a", "postgres://db:/a", "postgres://d b/a"]
        {
            assert!(read(url).is_err(), "{url}");
        }
    }

    #[test]
    fn any_schema_but_postgresqls_own_can_be_named() {
        let mut server = read("postgres://db/shop").unwrap();
        assert_eq!(server.to_string(), "postgres://db/shop");
        for schema in ["messaging", "Nachrichten für \"Kunden\"", "a.b"] {
            server.set_schema(schema.to_owned()).unwrap();
            assert_eq!(server.to_string(), format!("postgres://db/shop, schema {schema}"));
        }
        for schema in ["", "pg_temp", "information_schema", "a\nb", &"x".repeat(64)] {
            assert!(server.set_schema(schema.to_owned()).is_err(), "{schema}");
        }
    }
}
