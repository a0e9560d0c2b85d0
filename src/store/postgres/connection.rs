//! A connection to the server, and how its session is set up.

use super::PostgresError;
use crate::config::PostgresServer;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use std::time::Duration;
use tokio::time::timeout;

/// How long connecting may take, TLS and the password included.
const CONNECT: Duration = Duration::from_secs(10);

/// For every session. A statement waits for a lock no longer than a producer with a busy timeout
/// does on SQLite; a transaction whose program has frozen ends, and with it its locks. Compiling a
/// plan takes longer than any of our statements.
const SETTINGS: &str = "SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s'; \
    SET jit = off; SET client_min_messages = warning";

/// Connects as `application_name`, which the server's own lists show. Names are looked up in the
/// outbox's schema alone, after PostgreSQL's own; times are UTC.
pub(super) async fn connect(
    server: &PostgresServer,
    application_name: &str,
) -> Result<PgConnection, PostgresError> {
    let unreachable = |e| PostgresError::connecting(server, e);
    let options = options(server)
        .map_err(unreachable)?
        .application_name(application_name)
        // A pooler refuses a setting that it does not know, and we read no floats.
        .extra_float_digits(None)
        .disable_statement_logging();
    let connected = timeout(CONNECT, options.connect()).await;
    let mut conn = connected.map_err(|_| PostgresError::silent(server))?.map_err(unreachable)?;
    // `pg_temp` last: otherwise a temporary table could take the place of one of ours.
    let settings = format!("SET search_path = {}, pg_temp; {SETTINGS}", quoted(&server.schema));
    let set = timeout(CONNECT, sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut conn)).await;
    set.map_err(|_| PostgresError::silent(server))?.map_err(unreachable)?;
    Ok(conn)
}

fn options(server: &PostgresServer) -> Result<PgConnectOptions, sqlx::Error> {
    server.url.parse()
}

/// Ends the session; where the server does not listen any more, it finds out by itself.
pub(super) async fn disconnect(conn: PgConnection) {
    let _ = timeout(Duration::from_secs(1), conn.close()).await;
}

/// A name as SQL has to have it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
