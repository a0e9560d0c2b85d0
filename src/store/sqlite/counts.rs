//! The state of the whole outbox: counts, ages and rates, and what keeps jobs from being sent.

use super::lenient::{Lenient, unless_missing};
use super::schema::Flaw;
use super::{SqliteError, SqliteStore};
use crate::queue::follow_up::DeliveryState;
use crate::queue::job::Millis;
use crate::queue::overview::{Census, CensusRow, Count, Overview, Pulse, RouteBacklog};
use crate::queue::overview::{Throughput, Undelivered};
use crate::store::ALL;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, FromRow, SqliteConnection};
use std::collections::BTreeMap;

/// How many of the rows that are set aside are listed.
const NAMED: u32 = 10;

/// The spans of the rates.
const MINUTES: [u32; 3] = [1, 5, 15];

// Counts each state from its index: a large payload lies between the start of its row and the status, so a
// scan of the table would read every message.
const COUNTS: &str = "\
WITH part (channel, status, count, due) AS (
    SELECT channel, status, count(*), NULL FROM outbox WHERE finished_at IS NOT NULL GROUP BY status, channel
    UNION ALL SELECT channel, 'pending', count(*), min(CASE WHEN due_at <= ?1 THEN due_at END)
        FROM outbox WHERE wait = 'ready' GROUP BY channel
    UNION ALL SELECT channel, 'pending', count(*), min(CASE WHEN due_at <= ?1 THEN due_at END)
        FROM outbox WHERE wait = 'scheduled' GROUP BY channel
    UNION ALL SELECT channel, 'pending', count(*), min(CASE WHEN next_attempt_at <= ?1 THEN next_attempt_at END)
        FROM outbox WHERE wait = 'backoff' GROUP BY channel
    UNION ALL SELECT channel, 'pending', count(*), min(CASE WHEN due_at <= ?1 THEN due_at END)
        FROM outbox WHERE wait = 'parked' GROUP BY channel
    UNION ALL SELECT channel, 'pending', count(*), NULL FROM outbox
        WHERE status = 'pending' AND wait IS NULL GROUP BY channel
    UNION ALL SELECT channel, 'sending', count(*), NULL FROM outbox WHERE claimed_by IS NOT NULL GROUP BY channel
    UNION ALL SELECT channel, 'uncertain', count(*), NULL FROM outbox WHERE status = 'uncertain' GROUP BY channel)
SELECT channel, status, sum(count), min(due) FROM part GROUP BY channel, status ORDER BY channel, status";

/// A seek per state and channel, and what ended since: `?2`, `?3`, `?4` are the spans' beginnings.
/// The upper bound leaves out values that are not numbers.
const ENDED_SINCE: &str = "\
SELECT ifnull(sum(finished_at >= ?2), 0), ifnull(sum(finished_at >= ?3), 0), count(*) FROM outbox
WHERE status = ?1 AND channel IN ('chat', 'mail', 'sms') AND finished_at BETWEEN ?4 AND 253402300799999
    AND finished_at IS NOT NULL";

const VERIFYING: &str = "SELECT count(*) FROM outbox WHERE wait = 'verifying'";
const FOLLOWING: &str = "SELECT count(*) FROM outbox WHERE follow_at IS NOT NULL";
/// `delivery IS NOT NULL` lets SQLite use the index.
const UNDELIVERED: &str = "SELECT count(*) FROM (SELECT 1 FROM outbox WHERE delivery IS NOT NULL AND delivery = ?1 LIMIT ?2)";

// Each state from its index, like COUNTS.
const CENSUS: &str = "\
SELECT channel, status, '' AS wait, count(*) AS count FROM outbox
    WHERE finished_at IS NOT NULL GROUP BY status, channel
