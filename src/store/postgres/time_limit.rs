//! A connection that only reads, and whose statements have a time limit together.

use super::postgres_error::Place;
use super::{PostgresError, PostgresStore};
use crate::config::PostgresServer;
use sqlx::AssertSqlSafe;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Until when the statements of a connection may run.
#[derive(Debug, Default)]
pub(super) struct TimeLimit(Mutex<Option<Instant>>);

impl TimeLimit {
    /// Counts from now.
    pub(super) fn set(&self, limit: Duration) {
        let until = Instant::now().checked_add(limit);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    fn left(&self) -> Option<Duration> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.map(|until| until.saturating_duration_since(Instant::now()))
    }
}

impl PostgresStore {
    /// As [`PostgresStore::open_existing`], only to read.
    pub async fn open_to_read(server: &PostgresServer) -> Result<PostgresStore, PostgresError> {
        let mut store = PostgresStore::open_as("acquire-outbox reader", server).await?;
        let read_only = "SET default_transaction_read_only = on";
        sqlx::raw_sql(read_only).execute(&mut store.conn).await?;
        store.limit = Some(TimeLimit::default());
        Ok(store)
    }

    /// Gives the next statement what is left of the time: the server itself ends it, also when nobody
    /// waits for it any more.
    ///
    /// # Errors
    /// [`PostgresError::TimeLimit`] when nothing is left.
    pub(super) async fn take_time(&mut self) -> Result<(), PostgresError> {
        let Some(left) = self.limit.as_ref().and_then(TimeLimit::left) else { return Ok(()) };
        let millis = left.as_millis().min(i32::MAX as u128);
        if millis == 0 {
            return Err(PostgresError::TimeLimit(Place::of(self.server())));
        }
        let set = format!("SET statement_timeout = {millis}");
        sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut self.conn).await?;
        Ok(())
    }
}
