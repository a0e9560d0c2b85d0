//! The switch of `fill_missing`, which the rules of an INSERT follow.

use super::{PostgresError, PostgresStore, PostgresTenure};
use crate::queue::job::Channel;
use crate::store::StoreError;

const FILLED: &str = "SELECT channel FROM outbox_fill_missing";
const FILL: &str = "INSERT INTO outbox_fill_missing (channel) VALUES ($1) ON CONFLICT DO NOTHING";
const REQUIRE: &str = "DELETE FROM outbox_fill_missing WHERE channel = $1";

impl PostgresStore {
    /// From now on payloads of exactly these channels may leave out the ids of their case. Writes only
    /// what changes.
    pub async fn fill_missing(&mut self, channels: &[Channel]) -> Result<(), PostgresError> {
        self.take_time().await?;
        let filled: Vec<String> = sqlx::query_scalar(FILLED).fetch_all(&mut self.conn).await?;
        for channel in Channel::ALL {
            let is_filled = filled.iter().any(|name| name == channel.as_str());
            let sql = match (channels.contains(&channel), is_filled) {
                (true, false) => FILL,
                (false, true) => REQUIRE,
                _ => continue,
            };
            sqlx::query(sql).bind(channel.as_str()).execute(&mut self.conn).await?;
        }
        Ok(())
    }
}

impl PostgresTenure {
    /// The same, over the node's own session.
    pub async fn fill_missing(&mut self, channels: &[Channel]) -> Result<(), StoreError> {
        Ok(self.session.with_store(async |store| store.fill_missing(channels).await).await?)
    }
}
