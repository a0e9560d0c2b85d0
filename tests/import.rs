//! `import`: CSV and JSON lines, checked whole before the first row, and once however often it runs.

use crate::support::{Outbox, Program, SOON, Server, eventually, never_shows, sqlite_only};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

fn written(outbox: &Outbox, name: &str, text: &str) -> PathBuf {
    let path = outbox.folder().join(name);
    fs::write(&path, text).unwrap();
    path
}

/// This many chat messages, each to a different case.
fn many(count: usize) -> String {
    let line = |n: usize| {
        let payload = json!({"caseId": n + 1, "message": format!("Hello {n}")});
        format!("{}\n", json!({"channel": "chat", "payload": payload}))
    };
    (0..count).map(line).collect()
}

const CSV: &str = "\u{feff}channel,payload.caseId,payload.message,payload,source,priority,send_at\r\n\
    chat,7,\"Grüße, \"\"Ada\"\"\r\nzwei\",,,5,\r\n\
    \r\n\
    sms,,,\"{\"\"From\"\": \"\"+12513188609\"\", \"\"To\"\": \"\"+919666929552\"\", \"\"Body\"\": \"\"hi\"\", \
    \"\"contactId\"\": 1, \"\"threadId\"\": 2, \"\"timelineId\"\": 3}\",shop,,2020-01-01 09:00\r\n";

#[test]
fn a_csv_file_is_sent_once_however_often_it_is_imported() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    written(&outbox, "jobs.csv", CSV);
    let first = outbox.run(&["import", "jobs.csv", "--source", "campaign"]).expect(0);
    assert_eq!(first.stdout, "2 inserted, 0 existed already\n");
    let second = outbox.run(&["import", "jobs.csv"]).expect(0);
    assert_eq!(second.stdout, "0 inserted, 2 existed already\n");
    eventually(SOON, "both are sent", || outbox.count("sent") == 2);
    let mut words = server.words();
    words.sort();
    assert_eq!(words, ["Grüße, \"Ada\"\r\nzwei", "hi"]);
    let row = outbox.row(1);
    assert_eq!((row.text("source"), row.int("priority")), ("campaign", 5));
    assert!(row.text("idempotency_key").starts_with("import:"), "{row:?}");
    assert_eq!(outbox.row(2).text("source"), "shop");
    assert_eq!(outbox.row(2).int("send_at"), 1_577_869_200_000);
}

#[test]
fn json_lines_from_the_standard_input_are_imported_and_no_copy_of_them_stays() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let spool = TempDir::new().unwrap();
    let lines = "{\"channel\": \"chat\", \"payload\": {\"caseId\": 1, \"message\": \"a\"}, \"idempotency_key\": \"k\"}\r\n\
                 \n\
                 {\"channel\": \"chat\", \"payload\": \"{\\\"caseId\\\": 1, \\\"message\\\": \\\"b\\\"}\"}\n\
                 {\"channel\": \"chat\", \"payload\": {\"caseId\": 1, \"message\": \"b\"}}";
    let program = outbox.program().env("TMPDIR", spool.path().to_str().unwrap());
    let finished = program.run_with_input(&["import", "-"], lines).expect(0);
    assert_eq!(finished.stdout, "3 inserted, 0 existed already\n", "the same words twice are two");
    assert_eq!(fs::read_dir(spool.path()).unwrap().count(), 0);
    let finished = program.run_with_input(&["import", "-"], lines).expect(0);
    assert_eq!(finished.stdout, "0 inserted, 3 existed already\n");
    outbox.run_until_empty();
    assert_eq!(server.words(), ["a", "b", "b"]);
    assert_eq!(outbox.row(1).text("idempotency_key"), "k");
}

