//! The state of the whole outbox: counts, ages and rates, and what keeps jobs from being sent.

use super::connection::begin_along_indexes;
use super::history::last_sent;
use super::rows::{block_from, millis};
use super::{PostgresError, PostgresStore};
use crate::queue::block::Block;
use crate::queue::job::Millis;
use crate::queue::overview::{Census, CensusRow, Count, Overview, Pulse, SetAsideSummary};
use crate::queue::overview::{RouteBacklog, Throughput, Undelivered, Untouched};
use crate::store::ALL;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, FromRow, PgConnection, Row, SqlSafeStr, SqlStr};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// How many of the rows that are set aside are listed.
const NAMED: u32 = 10;

/// The spans of the rates.
const MINUTES: [u32; 3] = [1, 5, 15];

static COUNTS: LazyLock<String> = LazyLock::new(|| {
    let now = "(timestamptz 'epoch' + $1 * interval '1 ms')";
    include_str!("counts.sql").replace("{now}", now).replace("{due}", &millis("min(due)"))
});

static OLDEST_DUE: LazyLock<String> = LazyLock::new(|| {
    let sql = include_str!("oldest_due.sql");
    let oldest = sql.rfind("SELECT least(").expect("it ends with the least");
    format!(
        "{}SELECT {} FROM ({} AS due) AS oldest",
        &sql[..oldest],
        millis("oldest.due"),
        sql[oldest..].trim_end()
    )
});

/// A parked job's head is ready, in backoff or being sent; one that has arrived counts as ready.
static BACKLOGS: LazyLock<String> = LazyLock::new(|| {
    let now = "(timestamptz 'epoch' + $1 * interval '1 ms')";
    format!(
        "WITH part (account, channel, jobs, due, ready) AS (
             SELECT account, channel, count(*), min(due_at), min(due_at) FROM outbox WHERE wait IN ('ready', 'arrived') GROUP BY account, channel
             UNION ALL SELECT account, channel, count(*), min(next_attempt_at) FILTER (WHERE next_attempt_at <= {now}), NULL
                 FROM outbox WHERE wait = 'backoff' GROUP BY account, channel
             UNION ALL SELECT account, channel, count(*), min(due_at), NULL FROM outbox
                 WHERE lane IS NOT NULL AND wait IN ('arrived', 'parked') AND wait = 'parked' GROUP BY account, channel)
         SELECT account, channel, sum(jobs)::bigint, {}, {} FROM part GROUP BY account, channel ORDER BY account COLLATE \"C\", channel COLLATE \"C\"",
        millis(&format!("min(due) FILTER (WHERE due <= {now})")),
        millis(&format!("min(ready) FILTER (WHERE ready <= {now})"))
    )
});

/// A seek per state and channel, and what ended since: `$2` and `$3` are spans' beginnings, `$4` the
/// longest one's.
const ENDED_SINCE: &str = "\
SELECT count(*) FILTER (WHERE finished_at >= timestamptz 'epoch' + $2 * interval '1 ms'),
    count(*) FILTER (WHERE finished_at >= timestamptz 'epoch' + $3 * interval '1 ms'), count(*)
FROM outbox WHERE status = $1 AND channel IN ('chat', 'mail', 'sms') AND finished_at IS NOT NULL
    AND finished_at >= timestamptz 'epoch' + $4 * interval '1 ms'";

const FOLLOWING: &str = "SELECT count(*) FROM outbox WHERE follow_at IS NOT NULL";
const UNDELIVERED: &str = "\
SELECT (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE delivery IS NOT NULL AND delivery = 'bounced' LIMIT $1) AS b),
    (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE delivery IS NOT NULL AND delivery = 'failed' LIMIT $1) AS f)";

/// The node that started last, of those that are at work.
static NODE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM outbox_nodes WHERE buried_at IS NULL ORDER BY epoch DESC LIMIT 1",
        millis("started_at")
    )
});

/// Several nodes may have a block of one name; they are one block, until the last of them ends.
static BLOCKS: LazyLock<String> = LazyLock::new(|| blocks("true", " LIMIT $1"));
static BLOCKS_OF: LazyLock<String> =
    LazyLock::new(|| blocks("h.account IN ('', $1) AND h.channel IN ('', $2)", ""));

fn blocks(condition: &str, limit: &str) -> String {
    format!(
        "SELECT DISTINCT ON (h.account, h.channel, h.kind) h.account, h.channel, h.kind, h.reason,
             {} AS since, {} AS until
         FROM outbox_holds h LEFT JOIN outbox_nodes n ON n.epoch = h.epoch
         WHERE n.buried_at IS NULL AND {condition}
         ORDER BY h.account, h.channel, h.kind, h.until DESC NULLS FIRST, h.since{limit}",
        millis("h.since"),
        millis("h.until")
    )
}

