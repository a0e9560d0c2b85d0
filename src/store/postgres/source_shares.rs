//! What each source has sent lately, and what of it waits.

use super::connection::begin_along_indexes;
use super::rows::millis;
use super::{PostgresError, PostgresStore};
use crate::queue::job::Millis;
use crate::queue::outcome_counts::{LATE_GROUPS, OutcomeCounts};
use crate::queue::overview::SourceRow;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row};
use std::sync::LazyLock;

/// Of each state and channel the latest `$2` jobs that finished since `$1`, and so many that wait for each
/// reason; the first `$3` sources.
static SOURCES: LazyLock<String> = LazyLock::new(|| {
    let ended = |status: &str, channel: &str| {
        format!(
            "(SELECT id FROM outbox WHERE status = '{status}' AND channel = '{channel}' AND finished_at IS NOT NULL
                 AND finished_at >= timestamptz 'epoch' + $1 * interval '1 ms' ORDER BY finished_at DESC LIMIT $2)"
        )
    };
    let channels = ["chat", "mail", "sms"];
    let ended = ["sent", "failed"].map(|status| channels.map(|c| ended(status, c))).concat();
    let rest = [
        "(SELECT id FROM outbox WHERE wait IN ('ready', 'arrived') LIMIT $2)",
        "(SELECT id FROM outbox WHERE wait = 'backoff' LIMIT $2)",
        "(SELECT id FROM outbox WHERE lane IS NOT NULL AND wait IN ('arrived', 'parked') AND wait = 'parked' LIMIT $2)",
        "(SELECT id FROM outbox WHERE status = 'uncertain' LIMIT $2)",
    ];
    let all = [&ended[..], &rest.map(str::to_owned)[..]].concat().join("\n    UNION ALL ");
    let late = (0..LATE_GROUPS).map(|n| format!("count(*) FILTER (WHERE late = {n})"));
    let late = late.collect::<Vec<_>>().join(", ");
    let due = "(timestamptz 'epoch' + $4 * interval '1 ms')";
    format!(
        "WITH found AS MATERIALIZED ({all}),
job AS (SELECT o.source, o.status, o.due_at, CASE o.status WHEN 'sent' THEN outbox_late_group(o.finished_at - o.due_at) END AS late
        FROM found JOIN outbox AS o ON o.id = found.id)
SELECT source, count(*) FILTER (WHERE status = 'sent'), count(*) FILTER (WHERE status = 'failed'),
    count(*) FILTER (WHERE status = 'uncertain'), count(*) FILTER (WHERE status = 'pending'), {}, {late}
FROM job GROUP BY source ORDER BY count(*) DESC, source LIMIT $3",
        millis(&format!("min(due_at) FILTER (WHERE status = 'pending' AND due_at <= {due})"))
    )
});

impl PostgresStore {
    /// The first `limit` sources, of the latest `looked_at` jobs of each state and channel.
    pub async fn sources(
        &mut self,
        since: Millis,
        now: Millis,
        looked_at: u32,
        limit: u32,
    ) -> Result<Vec<SourceRow>, PostgresError> {
        self.take_time().await?;
        let mut tx = begin_along_indexes(&mut self.conn).await?;
        let query = sqlx::query(AssertSqlSafe(SOURCES.as_str())).bind(since);
        let query = query.bind(i64::from(looked_at)).bind(i64::from(limit)).bind(now);
        let rows = query.fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(rows.iter().map(source_row).collect::<Result<_, _>>()?)
    }
}

fn source_row(row: &PgRow) -> sqlx::Result<SourceRow> {
    let count = |at: usize| row.try_get::<i64, _>(at).map(i64::unsigned_abs);
    let mut late = [0; LATE_GROUPS];
    for (group, of_group) in late.iter_mut().enumerate() {
        *of_group = count(6 + group)?;
    }
    let (sent, failed, uncertain) = (count(1)?, count(2)?, count(3)?);
    Ok(SourceRow {
        source: row.try_get(0)?,
        tally: OutcomeCounts { sent, failed, uncertain, retried: 0, late },
        waiting: count(4)?,
        oldest_due: row.try_get(5)?,
    })
}
