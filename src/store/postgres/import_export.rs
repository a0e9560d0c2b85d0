//! Jobs from producers and files, and for files: rows inserted in batches, jobs exported in pages.

use super::acts::note_insert;
use super::connection::begin_along_indexes;
use super::filter_sql::push_onto;
use super::new_rows::NewRows;
use super::rows::DELIVERY;
use super::{PostgresError, PostgresStore};
use crate::queue::change::Mode;
use crate::queue::new_job::{Inserted, NewJob};
use crate::queue::story::Delivery;
use crate::queue::transfer::{Export, ExportedJob, NewRow};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection, FromRow, PgConnection, Postgres, QueryBuilder, Row};

const INSERT_ROWS: &str = include_str!("insert_rows.sql");
const WITH_KEY: &str = "SELECT id FROM outbox WHERE idempotency_key = $1";

/// JSON that is valid, but has a character that no text of PostgreSQL's may have.
const UNTRANSLATABLE: &str = "22P05";
const NO_NUL: &str = "outbox.payload: must not contain \\u0000, which PostgreSQL cannot store";

impl FromRow<'_, PgRow> for ExportedJob {
    fn from_row(row: &PgRow) -> sqlx::Result<ExportedJob> {
        let delivery = Delivery::from_row(row)?;
        let (receipt, payload) = (row.try_get("receipt")?, row.try_get("payload")?);
        Ok(ExportedJob { delivery, receipt, payload })
    }
}

impl PostgresStore {
    /// Inserts one job; a taken idempotency key gives the job that has it. What a page inserts is noted.
    pub async fn insert(&mut self, job: &NewJob) -> Result<Inserted, PostgresError> {
        let rows = NewRows::of_job(job).map_err(PostgresError::Rule)?;
        // More than once, because the job that had the key may be deleted between the two statements.
        for _ in 0..3 {
            let mut tx = self.conn.begin().await?;
            if let [id] = insert(&mut tx, &rows).await?[..] {
                if let Some(actor) = &self.actor {
                    note_insert(&mut tx, id, actor).await?;
                }
                tx.commit().await?;
                return Ok(Inserted::New(id));
            }
            drop(tx);
            let with_key = sqlx::query_scalar(WITH_KEY).bind(&job.idempotency_key);
            if let Some(id) = with_key.fetch_optional(&mut self.conn).await? {
                return Ok(Inserted::Existing(id));
            }
        }
        // By a job that this user may not see.
        Err(PostgresError::Rule("outbox.idempotency_key: is taken".to_owned()))
    }

    /// Inserts the rows in their order by one statement, all of them or none, and gives the number
    /// of those that are new: one whose idempotency key is taken is skipped. A rehearsal inserts them
    /// and takes that back, so that all rules apply.
    pub async fn import(&mut self, rows: &[NewRow], mode: Mode) -> Result<u64, PostgresError> {
        let rows = NewRows::of(rows).map_err(PostgresError::Rule)?;
        if mode == Mode::Rehearse {
            let mut tx = self.conn.begin().await?;
            insert(&mut tx, &rows).await?;
            tx.rollback().await?;
            return Ok(0);
        }
        Ok(insert(&mut self.conn, &rows).await?.len() as u64)
    }

    /// Executes `sql` as it is; several statements are one transaction, unless they begin and end others.
    pub async fn execute_sql(&mut self, sql: &str) -> Result<(), PostgresError> {
        self.take_time().await?;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.conn).await?;
        Ok(())
    }

    /// Up to `limit` jobs above `after` and not above `last`, ascending. Each page is a separate
    /// read, so that an export never keeps dead rows from being removed. A payload of more than 16 KiB
    /// is left out: [`PostgresStore::payload`] reads it.
    pub async fn export_page(
        &mut self,
        export: &Export,
        after: i64,
        last: i64,
        limit: u32,
    ) -> Result<Vec<ExportedJob>, PostgresError> {
        self.take_time().await?;
        let mut query = page_query(export, after, last, limit);
        let mut tx = begin_along_indexes(&mut self.conn).await?;
        let page = query.build_query_as().fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(page)
    }

    /// These jobs, by ascending id.
    pub async fn export_ids(
        &mut self,
        ids: &[i64],
        with_payload: bool,
    ) -> Result<Vec<ExportedJob>, PostgresError> {
        self.take_time().await?;
        let mut query = select(with_payload);
        query.push(" FROM outbox AS o WHERE o.id = ANY (").push_bind(ids).push(") ORDER BY o.id");
        let mut tx = begin_along_indexes(&mut self.conn).await?;
        let jobs = query.build_query_as().fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(jobs)
    }
}

async fn insert(conn: &mut PgConnection, rows: &NewRows) -> Result<Vec<i64>, PostgresError> {
    let query = sqlx::query_scalar(INSERT_ROWS)
        .bind(&rows.channel)
        .bind(&rows.payload)
        .bind(&rows.account)
        .bind(&rows.idempotency_key)
        .bind(&rows.ordering_key)
        .bind(&rows.priority)
        .bind(&rows.send_at)
        .bind(&rows.expires_at)
        .bind(&rows.max_attempts)
        .bind(&rows.source);
    query.fetch_all(conn).await.map_err(|e| match PostgresError::from(e) {
        e if e.code() == Some(UNTRANSLATABLE) => PostgresError::Rule(NO_NUL.to_owned()),
        e => e,
    })
}

/// Large payloads are left out: all of a page would be in memory at once. The size as it is stored is known
/// without reading it, and never above that of its text by much.
fn select(with_payload: bool) -> QueryBuilder<Postgres> {
    let payload = match with_payload {
        true => {
            "CASE WHEN pg_column_size(o.payload) <= 16384 AND octet_length(o.payload::text) <= 16384 THEN o.payload::text END"
        }
        false => "NULL::text",
    };
    let delivery = &*DELIVERY;
    QueryBuilder::new(format!(
        "SELECT {delivery}, o.receipt::text AS receipt, {payload} AS payload"
    ))
}

/// Along the ids: through another index each page would sort all that is left.
fn page_query(export: &Export, after: i64, last: i64, limit: u32) -> QueryBuilder<Postgres> {
    let mut query = select(export.with_payload);
    query.push(" FROM outbox AS o WHERE o.id > ").push_bind(after);
    query.push(" AND o.id <= ").push_bind(last);
    push_onto(&export.filter, &mut query);
    query.push(" ORDER BY o.id LIMIT ").push_bind(i64::from(limit));
    query
}
