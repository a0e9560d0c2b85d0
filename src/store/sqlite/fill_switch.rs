//! The switch of `fill_missing`, which the rules of an INSERT follow.

use super::lenient::Lenient;
use super::sqlite_tenure::SqliteTenure;
use super::{SqliteError, SqliteStore};
use crate::queue::job::Channel;

const FILLED: &str = "SELECT channel FROM outbox_fill_missing";
const FILL: &str = "INSERT OR IGNORE INTO outbox_fill_missing (channel) VALUES (?1)";
const REQUIRE: &str = "DELETE FROM outbox_fill_missing WHERE channel = ?1";

impl SqliteStore {
    /// From now on payloads of exactly these channels may leave out the ids of their case. Writes only
    /// what changes.
    pub async fn fill_missing(&mut self, channels: &[Channel]) -> Result<(), SqliteError> {
        let rows = sqlx::query(FILLED).fetch_all(&mut self.conn).await?;
        let filled: Vec<Channel> =
            rows.iter().filter_map(|row| row.text_or_empty(0).parse().ok()).collect();
        for channel in Channel::ALL {
            let sql = match (channels.contains(&channel), filled.contains(&channel)) {
                (true, false) => FILL,
                (false, true) => REQUIRE,
                _ => continue,
            };
            sqlx::query(sql).bind(channel.as_str()).execute(&mut self.conn).await?;
        }
        Ok(())
    }
}

impl SqliteTenure {
    /// The same, over the dispatcher's own connection: another would read the whole schema once more.
    pub async fn fill_missing(&mut self, channels: &[Channel]) -> Result<(), SqliteError> {
        self.store.fill_missing(channels).await
    }
}
