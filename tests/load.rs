//! Many writers while the daemon drains, and a long backlog. `ACQUIRE_OUTBOX_SOAK=n` makes n times
//! as many inserts, and a backlog of a million:
//! `ACQUIRE_OUTBOX_SOAK=50 cargo test --release --test all load:: -- --include-ignored --nocapture --test-threads 1`.

use crate::support::{Daemon, Database, Job, Outbox, Server, eventually};
use sqlx::AssertSqlSafe;
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const WRITERS: usize = 8;
/// The jobs of each writer.
const JOBS: usize = 60;

fn soak() -> usize {
    std::env::var("ACQUIRE_OUTBOX_SOAK").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

/// No test: the process of one writer, which the next test starts.
#[test]
#[ignore = "a part of many_writers_and_the_daemon_never_lock_each_other_out"]
fn one_writer() {
    let Ok(file) = std::env::var("LOAD_FILE") else { return };
    let number: usize = std::env::var("LOAD_WRITER").unwrap().parse().unwrap();
    Database::at(file).with(async |connection| {
        for n in 0..JOBS * soak() {
            let job = Job::chat((n % 500) as i64, &format!("writer {number} message {n}"));
            let sql = AssertSqlSafe(job.sql());
            let begun = Instant::now();
            // Its own transaction, with SQLite's default durability.
            sqlx::raw_sql(sql).execute(&mut *connection).await.expect("never SQLITE_BUSY");
            println!("took {}", begun.elapsed().as_micros());
        }
    });
}

fn writer(database: &Path, number: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "load::one_writer", "--ignored", "--nocapture"])
        .env("LOAD_FILE", database)
        .env("LOAD_WRITER", number.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test as a writer")
}

/// How long each of its inserts took, in microseconds.
fn latencies(writer: Child) -> Vec<u64> {
    let done = writer.wait_with_output().expect("its output");
    assert!(done.status.success(), "a writer failed");
    let text = String::from_utf8(done.stdout).unwrap();
    text.lines().filter_map(|line| line.strip_prefix("took ")?.parse().ok()).collect()
}

/// All of them at once; what their inserts took, as a line.
fn all_writers(outbox: &Outbox, with: &str) -> String {
    let begun = Instant::now();
    let database = outbox.database().path();
    let writers: Vec<Child> = (0..WRITERS).map(|number| writer(database, number)).collect();
    let mut took: Vec<u64> = writers.into_iter().flat_map(latencies).collect();
    let (all, jobs) = (begun.elapsed(), took.len());
    assert_eq!(jobs, WRITERS * JOBS * soak());
    took.sort_unstable();
    let share = |percent: usize| took[(jobs * percent / 100).min(jobs - 1)] as f64 / 1000.0;
    let (half, most, longest) = (share(50), share(99), share(100));
    format!(
        "{WRITERS} writers, {with}: {jobs} inserts in {all:?}, p50 {half} ms, p99 {most} ms, \
        longest {longest} ms"
    )
}

/// The most memory that it has ever had, in KiB.
fn peak_memory(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
#[ignore = "heavy: eight writers"]
fn many_writers_and_the_daemon_never_lock_each_other_out() {
    let server = Server::start();
    let alone = Outbox::new(&server);
    println!("{}", all_writers(&alone, "nobody else at work"));
    let outbox = Outbox::new(&server);
    let (daemon, begun) = (outbox.daemon(), Instant::now());
    println!("{}", all_writers(&outbox, "the daemon draining"));
    let jobs = WRITERS * JOBS * soak();
    let deadline = Duration::from_secs(60 + jobs as u64 / 100);
    eventually(deadline, "all are sent", || outbox.count("sent") == jobs as i64);
    let distinct: HashSet<String> = server.words().into_iter().collect();
    assert_eq!((server.count(), distinct.len()), (jobs, jobs), "each is sent once");
    assert!(!daemon.stderr().contains("cannot be used"), "{}", daemon.stderr());
    println!("all sent after {:?}; {} KiB at most", begun.elapsed(), peak_memory(&daemon));
}

#[test]
#[ignore = "heavy: eight writers"]
fn a_long_backlog_is_drained_in_bounded_memory() {
    let rows: usize = if soak() > 1 { 1_000_000 } else { 3000 };
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.execute(&format!(
        "INSERT INTO outbox (channel, payload, ordering_key)
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {rows})
         SELECT 'chat', json_object('caseId', n % 1000, 'message', 'number ' || n), '' FROM n"
    ));
    let (daemon, begun) = (outbox.daemon(), Instant::now());
    let deadline = Duration::from_secs(60 + rows as u64 / 500);
    eventually(deadline, "all are sent", || server.count() >= rows);
    let passed = begun.elapsed();
    eventually(deadline, "all are recorded", || outbox.count("sent") == rows as i64);
    let peak = peak_memory(&daemon);
    println!("{rows} rows drained in {passed:?}; the daemon had at most {peak} KiB");
    assert_eq!(server.count(), rows, "each is sent once");
    assert!(peak < 100 * 1024, "{peak} KiB");
}