UNION ALL SELECT channel, 'pending', 'ready', count(*) FROM outbox WHERE wait = 'ready' GROUP BY channel
UNION ALL SELECT channel, 'pending', 'scheduled', count(*) FROM outbox WHERE wait = 'scheduled' GROUP BY channel
UNION ALL SELECT channel, 'pending', 'backoff', count(*) FROM outbox WHERE wait = 'backoff' GROUP BY channel
UNION ALL SELECT channel, 'pending', 'parked', count(*) FROM outbox WHERE wait = 'parked' GROUP BY channel
UNION ALL SELECT channel, 'pending', '', count(*) FROM outbox WHERE status = 'pending' AND wait IS NULL GROUP BY channel
UNION ALL SELECT channel, 'sending', '', count(*) FROM outbox WHERE claimed_by IS NOT NULL GROUP BY channel
UNION ALL SELECT channel, 'uncertain', '', count(*) FROM outbox WHERE status = 'uncertain' GROUP BY channel";

/// Reads only indexes. A parked job's head is ready, in backoff or being sent.
const BACKLOGS: &str = "\
WITH part (account, channel, jobs, due, ready) AS (
    SELECT account, channel, count(*), min(due_at), min(due_at) FROM outbox WHERE wait = 'ready' GROUP BY account, channel
    UNION ALL SELECT account, channel, count(*), min(CASE WHEN next_attempt_at <= ?1 THEN next_attempt_at END), NULL
        FROM outbox WHERE wait = 'backoff' GROUP BY account, channel
    UNION ALL SELECT account, channel, count(*), min(due_at), NULL FROM outbox WHERE wait = 'parked' GROUP BY account, channel)
SELECT account, channel, sum(jobs), min(CASE WHEN due <= ?1 THEN due END), min(CASE WHEN ready <= ?1 THEN ready END)
FROM part GROUP BY account, channel ORDER BY account, channel";

const PULSE: &str = "\
SELECT (SELECT min(due) FROM (
        SELECT min(due_at) AS due FROM outbox WHERE wait = 'ready' AND due_at <= ?1
        UNION ALL SELECT min(due_at) FROM outbox WHERE wait = 'scheduled' AND due_at <= ?1
        UNION ALL SELECT min(next_attempt_at) FROM outbox WHERE wait = 'backoff' AND next_attempt_at <= ?1))
        AS oldest_due,
    (SELECT pid FROM outbox_dispatcher) AS pid, (SELECT started_at FROM outbox_dispatcher) AS since";

impl FromRow<'_, SqliteRow> for CensusRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<CensusRow> {
        let count = row.whole("count").unwrap_or_default();
        let (channel, status) = (row.text_or_empty("channel"), row.text_or_empty("status"));
        Ok(CensusRow { channel, status, wait: row.text_or_empty("wait"), count })
    }
}

impl SqliteStore {
    /// Counts all jobs; reads an index entry for each.
    pub async fn census(&mut self) -> Result<Census, SqliteError> {
        Ok(Census(sqlx::query_as(CENSUS).fetch_all(&mut self.conn).await?))
    }

    /// Counts the jobs that wait, by account and channel; reads an index entry for each.
    pub async fn backlogs(&mut self, now: Millis) -> Result<Vec<RouteBacklog>, SqliteError> {
        let rows = sqlx::query(BACKLOGS).bind(now).fetch_all(&mut self.conn).await?;
        let backlog = |row: &SqliteRow| RouteBacklog {
            account: row.text_or_empty(0),
            channel: row.text_or_empty(1),
            jobs: row.whole(2).unwrap_or_default().unsigned_abs(),
            oldest_due: row.whole(3),
            oldest_ready: row.whole(4),
        };
        Ok(rows.iter().map(backlog).collect())
    }

    /// What of the overview can be read without counting jobs; up to `limit` of each list.
    pub async fn pulse(&mut self, now: Millis, limit: u32) -> Result<Pulse, SqliteError> {
        let row = sqlx::query(PULSE).bind(now).fetch_one(&mut self.conn).await?;
        let verifying: i64 = sqlx::query_scalar(VERIFYING).fetch_one(&mut self.conn).await?;
        Ok(Pulse {
            last_sent: self.last_sent().await?,
            verifying: verifying.unsigned_abs(),
            untouched: self.untouched().await?.count,
            oldest_due: row.whole("oldest_due"),
            pid: row.whole("pid"),
            since: row.whole("since"),
            undelivered: undelivered(&mut self.conn, Undelivered::LIMIT).await?,
            blocks: self.blocks_up_to(limit).await?,
            pauses: self.pauses(limit).await?,
            set_aside: self.set_aside_summary(limit).await?,
        })
    }

