//! Jobs from and for files: rows inserted in batches, jobs exported in pages.

use super::lenient::{DELIVERY, Lenient};
use super::{SqliteError, SqliteStore};
use crate::queue::change::Mode;
use crate::queue::story::Delivery;
use crate::queue::transfer::{Export, ExportedJob, NewRow};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, QueryBuilder, Sqlite};

/// Keys are spread over their index, so most rows of an import need a different page. 64 MiB; with
/// SQLite's default of 2 MiB it took half as long again.
const KEEP_MORE_PAGES: &str = "PRAGMA cache_size = -65536";

// A taken key is skipped before the INSERT, which would keep a note of each: see outbox_taken_keys.
const INSERT_ROWS: &str = "\
INSERT INTO outbox (channel, payload, account, idempotency_key, ordering_key, priority, send_at, expires_at,
                    max_attempts, source)
SELECT r.value ->> '$.channel', r.value ->> '$.payload', ifnull(r.value ->> '$.account', 'default'),
       r.value ->> '$.idempotency_key', r.value ->> '$.ordering_key', ifnull(r.value ->> '$.priority', 0),
       r.value ->> '$.send_at', r.value ->> '$.expires_at', r.value ->> '$.max_attempts', r.value ->> '$.source'
FROM json_each(?1) AS r
WHERE NOT EXISTS (SELECT 1 FROM outbox o WHERE o.idempotency_key = r.value ->> '$.idempotency_key')
ON CONFLICT (idempotency_key) DO NOTHING";

// Only the rules of an INSERT: nothing is written, and no lock is taken.
const CHECK_ROWS: &str = "\
INSERT INTO outbox_check (channel, payload, account, idempotency_key, ordering_key, priority, send_at, expires_at,
                          max_attempts, source, created_at)
SELECT r.value ->> '$.channel', r.value ->> '$.payload', ifnull(r.value ->> '$.account', 'default'),
       r.value ->> '$.idempotency_key', r.value ->> '$.ordering_key', ifnull(r.value ->> '$.priority', 0),
       r.value ->> '$.send_at', r.value ->> '$.expires_at', r.value ->> '$.max_attempts', r.value ->> '$.source',
       (SELECT now FROM outbox_clock)
FROM json_each(?1) AS r";

impl FromRow<'_, SqliteRow> for ExportedJob {
    fn from_row(row: &SqliteRow) -> sqlx::Result<ExportedJob> {
        let delivery = Delivery::from_row(row)?;
        Ok(ExportedJob { delivery, receipt: row.text("receipt"), payload: row.text("payload") })
    }
}

impl SqliteStore {
    /// Inserts the rows in their order by one statement, all of them or none, and gives the number
    /// of those that are new: one whose idempotency key is taken is skipped.
    ///
    /// # Errors
    /// [`SqliteError::trigger_sentence`]: the rule that one of the rows breaks.
    pub async fn import(&mut self, rows: &[NewRow], mode: Mode) -> Result<u64, SqliteError> {
        let json = serde_json::to_string(rows).expect("JSON values are always JSON");
        if mode == Mode::Rehearse {
            sqlx::query(CHECK_ROWS).bind(json).execute(&mut self.conn).await?;
            return Ok(0);
        }
        sqlx::query(KEEP_MORE_PAGES).execute(&mut self.conn).await?;
        let done = sqlx::query(INSERT_ROWS).bind(json).execute(&mut self.conn).await?;
        Ok(done.rows_affected())
    }

    /// Up to `limit` jobs above `after` and not above `last`, ascending. Each page is a separate
    /// read, so that an export never keeps the write-ahead log from being emptied. A payload of more
    /// than 16 KiB is left out: [`SqliteStore::payload`] reads it.
    pub async fn export_page(
        &mut self,
        export: &Export,
        after: i64,
        last: i64,
        limit: u32,
    ) -> Result<Vec<ExportedJob>, SqliteError> {
        let mut query = page_query(export, after, last, limit);
        Ok(query.build_query_as().fetch_all(&mut self.conn).await?)
    }

    /// These jobs, by ascending id.
    pub async fn export_ids(
        &mut self,
        ids: &[i64],
        with_payload: bool,
    ) -> Result<Vec<ExportedJob>, SqliteError> {
        let mut query = select(with_payload);
        query.push(" FROM outbox AS o WHERE o.id IN (SELECT value FROM json_each(");
        query.push_bind(format!("{ids:?}")).push(")) ORDER BY o.id");
        Ok(query.build_query_as().fetch_all(&mut self.conn).await?)
    }
}

