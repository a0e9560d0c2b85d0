//! What keeps a route shut without an operator: a refused account, a Retry-After, an open breaker,
//! a shortage.

use super::job::Millis;

/// Why a route is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// Acquire refuses the account (401, or a redirect), or something else answers in its place.
    /// Single probes go out.
    Refused,
    /// Acquire sent Retry-After.
    RetryAfter,
    /// Several requests in a row got no usable answer. Single probes go out.
    Breaker,
    /// This machine has no descriptors, memory, threads or ports for another connection.
    Shortage,
}

impl BlockKind {
    pub const ALL: [BlockKind; 4] =
        [BlockKind::Refused, BlockKind::RetryAfter, BlockKind::Breaker, BlockKind::Shortage];

    /// The column's text.
    pub fn as_str(self) -> &'static str {
        match self {
            BlockKind::Refused => "refused",
            BlockKind::RetryAfter => "retry_after",
            BlockKind::Breaker => "breaker",
            BlockKind::Shortage => "shortage",
        }
    }

    /// The kind with this text in the column.
    pub fn of(word: &str) -> Option<BlockKind> {
        BlockKind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A row of `outbox_holds`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Block {
    /// Empty means every account.
    pub account: String,
    /// Empty means every channel of the account.
    pub channel: String,
    pub kind: BlockKind,
    pub reason: String,
    pub since: Millis,
    /// When it ends, or when the next probe goes out.
    pub until: Option<Millis>,
}
