//! The schema on PostgreSQL: what it refuses, with SQLite's sentences, and its state machine.

mod both;
mod machine;
mod places;
mod plans;
mod producers;
mod refusals;

use crate::support::{Cluster, PostgresDatabase};

#[test]
fn the_migration_loads_and_a_producer_inserts() {
    let Some(database) = PostgresDatabase::fresh() else { return };
    let database = database.with_schema();
    let id = database.insert(
        "INSERT INTO outbox (channel, payload) VALUES ('chat', '{\"caseId\": 1, \"message\": \"m\"}')",
    );
    let row = database.one("SELECT * FROM outbox");
    assert_eq!(row.int("id"), id);
    assert_eq!(row.text("status"), "pending");
    assert!(row.int("created_at") > crate::support::now_ms() - 60_000);
}

#[test]
fn a_cluster_survives_a_crash() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let database = cluster.database();
    database.execute("CREATE TABLE t AS SELECT 1 AS one");
    cluster.crash();
    cluster.start_again();
    assert_eq!(database.number("SELECT one FROM t"), 1);
    let folder = cluster.folder().to_owned();
    drop(cluster);
    assert!(!folder.exists());
}
