//! What the commands print with `--json` is as docs/json-schema.json says.

use crate::support::{Job, Outbox, Reply, SOON, Server, eventually};
use serde_json::Value;

const SCHEMA: &str = include_str!("../docs/json-schema.json");

/// Panics where the value is not as the schema's entry says; as much of JSON Schema as the file uses.
#[track_caller]
fn is_as_described(entry: &str, value: &Value) {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut faults = Vec::new();
    check(&schema, &schema["$defs"][entry], value, entry, &mut faults);
    assert!(schema["$defs"][entry].is_object(), "there is no entry {entry}");
    assert!(faults.is_empty(), "{faults:#?}\nin {value:#}");
}

fn check(whole: &Value, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix("#/$defs/").expect("an entry");
        return check(whole, &whole["$defs"][name], value, place, faults);
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        faults.push(format!("{place}: {value} is none of {allowed:?}"));
    }
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    if !types.is_empty() && !types.iter().any(|name| is_of(name, value)) {
        faults.push(format!("{place}: {value} is not of {types:?}"));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.is_object() && value.get(name).is_none() {
            faults.push(format!("{place}: {name} is missing"));
        }
    }
    for (name, of) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(field) = value.get(name) {
            check(whole, of, field, &format!("{place}.{name}"), faults);
        }
    }
    if let Some(items) = value.as_array().filter(|_| schema["items"].is_object()) {
        for item in items {
            check(whole, &schema["items"], item, &format!("{place}[]"), faults);
        }
    }
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        other => panic!("the schema uses a type {other}"),
    }
}

#[test]
fn a_value_that_is_not_as_described_is_found() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut faults = Vec::new();
    let wrong = serde_json::json!([{"account": 1, "channel": "fax", "since": "now"}]);
    check(&schema, &schema["$defs"]["pauses"], &wrong, "pauses", &mut faults);
    assert_eq!(faults.len(), 4, "{faults:?}");
}

#[test]
fn every_command_prints_what_the_schema_says() {
    let server = Server::start();
    server.answer_with(|request| match request.words().as_str() {
        "refused" => Reply::status(400),
        "lost" => Reply::drop(),
        "down" => Reply::status(503),
        _ => Reply::accepted(request),
    });
    let more = "[channels.chat]\non_uncertain = \"hold\"";
    let outbox = Outbox::setup(&server).retry("initial = \"1h\"\nmax = \"1h\"").more(more).ready();
    let ids: Vec<i64> = ["sent", "refused", "lost", "down"]
        .iter()
        .zip(1..)
        .map(|(words, case)| outbox.chat(case, words))
        .collect();
    outbox.add(Job::sms(9, "tomorrow").tomorrow().column("source", "'shop'"));
    outbox.add(Job::chat(4, "behind the fourth"));
    outbox.run(&["pause", "sms", "--reason", "night"]).expect(0);
    let json = |arguments: &[&str]| outbox.run(&[arguments, &["--json"]].concat());
    is_as_described("status", &json(&["status"]).expect(0).json());
    let daemon = outbox.daemon();
    eventually(SOON, "all have been tried", || outbox.row(ids[3]).int("attempts") == 1);
    for id in &ids[..3] {
        outbox.settled(*id);
    }
    is_as_described("list", &json(&["list"]).expect(0).json());
    is_as_described("find", &json(&["find", "4"]).expect(0).json());
    is_as_described("find", &json(&["find", "no such thing"]).expect(1).json());
    for id in 1..=6 {
        is_as_described("show", &json(&["show", &id.to_string(), "--payload"]).expect(0).json());
    }
    is_as_described("status", &json(&["status"]).expect(0).json());
    for by in ["account", "source"] {
        is_as_described("shares", &json(&["status", "--by", by]).expect(0).json());
    }
    is_as_described("nodes", &json(&["nodes", "--all"]).expect(0).json());
    let pauses = json(&["pauses"]).expect(0).json();
    is_as_described("pauses", &pauses);
    assert_eq!((&pauses[0]["channel"], &pauses[0]["reason"]), (&"sms".into(), &"night".into()));
    let checked = json(&["check"]).expect(0).json();
    is_as_described("check", &checked);
    assert_eq!(checked["ok"], true);
    is_as_described("settings", &json(&["settings"]).expect(0).json());
    is_as_described("dry_run", &json(&["retry", "--all", "--dry-run"]).expect(0).json());
    is_as_described("dry_run", &json(&["cancel", "5", "99", "--dry-run"]).expect(1).json());
    for change in
        [&["cancel", "5", "99"][..], &["resolve", "3", "--failed", "1"], &["prune", "5", "1", "4"]]
    {
        is_as_described("change", &json(change).expect(1).json());
    }
    is_as_described("change", &json(&["retry", "--now", "--all"]).expect(0).json());
    let file = outbox.folder().join("in.jsonl");
    let line = r#"{"channel": "chat", "payload": {"caseId": 7, "message": "hi"}}"#;
    std::fs::write(&file, format!("{line}\n")).unwrap();
    for (flags, inserted) in [(&["--dry-run"][..], 0), (&[], 1), (&[], 0)] {
        let import = [&["import", file.to_str().unwrap()][..], flags].concat();
        let imported = json(&import).expect(0).json();
        is_as_described("import", &imported);
        assert_eq!(imported["inserted"], inserted, "{imported}");
    }
    drop(daemon);
}

#[test]
fn a_failed_check_is_not_ok() {
    let server =
        Server::answering(|_| Reply::json(401, serde_json::json!({"error": "ERROR_UNAUTHORIZED"})));
    let outbox = Outbox::new(&server);
    let checked = outbox.run(&["check", "--json"]).expect(1).json();
    is_as_described("check", &checked);
    assert_eq!(checked["ok"], false);
    let refused = checked["checks"].as_array().unwrap().iter().find(|item| item["found"] == "fail");
    assert_eq!(refused.unwrap()["name"], "account default");
}

#[test]
fn status_check_says_by_its_exit_status_whether_anybody_dispatches() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.run(&["status", "--check"]).expect(3);
    outbox.run(&["status"]).expect(0);
    let daemon = outbox.daemon();
    let running = outbox.run(&["status", "--check", "--json"]).expect(0).json();
    assert_eq!(running["dispatcher"]["running"], true);
    daemon.sigterm();
    daemon.wait(SOON).expect(0);
    eventually(SOON, "its lease has ended", || outbox.run(&["status", "--check"]).code == Some(3));
    outbox.run(&["status", "--check", "--watch"]).expect(2);
}

#[test]
fn list_watch_prints_the_jobs_again_and_again() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.chat(1, "hi");
    let watch = outbox.program().start(&["list", "--watch", "0.1", "--json"]);
    eventually(SOON, "a line with the job", || watch.stdout().lines().count() >= 2);
    outbox.chat(2, "another");
    eventually(SOON, "a line with both", || {
        let said = watch.stdout();
        let Some(last) = said.rsplit('\n').find(|line| line.ends_with(']')) else { return false };
        let jobs: Value = serde_json::from_str(last).unwrap();
        is_as_described("list", &jobs);
        jobs.as_array().unwrap().len() == 2
    });
    watch.signal(libc::SIGINT);
    watch.wait(SOON).expect(0);
}
