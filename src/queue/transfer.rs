//! Rows that are imported and jobs that are exported.

use super::filter::Filter;
use super::story::Delivery;
use serde_json::{Map, Value};

/// A row to insert: text or numbers by the column's name; a column that is left out has its default.
pub type NewRow = Map<String, Value>;

/// The columns that a producer writes.
pub const PRODUCER_COLUMNS: [&str; 10] = [
    "channel",
    "payload",
    "account",
    "idempotency_key",
    "ordering_key",
    "priority",
    "send_at",
    "expires_at",
    "max_attempts",
    "source",
];

/// A job as it is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedJob {
    pub delivery: Delivery,
    /// A JSON object.
    pub receipt: Option<String>,
    /// Message text: only where it was asked for.
    pub payload: Option<String>,
}

/// Which jobs are exported, and with what.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Export {
    pub filter: Filter,
    pub with_payload: bool,
}
