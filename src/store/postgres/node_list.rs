//! Which nodes work on an outbox, and how they stand with each other.

use super::{PostgresError, PostgresStore};
use crate::queue::node::{Node, Nodes, Standing};
use sqlx::Row as _;

const NODES: &str = include_str!("node_list.sql");
const NOW: &str = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

impl PostgresStore {
    /// `all`: also those that have ended.
    pub async fn nodes(&mut self, all: bool) -> Result<Nodes, PostgresError> {
        let now = sqlx::query_scalar(NOW).fetch_one(&mut self.conn).await?;
        let found = sqlx::query(NODES).bind(all).bind(i64::from(Nodes::LIMIT));
        let rows = found.fetch_all(&mut self.conn).await?;
        let nodes: Result<_, sqlx::Error> = rows
            .iter()
            .map(|row| {
                let standing: String = row.try_get("standing")?;
                let known = Standing::ALL.into_iter().find(|known| known.as_str() == standing);
                Ok(Node {
                    epoch: row.try_get("epoch")?,
                    name: row.try_get("name")?,
                    version: row.try_get("version")?,
                    accounts: row.try_get("accounts")?,
                    since: row.try_get("since")?,
                    polls: row.try_get("polls")?,
                    standing: known.unwrap_or(Standing::Overdue),
                    lease_until: Some(row.try_get("lease_until")?),
                    sending: row.try_get::<i64, _>("sending")?.unsigned_abs(),
                })
            })
            .collect();
        Ok(Nodes { now, nodes: nodes? })
    }
}
