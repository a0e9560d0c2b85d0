//! Which migrations a file has had, and what to do where it has no record of them: a schema that
//! was copied without its rows, or by a tool that does not know them.

use super::lenient::Lenient;
use super::open::{MIGRATIONS_TABLE, migrator};
use super::{Contents, Flaw, Mend, RealPath, SqliteError, SqliteStore};
use crate::queue::policy::Purpose;
use sqlx::Connection;
use sqlx::migrate::{Migrate, MigrateError};
use std::path::Path;

const HAS_ROWS: &str = "SELECT EXISTS (SELECT 1 FROM outbox_migrations)";
const HAS_TABLE: &str =
    "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)";

/// These columns distinguish our table `outbox` from another program's.
const OURS: &str = "\
SELECT count(*) FROM pragma_table_info('outbox')
WHERE name IN ('channel', 'payload', 'account', 'idempotency_key', 'ordering_key', 'due_at', 'holds', 'claimed_by')";

impl SqliteStore {
    /// Creates the file where it is missing, adds the outbox, migrates it, and repairs what is not
    /// as it should be; gives what that was.
    pub async fn init(
        purpose: Purpose,
        path: &Path,
    ) -> Result<(SqliteStore, Vec<Flaw>), SqliteError> {
        RealPath::of(path)?.require_only_one()?;
        Contents::of(path).await?.require(purpose, path)?;
        let mut store = SqliteStore::connect(path, true).await?;
        if store.is_unfinished().await? {
            store.adopt().await?;
        }
        store.migrate(purpose).await?;
        store.sandbox = purpose == Purpose::Sandbox;
        let repaired = store.repair(Mend::Everything).await?;
        store.reconcile().await?;
        store.forget_statistics().await?;
        Ok((store, repaired))
    }

    /// Whether it has the outbox's tables but no record of the migrations.
    pub(super) async fn is_unfinished(&mut self) -> Result<bool, SqliteError> {
        if !self.has_table("outbox").await? {
            return Ok(false);
        }
        if self.has_table(MIGRATIONS_TABLE).await? {
            let row = sqlx::query(HAS_ROWS).fetch_one(&mut self.conn).await?;
            if row.whole(0) == Some(1) {
                return Ok(false);
            }
        }
        let row = sqlx::query(OURS).fetch_one(&mut self.conn).await?;
        match row.whole(0) {
            Some(8) => Ok(true),
            _ => Err(SqliteError::Foreign(self.path().to_owned())),
        }
    }

    async fn has_table(&mut self, name: &str) -> Result<bool, SqliteError> {
        let row = sqlx::query(HAS_TABLE).bind(name).fetch_one(&mut self.conn).await?;
        Ok(row.whole(0) == Some(1))
    }

    /// Records the migrations as done: the repair that follows finds what they would have made.
    async fn adopt(&mut self) -> Result<(), SqliteError> {
        let path = self.path().to_owned();
        let failed =
            |e: MigrateError| SqliteError::Migrate { path: path.clone(), source: Box::new(e) };
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        tx.ensure_migrations_table(MIGRATIONS_TABLE).await.map_err(failed)?;
        for migration in migrator().iter() {
            tx.skip(MIGRATIONS_TABLE, migration).await.map_err(failed)?;
        }
        Ok(tx.commit().await?)
    }
}
