//! What keeps a route shut without a person: a refused account, a Retry-After, an open breaker, a shortage.

use super::job::Millis;

/// Why jobs are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// Acquire refuses the account (401, or a redirect), or something else answers instead: single
    /// probes go out.
    Refused,
    /// Acquire asked for a pause.
    RetryAfter,
    /// Request after request found no usable answer: single probes go out.
    Breaker,
    /// This machine has no descriptors, memory, threads or ports for another connection.
    Shortage,
}

impl BlockKind {
    /// Every kind.
    pub const ALL: [BlockKind; 4] =
        [BlockKind::Refused, BlockKind::RetryAfter, BlockKind::Breaker, BlockKind::Shortage];

    /// For people: why the jobs wait.
    pub fn because(self) -> &'static str {
        match self {
            BlockKind::Refused => "the account is refused",
            BlockKind::RetryAfter => "Acquire asked for a pause",
            BlockKind::Breaker => "the breaker is open",
            BlockKind::Shortage => "this machine is short of a resource",
        }
    }

    /// The column's text.
    pub fn as_str(self) -> &'static str {
        match self {
            BlockKind::Refused => "refused",
            BlockKind::RetryAfter => "retry_after",
            BlockKind::Breaker => "breaker",
            BlockKind::Shortage => "shortage",
        }
    }

    /// The kind that this word of the column names.
    pub fn of(word: &str) -> Option<BlockKind> {
        BlockKind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A row of `outbox_holds`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Block {
    /// Empty: every account.
    pub account: String,
    /// Empty: every channel of the account.
    pub channel: String,
    pub kind: BlockKind,
    pub reason: String,
    pub since: Millis,
    /// When it ends, or when the next probe goes out.
    pub until: Option<Millis>,
}
