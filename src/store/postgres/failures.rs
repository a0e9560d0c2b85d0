//! Recent failures, grouped by their error.

use super::rows::millis;
use super::{PostgresError, PostgresStore};
use crate::queue::overview::{FailureGroup, LOOKED_AT};
use sqlx::AssertSqlSafe;
use std::sync::LazyLock;

static FAILURES: LazyLock<String> =
    LazyLock::new(|| include_str!("failures.sql").replace("{last}", &millis("max(o.updated_at)")));

impl PostgresStore {
    /// The errors that most jobs have, of the latest [`LOOKED_AT`] of each kind.
    pub async fn failures(&mut self, limit: u32) -> Result<Vec<FailureGroup>, PostgresError> {
        self.take_time().await?;
        let query = sqlx::query_as(AssertSqlSafe(FAILURES.as_str()));
        let query = query.bind(LOOKED_AT).bind(i64::from(limit));
        Ok(query.fetch_all(&mut self.conn).await?)
    }
}
