//! What `check` and the health page ask about the outbox as a whole.

/// How much an examination reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Whether it can be used.
    Quick,
    /// All stored data, too; slow where there is much.
    Full,
}

/// What an examination found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// Why it must not or cannot be used: one sentence.
    pub verdict: Result<Healthy, String>,
    /// A warning that does not keep anybody from using it.
    pub caution: Option<String>,
}

/// An outbox that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Healthy {
    /// The version of its schema.
    pub schema: i64,
    /// Jobs that wait for a person because their row cannot be read, recorded or moved.
    pub set_aside: u64,
}

/// What can be said of the outbox's storage without opening it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Storage {
    /// Bytes of the database.
    pub bytes: u64,
    /// Bytes of its write-ahead log.
    pub log_bytes: u64,
    /// Why the next write may fail; the sentence names no path.
    pub shortage: Option<String>,
    /// A warning about where it is kept.
    pub caution: Option<String>,
}