    /// Counts, the oldest job that is due, rates, and what keeps jobs from being sent.
    pub async fn overview(&mut self, now: Millis) -> Result<Overview, SqliteError> {
        let flaws = self.flaws().await?;
        let holds = unless_missing(self.blocks().await)?;
        let set_aside = unless_missing(self.set_aside_summary(NAMED).await)?;
        let untouched = unless_missing(self.untouched().await)?;
        let pauses = unless_missing(self.pauses(ALL).await)?;
        let (backlogs, last_sent) = (self.backlogs(now).await?, self.last_sent().await?);
        let mut tx = self.conn.begin().await?;
        let rows = sqlx::query(COUNTS).bind(now).fetch_all(&mut *tx).await?;
        let sent = ended_since(&mut tx, "sent", now).await?;
        let failed = ended_since(&mut tx, "failed", now).await?;
        let dispatcher = sqlx::query("SELECT pid, started_at FROM outbox_dispatcher");
        let dispatcher =
            unless_missing(dispatcher.fetch_optional(&mut *tx).await.map_err(SqliteError::from))?;
        let of_dispatcher = |column: usize| dispatcher.as_ref().and_then(|row| row.whole(column));
        let (dispatcher_pid, dispatcher_since) = (of_dispatcher(0), of_dispatcher(1));
        let verifying = sqlx::query_scalar(VERIFYING).fetch_one(&mut *tx).await;
        let verifying = unless_missing(verifying.map_err(SqliteError::from))?;
        let following = sqlx::query_scalar(FOLLOWING).fetch_one(&mut *tx).await?;
        let undelivered = undelivered(&mut tx, -1).await?;
        tx.commit().await?;
        let unreadable = unless_missing(self.unreadable().await)?;
        let (counts, oldest_due_of) = counted(&rows);
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
            dispatcher_pid,
            dispatcher_since,
            blocks: holds,
            pauses,
            set_aside,
            untouched,
            flaws: flaws.iter().map(Flaw::to_string).collect(),
        })
    }
}

/// Up to `limit` of each kind; -1: all of them.
async fn undelivered(conn: &mut SqliteConnection, limit: i64) -> Result<Undelivered, SqliteError> {
    let count = async |conn: &mut SqliteConnection, state: DeliveryState| {
        sqlx::query_scalar(UNDELIVERED).bind(state.as_str()).bind(limit).fetch_one(conn).await
    };
    Ok(Undelivered {
        bounced: count(conn, DeliveryState::Bounced).await?,
        failed: count(conn, DeliveryState::Failed).await?,
    })
}

/// How many ended in this state in each of the spans.
async fn ended_since(
    conn: &mut SqliteConnection,
    status: &str,
    now: Millis,
) -> Result<[i64; 3], SqliteError> {
    let mut query = sqlx::query(ENDED_SINCE).bind(status);
    for minutes in MINUTES {
        query = query.bind(now - Millis::from(minutes) * 60_000);
    }
    let row = query.fetch_one(conn).await?;
    Ok([0, 1, 2].map(|at: usize| row.whole(at).unwrap_or_default()))
}

