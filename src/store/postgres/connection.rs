//! A connection to the server, and how its session is set up.

use super::PostgresError;
use super::connect_options::connect_options;
use crate::config::PostgresServer;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Postgres, Transaction};
use std::time::Duration;
use tokio::time::timeout;

/// How long connecting may take, TLS and the password included.
const CONNECT: Duration = Duration::from_secs(10);

/// For every session. A statement waits for a lock no longer than a producer with a busy timeout
/// does on SQLite; a transaction whose program has frozen ends, and with it its locks. Compiling a
/// plan takes longer than any of our statements.
const SETTINGS: &str = "SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s'; \
    SET jit = off; SET client_min_messages = warning";

const IS_STANDBY: &str = "SELECT pg_is_in_recovery()";

/// Connects as `application_name`, which the server's own lists show. Names are looked up in the
/// outbox's schema alone, after PostgreSQL's own; times are UTC. Of several hosts it is the first that
/// can be written to.
pub(super) async fn connect(
    server: &PostgresServer,
    application_name: &str,
) -> Result<PgConnection, PostgresError> {
    let hosts = connect_options(server).map_err(|e| PostgresError::connecting(server, e))?;
    let several = hosts.len() > 1;
    let mut refused = PostgresError::standby(server);
    for options in hosts {
        let options = options.application_name(application_name);
        match timeout(CONNECT, set_up(options, &server.schema)).await {
            Ok(Ok((conn, standby))) if !(several && standby) => return Ok(conn),
            Ok(Ok((conn, _))) => disconnect(conn).await,
            Ok(Err(e)) => refused = PostgresError::connecting(server, e),
            Err(_) => refused = PostgresError::silent(server),
        }
    }
    Err(refused)
}

/// The connection, and whether the server is a standby.
async fn set_up(
    options: PgConnectOptions,
    schema: &str,
) -> Result<(PgConnection, bool), sqlx::Error> {
    // A pooler refuses a setting that it does not know, and we read no floats.
    let options = options.extra_float_digits(None).disable_statement_logging();
    let mut conn = options.connect().await?;
    // `pg_temp` last: otherwise a temporary table could take the place of one of ours.
    let settings = format!("SET search_path = {}, pg_temp; {SETTINGS}", quoted(schema));
    sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut conn).await?;
    let standby = sqlx::query_scalar(IS_STANDBY).fetch_one(&mut conn).await?;
    Ok((conn, standby))
}

/// Ends the session; where the server no longer listens, it finds out by itself.
pub(super) async fn disconnect(conn: PgConnection) {
    let _ = timeout(Duration::from_secs(1), conn.close()).await;
}

/// One snapshot, read along the indexes: the table has the messages' texts, and statistics from when it
/// had three jobs say that reading all of it is quicker.
pub(super) async fn begin_along_indexes(
    conn: &mut PgConnection,
) -> Result<Transaction<'_, Postgres>, PostgresError> {
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    let mut tx = conn.begin_with(begin).await?;
    sqlx::raw_sql("SET LOCAL enable_seqscan = off").execute(&mut *tx).await?;
    Ok(tx)
}

/// A name as SQL has to have it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
