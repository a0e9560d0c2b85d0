//! Whether messages are delivered or only rehearsed.

/// Where the messages of a database are to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Acquire.
    Delivery,
    /// A stand-in for it.
    Sandbox,
}
