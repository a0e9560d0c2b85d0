//! How SQLite goes about each statement of the dispatcher and of the triggers: by an index, with
//! no scan and no sort over a backlog, whatever the table holds and whenever ANALYZE has run.

use acquire_outbox::queue::policy::Purpose;
use acquire_outbox::store::Store;
use acquire_outbox::store::sqlite::{PROCEDURES, statements};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};
use std::path::Path;

/// A table by what most of its rows are: the columns that differ, of row `i` of 20,000.
const TABLES: [(&str, &str); 7] = [
    ("empty", ""),
    // As after a month: all but a few are finished.
    (
        "finished",
        "'sent' AS status, NULL AS wait, NULL AS lane, NULL AS holds, 1000 + i AS due_at, NULL AS next_attempt_at,
         CASE i % 3 WHEN 0 THEN 9000 + i END AS expires_at, 5000 + i AS finished_at",
    ),
    (
        "ready",
        "'pending' AS status, 'ready' AS wait, NULL AS lane, NULL AS holds, 1000 + i AS due_at, NULL AS next_attempt_at,
         9000 + i AS expires_at, NULL AS finished_at",
    ),
    (
        "parked behind one key",
        "'pending' AS status, CASE i WHEN 1 THEN 'ready' ELSE 'parked' END AS wait, 'key:one' AS lane,
         CASE i WHEN 1 THEN 1 END AS holds, 1000 + i AS due_at, NULL AS next_attempt_at,
         CASE i % 2 WHEN 0 THEN 9000 + i END AS expires_at, NULL AS finished_at",
    ),
    (
        "scheduled",
        "'pending' AS status, 'scheduled' AS wait, 'case:' || i AS lane, NULL AS holds, 4000000000000 + i AS due_at,
         NULL AS next_attempt_at, NULL AS expires_at, NULL AS finished_at",
    ),
    (
        "in backoff",
        "'pending' AS status, 'backoff' AS wait, 'case:' || i AS lane, 1 AS holds, 1000 + i AS due_at,
         4000000000000 + i AS next_attempt_at, NULL AS expires_at, NULL AS finished_at",
    ),
    (
        "uncertain",
        "'uncertain' AS status, NULL AS wait, NULL AS lane, NULL AS holds, 1000 + i AS due_at, NULL AS next_attempt_at,
         NULL AS expires_at, NULL AS finished_at",
    ),
];

/// 20,000 rows: of three accounts, most of them chat's, and one in a hundred ready.
fn rows(columns: &str) -> String {
    format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000),
         most AS (SELECT i, {columns} FROM n WHERE i % 100),
         few AS (SELECT i, 'pending' AS status, 'ready' AS wait, NULL AS lane, NULL AS holds, 1000 + i AS due_at,
                 NULL AS next_attempt_at, NULL AS expires_at, NULL AS finished_at FROM n WHERE i % 100 = 0)
         INSERT INTO outbox (channel, payload, account, priority, status, wait, lane, holds, due_at,
                             next_attempt_at, expires_at, finished_at, updated_at)
         SELECT CASE WHEN i % 10 = 1 THEN 'mail' WHEN i % 10 = 2 THEN 'sms' ELSE 'chat' END, '{{}}',
                CASE i % 7 WHEN 1 THEN 'second' WHEN 2 THEN 'third' ELSE 'default' END, i % 2 * 9, status, wait,
                lane, holds, due_at, next_attempt_at, expires_at, finished_at, 1000 + i
         FROM (SELECT * FROM most UNION ALL SELECT * FROM few)"
    )
}

/// A few rows at most: one row tables, what one statement records, the first two of a lane.
const SMALL: [&str; 41] = [
    "CONSTANT ROW",
    "first",
    "j",
    "c",
    "json_each",
    "chosen",
    "jsonb_each",
    "(subquery",
    "a",
    "outbox_clock",
    "outbox_dispatcher",
    "outbox_holds",
    "outbox_set_aside",
    "route",
    "outbox_taken_keys",
    "p",
    "pragma_data_version",
    "pragma_auto_vacuum",
    "pragma_freelist_count",
    "place",
    "pragma_page_count",
    "outbox_cycle_ended",
    "outbox_cycle_lost",
    "outbox_cycle_passed_over",
    "outbox_cycle_short",
    "outbox_pauses",
    "outbox_cycle_rooms",
    "outbox_cycle_routes",
    "outbox_cycle_weighed",
    "temp.outbox_cycle_weighed",
    "w",
    "outbox_cycle_sent",
    "temp.outbox_cycle_lost",
    "temp.outbox_cycle_seen",
    "outbox_cycle_seen",
    "outbox_cycle_expired",
    "temp.outbox_cycle_expired",
    "outbox_cycle_routes",
    "outbox_cycle_weighed",
    "temp.outbox_cycle_weighed",
    "w",
];

