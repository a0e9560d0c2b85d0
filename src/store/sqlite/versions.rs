//! Which version of the outbox a file has: its migrations, an outbox of an earlier build, and a
//! schema without a record of its migrations, as a dump without rows leaves it.

use super::contents;
use super::lenient::Lenient;
use super::{Contents, Flaw, RealPath, RepairScope, SqliteError, SqliteStore};
use crate::queue::policy::Purpose;
use crate::store::migrations::{self, MigrationText};
use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::{Connection, SqliteConnection};
use std::cmp::Ordering;
use std::path::Path;
use std::sync::LazyLock;

/// All migrations of an outbox in a file.
pub(in crate::store) const MIGRATIONS: [MigrationText; 1] =
    [(1, "outbox", include_str!("../../../migrations/sqlite/0001_outbox.sql"))];

const HAS_ROWS: &str = "SELECT EXISTS (SELECT 1 FROM outbox_migrations)";
const HAS_TABLE: &str =
    "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)";

/// These columns distinguish our table `outbox` from another program's.
const OURS: &str = "\
SELECT count(*) FROM pragma_table_info('outbox')
WHERE name IN ('channel', 'payload', 'account', 'idempotency_key', 'ordering_key', 'due_at', 'holds', 'claimed_by')";

const FIRST_CHECKSUM: &str = "SELECT checksum FROM outbox_migrations WHERE version = 1";
const VERSION: &str = "SELECT ifnull(max(version), 0) FROM outbox_migrations WHERE success";

/// Made once: the checksum alone costs 2.4 million instructions.
pub(super) fn migrator() -> &'static Migrator {
    static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| migrations::of(&MIGRATIONS));
    &MIGRATOR
}

/// Whether it was made before the first release, when there were other migrations: the first of
/// them is not ours.
pub(super) async fn is_of_earlier_build(conn: &mut SqliteConnection) -> Result<bool, SqliteError> {
    if !has_table(conn, migrations::TABLE).await? {
        return Ok(false);
    }
    let made_by: Option<Vec<u8>> =
        sqlx::query_scalar(FIRST_CHECKSUM).fetch_optional(&mut *conn).await?;
    let migrator = migrator();
    let first = migrator.iter().next().expect("there is a first migration");
    Ok(made_by.is_some_and(|checksum| checksum != *first.checksum))
}

async fn has_table(conn: &mut SqliteConnection, name: &str) -> Result<bool, SqliteError> {
    let row = sqlx::query(HAS_TABLE).bind(name).fetch_one(conn).await?;
    Ok(row.whole(0) == Some(1))
}

impl SqliteStore {
    /// Creates the file if it is missing, adds the outbox, migrates it and repairs its schema; returns
    /// what was repaired.
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
        let repaired = store.repair(RepairScope::Everything).await?;
        store.reconcile().await?;
        store.forget_statistics().await?;
        Ok((store, repaired))
    }

    /// Whether it has the outbox's tables but no record of the migrations.
    async fn is_unfinished(&mut self) -> Result<bool, SqliteError> {
        if !has_table(&mut self.conn, "outbox").await? {
            return Ok(false);
        }
        if has_table(&mut self.conn, migrations::TABLE).await? {
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

    /// Records the migrations as done: the repair that follows finds what they would have made.
    async fn adopt(&mut self) -> Result<(), SqliteError> {
        let path = self.path().to_owned();
        let failed =
            |e: MigrateError| SqliteError::Migrate { path: path.clone(), source: Box::new(e) };
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        tx.ensure_migrations_table(migrations::TABLE).await.map_err(failed)?;
        for migration in migrator().iter() {
            tx.skip(migrations::TABLE, migration).await.map_err(failed)?;
        }
        Ok(tx.commit().await?)
    }

    /// One transaction, begun with the write lock: two programs may start at once.
    pub(super) async fn migrate(&mut self, purpose: Purpose) -> Result<(), SqliteError> {
        if self.is_unfinished().await? {
            return Err(SqliteError::Unfinished(self.path().to_owned()));
        }
        let path = self.path().to_owned();
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        let before = Contents::in_it(&mut tx).await?;
        before.require(purpose, &path)?;
        match migrator().run_direct(None, &mut *tx, false).await {
            Ok(()) => {}
            Err(MigrateError::VersionMissing(_)) => return Err(SqliteError::Newer(path)),
            Err(e) => return Err(SqliteError::Migrate { path, source: Box::new(e) }),
        }
        if purpose == Purpose::Sandbox && before == Contents::NoOutbox {
            contents::set_mark(&mut tx).await?;
        }
        Ok(tx.commit().await?)
    }

    /// # Errors
    /// An error unless this program can use the outbox as it is.
    pub(super) async fn check_version(&mut self) -> Result<(), SqliteError> {
        let path = self.path().to_owned();
        if is_of_earlier_build(&mut self.conn).await? {
            return Err(SqliteError::EarlierBuild(path));
        }
        if self.is_unfinished().await? {
            return Err(SqliteError::Unfinished(path));
        }
        if !has_table(&mut self.conn, migrations::TABLE).await? {
            return Err(SqliteError::NoOutbox(path));
        }
        let known = migrator().iter().map(|m| m.version).max().unwrap_or(0);
        match self.schema_version().await?.cmp(&known) {
            Ordering::Less => Err(SqliteError::Older(path)),
            Ordering::Greater => Err(SqliteError::Newer(path)),
            Ordering::Equal => Ok(()),
        }
    }

    /// The version of the schema that the file has.
    pub(super) async fn schema_version(&mut self) -> Result<i64, SqliteError> {
        Ok(sqlx::query_scalar(VERSION).fetch_one(&mut self.conn).await?)
    }
}
