//! Jobs as producers insert them and operators change them. The database's triggers decide which
//! changes are allowed; the caller gets their sentences.

use super::acts::{NamedActs, note};
use super::lenient::Lenient;
use super::{SqliteError, SqliteStore};
use crate::queue::act::ActOrigin;
use crate::queue::change::{Change, Mode, NOT_IN_BACKOFF, Refused};
use crate::queue::filter::Filter;
use crate::queue::new_job::{GivenTime, Inserted, NewJob};
use sqlx::{AssertSqlSafe, Connection, QueryBuilder, Sqlite, SqliteConnection};

impl SqliteStore {
    /// Inserts one job; a taken idempotency key gives the job that has it. What a page inserts is noted.
    pub async fn insert(&mut self, job: &NewJob) -> Result<Inserted, SqliteError> {
        let actor = self.actor.as_ref().filter(|actor| actor.origin == ActOrigin::Page);
        if actor.is_none() {
            return insert_row(&mut self.conn, job).await;
        }
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        let acts = NamedActs::since(&mut tx, actor).await?;
        let inserted = insert_row(&mut tx, job).await?;
        if let Inserted::New(id) = inserted {
            note(&mut tx, id, "insert").await?;
        }
        acts.name(&mut tx).await?;
        tx.commit().await?;
        Ok(inserted)
    }

    /// Changes these jobs, each by itself, in one transaction; gives those that it could not.
    pub async fn change(
        &mut self,
        change: Change,
        ids: &[i64],
        mode: Mode,
    ) -> Result<Vec<Refused>, SqliteError> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        let acts = NamedActs::since(&mut tx, self.actor.as_ref()).await?;
        let mut refused = Vec::new();
        for &id in ids {
            if let Some(sentence) = one(&mut tx, change, id).await? {
                refused.push(Refused { id, sentence });
            }
        }
        acts.name(&mut tx).await?;
        match mode {
            Mode::Apply => tx.commit().await?,
            Mode::Rehearse => tx.rollback().await?,
        }
        Ok(refused)
    }

    /// Changes those of `ids` that still pass `filter` and can be changed this way, in one transaction;
    /// gives their number.
    pub async fn change_where(
        &mut self,
        change: Change,
        filter: &Filter,
        ids: &[i64],
    ) -> Result<u64, SqliteError> {
        // With statistics from when there were three jobs, each batch would read the whole table.
        self.forget_statistics().await?;
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        let acts = NamedActs::since(&mut tx, self.actor.as_ref()).await?;
        let mut query = change_query("", change, filter, ids);
        let changed = match change {
            // No trigger sees these.
            Change::TryNow | Change::Verify => {
                query.push(" RETURNING id");
                let ids: Vec<i64> = query.build_query_scalar().fetch_all(&mut *tx).await?;
                for &id in &ids {
                    note(&mut tx, id, deed(change)).await?;
                }
                ids.len() as u64
            }
            _ => query.build().execute(&mut *tx).await?.rows_affected(),
        };
        acts.name(&mut tx).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Executes `sql` as it is; several statements are several transactions.
    pub async fn execute_sql(&mut self, sql: &str) -> Result<(), SqliteError> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.conn).await?;
        Ok(())
    }
}

async fn insert_row(conn: &mut SqliteConnection, job: &NewJob) -> Result<Inserted, SqliteError> {
    let mut query = QueryBuilder::new(
        "INSERT INTO outbox (channel, payload, account, idempotency_key, ordering_key, priority,
                             max_attempts, source, send_at, expires_at) VALUES (",
    );
    let mut values = query.separated(", ");
    values.push_bind(job.channel.as_str()).push_bind(job.payload.as_str());
    values.push_bind(job.account.as_str()).push_bind(job.idempotency_key.as_deref());
    values.push_bind(job.ordering_key.as_deref()).push_bind(job.priority);
    values.push_bind(job.max_attempts).push_bind(job.source.as_deref());
    for time in [&job.send_at, &job.expires_at] {
        match time {
            None => values.push("NULL"),
            Some(GivenTime::Millis(millis)) => values.push_bind(*millis),
            Some(GivenTime::Text(text)) => values.push_bind(text.as_str()),
        };
    }
    query.push(") ON CONFLICT (idempotency_key) DO NOTHING RETURNING id");
    let inserted: Vec<i64> = query.build_query_scalar().fetch_all(&mut *conn).await?;
    if let [id] = inserted[..] {
        return Ok(Inserted::New(id));
    }
    let existing = sqlx::query_scalar("SELECT id FROM outbox WHERE idempotency_key = ?1")
        .bind(job.idempotency_key.as_deref())
        .fetch_one(&mut *conn)
        .await?;
    Ok(Inserted::Existing(existing))
}

