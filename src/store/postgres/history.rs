//! What became of jobs by minute, hour and day. Each node adds to separate rows, in the transaction that
//! records outcomes; upkeep makes hours of minutes and days of hours, of all nodes together.

use super::rows::millis;
use super::{PostgresError, PostgresStore, PostgresTenure};
use crate::queue::job::Millis;
use crate::queue::outcome_counts::{HistoryRow, LATE_GROUPS, OutcomeCounts};
use crate::store::StoreError;
use crate::store::history_columns::{KEPT, counts};
use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// `$2` is the step in milliseconds.
static READ: LazyLock<String> = LazyLock::new(|| {
    let sums = counts().iter().map(|c| format!("sum({c})::bigint")).collect::<Vec<_>>().join(", ");
    let at = millis("begins_at");
    format!(
        "SELECT ({at}) - ({at}) % $2 AS step, account, channel, {sums} FROM outbox_history
         WHERE begins_at >= timestamptz 'epoch' + $1 * interval '1 ms'
         GROUP BY step, account, channel ORDER BY step, account, channel"
    )
});

/// Moves rows that have lasted `$1` milliseconds to the beginnings of their steps, `$2` being `hour` or
/// `day`. One node at a time: the others leave it to that one.
static FOLD: LazyLock<String> = LazyLock::new(|| {
    let columns = counts().join(", ");
    let sums = counts().iter().map(|c| format!("sum({c})")).collect::<Vec<_>>().join(", ");
    let added = counts().iter().map(|c| format!("{c} = h.{c} + excluded.{c}")).collect::<Vec<_>>();
    format!(
        "WITH gone AS (
             DELETE FROM outbox_history WHERE begins_at < date_trunc($2, clock_timestamp() - $1 * interval '1 ms', 'UTC')
                 AND (node <> 0 OR begins_at <> date_trunc($2, begins_at, 'UTC'))
                 AND pg_try_advisory_xact_lock(hashtextextended('outbox_history', 'outbox_history'::regclass::oid::bigint))
             RETURNING *)
         INSERT INTO outbox_history AS h (begins_at, account, channel, node, {columns})
         SELECT date_trunc($2, begins_at, 'UTC'), account, channel, 0, {sums} FROM gone GROUP BY 1, 2, 3
         ON CONFLICT (begins_at, account, channel, node) DO UPDATE SET {}",
        added.join(", ")
    )
});
const FORGET: &str =
    "DELETE FROM outbox_history WHERE begins_at < clock_timestamp() - $1 * interval '1 ms'";

/// Adds rows from another outbox: as of all nodes together.
static ADD: LazyLock<String> = LazyLock::new(|| {
    let columns = counts();
    let added = columns.iter().map(|c| format!("{c} = h.{c} + excluded.{c}")).collect::<Vec<_>>();
    let values = (1..=columns.len()).map(|n| format!("r.counts[{n}]")).collect::<Vec<_>>();
    format!(
        "INSERT INTO outbox_history AS h (begins_at, account, channel, node, {})
         SELECT timestamptz 'epoch' + r.begins_at * interval '1 ms', r.account, r.channel, 0, {}
         FROM json_to_recordset($1::json) AS r (begins_at bigint, account text, channel text, counts bigint[])
         ON CONFLICT (begins_at, account, channel, node) DO UPDATE SET {}",
        columns.join(", "),
        values.join(", "),
        added.join(", ")
    )
});

/// When the last message of each channel was sent.
static LAST_SENT: LazyLock<String> = LazyLock::new(|| {
    let of = |channel: &str| {
        format!(
            "SELECT '{channel}', (SELECT {} FROM outbox WHERE status = 'sent' AND channel = '{channel}'
                 AND finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1)",
            millis("finished_at")
        )
    };
    ["chat", "mail", "sms"].map(of).join(" UNION ALL ")
});

impl PostgresStore {
    /// What ended since then, by step and route.
    pub async fn history(
        &mut self,
        since: Millis,
        step: Millis,
    ) -> Result<Vec<HistoryRow>, PostgresError> {
        self.take_time().await?;
        let query = sqlx::query(AssertSqlSafe(READ.as_str())).bind(since).bind(step);
        let rows = query.fetch_all(&mut self.conn).await?;
        Ok(rows.iter().map(history_row).collect::<Result<_, _>>()?)
    }
}

/// Adds rows that were carried over, in a transaction of the caller's.
pub(super) async fn add_rows(
    conn: &mut PgConnection,
    rows: &[HistoryRow],
) -> Result<(), PostgresError> {
    let row = |row: &HistoryRow| {
        json!({
            "begins_at": row.begins_at, "account": row.account, "channel": row.channel,
            "counts": row.counts().collect::<Vec<_>>(),
        })
    };
    let rows = Value::Array(rows.iter().map(row).collect()).to_string();
    sqlx::query(AssertSqlSafe(ADD.as_str())).bind(rows).execute(conn).await?;
    Ok(())
}

/// When the last message of each channel that has any was sent.
pub(super) async fn last_sent(
    conn: &mut PgConnection,
) -> Result<BTreeMap<String, Millis>, PostgresError> {
    let query = sqlx::query_as(AssertSqlSafe(LAST_SENT.as_str()));
    let rows: Vec<(String, Option<Millis>)> = query.fetch_all(conn).await?;
    Ok(rows.into_iter().filter_map(|(channel, at)| Some((channel, at?))).collect())
}

impl PostgresTenure {
    /// Makes hours of minutes and days of hours, and forgets what is too old.
    pub(super) async fn fold_history(&mut self) -> Result<bool, StoreError> {
        self.session
            .with(async |conn| {
                for (kept, step) in [(KEPT[0], "hour"), (KEPT[1], "day")] {
                    let query = sqlx::query(AssertSqlSafe(FOLD.as_str())).bind(kept).bind(step);
                    query.execute(&mut *conn).await?;
                }
                sqlx::query(FORGET).bind(KEPT[2]).execute(conn).await
            })
            .await?;
        Ok(false)
    }
}

fn history_row(row: &PgRow) -> sqlx::Result<HistoryRow> {
    let count = |at: usize| row.try_get::<i64, _>(at).map(i64::unsigned_abs);
    let mut late = [0; LATE_GROUPS];
    for (group, of_group) in late.iter_mut().enumerate() {
        *of_group = count(7 + group)?;
    }
    Ok(HistoryRow {
        begins_at: row.try_get(0)?,
        account: row.try_get(1)?,
        channel: row.try_get(2)?,
        tally: OutcomeCounts {
            sent: count(3)?,
            failed: count(4)?,
            uncertain: count(5)?,
            retried: count(6)?,
            late,
        },
    })
}