/// The counts, and of each channel since when a job is due.
fn counted(rows: &[SqliteRow]) -> (Vec<Count>, BTreeMap<String, Millis>) {
    let (mut counts, mut due_of) = (Vec::new(), BTreeMap::new());
    for row in rows {
        let channel = row.text_or_empty(0);
        if let Some(due) = row.whole(3) {
            due_of.insert(channel.clone(), due);
        }
        counts.push(Count {
            channel,
            status: row.text_or_empty(1),
            count: row.whole(2).unwrap_or_default(),
        });
    }
    (counts, due_of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::job::{Channel, Status};
    use crate::queue::when::now;
    use crate::store::sqlite::fixture::{chat, outbox};
    use sqlx::Row;

    #[tokio::test]
    async fn every_state_is_counted_once() {
        let jobs = [chat(1, "NULL").repeat(2), chat(2, "datetime('now', '+1 day')")].concat();
        let (_folder, mut store) = outbox(&jobs).await;
        store.execute_sql("UPDATE outbox SET status = 'cancelled' WHERE id = 1").await.unwrap();
        let seen = store.overview(now()).await.unwrap();
        let counts: Vec<_> = seen.counts.iter().map(|c| (c.status.as_str(), c.count)).collect();
        assert_eq!(counts, [("cancelled", 1), ("pending", 2)]);
    }

    #[tokio::test]
    async fn a_scheduled_job_is_not_due() {
        let (_folder, mut store) = outbox(&chat(1, "datetime('now', '+1 day')")).await;
        let seen = store.overview(now()).await.unwrap();
        assert_eq!((seen.oldest_due, seen.oldest_due_of.len()), (None, 0));
        store.execute_sql(&chat(1, "datetime('now', '-90 seconds')")).await.unwrap();
        let seen = store.overview(now()).await.unwrap();
        let age = now() - seen.oldest_due.unwrap();
        assert!((89_000..120_000).contains(&age), "{age}");
        assert_eq!(seen.oldest_due_of.get("chat"), seen.oldest_due.as_ref());
    }

    #[tokio::test]
    async fn what_ended_is_counted_by_how_long_ago_it_did() {
        let (_folder, mut store) =
            outbox(&[1, 2, 3, 4].map(|case| chat(case, "NULL")).concat()).await;
        for (id, minutes) in [(1, 0), (2, 3), (3, 10), (4, 20)] {
            let fail = format!(
                "UPDATE outbox SET status = 'failed', failure = 'invalid' WHERE id = {id};
                 UPDATE outbox SET finished_at = finished_at - {minutes} * 60000 WHERE id = {id}"
            );
            store.execute_sql(&fail).await.unwrap();
        }
        let seen = store.overview(now()).await.unwrap().throughput;
        assert_eq!(seen.map(|t| (t.minutes, t.sent, t.failed)), [(1, 0, 1), (5, 0, 2), (15, 0, 3)]);
    }

    #[tokio::test]
    async fn counts_and_rates_read_only_indexes() {
        let (_folder, mut store) = outbox("").await;
        for sql in [COUNTS, ENDED_SINCE, BACKLOGS] {
            let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
                .fetch_all(&mut store.conn)
                .await
                .unwrap();
            let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
            let reads = plan.iter().filter(|line| line.contains(" outbox")).collect::<Vec<_>>();
            assert!(!reads.is_empty());
            assert!(reads.iter().all(|line| line.contains("INDEX outbox_")), "{plan:#?}");
        }
    }

    #[tokio::test]
    async fn every_job_is_counted_once_by_why_it_waits() {
        let jobs =
            [chat(1, "NULL").repeat(3), chat(2, "datetime('now', '+1 day')"), chat(3, "NULL")];
        let (_folder, mut store) = outbox(&jobs.concat()).await;
        store.execute_sql("UPDATE outbox SET status = 'cancelled' WHERE id = 5").await.unwrap();
        let census = store.census().await.unwrap();
        let waiting = |wait| census.of(Some(Channel::Chat), Some(Status::Pending), Some(wait));
        assert_eq!((waiting("ready"), waiting("parked"), waiting("scheduled")), (1, 2, 1));
        assert_eq!(census.of(None, Some(Status::Cancelled), None), 1);
        assert_eq!(census.of(Some(Channel::Sms), None, None), 0);
        assert_eq!(census.of(None, None, None), 5);
        let pulse = store.pulse(now(), 10).await.unwrap();
        assert!(pulse.oldest_due.is_some_and(|due| due <= now()));
        assert_eq!(pulse.pid, None);
    }
}
