//! Jobs as operators change them. The database's triggers decide which changes are allowed; the
//! caller gets their sentences.

use super::acts::name_actor;
use super::filter_sql::push_onto;
use super::{PostgresError, PostgresStore};
use crate::queue::change::{Change, Mode, NOT_IN_BACKOFF, Refused};
use crate::queue::filter::Filter;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use std::collections::HashMap;

/// In the order of their ids, so that two people who change the same jobs do not wait for each other
/// in a circle. A node skips a row that is locked.
const LOCK: &str = "SELECT id, status, wait FROM outbox WHERE id = ANY ($1) ORDER BY id FOR UPDATE";

impl PostgresStore {
    /// Changes these jobs, each by itself, in one transaction; gives those that it could not.
    pub async fn change(
        &mut self,
        change: Change,
        ids: &[i64],
        mode: Mode,
    ) -> Result<Vec<Refused>, PostgresError> {
        let mut tx = self.conn.begin().await?;
        name_actor(&mut tx, self.actor.as_ref()).await?;
        let rows = sqlx::query(LOCK).bind(ids).fetch_all(&mut *tx).await?;
        let mut found = HashMap::new();
        for row in rows {
            let state: (String, Option<String>) = (row.try_get(1)?, row.try_get(2)?);
            found.insert(row.try_get::<i64, _>(0)?, state);
        }
        let mut refused = Vec::new();
        let mut possible = Vec::new();
        for &id in ids {
            let sentence = match found.get(&id) {
                None => Some("there is no such job".to_owned()),
                Some((status, wait)) => {
                    let refused = status.parse().ok().and_then(|status| change.refuses(status));
                    let is_other = change == Change::TryNow && wait.as_deref() != Some("backoff");
                    refused.or_else(|| is_other.then(|| format!("is pending, {NOT_IN_BACKOFF}")))
                }
            };
            match sentence {
                Some(sentence) => refused.push(Refused { id, sentence }),
                None => possible.push(id),
            }
        }
        refused.extend(apply(&mut tx, change, &possible).await?);
        match mode {
            Mode::Apply => tx.commit().await?,
            Mode::Rehearse => tx.rollback().await?,
        }
        // In the order in which they were asked for.
        let places: HashMap<_, _> = ids.iter().enumerate().map(|(at, id)| (*id, at)).collect();
        refused.sort_by_key(|job| places.get(&job.id).copied());
        Ok(refused)
    }

    /// Changes those of `ids` that still pass `filter` and can be changed this way, in one
    /// transaction; gives their number.
    pub async fn change_where(
        &mut self,
        change: Change,
        filter: &Filter,
        ids: &[i64],
    ) -> Result<u64, PostgresError> {
        let mut tx = self.conn.begin().await?;
        name_actor(&mut tx, self.actor.as_ref()).await?;
        let mut query = sqlx::QueryBuilder::new("SELECT o.id FROM outbox AS o WHERE o.id = ANY (");
        query.push_bind(ids).push(")");
        // Also where the filter names no state.
        let from = Filter { statuses: change.from().to_vec(), ..Filter::default() };
        push_onto(&from, &mut query);
        push_onto(filter, &mut query);
        if change == Change::TryNow {
            query.push(" AND o.wait = 'backoff'");
        }
        if change == Change::Verify {
            query.push(" AND NOT EXISTS (SELECT 1 FROM outbox_set_aside a WHERE a.job_id = o.id)");
        }
        // Whoever waits for a lock here looks at the row as it is then.
        query.push(" ORDER BY o.id FOR UPDATE");
        let passing: Vec<i64> = query.build_query_scalar().fetch_all(&mut *tx).await?;
        let changed = together(&mut tx, change, &passing).await?;
        tx.commit().await?;
        Ok(changed)
    }
}

/// All together, and one by one only where the database refuses one of them: what it refuses undoes
/// the whole statement.
async fn apply(
    tx: &mut PgConnection,
    change: Change,
    ids: &[i64],
) -> Result<Vec<Refused>, PostgresError> {
    let mut savepoint = tx.begin().await?;
    match together(&mut savepoint, change, ids).await {
        Ok(_) => {
            savepoint.commit().await?;
            return Ok(Vec::new());
        }
        Err(e) if e.rule().is_some() => savepoint.rollback().await?,
        Err(e) => return Err(e),
    }
    let mut refused = Vec::new();
    for &id in ids {
        let mut savepoint = tx.begin().await?;
        match together(&mut savepoint, change, &[id]).await {
            Ok(_) => savepoint.commit().await?,
            Err(e) => {
                let sentence = e.rule().map(str::to_owned).ok_or(e)?;
                savepoint.rollback().await?;
                refused.push(Refused { id, sentence });
            }
        }
    }
    Ok(refused)
}

async fn together(
    conn: &mut PgConnection,
    change: Change,
    ids: &[i64],
) -> Result<u64, PostgresError> {
    let done = match change.to() {
        Some(_) if change == Change::Verify => {
            let verify = sqlx::query_scalar("SELECT outbox_verify($1)").bind(ids);
            let changed: i64 = verify.fetch_one(conn).await?;
            return Ok(changed.unsigned_abs());
        }
        Some(_) if change == Change::TryNow => {
            let try_now = sqlx::query_scalar("SELECT outbox_try_now($1)").bind(ids);
            let changed: i64 = try_now.fetch_one(conn).await?;
            return Ok(changed.unsigned_abs());
        }
        Some(status) => {
            let update = "UPDATE outbox SET status = $2 WHERE id = ANY ($1)";
            sqlx::query(update).bind(ids).bind(status.as_str()).execute(conn).await?
        }
        None => {
            let delete = "DELETE FROM outbox WHERE id = ANY ($1)";
            sqlx::query(AssertSqlSafe(delete)).bind(ids).execute(conn).await?
        }
    };
    Ok(done.rows_affected())
}
