//! What a producer's session meets: whatever its search_path, its role, its isolation and its other open transactions.

use crate::support::{Cluster, PostgresDatabase};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

const CHAT: &str =
    r#"INSERT INTO outbox (channel, payload) VALUES ('chat', '{"caseId": 1, "message": "hi"}')"#;

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .unwrap_or_else(|e| panic!("{e}\nin: {sql}"));
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn connect(database: &PostgresDatabase) -> PgConnection {
    let mut connection = PgConnection::connect_with(&database.options()).await.unwrap();
    run(&mut connection, "SET lock_timeout = '2s'").await;
    connection
}

#[test]
fn any_schema_name_will_do_and_any_search_path() {
    let Some(database) = PostgresDatabase::fresh() else { return };
    let quoted = r#""Our ""Own"" schema""#;
    database.execute(&format!("CREATE SCHEMA {quoted}"));
    for name in ["public", quoted] {
        database.execute(&format!(
            "SET search_path = {name}; {}; SELECT 1",
            include_str!("../../migrations/postgres/0001_outbox.sql")
        ));
    }
    for path in ["pg_catalog", "public", "''"] {
        let outbox = format!("{quoted}.outbox");
        let all = [
            CHAT.replace("outbox", &outbox),
            format!("{} ON CONFLICT DO NOTHING", CHAT.replace("outbox", &outbox)),
            CHAT.replace("outbox", &outbox).replace("'chat'", "'mail'").replace(
                r#"{"caseId": 1, "message": "hi"}"#,
                r#"{"caseId":1,"contactId":2,"from":"a@b","to":["c@d"],"subject":"s","textBody":"t"}"#,
            ),
            format!("UPDATE {outbox} SET ordering_key = 'k'"),
            format!("UPDATE {outbox} SET status = 'cancelled'"),
            format!("UPDATE {outbox} SET status = 'pending'"),
            format!("INSERT INTO {quoted}.outbox_pauses DEFAULT VALUES; DELETE FROM {quoted}.outbox_pauses"),
        ];
        for sql in all {
            database.execute(&format!("SET search_path = {path}; {sql}"));
        }
        let refused = database
            .try_query(&format!(
                "SET search_path = {path}; {}",
                CHAT.replace("outbox", &outbox).replace("hi", "")
            ))
            .unwrap_err();
        assert!(refused.starts_with("outbox.payload.message: "), "{refused}");
        assert_eq!(database.number(&format!("SELECT count(*) FROM {quoted}.delivery_status")), 3);
        database.execute(&format!("SET search_path = {path}; DELETE FROM {outbox}"));
    }
    assert_eq!(database.number("SELECT count(*) FROM public.outbox"), 0);
}

#[test]
fn a_role_that_may_insert_and_cancel_may_do_no_more() {
    let Some(database) = PostgresDatabase::fresh() else { return };
    let database = database.with_schema();
    database.execute(
        "CREATE ROLE schema_test_app;
         GRANT USAGE ON SCHEMA public TO schema_test_app;
         GRANT INSERT (channel, payload, account, idempotency_key, ordering_key, priority, send_at, expires_at, max_attempts, source),
               UPDATE (status), SELECT (id, status, idempotency_key) ON outbox TO schema_test_app;
         GRANT SELECT ON delivery_status TO schema_test_app",
    );
    let head = database.insert(CHAT);
    database.execute("UPDATE outbox SET holds = lane, wait = 'ready', moves = moves + 1");
    let as_app = |sql: &str| database.try_query(&format!("SET ROLE schema_test_app; {sql}"));
    as_app(CHAT).unwrap();
    as_app(&format!("{CHAT} ON CONFLICT (idempotency_key) DO NOTHING RETURNING id")).unwrap();
    // The triggers write what the role itself may not.
    as_app(&format!("UPDATE outbox SET status = 'cancelled' WHERE id = {head}")).unwrap();
    assert_eq!(database.number("SELECT count(*) FROM outbox_elections"), 1);
    as_app(&format!("UPDATE outbox SET status = 'pending' WHERE id = {head}")).unwrap();
    assert_eq!(as_app("SELECT count(*) FROM delivery_status").unwrap().len(), 1);
    for forbidden in [
        "UPDATE outbox SET moves = moves + 1, status = 'sent'",
        "UPDATE outbox SET attempts = 0",
        "SELECT payload FROM outbox",
        "DELETE FROM outbox",
        "INSERT INTO outbox_elections VALUES (1)",
        "CREATE TEMP TABLE mine (LIKE outbox);
         CREATE TRIGGER mine AFTER UPDATE ON mine FOR EACH ROW EXECUTE FUNCTION outbox_updated()",
    ] {
        let refused = as_app(forbidden).expect_err(forbidden);
        assert!(refused.contains("permission denied"), "{forbidden}: {refused}");
    }
    let refused = as_app("UPDATE outbox SET status = 'sent'").unwrap_err();
    assert!(refused.contains("a pending job can only be cancelled"), "{refused}");
    // A temporary table of the same name does not take the place of ours.
    as_app("CREATE TEMP TABLE outbox_elections (lane bigint, CHECK (lane IS NULL)); UPDATE public.outbox SET status = 'cancelled'").unwrap();
    database.execute("REVOKE ALL ON SCHEMA public FROM schema_test_app; DROP OWNED BY schema_test_app; DROP ROLE schema_test_app");
}