#[test]
fn every_wrong_line_is_named_and_nothing_is_inserted() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let lines = [
        r#"{"channel": "chat", "payload": {"caseId": 1, "message": "fine"}}"#,
        r#"{"channel": "chat", "payload": {"caseId": "xyzzy", "message": "xyzzy"}}"#,
        r#"{"channel": "fax", "payload": {"message": "xyzzy"}}"#,
        r#"{"channel": "chat", "payload": {"caseId": 1, "mesage": "xyzzy"}}"#,
        r#"{"channel": "chat", "payload": {"caseId": 1, "message": "xyzzy"}, "priority": 12}"#,
        r#"{"channel": "chat", "payload": {"caseId": 1, "message": "xyzzy"}, "send_at": 1763800000}"#,
        r#"{"channel": "chat", "payload": {"caseId": 1, "message": "xyzzy"}, "expires_at": "xyzzy"}"#,
        r#"{"channel": "chat", "payload": {"caseId": 1, "message": "xyzzy"}, "status": "sent"}"#,
        r#"{"channel": "chat", "payload": {"caseId": 1, "message": "xyzzy"}, "sorce": "xyzzy"}"#,
        r#"{"channel": "chat", "payload": {"caseId": 1, "message": "xyzzy"}, "account": "xyzzy"}"#,
        r#"{"channel": "chat", "payload": {"caseId": 1, "caseId": 2, "message": "xyzzy"}}"#,
        r#"{"channel": "chat", "payload": "xyzzy"#,
        r#"{"channel": "chat"}"#,
        r#"{"channel": "chat", "payload": {"caseId": 1, "message": "a"}, "idempotency_key": "k"}"#,
        r#"{"channel": "chat", "payload": {"caseId": 1, "message": "b"}, "idempotency_key": "k"}"#,
        r#"{"channel": "sms", "payload": {"From": "xyzzy", "To": "+1", "Body": "xyzzy", "contactId": 1, "threadId": 1, "timelineId": 1}}"#,
    ];
    written(&outbox, "jobs.jsonl", &lines.join("\n"));
    let finished = outbox.run(&["import", "jobs.jsonl"]).expect(1);
    let expected = [
        "line 2: payload.caseId: must be a whole number",
        "line 3: channel: must be chat, mail or sms",
        "line 4: payload.mesage: unknown field, did you mean `message`?",
        "line 5: priority: must be a whole number from 0 to 9",
        "line 6: send_at: a number must be Unix milliseconds",
        "line 7: expires_at: must be Unix milliseconds",
        "line 8: status: is written by the dispatcher",
        "line 9: sorce: unknown column, did you mean `source`?",
        "line 10: account: is not configured; the configured accounts are default",
        "line 11: payload.caseId: appears twice",
        "line 12: must be one complete JSON object on one line; the line ends inside it, at column",
        "line 13: payload: must be one JSON object",
        "line 15: idempotency_key: line 14 has the same key",
        "line 16: payload.From: must be a phone number",
        "acquire-outbox: 14 of 16 lines are wrong; nothing was inserted",
    ];
    let said: Vec<&str> = finished.stderr.lines().collect();
    assert_eq!(said.len(), expected.len(), "{finished:?}");
    for (line, expected) in said.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line:?} for {expected:?}");
    }
    never_shows("import", &finished.output(), "xyzzy");
    assert_eq!(outbox.number("SELECT count(*) FROM outbox"), 0);
}

#[test]
fn wrong_lines_of_a_csv_file_have_the_numbers_that_an_editor_shows() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let text =
        "channel,payload.caseId,payload.message\n\nchat,1,\"two\nlines\"\nchat,x,hi\n\nchat,1\n";
    written(&outbox, "jobs.csv", text);
    let finished = outbox.run(&["import", "jobs.csv"]).expect(1);
    let said: Vec<&str> = finished.stderr.lines().collect();
    assert!(said[0].starts_with("line 5: payload.caseId: must be a whole number"), "{said:?}");
    assert_eq!(said[1], "line 7: has 2 values, but the header has 3 columns");
    assert_eq!(said[2], "acquire-outbox: 2 of 3 lines are wrong; nothing was inserted");
    written(&outbox, "jobs.csv", "channel,payload.caseid\nchat,1\n");
    let finished = outbox.run(&["import", "jobs.csv"]).expect(1);
    assert!(finished.stderr.contains("did you mean `caseId`?"), "{finished:?}");
}

#[test]
fn a_file_of_a_spreadsheet_is_read_as_it_was_saved() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let rows =
        "channel;payload.caseId;payload.message;source;;\r\nchat;7;Grüße 👋;#;;\r\n;;;;;\r\n";
    let little: Vec<u8> = rows.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = rows.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let files: [(&str, Vec<u8>); 6] = [
        ("utf8", rows.into()),
        ("sep", format!("\u{feff}sep=;\r\n{rows}").into()),
        ("cr", rows.replace("\r\n", "\r").into()),
        ("tab", rows.replace(';', "\t").into()),
        ("little", [vec![0xff, 0xfe], little].concat()),
        ("big", [vec![0xfe, 0xff], big].concat()),
    ];
    for (source, bytes) in files {
        let name = format!("{source}.{}", if source == "tab" { "tsv" } else { "csv" });
        fs::write(outbox.folder().join(&name), bytes).unwrap();
        let finished = outbox.run(&["import", &name, "--source", source]).expect(0);
        let expected = match source {
            "utf8" => "1 inserted, 0 existed already\n",
            _ => "0 inserted, 1 existed already\n",
        };
        assert_eq!(finished.stdout, expected, "{source}");
    }
    outbox.run_until_empty();
    assert_eq!(server.words(), ["Grüße 👋"]);
}

