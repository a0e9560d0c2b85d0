//! What a statement costs, in steps of SQLite's virtual machine: the same however long a key's
//! backlog is.

use super::SCHEMA;
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const JOB: &str =
    "INSERT INTO outbox (channel, payload) VALUES ('chat', '{\"caseId\":1,\"message\":\"hi\"}')";

async fn run(conn: &mut SqliteConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(conn).await.unwrap();
}

/// The steps of one statement.
async fn steps(conn: &mut SqliteConnection, sql: &str) -> u64 {
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let step = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        true
    };
    conn.lock_handle().await.unwrap().set_progress_handler(1, step);
    run(conn, sql).await;
    conn.lock_handle().await.unwrap().remove_progress_handler();
    count.load(Ordering::Relaxed)
}

/// The steps of what a producer, the dispatcher and a person do to jobs of one key that has this
/// many more.
async fn with_backlog(jobs: u32) -> Vec<(&'static str, u64)> {
    let mut conn = sqlx::sqlite::SqliteConnectOptions::new().connect().await.unwrap();
    run(&mut conn, SCHEMA).await;
    let backlog = format!(
        "INSERT INTO outbox (channel, payload)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {jobs})
         SELECT 'chat', '{{\"caseId\":1,\"message\":\"hi\"}}' FROM n"
    );
    run(&mut conn, &backlog).await;
    let mut all = Vec::new();
    for (what, sql) in [
        ("an insert", JOB),
        (
            "an insert with a time that has passed",
            &JOB.replace("payload)", "payload, send_at)").replace("}')", "}', '2020-01-01')"),
        ),
        (
            "a change of the head's payload",
            "UPDATE outbox SET payload = '{\"caseId\":1,\"message\":\"ho\"}' WHERE holds = 1",
        ),
        (
            "a change of a parked one's payload",
            "UPDATE outbox SET payload = '{\"caseId\":1,\"message\":\"ho\"}' WHERE id = 5",
        ),
        (
            "the claim of the head",
            "UPDATE outbox SET status = 'sending', moves = moves + 1, wait = NULL, attempts = attempts + 1, claimed_by = 1 WHERE holds = 1",
        ),
        (
            "a retry of the head",
            "UPDATE outbox SET status = 'pending', wait = 'ready', moves = moves + 1, claimed_by = NULL WHERE claimed_by = 1",
        ),
        ("the cancellation of the head", "UPDATE outbox SET status = 'cancelled' WHERE holds = 1"),
        (
            "a retry",
            "UPDATE outbox SET status = 'pending' WHERE status = 'cancelled' AND finished_at IS NOT NULL",
        ),
        ("the deletion of the head", "DELETE FROM outbox WHERE holds = 1"),
    ] {
        all.push((what, steps(&mut conn, sql).await));
    }
    all
}

#[tokio::test]
async fn what_a_job_of_a_busy_key_costs_does_not_grow_with_its_backlog() {
    let (short, long) = (with_backlog(10).await, with_backlog(100_000).await);
    for ((what, few), (_, many)) in short.into_iter().zip(long) {
        assert!(many < few + few / 4, "{what}: {few} steps with 10 jobs, {many} with 100,000");
    }
}
