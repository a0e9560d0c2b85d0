//! What operators, producers and readers do, on PostgreSQL.

use super::PostgresError;
use super::connection::disconnect;
use super::time_limit::TimeLimit;
use crate::config::PostgresServer;
use crate::queue::change::{Change, Mode, Refused};
use crate::queue::examination::{Depth, Examination};
use crate::queue::filter::{Filter, Page};
use crate::queue::job::{Channel, Millis};
use crate::queue::new_job::{Inserted, NewJob};
use crate::queue::overview::{Census, FailureGroup, Overview, Pulse};
use crate::queue::pause::Pause;
use crate::queue::policy::Purpose;
use crate::queue::story::{Delivery, Extent, Position, Story};
use crate::queue::transfer::{Export, ExportedJob, NewRow};
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

    pub async fn examine(server: &PostgresServer, depth: Depth) -> Examination {
        todo!()
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

    pub async fn probe_write(&mut self, wait: Duration) -> Result<(), PostgresError> {
        todo!()
    }

    pub async fn close(self) -> Result<(), PostgresError> {
        disconnect(self.conn).await;
        Ok(())
    }

    pub async fn insert(&mut self, job: &NewJob) -> Result<Inserted, PostgresError> {
        todo!()
    }

    pub async fn import(&mut self, rows: &[NewRow], mode: Mode) -> Result<u64, PostgresError> {
        todo!()
    }

    pub async fn execute_sql(&mut self, sql: &str) -> Result<(), PostgresError> {
        todo!()
    }

    pub async fn change(
        &mut self,
        change: Change,
        ids: &[i64],
        mode: Mode,
    ) -> Result<Vec<Refused>, PostgresError> {
        todo!()
    }

    pub async fn change_where(
        &mut self,
        change: Change,
        filter: &Filter,
        ids: &[i64],
    ) -> Result<u64, PostgresError> {
        todo!()
    }

    pub async fn resolve_restored(&mut self, until: Millis) -> Result<u64, PostgresError> {
        todo!()
    }

    pub async fn pause(
        &mut self,
        account: Option<&str>,
        channel: Option<Channel>,
        reason: &str,
    ) -> Result<(), PostgresError> {
        todo!()
    }

    pub async fn resume(
        &mut self,
        account: Option<&str>,
        channel: Option<Channel>,
    ) -> Result<bool, PostgresError> {
        todo!()
    }

    pub async fn story(&mut self, id: i64, extent: Extent) -> Result<Option<Story>, PostgresError> {
        todo!()
    }

    pub async fn position(
        &mut self,
        id: i64,
        now: Millis,
    ) -> Result<Option<Position>, PostgresError> {
        todo!()
    }

    pub async fn payload(
        &mut self,
        id: i64,
        characters: u32,
    ) -> Result<Option<String>, PostgresError> {
        todo!()
    }

    pub async fn delivery(&mut self, id: i64) -> Result<Option<Delivery>, PostgresError> {
        todo!()
    }

    pub async fn deliveries(
        &mut self,
        filter: &Filter,
        page: &Page,
    ) -> Result<Vec<Delivery>, PostgresError> {
        todo!()
    }

    pub async fn count(&mut self, filter: &Filter) -> Result<u64, PostgresError> {
        todo!()
    }

    pub async fn ids(
        &mut self,
        filter: &Filter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<i64>, PostgresError> {
        todo!()
    }

    pub async fn last_id(&mut self) -> Result<i64, PostgresError> {
        todo!()
    }

    pub async fn export_page(
        &mut self,
        export: &Export,
        after: i64,
        last: i64,
        limit: u32,
    ) -> Result<Vec<ExportedJob>, PostgresError> {
        todo!()
    }

    pub async fn pauses(&mut self, limit: u32) -> Result<Vec<Pause>, PostgresError> {
        todo!()
    }

    pub async fn overview(&mut self, now: Millis) -> Result<Overview, PostgresError> {
        todo!()
    }

    pub async fn pulse(&mut self, now: Millis, limit: u32) -> Result<Pulse, PostgresError> {
        todo!()
    }

    pub async fn census(&mut self) -> Result<Census, PostgresError> {
        todo!()
    }

    pub async fn failures(&mut self, limit: u32) -> Result<Vec<FailureGroup>, PostgresError> {
        todo!()
    }

    /// Completes the schema where objects of it are missing or were changed; gives what was wrong.
    pub(super) async fn repair(&mut self) -> Result<Vec<String>, PostgresError> {
        Ok(Vec::new())
    }

    pub async fn flaws(&mut self) -> Result<Vec<String>, PostgresError> {
        todo!()
    }
}
