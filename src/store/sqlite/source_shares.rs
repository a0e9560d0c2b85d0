//! What each source has sent lately, and what of it waits.

use super::lenient::Lenient;
use super::{SqliteError, SqliteStore};
use crate::queue::job::Millis;
use crate::queue::outcome_counts::{LATE_GROUPS, LATE_MS, OutcomeCounts};
use crate::queue::overview::SourceRow;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteRow;
use std::sync::LazyLock;

/// Of each state and channel the latest `?2` jobs that finished since `?1`, and so many that wait for each
/// reason; the first `?3` sources.
static SOURCES: LazyLock<String> = LazyLock::new(|| {
    let ended = |status: &str, channel: &str| {
        format!(
            "SELECT * FROM (SELECT id FROM outbox WHERE status = '{status}' AND channel = '{channel}'
                 AND finished_at >= ?1 AND finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT ?2)"
        )
    };
    let channels = ["chat", "mail", "sms"];
    let ended = ["sent", "failed"].map(|status| channels.map(|c| ended(status, c))).concat();
    let waits = ["ready", "backoff", "parked"];
    let waits = waits.map(|wait| {
        format!("SELECT * FROM (SELECT id FROM outbox WHERE wait = '{wait}' LIMIT ?2)")
    });
    let uncertain = "SELECT * FROM (SELECT id FROM outbox WHERE status = 'uncertain' LIMIT ?2)";
    let all = [&ended[..], &waits[..], &[uncertain.to_owned()]].concat().join("\n    UNION ALL ");
    let group = LATE_MS.map(|bound| format!("(finished_at - due_at > {bound})")).join(" + ");
    let late = (0..LATE_GROUPS).map(|n| format!("sum(status = 'sent' AND late = {n})"));
    let late = late.collect::<Vec<_>>().join(", ");
    format!(
        "WITH found (id) AS ({all}),
job AS (SELECT o.source, o.status, o.wait, o.due_at, {group} AS late FROM found CROSS JOIN outbox AS o ON o.id = found.id)
SELECT source, sum(status = 'sent'), sum(status = 'failed'), sum(status = 'uncertain'), sum(status = 'pending'),
    min(CASE WHEN status = 'pending' AND due_at <= ?4 THEN due_at END), {late}
FROM job GROUP BY source ORDER BY count(*) DESC, source LIMIT ?3"
    )
});

impl SqliteStore {
    /// The first `limit` sources, of the latest `looked_at` jobs of each state and channel.
    pub async fn sources(
        &mut self,
        since: Millis,
        now: Millis,
        looked_at: u32,
        limit: u32,
    ) -> Result<Vec<SourceRow>, SqliteError> {
        let query = sqlx::query(AssertSqlSafe(SOURCES.as_str())).bind(since).bind(looked_at);
        let rows = query.bind(limit).bind(now).fetch_all(&mut self.conn).await?;
        Ok(rows.iter().map(source_row).collect())
    }
}

fn source_row(row: &SqliteRow) -> SourceRow {
    let count = |at: usize| row.whole(at).unwrap_or_default().unsigned_abs();
    SourceRow {
        source: row.text(0),
        tally: OutcomeCounts {
            sent: count(1),
            failed: count(2),
            uncertain: count(3),
            retried: 0,
            late: std::array::from_fn(|group| count(6 + group)),
        },
        waiting: count(4),
        oldest_due: row.whole(5),
    }
}
