//! kill -9, over and over, at random moments under load. `ACQUIRE_OUTBOX_SOAK=n` makes n times as
//! many kills: `ACQUIRE_OUTBOX_SOAK=20 cargo test --release --test all kill_nine:: -- --include-ignored --nocapture`.

use crate::support::{
    Daemon, Database, Job, Outbox, Reply, Request, SOON, Server, eventually, sqlite_only,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The kills of one test in the suite.
const KILLS: u32 = 16;

fn soak() -> u32 {
    std::env::var("ACQUIRE_OUTBOX_SOAK").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

fn policy(on_uncertain: &str) -> String {
    ["chat", "mail", "sms"]
        .map(|channel| format!("[channels.{channel}]\non_uncertain = \"{on_uncertain}\"\n"))
        .concat()
}

/// Answers after 0 to 8 ms, as random as the kills.
fn lively(request: &Request) -> Reply {
    Reply::accepted(request).delay(Duration::from_micros(fastrand::u64(0..8000)))
}

/// Job `id`, whose words are its id: of any channel, every other one in a lane.
fn job(id: i64) -> Job {
    let words = format!("{id}");
    let job = match id % 3 {
        0 => Job::chat(id % 40, &words),
        1 => Job::mail(id % 40, &words),
        _ => Job::sms(id % 40, &words),
    };
    let key = if id % 2 == 0 { format!("'lane {}'", id % 20) } else { "''".to_owned() };
    job.column("id", &id.to_string()).column("ordering_key", &key)
}

/// Inserts jobs as long as fewer than so many wait, each in its transaction, a connection for
/// a few of them: so the daemon is often the only one on the file when it is killed.
struct Producer {
    committed: Arc<AtomicI64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Producer {
    fn start(database: &Database) -> Producer {
        let (committed, stop) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, end, database) = (committed.clone(), stop.clone(), database.clone());
        let thread = thread::spawn(move || {
            while !end.load(Ordering::SeqCst) {
                if database.number("SELECT count(*) FROM outbox WHERE wait IS NOT NULL") > 300 {
                    continue;
                }
                database.with(async |connection| {
                    for _ in 0..fastrand::u32(1..60) {
                        let id = count.load(Ordering::SeqCst) + 1;
                        let sql = sqlx::AssertSqlSafe(job(id).sql());
                        sqlx::raw_sql(sql).execute(&mut *connection).await.expect("never busy");
                        count.store(id, Ordering::SeqCst);
                    }
                });
            }
        });
        Producer { committed, stop, thread }
    }

    /// Ends it and gives the last id; the ids are those from 1 on.
    fn end(self) -> i64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("every insert went through");
        self.committed.load(Ordering::SeqCst)
    }
}

/// How long a start takes up to its first request, on this machine as loaded as it is.
fn time_to_first_request(outbox: &Outbox, server: &Server) -> Duration {
    let (before, begun) = (server.count(), Instant::now());
    let mut daemon = outbox.program().start(&["run"]);
    while server.count() == before && begun.elapsed() < SOON {
        thread::yield_now();
    }
    let took = begun.elapsed();
    daemon.kill9();
    took
}

/// Kills at a random moment: while it starts and recovers, at work, or while it drains.
fn kill_somewhere(daemon: &mut Daemon, server: &Server, start: Duration) {
    let latest = u64::try_from((2 * start).as_micros()).unwrap() + 200_000;
    let moment = Instant::now() + Duration::from_micros(fastrand::u64(0..latest));
    let enough = server.count() + fastrand::usize(0..150);
    let draining = fastrand::u32(0..5) == 0;
    while Instant::now() < moment && server.count() < enough {
        thread::yield_now();
    }
    if draining {
        daemon.sigterm();
        let moment = Instant::now() + Duration::from_micros(fastrand::u64(0..8000));
        while Instant::now() < moment {
            thread::yield_now();
        }
    }
    daemon.kill9();
}

/// What all the kills came to, for a line in docs/reliability.md.
#[derive(Debug, Default)]
struct Story {
    requests: usize,
    interrupted: usize,
    sent_twice: usize,
    uncertain: i64,
}

/// Kills under load, lets the last one drain, and checks everything that holds by any policy.
fn kills_under_load(on_uncertain: &str) -> (Story, Outbox, Server) {
    let server = Server::answering(lively);
    let outbox = Outbox::setup(&server).more(&policy(on_uncertain)).ready();
    let producer = Producer::start(outbox.database());
    let start = time_to_first_request(&outbox, &server);
    let kills = KILLS * soak();
    let mut standby: Option<Daemon> = None;
    for kill in 1..=kills {
        let mut daemon = match standby.take() {
            Some(took_over) => took_over,
            None => outbox.program().start(&["run"]),
        };
        if fastrand::u32(0..4) == 0 {
            standby = Some(outbox.program().start(&["run"]));
        }
        kill_somewhere(&mut daemon, &server, start);
        if kill % 10 == 0 {
            sound(outbox.database());
        }
    }
    drop(standby);
    let jobs = producer.end();
    outbox.run_until_empty();
    sound(outbox.database());
    let story = told(&outbox, &server, jobs);
    let Story { requests, interrupted, sent_twice, uncertain, .. } = story;
    println!(
        "kill -9 under {on_uncertain}: {kills} kills, {jobs} jobs, {requests} requests, \
        {interrupted} attempts cut short, {sent_twice} requests more than jobs, {uncertain} uncertain"
    );
    assert!(requests > 0 && interrupted > 0, "the kills met no load");
    (story, outbox, server)
}

fn sound(database: &Database) {
    assert_eq!(database.one("PRAGMA integrity_check")["integrity_check"], "ok");
}

fn told(outbox: &Outbox, server: &Server, jobs: i64) -> Story {
    let mut story = Story { uncertain: outbox.count("uncertain"), ..Story::default() };
    let mut arrived: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for request in server.requests() {
        story.requests += 1;
        let id = request.words().parse().expect("the job's id");
        arrived.entry(id).or_default().push(request.number);
    }
    assert!(arrived.keys().all(|id| (1..=jobs).contains(id)), "sent what nobody committed");
    let mut history: BTreeMap<i64, Vec<(i64, String)>> = BTreeMap::new();
    for row in outbox.query("SELECT * FROM outbox_attempts ORDER BY job_id, attempt") {
        let (attempt, outcome) = (row.int("attempt"), row.text("outcome").to_owned());
        if outcome == "uncertain" {
            assert_eq!(row["error_code"], "interrupted", "{row:?}");
        }
        history.entry(row.int("job_id")).or_default().push((attempt, outcome));
    }
    let rows = outbox.query("SELECT id, status, attempts, message_id FROM outbox ORDER BY id");
    assert!(rows.iter().map(|row| row.int("id")).eq(1..=jobs), "a job was lost");
    for row in &rows {
        let requests = arrived.get(&row.int("id")).map_or(&[][..], |numbers| numbers);
        let history = history.get(&row.int("id")).map_or(&[][..], |attempts| attempts);
        assert!(history.iter().map(|(n, _)| *n).eq(1..=row.int("attempts")), "{row:?} {history:?}");
        let interrupted = history.iter().filter(|(_, outcome)| outcome == "uncertain").count();
        story.interrupted += interrupted;
        story.sent_twice += requests.len().saturating_sub(1);
        match row.text("status") {
            "sent" => {
                // The ids that the server gave out for this very job.
                let ids: Vec<_> = requests.iter().map(|n| json!(format!("{}", 8289 + n))).collect();
                assert!(ids.contains(&row["message_id"]), "{row:?}, but the server gave {ids:?}");
                assert_eq!(history.last().unwrap().1, "accepted", "{row:?} {history:?}");
                assert_eq!(history.len(), interrupted + 1, "{row:?} {history:?}");
            }
            "uncertain" => assert_eq!(history.len(), interrupted, "{row:?} {history:?}"),
            _ => panic!("neither sent nor uncertain: {row:?}"),
        }
        assert!(requests.len() <= history.len(), "{row:?}: {requests:?}, but {history:?}");
    }
    in_order(&arrived);
    story
}

/// In each lane every job came for the first time after the first time of the one before it.
fn in_order(arrived: &BTreeMap<i64, Vec<usize>>) {
    for lane in (0..20).step_by(2) {
        let first =
            arrived.iter().filter(|(id, _)| *id % 20 == lane).map(|(_, numbers)| numbers[0]);
        assert!(first.is_sorted(), "lane {lane} is out of order");
    }
}

#[test]
#[ignore = "heavy: kills by the dozen"]
fn under_retry_kills_lose_nothing_and_send_twice_only_what_was_in_flight() {
    sqlite_only!("producers that write to the file themselves");
    let (story, outbox, _server) = kills_under_load("retry");
    assert!(story.sent_twice <= story.interrupted, "{story:?}");
    // Held only after three crashes in a row, never failed.
    let held = outbox.query("SELECT * FROM outbox WHERE status = 'uncertain'");
    assert!(held.iter().all(|row| row.int("attempts") == 3), "{held:?}");
}

#[test]
#[ignore = "heavy: kills by the dozen"]
fn under_hold_kills_lose_nothing_and_send_nothing_twice() {
    sqlite_only!("producers that write to the file themselves");
    let (story, _outbox, _server) = kills_under_load("hold");
    assert_eq!(story.sent_twice, 0, "{story:?}");
    assert_eq!(i64::try_from(story.interrupted), Ok(story.uncertain), "{story:?}");
}

/// The next test with few kills, so that every run has it, on both engines.
#[test]
fn a_few_kills_make_at_most_max_in_flight_messages_arrive_twice() {
    kills_at_most_in_flight_twice(4);
}

#[test]
#[ignore = "heavy: kills by the dozen"]
fn a_kill_makes_at_most_max_in_flight_messages_arrive_twice() {
    kills_at_most_in_flight_twice(KILLS * soak());
}

/// What was in flight at a kill is sent again under `retry`. What was answered and noted is not, even if it
/// was not recorded yet, and what was claimed ahead is not sent twice either. With a quick server there is
/// a lot of both.
fn kills_at_most_in_flight_twice(kills: u32) {
    const MAX_IN_FLIGHT: usize = 8;
    let server = Server::answering(|request| {
        Reply::accepted(request).delay(Duration::from_micros(fastrand::u64(0..500)))
    });
    let settings =
        format!("[channels.chat]\nmax_in_flight = {MAX_IN_FLIGHT}\nuncertain_retries = 1000\n");
    let outbox = Outbox::setup(&server).more(&settings).retry("max_attempts = 1000").ready();
    let jobs = i64::from(kills) * 200;
    outbox.add_all(
        (1..=jobs).map(|n| Job::chat(n, &format!("number {n}")).column("ordering_key", "''")),
    );
    // How many requests had arrived at each kill.
    let mut arrived = Vec::new();
    for _ in 0..kills {
        let mut daemon = outbox.program().start(&["run"]);
        let enough = server.count() + fastrand::usize(20..150);
        let deadline = Instant::now() + SOON;
        while server.count() < enough {
            assert!(Instant::now() < deadline, "some requests");
            thread::yield_now();
        }
        daemon.kill9();
        // What it had written still arrives.
        let mut before = None;
        eventually(SOON, "no more requests", || {
            let quiet = server.open() == 0 && before == Some(server.count());
            before = Some(server.count());
            quiet
        });
        arrived.push(server.count());
    }
    outbox.run_until_empty();
    // By the kill between a request and the one before it of the same job.
    let (mut last, mut twice) = (BTreeMap::new(), vec![0; arrived.len()]);
    for (number, request) in server.requests().iter().enumerate() {
        if let Some(before) = last.insert(request.words(), number) {
            twice[arrived.partition_point(|at| *at <= before)] += 1;
        }
    }
    let all: usize = twice.iter().sum();
    let interrupted =
        outbox.number("SELECT count(*) FROM outbox_attempts WHERE outcome = 'uncertain'");
    println!(
        "kill -9: {kills} kills, {interrupted} attempts cut short, {all} sent twice: {twice:?}"
    );
    assert!(interrupted > 0, "the kills met no load");
    assert!(twice.iter().all(|count| *count <= MAX_IN_FLIGHT), "{twice:?}");
    assert_eq!(outbox.count("sent"), jobs);
}

/// The time is printed, not asserted: a million rows with ACQUIRE_OUTBOX_SOAK, else some thousand.
#[test]
#[ignore = "heavy: kills by the dozen"]
fn a_restart_after_a_kill_sends_at_once_however_long_the_table_is() {
    sqlite_only!("rows that are written by SQLite's own SQL");
    let rows = if soak() > 1 { 1_000_000 } else { 5000 };
    let server = Server::answering(lively);
    let outbox = Outbox::new(&server);
    outbox.execute(&format!(
        "INSERT INTO outbox (channel, payload, ordering_key)
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {rows})
         SELECT 'chat', json_object('caseId', n % 1000, 'message', 'number ' || n), '' FROM n"
    ));
    let mut daemon = outbox.daemon();
    server.wait_for(200);
    daemon.kill9();
    for _ in 0..5 {
        let (before, begun) = (server.count(), Instant::now());
        let mut daemon = outbox.program().start(&["run"]);
        eventually(SOON, "the first request", || server.count() > before);
        println!("{rows} rows: the first request {:?} after the start", begun.elapsed());
        daemon.kill9();
    }
}
