//! What became of jobs by minute, hour and day. The cycle that records outcomes adds to it in the same
//! transaction, one row for each account and channel; upkeep makes hours of minutes and days of hours.

use super::lenient::{Lenient, unless_missing};
use super::{SqliteError, SqliteStore};
use crate::queue::job::{Channel, Millis};
use crate::queue::outcome_counts::{
    DAY_MS, HOUR_MS, HistoryRow, LATE_GROUPS, LATE_MS, MINUTE_MS, OutcomeCounts, floor,
};
use crate::store::history_columns::{KEPT, counts};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What an INSERT does with a row that is there.
fn add() -> String {
    let sums = counts().iter().map(|c| format!("{c} = {c} + excluded.{c}")).collect::<Vec<_>>();
    format!("ON CONFLICT (begins_at, account, channel) DO UPDATE SET {}", sums.join(", "))
}

/// Adds the rows of a JSON array of arrays.
fn add_json(rows: &str) -> String {
    let columns = counts().join(", ");
    let values = (0..3 + counts().len()).map(|n| format!("json_extract(value, '$[{n}]')"));
    format!(
        "INSERT INTO outbox_history (begins_at, account, channel, {columns})
    SELECT {} FROM jsonb_each({rows}) WHERE true {}",
        values.collect::<Vec<_>>().join(", "),
        add()
    )
}

/// The procedures of a cycle: `outbox_cycle_tally` adds what is counted already, `outbox_cycle_single`
/// one job.
pub(super) fn procedures() -> String {
    let kinds = ["sent", "failed", "uncertain", "retried"];
    let kinds = kinds.map(|kind| format!("NEW.outcome = '{kind}'"));
    let groups =
        (0..LATE_GROUPS).map(|group| format!("(NEW.outcome = 'sent' AND NEW.late = {group})"));
    let values = kinds.into_iter().chain(groups).collect::<Vec<_>>().join(", ");
    format!(
        "CREATE TEMP VIEW outbox_cycle_tally AS SELECT '' AS tallies WHERE 0;
CREATE TEMP TRIGGER outbox_cycle_tally_all INSTEAD OF INSERT ON outbox_cycle_tally
BEGIN
    {};
END;
CREATE TEMP VIEW outbox_cycle_single AS
SELECT 0 AS at, '' AS account, '' AS channel, '' AS outcome, 0 AS late WHERE 0;
CREATE TEMP TRIGGER outbox_cycle_single_one INSTEAD OF INSERT ON outbox_cycle_single
WHEN NEW.outcome IS NOT NULL
BEGIN
    INSERT INTO outbox_history (begins_at, account, channel, {})
    VALUES (NEW.at - NEW.at % {MINUTE_MS}, NEW.account, NEW.channel, {values}) {};
END;
{}",
        add_json("NEW.tallies"),
        counts().join(", "),
        add(),
        recorded_view()
    )
}

/// The jobs of this cycle whose outcomes are on disk, as `outbox_cycle_single` takes them.
fn recorded_view() -> String {
    let groups = LATE_MS.map(|bound| format!("(o.updated_at - o.due_at > {bound})")).join(" + ");
    let of = |table: &str, outcome: &str| {
        format!(
            "SELECT o.updated_at AS at, o.account, o.channel,
    CASE WHEN o.status = 'sent' THEN 'sent' WHEN o.status = 'failed' THEN 'failed'
        WHEN o.status = 'uncertain' AND o.wait IS NULL THEN 'uncertain'
        WHEN o.status = 'pending' AND {outcome} IS NOT NULL THEN 'retried' END AS outcome,
    {groups} AS late
FROM {table} AS j CROSS JOIN outbox AS o NOT INDEXED ON o.id = j.id
WHERE j.id NOT IN (SELECT id FROM outbox_cycle_lost)"
        )
    };
    format!(
        "CREATE TEMP VIEW outbox_cycle_recorded AS\n{}\nUNION ALL {};\n",
        of("outbox_cycle_sent", "'accepted'"),
        of("outbox_cycle_ended", "j.outcome")
    )
}

static ADD: LazyLock<String> = LazyLock::new(|| add_json("?1"));

static READ: LazyLock<String> = LazyLock::new(|| {
    let sums = counts().iter().map(|c| format!("sum({c}) AS {c}")).collect::<Vec<_>>().join(", ");
    format!(
        "SELECT begins_at - begins_at % ?2 AS step, account, channel, {sums} FROM outbox_history
         WHERE begins_at >= ?1 GROUP BY step, account, channel ORDER BY step, account, channel"
    )
});

/// Adds the rows from before `?1` to those at the beginnings of their steps, `?2` long.
static FOLD: LazyLock<String> = LazyLock::new(|| {
    let (columns, sums) = (counts(), counts());
    let sums = sums.iter().map(|c| format!("sum({c})")).collect::<Vec<_>>().join(", ");
    format!(
        "INSERT INTO outbox_history (begins_at, account, channel, {})
         SELECT begins_at - begins_at % ?2, account, channel, {sums} FROM outbox_history
         WHERE begins_at < ?1 AND begins_at % ?2 <> 0 GROUP BY 1, 2, 3 {}",
        columns.join(", "),
        add()
    )
});
const FOLDED: &str = "DELETE FROM outbox_history WHERE begins_at < ?1 AND begins_at % ?2 <> 0";
const FORGET: &str = "DELETE FROM outbox_history WHERE begins_at < ?1";