fn change_query(
    before: &str,
    change: Change,
    filter: &Filter,
    ids: &[i64],
) -> QueryBuilder<Sqlite> {
    let ids = serde_json::to_string(ids).expect("numbers are always JSON");
    let mut query = QueryBuilder::new(before);
    match change.to() {
        Some(_) if change == Change::Verify => {
            query.push(format!("UPDATE outbox AS o SET {LOOK_NOW}"))
        }
        Some(_) if change == Change::TryNow => {
            query.push(format!("UPDATE outbox AS o SET {TRY_NOW}"))
        }
        Some(status) => query.push("UPDATE outbox AS o SET status = ").push_bind(status.as_str()),
        None => query.push("DELETE FROM outbox AS o"),
    };
    query.push(" WHERE o.id IN (SELECT value FROM json_each(").push_bind(ids).push("))");
    // Also where the filter names no state.
    let from = Filter { statuses: change.from().to_vec(), ..Filter::default() };
    from.push_onto(&mut query);
    if change == Change::TryNow {
        query.push(" AND o.wait = 'backoff'");
    }
    if change == Change::Verify {
        query.push(" AND o.id NOT IN (SELECT job_id FROM outbox_set_aside)");
    }
    filter.push_onto(&mut query);
    query
}

/// As it is noted.
fn deed(change: Change) -> &'static str {
    if change == Change::Verify { "verify" } else { "try_now" }
}

/// The time in which its message may have been sent: of its attempts, or since it was due. A lookup that is
/// under way is made again.
const LOOK_NOW: &str = "\
wait = 'verifying', verify_at = (SELECT now FROM outbox_clock), verify_round = o.verify_round + 1, moves = o.moves + 1,
    verify_from = coalesce(o.verify_from, (SELECT min(a.started_at) FROM outbox_attempts AS a
        WHERE a.job_id = o.id AND a.outcome = 'uncertain'), o.due_at, o.created_at),
    verify_until = coalesce(o.verify_until, o.updated_at, (SELECT now FROM outbox_clock))";
/// The dispatcher finds it due; everything else is as the last attempt left it.
const TRY_NOW: &str = "next_attempt_at = (SELECT now FROM outbox_clock), moves = o.moves + 1";
const IS_SET_ASIDE: &str = "SELECT EXISTS (SELECT 1 FROM outbox_set_aside WHERE job_id = ?1)";

