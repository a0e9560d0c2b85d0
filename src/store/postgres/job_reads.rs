//! Jobs as operators read them: by filter, and one with its story.

use super::acts::ACTS;
use super::connection::begin_along_indexes;
use super::filter_sql::{order, push_all, push_onto, sort_column};
use super::pooling::begin_as;
use super::rows::{DELIVERY, block_from, millis};
use super::{PostgresError, PostgresStore};
use crate::queue::act::Act;
use crate::queue::filter::{Filter, Page, SortBy};
use crate::queue::job::Millis;
use crate::queue::overview::SetAside;
use crate::queue::story::{Ahead, AttemptRow, Delivery, Detail, Extent, Position, Story};
use crate::store::ALL;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, QueryBuilder, Row};
use std::sync::LazyLock;

static STORY: LazyLock<String> = LazyLock::new(|| {
    let mut sql = include_str!("story.sql").replace("{delivery}", &DELIVERY);
    for (name, column) in [
        ("{expires}", "o.expires_at"),
        ("{due}", "o.due_at"),
        ("{retry}", "o.next_attempt_at"),
        ("{updated}", "o.updated_at"),
        ("{next_look}", "o.verify_at"),
        ("{next_follow_up}", "o.follow_at"),
        ("{followed}", "o.followed_at"),
    ] {
        sql = sql.replace(name, &millis(column));
    }
    sql
});

static AHEAD: LazyLock<String> =
    LazyLock::new(|| include_str!("ahead.sql").replace("{retry}", &millis("h.next_attempt_at")));

// Of the index of what is uncertain, not along the ids.
const NEXT_UNDECIDED: &str = "\
SELECT min(o.id) FROM (SELECT u.id, u.wait FROM outbox AS u WHERE u.status = 'uncertain' OFFSET 0) AS o
WHERE o.id > $1 AND o.wait IS DISTINCT FROM 'verifying'";

const POSITION: &str = include_str!("position.sql");

/// The newest attempts, oldest first.
static HISTORY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT * FROM (SELECT attempt, {} AS started_at, duration_ms, outcome, http_status, error_code,
             left(error, $3) AS error
         FROM outbox_attempts WHERE job_id = $1 ORDER BY attempt DESC LIMIT $2) AS newest ORDER BY attempt",
        millis("started_at")
    )
});

const ATTEMPTS: &str = "SELECT count(*) FROM outbox_attempts WHERE job_id = $1";

static PAUSES_OF: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT account, channel, reason, {} AS since, {} AS until FROM outbox_pauses
         WHERE account IN ('', $1) AND channel IN ('', $2) ORDER BY account, channel",
        millis("since"),
        millis("until")
    )
});

static SET_ASIDE_OF: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT job_id, '' AS status, {} AS since, reason FROM outbox_set_aside WHERE job_id = $1",
        millis("since")
    )
});

impl PostgresStore {
    /// A page of the jobs that pass.
    pub async fn deliveries(
        &mut self,
        filter: &Filter,
        page: &Page,
    ) -> Result<Vec<Delivery>, PostgresError> {
        self.take_time().await?;
        let mut query = page_query("", filter, page);
        if page.sort != SortBy::Id {
            return Ok(query.build_query_as().fetch_all(&mut self.conn).await?);
        }
        let mut tx = begin_along_indexes(&mut self.conn).await?;
        let page = query.build_query_as().fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(page)
    }

    /// How many jobs pass.
    pub async fn count(&mut self, filter: &Filter) -> Result<u64, PostgresError> {
        self.take_time().await?;
        let mut query = count_query("", filter);
        let count: i64 = query.build_query_scalar().fetch_one(&mut self.conn).await?;
        Ok(count.unsigned_abs())
    }

    /// How many jobs pass, counted up to `limit`.
    pub async fn count_up_to(&mut self, filter: &Filter, limit: u64) -> Result<u64, PostgresError> {
        self.take_time().await?;
        let mut query = QueryBuilder::new("SELECT count(*) FROM (");
        push_all(filter, "1", &mut query);
        query.push(" LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX)).push(") AS p");
        let mut tx = begin_along_indexes(&mut self.conn).await?;
        let count: i64 = query.build_query_scalar().fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(count.unsigned_abs())
    }

