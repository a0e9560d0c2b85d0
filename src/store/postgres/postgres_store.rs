//! What operators, producers and readers do, on PostgreSQL.

use super::PostgresError;
use super::connection::disconnect;
use super::time_limit::TimeLimit;
use crate::config::PostgresServer;
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
    sandbox: bool,
    /// Of a connection that only reads.
    pub(super) limit: Option<TimeLimit>,
    /// The session has ended, or a statement of it was given up: it is of no use any more.
    lost: AtomicBool,
}

impl PostgresStore {
    pub(super) fn over(
        conn: PgConnection,
        server: &PostgresServer,
        sandbox: bool,
    ) -> PostgresStore {
        let server = server.clone();
        PostgresStore { conn, server, sandbox, limit: None, lost: AtomicBool::new(false) }
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
        let running = sqlx::query_scalar(A_NODE_IS_RUNNING).fetch_one(&mut store.conn).await?;
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
