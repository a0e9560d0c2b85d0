//! The store on PostgreSQL: creating the outbox, what is said of one that is not as it should be, and
//! what becomes of errors. What it does like every engine is in tests/store_contract.

mod alike;

use crate::support::PostgresDatabase;
use acquire_outbox::config::Database;
use acquire_outbox::queue::change::{Change, Mode};
use acquire_outbox::queue::examination::Depth;
use acquire_outbox::queue::filter::Filter;
use acquire_outbox::queue::job::{Channel, Status};
use acquire_outbox::queue::new_job::NewJob;
use acquire_outbox::queue::policy::Purpose;
use acquire_outbox::queue::transfer::Export;
use acquire_outbox::queue::when::now;
use acquire_outbox::store::{Store, StoreError};
use std::time::{Duration, Instant};

const SCHEMA: &str = "the \"outbox\"";

/// A fresh database; its outbox will be in its own schema.
async fn fresh() -> Option<(Database, PostgresDatabase)> {
    let fresh = tokio::task::spawn_blocking(PostgresDatabase::fresh).await.unwrap()?;
    let fresh = fresh.in_schema(SCHEMA);
    Some((Database::Postgres(Box::new(fresh.server().clone())), fresh))
}

/// As any other program executes SQL.
async fn elsewhere(database: &PostgresDatabase, sql: &str) -> Result<(), String> {
    let (database, sql) = (database.clone(), sql.to_owned());
    let done = tokio::task::spawn_blocking(move || database.try_query(&sql).map(|_| ()));
    done.await.unwrap()
}

async fn init(database: &Database) -> (Store, Vec<String>) {
    Store::init(Purpose::Delivery, database).await.unwrap()
}

