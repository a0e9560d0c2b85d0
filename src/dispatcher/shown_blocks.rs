//! The blocks as the database has them, for `status` and `show`.

use crate::acquire::RETRY_AFTER_MAX;
use crate::dispatcher::routes::{Moment, Routes};
use crate::queue::block::{Block, BlockKind};
use crate::store::{StoreError, Tenure};
use std::time::Duration;

/// What was last written of them.
#[derive(Default)]
pub(super) struct ShownBlocks(Vec<Block>);

impl ShownBlocks {
    /// Reads what an earlier dispatcher has left. A Retry-After still runs; a refusal is found out
    /// again by the first request.
    pub(super) async fn restore(
        tenure: &mut Tenure,
        routes: &mut Routes,
    ) -> Result<ShownBlocks, StoreError> {
        let blocks = tenure.blocks().await?;
        let now = Moment::now();
        for block in blocks.iter().filter(|block| block.kind == BlockKind::RetryAfter) {
            let until = block.until.unwrap_or(0);
            // No longer than it was: the clock may have been set back since.
            let left = until.saturating_sub(now.wall).min(until.saturating_sub(block.since));
            let left = u64::try_from(left).unwrap_or(0);
            if let (Ok(channel), 1..) = (block.channel.parse(), left)
                && let Some(route) = routes.id(&block.account, channel)
            {
                // A clock that was wrong then makes it no longer than it can have been.
                let pause = Duration::from_millis(left).min(RETRY_AFTER_MAX);
                routes.retry_after(route, pause, &block.reason, now);
            }
        }
        Ok(ShownBlocks(blocks))
    }

    /// Writes the routes' blocks if they have changed.
    pub(super) async fn follow(
        &mut self,
        tenure: &mut Tenure,
        routes: &Routes,
    ) -> Result<(), StoreError> {
        let blocks = routes.blocks();
        if !blocks.iter().copied().eq(&self.0) {
            let blocks: Vec<_> = blocks.into_iter().cloned().collect();
            tenure.publish_blocks(&blocks).await?;
            self.0 = blocks;
        }
        Ok(())
    }

    /// `default`, `default sms`, `everything`.
    pub(super) fn names(&self) -> Vec<String> {
        let name = |block: &Block| match block.account.is_empty() {
            true => "everything".to_owned(),
            false => format!("{} {}", block.account, block.channel).trim_end().to_owned(),
        };
        self.0.iter().map(name).collect()
    }
}