#[test]
fn json_lines_may_be_utf16_with_cr_at_their_ends() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let line = |n: u32, priority: &str| {
        format!(
            "{{\"channel\":\"chat\",\"payload\":{{\"caseId\":{n},\"message\":\"m{n}\"}}{priority}}}\r"
        )
    };
    let text = line(1, "") + &line(2, "") + "\r" + &line(3, ",\"priority\":12");
    let bytes = text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    fs::write(outbox.folder().join("jobs.jsonl"), bytes).unwrap();
    let finished = outbox.run(&["import", "jobs.jsonl"]).expect(1);
    assert!(finished.stderr.starts_with("line 4: priority: must be"), "{finished:?}");
    assert!(finished.stderr.contains("1 of 3 lines is wrong"), "{finished:?}");
}

#[test]
fn a_file_that_is_no_text_is_named_for_what_it_is() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let files: [(&str, &[u8], &str); 7] = [
        ("a.csv", b"\x1f\x8b\x08\x00", "is compressed with gzip; decompress it"),
        ("a.csv.gz", b"\x1f\x8b\x08\x00", "is compressed with gzip; decompress it"),
        ("b.csv", b"PK\x03\x04\x14", "save the sheet as CSV"),
        ("c.csv", b"\xd0\xcf\x11\xe0", "is an Excel workbook"),
        ("d.jsonl", b"\x28\xb5\x2f\xfd", "is compressed with zstd"),
        ("e.csv", b"\xff\xfe\x00\x00", "text in UTF-32"),
        ("f.jsonl", b"[{\"channel\": \"chat\"}]", "line 1: must be one JSON object, not an array"),
    ];
    for (name, bytes, words) in files {
        fs::write(outbox.folder().join(name), bytes).unwrap();
        let finished = outbox.run(&["import", name]).expect(1);
        assert!(finished.stderr.contains(words), "{finished:?}");
    }
    let latin = b"channel,payload.caseId,payload.message\nchat,1,gr\xfc\xdfe\n";
    fs::write(outbox.folder().join("g.csv"), latin).unwrap();
    let finished = outbox.run(&["import", "g.csv"]).expect(1);
    assert!(finished.stderr.starts_with("line 2: is not UTF-8 text (it may be"), "{finished:?}");
    assert_eq!(outbox.number("SELECT count(*) FROM outbox"), 0);
}

#[test]
fn a_quote_that_is_never_closed_and_a_nul_are_found() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let text =
        "channel,payload.caseId,payload.message\nchat,1,a\u{0}b\nchat,2,\"xyzzy\nchat,3,hi\n";
    written(&outbox, "jobs.csv", text);
    let finished = outbox.run(&["import", "jobs.csv"]).expect(1);
    let said: Vec<&str> = finished.stderr.lines().collect();
    assert_eq!(
        said,
        [
            "line 2: must not contain a NUL character",
            "line 3: a quote is opened and never closed",
            "acquire-outbox: 2 of 2 lines are wrong; nothing was inserted"
        ]
    );
}

#[test]
fn a_day_that_does_not_exist_is_refused_and_a_time_without_an_offset_is_utc() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let line = |n: usize, time: &str| {
        let payload = json!({"caseId": n, "message": "hi"});
        json!({"channel": "chat", "payload": payload, "send_at": time}).to_string()
    };
    let good = ["2031-02-28T09:00:00+0200", "2031-02-28 07:00", "1930028400000"];
    let lines: Vec<_> = good.iter().enumerate().map(|(n, time)| line(n, time)).collect();
    written(&outbox, "good.jsonl", &lines.join("\n"));
    outbox.run(&["import", "good.jsonl"]).expect(0);
    let times = outbox.query("SELECT DISTINCT send_at FROM delivery_status");
    assert_eq!(times.len(), 1, "{times:?}");
    assert_eq!(times[0].text("send_at"), "2031-02-28T07:00:00.000Z");

    let wrong =
        ["2031-02-30T09:00:00Z", "2031-04-31", "2031-01-01 24:00", "2031-01-01T09:00+15:00"];
    let lines: Vec<_> = wrong.iter().enumerate().map(|(n, time)| line(n, time)).collect();
    written(&outbox, "wrong.jsonl", &lines.join("\n"));
    let finished = outbox.run(&["import", "wrong.jsonl"]).expect(1);
    let said: Vec<&str> = finished.stderr.lines().collect();
    assert_eq!(said[0], "line 1: send_at: there is no such day in the calendar");
    assert_eq!(said[1], "line 2: send_at: there is no such day in the calendar");
    assert!(said[2].starts_with("line 3: send_at: there is no such time of day"), "{said:?}");
    assert!(said[3].starts_with("line 4: send_at: there is no such offset"), "{said:?}");
}

