//! `export`: what became of jobs, whole and in order, without people's words.

use crate::support::{Job, Outbox, Reply, Server, never_shows, quoted};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A sent chat, a refused email, an SMS of tomorrow.
fn outbox(server: &Server) -> Outbox {
    server.answer_with(|request| match request.words().as_str() {
        "xyzzy refused" => Reply::json(400, json!({"error": "no"})),
        _ => Reply::accepted(request),
    });
    let outbox = Outbox::new(server);
    outbox.add(Job::chat(7, "xyzzy").column("idempotency_key", "'order, \"7\"'"));
    outbox.add(Job::mail(8, "xyzzy refused").column("source", "'billing'"));
    outbox.run_until_empty();
    outbox.add(Job::sms(9, "xyzzy").column("send_at", "'2031-01-01 09:00Z'"));
    outbox
}

#[test]
fn json_lines_have_the_columns_of_delivery_status_and_the_receipt() {
    let server = Server::start();
    let outbox = outbox(&server);
    let finished = outbox.run(&["export"]).expect(0);
    let jobs = lines(&finished.stdout);
    assert_eq!(jobs.len(), 3);
    let view = outbox.query("SELECT * FROM delivery_status ORDER BY id");
    for (job, row) in jobs.iter().zip(view) {
        let mut job = job.as_object().unwrap().clone();
        job.remove("receipt");
        assert_eq!(job, row.0);
    }
    assert!(jobs[0]["receipt"]["id"].is_number(), "{}", jobs[0]);
    assert_eq!(jobs[1]["failure"], "rejected");
    assert_eq!(jobs[2]["send_at"], "2031-01-01T09:00:00.000Z");
    assert!(finished.stdout.starts_with("{\"id\":1,\"channel\":\"chat\",\"account\":\"default\""));
    assert_eq!(finished.stderr, "3 jobs exported; continue after them with --since-id 3\n");
    never_shows("export", &finished.output(), "xyzzy");
}

#[test]
fn csv_has_a_header_and_the_same_columns() {
    let server = Server::start();
    let outbox = outbox(&server);
    let finished = outbox.run(&["export", "--format", "csv"]).expect(0);
    let mut table = csv::Reader::from_reader(finished.stdout.as_bytes());
    let header = table.headers().unwrap().clone();
    let rows: Vec<_> = table.records().map(Result::unwrap).collect();
    let cell = |row: usize, name: &str| {
        rows[row][header.iter().position(|column| column == name).unwrap()].to_owned()
    };
    assert_eq!((header.len(), rows.len()), (20, 3));
    assert_eq!(cell(0, "idempotency_key"), "order, \"7\"");
    assert_eq!(cell(0, "status"), "sent");
    let receipt: Value = serde_json::from_str(&cell(0, "receipt")).unwrap();
    assert_eq!(receipt["id"].to_string(), cell(0, "message_id"));
    assert_eq!(cell(1, "source"), "billing");
    assert_eq!(cell(2, "finished_at"), "");
    never_shows("export", &finished.output(), "xyzzy");
}

#[test]
fn the_messages_are_exported_where_they_are_asked_for() {
    let server = Server::start();
    let outbox = outbox(&server);
    let finished = outbox.run(&["export", "--payload", "--channel", "chat"]).expect(0);
    let jobs = lines(&finished.stdout);
    assert_eq!(jobs[0]["payload"], json!({"caseId": 7, "message": "xyzzy"}));
}

#[test]
fn filters_and_the_last_id_say_which_jobs() {
    let server = Server::start();
    let outbox = outbox(&server);
    for (filters, expected) in [
        (vec!["--status", "sent,failed"], vec![1, 2]),
        (vec!["--source", "billing"], vec![2]),
        (vec!["--since-id", "1"], vec![2, 3]),
        (vec!["--since-id", "1", "--status", "failed"], vec![2]),
        (vec!["--finished-since", "1h"], vec![1, 2]),
        (vec!["--key", "order, \"7\""], vec![1]),
        (vec!["--since-id", "3"], vec![]),
    ] {
        let finished = outbox.run(&[vec!["export"], filters.clone()].concat()).expect(0);
        let ids: Vec<_> =
            lines(&finished.stdout).iter().map(|job| job["id"].as_i64().unwrap()).collect();
        assert_eq!(ids, expected, "{filters:?}");
    }
    outbox.move_back("finished_at", Duration::from_secs(7200), "id = 1");
    let finished = outbox.run(&["export", "--finished-since", "1h"]).expect(0);
    assert_eq!(lines(&finished.stdout)[0]["id"], 2);
}

#[test]
fn a_file_is_written_whole_for_its_owner_alone_and_says_its_format() {
    let server = Server::start();
    let outbox = outbox(&server);
    let path = outbox.folder().join("out.csv");
    fs::write(&path, "older").unwrap();
    let finished = outbox.run(&["export", "-o", "out.csv"]).expect(0);
    assert_eq!(finished.stdout, "");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("id,channel,account"), "{text}");
    assert_eq!(text.lines().count(), 4);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let finished = outbox.run(&["export", "-o", "nowhere/out.csv"]).expect(1);
    assert!(finished.stderr.contains("nowhere/out.csv"), "{finished:?}");
}

