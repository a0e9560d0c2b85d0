//! `show`: a job's whole story, and why it waits.

mod support;

use serde_json::Value;
use support::{Gate, Outbox, Reply, SOON, Server, Shop, eventually, shop};

#[test]
fn show_gives_one_job_with_its_history() {
    let server = Server::start();
    let Shop { outbox, exhausted, sent, .. } = shop(&server);
    let shown = outbox.run(&["show", &exhausted.to_string(), "--json"]).expect(0).json();
    let view = format!("SELECT * FROM delivery_status WHERE id = {exhausted}");
    for (column, value) in &outbox.database().one(&view).0 {
        assert_eq!(&shown[column], value, "{column}");
    }
    assert_eq!(shown["receipt"], Value::Null);
    assert_eq!(shown["payload_bytes"], outbox.row(exhausted).text("payload").len());
    let history = shown["history"].as_array().unwrap();
    assert_eq!(history.len(), 2);
    for (at, attempt) in history.iter().enumerate() {
        assert_eq!(attempt["attempt"], at + 1);
        assert_eq!(attempt["outcome"], "retry");
        assert_eq!(attempt["http_status"], 503);
        assert_eq!(attempt["error_code"], "http_503");
        assert!(attempt["started_at"].as_str().unwrap().ends_with('Z'));
        assert!(attempt["duration_ms"].is_i64() && attempt["error"].is_string());
    }
    let shown = outbox.run(&["show", &sent.to_string(), "--json"]).expect(0).json();
    assert_eq!(shown["receipt"]["threadId"], 1875);

    let plain = outbox.run(&["show", &exhausted.to_string()]).expect(0).stdout;
    for word in ["failed", "exhausted", "http_503", "sms"] {
        assert!(plain.contains(word), "no {word} in:\n{plain}");
    }
}

#[test]
fn show_says_why_a_job_waits() {
    let server = Server::start();
    let Shop { outbox, later, .. } = shop(&server);
    let next = |id: i64| {
        let shown = outbox.run(&["show", &id.to_string(), "--json"]).expect(0).json();
        shown["next"].as_str().unwrap_or_default().to_owned()
    };
    let day = outbox.database().one(&format!(
        "SELECT substr(send_at, 1, 10) AS day FROM delivery_status WHERE id = {later}"
    ));
    assert!(next(later).contains(day.text("day")), "when: {:?}", next(later));

    let gate = Gate::closed();
    let held = gate.clone();
    server.answer_with(move |request| Reply::accepted(request).behind(&held));
    let _daemon = outbox.daemon();
    let first = outbox.chat(70, "first");
    let behind = outbox.chat(70, "behind");
    eventually(SOON, "the first is on the wire", || outbox.status(first) == "sending");
    assert!(next(behind).contains(&first.to_string()), "what for: {:?}", next(behind));
    gate.open();
}

#[test]
fn show_of_an_unknown_id_fails() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    for arguments in [vec!["show", "12345"], vec!["show", "12345", "--json"]] {
        let finished = outbox.run(&arguments).expect(1);
        assert!(finished.stderr.contains("12345"), "{finished:?}");
        assert_eq!(finished.stdout, "");
    }
}