/// The blocks of one account and channel.
pub(super) fn blocks_of() -> SqlStr {
    AssertSqlSafe(BLOCKS_OF.as_str()).into_sql_str()
}

static SET_ASIDE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT a.job_id, o.status, {} AS since, a.reason
         FROM outbox_set_aside a LEFT JOIN outbox o ON o.id = a.job_id ORDER BY a.job_id LIMIT $1",
        millis("a.since")
    )
});

/// The condition of the index `outbox_untouched`.
const UNTOUCHED: &str = "\
SELECT o.id FROM outbox o WHERE o.status = 'pending' AND (o.wait IS NULL OR o.wait = 'arrived' AND o.lane IS NULL)
    AND NOT EXISTS (SELECT 1 FROM outbox_set_aside a WHERE a.job_id = o.id) LIMIT $1";

/// As [`BACKLOGS`] gives them.
type BacklogColumns = (String, String, i64, Option<Millis>, Option<Millis>);

impl PostgresStore {
    /// Counts all jobs; reads an index entry for each.
    pub async fn census(&mut self) -> Result<Census, PostgresError> {
        self.take_time().await?;
        let mut tx = begin_along_indexes(&mut self.conn).await?;
        let query = sqlx::query(AssertSqlSafe(COUNTS.as_str())).bind(0_i64);
        let rows = query.fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(Census(rows.iter().map(CensusRow::from_row).collect::<Result<_, _>>()?))
    }

    /// Counts the jobs that wait, by account and channel.
    pub async fn backlogs(&mut self, now: Millis) -> Result<Vec<RouteBacklog>, PostgresError> {
        self.take_time().await?;
        let mut tx = begin_along_indexes(&mut self.conn).await?;
        let backlogs = read_backlogs(&mut tx, now).await?;
        tx.commit().await?;
        Ok(backlogs)
    }

    /// What of the overview can be read without counting jobs; up to `limit` of each list.
    pub async fn pulse(&mut self, now: Millis, limit: u32) -> Result<Pulse, PostgresError> {
        self.take_time().await?;
        let mut tx = begin_along_indexes(&mut self.conn).await?;
        let oldest_due = sqlx::query_scalar(AssertSqlSafe(OLDEST_DUE.as_str()));
        let oldest_due: Option<Millis> = oldest_due.fetch_one(&mut *tx).await?;
        let verifying = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE wait = 'verifying'");
        let verifying: i64 = verifying.fetch_one(&mut *tx).await?;
        let last_sent = last_sent(&mut tx).await?;
        tx.commit().await?;
        Ok(Pulse {
            last_sent,
            verifying: verifying.unsigned_abs(),
            untouched: self.untouched().await?.count,
            oldest_due: oldest_due.filter(|due| *due <= now),
            pid: None, // of a process on one of several machines
            since: self.node_since().await?,
            undelivered: self.undelivered(Some(Undelivered::LIMIT)).await?,
            blocks: self.blocks(limit).await?,
            pauses: self.pauses(limit).await?,
            set_aside: self.set_aside_summary(limit).await?,
        })
    }

    /// Counts, the oldest job that is due, rates, and what keeps jobs from being sent.
    pub async fn overview(&mut self, now: Millis) -> Result<Overview, PostgresError> {
        self.take_time().await?;
        // First: in a unit of work the transaction can only be given a snapshot before anything is read.
        let mut tx = begin_along_indexes(&mut self.conn).await?;
        let rows =
            sqlx::query(AssertSqlSafe(COUNTS.as_str())).bind(now).fetch_all(&mut *tx).await?;
        let sent = ended_since(&mut tx, "sent", now).await?;
        let failed = ended_since(&mut tx, "failed", now).await?;
        let following = sqlx::query_scalar(FOLLOWING).fetch_one(&mut *tx).await?;
        let backlogs = read_backlogs(&mut tx, now).await?;
        let last_sent = last_sent(&mut tx).await?;
        tx.commit().await?;
        let flaws = self.flaws().await?;
        let blocks = self.blocks(ALL).await?;
        let set_aside = self.set_aside_summary(NAMED).await?;
        let untouched = self.untouched().await?;
        let pauses = self.pauses(ALL).await?;
        let dispatcher_since = self.node_since().await?;
        let (counts, oldest_due_of) = counted(&rows)?;
        let verifying = "SELECT count(*) FROM outbox WHERE wait = 'verifying'";
        let verifying = sqlx::query_scalar(verifying).fetch_one(&mut self.conn).await?;
        let undelivered = self.undelivered(None).await?;
        let unreadable = self.unreadable().await?;
        let throughput = [0, 1, 2].map(|at| Throughput {
            minutes: MINUTES[at],
            sent: sent[at],
            failed: failed[at],
        });
        Ok(Overview {
            counts,
            verifying,
            following,
            undelivered,
            unreadable,
            oldest_due: oldest_due_of.values().copied().min(),
            oldest_due_of,
            backlogs,
            last_sent,
            throughput,
            dispatcher_pid: None,
            dispatcher_since,
            blocks,
            pauses,
            set_aside,
            untouched,
            flaws,
        })
    }