/// Of at most as many jobs as there is room for.
const SORT_OF_THE_CLAIMED: &str = "USE TEMP B-TREE FOR json_group_array(ORDER BY)";

/// Whether a line of the plan of the statement `name` touches rows without number.
fn is_long(name: &str, line: &str) -> bool {
    if line.contains("TEMP B-TREE") && line != SORT_OF_THE_CLAIMED {
        // Of the first parked and the first scheduled job of a lane, of no more jobs than the routes of a
        // cycle have room for, and of the addresses of one email.
        let known = ["outbox_elect_holder", "outbox_cycle_cut_claim", "outbox_copy_addresses"];
        return !known.iter().any(|known| name.starts_with(known));
    }
    let Some(scanned) = line.strip_prefix("SCAN ") else { return false };
    // These stop at the first entry of the index, or at their limit.
    let stops = ["any_left", "agenda", "results", "backlog", "routes", "outbox_cycle_run"];
    let stops = stops.iter().any(|known| name.starts_with(known));
    // It contains the rows that were written without the triggers, and nothing else.
    if scanned == "outbox USING INDEX outbox_untouched" {
        return false;
    }
    // These are about every retry and all that is verified: after the clock was set, and at the start.
    let all = ["in_backoff", "begun_later"].iter().any(|known| name.starts_with(known));
    let whole = ["outbox USING INDEX outbox_backoff", "outbox USING INDEX outbox_verifying"];
    if all && whole.contains(&scanned) {
        return false;
    }
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
    let triggers = sqlx::raw_sql(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'
         UNION ALL SELECT name, sql FROM sqlite_temp_schema WHERE type = 'trigger'",
    );
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

/// The statement that chooses what a route has room for.
async fn claim(conn: &mut SqliteConnection, account: &str, channel: &str, room: u32) -> String {
    let of_route = "SELECT sql FROM sqlite_temp_schema WHERE name = 'outbox_cycle_claim_route'";
    let sql: String = sqlx::query_scalar(of_route).fetch_one(conn).await.unwrap();
    let body = &sql[sql.find("INSERT INTO").unwrap()..sql.rfind("LIMIT NEW.room;").unwrap()];
    (body.to_owned() + "LIMIT " + &room.to_string())
        .replace("NEW.account", &format!("'{account}'"))
        .replace("NEW.channel", &format!("'{channel}'"))
        .replace("NEW.now", "5000")
}

/// When ANALYZE had run by the time that the table was filled, if ever.
#[derive(Clone, Copy, Debug)]
enum Analyzed {
    Never,
    Empty,
    /// Three jobs, the only ones so far: every scan looked cheap. The dispatcher forgets it.
    WithThree,
}

const THREE: &str = r#"
INSERT INTO outbox (channel, payload) VALUES ('chat', '{"caseId": 1, "message": "m"}'),
    ('chat', '{"caseId": 1, "message": "m"}'), ('chat', '{"caseId": 2, "message": "m"}');
UPDATE outbox SET status = 'sending', moves = moves + 1, wait = NULL, attempts = 1, claimed_by = 1 WHERE id = 3;
ANALYZE;
UPDATE outbox SET status = 'sent', moves = moves + 1, claimed_by = NULL, holds = NULL WHERE id = 3;
DELETE FROM outbox;
"#;

/// An outbox with this table, filled without the triggers, which are there again.
async fn outbox(folder: &Path, columns: &str, analyzed: Analyzed) -> SqliteConnection {
    let path = folder.join("outbox.db");
    Store::init(Purpose::Delivery, &path.clone().into()).await.unwrap().0.close().await.unwrap();
    let options = SqliteConnectOptions::new().filename(&path).disable_statement_logging();
    let mut conn = connect(&options).await;
    match analyzed {
        Analyzed::Never => {}
        Analyzed::Empty => execute(&mut conn, "ANALYZE").await,
        Analyzed::WithThree => execute(&mut conn, THREE).await,
    }
    if !columns.is_empty() {
        execute(&mut conn, "PRAGMA synchronous = OFF").await;
        let triggers = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'";
        let triggers = sqlx::raw_sql(triggers).fetch_all(&mut conn).await.unwrap();
        for trigger in &triggers {
            execute(&mut conn, &format!("DROP TRIGGER {}", trigger.get::<&str, _>("name"))).await;
        }
        execute(&mut conn, &rows(columns)).await;
        for trigger in &triggers {
            execute(&mut conn, trigger.get("sql")).await;
        }
    }
    if let Analyzed::WithThree = analyzed {
        conn.close().await.unwrap();
        Store::init(Purpose::Delivery, &path.clone().into())
            .await
            .unwrap()
            .0
            .close()
            .await
            .unwrap();
        conn = connect(&options).await;
    }
    conn
}

/// With the procedures that only the connections of the dispatcher have.
async fn connect(options: &SqliteConnectOptions) -> SqliteConnection {
    let mut conn = options.connect().await.unwrap();
    execute(&mut conn, &PROCEDURES).await;
    conn
}

async fn execute(conn: &mut SqliteConnection, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await;
    done.unwrap_or_else(|e| panic!("{e}\nin: {sql}"));
}

/// Runs the check on every table, with every kind of statistics.
async fn everywhere(check: impl AsyncFn(&mut SqliteConnection, &str)) {
    for (name, columns) in TABLES {
        for analyzed in [Analyzed::Never, Analyzed::Empty, Analyzed::WithThree] {
            let folder = tempfile::tempdir().unwrap();
            let mut conn = outbox(folder.path(), columns, analyzed).await;
            check(&mut conn, &format!("most are: {name}; analyzed: {analyzed:?}")).await;
            if let Analyzed::Never = analyzed {
                execute(&mut conn, "ANALYZE").await;
                check(&mut conn, &format!("most are: {name}; analyzed as it is")).await;
            }
            conn.close().await.unwrap();
        }
    }
}

/// Down the index of what is ready, from the route's first entry on: it has all that is asked.
/// Whether anything is set aside or passed over is asked once.
const CLAIMS_PLAN: [&str; 7] = [
    "SEARCH outbox USING COVERING INDEX outbox_ready (account=? AND channel=?)",
    "SCALAR SUBQUERY 1",
    "SCAN outbox_set_aside",
    "USING ROWID SEARCH ON TABLE outbox_set_aside FOR IN-OPERATOR",
    "SCALAR SUBQUERY 3",
    "SCAN outbox_cycle_passed_over",
    "USING ROWID SEARCH ON TABLE outbox_cycle_passed_over FOR IN-OPERATOR",
];

/// All that the claim knows of a policy is how many jobs there is room for: one for a probe, after
/// a stop or at a low rate, `max_in_flight` and the rate's otherwise. Each route is chosen for by
/// itself.
#[tokio::test]
async fn the_claim_goes_down_the_index_of_what_is_ready_for_every_channel_and_policy() {
    everywhere(async |conn, table| {
        for channel in ["chat", "mail", "sms"] {
            for account in ["default", "second", "without jobs"] {
                for room in [1, 2, 32, 1000, u32::MAX] {
                    let claim = claim(conn, account, channel, room).await;
                    let plan = plan(conn, &claim).await;
                    assert_eq!(plan, CLAIMS_PLAN, "{table}: {room} of {account}, {channel}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn no_statement_scans_or_sorts_a_backlog() {
    everywhere(async |conn, table| {
        let mut all = statements();
        all.extend(trigger_statements(conn).await);
        assert!(all.len() > 35, "{}", all.len());
        let mut wrong = vec![];
        for (name, sql) in &all {
            let plan = plan(conn, sql).await;
            if plan.iter().any(|line| is_long(name, line)) {
                wrong.push(format!("{name} ({table}): {plan:#?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    })
    .await;
}