#[test]
fn csv_is_inert_in_a_spreadsheet_and_an_import_takes_it_back() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let odd = [
        ("=HYPERLINK(\"http://evil\")", "'=HYPERLINK(\"http://evil\")"),
        ("+12513183181", "'+12513183181"),
        ("-5", "'-5"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" =1", "' =1"),
        ("\"=1", "'\"=1"),
        ("'=1", "''=1"),
        ("'tis", "'tis"),
        ("\t=1", "\\t=1"),
        ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
        ("plain", "plain"),
    ];
    for (n, (text, _)) in odd.iter().enumerate() {
        let quoted = quoted(text);
        let job = Job::chat(n as i64 + 1, "=1+1").column("source", &quoted);
        outbox.add(job.column("idempotency_key", &quoted));
    }
    let csv = outbox.run(&["export", "--format", "csv", "--payload"]).expect(0).stdout;
    assert!(!csv.contains('\u{1b}') && !csv.contains('\t'), "{csv}");
    let mut table = csv::Reader::from_reader(csv.as_bytes());
    let header = table.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|column| column == name).unwrap();
    let rows: Vec<_> = table.records().map(Result::unwrap).collect();
    for (row, (text, cell)) in rows.iter().zip(odd) {
        assert_eq!(&row[at("source")], cell, "{text}");
        assert_eq!(&row[at("idempotency_key")], cell, "{text}");
    }
    let exact = lines(&outbox.run(&["export"]).expect(0).stdout);
    assert_eq!(exact[0]["source"], odd[0].0);

    // The values that a producer writes go into another outbox unchanged.
    let kept = ["channel", "idempotency_key", "source", "payload"];
    let mut given = csv::Writer::from_writer(Vec::new());
    given.write_record(kept).unwrap();
    for row in rows.iter().filter(|row| !row[at("source")].contains('\\')) {
        given.write_record(kept.map(|name| &row[at(name)])).unwrap();
    }
    let given = String::from_utf8(given.into_inner().unwrap()).unwrap();
    let other = Outbox::new(&server);
    other.program().run_with_input(&["import", "-", "--format", "csv"], &given).expect(0);
    let sources: Vec<_> = other.query("SELECT source FROM outbox ORDER BY id");
    let expected = odd.iter().filter(|(text, _)| !text.contains(char::is_control));
    for (row, (text, _)) in sources.iter().zip(expected) {
        assert_eq!(row.text("source"), *text);
    }
}

#[test]
fn a_payload_is_exported_and_shown_with_its_digits() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.insert(
        "INSERT INTO outbox (channel, payload) VALUES
         ('chat', '{\"caseId\": 1,\n \"message\": \"hi\", \"extra\": {\"n\": 12345678901234567890123}}')",
    );
    let line = outbox.run(&["export", "--payload"]).expect(0).stdout;
    assert_eq!(line.lines().count(), 1);
    assert!(line.contains(r#""extra":{"n":12345678901234567890123}"#), "{line}");
    let shown = outbox.run(&["show", "1", "--json", "--payload"]).expect(0).stdout;
    assert!(shown.contains(r#""n": 12345678901234567890123"#), "{shown}");
}

#[test]
fn what_was_imported_comes_back_by_its_key() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let line = |n: u32| {
        let payload = json!({"caseId": n, "message": format!("Hello {n}")});
        json!({"channel": "chat", "payload": payload, "idempotency_key": format!("m-{n}"),
               "source": "shop"})
    };
    let given: Vec<Value> = (1..=1200).map(line).collect();
    let text: String = given.iter().map(|line| format!("{line}\n")).collect();
    outbox.program().run_with_input(&["import", "-"], &text).expect(0);
    outbox.run_until_empty();
    let finished = outbox.run(&["export", "--payload", "--source", "shop"]).expect(0);
    let back = lines(&finished.stdout);
    assert_eq!(back.len(), given.len(), "more than one page");
    for (given, back) in given.iter().zip(&back) {
        for (column, value) in given.as_object().unwrap() {
            assert_eq!(&back[column], value, "{column}");
        }
        assert_eq!(back["status"], "sent");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let lines: String = (1..4000)
        .map(|n| {
            format!("{{\"channel\":\"chat\",\"payload\":{{\"caseId\":{n},\"message\":\"x\"}}}}\n")
        })
        .collect();
    outbox.program().run_with_input(&["import", "-"], &lines).expect(0);
    let program = env!("CARGO_BIN_EXE_acquire-outbox");
    let script = format!("set -o pipefail; {program} export | head -n 1");
    let mut shell = std::process::Command::new("bash");
    let shell = shell.args(["-c", &script]).env("ACQUIRE_OUTBOX_CONFIG", outbox.config_file());
    let ran = shell.output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(String::from_utf8_lossy(&ran.stdout).lines().count(), 1);
    assert_eq!(String::from_utf8_lossy(&ran.stderr), "");
}

/// Large payloads are read one by one: a page of them would not fit into memory.
#[test]
fn large_payloads_are_exported_whole_beside_small_ones() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let words = "x".repeat(100_000);
    outbox.chat(1, "small");
    outbox.chat(2, &words);
    outbox.chat(3, "small, too");
    let jobs = lines(&outbox.run(&["export", "--payload"]).expect(0).stdout);
    let message = |at: usize| jobs[at]["payload"]["message"].as_str().unwrap().to_owned();
    assert_eq!(
        [message(0), message(1), message(2)],
        ["small".to_owned(), words, "small, too".to_owned()]
    );
}