    /// Up to `limit` of each kind.
    async fn undelivered(&mut self, limit: Option<i64>) -> Result<Undelivered, PostgresError> {
        let row = sqlx::query(UNDELIVERED).bind(limit).fetch_one(&mut self.conn).await?;
        Ok(Undelivered { bounced: row.try_get(0)?, failed: row.try_get(1)? })
    }

    async fn node_since(&mut self) -> Result<Option<Millis>, PostgresError> {
        let query = sqlx::query_scalar(AssertSqlSafe(NODE.as_str()));
        Ok(query.fetch_optional(&mut self.conn).await?.flatten())
    }

    /// The first blocks.
    async fn blocks(&mut self, limit: u32) -> Result<Vec<Block>, PostgresError> {
        let query = sqlx::query(AssertSqlSafe(BLOCKS.as_str())).bind(i64::from(limit));
        let rows = query.fetch_all(&mut self.conn).await?;
        Ok(rows.iter().filter_map(|row| block_from(row).transpose()).collect::<Result<_, _>>()?)
    }

    /// How many rows are set aside, and the first of them.
    pub(super) async fn set_aside_summary(
        &mut self,
        limit: u32,
    ) -> Result<SetAsideSummary, PostgresError> {
        let count = sqlx::query_scalar("SELECT count(*) FROM outbox_set_aside");
        let count: i64 = count.fetch_one(&mut self.conn).await?;
        let first = sqlx::query_as(AssertSqlSafe(SET_ASIDE.as_str())).bind(i64::from(limit));
        let first = first.fetch_all(&mut self.conn).await?;
        Ok(SetAsideSummary { count: count.unsigned_abs(), first })
    }

    /// Rows that were written without the triggers, counted up to [`Untouched::COUNTED`].
    pub(super) async fn untouched(&mut self) -> Result<Untouched, PostgresError> {
        let count = format!("SELECT count(*) FROM ({UNTOUCHED}) AS untouched");
        let count = sqlx::query_scalar(AssertSqlSafe(count)).bind(Untouched::COUNTED);
        let count: i64 = count.fetch_one(&mut self.conn).await?;
        let first = sqlx::query_scalar(UNTOUCHED).bind(Untouched::NAMED);
        let first = first.fetch_all(&mut self.conn).await?;
        Ok(Untouched { count: count.unsigned_abs(), first })
    }
}

async fn read_backlogs(
    conn: &mut PgConnection,
    now: Millis,
) -> Result<Vec<RouteBacklog>, PostgresError> {
    let query = sqlx::query_as(AssertSqlSafe(BACKLOGS.as_str())).bind(now);
    let rows: Vec<BacklogColumns> = query.fetch_all(conn).await?;
    let backlog = |(account, channel, jobs, oldest_due, oldest_ready): BacklogColumns| {
        RouteBacklog { account, channel, jobs: jobs.unsigned_abs(), oldest_due, oldest_ready }
    };
    Ok(rows.into_iter().map(backlog).collect())
}

/// How many ended in this state in each of the spans.
async fn ended_since(
    conn: &mut PgConnection,
    status: &str,
    now: Millis,
) -> Result<[i64; 3], PostgresError> {
    let mut query = sqlx::query(ENDED_SINCE).bind(status);
    for minutes in MINUTES {
        query = query.bind(now - Millis::from(minutes) * 60_000);
    }
    let row = query.fetch_one(conn).await?;
    Ok([row.try_get(0)?, row.try_get(1)?, row.try_get(2)?])
}

/// The counts by channel and state, and of each channel since when a job is due.
fn counted(rows: &[PgRow]) -> Result<(Vec<Count>, BTreeMap<String, Millis>), PostgresError> {
    let (mut counts, mut due_of) = (Vec::<Count>::new(), BTreeMap::new());
    for row in rows {
        let CensusRow { channel, status, count, .. } = CensusRow::from_row(row)?;
        if let Some(due) = row.try_get::<Option<Millis>, _>("due")? {
            let oldest = due_of.entry(channel.clone()).or_insert(due);
            *oldest = due.min(*oldest);
        }
        match counts.last_mut() {
            Some(last) if last.channel == channel && last.status == status => last.count += count,
            _ => counts.push(Count { channel, status, count }),
        }
    }
    Ok((counts, due_of))
}
