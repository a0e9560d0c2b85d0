//! Every value in every column.

use crate::support::{Daemon, Gate, Job, Outbox, Reply, SOON, Server};
use serde_json::Value;
use std::collections::BTreeMap;

/// Columns that the dispatcher writes, and those that a producer does.
const COLUMNS: [&str; 37] = [
    "attempts",
    "next_attempt_at",
    "message_id",
    "receipt",
    "failure",
    "error_code",
    "error",
    "updated_at",
    "finished_at",
    "due_at",
    "wait",
    "holds",
    "claimed_by",
    "unspent",
    "uncertain_attempts",
    "budget_from",
    "verify_at",
    "verify_round",
    "verify_from",
    "verify_until",
    "verify_seen",
    "delivery",
    "delivery_at",
    "follow_at",
    "followed_at",
    "moves",
    "lane",
    "channel",
    "payload",
    "account",
    "priority",
    "send_at",
    "expires_at",
    "max_attempts",
    "source",
    "ordering_key",
    "created_at",
];
const VALUES: [&str; 10] = [
    "'soon'",
    "'2026-11-25 10:00:00'",
    "''",
    "1.5",
    "x'ff41'",
    "CAST(x'4dfc6c6c6572' AS TEXT)",
    "9223372036854775807",
    "-9223372036854775808",
    "9e999",
    "NULL",
];
const REQUIRED: [&str; 9] = [
    "attempts",
    "unspent",
    "uncertain_attempts",
    "verify_round",
    "moves",
    "channel",
    "payload",
    "account",
    "priority",
];

/// A state, and the statement that puts a ready row into it.
const STATES: [(&str, &str); 6] = [
    ("ready", "wait = wait"),
    (
        "backoff",
        "wait = 'backoff', next_attempt_at = 1795338000000, attempts = 1, budget_from = 1795338000000",
    ),
    ("scheduled", "wait = 'scheduled', holds = NULL, lane = NULL, due_at = 1795338000000"),
    (
        "sending",
        "status = 'sending', wait = NULL, claimed_by = 1, attempts = 1, updated_at = 1795338000000,
        budget_from = 1795338000000",
    ),
    (
        "failed",
        "status = 'failed', wait = NULL, holds = NULL, failure = 'rejected', error = 'no',
        finished_at = 1795338000000",
    ),
    (
        "sent",
        "status = 'sent', wait = NULL, holds = NULL, message_id = '1', finished_at = 1795338000000",
    ),
];

/// A row of each state for each value of each column; gives what each row is.
fn fill(outbox: &Outbox) -> BTreeMap<i64, String> {
    let (mut sql, mut rows, mut id) = ("BEGIN;".to_owned(), BTreeMap::new(), 0);
    for column in COLUMNS {
        for value in VALUES {
            if value == "NULL" && (REQUIRED.contains(&column) || column == "created_at") {
                continue;
            }
            for (state, made) in STATES {
                // Two rows cannot hold the same lane, however odd its name.
                if column == "lane" && state != "ready" && state != "scheduled" {
                    continue;
                }
                id += 1;
                rows.insert(id, format!("{column} = {value} of a row that is {state}"));
                let free = if column == "lane" { "holds = NULL," } else { "" };
                sql += &format!(
                    "INSERT INTO outbox (id, channel, payload, lane, holds, due_at, wait, updated_at)
                     VALUES ({id}, 'chat', json_object('caseId', {id}, 'message', 'odd'), 'case:{id}', 1,
                             1795338000000, 'ready', 1795338000000);
                     UPDATE outbox SET {made} WHERE id = {id};
                     UPDATE outbox SET {free} {column} = {value} WHERE id = {id};"
                );
            }
        }
    }
    outbox.database().past_the_rules(&(sql + "COMMIT"));
    rows
}

