//! A node's tenure on PostgreSQL.

use crate::config::PostgresServer;
use crate::queue::block::Block;
use crate::queue::claim::{Agenda, Cycle, CycleResult};
use crate::queue::ended::{Ended, Recorded};
use crate::queue::job::{Job, Millis};
use crate::queue::overview::{Backlog, Left};
use crate::queue::pause::Pause;
use crate::queue::policy::Purpose;
use crate::queue::report::Report;
use crate::store::StoreError;
use crate::store::tenure::{ClockStep, Plan, TakeOver, Upkept};

/// One node's tenure.
pub struct PostgresTenure {}

impl PostgresTenure {
    pub async fn take_over(
        server: &PostgresServer,
        purpose: Purpose,
        decide: impl FnMut(&Job, Millis) -> Ended,
        on_event: impl FnMut(TakeOver<'_>),
    ) -> Result<PostgresTenure, StoreError> {
        todo!()
    }

    pub async fn cycle(&mut self, work: &Cycle<'_>) -> Result<CycleResult, StoreError> {
        todo!()
    }

    pub async fn record(&mut self, ended: &[Ended]) -> Result<Recorded, StoreError> {
        todo!()
    }

    pub async fn look(&mut self) -> Result<Agenda, StoreError> {
        todo!()
    }

    pub async fn changed(&mut self) {
        todo!()
    }

    pub fn check(&self) -> Result<(), StoreError> {
        todo!()
    }

    pub async fn upkeep(&mut self, plan: &Plan) -> Result<Upkept, StoreError> {
        todo!()
    }

    pub async fn fail_unknown_accounts(
        &mut self,
        accounts: &[String],
        known: &[&str],
    ) -> Result<Report, StoreError> {
        todo!()
    }

    pub async fn follow_clock(&mut self, now: Millis) -> Result<Option<ClockStep>, StoreError> {
        todo!()
    }

    pub async fn claims(
        &mut self,
        known: impl Fn(i64) -> bool,
    ) -> Result<Vec<(Job, Millis)>, StoreError> {
        todo!()
    }

    pub async fn blocks(&mut self) -> Result<Vec<Block>, StoreError> {
        todo!()
    }

    pub async fn publish_blocks(&mut self, blocks: &[Block]) -> Result<(), StoreError> {
        todo!()
    }

    pub async fn pauses(&mut self, limit: u32) -> Result<Vec<Pause>, StoreError> {
        todo!()
    }

    pub async fn backlog(&mut self) -> Result<Backlog, StoreError> {
        todo!()
    }

    pub async fn left(&mut self, now: Millis) -> Result<Option<Left>, StoreError> {
        todo!()
    }

    pub async fn close(self) -> Result<(), StoreError> {
        todo!()
    }
}