#[test]
fn open_transactions_in_one_conversation_wait_for_nobody() {
    let Some(database) = PostgresDatabase::fresh() else { return };
    let database = database.with_schema();
    block_on(async {
        for level in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
            let begin = format!("BEGIN ISOLATION LEVEL {level}");
            let (mut one, mut two) = (connect(&database).await, connect(&database).await);
            for connection in [&mut one, &mut two] {
                run(connection, &begin).await;
                run(connection, CHAT).await;
            }
            let other = CHAT.replace("\"caseId\": 1", "\"caseId\": 2");
            run(&mut two, &other).await;
            run(&mut one, &other).await;
            run(
                &mut one,
                "UPDATE outbox SET status = 'cancelled' WHERE id = (SELECT min(id) FROM outbox)",
            )
            .await;
            run(&mut two, "COMMIT").await;
            run(&mut one, "COMMIT").await;
        }
    });
    assert_eq!(database.number("SELECT count(*) FROM outbox"), 12);
}

#[test]
fn one_statement_inserts_a_hundred_thousand() {
    let Some(database) = PostgresDatabase::fresh() else { return };
    let database = database.with_schema();
    let many = "INSERT INTO outbox (channel, payload)
        SELECT 'chat', jsonb_build_object('caseId', n, 'message', 'hi') FROM generate_series(1, 100000) AS n";
    database.execute(many);
    assert_eq!(database.number("SELECT count(DISTINCT lane) FROM outbox"), 100_000);
    database.execute("UPDATE outbox SET status = 'cancelled' WHERE id <= 20000");
    database.execute("DELETE FROM outbox WHERE id <= 20000");
    assert_eq!(database.number("SELECT count(*) FROM outbox"), 80_000);
}

/// The node's side of the bell, as in the migration.
const SLEEP: &str = "SELECT pg_try_advisory_lock(1869771896, 'outbox'::regclass::oid::integer)";

#[test]
fn the_bell_rings_for_a_sleeper_and_nobody_falls_asleep_over_an_open_transaction() {
    let Some(database) = PostgresDatabase::fresh() else { return };
    let database = database.with_schema();
    block_on(async {
        let mut node = sqlx::postgres::PgListener::connect_with(&pool(&database)).await.unwrap();
        let channel =
            format!("outbox_{}", number(&database, "SELECT 'outbox'::regclass::oid::bigint").await);
        node.listen(&channel).await.unwrap();
        let (mut asleep, mut producer) = (connect(&database).await, connect(&database).await);
        run(&mut producer, "BEGIN").await;
        run(&mut producer, CHAT).await;
        assert!(!sleeps(&mut asleep).await, "a row is about to be committed");
        run(&mut producer, "COMMIT").await;
        assert!(sleeps(&mut asleep).await);
        for wakes in [
            CHAT,
            "UPDATE outbox SET status = 'cancelled'",
            "UPDATE outbox SET status = 'pending'",
            "INSERT INTO outbox_pauses (reason) VALUES ('stop')",
            "DELETE FROM outbox_pauses",
            "UPDATE outbox SET ordering_key = 'k'",
        ] {
            run(&mut producer, wakes).await;
            let rung = tokio::time::timeout(crate::support::SOON, node.recv()).await;
            assert_eq!(rung.expect(wakes).unwrap().channel(), channel);
        }
    });
}

fn pool(database: &PostgresDatabase) -> sqlx::PgPool {
    sqlx::postgres::PgPoolOptions::new().max_connections(2).connect_lazy_with(database.options())
}

async fn number(database: &PostgresDatabase, sql: &str) -> i64 {
    let mut connection = connect(database).await;
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap()
}

async fn sleeps(connection: &mut PgConnection) -> bool {
    sqlx::query(SLEEP).fetch_one(connection).await.unwrap().get(0)
}

#[test]
fn a_dump_is_restored_with_its_rules() {
    let Some(cluster) = Cluster::shared() else { return };
    let from = cluster.database().with_schema();
    let id = from.insert(CHAT);
    from.execute(&format!("UPDATE outbox SET status = 'cancelled' WHERE id = {id}"));
    from.insert(CHAT);
    let to = cluster.database();
    let line = format!(
        "'{0}/pg_dump' '{1}' | '{0}/psql' -q -v ON_ERROR_STOP=1 '{2}' >/dev/null",
        cluster.bin().display(),
        from.url(),
        to.url()
    );
    let done = std::process::Command::new("sh").args(["-c", &line]).status().unwrap();
    assert!(done.success());
    let rows = "SELECT * FROM outbox ORDER BY id";
    assert_eq!(to.query(rows), from.query(rows));
    assert_eq!(to.insert(CHAT), from.insert(CHAT));
    to.execute(&format!("UPDATE outbox SET status = 'pending' WHERE id = {id}"));
    let refused =
        to.try_query(&format!("UPDATE outbox SET attempts = 7 WHERE id = {id}")).unwrap_err();
    assert!(refused.starts_with("outbox.attempts: "), "{refused}");
}