/// Everything that people look at.
fn look(outbox: &Outbox, daemon: &mut Daemon, rows: &BTreeMap<i64, String>) {
    for command in [
        &["list", "--limit", "5000"][..],
        &["list", "--json", "--limit", "5000"],
        &["list", "--sort", "due"],
        &["list", "--sort", "finished", "--ascending"],
        &["list", "--status", "pending,sending,failed,uncertain,cancelled", "--limit", "5000"],
        &["list", "--error", "must be", "--case", "7"],
        &["status"],
        &["status", "--json"],
        &["export", "--payload"],
        &["export", "--format", "csv", "--payload"],
        &["show", "1"],
        &["show", "7", "--json", "--payload"],
    ] {
        outbox.run(command).expect(0);
    }
    let all = outbox.run(&["list", "--json", "--limit", "5000"]).json();
    let all: Vec<i64> =
        all.as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect();
    // Rows that say they ended long ago have been pruned.
    let pruned: Vec<_> = rows.iter().filter(|(id, _)| !all.contains(id)).collect();
    assert!(pruned.iter().all(|(_, what)| what.starts_with("finished_at = ")), "{pruned:?}");
    let pages = [
        "/",
        "/jobs",
        "/jobs?status=failed",
        "/jobs?status=pending",
        "/jobs?sort=due",
        "/pauses",
        "/metrics",
    ];
    let of_rows = all.iter().filter(|id| rows.contains_key(id)).map(|id| format!("/jobs/{id}"));
    for path in pages.map(str::to_owned).into_iter().chain(of_rows) {
        let page = daemon.get(&path);
        assert_eq!(page.status, 200, "{path}: {page:?}");
    }
    assert_eq!(daemon.get("/healthz").status, 200);
    assert_eq!(daemon.get("/readyz").status, 200);
}

#[test]
fn no_value_of_any_column_stops_the_others_or_a_page() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let rows = fill(&outbox);
    let others: Vec<i64> = (0..20).map(|n| outbox.chat(100_000 + n, "fine")).collect();
    let mut daemon = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]).ready();
    for id in &others {
        assert_eq!(outbox.settled(*id).text("status"), "sent");
    }
    let due =
        "SELECT * FROM outbox WHERE status = 'pending' AND wait IN ('ready', 'backoff', 'parked')";
    let end = std::time::Instant::now() + SOON;
    while let Some(row) = outbox.query(due).first() {
        assert!(std::time::Instant::now() < end, "{}: {row:?}", rows[&row.int("id")]);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    look(&outbox, &mut daemon, &rows);
    let later = outbox.chat(200_000, "later");
    assert_eq!(outbox.settled(later).text("status"), "sent");

    // `init` corrects rows that were written without the triggers and cannot be found by a seek.
    daemon.sigterm();
    daemon.wait(SOON).expect(0);
    outbox.run(&["init"]).expect(0);
    outbox.run_until_empty();
    let open =
        outbox.query("SELECT id, status, wait FROM outbox WHERE status IN ('pending', 'sending')");
    let open: Vec<_> = open.iter().map(|row| (&rows[&row.int("id")], row)).collect();
    assert!(open.is_empty(), "{open:#?}");

    let aside = outbox.query(
        "SELECT o.id, o.status, o.error_code, o.error, a.reason FROM outbox o
         LEFT JOIN outbox_set_aside a ON a.job_id = o.id WHERE o.error_code = 'unreadable_row'",
    );
    assert!(aside.len() > 200, "{}", aside.len());
    for row in &aside {
        let (what, error) = (&rows[&row.int("id")], row.text("error"));
        let column = what.split(' ').next().unwrap();
        assert!(error.starts_with(&format!("outbox.{column}: must be")), "{what}: {error}");
        assert!(!error.contains("soon") && !error.contains("ller"), "{what}: {error}");
        assert_eq!(row.text("reason"), error, "{what}");
        let expected = if what.ends_with("sending") { "uncertain" } else { "failed" };
        assert_eq!(row.text("status"), expected, "{what}");
    }
    let status = outbox.run(&["status", "--json"]).expect(0).json();
    assert_eq!(status["set_aside"].as_u64().unwrap() as usize, aside.len());
    assert_eq!(status["set_aside_jobs"][0]["id"], aside[0]["id"]);

    // A retry works for all rows that are odd in the dispatcher's own columns.
    let own: Vec<i64> = aside.iter().map(|row| row.int("id")).collect();
    let own = own.into_iter().filter(|id| {
        let column = rows[id].split(' ').next().unwrap();
        COLUMNS.iter().position(|known| *known == column).unwrap() < 23
    });
    let own: Vec<String> = own.map(|id| id.to_string()).collect();
    for ids in own.chunks(50) {
        let ids = ids.iter().map(String::as_str);
        outbox
            .run(&["retry"].into_iter().chain(ids).chain(["--yes"]).collect::<Vec<_>>())
            .expect(0);
    }
    outbox.run_until_empty();
    for id in &own {
        let row = outbox.row(id.parse().unwrap());
        assert_eq!(row.text("status"), "sent", "{}: {row:?}", rows[&row.int("id")]);
    }
}

