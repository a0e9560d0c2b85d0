//! Rates and `max_in_flight`: no route delays another, and a backlog that waits for its rate costs
//! nothing.

use crate::support::{Gate, Job, Outbox, Reply, SOON, Server, can_trace, eventually, sqlite_only};
use std::fs;
use std::time::Instant;

/// How many jobs of an account and channel are in this state.
fn count(outbox: &Outbox, account: &str, channel: &str, status: &str) -> i64 {
    outbox.number(&format!(
        "SELECT count(*) FROM outbox
         WHERE account = '{account}' AND channel = '{channel}' AND status = '{status}'"
    ))
}

/// Adds each job `times` times for each account, without ordering keys.
fn add(outbox: &Outbox, accounts: &[&str], jobs: &[Job], times: i64) {
    for round in 0..times {
        for account in accounts {
            for job in jobs {
                let job = job.clone().column("account", &format!("'{account}'"));
                outbox.add(job.column("ordering_key", "''").column("source", &round.to_string()));
            }
        }
    }
}

#[test]
fn a_slow_rate_and_a_full_route_delay_no_other_route() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::answering(move |request| {
        let reply = Reply::accepted(request);
        if request.words() == "full" { reply.behind(&held) } else { reply }
    });
    let more = format!(
        "[accounts.other]\naccount_id = \"o\"\napi_key_file = \"key\"\nbase_url = \"{}\"
         [channels.mail]\nrate = \"1/h\"\n[channels.chat]\nmax_in_flight = 1",
        server.base_url()
    );
    let outbox = Outbox::setup(&server).more(&more).ready();
    // The jobs that cannot be sent come first and have the highest priority.
    let first = |job: Job| job.column("priority", "9");
    add(&outbox, &["default"], &[first(Job::chat(1, "full"))], 40);
    add(&outbox, &["default", "other"], &[first(Job::mail(1, "slow"))], 40);
    add(&outbox, &["default", "other"], &[Job::sms(1, "free")], 20);
    add(&outbox, &["other"], &[Job::chat(1, "free")], 20);
    let _daemon = outbox.daemon();

    let sent = |account, channel| count(&outbox, account, channel, "sent");
    let stuck = || {
        assert_eq!(count(&outbox, "default", "chat", "sending"), 1);
        assert_eq!(
            (sent("default", "chat"), sent("default", "mail"), sent("other", "mail")),
            (0, 1, 1)
        );
    };
    let all = |jobs| {
        eventually(SOON, "every job that can be sent is sent", || {
            let free = [("default", "sms"), ("other", "sms"), ("other", "chat")];
            free.iter().all(|(account, channel)| sent(account, channel) == jobs)
                && sent("default", "mail") + sent("other", "mail") == 2
        });
    };
    all(20);
    stuck();
    // Also for jobs that are added later.
    add(&outbox, &["default", "other"], &[Job::sms(1, "free")], 5);
    add(&outbox, &["other"], &[Job::chat(1, "free")], 5);
    all(25);
    stuck();
    gate.open();
    eventually(SOON, "the route that was full continues", || sent("default", "chat") == 40);
    assert_eq!(server.requests_for("slow").len(), 2);
}

/// What the locks on the `-shm` file tell of a daemon that ran until the condition held: SQLite's byte 120 is the
/// write lock, and each reading begins with a shared one.
struct Locks {
    transactions: usize,
    reads: usize,
}

fn locks(outbox: &Outbox, until: impl FnOnce()) -> Locks {
    let options = ["--seccomp-bpf", "-e", "trace=fcntl"];
    let mut daemon = outbox.program().traced(&options).start(&["run"]).ready();
    until();
    daemon.kill9();
    let trace = fs::read_to_string(outbox.folder().join("trace")).unwrap();
    let of_log = || trace.lines().filter(|line| line.contains("outbox.db-shm"));
    let begun = |line: &&str| line.contains("F_WRLCK") && line.contains("l_start=120,");
    let reads = of_log().filter(|line| line.contains("F_RDLCK")).count();
    Locks { transactions: of_log().filter(begun).count(), reads }
}

#[test]
fn a_backlog_that_waits_for_its_rate_wakes_the_daemon_only_for_its_jobs() {
    sqlite_only!("counts the locks of its file");
    if !can_trace() {
        return;
    }
    let server = Server::start();
    let setup = || Outbox::setup(&server).more("[channels.sms]\nrate = \"20/s\"").ready();
    // What a start costs, some 65 reads and 6 transactions, is measured and not guessed.
    let start = locks(&setup(), || {});
    let outbox = setup();
    add(&outbox, &["default"], &[Job::sms(1, "paced")], 200);
    let began = Instant::now();
    let all = locks(&outbox, || drop(server.wait_for(40)));
    let (jobs, seconds) = (server.count(), began.elapsed().as_secs() as usize + 1);
    assert!(outbox.count("pending") > 100, "it waited for the rate");

    let transactions = all.transactions - start.transactions;
    let reads = all.reads - start.reads;
    println!("{jobs} jobs in {seconds} s: {transactions} transactions, {reads} reads");
    // Per job the claim and the record. Each writes the file, so it may be followed by one claim that finds nothing, as
    // the event may be another process's: always after the record; after the claim, if the answer takes longer than
    // the event, which is usual under load. At the end one more may have begun.
    assert!((jobs..=4 * (jobs + 1)).contains(&transactions), "{transactions} for {jobs} jobs");
    // Each transaction reads twice, its beginning and its result. Before it, one look per job, when its time has come; and
    // one or two looks a second whatever happens.
    let most = 2 * transactions + (jobs + 1) + 2 * seconds + 4;
    assert!((jobs..=most).contains(&reads), "{reads} reads, at most {most} were expected");
}
