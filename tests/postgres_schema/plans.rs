//! How PostgreSQL goes about a cycle: it reads a few index entries for each job that it claims or records, and
//! scans no table, whatever the outbox holds and whenever ANALYZE has run. Counted by the server itself.

use crate::support::PostgresDatabase;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

/// A table by what most of its rows are: the columns that differ, of row `i` of 20,000.
const TABLES: [(&str, &str); 8] = [
    ("empty", ""),
    (
        "a backlog",
        "'pending' AS status, 'arrived' AS wait, hashint8extended(i, 0) AS lane, NULL::bigint AS holds, due, NULL::timestamptz AS next, due + interval '1 year' AS expires, NULL::timestamptz AS finished",
    ),
    (
        "a backlog without lanes",
        "'pending' AS status, 'ready' AS wait, NULL::bigint AS lane, NULL::bigint AS holds, due, NULL::timestamptz AS next, NULL::timestamptz AS expires, NULL::timestamptz AS finished",
    ),
    (
        "scheduled",
        "'pending' AS status, 'scheduled' AS wait, hashint8extended(i, 0) AS lane, NULL::bigint AS holds, due + interval '1 year' AS due, NULL::timestamptz AS next,
         NULL::timestamptz AS expires, NULL::timestamptz AS finished",
    ),
    (
        "in backoff",
        "'pending' AS status, 'backoff' AS wait, hashint8extended(i, 0) AS lane, hashint8extended(i, 0) AS holds, due, due + interval '1 year' AS next,
         NULL::timestamptz AS expires, NULL::timestamptz AS finished",
    ),
    (
        "parked behind one key",
        "'pending' AS status, CASE i WHEN 1 THEN 'ready' ELSE 'parked' END AS wait, 1 AS lane, CASE i WHEN 1 THEN 1 END AS holds, due, NULL::timestamptz AS next,
         CASE i % 2 WHEN 0 THEN due + interval '1 year' END AS expires, NULL::timestamptz AS finished",
    ),
    // As after a month: all but a few are finished.
    (
        "finished",
        "'sent' AS status, NULL AS wait, hashint8extended(i, 0) AS lane, NULL::bigint AS holds, due, NULL::timestamptz AS next, CASE i % 3 WHEN 0 THEN due END AS expires, due AS finished",
    ),
    (
        "uncertain",
        "'uncertain' AS status, NULL AS wait, hashint8extended(i, 0) AS lane, NULL::bigint AS holds, due, NULL::timestamptz AS next, NULL::timestamptz AS expires, NULL::timestamptz AS finished",
    ),
];

/// One row in a hundred can be claimed, and is in a lane of three.
fn rows(columns: &str) -> String {
    format!(
        "SET LOCAL session_replication_role = replica;
         WITH n AS (SELECT i, now() - interval '1 day' + i * interval '1 ms' AS due FROM generate_series(1, 20000) i),
         most AS (SELECT i, {columns} FROM n WHERE i % 100 <> 0),
         few AS (SELECT i, 'pending' AS status, 'arrived' AS wait, 10 + i / 300 AS lane, NULL::bigint AS holds, due, NULL::timestamptz AS next, NULL::timestamptz AS expires, NULL::timestamptz AS finished
                 FROM n WHERE i % 100 = 0)
         INSERT INTO outbox (channel, payload, priority, status, wait, lane, holds, due_at, next_attempt_at, expires_at, finished_at)
         SELECT 'chat', '{{\"caseId\": 1, \"message\": \"m\"}}', i % 2, status, wait, lane, holds, due, next, expires, finished
         FROM (SELECT * FROM most UNION ALL SELECT * FROM few) r"
    )
}

/// When ANALYZE had run by the time that the table was filled, if ever.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Analyzed {
    Never,
    Empty,
    Full,
}

const JOBS: i64 = 32;

/// A node that speaks SQL.
struct Node<'a> {
    conn: &'a mut PgConnection,
    epoch: i64,
    cycle: i64,
    /// What the last cycle has claimed, as sent.
    ended: String,
    /// Where its claim ended, in Unix milliseconds.
    floor: Option<i64>,
}

/// What a transaction has read.
#[derive(Debug)]
struct Reading {
    table_scans: i64,
    /// Index entries.
    entries: i64,
    by_index: String,
    claimed: i64,
}

