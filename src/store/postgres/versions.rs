//! Which version of the outbox a schema has, and how it is created and brought up to date.

use super::connection::{connect, quoted};
use super::pooling::Connected;
use super::postgres_error::Location;
use super::{PostgresError, PostgresStore, within};
use crate::config::PostgresServer;
use crate::queue::policy::Purpose;
use crate::store::migrations::{self, MigrationText};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use std::cmp::Ordering;
use std::sync::LazyLock;
use std::time::Duration;

/// All migrations of an outbox on a server.
pub(in crate::store) const MIGRATIONS: [MigrationText; 1] =
    [(1, "outbox", include_str!("../../../migrations/postgres/0001_outbox.sql"))];

/// Of the advisory locks with two numbers, ours: "mig" and the schema's hash. Only one program at a
/// time creates or migrates an outbox.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7170407, hashtext($1))";

/// Creating an index on a large table takes its time, and so does waiting for another program that does.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '60s'";

/// Reads only what every role may read. The last distinguishes our table `outbox` from another program's.
const FOUND: &str = "\
SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1),
    EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = 'outbox'),
    EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = 'outbox_migrations'),
    (SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = 'outbox' AND a.attname IN ('channel', 'payload', 'account',
            'idempotency_key', 'ordering_key', 'due_at', 'holds', 'claimed_by')) = 8,
    current_setting('server_version_num')::integer, current_setting('server_version')";

const VERSION: &str = "SELECT coalesce(max(version), 0) FROM outbox_migrations WHERE success";
const IS_MARKED: &str = "SELECT coalesce(bool_or(sandbox), false) FROM outbox_dispatcher";
const MARK: &str = "UPDATE outbox_dispatcher SET sandbox = true";

/// How long it may take until the schema is made, its indexes on a large table included; and until it
/// is known which version it has.
const MAKING: Duration = Duration::from_secs(3600);
const OPENING: Duration = Duration::from_secs(30);

pub(super) fn migrator() -> &'static Migrator {
    static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
        let mut migrator = migrations::of(&MIGRATIONS);
        migrator.set_locking(false); // its own lock is on the whole database
        migrator
    });
    &MIGRATOR
}

pub(super) fn known_version() -> i64 {
    migrator().iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// What to do where there is no outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absent {
    Create,
    Refuse,
}

/// What a schema's name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    NoSchema,
    NoOutbox,
    /// Of this version.
    Outbox(i64),
}

impl Found {
    async fn of(conn: &mut PgConnection, server: &PostgresServer) -> Result<Found, PostgresError> {
        let row = sqlx::query(FOUND).bind(&server.schema).fetch_one(&mut *conn).await?;
        let (schema, table, migrations, ours): (bool, bool, bool, bool) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        let place = Location::of(server);
        let number: i32 = row.try_get(4)?;
        if number < 130_000 {
            return Err(PostgresError::OldServer(place, row.try_get(5)?));
        }
        if table && !ours {
            return Err(PostgresError::Foreign(place));
        }
        Ok(match (schema, migrations) {
            (false, _) => Found::NoSchema,
            (true, false) => Found::NoOutbox,
            (true, true) => Found::Outbox(sqlx::query_scalar(VERSION).fetch_one(conn).await?),
        })
    }
}

impl PostgresStore {
    /// Creates the schema and the outbox where they are missing, and brings it up to date; gives what
    /// was repaired, a sentence each.
    pub async fn init(
        purpose: Purpose,
        server: &PostgresServer,
    ) -> Result<(PostgresStore, Vec<String>), PostgresError> {
        PostgresStore::ready_for(purpose, server, Absent::Create).await
    }

    /// As [`PostgresStore::init`], but only where there is an outbox.
    pub(super) async fn init_existing(
        purpose: Purpose,
        server: &PostgresServer,
    ) -> Result<(PostgresStore, Vec<String>), PostgresError> {
        PostgresStore::ready_for(purpose, server, Absent::Refuse).await
    }

    async fn ready_for(
        purpose: Purpose,
        server: &PostgresServer,
        absent: Absent,
    ) -> Result<(PostgresStore, Vec<String>), PostgresError> {
        let mut connected = connect(server, "acquire-outbox").await?;
        connected.claim_session().await?;
        if connected.units.is_some() {
            return PostgresStore::made(connected, purpose, server).await;
        }
        let made = async {
            let sandbox = create_or_migrate(&mut connected.conn, purpose, server, absent).await?;
            let mut store = PostgresStore::over(connected, server, sandbox);
            let repaired = store.repair().await?;
            Ok((store, repaired))
        };
        within(MAKING, made).await
    }

    /// The outbox through a pooler, where nothing is to be created or repaired.
    ///
    /// # Errors
    /// [`PostgresError::Pooled`] where there is: it takes a session.
    async fn made(
        connected: Connected,
        purpose: Purpose,
        server: &PostgresServer,
    ) -> Result<(PostgresStore, Vec<String>), PostgresError> {
        let mut store = PostgresStore::over(connected, server, purpose == Purpose::Sandbox);
        let opened = async {
            store.begin_unit().await?;
            let checked = check_made(&mut store, purpose).await;
            store.end_unit(checked).await
        };
        within(OPENING, opened).await?;
        Ok((store, Vec::new()))
    }

    /// Opens an outbox that exists and has this version; changes nothing in the schema.
    pub async fn open_existing(server: &PostgresServer) -> Result<PostgresStore, PostgresError> {
        PostgresStore::open_as("acquire-outbox", server).await
    }

