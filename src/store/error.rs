//! The one error of the store, whichever engine is behind it.

/// Why the outbox could not be used. Each sentence is for people, names the outbox where that helps,
/// and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another program has the lock; the same call may succeed later.
    #[error("{0}")]
    Busy(String),
    /// A statement ran longer than the reader's time limit.
    #[error("{0}")]
    TimeLimit(String),
    /// The outbox was deleted or replaced while it was in use. Waiting does not help.
    #[error("{0}")]
    Gone(String),
    /// The stored data is damaged.
    #[error("{0}")]
    Damaged(String),
    /// Another dispatcher has taken over.
    #[error("another dispatcher has taken over this database")]
    Superseded,
    /// The statement was refused because of one of its rows; other rows may be accepted. `by_rule`:
    /// by one of the outbox's own rules, whose sentence this is.
    #[error("{sentence}")]
    Refused { sentence: String, by_rule: bool },
    /// There is no outbox, or it was made by another version.
    #[error("{0}")]
    WrongVersion(String),
    /// The outbox must not be used under this name, for this purpose or in this condition. Trying
    /// again does not help.
    #[error("{0}")]
    Unusable(String),
    #[error("{0}")]
    Other(String),
}

impl StoreError {
    /// Another program has the lock; the same call may succeed later.
    pub fn is_busy(&self) -> bool {
        matches!(self, StoreError::Busy(_))
    }

    /// The outbox is not what it was: writing on would lose or damage data, and waiting does not
    /// help.
    pub fn is_final(&self) -> bool {
        matches!(self, StoreError::Superseded | StoreError::Gone(_) | StoreError::Damaged(_))
    }

    /// The stored data is damaged.
    pub fn is_damage(&self) -> bool {
        matches!(self, StoreError::Damaged(_))
    }

    /// The error is about one of the statement's rows, not about the outbox.
    pub fn is_of_a_row(&self) -> bool {
        matches!(self, StoreError::Refused { .. })
    }

    /// A statement ran longer than the reader's time limit.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, StoreError::TimeLimit(_))
    }

    /// The sentence of the outbox's own rule that refused the statement.
    pub fn rule(&self) -> Option<&str> {
        match self {
            StoreError::Refused { sentence, by_rule: true } => Some(sentence),
            _ => None,
        }
    }
}