/// Large payloads are left out: all of a page would be in memory at once.
fn select(with_payload: bool) -> QueryBuilder<Sqlite> {
    let payload = match with_payload {
        true => "CASE WHEN octet_length(o.payload) <= 16384 THEN o.payload END AS payload",
        false => "NULL AS payload",
    };
    QueryBuilder::new(format!("SELECT {DELIVERY}, o.receipt, {payload}"))
}

/// Along the ids: through another index each page would sort all that is left.
fn page_query(export: &Export, after: i64, last: i64, limit: u32) -> QueryBuilder<Sqlite> {
    let mut query = select(export.with_payload);
    query.push(" FROM outbox AS o NOT INDEXED");
    query.push(" WHERE o.id > ").push_bind(after).push(" AND o.id <= ").push_bind(last);
    export.filter.push_onto(&mut query);
    query.push(" ORDER BY o.id LIMIT ").push_bind(i64::from(limit));
    query
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::filter::Filter;
    use crate::queue::job::Status;
    use serde_json::Value;
    use serde_json::json;

    fn row(value: Value) -> NewRow {
        let Value::Object(mut row) = value else { panic!("an object is needed") };
        row.entry("channel").or_insert("chat".into());
        row.entry("payload").or_insert(r#"{"caseId": 7, "message": "hi"}"#.into());
        row
    }

    #[tokio::test]
    async fn rows_are_inserted_in_their_order_and_a_taken_key_is_skipped() {
        let mut store = SqliteStore::in_memory().await.unwrap();
        let rows = [
            row(json!({"idempotency_key": "a", "source": "first"})),
            row(json!({"idempotency_key": "a", "source": "second"})),
            row(json!({"idempotency_key": "b", "priority": 3, "account": "other"})),
        ];
        assert_eq!(store.import(&rows, Mode::Apply).await.unwrap(), 2);
        assert_eq!(store.import(&rows, Mode::Apply).await.unwrap(), 0);
        let export = Export { with_payload: true, ..Export::default() };
        let last = store.last_id().await.unwrap();
        let jobs = store.export_page(&export, 0, last, 10).await.unwrap();
        let seen: Vec<_> = jobs
            .iter()
            .map(|job| (job.delivery.idempotency_key.as_deref(), job.delivery.source.as_deref()))
            .collect();
        assert_eq!(seen, [(Some("a"), Some("first")), (Some("b"), None)]);
        assert_eq!(jobs[1].delivery.account, "other");
        assert_eq!(jobs[0].payload.as_deref(), Some(r#"{"caseId": 7, "message": "hi"}"#));
        let ignored = r#"INSERT OR IGNORE INTO outbox (channel, payload, idempotency_key)
            VALUES ('chat', '{"caseId": 7, "message": "hi"}', 'a')"#;
        store.execute_sql(ignored).await.unwrap();
        assert!(store.forget_taken_keys().await.unwrap(), "an ignored insert has left a note");
        assert!(!store.forget_taken_keys().await.unwrap());
    }

    #[tokio::test]
    async fn a_rehearsal_gives_the_triggers_sentence_and_leaves_nothing() {
        let mut store = SqliteStore::in_memory().await.unwrap();
        for (wrong, sentence) in [
            (json!({"priority": "high"}), "outbox.priority: must be a whole number from 0 to 9"),
            (
                json!({"send_at": 1_763_800_000}),
                "outbox.send_at: a number must be Unix milliseconds",
            ),
            (json!({"payload": "{}"}), "outbox.payload.caseId: required"),
            (json!({"channel": "fax"}), "outbox.channel: must be chat, mail or sms"),
            (json!({"max_attempts": 1.5}), "outbox.max_attempts: must be a whole number"),
        ] {
            let rows = [row(json!({})), row(wrong)];
            let refused = store.import(&rows, Mode::Rehearse).await.unwrap_err();
            let said = refused.trigger_sentence().unwrap();
            assert!(said.starts_with(sentence), "{said}");
        }
        assert_eq!(store.import(&[row(json!({}))], Mode::Rehearse).await.unwrap(), 0);
        assert_eq!(store.last_id().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_page_of_an_export_is_found_by_the_id_and_sorts_nothing() {
        let mut store = SqliteStore::in_memory().await.unwrap();
        let statuses = vec![Status::Sent];
        let filter = Filter { statuses, finished_since: Some(1), ..Filter::default() };
        for filter in [Filter::default(), filter] {
            let export = Export { filter, with_payload: true };
            let query = page_query(&export, 1, 2, 3).into_string();
            let query = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(query).fetch_all(&mut store.conn).await.unwrap();
            let steps: Vec<_> = plan.into_iter().map(|step| step.3).collect();
            assert_eq!(steps, ["SEARCH o USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]);
        }
    }
}
