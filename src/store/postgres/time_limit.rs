//! A connection that only reads, and whose statements have a time limit together.

use super::pooling::WorkUnits;
use super::postgres_error::Location;
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

/// For a server or a network that does not answer at all: longer than any of our statements takes.
const PATIENCE: Duration = Duration::from_secs(300);
/// After the server should have ended the statement by itself.
const GRACE: Duration = Duration::from_secs(2);

/// Waits for an answer no longer than this. A call that was given up leaves its session useless.
pub async fn within<T>(
    patience: Duration,
    call: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, PostgresError> {
    let answer = tokio::time::timeout(patience, call).await;
    answer.unwrap_or_else(|_| {
        let seconds = patience.as_secs();
        Err(PostgresError::Lost(format!("no answer within {seconds} s")))
    })
}

impl PostgresStore {
    /// How long a caller waits for the next answer.
    pub fn patience(&self) -> Duration {
        let left = self.limit.as_ref().and_then(TimeLimit::left);
        left.map_or(PATIENCE, |left| left + GRACE)
    }

    /// As [`PostgresStore::open_existing`], only to read.
    pub async fn open_to_read(server: &PostgresServer) -> Result<PostgresStore, PostgresError> {
        let mut store = PostgresStore::open_as("acquire-outbox reader", server).await?;
        if store.units.is_some() {
            store.units =
                Some(WorkUnits::of(&server.schema, &["SET TRANSACTION READ ONLY".to_owned()]));
        } else {
            let read_only = "SET default_transaction_read_only = on";
            sqlx::raw_sql(read_only).execute(&mut store.conn).await?;
        }
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
            return Err(PostgresError::TimeLimit(Location::of(self.server())));
        }
        let scope = if self.units.is_some() { "LOCAL" } else { "SESSION" };
        let set = format!("SET {scope} statement_timeout = {millis}");
        sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut self.conn).await?;
        Ok(())
    }
}
