//! How many jobs there are of each kind, and what is due: what the dashboard shows of the queue.

use super::lenient::Lenient;
use super::{SqliteError, SqliteStore};
use crate::queue::job::Millis;
use crate::queue::overview::Census;
use crate::queue::overview::Pulse;
use crate::queue::overview::Share;
use sqlx::FromRow;
use sqlx::sqlite::SqliteRow;

impl FromRow<'_, SqliteRow> for Share {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Share> {
        let count = row.whole("count").unwrap_or_default();
        let (channel, status) = (row.words("channel"), row.words("status"));
        Ok(Share { channel, status, wait: row.words("wait"), count })
    }
}

// As query::COUNTS: each state from the index that has it.
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

const PULSE: &str = "\
SELECT (SELECT min(due) FROM (
        SELECT min(due_at) AS due FROM outbox WHERE wait = 'ready' AND due_at <= ?1
        UNION ALL SELECT min(due_at) FROM outbox WHERE wait = 'scheduled' AND due_at <= ?1
        UNION ALL SELECT min(next_attempt_at) FROM outbox WHERE wait = 'backoff' AND next_attempt_at <= ?1))
        AS oldest_due,
    (SELECT pid FROM outbox_dispatcher) AS pid, (SELECT started_at FROM outbox_dispatcher) AS since";

impl SqliteStore {
    /// Counts all jobs; reads an entry of an index for each.
    pub async fn census(&mut self) -> Result<Census, SqliteError> {
        Ok(Census(sqlx::query_as(CENSUS).fetch_all(&mut self.conn).await?))
    }

    pub async fn pulse(&mut self, now: Millis) -> Result<Pulse, SqliteError> {
        let row = sqlx::query(PULSE).bind(now).fetch_one(&mut self.conn).await?;
        let (oldest_due, pid) = (row.whole("oldest_due"), row.whole("pid"));
        Ok(Pulse { oldest_due, pid, since: row.whole("since") })
    }
}

#[cfg(test)]
mod tests {
    use crate::queue::job::{Channel, Status};

    use crate::queue::when::now;
    use crate::store::sqlite::fixture::{chat, outbox};

    #[tokio::test]
    async fn every_job_is_counted_once_where_it_stands() {
        let jobs =
            [chat(1, "NULL").repeat(3), chat(2, "datetime('now', '+1 day')"), chat(3, "NULL")];
        let (_folder, mut store) = outbox(&jobs.concat()).await;
        store.plain_sql("UPDATE outbox SET status = 'cancelled' WHERE id = 5").await.unwrap();
        let census = store.census().await.unwrap();
        let waiting = |wait| census.of(Some(Channel::Chat), Some(Status::Pending), Some(wait));
        assert_eq!((waiting("ready"), waiting("parked"), waiting("scheduled")), (1, 2, 1));
        assert_eq!(census.of(None, Some(Status::Cancelled), None), 1);
        assert_eq!(census.of(Some(Channel::Sms), None, None), 0);
        assert_eq!(census.of(None, None, None), 5);
        let pulse = store.pulse(now()).await.unwrap();
        assert!(pulse.oldest_due.is_some_and(|due| due <= now()));
        assert_eq!(pulse.pid, None);
    }
}