#[test]
fn an_odd_row_is_named_in_the_log_the_status_the_page_and_the_metrics() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let odd = outbox.add(Job::chat(1, "odd"));
    let behind = outbox.chat(1, "behind it");
    outbox
        .database()
        .past_the_rules(&format!("UPDATE outbox SET due_at = 'soon' WHERE id = {odd}"));
    let mut daemon = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]).ready();
    assert_eq!(outbox.settled(behind).text("status"), "sent");
    let row = outbox.settled(odd);
    let sentence = "outbox.due_at: must be Unix milliseconds, as a whole number, but is other text";
    assert_eq!((row.text("failure"), row.text("error")), ("invalid", sentence));
    assert_eq!((row.text("error_code"), row.int("attempts")), ("unreadable_row", 0));
    daemon.wait_for_log(sentence);
    let named = daemon.stderr().lines().filter(|line| line.contains(sentence)).count();
    assert_eq!(named, 1, "{}", daemon.stderr());
    assert!(daemon.stderr().contains(&format!("\"job\":{odd}")), "{}", daemon.stderr());
    let status = outbox.run(&["status"]).expect(0).stdout;
    assert!(
        status.contains(&format!("set aside\t1 job: {odd}")) && status.contains(sentence),
        "{status}"
    );
    let page = daemon.get("/");
    assert!(
        page.body.contains(&format!("href=\"/jobs/{odd}\"")) && page.body.contains("Set aside")
    );
    assert_eq!(daemon.scrape().number("acquire_outbox_set_aside_jobs"), 1.0);
    outbox.run(&["retry", &odd.to_string()]).expect(0);
    assert_eq!(outbox.settled(odd).text("status"), "sent");
    assert_eq!(outbox.run(&["status", "--json"]).json()["set_aside"], 0);
    assert_eq!(server.words(), ["behind it", "odd"]);
}