    /// As [`PostgresStore::open_existing`], with a session that is ours where a pooler keeps it.
    pub(super) async fn open_session(
        application_name: &str,
        server: &PostgresServer,
    ) -> Result<PostgresStore, PostgresError> {
        let mut connected = connect(server, application_name).await?;
        connected.claim_session().await?;
        PostgresStore::check(connected, server).await
    }

    pub(super) async fn open_as(
        application_name: &str,
        server: &PostgresServer,
    ) -> Result<PostgresStore, PostgresError> {
        let connected = connect(server, application_name).await?;
        PostgresStore::check(connected, server).await
    }

    /// # Errors
    /// Unless this program can use the outbox as it is.
    pub(super) async fn check(
        connected: Connected,
        server: &PostgresServer,
    ) -> Result<PostgresStore, PostgresError> {
        let mut store = PostgresStore::over(connected, server, false);
        let checked = async {
            store.begin_unit().await?;
            let checked = check_version(&mut store.conn, server).await;
            store.end_unit(checked).await
        };
        let sandbox = within(OPENING, checked).await?;
        store.sandbox = sandbox;
        Ok(store)
    }

    /// Whether there is no outbox.
    pub async fn is_absent(server: &PostgresServer) -> Result<bool, PostgresError> {
        let connected = connect(server, "acquire-outbox").await?;
        let mut store = PostgresStore::over(connected, server, false);
        let looked = async {
            store.begin_unit().await?;
            let found = Found::of(&mut store.conn, server).await;
            store.end_unit(found).await
        };
        let found = within(OPENING, looked).await?;
        store.close().await?;
        Ok(matches!(found, Found::NoSchema | Found::NoOutbox))
    }

    /// The version of the schema that the database has.
    pub(super) async fn schema_version(&mut self) -> Result<i64, PostgresError> {
        Ok(sqlx::query_scalar(VERSION).fetch_one(&mut self.conn).await?)
    }
}

async fn check_made(store: &mut PostgresStore, purpose: Purpose) -> Result<(), PostgresError> {
    let server = store.server().clone();
    if Found::of(&mut store.conn, &server).await? != Found::Outbox(known_version()) {
        return store.require_session("the outbox cannot be created or brought up to date there");
    }
    require(&mut store.conn, purpose, &server).await?;
    match store.flaws().await?.is_empty() {
        true => Ok(()),
        false => {
            store.require_session("its schema is not as it should be, and cannot be repaired there")
        }
    }
}

/// Whether the outbox was made for the sandbox.
///
/// # Errors
/// Unless this program can use the outbox as it is.
pub(super) async fn check_version(
    conn: &mut PgConnection,
    server: &PostgresServer,
) -> Result<bool, PostgresError> {
    let place = Location::of(server);
    let Found::Outbox(version) = Found::of(conn, server).await? else {
        return Err(PostgresError::NoOutbox(place));
    };
    match version.cmp(&known_version()) {
        Ordering::Less => Err(PostgresError::Older(place)),
        Ordering::Greater => Err(PostgresError::Newer(place)),
        Ordering::Equal => Ok(sqlx::query_scalar(IS_MARKED).fetch_one(conn).await?),
    }
}

/// Creates the outbox where it is missing, or brings it up to date, in one transaction; gives whether
/// it is the sandbox's. Where there is nothing to do it needs no right to create anything, and waits
/// for nobody.
///
/// # Errors
/// [`PostgresError::ForSandbox`] or [`PostgresError::NotForSandbox`] for one of the other purpose.
async fn create_or_migrate(
    conn: &mut PgConnection,
    purpose: Purpose,
    server: &PostgresServer,
    absent: Absent,
) -> Result<bool, PostgresError> {
    match (Found::of(conn, server).await?, absent) {
        (Found::Outbox(version), _) if version == known_version() => {
            return require(conn, purpose, server).await;
        }
        (Found::NoSchema | Found::NoOutbox, Absent::Refuse) => {
            return Err(PostgresError::NoOutbox(Location::of(server)));
        }
        _ => {}
    }
    let mut tx = conn.begin().await?;
    sqlx::raw_sql(LOCK_TIMEOUT).execute(&mut *tx).await?;
    sqlx::query(LOCK).bind(&server.schema).execute(&mut *tx).await?;
    // Looked at again, because another program may have done it meanwhile.
    let denied = |e: sqlx::Error| PostgresError::migrating(server, e.into());
    if Found::of(&mut tx, server).await? == Found::NoSchema {
        let create = format!("CREATE SCHEMA IF NOT EXISTS {}", quoted(&server.schema));
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *tx).await.map_err(denied)?;
    }
    let before = Found::of(&mut tx, server).await?;
    if matches!(before, Found::Outbox(_)) {
        require(&mut tx, purpose, server).await?;
    }
    let migrated = migrator().run_direct(None, &mut *tx, false).await;
    migrated.map_err(|e| PostgresError::migrating(server, e))?;
    if purpose == Purpose::Sandbox && before == Found::NoOutbox {
        sqlx::raw_sql(MARK).execute(&mut *tx).await?;
    }
    let sandbox = require(&mut tx, purpose, server).await?;
    tx.commit().await?;
    Ok(sandbox)
}

/// # Errors
/// Why a dispatcher of this purpose does not work on it.
async fn require(
    conn: &mut PgConnection,
    purpose: Purpose,
    server: &PostgresServer,
) -> Result<bool, PostgresError> {
    let sandbox: bool = sqlx::query_scalar(IS_MARKED).fetch_one(conn).await?;
    match (purpose, sandbox) {
        (Purpose::Delivery, true) => Err(PostgresError::ForSandbox(Location::of(server))),
        (Purpose::Sandbox, false) => Err(PostgresError::NotForSandbox(Location::of(server))),
        _ => Ok(sandbox),
    }
}