#[test]
fn numbers_keep_their_digits_from_the_file_to_the_request() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let jsonl = r#"{"channel":"chat","payload":{"caseId":1,"message":"\ud83d","extra":{"n":12345678901234567890123}},"idempotency_key":98765432109876543210}"#;
    written(&outbox, "jobs.jsonl", jsonl);
    let csv = "channel,payload.caseId,payload.message,payload.extra\n\
               chat,2,hi,\"{\"\"n\"\": 0.1000000000000000055511151231257827}\"\n";
    written(&outbox, "jobs.csv", csv);
    outbox.run(&["import", "jobs.jsonl"]).expect(0);
    outbox.run(&["import", "jobs.csv"]).expect(0);
    let extra = r#"{"n": 12345678901234567890124}"#;
    let chat = ["send", "chat", "--case-id", "3", "--message", "hi", "--extra", extra];
    outbox.run(&chat).expect(0);
    assert_eq!(outbox.row(1).text("idempotency_key"), "98765432109876543210");
    outbox.run_until_empty();
    let bodies: Vec<String> = server.requests().iter().map(|r| r.body_text()).collect();
    for number in [
        "12345678901234567890123",
        "0.1000000000000000055511151231257827",
        "12345678901234567890124",
    ] {
        assert_eq!(bodies.iter().filter(|body| body.contains(number)).count(), 1, "{bodies:?}");
    }
}

#[test]
fn a_dry_run_checks_without_a_database() {
    let folder = TempDir::new().unwrap();
    let program = Program::in_folder(folder.path());
    let finished = program.run_with_input(&["import", "-", "--dry-run"], &many(1200)).expect(0);
    assert_eq!(finished.stdout, "1200 lines can be imported; nothing was inserted\n");
    let wrong = format!("{}{{}}\n", many(600));
    let finished = program.run_with_input(&["import", "-", "--dry-run"], &wrong).expect(1);
    assert!(finished.stderr.contains("line 601: channel: must be chat"), "{finished:?}");
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert!(names.is_empty(), "{names:?}");
    let finished = program.run_with_input(&["import", "-"], &many(1)).expect(1);
    assert!(finished.stderr.contains("there is no database"), "{finished:?}");
}

#[test]
fn a_file_whose_name_does_not_say_its_format_needs_the_flag() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    written(&outbox, "jobs.txt", &many(2));
    let finished = outbox.run(&["import", "jobs.txt"]).expect(2);
    assert!(finished.stderr.contains("--format"), "{finished:?}");
    outbox.run(&["import", "jobs.txt", "--format", "jsonl"]).expect(0);
    let finished = outbox.run(&["import", "missing.csv"]).expect(1);
    assert!(finished.stderr.contains("cannot read missing.csv"), "{finished:?}");
}

#[test]
fn an_import_that_was_killed_is_simply_run_again() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    written(&outbox, "jobs.jsonl", &many(5000));
    let mut import = outbox.program().start(&["import", "jobs.jsonl"]);
    let inside = || outbox.number("SELECT count(*) FROM outbox");
    eventually(SOON, "the first batch is in", || inside() > 0);
    import.kill9();
    let before = inside();
    assert_eq!(before % 500, 0, "a batch is in whole or not at all");
    let finished = outbox.run(&["import", "jobs.jsonl"]).expect(0);
    let expected = format!("{} inserted, {before} existed already\n", 5000 - before);
    assert_eq!(finished.stdout, expected);
    assert_eq!(inside(), 5000);
}

#[test]
fn neither_the_daemon_nor_a_producer_is_held_up_by_an_import() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    written(&outbox, "jobs.jsonl", &many(3000));
    let import = outbox.program().start(&["import", "jobs.jsonl"]);
    for n in 0..20 {
        outbox.chat(10_000 + n, "from a producer");
    }
    let finished = import.wait(SOON * 3);
    assert_eq!(finished.stdout, "3000 inserted, 0 existed already\n", "{finished:?}");
    eventually(SOON * 3, "all are sent", || outbox.count("sent") == 3020);
    assert_eq!(server.count(), 3020);
}

#[test]
fn an_import_that_finds_the_file_locked_says_how_far_it_came() {
    sqlite_only!("one program at a time may write a file");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    written(&outbox, "jobs.jsonl", &many(3));
    let finished = outbox.database().with(async |connection| {
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await.unwrap();
        let finished = outbox.run(&["import", "jobs.jsonl"]);
        sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.unwrap();
        finished
    });
    let finished = finished.expect(1);
    assert!(finished.stderr.contains("locked by another program"), "{finished:?}");
    assert!(
        finished.stderr.contains("0 of 3 lines were inserted; run the import again for the rest"),
        "{finished:?}"
    );
    outbox.run(&["import", "jobs.jsonl"]).expect(0);
}
