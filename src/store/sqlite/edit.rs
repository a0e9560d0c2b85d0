//! What the commands write: a new job, a re-drive, a cancellation, a person's decision. The database's triggers say
//! which changes are allowed; their sentences go to whoever asked.

use super::lenient::Lenient;
use super::{SqliteError, SqliteStore};
use crate::queue::change::Change;
use crate::queue::change::Refused;
use crate::queue::filter::Filter;
use crate::queue::new_job::GivenTime;
use crate::queue::new_job::Inserted;
use crate::queue::new_job::NewJob;
use sqlx::{Connection, QueryBuilder, Sqlite, SqliteConnection};

/// The most jobs that one transaction changes: short, so that no producer waits long.
pub const BATCH: usize = 500;

impl SqliteStore {
    /// Inserts one job; a taken idempotency key gives the job that has it.
    pub async fn insert(&mut self, job: &NewJob) -> Result<Inserted, SqliteError> {
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
        let inserted: Vec<i64> = query.build_query_scalar().fetch_all(&mut self.conn).await?;
        if let [id] = inserted[..] {
            return Ok(Inserted::New(id));
        }
        let existing = sqlx::query_scalar("SELECT id FROM outbox WHERE idempotency_key = ?1")
            .bind(job.idempotency_key.as_deref())
            .fetch_one(&mut self.conn)
            .await?;
        Ok(Inserted::Existing(existing))
    }

    /// Changes these jobs, each by itself, in one transaction; gives those that it could not.
    pub async fn change(
        &mut self,
        change: Change,
        ids: &[i64],
    ) -> Result<Vec<Refused>, SqliteError> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        let refused = each(&mut tx, change, ids).await?;
        tx.commit().await?;
        Ok(refused)
    }

    /// What [`SqliteStore::change`] would refuse, as the database itself says it; changes nothing.
    pub async fn would_refuse(
        &mut self,
        change: Change,
        ids: &[i64],
    ) -> Result<Vec<Refused>, SqliteError> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        let refused = each(&mut tx, change, ids).await?;
        tx.rollback().await?;
        Ok(refused)
    }

    /// Up to [`BATCH`] ids above `after` that pass `filter`, ascending: each job comes once, even
    /// one that falls back into the filter's states meanwhile.
    pub async fn ids_after(
        &mut self,
        filter: &Filter,
        after: i64,
    ) -> Result<Vec<i64>, SqliteError> {
        let mut query = QueryBuilder::new("SELECT o.id FROM outbox AS o WHERE o.id > ");
        query.push_bind(after);
        filter.push_onto(&mut query);
        query.push(" ORDER BY o.id LIMIT ").push_bind(BATCH as i64);
        Ok(query.build_query_scalar().fetch_all(&mut self.conn).await?)
    }

    /// Changes those of `ids` that still pass `filter` and can go this way, in one statement; gives
    /// their number.
    pub async fn change_where(
        &mut self,
        change: Change,
        filter: &Filter,
        ids: &[i64],
    ) -> Result<u64, SqliteError> {
        let mut query = change_query("", change, filter, ids);
        Ok(query.build().execute(&mut self.conn).await?.rows_affected())
    }

    /// Takes and gives back the write lock, and writes nothing.
    pub async fn probe_write(&mut self) -> Result<(), SqliteError> {
        Ok(self.conn.begin_with("BEGIN IMMEDIATE").await?.rollback().await?)
    }
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
        Some(status) => query.push("UPDATE outbox AS o SET status = ").push_bind(status.as_str()),
        None => query.push("DELETE FROM outbox AS o"),
    };
    query.push(" WHERE o.id IN (SELECT value FROM json_each(").push_bind(ids).push("))");
    // Whatever the filter lets pass.
    let from = Filter { statuses: change.from().to_vec(), ..Filter::default() };
    from.push_onto(&mut query);
    filter.push_onto(&mut query);
    query
}

/// Each by itself; those that could not be changed.
async fn each(
    tx: &mut SqliteConnection,
    change: Change,
    ids: &[i64],
) -> Result<Vec<Refused>, SqliteError> {
    let mut refused = Vec::new();
    for &id in ids {
        if let Some(sentence) = one(tx, change, id).await? {
            refused.push(Refused { id, sentence });
        }
    }
    Ok(refused)
}