    /// Whether this role may look for jobs by their recipients.
    pub async fn may_see_recipients(&mut self) -> Result<bool, PostgresError> {
        self.take_time().await?;
        let may = "SELECT has_column_privilege('outbox', 'recipient', 'SELECT')";
        Ok(sqlx::query_scalar(may).fetch_one(&mut self.conn).await?)
    }

    /// The uncertain job with the lowest id above `after` that waits for a person.
    pub async fn next_undecided(&mut self, after: i64) -> Result<Option<i64>, PostgresError> {
        self.take_time().await?;
        let next = sqlx::query_scalar(NEXT_UNDECIDED).bind(after);
        Ok(next.fetch_one(&mut self.conn).await?)
    }

    /// The id of the job that was inserted last; 0 where there is none.
    pub async fn last_id(&mut self) -> Result<i64, PostgresError> {
        self.take_time().await?;
        let last = "SELECT coalesce(max(id), 0) FROM outbox";
        Ok(sqlx::query_scalar(last).fetch_one(&mut self.conn).await?)
    }

    /// The first `limit` ids above `after` that pass, ascending: all of them through the indexes of
    /// their states, a batch along the table.
    pub async fn ids(
        &mut self,
        filter: &Filter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<i64>, PostgresError> {
        self.take_time().await?;
        if limit < ALL {
            let mut query = QueryBuilder::new("SELECT o.id FROM outbox AS o WHERE o.id > ");
            query.push_bind(after);
            push_onto(filter, &mut query);
            query.push(" ORDER BY o.id LIMIT ").push_bind(i64::from(limit));
            let mut tx = begin_along_indexes(&mut self.conn).await?;
            let ids = query.build_query_scalar().fetch_all(&mut *tx).await?;
            tx.commit().await?;
            return Ok(ids);
        }
        let mut query = QueryBuilder::new("SELECT p.id FROM (");
        push_all(filter, "o.id AS id", &mut query);
        query.push(") AS p WHERE p.id > ").push_bind(after).push(" ORDER BY p.id");
        Ok(query.build_query_scalar().fetch_all(&mut self.conn).await?)
    }

    /// One job's row of `delivery_status`; `None` for an id that does not exist.
    pub async fn delivery(&mut self, id: i64) -> Result<Option<Delivery>, PostgresError> {
        self.take_time().await?;
        let sql = format!("SELECT {} FROM outbox AS o WHERE o.id = $1", *DELIVERY);
        let query = sqlx::query_as(AssertSqlSafe(sql)).bind(id);
        Ok(query.fetch_optional(&mut self.conn).await?)
    }

    /// The first `characters` of a job's payload: message text.
    pub async fn payload(
        &mut self,
        id: i64,
        characters: u32,
    ) -> Result<Option<String>, PostgresError> {
        self.take_time().await?;
        let sql = "SELECT left(payload::text, $2) FROM outbox WHERE id = $1";
        let characters = i32::try_from(characters).unwrap_or(i32::MAX);
        let query = sqlx::query_scalar(sql).bind(id).bind(characters);
        Ok(query.fetch_optional(&mut self.conn).await?)
    }

    /// One job with its history and what goes before it; `None` for an id that does not exist.
    pub async fn story(&mut self, id: i64, extent: Extent) -> Result<Option<Story>, PostgresError> {
        self.take_time().await?;
        // One snapshot: all of it as of one moment.
        let mut tx = begin_as(&mut self.conn, "ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let story = read_story(&mut tx, id, extent).await?;
        tx.commit().await?;
        Ok(story)
    }

    /// What goes before this job; `None` for one that is not ready.
    pub async fn position(
        &mut self,
        id: i64,
        now: Millis,
    ) -> Result<Option<Position>, PostgresError> {
        self.take_time().await?;
        let query = sqlx::query(POSITION).bind(id).bind(Position::LIMIT as i64);
        let row = query.bind(now - 60_000).fetch_optional(&mut self.conn).await?;
        let Some(row) = row else { return Ok(None) };
        let count = |at: usize| Ok::<_, PostgresError>(row.try_get::<i64, _>(at)?.unsigned_abs());
        Ok(Some(Position { ahead: count(0)?, in_flight: count(1)?, last_minute: count(2)? }))
    }
}

async fn read_story(
    conn: &mut PgConnection,
    id: i64,
    extent: Extent,
) -> Result<Option<Story>, PostgresError> {
    let Extent { attempts, fields, line, text } = extent;
    // Without a limit where it is negative.
    let (attempts, fields) = (limit_of(attempts), limit_of(fields));
    let (line, text) = (length_of(line), length_of(text));
    let job = sqlx::query_as(AssertSqlSafe(STORY.as_str()));
    let job = job.bind(id).bind(fields).bind(line).bind(text);
    let Some(job): Option<Detail> = job.fetch_optional(&mut *conn).await? else { return Ok(None) };
    let history = sqlx::query_as(AssertSqlSafe(HISTORY.as_str()));
    let history = history.bind(id).bind(attempts).bind(line);
    let history: Vec<AttemptRow> = history.fetch_all(&mut *conn).await?;
    let attempts = sqlx::query_scalar(ATTEMPTS).bind(id).fetch_one(&mut *conn).await?;
    let acts = sqlx::query_as(AssertSqlSafe(ACTS.as_str())).bind(id);
    let acts: Vec<Act> = acts.fetch_all(&mut *conn).await?;
    let ahead = sqlx::query(AssertSqlSafe(AHEAD.as_str())).bind(id);
    let ahead = ahead.fetch_optional(&mut *conn).await?.as_ref().map(ahead_from).transpose()?;
    let Delivery { account, channel, .. } = &job.delivery;
    let pauses = sqlx::query_as(AssertSqlSafe(PAUSES_OF.as_str())).bind(account).bind(channel);
    let pauses = pauses.fetch_all(&mut *conn).await?;
    let blocks = sqlx::query(super::counts::blocks_of()).bind(account).bind(channel);
    let blocks = blocks.fetch_all(&mut *conn).await?;
    let blocks = blocks.iter().filter_map(|row| block_from(row).transpose());
    let blocks = blocks.collect::<Result<_, _>>()?;
    let set_aside = sqlx::query_as(AssertSqlSafe(SET_ASIDE_OF.as_str())).bind(id);
    let set_aside: Option<SetAside> = set_aside.fetch_optional(&mut *conn).await?;
    Ok(Some(Story { job, history, attempts, acts, ahead, blocks, pauses, set_aside }))
}

fn limit_of(limit: i64) -> Option<i64> {
    Some(limit).filter(|limit| *limit >= 0)
}

fn length_of(characters: i64) -> i32 {
    i32::try_from(characters).unwrap_or(i32::MAX)
}

fn ahead_from(row: &PgRow) -> sqlx::Result<Ahead> {
    Ok(Ahead {
        holder: row.try_get(0)?,
        holder_status: row.try_get(1)?,
        holder_retry: row.try_get(2)?,
        jobs: row.try_get(3)?,
    })
}

/// The page's ids first: only its own rows are read whole.
fn page_query(before: &str, filter: &Filter, page: &Page) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(before);
    let what = match page.sort {
        SortBy::Id => "o.id".to_owned(),
        sort => format!("o.id, {} AS sort", sort_column(sort)),
    };
    let order = order(page);
    query.push(format!("SELECT {} FROM (SELECT p.* FROM (", *DELIVERY));
    if filter.is_of_many() {
        query.push(format!("SELECT {what} FROM outbox AS o WHERE true"));
        push_onto(filter, &mut query);
    } else {
        push_all(filter, &what, &mut query);
    }
    query.push(format!(") AS p{order} LIMIT ")).push_bind(i64::from(page.limit));
    query.push(" OFFSET ").push_bind(i64::try_from(page.offset).unwrap_or(i64::MAX));
    query.push(format!(") AS p JOIN outbox AS o ON o.id = p.id{order}"));
    query
}

fn count_query(before: &str, filter: &Filter) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(before);
    query.push("SELECT coalesce(sum(p.jobs), 0)::bigint FROM (");
    push_all(filter, "count(*) AS jobs", &mut query);
    query.push(") AS p");
    query
}
