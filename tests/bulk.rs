//! Changes of many jobs: `retry`, `cancel` and `resolve` by filter; counts, questions, batches.

use crate::support::{
    Database, Job, Outbox, Reply, SOON, Server, eventually, has_terminals, quoted, sqlite_only,
};
use serde_json::json;
use sqlx::Executor;
use std::sync::atomic::{AtomicBool, Ordering};

/// So many jobs for tomorrow, with this source.
fn for_tomorrow(outbox: &Outbox, count: i64, source: &str) {
    let job = |case| Job::chat(case, "hi").column("source", &quoted(source)).tomorrow();
    outbox.add_all((1..=count).map(job));
}

fn of_source(outbox: &Outbox, source: &str, status: &str) -> i64 {
    outbox.number(&format!(
        "SELECT count(*) FROM outbox WHERE source = '{source}' AND status = '{status}'"
    ))
}

/// Two uncertain jobs, and a failed one.
fn uncertain(server: &Server) -> (Outbox, [i64; 2], i64) {
    server.answer_with(|request| match request.words().as_str() {
        "refused" => Reply::status(400),
        _ => Reply::status(502),
    });
    let hold = "[channels.chat]\non_uncertain = \"hold\"";
    let outbox = Outbox::setup(server).more(hold).ready();
    let uncertain = [outbox.chat(1, "arrived"), outbox.chat(2, "lost")];
    let failed = outbox.chat(3, "refused");
    outbox.run_until_empty();
    assert_eq!(outbox.count("uncertain"), 2);
    (outbox, uncertain, failed)
}

#[test]
fn resolve_ends_an_uncertain_job_as_sent_or_failed() {
    let server = Server::start();
    let (outbox, [arrived, lost], failed) = uncertain(&server);
    let shown = outbox.run(&["show", &arrived.to_string()]).expect(0).stdout;
    assert!(
        shown.contains(&format!("`acquire-outbox resolve {arrived} --sent|--failed`")),
        "{shown}"
    );
    let done = outbox.run(&["resolve", &arrived.to_string(), "--sent"]).expect(0);
    assert_eq!(done.stdout, "1 job resolved as sent\n");
    let done = outbox.run(&["resolve", "--case", "2", "--failed"]).expect(0);
    assert_eq!(
        (done.stdout.as_str(), done.stderr.as_str()),
        ("1 job resolved as failed\n", "1 job matches\n")
    );
    assert_eq!(outbox.status(arrived), "sent");
    let row = outbox.row(lost);
    assert_eq!((row.text("status"), row.text("failure")), ("failed", "exhausted"));
    assert_eq!(outbox.row(failed)["failure"], "rejected");
}

#[test]
fn resolve_takes_only_uncertain_jobs_and_one_outcome() {
    let server = Server::start();
    let (outbox, [one, two], failed) = uncertain(&server);
    let refused = outbox.run(&["resolve", &failed.to_string(), "--sent"]).expect(1);
    let sentence = format!("job {failed}: is failed; only uncertain jobs can be resolved\n");
    assert_eq!((refused.stderr, refused.stdout.as_str()), (sentence, "0 jobs resolved as sent\n"));
    outbox.run(&["resolve", &one.to_string()]).expect(2);
    outbox.run(&["resolve", &one.to_string(), "--sent", "--failed"]).expect(2);
    outbox.run(&["resolve", "--sent"]).expect(2);
    let wrong = outbox.run(&["resolve", "--status", "failed", "--sent"]).expect(2);
    assert!(wrong.stderr.contains("--status: must be uncertain"), "{wrong:?}");
    let all = outbox.run(&["resolve", "--all", "--failed", "--json"]).expect(0);
    assert_eq!(all.json(), json!({"changed": 2, "refused": []}));
    assert_eq!([one, two].map(|id| outbox.status(id)), ["failed", "failed"]);
}