impl Node<'_> {
    async fn join(conn: &mut PgConnection) -> Node<'_> {
        execute(conn, "SET jit = off").await;
        let join =
            "SELECT epoch, cycle FROM outbox_join('node', '', '', '1 h', '1 h', '{}', false)";
        let (epoch, cycle) = sqlx::query_as(join).fetch_one(&mut *conn).await.unwrap();
        Node { conn, epoch, cycle, ended: "null".to_owned(), floor: None }
    }

    /// Records what the last one has claimed, and claims up to `JOBS`. `full`: also what is due, and from the
    /// beginning.
    async fn cycle(&mut self, full: bool) -> Reading {
        self.cycle += 1;
        let (epoch, cycle, ended) = (self.epoch, self.cycle, std::mem::take(&mut self.ended));
        let floors = match self.floor.filter(|_| !full) {
            Some(floor) => format!("[{}]", vec![floor.to_string(); 10].join(",")),
            None => "null".to_owned(),
        };
        execute(self.conn, "BEGIN").await;
        let before = self.read().await;
        let sql = format!(
            "SELECT coalesce(jsonb_agg(jsonb_build_object('id', job, 'claim', {epoch}, 'attempt', attempts, 'status', 'sent', 'attempts', attempts,
                    'unspent', unspent, 'uncertain_attempts', 0, 'outcome', 'accepted', 'ago_ms', 1, 'duration_ms', 1)) FILTER (WHERE kind = 'c'), '[]')::text,
                count(*) FILTER (WHERE kind = 'c'), max(due_at), count(*) FILTER (WHERE kind IN ('b', 'l'))
             FROM outbox_cycle({epoch}, {cycle}, '1 h', '1 h', NULLIF('{ended}'::jsonb, 'null'),
                 '[{{\"account\": \"default\", \"channel\": \"chat\", \"room\": {JOBS}, \"floors\": {floors}}}]', {JOBS}, 1000000, 1000000, true,
                 {full}, {full}, '0', NULL)"
        );
        let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(&mut *self.conn).await.unwrap();
        let number = |at: usize| row.get::<Option<i64>, _>(at);
        assert_eq!(number(3), Some(0), "all is recorded");
        self.ended = row.get(0);
        let claimed = number(1).unwrap_or_default();
        self.floor = number(2);
        let after = self.read().await;
        execute(self.conn, "COMMIT").await;
        let mut reading = Reading { table_scans: 0, entries: 0, by_index: String::new(), claimed };
        for ((name, scans, entries), (_, scans_before, entries_before)) in after.iter().zip(before)
        {
            match name.as_str() {
                "outbox" => reading.table_scans = scans - scans_before,
                _ if *entries > entries_before => {
                    reading.entries += entries - entries_before;
                    reading.by_index += &format!("{name}: {}; ", entries - entries_before);
                }
                _ => {}
            }
        }
        reading
    }

    /// How often the table and each of its indexes have been scanned, and what that gave. Within one transaction,
    /// these counts are not sent away.
    async fn read(&mut self) -> Vec<(String, i64, i64)> {
        let sql = "SELECT c.relname::text, pg_stat_get_xact_numscans(c.oid), pg_stat_get_xact_tuples_returned(c.oid) FROM pg_class c
            WHERE c.oid = 'outbox'::regclass OR c.oid IN (SELECT i.indexrelid FROM pg_index i WHERE i.indrelid = 'outbox'::regclass) ORDER BY 1";
        sqlx::query_as(sql).fetch_all(&mut *self.conn).await.unwrap()
    }
}

async fn execute(conn: &mut PgConnection, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await;
    done.unwrap_or_else(|e| panic!("{e}\nin: {sql}"));
}

/// A job takes a few entries: of what can be claimed, of its lane, and of its row each time that it is found
/// by its id. The two that have to be parked behind it take as many again, in several rounds.
#[track_caller]
fn check(reading: &Reading, what: &str) {
    assert_eq!(reading.table_scans, 0, "{what}: {reading:?}");
    assert!(reading.entries <= 60 * JOBS, "{what}: {reading:?}");
}

#[test]
fn a_cycle_reads_a_few_index_entries_a_job_whatever_the_table_holds() {
    for (name, columns) in TABLES {
        for analyzed in [Analyzed::Never, Analyzed::Empty, Analyzed::Full] {
            let Some(database) = PostgresDatabase::fresh() else { return };
            let database = database.with_schema();
            // Not in the middle of a test.
            database.execute("ALTER TABLE outbox SET (autovacuum_enabled = off)");
            if analyzed == Analyzed::Empty {
                database.execute("ANALYZE");
            }
            if !columns.is_empty() {
                database.execute(&rows(columns));
            }
            if analyzed == Analyzed::Full {
                database.execute("ANALYZE");
            }
            database.with(async |conn| {
                let mut node = Node::join(conn).await;
                for (number, full) in [true, false, false, true].into_iter().enumerate() {
                    let reading = node.cycle(full).await;
                    let claims = if columns.is_empty() { 0 } else { 1 };
                    assert!(reading.claimed >= claims, "{name}: {reading:?}");
                    check(&reading, &format!("{name}, {analyzed:?}, cycle {number}"));
                }
            });
        }
    }
}