#[test]
fn a_row_made_odd_while_the_daemon_works_stops_nobody() {
    let gate = Gate::closed();
    let behind = gate.clone();
    let server = Server::answering(move |request| match request.words().as_str() {
        "under way" => Reply::accepted(request).behind(&behind),
        "down" => Reply::status(503),
        _ => Reply::accepted(request),
    });
    let outbox = Outbox::setup(&server).retry("initial = \"1h\"\nmax = \"2h\"").ready();
    let _daemon = outbox.daemon();
    let down = outbox.chat(1, "down");
    outbox.when(down, "in backoff", |row| row["wait"] == "backoff");
    let sending = outbox.chat(2, "under way");
    server.wait_for_words("under way");
    let odd = |sql: &str| outbox.database().past_the_rules(sql);
    odd(&format!(
        "UPDATE outbox SET next_attempt_at = datetime('now', '+1 hour') WHERE id = {down}"
    ));
    odd(&format!(
        "UPDATE outbox SET updated_at = '2026-11-25 10:00:00', budget_from = x'00' WHERE id = {sending}"
    ));
    odd("UPDATE outbox_dispatcher SET epoch = 'x', pid = 'y', started_at = x'ff'");
    odd(
        "INSERT INTO outbox_pauses VALUES (x'ff', 'fax', 1.5, 'now', 'then'), ('a', x'00', 2, 1, x'00'), ('b', '', '', 1, 1e300)",
    );
    odd(
        "INSERT INTO outbox_holds VALUES ('default', 'chat', 'unknown', x'ff', 'soon', 'later'), (1, 2, 'breaker', 4, 5, 6)",
    );
    let fine = outbox.chat(3, "fine");
    assert_eq!(outbox.settled(fine).text("status"), "sent");
    let row = outbox.settled(down);
    assert!(row.text("error").starts_with("outbox.next_attempt_at: must be"), "{row:?}");
    gate.open();
    assert_eq!(outbox.settled(sending).text("status"), "sent");
    for command in [&["status"][..], &["status", "--json"], &["list"], &["show", "1"]] {
        outbox.run(command).expect(0);
    }
}

#[test]
fn a_start_survives_what_counts_the_starts() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let odd = ["epoch = 'x', pid = x'ff'", "epoch = 9e18, started_at = 'soon'"];
    for (number, odd) in odd.iter().enumerate() {
        let case = number as i64 + 1;
        let id = outbox.chat(case, "hi");
        // Claimed by an earlier dispatcher, with an epoch that the file has lost.
        outbox.database().past_the_rules(&format!(
            "UPDATE outbox SET status = 'sending', wait = NULL, attempts = 1, claimed_by = 7 WHERE id = {id};
             UPDATE outbox_dispatcher SET {odd}"
        ));
        let log = outbox.run_until_empty().stderr;
        assert_eq!(outbox.row(id).int("attempts"), 2, "{odd}: {log}");
        assert_eq!(outbox.outcomes(id), ["uncertain", "accepted"]);
        let epoch = outbox.database().number("SELECT epoch FROM outbox_dispatcher");
        assert!((8..20).contains(&epoch), "{odd}: {epoch}");
    }
    outbox.execute("DELETE FROM outbox_dispatcher");
    let id = outbox.chat(9, "the last");
    outbox.run_until_empty();
    assert_eq!(outbox.status(id), "sent");
}

#[test]
fn text_that_is_not_utf_8_is_shown_with_its_sign() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "hi");
    outbox.database().past_the_rules("UPDATE outbox SET source = CAST(x'4dfc6c6c6572' AS TEXT)");
    let mut daemon = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]).ready();
    assert_eq!(outbox.when_status(id, "sent").int("attempts"), 1);
    for command in [&["list", "--json"][..], &["export"], &["show", "1"]] {
        let said = outbox.run(command).expect(0).stdout;
        assert!(said.contains("M\u{fffd}ller"), "{said}");
    }
    assert!(daemon.get("/jobs/1").body.contains("M\u{fffd}ller"));
    let listed: Value = outbox.run(&["list", "--json"]).json();
    assert_eq!(listed[0]["source"], "M\u{fffd}ller");
}

/// No rule knows the word, so nothing would ever look at the job again.
#[test]
fn a_job_that_waits_for_no_known_reason_gets_its_place_again() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    for (case, odd) in
        [(1, "wait = 'whenever'"), (2, "wait = x'00'"), (3, "wait = 7"), (4, "wait = NULL")]
    {
        let id = outbox.chat(case, odd);
        outbox.database().past_the_rules(&format!("UPDATE outbox SET {odd} WHERE id = {id}"));
        let behind = outbox.chat(case, "behind");
        outbox.run_until_empty();
        for id in [id, behind] {
            assert_eq!(outbox.row(id).text("status"), "sent", "{odd}");
        }
    }
}
