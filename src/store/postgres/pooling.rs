//! A pooler between this program and the server, and how to work through one that gives each
//! transaction another session.
//!
//! There nothing that belongs to a session holds: what is SET, prepared, listened to or locked by a session is
//! some other program's with the next transaction. So each unit of work is one transaction that makes its
//! settings itself, closes the statements that it has prepared, and leaves nothing behind.

use super::PostgresError;
use super::connection::quoted;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Database, Postgres, Row as _,
    SqlSafeStr as _, Transaction,
};
use sqlx_core::transaction::TransactionManager as _;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;
use tokio::time::timeout;

type Manager = <Postgres as Database>::TransactionManager;

/// A setting of ours with a value that nobody else has. A pooler has its own sessions, which have not got it.
const MARK: &str = "acquire_outbox.session";
const LOOK: &str = "\
SELECT pg_is_in_recovery(), coalesce(current_setting('acquire_outbox.session', true), '')";
const BACKEND: &str = "SELECT pg_backend_pid()";

/// How often two connections are compared, and how long that may take.
const ROUNDS: u32 = 5;
const COMPARING: Duration = Duration::from_secs(3);

/// For every session. A statement waits for a lock no longer than a producer with a busy timeout
/// does on SQLite; a transaction whose program has frozen ends, and with it its locks. Compiling a
/// plan takes longer than any of our statements. A statement of a function has to see what was committed
/// since the one before.
const SETTINGS: [&str; 5] = [
    "lock_timeout = '10s'",
    "idle_in_transaction_session_timeout = '60s'",
    "jit = off",
    "default_transaction_isolation = 'read committed'",
    "client_min_messages = warning",
];

/// A connection, and whether its session is this program's alone.
pub(super) struct Connected {
    pub conn: PgConnection,
    pub standby: bool,
    options: PgConnectOptions,
    schema: String,
    /// `None`: the session is ours.
    pub units: Option<WorkUnits>,
}

/// The settings of each unit of work.
#[derive(Debug, Clone)]
pub(super) struct WorkUnits {
    begin: String,
}

impl Connected {
    /// Settings are made for good only in a session that is surely ours: in a pooler's they would be found
    /// by whoever gets it next.
    pub async fn to(options: PgConnectOptions, schema: &str) -> Result<Connected, sqlx::Error> {
        let mark = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        let marked = options.clone().options([(MARK, &mark)]);
        let mut conn = match marked.connect().await {
            Err(e) if is_unknown_parameter(&e) => options.connect().await?,
            conn => conn?,
        };
        // Without parameters it is one message, and so one transaction.
        let row = sqlx::raw_sql(LOOK).fetch_one(&mut conn).await?;
        let (standby, found): (bool, String) = (row.try_get(0)?, row.try_get(1)?);
        let schema = schema.to_owned();
        let mut connected = Connected { conn, standby, options, schema, units: None };
        if found == mark {
            connected.set_up().await?;
        } else {
            connected.units = Some(WorkUnits::of(&connected.schema, &[]));
        }
        Ok(connected)
    }

    async fn set_up(&mut self) -> Result<(), sqlx::Error> {
        // `pg_temp` last: otherwise a temporary table could take the place of one of ours.
        let path = format!("SET search_path = {}, pg_temp; SET ", quoted(&self.schema));
        let settings = path + &SETTINGS.join("; SET ");
        sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut self.conn).await?;
        Ok(())
    }

    /// Through a pooler, finds out whether it keeps this session for us as long as we are connected.
    pub async fn claim_session(&mut self) -> Result<(), sqlx::Error> {
        if self.units.is_none() {
            return Ok(());
        }
        let kept = timeout(COMPARING, is_kept(&mut self.conn, &self.options)).await;
        // A pooler without a free session answers too late: units of work are right there as well.
        if kept.unwrap_or(Ok(false))? {
            self.set_up().await?;
            self.units = None;
        }
        Ok(())
    }
}

/// Two connections never have the same session of a pooler that keeps it. Another kind of pooler gives the
/// session that was used last to both or, if others keep it busy, another one each time.
async fn is_kept(conn: &mut PgConnection, options: &PgConnectOptions) -> Result<bool, sqlx::Error> {
    let own = backend(conn).await?;
    let mut other = options.connect().await?;
    let mut kept = true;
    for _ in 0..ROUNDS {
        kept = kept && backend(&mut other).await? != own && backend(conn).await? == own;
    }
    let _ = other.close().await;
    Ok(kept)
}

async fn backend(conn: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::raw_sql(BACKEND).fetch_one(conn).await?.try_get(0)
}

/// As poolers refuse what a session is to begin with.
fn is_unknown_parameter(e: &sqlx::Error) -> bool {
    let answer = e.as_database_error();
    answer.is_some_and(|answer| {
        answer.code().is_some_and(|code| code == "08P01" || code == "0A000")
            || ["parameter", "option"].iter().any(|word| answer.message().contains(word))
    })
}

impl WorkUnits {
    /// `more`: statements that each unit begins with.
    pub fn of(schema: &str, more: &[String]) -> WorkUnits {
        let path = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL search_path = {}, pg_temp; SET LOCAL ",
            quoted(schema)
        );
        let mut begin = path + &SETTINGS.join("; SET LOCAL ");
        for statement in more {
            begin.push_str("; ");
            begin.push_str(statement);
        }
        WorkUnits { begin }
    }

    pub async fn begin(&self, conn: &mut PgConnection) -> Result<(), PostgresError> {
        let statement = AssertSqlSafe(self.begin.clone()).into_sql_str();
        Manager::begin(conn, Some(statement)).await.map_err(lost)
    }

    /// # Errors
    /// That of the work. After an error in ending the unit, the work may have been committed all the same.
    pub async fn end<T>(
        conn: &mut PgConnection,
        done: Result<T, PostgresError>,
    ) -> Result<T, PostgresError> {
        if done.as_ref().is_err_and(PostgresError::ends_the_session) {
            return done;
        }
        // Named statements would be found by whoever gets the session next.
        conn.clear_cached_statements().await.map_err(lost)?;
        match done {
            Ok(done) => Manager::commit(conn).await.map(|()| done).map_err(lost),
            Err(e) => {
                Manager::rollback(conn).await.map_err(lost)?;
                Err(e)
            }
        }
    }
}

/// Whether the transaction has begun or ended is not known: the connection is of no use any more.
fn lost(e: sqlx::Error) -> PostgresError {
    match PostgresError::from(e) {
        e if e.ends_the_session() => e,
        e => PostgresError::Lost(e.to_string()),
    }
}

/// Begins a transaction with these characteristics or, in a unit of work, gives them to that one.
pub(super) async fn begin_as<'c>(
    conn: &'c mut PgConnection,
    characteristics: &'static str,
) -> Result<Transaction<'c, Postgres>, sqlx::Error> {
    if !conn.is_in_transaction() {
        return conn.begin_with(AssertSqlSafe(format!("BEGIN {characteristics}"))).await;
    }
    let set = format!("SET TRANSACTION {characteristics}");
    sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut *conn).await?;
    conn.begin().await
}