/// Gives the sentence that says why it was not changed.
async fn one(
    tx: &mut SqliteConnection,
    change: Change,
    id: i64,
) -> Result<Option<String>, SqliteError> {
    let row = sqlx::query("SELECT status FROM outbox WHERE id = ?1").bind(id);
    let row = row.fetch_optional(&mut *tx).await?;
    let Some(row) = row else { return Ok(Some("there is no such job".to_owned())) };
    if let Some(sentence) = row.words(0).parse().ok().and_then(|status| change.refuses(status)) {
        return Ok(Some(sentence));
    }
    let done = match change.to() {
        Some(status) => {
            let update = sqlx::query("UPDATE outbox SET status = ?2 WHERE id = ?1").bind(id);
            update.bind(status.as_str()).execute(&mut *tx).await
        }
        None => sqlx::query("DELETE FROM outbox WHERE id = ?1").bind(id).execute(&mut *tx).await,
    };
    match done.map_err(SqliteError::from) {
        Ok(_) => Ok(None),
        // A trigger undid this statement alone; anything else ends the transaction.
        Err(e) => Ok(Some(e.trigger_sentence().ok_or(e)?)),
    }
}

impl SqliteError {
    /// The sentence of a trigger that refused a statement: `None` for every other error.
    pub fn trigger_sentence(&self) -> Option<String> {
        const SQLITE_CONSTRAINT_TRIGGER: &str = "1811";
        let SqliteError::Sql(sqlx::Error::Database(e)) = self else { return None };
        (e.code().as_deref() == Some(SQLITE_CONSTRAINT_TRIGGER)).then(|| e.message().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::job::{Channel, Status};
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
        let refused = store.change(Change::Cancel, &[1, 7, 3]).await.unwrap();
        assert_eq!(refused.iter().map(|job| job.id).collect::<Vec<_>>(), [7]);
        let again = store.change(Change::Cancel, &[1]).await.unwrap();
        assert_eq!(again[0].sentence, "is cancelled already");
        let pending = Filter { statuses: vec![Status::Pending], ..Filter::default() };
        assert_eq!(store.ids_after(&pending, 0).await.unwrap(), [2]);
    }

    #[tokio::test]
    async fn what_would_be_refused_is_told_and_nothing_is_changed() {
        let (_folder, mut store) = store().await;
        for case in 1..=2 {
            store.insert(&chat(case)).await.unwrap();
        }
        assert!(store.would_refuse(Change::Cancel, &[1, 2]).await.unwrap().is_empty());
        let refused = store.would_refuse(Change::Prune, &[1, 9]).await.unwrap();
        assert_eq!(
            refused[0].sentence,
            "is pending; what is sent, failed or cancelled alone is pruned"
        );
        assert_eq!(refused[1].sentence, "there is no such job");
        let refused = store.would_refuse(Change::ResolveSent, &[1]).await.unwrap();
        assert_eq!(refused[0].sentence, "is pending; an uncertain job alone is resolved");
        assert_eq!(store.ids(&Filter::default()).await.unwrap(), [1, 2]);
    }

    #[tokio::test]
    async fn a_batch_goes_by_its_ids_once_what_was_analyzed_is_forgotten() {
        let (_folder, mut store) = store().await;
        for case in 1..=3 {
            store.insert(&chat(case)).await.unwrap();
        }
        store.plain_sql("ANALYZE").await.unwrap();
        assert!(store.forget_statistics().await.unwrap());
        let filter = Filter { statuses: vec![Status::Failed], ..Filter::default() };
        for change in [Change::Retry, Change::Cancel, Change::Prune] {
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
        store.change(Change::Cancel, &[2]).await.unwrap();
        let all = Filter::default();
        assert_eq!(store.change_where(Change::Prune, &all, &[1, 2, 3]).await.unwrap(), 1);
        assert_eq!(store.ids(&all).await.unwrap(), [1, 3]);
    }

    #[tokio::test]
    async fn a_filter_counts_the_jobs_alone_that_still_pass() {
        let (_folder, mut store) = store().await;
        // One lane: each cancellation makes its trigger move the next one up.
        for _ in 0..4 {
            store.insert(&chat(1)).await.unwrap();
        }
        let pending = Filter { statuses: vec![Status::Pending], ..Filter::default() };
        let ids = store.ids_after(&pending, i64::MIN).await.unwrap();
        store.change(Change::Cancel, &[2]).await.unwrap();
        assert_eq!(store.change_where(Change::Cancel, &pending, &ids).await.unwrap(), 3);
        assert!(store.ids_after(&pending, i64::MIN).await.unwrap().is_empty());
    }
}