/// Changes one job, or gives the sentence that says why not.
async fn one(
    tx: &mut SqliteConnection,
    change: Change,
    id: i64,
) -> Result<Option<String>, SqliteError> {
    let row = sqlx::query("SELECT status, wait FROM outbox WHERE id = ?1").bind(id);
    let row = row.fetch_optional(&mut *tx).await?;
    let Some(row) = row else { return Ok(Some("there is no such job".to_owned())) };
    if let Some(sentence) =
        row.text_or_empty(0).parse().ok().and_then(|status| change.refuses(status))
    {
        return Ok(Some(sentence));
    }
    if change == Change::TryNow && row.text_or_empty(1) != "backoff" {
        return Ok(Some(format!("is pending, {NOT_IN_BACKOFF}")));
    }
    let done = match change.to() {
        Some(_) if change == Change::Verify => {
            let row = sqlx::query(IS_SET_ASIDE).bind(id).fetch_one(&mut *tx).await?;
            if row.whole(0) == Some(1) {
                return Ok(Some("is set aside: resolve it or send it again".to_owned()));
            }
            let update = format!("UPDATE outbox AS o SET {LOOK_NOW} WHERE o.id = ?1");
            let done = sqlx::query(AssertSqlSafe(update)).bind(id).execute(&mut *tx).await;
            note(tx, id, deed(change)).await?;
            done
        }
        Some(_) if change == Change::TryNow => {
            let update = format!("UPDATE outbox AS o SET {TRY_NOW} WHERE o.id = ?1");
            let done = sqlx::query(AssertSqlSafe(update)).bind(id).execute(&mut *tx).await;
            note(tx, id, deed(change)).await?;
            done
        }
        Some(status) => {
            let update = sqlx::query("UPDATE outbox SET status = ?2 WHERE id = ?1").bind(id);
            update.bind(status.as_str()).execute(&mut *tx).await
        }
        None => sqlx::query("DELETE FROM outbox WHERE id = ?1").bind(id).execute(&mut *tx).await,
    };
    match done.map_err(SqliteError::from) {
        Ok(_) => Ok(None),
        // A trigger undid only this statement; anything else ends the transaction.
        Err(e) => Ok(Some(e.trigger_sentence().ok_or(e)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::change::Resolution;
    use crate::queue::job::{Channel, Status};
    use crate::store::ALL;
    use sqlx::Row;

    fn chat(case: i64) -> NewJob {
        NewJob {
            channel: Channel::Chat,
            payload: format!(r#"{{"caseId": {case}, "message": "hi"}}"#),
            account: "default".to_owned(),
            idempotency_key: None,
            ordering_key: None,
            priority: 0,
            send_at: None,
            expires_at: None,
            max_attempts: None,
            source: None,
        }
    }

    async fn store() -> (tempfile::TempDir, SqliteStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("outbox.db")).await.unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn a_key_that_is_taken_gives_the_job_that_has_it() {
        let (_folder, mut store) = store().await;
        let job = NewJob { idempotency_key: Some("k".to_owned()), ..chat(1) };
        assert_eq!(store.insert(&job).await.unwrap(), Inserted::New(1));
        assert_eq!(store.insert(&job).await.unwrap(), Inserted::Existing(1));
    }

    #[tokio::test]
    async fn a_refused_insert_has_the_triggers_sentence() {
        let (_folder, mut store) = store().await;
        let job = NewJob { send_at: Some(GivenTime::Text("soon".to_owned())), ..chat(1) };
        let refused = store.insert(&job).await.unwrap_err();
        assert!(refused.trigger_sentence().unwrap().starts_with("outbox.send_at: must be"));
        assert_eq!(SqliteError::Superseded.trigger_sentence(), None);
    }

    #[tokio::test]
    async fn what_one_id_is_refused_leaves_the_others_changed() {
        let (_folder, mut store) = store().await;
        for case in 1..=3 {
            store.insert(&chat(case)).await.unwrap();
        }
        let refused = store.change(Change::Cancel, &[1, 7, 3], Mode::Apply).await.unwrap();
        assert_eq!(refused.iter().map(|job| job.id).collect::<Vec<_>>(), [7]);
        let again = store.change(Change::Cancel, &[1], Mode::Apply).await.unwrap();
        assert_eq!(again[0].sentence, "is cancelled already");
        let pending = Filter { statuses: vec![Status::Pending], ..Filter::default() };
        assert_eq!(store.ids(&pending, 0, 500).await.unwrap(), [2]);
    }

    #[tokio::test]
    async fn a_rehearsal_names_what_would_be_refused_and_changes_nothing() {
        let (_folder, mut store) = store().await;
        for case in 1..=2 {
            store.insert(&chat(case)).await.unwrap();
        }
        assert!(store.change(Change::Cancel, &[1, 2], Mode::Rehearse).await.unwrap().is_empty());
        let refused = store.change(Change::Prune, &[1, 9], Mode::Rehearse).await.unwrap();
        assert_eq!(
            refused[0].sentence,
            "is pending; only sent, failed and cancelled jobs can be pruned"
        );
        assert_eq!(refused[1].sentence, "there is no such job");
        let refused =
            store.change(Change::Resolve(Resolution::Sent), &[1], Mode::Rehearse).await.unwrap();
        assert_eq!(refused[0].sentence, "is pending; only uncertain jobs can be resolved");
        assert_eq!(store.ids(&Filter::default(), i64::MIN, ALL).await.unwrap(), [1, 2]);
    }

    #[tokio::test]
    async fn a_batch_is_found_by_its_ids_once_the_statistics_are_gone() {
        let (_folder, mut store) = store().await;
        for case in 1..=3 {
            store.insert(&chat(case)).await.unwrap();
        }
        store.execute_sql("ANALYZE").await.unwrap();
        assert!(store.forget_statistics().await.unwrap());
        let filter = Filter { statuses: vec![Status::Failed], ..Filter::default() };
        for change in [Change::Retry, Change::TryNow, Change::Cancel, Change::Prune] {
            let mut query = change_query("EXPLAIN QUERY PLAN ", change, &filter, &[1, 2]);
            let plan = query.build().fetch_all(&mut store.conn).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
            assert!(plan[0].starts_with("SEARCH o USING INTEGER PRIMARY KEY"), "{plan:#?}");
        }
    }

    #[tokio::test]
    async fn no_filter_prunes_what_is_not_finished() {
        let (_folder, mut store) = store().await;
        for case in 1..=3 {
            store.insert(&chat(case)).await.unwrap();
        }
        store.change(Change::Cancel, &[2], Mode::Apply).await.unwrap();
        let all = Filter::default();
        assert_eq!(store.change_where(Change::Prune, &all, &[1, 2, 3]).await.unwrap(), 1);
        assert_eq!(store.ids(&all, i64::MIN, ALL).await.unwrap(), [1, 3]);
    }

    #[tokio::test]
    async fn a_filter_counts_only_the_jobs_that_still_pass() {
        let (_folder, mut store) = store().await;
        // One lane: each cancellation makes its trigger move the next one up.
        for _ in 0..4 {
            store.insert(&chat(1)).await.unwrap();
        }
        let pending = Filter { statuses: vec![Status::Pending], ..Filter::default() };
        let ids = store.ids(&pending, i64::MIN, 500).await.unwrap();
        store.change(Change::Cancel, &[2], Mode::Apply).await.unwrap();
        assert_eq!(store.change_where(Change::Cancel, &pending, &ids).await.unwrap(), 3);
        assert!(store.ids(&pending, i64::MIN, 500).await.unwrap().is_empty());
    }
}
