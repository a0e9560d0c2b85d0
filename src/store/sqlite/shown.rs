//! The rows that people look at, readable whatever is in their columns.

use super::lenient::Lenient;
use crate::queue::story::AttemptRow;
use crate::queue::story::Delivery;
use crate::queue::story::Detail;
use sqlx::FromRow;
use sqlx::sqlite::SqliteRow;

/// Its columns, of `outbox AS o`. Not those of the view, which may be missing and shows an odd time
/// as NULL.
pub(super) const DELIVERY: &str = "o.id, o.channel, o.account, o.source, o.idempotency_key, o.status, o.attempts, \
o.message_id, o.failure, o.error_code, o.error, o.created_at, o.send_at, o.next_attempt_at, o.finished_at";

impl FromRow<'_, SqliteRow> for Delivery {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Delivery> {
        Ok(Delivery {
            id: row.whole("id").unwrap_or_default(),
            channel: row.words("channel"),
            account: row.words("account"),
            source: row.text("source"),
            idempotency_key: row.text("idempotency_key"),
            status: row.words("status"),
            attempts: row.whole("attempts").unwrap_or_default(),
            message_id: row.text("message_id"),
            failure: row.text("failure"),
            error_code: row.text("error_code"),
            error: row.text("error"),
            created_at: row.time("created_at").unwrap_or_default(),
            send_at: row.time("send_at"),
            next_attempt_at: row.time("next_attempt_at"),
            finished_at: row.time("finished_at"),
        })
    }
}

impl FromRow<'_, SqliteRow> for AttemptRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<AttemptRow> {
        Ok(AttemptRow {
            attempt: row.whole("attempt").unwrap_or_default(),
            started_at: row.time("started_at").unwrap_or_default(),
            duration_ms: row.whole("duration_ms").unwrap_or_default(),
            outcome: row.words("outcome"),
            http_status: row.whole("http_status"),
            error_code: row.text("error_code"),
            error: row.text("error"),
        })
    }
}

impl FromRow<'_, SqliteRow> for Detail {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Detail> {
        Ok(Detail {
            delivery: Delivery::from_row(row)?,
            payload_bytes: row.whole("payload_bytes").unwrap_or_default(),
            payload_fields: row.words("payload_fields"),
            receipt: row.text("receipt"),
            receipt_bytes: row.whole("receipt_bytes"),
            priority: row.whole("priority").unwrap_or_default(),
            ordering_key: row.text("ordering_key"),
            max_attempts: row.whole("max_attempts"),
            expires: row.whole("expires"),
            wait: row.text("wait"),
            due: row.whole("due"),
            retry: row.whole("retry"),
            updated: row.whole("updated"),
        })
    }
}