/// When the last message of each channel was sent.
const LAST_SENT: &str = "\
SELECT 'chat', (SELECT max(finished_at) FROM outbox WHERE status = 'sent' AND channel = 'chat' AND finished_at IS NOT NULL)
UNION ALL SELECT 'mail', (SELECT max(finished_at) FROM outbox WHERE status = 'sent' AND channel = 'mail' AND finished_at IS NOT NULL)
UNION ALL SELECT 'sms', (SELECT max(finished_at) FROM outbox WHERE status = 'sent' AND channel = 'sms' AND finished_at IS NOT NULL)";

/// As the procedure `outbox_cycle_tally` takes it.
pub(super) fn json(rows: &[HistoryRow]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let array = |row: &HistoryRow| {
        let mut values = vec![json!(row.begins_at), json!(row.account), json!(row.channel)];
        values.extend(row.counts().map(Value::from));
        Value::Array(values)
    };
    Value::Array(rows.iter().map(array).collect()).to_string()
}

/// Adds to the history, in a transaction of the caller's.
pub(super) async fn add_rows(
    conn: &mut SqliteConnection,
    rows: &[HistoryRow],
) -> Result<(), SqliteError> {
    if !rows.is_empty() {
        sqlx::query(AssertSqlSafe(ADD.as_str())).bind(json(rows)).execute(conn).await?;
    }
    Ok(())
}

/// Jobs that failed without an attempt, all at `now`.
pub(super) fn failed(account: &str, channels: &[Channel], now: Millis) -> Vec<HistoryRow> {
    let mut counts = BTreeMap::<&str, u64>::new();
    for channel in channels {
        *counts.entry(channel.as_str()).or_default() += 1;
    }
    let row = |(channel, failed): (&str, u64)| HistoryRow {
        begins_at: floor(now, MINUTE_MS),
        account: account.to_owned(),
        channel: channel.to_owned(),
        tally: OutcomeCounts { failed, ..OutcomeCounts::default() },
    };
    counts.into_iter().map(row).collect()
}

impl SqliteStore {
    /// What ended since then, by step and route.
    pub async fn history(
        &mut self,
        since: Millis,
        step: Millis,
    ) -> Result<Vec<HistoryRow>, SqliteError> {
        let query = sqlx::query(AssertSqlSafe(READ.as_str())).bind(since).bind(step);
        let rows = query.fetch_all(&mut self.conn).await.map_err(SqliteError::from);
        Ok(unless_missing(rows)?.iter().map(history_row).collect())
    }

    /// When the last message of each channel that has any was sent.
    pub async fn last_sent(&mut self) -> Result<BTreeMap<String, Millis>, SqliteError> {
        let rows = sqlx::query(LAST_SENT).fetch_all(&mut self.conn).await?;
        Ok(rows.iter().filter_map(|row| Some((row.text_or_empty(0), row.whole(1)?))).collect())
    }

    /// Makes hours of minutes and days of hours, and forgets what is too old.
    pub(super) async fn fold_history(&mut self, now: Millis) -> Result<(), SqliteError> {
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        for (kept, step) in [(KEPT[0], HOUR_MS), (KEPT[1], DAY_MS)] {
            let before = floor(now - kept, step);
            for sql in [FOLD.as_str(), FOLDED] {
                let query = sqlx::query(AssertSqlSafe(sql)).bind(before).bind(step);
                query.execute(&mut *tx).await?;
            }
        }
        sqlx::query(FORGET).bind(now - KEPT[2]).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }
}

fn history_row(row: &SqliteRow) -> HistoryRow {
    let count = |at: usize| row.whole(at).unwrap_or_default().unsigned_abs();
    HistoryRow {
        begins_at: row.whole(0).unwrap_or_default(),
        account: row.text_or_empty(1),
        channel: row.text_or_empty(2),
        tally: OutcomeCounts {
            sent: count(3),
            failed: count(4),
            uncertain: count(5),
            retried: count(6),
            late: std::array::from_fn(|group| count(7 + group)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::fixture::outbox;

    fn row(begins_at: Millis, sent: u64) -> HistoryRow {
        let mut tally = OutcomeCounts::default();
        (0..sent).for_each(|_| tally.add(&OutcomeCounts::of_sent(40)));
        HistoryRow { begins_at, account: "shop".into(), channel: "sms".into(), tally }
    }

    #[tokio::test]
    async fn minutes_become_hours_and_hours_days_without_losing_a_job() {
        let (_folder, mut store) = outbox("").await;
        let now = 20_000 * DAY_MS + 5 * HOUR_MS + 7 * MINUTE_MS;
        let ages = [0, 1, 59, 61, 200, 300, 1_500, 15_000, 15_001, 30_000, 300_000, 700_000];
        let rows: Vec<_> = ages.iter().map(|minutes| row(now - minutes * MINUTE_MS, 2)).collect();
        add_rows(&mut store.conn, &rows).await.unwrap();
        add_rows(&mut store.conn, &rows).await.unwrap();
        let sent = |rows: &[HistoryRow]| rows.iter().map(|row| row.tally.sent).sum::<u64>();
        for _ in 0..2 {
            store.fold_history(now).await.unwrap();
            let all = store.history(0, MINUTE_MS).await.unwrap();
            // What is older than 400 days is forgotten.
            assert_eq!(sent(&all), 4 * (ages.len() as u64 - 1));
            for row in &all {
                let step = match now - row.begins_at {
                    age if age > 9 * DAY_MS => DAY_MS,
                    age if age > 4 * HOUR_MS => HOUR_MS,
                    _ => MINUTE_MS,
                };
                assert_eq!(row.begins_at % step, 0, "{row:?}");
                assert_eq!(row.tally.late[3], row.tally.sent);
            }
        }
        let day = store.history(now - DAY_MS, HOUR_MS).await.unwrap();
        assert_eq!(sent(&day), 24);
    }
}
