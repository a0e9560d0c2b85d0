//! Outboxes for the store's unit tests.

use super::SqliteStore;
use tempfile::TempDir;

/// An outbox in a new file, with what these statements insert.
pub(super) async fn outbox(inserts: &str) -> (TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(&folder.path().join("outbox.db")).await.unwrap();
    store.execute_sql(inserts).await.unwrap();
    (folder, store)
}

/// A chat message of this conversation; `send_at` is an SQL expression.
pub(super) fn chat(case: i64, send_at: &str) -> String {
    format!(
        "INSERT INTO outbox (channel, payload, send_at)
         VALUES ('chat', '{{\"caseId\": {case}, \"message\": \"hi\"}}', {send_at});"
    )
}