fn chat(case: i64) -> NewJob {
    NewJob {
        channel: Channel::Chat,
        payload: format!(r#"{{"caseId": {case}, "message": "a secret text"}}"#),
        account: "default".to_owned(),
        idempotency_key: None,
        ordering_key: None,
        priority: 0,
        send_at: None,
        expires_at: None,
        max_attempts: None,
        source: None,
    }
}

#[tokio::test]
async fn an_outbox_is_created_once_however_many_begin_at_once() {
    let Some((database, _)) = fresh().await else { return };
    let begun = (0..6).map(|_| Store::init(Purpose::Delivery, &database));
    for done in futures_util::future::join_all(begun).await {
        let (store, repaired) = done.unwrap();
        assert_eq!(repaired, [""; 0]);
        store.close().await.unwrap();
    }
    let (mut store, _) = init(&database).await;
    assert_eq!(store.insert(&chat(1)).await.unwrap().id(), 1);
    assert_eq!(store.flaws().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn an_outbox_lives_beside_an_applications_own_tables_and_migrations() {
    let Some((database, elsewhere_in_it)) = fresh().await else { return };
    let own = format!(
        r#"CREATE SCHEMA "{0}"; CREATE TABLE "{0}".orders (id int);
           CREATE TABLE "{0}"._sqlx_migrations (version bigint)"#,
        SCHEMA.replace('"', "\"\"")
    );
    elsewhere(&elsewhere_in_it, &own).await.unwrap();
    let (mut store, _) = init(&database).await;
    store.execute_sql("INSERT INTO orders VALUES (1)").await.unwrap();
}

#[tokio::test]
async fn a_sandbox_and_a_real_outbox_are_never_mixed_up() {
    let Some((database, _)) = fresh().await else { return };
    let (store, _) = Store::init(Purpose::Sandbox, &database).await.unwrap();
    assert!(store.is_sandbox());
    let Err(e) = Store::init(Purpose::Delivery, &database).await else { panic!("it is refused") };
    assert!(matches!(&e, StoreError::Unusable(sentence) if sentence.contains("for the sandbox")));
    let verdict = Store::examine(&database, Depth::Quick).await.verdict;
    assert_eq!(verdict, Err(e.to_string()));
    assert!(Store::open(&database).await.unwrap().is_sandbox());
}

#[tokio::test]
async fn a_newer_outbox_an_older_one_and_another_programs_table_are_refused() {
    let Some((database, _)) = fresh().await else { return };
    let (mut store, _) = init(&database).await;
    let newer =
        "INSERT INTO outbox_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'later', true, '', 0)";
    store.execute_sql(newer).await.unwrap();
    for refused in [
        Store::open(&database).await.map(|_| ()),
        Store::init(Purpose::Delivery, &database).await.map(|_| ()),
    ] {
        let e = refused.unwrap_err();
        let sentence = e.to_string();
        assert!(
            matches!(e, StoreError::WrongVersion(_)) && sentence.contains("newer"),
            "{sentence}"
        );
    }
    store.execute_sql("DELETE FROM outbox_migrations").await.unwrap();
    let older = Store::open(&database).await.map(|_| ()).unwrap_err().to_string();
    assert!(older.contains("older acquire-outbox"), "{older}");
    store.execute_sql("ALTER TABLE outbox RENAME due_at TO due").await.unwrap();
    let foreign = Store::open(&database).await.map(|_| ()).unwrap_err().to_string();
    assert!(foreign.contains("another program"), "{foreign}");
}

#[tokio::test]
async fn a_schema_that_was_changed_is_named_and_repaired() {
    let Some((database, _)) = fresh().await else { return };
    let (mut store, _) = init(&database).await;
    store.insert(&chat(1)).await.unwrap();
    let damage =
        "DROP TRIGGER outbox_updated ON outbox; ALTER TABLE outbox DISABLE TRIGGER outbox_inserted;
        DROP INDEX outbox_scheduled; DROP VIEW delivery_status; DROP TABLE outbox_elections;
        CREATE OR REPLACE FUNCTION outbox_ring() RETURNS void LANGUAGE plpgsql AS 'BEGIN END'";
    store.execute_sql(damage).await.unwrap();
    let mut flaws = store.flaws().await.unwrap();
    flaws.sort();
    let expected = [
        "function outbox_ring was changed",
        "index outbox_scheduled is missing",
        "table outbox_elections is missing",
        "trigger outbox_inserted is turned off",
        "trigger outbox_updated is missing",
        "view delivery_status is missing",
    ];
    assert_eq!(flaws, expected);
    assert!(
        Store::examine(&database, Depth::Quick).await.verdict.unwrap_err().contains(expected[0])
    );
    assert_eq!(store.overview(now()).await.unwrap().flaws.len(), expected.len());
    let (_, mut repaired) = init(&database).await;
    repaired.sort();
    assert_eq!(repaired, expected);
    assert_eq!(init(&database).await.1, [""; 0]);
    let refused = store.change(Change::Retry, &[1], Mode::Apply).await.unwrap();
    assert!(refused[0].sentence.starts_with("is pending already"), "{refused:?}");
    store.change(Change::Cancel, &[1], Mode::Apply).await.unwrap();
    let examined = Store::examine(&database, Depth::Full).await;
    examined.verdict.unwrap();
    assert!(examined.caution.unwrap().contains("fsync = off"), "as the tests' servers run");

    store.execute_sql("ALTER TABLE outbox_attempts DROP COLUMN outcome").await.unwrap();
    let Err(e) = Store::init(Purpose::Delivery, &database).await else { panic!("what was in it?") };
    assert!(e.to_string().contains("table outbox_attempts lacks the column outcome"), "{e}");
}

#[tokio::test]
async fn rows_that_no_trigger_has_seen_are_reported() {
    let Some((database, _)) = fresh().await else { return };
    let (mut store, _) = init(&database).await;
    let unseen = r#"SET session_replication_role = replica;
        INSERT INTO outbox (channel, payload) VALUES ('chat', '{"caseId": 1, "message": "hi"}')"#;
    store.execute_sql(unseen).await.unwrap();
    let untouched = store.overview(now()).await.unwrap().untouched;
    assert_eq!((untouched.count, untouched.first), (1, vec![1]));
    let verdict = Store::examine(&database, Depth::Quick).await.verdict.unwrap_err();
    assert!(verdict.starts_with("1 job was written without the triggers"), "{verdict}");
}

#[tokio::test]
async fn no_error_quotes_a_message() {
    let Some((database, _)) = fresh().await else { return };
    let (mut store, _) = init(&database).await;
    store.execute_sql("ALTER TABLE outbox ADD CHECK (channel <> 'chat')").await.unwrap();
    let e = store.insert(&chat(1)).await.unwrap_err();
    assert!(matches!(&e, StoreError::Refused { by_rule: false, .. }), "{e:?}");
    assert!(!format!("{e} {e:?}").contains("secret"), "{e:?}");
    let job =
        NewJob { payload: r#"{"caseId": 1, "message": "a secret \u0000"}"#.to_owned(), ..chat(1) };
    let e = store.insert(&job).await.unwrap_err();
    assert!(e.is_of_a_row() && e.to_string().starts_with("outbox.payload: "), "{e:?}");
    assert!(!format!("{e} {e:?}").contains("secret"), "{e:?}");
}

#[tokio::test]
async fn a_lock_is_waited_for_no_longer_than_it_may_and_then_named() {
    let Some((database, elsewhere_in_it)) = fresh().await else { return };
    let (mut store, _) = init(&database).await;
    let (mut other, _) = init(&database).await;
    other.execute_sql("BEGIN").await.unwrap();
    other.execute_sql("LOCK TABLE outbox IN EXCLUSIVE MODE").await.unwrap();
    let begun = Instant::now();
    let e = store.probe_write(Duration::from_millis(200)).await.unwrap_err();
    assert!(e.is_busy() && begun.elapsed() < Duration::from_secs(8), "{e:?}");
    assert_eq!(store.count(&Filter::default()).await.unwrap(), 0, "reading waits for nobody");
    other.execute_sql("COMMIT").await.unwrap();
    store.probe_write(Duration::from_secs(5)).await.unwrap();
    drop(elsewhere_in_it);
}

#[tokio::test]
async fn a_statement_past_its_time_limit_ends() {
    let Some((database, _)) = fresh().await else { return };
    init(&database).await;
    let mut reader = Store::open_to_read(&database).await.unwrap();
    reader.limit(Duration::from_millis(100));
    let e = reader.execute_sql("SELECT pg_sleep(60)").await.unwrap_err();
    assert!(e.is_interrupted(), "{e:?}");
    let e = reader.count(&Filter::default()).await.unwrap_err();
    assert!(e.is_interrupted(), "no time is left: {e:?}");
    reader.limit(Duration::from_secs(60));
    assert_eq!(reader.count(&Filter::default()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_session_that_was_ended_is_no_longer_current() {
    let Some((database, elsewhere_in_it)) = fresh().await else { return };
    init(&database).await;
    let mut reader = Store::open_to_read(&database).await.unwrap();
    assert!(reader.is_current());
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name = 'acquire-outbox reader' AND datname = current_database()";
    elsewhere(&elsewhere_in_it, end).await.unwrap();
    let e = reader.count(&Filter::default()).await.unwrap_err();
    assert!(!e.is_busy() && !e.is_final(), "{e:?}");
    assert!(!reader.is_current());
}

#[tokio::test]
async fn without_a_server_or_a_database_it_says_where_it_looked() {
    let Some((_, elsewhere_in_it)) = fresh().await else { return };
    let url = elsewhere_in_it.url();
    let other = |url: String| {
        let server = acquire_outbox::config::PostgresServer::read(&url, std::path::Path::new("/"));
        Database::Postgres(Box::new(server.unwrap()))
    };
    let nowhere = other(url.replace("host=", "host=/nowhere"));
    let e = Store::open(&nowhere).await.map(|_| ()).unwrap_err().to_string();
    assert!(e.starts_with("cannot connect to postgres://") && e.contains("is running"), "{e}");
    let missing = other(url.replace("/test_", "/missing_"));
    let e = Store::open(&missing).await.map(|_| ()).unwrap_err().to_string();
    assert!(e.contains("does not exist; create it"), "{e}");
}

#[tokio::test]
async fn two_people_change_the_same_jobs_at_once() {
    let Some((database, _)) = fresh().await else { return };
    let (mut one, _) = init(&database).await;
    let (mut other, _) = init(&database).await;
    let mut ids = Vec::new();
    for case in 1..=60 {
        ids.push(one.insert(&chat(case % 5)).await.unwrap().id());
    }
    let backwards: Vec<_> = ids.iter().rev().copied().collect();
    for _ in 0..10 {
        for change in [Change::Cancel, Change::Retry] {
            let (a, b) = tokio::join!(
                one.change(change, &ids, Mode::Apply),
                other.change(change, &backwards, Mode::Apply)
            );
            assert_eq!(a.unwrap().len() + b.unwrap().len(), ids.len(), "each once");
        }
    }
}

#[tokio::test]
async fn a_role_that_may_only_read_reads_everything() {
    let Some((database, elsewhere_in_it)) = fresh().await else { return };
    let (mut store, _) = init(&database).await;
    store.insert(&chat(1)).await.unwrap();
    let schema = SCHEMA.replace('"', "\"\"");
    let role = format!(
        r#"DO $$ BEGIN CREATE ROLE only_reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
           GRANT USAGE ON SCHEMA "{schema}" TO only_reader;
           GRANT SELECT ON ALL TABLES IN SCHEMA "{schema}" TO only_reader"#
    );
    elsewhere(&elsewhere_in_it, &role).await.unwrap();
    let url = elsewhere_in_it.url().replace("postgres@", "only_reader@");
    let server = acquire_outbox::config::PostgresServer::read(&url, std::path::Path::new("/"));
    let mut server = server.unwrap();
    server.set_schema(SCHEMA.to_owned()).unwrap();
    let database = Database::Postgres(Box::new(server));
    let mut reader = Store::open_to_read(&database).await.unwrap();
    let overview = reader.overview(now()).await.unwrap();
    assert_eq!((overview.counts.len(), overview.flaws.len()), (1, 0));
    assert_eq!(reader.pulse(now(), 10).await.unwrap().oldest_due, overview.oldest_due);
    reader.story(1, acquire_outbox::queue::story::Extent::ALL).await.unwrap().unwrap();
    // An outbox that is up to date needs no rights to be initialised.
    Store::init(Purpose::Delivery, &database).await.unwrap();
    let mut writer = Store::open(&database).await.unwrap();
    let e = writer.insert(&chat(2)).await.unwrap_err();
    assert!(e.to_string().contains("permission denied") && e.to_string().contains("grants"), "{e}");
    let verdict = Store::examine(&database, Depth::Quick).await.verdict.unwrap_err();
    assert!(verdict.contains("permission denied"), "{verdict}");
}

/// Without statistics, as a table is that has just been filled: none of these reads all rows.
#[tokio::test]
async fn what_pages_and_metrics_ask_reads_only_indexes() {
    let Some((database, elsewhere_in_it)) = fresh().await else { return };
    let (mut store, _) = init(&database).await;
    let fill = r#"INSERT INTO outbox (channel, payload, send_at)
        SELECT 'chat', jsonb_build_object('caseId', i % 500, 'message', repeat('x', 200)),
            CASE WHEN i % 10 = 0 THEN now() + interval '1 day' END FROM generate_series(1, 20000) AS i;
        UPDATE outbox SET status = 'cancelled' WHERE id % 3 = 0;
        UPDATE outbox SET status = 'failed', failure = 'invalid' WHERE id = 7"#;
    store.execute_sql(fill).await.unwrap();
    store.close().await.unwrap();
    let scans = async || {
        let database = elsewhere_in_it.clone();
        let sql = "SELECT seq_scan::bigint AS tables, coalesce(idx_scan, 0)::bigint AS indexes
                   FROM pg_stat_user_tables WHERE relname = 'outbox'";
        let row = tokio::task::spawn_blocking(move || database.one(sql)).await.unwrap();
        (row.int("tables"), row.int("indexes"))
    };
    let before = scans().await;
    let mut reader = Store::open_to_read(&database).await.unwrap();
    reader.pulse(now(), 10).await.unwrap();
    let overview = reader.overview(now()).await.unwrap();
    assert_eq!(overview.counts.iter().map(|row| row.count).sum::<i64>(), 20_000);
    assert_eq!(reader.census().await.unwrap().of(None, None, None), 20_000);
    reader.failures(10).await.unwrap();
    let page = acquire_outbox::queue::filter::Page::newest(50);
    for status in Status::ALL {
        let filter = Filter::of_states(&[status]);
        reader.deliveries(&filter, &page).await.unwrap();
        reader.ids(&filter, 0, 50).await.unwrap();
    }
    reader.deliveries(&Filter::default(), &page).await.unwrap();
    let bounced = vec![acquire_outbox::queue::follow_up::DeliveryState::Bounced];
    let bounced = Filter { deliveries: bounced, ..Filter::default() };
    reader.deliveries(&bounced, &page).await.unwrap();
    reader.count(&bounced).await.unwrap();
    for id in [1, 2, 7, 20_000] {
        reader.story(id, acquire_outbox::queue::story::Extent::ALL).await.unwrap().unwrap();
        reader.position(id, now()).await.unwrap();
    }
    reader.export_page(&Export::default(), 100, 20_000, 50).await.unwrap();
    assert_eq!(reader.last_id().await.unwrap(), 20_000);
    reader.close().await.unwrap();
    // A session reports what it has read when it ends.
    let begun = Instant::now();
    let mut after = scans().await;
    while after.1 < before.1 + 30 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{before:?} {after:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        after = scans().await;
    }
    assert_eq!(after.0, before.0, "scans of the whole table");
}