/// Another session's snapshot keeps the index entries of all jobs that have been claimed since. A node claims
/// from where its last claim ended.
#[test]
fn a_claim_does_not_read_the_entries_that_an_old_snapshot_keeps() {
    let Some(database) = PostgresDatabase::fresh() else { return };
    let database = database.with_schema();
    database.execute("ALTER TABLE outbox SET (autovacuum_enabled = off)");
    database.execute(
        "INSERT INTO outbox (channel, payload) SELECT 'chat', jsonb_build_object('caseId', i, 'message', 'm') FROM generate_series(1, 4000) i",
    );
    database.with(async |reader| {
        execute(reader, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM outbox").await;
        let mut conn = sqlx::ConnectOptions::connect(&database.options()).await.unwrap();
        let mut node = Node::join(&mut conn).await;
        for number in 0..120 {
            let reading = node.cycle(number == 0).await;
            assert_eq!(reading.claimed, JOBS, "{reading:?}");
            check(&reading, &format!("cycle {number}"));
        }
        execute(reader, "ROLLBACK").await;
    });
}

/// What somebody looks for is found by a few entries of its own index, among many jobs and whatever ANALYZE knows.
#[test]
fn what_is_looked_for_is_read_from_its_own_index() {
    use acquire_outbox::config::Database;
    use acquire_outbox::queue::filter::{Filter, Page};
    use acquire_outbox::queue::policy::Purpose;
    use acquire_outbox::store::Store;
    let many = "SET session_replication_role = replica;
        INSERT INTO outbox (channel, payload, source, status, finished_at, message_id, receipt)
        SELECT 'sms', jsonb_build_object('From', '+1', 'To', '+49 30 ' || 100000 + i / 4, 'Body', 'b', 'contactId', i / 4, 'threadId', i / 4, 'timelineId', 1),
            'source ' || i / 4, 'sent', now(), i::text, '{\"caseId\": 1}' FROM generate_series(1, 20000) i;
        UPDATE outbox o SET case_id = f.case_id, contact_id = f.contact_id, recipient = f.recipient
        FROM outbox v CROSS JOIN LATERAL outbox_looked_for(v.channel, v.payload) f WHERE v.id = o.id;
        SET session_replication_role = origin";
    let value = |text: &str| Some(text.to_owned());
    let all = Filter::default;
    for analyzed in [Analyzed::Never, Analyzed::Empty, Analyzed::Full] {
        for (filter, index, jobs) in [
            (Filter { case: value("4000"), ..all() }, "outbox_case", 4),
            (Filter { contact: value("4000"), ..all() }, "outbox_contact", 4),
            (Filter { recipient: value("4930104000"), ..all() }, "outbox_recipient", 4),
            (Filter { message_id: value("4000"), ..all() }, "outbox_message", 1),
            (Filter { source: value("source 4000"), ..all() }, "outbox_source", 4),
        ] {
            let Some(database) = PostgresDatabase::fresh() else { return };
            let at = Database::Postgres(Box::new(database.server().clone()));
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let of_store = async |work: Option<&Filter>| {
                let mut store = match work {
                    None => Store::init(Purpose::Delivery, &at).await.unwrap().0,
                    Some(_) => Store::open(&at).await.unwrap(),
                };
                let mut found = 0;
                if let Some(filter) = work {
                    found = store.deliveries(filter, &Page::newest(50)).await.unwrap().len();
                    assert_eq!(store.count_up_to(filter, 1000).await.unwrap(), found as u64);
                    assert_eq!(store.count(filter).await.unwrap(), found as u64);
                }
                store.close().await.unwrap();
                found
            };
            runtime.block_on(of_store(None));
            if analyzed == Analyzed::Empty {
                database.execute("ANALYZE");
            }
            database.execute("ALTER TABLE outbox SET (autovacuum_enabled = off)");
            database.execute(many);
            if analyzed == Analyzed::Full {
                database.execute("ANALYZE");
            }
            let read = |what: &str| {
                database.number(&format!(
                    "SELECT coalesce(sum({what}), 0)::bigint AS n FROM pg_stat_user_indexes WHERE relname = 'outbox'"
                ))
            };
            let scans = format!("CASE indexrelname WHEN '{index}' THEN idx_scan END");
            let (before, entries) = (read(&scans), read("idx_tup_read"));
            assert_eq!(runtime.block_on(of_store(Some(&filter))), jobs, "{filter:?}");
            // The server counts when a session ends.
            crate::support::eventually(crate::support::SOON, index, || read(&scans) > before);
            let entries = read("idx_tup_read") - entries;
            assert!(entries < 300, "{analyzed:?}, {index}: {entries} entries");
        }
    }
}
