//! Reads columns so that no value makes a reading fail. SQLite stores any value in any column, and
//! any bytes as text; one odd row must not break a list, a page or the start.

use super::SqliteError;
use crate::queue::job::Millis;
use crate::queue::story::{AttemptRow, Delivery, Detail};
use crate::queue::when;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, FromRow, Row, TypeInfo, ValueRef};

/// A row whose columns can be read as what they should be, whatever they hold.
pub(super) trait Lenient {
    /// The column's text, with U+FFFD for bytes that are not UTF-8. A number becomes its digits;
    /// NULL is `None`.
    fn text<C: ColumnIndex<SqliteRow> + Copy>(&self, column: C) -> Option<String>;

    /// The column's whole number; `None` for everything else.
    fn whole<C: ColumnIndex<SqliteRow> + Copy>(&self, column: C) -> Option<i64>;

    /// As [`Lenient::text`]; empty for NULL.
    fn text_or_empty<C: ColumnIndex<SqliteRow> + Copy>(&self, column: C) -> String {
        self.text(column).unwrap_or_default()
    }

    /// A time as ISO 8601; another value as it is.
    fn time<C: ColumnIndex<SqliteRow> + Copy>(&self, column: C) -> Option<String> {
        self.whole(column).map(when::iso).or_else(|| self.text(column))
    }

    /// A time to wait for: a fraction counts as the next whole millisecond, text as none.
    fn due<C: ColumnIndex<SqliteRow> + Copy>(&self, column: C) -> Option<Millis>;
}

impl Lenient for SqliteRow {
    fn text<C: ColumnIndex<SqliteRow> + Copy>(&self, column: C) -> Option<String> {
        if kind(self, column) == Kind::Null {
            return None;
        }
        let bytes: Vec<u8> = self.try_get_unchecked(column).ok()?;
        Some(
            String::from_utf8(bytes)
                .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()),
        )
    }

    fn whole<C: ColumnIndex<SqliteRow> + Copy>(&self, column: C) -> Option<i64> {
        match kind(self, column) {
            Kind::Integer => self.try_get_unchecked(column).ok(),
            _ => None,
        }
    }

    fn due<C: ColumnIndex<SqliteRow> + Copy>(&self, column: C) -> Option<Millis> {
        match kind(self, column) {
            Kind::Real => self.try_get_unchecked(column).ok().map(|at: f64| at.ceil() as Millis),
            _ => self.whole(column),
        }
    }
}

/// The default where the table is missing, so that everything else can still be shown.
pub(super) fn unless_missing<T: Default>(read: Result<T, SqliteError>) -> Result<T, SqliteError> {
    match read {
        Err(e) if e.refusal().is_some_and(|said| said.starts_with("no such table")) => {
            Ok(T::default())
        }
        read => read,
    }
}

#[derive(PartialEq, Eq)]
enum Kind {
    Null,
    Integer,
    Real,
    Other,
}

/// The type of the value itself, not of its column's declaration.
fn kind<C: ColumnIndex<SqliteRow>>(row: &SqliteRow, column: C) -> Kind {
    let Ok(value) = row.try_get_raw(column) else { return Kind::Null };
    if value.is_null() {
        return Kind::Null;
    }
    match value.type_info().name() {
        "INTEGER" => Kind::Integer,
        "REAL" => Kind::Real,
        _ => Kind::Other,
    }
}

/// The columns of a [`Delivery`], of `outbox AS o`. Not those of the view `delivery_status`, which may
/// be missing and shows a time of the wrong type as NULL.
pub(super) const DELIVERY: &str = "o.id, o.channel, o.account, o.source, o.idempotency_key, o.status, o.attempts, \
o.message_id, o.failure, o.error_code, o.error, o.created_at, o.send_at, o.next_attempt_at, o.finished_at, o.delivery, o.delivery_at, \
(o.status = 'uncertain' AND o.wait = 'verifying') AS verifying, \
ifnull(o.case_id, CASE WHEN typeof(o.receipt) = 'text' AND json_valid(o.receipt) THEN json_extract(o.receipt, '$.caseId') END) \
AS case_id, o.contact_id";

impl FromRow<'_, SqliteRow> for Delivery {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Delivery> {
        Ok(Delivery {
            id: row.whole("id").unwrap_or_default(),
            channel: row.text_or_empty("channel"),
            account: row.text_or_empty("account"),
            source: row.text("source"),
            idempotency_key: row.text("idempotency_key"),
            status: row.text_or_empty("status"),
            attempts: row.whole("attempts").unwrap_or_default(),
            message_id: row.text("message_id"),
            failure: row.text("failure"),
            error_code: row.text("error_code"),
            error: row.text("error"),
            created_at: row.time("created_at").unwrap_or_default(),
            send_at: row.time("send_at"),
            next_attempt_at: row.time("next_attempt_at"),
            finished_at: row.time("finished_at"),
            delivery: row.text("delivery"),
            delivery_at: row.time("delivery_at"),
            verifying: row.whole("verifying") == Some(1),
            case_id: row.whole("case_id"),
            contact_id: row.whole("contact_id"),
        })
    }
}

impl FromRow<'_, SqliteRow> for AttemptRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<AttemptRow> {
        Ok(AttemptRow {
            attempt: row.whole("attempt").unwrap_or_default(),
            started_at: row.time("started_at").unwrap_or_default(),
            duration_ms: row.whole("duration_ms").unwrap_or_default(),
            outcome: row.text_or_empty("outcome"),
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
            payload_fields: row.text_or_empty("payload_fields"),
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
            next_look: row.whole("next_look"),
            looks: row.whole("looks").unwrap_or_default(),
            seen: row.text("seen"),
            next_follow_up: row.whole("next_follow_up"),
            followed: row.whole("followed"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::SqliteStore;

    /// The row of this expression, read as text, as a whole number, as a time, as a time to wait
    /// for.
    async fn read(expression: &str) -> (Option<String>, Option<i64>, Option<String>, Option<i64>) {
        let mut store = SqliteStore::in_memory().await.unwrap();
        let sql = sqlx::AssertSqlSafe(format!("SELECT {expression}"));
        let row = sqlx::query(sql).fetch_one(&mut store.conn).await.unwrap();
        (row.text(0), row.whole(0), row.time(0), row.due(0))
    }

    #[tokio::test]
    async fn every_value_is_read_as_text_and_as_a_number() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(read("NULL").await, (None, None, None, None));
        assert_eq!(
            read("17").await,
            (text("17"), Some(17), text("1970-01-01T00:00:00.017Z"), Some(17))
        );
        assert_eq!(read("1.5").await, (text("1.5"), None, text("1.5"), Some(2)));
        assert_eq!(read("9e999").await.3, Some(i64::MAX));
        assert_eq!(read("'17'").await, (text("17"), None, text("17"), None));
        assert_eq!(read("''").await, (text(""), None, text(""), None));
        let latin = read("CAST(x'4dfc6c6c6572' AS TEXT)").await;
        assert_eq!(latin, (text("M\u{fffd}ller"), None, text("M\u{fffd}ller"), None));
        assert_eq!(read("x'ff41'").await.0, text("\u{fffd}A"));
    }
}
