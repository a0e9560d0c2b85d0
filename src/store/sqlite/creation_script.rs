//! The SQL that adds the outbox to a file, for those who let somebody else execute it.

use super::versions::migrator;
use super::{SqliteError, SqliteStore};
use crate::queue::policy::Purpose;
use std::fmt::Write as _;
use std::path::Path;

/// As the library creates it.
const RECORD: &str = "\
CREATE TABLE IF NOT EXISTS outbox_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
";

impl SqliteStore {
    /// One transaction; only comments if the file has the outbox already. Changes nothing.
    pub async fn init_script(purpose: Purpose, path: &Path) -> Result<String, SqliteError> {
        let mut store = match SqliteStore::open_existing(path).await {
            Ok(store) => store,
            Err(SqliteError::Missing(_) | SqliteError::NoOutbox(_)) => return Ok(script(purpose)),
            Err(e) => return Err(e),
        };
        let mut text = "-- The outbox is up to date.\n".to_owned();
        for flaw in store.flaws().await? {
            let _ = writeln!(text, "-- `acquire-outbox init` would repair: {flaw}");
        }
        store.close().await?;
        Ok(text)
    }
}

fn script(purpose: Purpose) -> String {
    let mut text = format!(
        "-- acquire-outbox {}: the outbox in a SQLite file. Execute it with sqlite3 -bail FILE.\n\
         PRAGMA journal_mode = WAL;\n\
         BEGIN IMMEDIATE;\n{RECORD}\n",
        env!("CARGO_PKG_VERSION")
    );
    for migration in migrator().iter() {
        let checksum: String = migration.checksum.iter().map(|b| format!("{b:02x}")).collect();
        let _ = writeln!(text, "{}\n", migration.sql.as_str().trim_end());
        let _ = writeln!(
            text,
            "INSERT INTO outbox_migrations (version, description, success, checksum, execution_time)\n\
             VALUES ({}, '{}', 1, x'{checksum}', -1);",
            migration.version,
            migration.description.replace('\'', "''")
        );
    }
    if purpose == Purpose::Sandbox {
        text.push_str("UPDATE outbox_dispatcher SET sandbox = 1;\n");
    }
    text.push_str("COMMIT;\n");
    text
}
