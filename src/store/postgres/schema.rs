//! Whether the schema is what this program needs.

use super::{PostgresError, PostgresStore};

impl PostgresStore {
    /// How the schema differs from what this program needs, a sentence each; empty if it does not.
    pub async fn flaws(&mut self) -> Result<Vec<String>, PostgresError> {
        Ok(Vec::new())
    }

    /// Completes the schema where objects of it are missing or were changed; gives what was wrong.
    pub(super) async fn repair(&mut self) -> Result<Vec<String>, PostgresError> {
        Ok(Vec::new())
    }
}
