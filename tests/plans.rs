//! How SQLite goes about each statement of the dispatcher and of the triggers: by an index, with
//! no scan and no sort over a backlog, whether ANALYZE has run or not.

use acquire_outbox::store::{Store, statements};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Row, SqliteConnection};

/// Rows of every kind, most of them parked, scheduled or finished.
const ROWS: &str = r#"
CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT i FROM n;
INSERT INTO outbox (channel, payload, ordering_key, send_at, expires_at)
SELECT 'chat', json_object('caseId', i, 'message', 'm'), CASE i % 4 WHEN 0 THEN '' WHEN 1 THEN 'one' END,
       CASE i % 5 WHEN 0 THEN '2090-01-01' END, CASE i % 7 WHEN 0 THEN '2091-01-01' END FROM n;
UPDATE outbox SET status = 'sending', wait = NULL, attempts = 1, claimed_by = 1 WHERE wait = 'ready' AND id % 2;
UPDATE outbox SET status = 'sent', claimed_by = NULL, holds = NULL, finished_at = 1 WHERE status = 'sending' AND id % 3;
"#;

/// A few rows at most: one row tables, what one statement records, the first two of a lane.
const SMALL: [&str; 10] = [
    "CONSTANT ROW",
    "first",
    "j",
    "json_each",
    "ended",
    "a",
    "(subquery",
    "outbox_clock",
    "outbox_dispatcher",
    "pragma_data_version",
];

/// Whether a line of the plan of the statement `name` touches rows without number.
fn is_long(name: &str, line: &str) -> bool {
    if line.contains("TEMP B-TREE") {
        // The one sort: of the first parked and the first scheduled job of a lane.
        return !name.starts_with("outbox_elect_holder");
    }
    let Some(scanned) = line.strip_prefix("SCAN ") else { return false };
    // These stop at the first entry of the index.
    let stops = name.starts_with("any_left") || name.starts_with("agenda");
    let small = SMALL.iter().any(|table| {
        scanned
            .strip_prefix(table)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '-']))
    });
    !(small || (stops && scanned.contains("USING COVERING INDEX outbox_")))
}

async fn plan(conn: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let rows = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
        .fetch_all(conn)
        .await
        .unwrap_or_else(|e| panic!("{e}\nin: {sql}"));
    rows.iter().map(|row| row.get::<String, _>("detail")).collect()
}

/// The statements of the triggers' bodies, but for those that only raise.
async fn trigger_statements(conn: &mut SqliteConnection) -> Vec<(String, String)> {
    let triggers = sqlx::raw_sql("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'");
    let mut found = vec![];
    for row in triggers.fetch_all(conn).await.unwrap() {
        let (name, sql): (String, String) = (row.get(0), row.get(1));
        let (_, body) = sql.split_once("BEGIN\n").expect("a body");
        let body = body.rsplit_once("END").expect("an end").0;
        let lines: Vec<_> = body.lines().filter(|l| !l.trim_start().starts_with("--")).collect();
        for (n, statement) in (lines.join("\n") + "\n").split(";\n").enumerate() {
            let statement = statement.trim();
            if !statement.is_empty() && !statement.contains("RAISE(") {
                found.push((format!("{name} {n}"), unbound(statement)));
            }
        }
    }
    found
}

/// NEW.x and OLD.x as parameters.
fn unbound(statement: &str) -> String {
    let mut parts = statement.split("NEW.").flat_map(|part| part.split("OLD."));
    let mut sql = parts.next().expect("split gives one at least").to_owned();
    for part in parts {
        sql.push_str("?1");
        sql.push_str(part.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'));
    }
    sql
}

#[tokio::test]
async fn no_statement_scans_or_sorts_a_backlog() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outbox.db");
    Store::open(&path).await.unwrap().close().await.unwrap();
    let options = SqliteConnectOptions::new().filename(&path).disable_statement_logging();
    let mut conn = options.connect().await.unwrap();
    sqlx::raw_sql(ROWS).execute(&mut conn).await.unwrap();

    let mut all = statements();
    all.extend(trigger_statements(&mut conn).await);
    assert!(all.len() > 25, "{}", all.len());
    let mut wrong = vec![];
    for analyzed in [false, true] {
        if analyzed {
            sqlx::raw_sql("ANALYZE").execute(&mut conn).await.unwrap();
        }
        for (name, sql) in &all {
            let plan = plan(&mut conn, sql).await;
            if plan.iter().any(|line| is_long(name, line)) {
                wrong.push(format!("{name} (analyzed: {analyzed}): {plan:#?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let claim = &all.iter().find(|(name, _)| name == "claim 0").expect("the claim").1;
    let plan = plan(&mut conn, claim).await;
    let by_index = |line: &&String| line.contains("USING COVERING INDEX outbox_ready (account=?");
    assert_eq!(plan.iter().filter(by_index).count(), 3, "{plan:#?}");
}
