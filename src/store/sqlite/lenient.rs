//! Reads columns so that no value makes a reading fail. SQLite stores any value in any column, and
//! any bytes as text; one odd row must not break a list, a page or the start.

use super::SqliteError;
use crate::queue::job::Millis;
use crate::queue::when;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Row, TypeInfo, ValueRef};

/// A row whose columns can be read as what they should be, whatever they hold.
pub(super) trait Lenient {
    /// The column's text, with U+FFFD for bytes that are not UTF-8. A number becomes its digits;
    /// NULL is `None`.
    fn text<C: ColumnIndex<SqliteRow> + Copy>(&self, column: C) -> Option<String>;

    /// The column's whole number; `None` for everything else.
    fn whole<C: ColumnIndex<SqliteRow> + Copy>(&self, column: C) -> Option<i64>;

    /// As [`Lenient::text`]; empty for NULL.
    fn words<C: ColumnIndex<SqliteRow> + Copy>(&self, column: C) -> String {
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

/// Nothing, if the table is missing: everything else can still be shown.
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
