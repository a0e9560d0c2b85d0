//! What the configuration says about a server, as the client library takes it.

use crate::config::{PostgresServer, ServerHost};
use secrecy::ExposeSecret;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

/// One for each host of the URL, in the order in which they are to be tried. What the URL leaves out
/// is as PostgreSQL's own variables say (`PGUSER`, `PGSSLMODE`, ...). Never shown with `Debug`: they
/// contain the password, which is read from its file each time.
///
/// # Errors
/// [`sqlx::Error::Configuration`], a sentence, if the password cannot be read.
pub(super) fn connect_options(
    server: &PostgresServer,
) -> Result<Vec<PgConnectOptions>, sqlx::Error> {
    server.hosts().iter().map(|host| options_for(server, host)).collect()
}

fn options_for(
    server: &PostgresServer,
    host: &ServerHost,
) -> Result<PgConnectOptions, sqlx::Error> {
    // The library's own reader of ~/.pgpass logs lines that it does not understand.
    let mut options = PgConnectOptions::new_without_pgpass().database(server.name());
    // A pooler refuses a setting that it does not know, and we read no floats.
    options = options.extra_float_digits(None).disable_statement_logging();
    options = match host {
        ServerHost::Tcp { host, port } => options.host(host).port(*port),
        ServerHost::Socket { folder, port } => options.socket(folder).port(*port),
    };
    if let Some(user) = server.user() {
        options = options.username(user);
    }
    let tls = server.tls();
    if let Some(mode) = tls.mode {
        options = options.ssl_mode(mode.parse()?);
    }
    if let Some(file) = &tls.root_file {
        options = options.ssl_root_cert(file);
    }
    if let Some((certificate, key)) = &tls.client {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    let password = server.password(host, options.get_username());
    match password.map_err(|sentence| sqlx::Error::Configuration(sentence.into()))? {
        Some(password) => Ok(options.password(password.expose_secret())),
        None => Ok(options),
    }
}
