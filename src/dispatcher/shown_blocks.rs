//! The blocks as the database has them, for `status` and `show`.

use super::Dispatcher;
use crate::acquire::RETRY_AFTER_MAX;
use crate::dispatcher::routes::Moment;
use crate::queue::block::BlockKind;
use crate::store::StoreError;
use std::time::Duration;

impl Dispatcher {
    /// A refusal is found out again by the first request; a Retry-After still runs.
    pub(super) async fn restore_blocks(&mut self) -> Result<(), StoreError> {
        self.shown_blocks = self.tenure.blocks().await?;
        let now = Moment::now();
        for block in self.shown_blocks.iter().filter(|b| b.kind == BlockKind::RetryAfter) {
            let until = block.until.unwrap_or(0);
            // No longer than it was: the clock may have been set back since.
            let left = until.saturating_sub(now.wall).min(until.saturating_sub(block.since));
            let left = u64::try_from(left).unwrap_or(0);
            if let (Ok(channel), 1..) = (block.channel.parse(), left)
                && let Some(route) = self.sender.routes.id(&block.account, channel)
            {
                // A clock that was wrong then makes it no longer than it can have been.
                let pause = Duration::from_millis(left).min(RETRY_AFTER_MAX);
                self.sender.routes.retry_after(route, pause, &block.reason, now);
            }
        }
        Ok(())
    }

    /// Keeps the blocks in the database those of the routes.
    pub(super) async fn show_blocks(&mut self) -> Result<(), StoreError> {
        let blocks = self.sender.routes.blocks();
        if !blocks.iter().copied().eq(&self.shown_blocks) {
            let blocks: Vec<_> = blocks.into_iter().cloned().collect();
            self.tenure.publish_blocks(&blocks).await?;
            self.shown_blocks = blocks;
        }
        Ok(())
    }
}