#[test]
fn a_dry_run_counts_and_names_and_changes_nothing() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    for_tomorrow(&outbox, 3, "campaign");
    let other = outbox.chat(9, "other");
    let before = outbox.query("SELECT * FROM outbox ORDER BY id");
    let plain = outbox.run(&["cancel", "--source", "campaign", "--dry-run"]).expect(0);
    assert_eq!(
        (plain.stdout.as_str(), plain.stderr.as_str()),
        ("3 jobs would be cancelled\n", "3 jobs match\n")
    );
    let dry = outbox.run(&["cancel", "--source", "campaign", "--dry-run", "--json"]).expect(0);
    let plan = json!({"dry_run": true, "would_change": 3, "ids": [1, 2, 3], "refused": []});
    assert_eq!(dry.json(), plan);
    let by_id =
        outbox.run(&["cancel", "4711", &other.to_string(), "--dry-run", "--json"]).expect(1);
    assert_eq!(by_id.json()["ids"], json!([other]));
    let refused = json!([{"id": 4711, "sentence": "there is no such job"}]);
    assert_eq!(by_id.json()["refused"], refused);
    assert_eq!(outbox.query("SELECT * FROM outbox ORDER BY id"), before);
}

#[test]
fn the_filters_of_a_change_are_those_of_list() {
    let server = Server::answering(|request| match request.words().as_str() {
        "refused" => {
            Reply::json(404, json!({"error": "ERROR_NOT_FOUND", "message": "no such case"}))
        }
        _ => Reply::status(503),
    });
    let outbox = Outbox::new(&server);
    let refused = outbox.add(Job::chat(1, "refused").column("idempotency_key", "'k1'"));
    let down = outbox.add(Job::mail(2, "down").column("max_attempts", "1"));
    outbox.run_until_empty();
    let cases: [(&[&str], &[i64]); 9] = [
        (&["--error-code", "http_503"], &[down]),
        (&["--error", "NO SUCH case"], &[refused]),
        (&["--case", "2"], &[down]),
        (&["--key", "k1"], &[refused]),
        (&["--newer-than", "1h"], &[refused, down]),
        (&["--older-than", "1h"], &[]),
        (&["--status", "failed,cancelled", "--channel", "mail"], &[down]),
        (&["--status", "uncertain"], &[]),
        (&["--all"], &[refused, down]),
    ];
    for (filters, expected) in cases {
        let arguments = [&["retry", "--dry-run", "--json"], filters].concat();
        let planned = outbox.run(&arguments).expect(0).json();
        assert_eq!(planned["ids"], json!(expected), "{filters:?}");
    }
}

#[test]
fn what_is_named_twice_or_not_at_all_is_wrong_usage() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    for command in ["retry", "cancel", "prune"] {
        let both = outbox.run(&[command, "1", "--channel", "sms"]).expect(2);
        assert!(both.stderr.contains("ids cannot be combined with filters"), "{both:?}");
    }
    for command in ["retry", "cancel"] {
        let none = outbox.run(&[command]).expect(2);
        assert!(none.stderr.contains("Give ids, filters or --all"), "{none:?}");
    }
    let wrong = outbox.run(&["cancel", "--status", "sent"]).expect(2);
    assert!(wrong.stderr.contains("--status: must be pending"), "{wrong:?}");
}

#[test]
fn a_terminal_is_asked_before_a_change_by_filter() {
    if !has_terminals() {
        return;
    }
    let server = Server::start();
    let outbox = Outbox::new(&server);
    for_tomorrow(&outbox, 2, "campaign");
    let cancel = |more: &[&str], typed: &str| {
        let arguments = [&["cancel", "--source", "campaign"], more].concat();
        outbox.program().on_a_terminal().run_with_input(&arguments, typed)
    };
    for no in ["n\n", "\n", "what\n"] {
        let refused = cancel(&[], no).expect(1);
        assert!(refused.stdout.contains("Cancel 2 jobs? [y/N]"), "{refused:?}");
        assert!(refused.stdout.contains("nothing was changed"), "{refused:?}");
    }
    assert_eq!(of_source(&outbox, "campaign", "pending"), 2);
    assert!(!cancel(&["--dry-run"], "").expect(0).stdout.contains("[y/N]"));
    let done = cancel(&[], "y\n").expect(0);
    assert!(done.stdout.contains("2 jobs cancelled"), "{done:?}");

    for_tomorrow(&outbox, 1, "campaign");
    let done = cancel(&["--yes"], "").expect(0);
    assert!(done.stdout.contains("1 job cancelled") && !done.stdout.contains("[y/N]"), "{done:?}");
    let none = cancel(&[], "").expect(0);
    assert!(none.stdout.contains("0 jobs cancelled"), "nothing to ask about: {none:?}");
}