#[test]
fn a_database_in_another_encoding_is_refused() {
    let Some(cluster) = Cluster::shared() else { return };
    cluster
        .database()
        .execute("CREATE DATABASE schema_test_latin ENCODING 'LATIN1' TEMPLATE template0");
    let latin = cluster.named("schema_test_latin");
    let refused =
        latin.try_query(include_str!("../../migrations/postgres/0001_outbox.sql")).unwrap_err();
    assert!(refused.contains("needs a database in UTF8, and this one is in LATIN1"), "{refused}");
}

#[test]
fn an_applications_own_trigger_inserts_and_cancels() {
    let Some(database) = PostgresDatabase::fresh() else { return };
    let database = database.with_schema();
    database.execute(
        "CREATE TABLE orders (id integer PRIMARY KEY, state text);
         CREATE FUNCTION order_changed() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF NEW.state = 'shipped' THEN
                 INSERT INTO outbox (channel, payload, idempotency_key)
                 VALUES ('chat', jsonb_build_object('caseId', NEW.id, 'message', 'Shipped.'), 'order-' || NEW.id) ON CONFLICT DO NOTHING;
             ELSIF NEW.state = 'lost' THEN
                 UPDATE outbox SET status = 'cancelled' WHERE idempotency_key = 'order-' || NEW.id;
             ELSE
                 UPDATE outbox SET attempts = 7 WHERE idempotency_key = 'order-' || NEW.id;
             END IF;
             RETURN NULL;
         END $$;
         CREATE TRIGGER order_changed AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION order_changed();
         INSERT INTO orders VALUES (1, 'shipped'), (2, 'shipped');
         UPDATE orders SET state = 'shipped';
         UPDATE orders SET state = 'lost' WHERE id = 2",
    );
    let states = database.query("SELECT status FROM outbox ORDER BY id");
    assert_eq!(
        states.iter().map(|row| row.text("status")).collect::<Vec<_>>(),
        ["pending", "cancelled"]
    );
    let refused = database.try_query("UPDATE orders SET state = 'odd'").unwrap_err();
    assert!(refused.starts_with("outbox.attempts: "), "{refused}");
}

/// A queue's statistics are of another time: what a session has planned while the table was small is kept.
#[test]
fn what_a_change_costs_does_not_grow_with_the_table() {
    let Some(database) = PostgresDatabase::fresh() else { return };
    let database = database.with_schema();
    let many = |jobs: u32| {
        format!(
            "INSERT INTO outbox (channel, payload) SELECT 'chat', jsonb_build_object('caseId', n, 'message', 'hi') FROM generate_series(1, {jobs}) AS n;
             INSERT INTO outbox_attempts (job_id, attempt, started_at, duration_ms, outcome) SELECT id, 1, now(), 5, 'retry' FROM outbox ON CONFLICT DO NOTHING;
             INSERT INTO outbox_set_aside (job_id, since, reason) SELECT id, now(), 'odd' FROM outbox ON CONFLICT DO NOTHING;"
        )
    };
    let changes = |first: u32| {
        (first..first + 8)
            .map(|id| {
                format!(
                    "UPDATE outbox SET ordering_key = 'k' WHERE id = {id}; UPDATE outbox SET status = 'cancelled' WHERE id = {id};
                     UPDATE outbox SET status = 'pending' WHERE id = {id}; DELETE FROM outbox WHERE id = {id};"
                )
            })
            .collect::<String>()
    };
    block_on(async {
        let mut connection = connect(&database).await;
        run(&mut connection, &many(20)).await;
        run(&mut connection, "ANALYZE outbox, outbox_attempts, outbox_set_aside").await;
        run(&mut connection, &changes(1)).await;
        run(&mut connection, &many(20_000)).await;
        run(&mut connection, "BEGIN").await;
        // With what earlier transactions have not reported yet.
        let before = rows_scanned(&mut connection).await;
        run(&mut connection, &changes(11)).await;
        assert_eq!(rows_scanned(&mut connection).await, before);
        run(&mut connection, "COMMIT").await;
    });
}

/// Rows that were read by scans of whole tables.
async fn rows_scanned(connection: &mut PgConnection) -> i64 {
    let scanned = "SELECT coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_xact_user_tables WHERE relname LIKE 'outbox%'";
    sqlx::query_scalar(scanned).fetch_one(connection).await.unwrap()
}
