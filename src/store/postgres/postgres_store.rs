//! What operators, producers and readers do, on PostgreSQL.

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
use std::time::Duration;

/// An open connection to an outbox on PostgreSQL.
pub struct PostgresStore {
    server: PostgresServer,
}

impl PostgresStore {
    pub fn server(&self) -> &PostgresServer {
        &self.server
    }

    pub async fn init(
        purpose: Purpose,
        server: &PostgresServer,
    ) -> Result<(PostgresStore, Vec<String>), StoreError> {
        todo!()
    }

    pub async fn open_existing(server: &PostgresServer) -> Result<PostgresStore, StoreError> {
        todo!()
    }

    pub async fn open_to_read(server: &PostgresServer) -> Result<PostgresStore, StoreError> {
        todo!()
    }

    pub async fn examine(server: &PostgresServer, depth: Depth) -> Examination {
        todo!()
    }

    pub async fn dispatcher_is_running(server: &PostgresServer) -> Result<bool, StoreError> {
        todo!()
    }

    pub fn is_sandbox(&self) -> bool {
        todo!()
    }

    pub fn is_current(&self) -> bool {
        todo!()
    }

    pub fn limit(&self, limit: Duration) {
        todo!()
    }

    pub async fn probe_write(&mut self, wait: Duration) -> Result<(), StoreError> {
        todo!()
    }

    pub async fn close(self) -> Result<(), StoreError> {
        todo!()
    }

    pub async fn insert(&mut self, job: &NewJob) -> Result<Inserted, StoreError> {
        todo!()
    }

    pub async fn import(&mut self, rows: &[NewRow], mode: Mode) -> Result<u64, StoreError> {
        todo!()
    }

    pub async fn execute_sql(&mut self, sql: &str) -> Result<(), StoreError> {
        todo!()
    }

    pub async fn change(
        &mut self,
        change: Change,
        ids: &[i64],
        mode: Mode,
    ) -> Result<Vec<Refused>, StoreError> {
        todo!()
    }

    pub async fn change_where(
        &mut self,
        change: Change,
        filter: &Filter,
        ids: &[i64],
    ) -> Result<u64, StoreError> {
        todo!()
    }

    pub async fn resolve_restored(&mut self, until: Millis) -> Result<u64, StoreError> {
        todo!()
    }

    pub async fn pause(
        &mut self,
        account: Option<&str>,
        channel: Option<Channel>,
        reason: &str,
    ) -> Result<(), StoreError> {
        todo!()
    }

    pub async fn resume(
        &mut self,
        account: Option<&str>,
        channel: Option<Channel>,
    ) -> Result<bool, StoreError> {
        todo!()
    }

    pub async fn story(&mut self, id: i64, extent: Extent) -> Result<Option<Story>, StoreError> {
        todo!()
    }

    pub async fn position(&mut self, id: i64, now: Millis) -> Result<Option<Position>, StoreError> {
        todo!()
    }

    pub async fn payload(
        &mut self,
        id: i64,
        characters: u32,
    ) -> Result<Option<String>, StoreError> {
        todo!()
    }

    pub async fn delivery(&mut self, id: i64) -> Result<Option<Delivery>, StoreError> {
        todo!()
    }

    pub async fn deliveries(
        &mut self,
        filter: &Filter,
        page: &Page,
    ) -> Result<Vec<Delivery>, StoreError> {
        todo!()
    }

    pub async fn count(&mut self, filter: &Filter) -> Result<u64, StoreError> {
        todo!()
    }

    pub async fn ids(
        &mut self,
        filter: &Filter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<i64>, StoreError> {
        todo!()
    }

    pub async fn last_id(&mut self) -> Result<i64, StoreError> {
        todo!()
    }

    pub async fn export_page(
        &mut self,
        export: &Export,
        after: i64,
        last: i64,
        limit: u32,
    ) -> Result<Vec<ExportedJob>, StoreError> {
        todo!()
    }

    pub async fn pauses(&mut self, limit: u32) -> Result<Vec<Pause>, StoreError> {
        todo!()
    }

    pub async fn overview(&mut self, now: Millis) -> Result<Overview, StoreError> {
        todo!()
    }

    pub async fn pulse(&mut self, now: Millis, limit: u32) -> Result<Pulse, StoreError> {
        todo!()
    }

    pub async fn census(&mut self) -> Result<Census, StoreError> {
        todo!()
    }

    pub async fn failures(&mut self, limit: u32) -> Result<Vec<FailureGroup>, StoreError> {
        todo!()
    }

    pub async fn flaws(&mut self) -> Result<Vec<String>, StoreError> {
        todo!()
    }
}
