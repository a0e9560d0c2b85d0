//! The SQL that creates the outbox or brings it up to date, for those whose database administrator
//! executes it.

use super::connection::{connect, disconnect, quoted};
use super::versions::{known_version, migrator};
use super::{PostgresError, PostgresStore};
use crate::config::PostgresServer;
use crate::queue::policy::Purpose;
use sqlx::migrate::Migration;
use sqlx::{AssertSqlSafe, PgConnection};
use std::fmt::Write as _;

const HAS_RECORD: &str = "SELECT to_regclass($1) IS NOT NULL";

/// As the library creates it.
const RECORD: &str = "\
CREATE TABLE IF NOT EXISTS outbox_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMPTZ NOT NULL DEFAULT now(),
    success BOOLEAN NOT NULL,
    checksum BYTEA NOT NULL,
    execution_time BIGINT NOT NULL
);
";

impl PostgresStore {
    /// Reads which migrations are missing, and gives them as one transaction; changes nothing.
    pub async fn init_script(
        purpose: Purpose,
        server: &PostgresServer,
    ) -> Result<String, PostgresError> {
        let mut connected = connect(server, "acquire-outbox").await?;
        // Nothing in a session that is ours.
        if let Some(units) = &connected.units {
            units.begin(&mut connected.conn).await?;
        }
        let done = versions_done(&mut connected.conn, server).await?;
        disconnect(connected.conn).await;
        if done.iter().max().is_some_and(|version| *version >= known_version()) {
            return nothing_to_do(server).await;
        }
        let migrator = migrator();
        let missing: Vec<_> =
            migrator.iter().filter(|migration| !done.contains(&migration.version)).collect();
        Ok(script(purpose, server, &missing, done.is_empty()))
    }
}

async fn versions_done(
    conn: &mut PgConnection,
    server: &PostgresServer,
) -> Result<Vec<i64>, PostgresError> {
    let table = format!("{}.outbox_migrations", quoted(&server.schema));
    let exists: bool = sqlx::query_scalar(HAS_RECORD).bind(&table).fetch_one(&mut *conn).await?;
    if !exists {
        return Ok(Vec::new());
    }
    let done = format!("SELECT version FROM {table} WHERE success");
    Ok(sqlx::query_scalar(AssertSqlSafe(done)).fetch_all(conn).await?)
}

/// # Errors
/// [`PostgresError::Newer`] for an outbox of a later version.
async fn nothing_to_do(server: &PostgresServer) -> Result<String, PostgresError> {
    let mut store = PostgresStore::open_existing(server).await?;
    let mut text = format!("-- The outbox in schema {} is up to date.\n", quoted(&server.schema));
    store.begin_unit().await?;
    let flaws = store.flaws().await;
    for flaw in store.end_unit(flaws).await? {
        let _ =
            writeln!(text, "-- `acquire-outbox init` would repair: {}", flaw.replace('\n', " "));
    }
    Ok(text)
}

fn script(
    purpose: Purpose,
    server: &PostgresServer,
    missing: &[&Migration],
    is_new: bool,
) -> String {
    let schema = quoted(&server.schema);
    let mut text = format!(
        "-- acquire-outbox {}: the outbox in schema {schema}.\n\
         -- Execute it as the role that is to own it: psql -v ON_ERROR_STOP=1 -f FILE. Other roles then\n\
         -- need what `acquire-outbox grants` prints.\n\
         BEGIN;\n",
        env!("CARGO_PKG_VERSION")
    );
    if is_new {
        let _ = writeln!(text, "CREATE SCHEMA IF NOT EXISTS {schema};");
    }
    let _ = writeln!(text, "SET LOCAL search_path = {schema}, pg_temp;\n{RECORD}");
    for migration in missing {
        let checksum: String = migration.checksum.iter().map(|b| format!("{b:02x}")).collect();
        let _ = writeln!(text, "{}\n", migration.sql.as_str().trim_end());
        let _ = writeln!(
            text,
            "INSERT INTO outbox_migrations (version, description, success, checksum, execution_time)\n\
             VALUES ({}, '{}', true, '\\x{checksum}', -1);",
            migration.version,
            migration.description.replace('\'', "''")
        );
    }
    if purpose == Purpose::Sandbox && is_new {
        text.push_str("UPDATE outbox_dispatcher SET sandbox = true;\n");
    }
    text.push_str("COMMIT;\n");
    text
}
