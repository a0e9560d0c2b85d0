//! A connection to the server, and how its session is set up.

use super::PostgresError;
use super::connect_options::connect_options;
use super::pooling::{Connected, begin_as};
use crate::config::PostgresServer;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Postgres, Transaction};
use std::time::Duration;
use tokio::time::timeout;

/// How long connecting may take, TLS and the password included.
const CONNECT: Duration = Duration::from_secs(10);

/// Connects as `application_name`, which the server's own lists show. Names are looked up in the
/// outbox's schema alone, after PostgreSQL's own; times are UTC. Of several hosts it is the first that
/// can be written to. Through a pooler only [units of work](super::pooling::WorkUnits) may be executed.
pub(super) async fn connect(
    server: &PostgresServer,
    application_name: &str,
) -> Result<Connected, PostgresError> {
    let hosts = connect_options(server).map_err(|e| PostgresError::connecting(server, e))?;
    let several = hosts.len() > 1;
    let mut refused = PostgresError::standby(server);
    for options in hosts {
        let options = options.application_name(application_name);
        match timeout(CONNECT, Connected::to(options, &server.schema)).await {
            Ok(Ok(connected)) if !(several && connected.standby) => return Ok(connected),
            Ok(Ok(connected)) => disconnect(connected.conn).await,
            Ok(Err(e)) => refused = PostgresError::connecting(server, e),
            Err(_) => refused = PostgresError::silent(server),
        }
    }
    Err(refused)
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
    let mut tx = begin_as(conn, "ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    sqlx::raw_sql("SET LOCAL enable_seqscan = off").execute(&mut *tx).await?;
    Ok(tx)
}

/// A name as SQL has to have it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
