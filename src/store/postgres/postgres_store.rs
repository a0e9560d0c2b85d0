//! What operators, producers and readers do, on PostgreSQL.

use super::PostgresError;
use super::connection::disconnect;
use super::pooling::{Connected, WorkUnits};
use super::postgres_error::Location;
use super::time_limit::TimeLimit;
use crate::config::PostgresServer;
use crate::queue::act::Actor;
use crate::store::StoreError;
use sqlx::PgConnection;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const A_NODE_IS_RUNNING: &str = "\
SELECT EXISTS (SELECT 1 FROM outbox_nodes WHERE buried_at IS NULL AND lease_until > clock_timestamp())";

/// An open connection to an outbox on PostgreSQL.
pub struct PostgresStore {
    pub(super) conn: PgConnection,
    server: PostgresServer,
    pub(super) sandbox: bool,
    /// Who is noted as the author of acts on jobs.
    pub(super) actor: Option<Actor>,
    /// Each transaction may have another session.
    pub(super) units: Option<WorkUnits>,
    /// Of a connection that only reads.
    pub(super) limit: Option<TimeLimit>,
    /// The session has ended, or a statement of it was given up: it is of no use any more.
    lost: AtomicBool,
}

impl PostgresStore {
    pub(super) fn over(
        connected: Connected,
        server: &PostgresServer,
        sandbox: bool,
    ) -> PostgresStore {
        let (conn, units) = (connected.conn, connected.units);
        let (server, lost) = (server.clone(), AtomicBool::new(false));
        PostgresStore { conn, server, sandbox, actor: None, units, limit: None, lost }
    }

    /// Begins a unit of work, which is nothing in a session that is ours.
    pub async fn begin_unit(&mut self) -> Result<(), PostgresError> {
        match &self.units {
            Some(units) => units.begin(&mut self.conn).await,
            None => Ok(()),
        }
    }

    /// Commits the unit of work, or undoes it after an error.
    pub async fn end_unit<T>(
        &mut self,
        done: Result<T, PostgresError>,
    ) -> Result<T, PostgresError> {
        match &self.units {
            Some(_) => WorkUnits::end(&mut self.conn, done).await,
            None => done,
        }
    }

    /// # Errors
    /// If the session is not ours for as long as we are connected.
    pub(super) fn require_session(&self, what: &'static str) -> Result<(), PostgresError> {
        match &self.units {
            Some(_) => Err(PostgresError::Pooled { place: Location::of(&self.server), what }),
            None => Ok(()),
        }
    }

    pub fn server(&self) -> &PostgresServer {
        &self.server
    }

    /// The error in the store's terms; notes that the session has ended, where it says so.
    pub fn neutral(&self, e: PostgresError) -> StoreError {
        if e.ends_the_session() {
            self.lost.store(true, Ordering::Relaxed);
        }
        e.into()
    }

    /// Whether a node works on the outbox: its lease has not ended.
    pub async fn dispatcher_is_running(server: &PostgresServer) -> Result<bool, PostgresError> {
        let mut store = PostgresStore::open_existing(server).await?;
        store.begin_unit().await?;
        let running = sqlx::query_scalar(A_NODE_IS_RUNNING).fetch_one(&mut store.conn).await;
        let running = store.end_unit(running.map_err(PostgresError::from)).await?;
        store.close().await?;
        Ok(running)
    }

    /// Whether the outbox was made for the sandbox.
    pub fn is_sandbox(&self) -> bool {
        self.sandbox
    }

    /// Whether the session is still there, as far as its last statement has shown.
    pub fn is_current(&self) -> bool {
        !self.lost.load(Ordering::Relaxed)
    }

    /// How long the statements from now on may take together. Only a connection that was opened to
    /// read has a limit.
    pub fn limit(&self, limit: Duration) {
        if let Some(of_connection) = &self.limit {
            of_connection.set(limit);
        }
    }

    pub async fn close(self) -> Result<(), PostgresError> {
        disconnect(self.conn).await;
        Ok(())
    }
}