#[test]
fn a_change_of_thousands_holds_up_neither_a_producer_nor_the_daemon() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    for_tomorrow(&outbox, 4000, "campaign");
    let _daemon = outbox.daemon();
    let over = AtomicBool::new(false);
    let (cancelled, inserted) = std::thread::scope(|scope| {
        let produce = scope.spawn(|| {
            let mut ids = vec![];
            while !over.load(Ordering::Relaxed) || ids.len() < 5 {
                let job = Job::chat(1, "from the producer").column("source", "'shop'");
                ids.push(outbox.add(job));
            }
            ids
        });
        let cancelled = outbox.run(&["cancel", "--source", "campaign", "--json"]);
        over.store(true, Ordering::Relaxed);
        (cancelled, produce.join().expect("no producer sees a locked database"))
    });
    assert_eq!(cancelled.expect(0).json(), json!({"changed": 4000, "refused": []}));
    assert_eq!(of_source(&outbox, "campaign", "cancelled"), 4000);
    for id in inserted {
        assert_eq!(outbox.settled(id)["status"], "sent");
    }
}

/// Holds the write lock of a database until it is told.
fn lock_until(database: &Database, released: impl FnOnce()) {
    database.with(async |connection| {
        connection.execute("BEGIN IMMEDIATE").await.unwrap();
        released();
        connection.execute("COMMIT").await.unwrap();
    });
}

#[test]
fn a_busy_database_is_waited_for() {
    sqlite_only!("one program at a time may write a file");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    for_tomorrow(&outbox, 3, "campaign");
    let mut cancel = None;
    lock_until(outbox.database(), || {
        let started = outbox.program().start(&["cancel", "--all"]);
        eventually(SOON, "the lock is missed", || {
            started.stderr().contains("the database is busy")
        });
        cancel = Some(started);
    });
    let done = cancel.unwrap().wait(SOON).expect(0);
    assert_eq!(done.stdout, "3 jobs cancelled\n");
    assert_eq!(done.stderr.matches("busy").count(), 1, "{done:?}");
}

#[test]
fn what_takes_long_shows_how_far_it_is_on_a_terminal() {
    sqlite_only!("one program at a time may write a file");
    if !has_terminals() {
        return;
    }
    let server = Server::start();
    let outbox = Outbox::new(&server);
    for_tomorrow(&outbox, 1200, "campaign");
    let mut cancel = None;
    lock_until(outbox.database(), || {
        let program = outbox.program().on_a_terminal();
        let started = program.start(&["cancel", "--all", "--yes"]);
        eventually(SOON, "the lock is missed", || {
            started.stdout().contains("the database is busy")
        });
        cancel = Some(started);
    });
    let cancel = cancel.unwrap();
    eventually(SOON, "its end", || cancel.stdout().contains("1200 jobs cancelled"));
    assert!(cancel.stdout().contains("500 of 1200 jobs"), "{:?}", cancel.stdout());
}

#[test]
fn an_error_on_the_way_says_how_far_it_got() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    for_tomorrow(&outbox, 1000, "campaign");
    outbox.own_rule("UPDATE OF status", "OLD.id = 700", "the shop says no");
    let failed = outbox.run(&["cancel", "--all"]).expect(1);
    assert!(failed.stderr.contains("stopped by an error after 500 jobs of 1000"), "{failed:?}");
    assert!(failed.stderr.contains("the shop says no") && failed.stdout.is_empty(), "{failed:?}");
    assert_eq!(of_source(&outbox, "campaign", "cancelled"), 500);
    // By id the others of the batch are done, and that one is named.
    let by_id = outbox.run(&["cancel", "699", "700", "701", "--json"]).expect(1).json();
    assert_eq!(by_id["changed"], 2);
    assert_eq!(by_id["refused"], json!([{"id": 700, "sentence": "the shop says no"}]));
}
