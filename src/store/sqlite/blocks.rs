//! The blocks of routes, on disk so that `status` and `show` can report them.

use super::lenient::Lenient;
use super::{SqliteError, SqliteStore};
use crate::queue::block::Block;
use crate::queue::block::BlockKind;
use sqlx::Connection;
use sqlx::sqlite::SqliteRow;

pub(super) const HOLDS: &str = "\
SELECT account, channel, kind, reason, since, until FROM outbox_holds ORDER BY account, channel, kind";

/// The blocks of one account and channel.
pub(super) const HOLDS_OF: &str = "\
SELECT account, channel, kind, reason, since, until FROM outbox_holds
WHERE account IN ('', ?1) AND channel IN ('', ?2) ORDER BY account, channel, kind";

const INSERT: &str = "\
INSERT INTO outbox_holds (account, channel, kind, reason, since, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

impl SqliteStore {
    /// Replaces all blocks: only one dispatcher works on a file, so all of them are its own.
    pub async fn publish_blocks(&mut self, blocks: &[Block]) -> Result<(), SqliteError> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("DELETE FROM outbox_holds").execute(&mut *tx).await?;
        for block in blocks {
            sqlx::query(INSERT)
                .bind(&block.account)
                .bind(&block.channel)
                .bind(block.kind.as_str())
                .bind(&block.reason)
                .bind(block.since)
                .bind(block.until)
                .execute(&mut *tx)
                .await?;
        }
        Ok(tx.commit().await?)
    }

    /// All blocks.
    pub async fn blocks(&mut self) -> Result<Vec<Block>, SqliteError> {
        let rows = sqlx::query(HOLDS).fetch_all(&mut self.conn).await?;
        Ok(rows.iter().filter_map(block_from).collect())
    }

    /// The first of them.
    pub async fn blocks_up_to(&mut self, limit: u32) -> Result<Vec<Block>, SqliteError> {
        let sql = sqlx::AssertSqlSafe(format!("{HOLDS} LIMIT ?1"));
        let rows = sqlx::query(sql).bind(limit).fetch_all(&mut self.conn).await?;
        Ok(rows.iter().filter_map(block_from).collect())
    }
}

/// `None` for an unknown kind: the dispatcher writes all of them again at its next change.
pub(super) fn block_from(row: &SqliteRow) -> Option<Block> {
    Some(Block {
        account: row.text_or_empty(0),
        channel: row.text_or_empty(1),
        kind: BlockKind::of(&row.text_or_empty(2))?,
        reason: row.text_or_empty(3),
        since: row.whole(4).unwrap_or_default(),
        until: row.whole(5),
    })
}
