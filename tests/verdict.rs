//! The verdict on the outbox: the same in `status`, in the metrics, and on every page.

use crate::support::{Engine, Job, Outbox, Reply, SOON, Server, eventually, found};
use serde_json::{Value, json};

fn status(outbox: &Outbox) -> Value {
    outbox.run(&["status", "--json"]).expect(0).json()
}

fn codes(status: &Value) -> Vec<&str> {
    status["reasons"].as_array().unwrap().iter().map(|r| r["code"].as_str().unwrap()).collect()
}

#[test]
fn without_a_dispatcher_it_is_down_when_jobs_wait_and_well_once_one_has_sent_them() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let idle = status(&outbox);
    assert_eq!((&idle["verdict"], codes(&idle)), (&json!("attention"), vec!["no_dispatcher"]));
    let id = outbox.chat(1, "hi");
    let down = status(&outbox);
    assert_eq!(down["verdict"], "down");
    let reason = &down["reasons"][0];
    assert_eq!((&reason["jobs"], &reason["do"]), (&json!(1), &json!("acquire-outbox run")));
    let plain = outbox.run(&["status"]).expect(0).stdout;
    assert!(
        plain.starts_with("down\n- no dispatcher is running: nothing is sent (1 job)\t"),
        "{plain}"
    );
    let _daemon = outbox.daemon();
    outbox.settled(id);
    eventually(SOON, "a good verdict", || status(&outbox)["verdict"] == "well");
    let plain = outbox.run(&["status"]).expect(0).stdout;
    assert!(plain.starts_with("well\n\ndatabase\t"), "{plain}");
}

#[test]
fn pauses_refused_accounts_and_uncertain_jobs_are_reasons_with_the_jobs_that_wait() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).more("[channels.mail]\non_uncertain = \"hold\"").ready();
    let mut daemon = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]).ready();
    server.queue([Reply::status(502)]);
    let lost = outbox.add(Job::mail(1, "lost"));
    eventually(SOON, "the uncertain job", || outbox.status(lost) == "uncertain");
    outbox.run(&["pause", "sms", "--reason", "words of a person"]).expect(0);
    outbox.add_all((0..3).map(|n| Job::sms(n, "waits")));
    let seen = status(&outbox);
    assert_eq!(
        (&seen["verdict"], codes(&seen)),
        (&json!("attention"), vec!["paused", "uncertain"])
    );
    let paused = &seen["reasons"][0];
    assert_eq!((&paused["jobs"], &paused["do"]), (&json!(3), &json!("acquire-outbox resume sms")));
    assert!(!paused["text"].as_str().unwrap().contains("words"), "{paused}");
    assert_eq!(seen["reasons"][1]["text"], "1 uncertain job waits for a person");

    let scrape = found(SOON, "the metrics", || {
        let scrape = daemon.scrape();
        (scrape.value("acquire_outbox_verdict{verdict=\"attention\"}")? == 1.0).then_some(scrape)
    });
    for (series, value) in [
        ("acquire_outbox_verdict{verdict=\"well\"}", 0.0),
        ("acquire_outbox_verdict_reasons{code=\"paused\"}", 1.0),
        ("acquire_outbox_verdict_reasons{code=\"uncertain\"}", 1.0),
        ("acquire_outbox_verdict_reasons{code=\"refused\"}", 0.0),
        ("acquire_outbox_waiting_jobs{account=\"default\",channel=\"sms\"}", 3.0),
    ] {
        assert_eq!(scrape.value(series), Some(value), "{series}");
    }

    server.queue((0..40).map(|_| Reply::status(401)));
    outbox.chat(9, "refused");
    let seen = found(SOON, "the refusal", || {
        let seen = status(&outbox);
        codes(&seen).contains(&"refused").then_some(seen)
    });
    let refused = seen["reasons"].as_array().unwrap().iter().find(|r| r["code"] == "refused");
    let refused = refused.unwrap();
    assert!(
        refused["text"].as_str().unwrap().starts_with("account default: the account is refused")
    );
    assert!(refused["jobs"].as_u64().unwrap() >= 1, "{refused}");
}

#[test]
fn a_sandbox_says_that_nothing_is_real_and_is_well() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    outbox.run(&["init", "--sandbox"]).expect(0);
    let _daemon = outbox.program().start(&["run", "--sandbox"]).ready();
    let seen = status(&outbox);
    assert_eq!((&seen["verdict"], codes(&seen)), (&json!("well"), vec!["sandbox"]));
    let plain = outbox.run(&["status"]).expect(0).stdout;
    assert!(
        plain.starts_with("well\n- sandbox: a stand-in answers, and nothing reaches Acquire"),
        "{plain}"
    );
}

#[test]
fn many_failures_in_an_hour_are_a_reason() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    server.queue((0..6).map(|_| Reply::json(400, json!({"error": "no"}))));
    let ids: Vec<i64> = (0..6).map(|case| outbox.chat(case, "hi")).collect();
    for id in ids {
        assert_eq!(outbox.settled(id)["status"], "failed");
    }
    let seen = status(&outbox);
    assert_eq!((&seen["verdict"], codes(&seen)), (&json!("attention"), vec!["failures"]));
    let text = seen["reasons"][0]["text"].as_str().unwrap();
    assert_eq!(text, "6 of 6 jobs failed in the last hour; the usual rate is 0.0 per hour");
}

#[test]
fn accounts_and_sources_have_their_shares() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    let of = |case, source: &str| Job::chat(case, "hi").column("source", &format!("'{source}'"));
    server.queue([Reply::json(400, json!({"error": "no"}))]);
    assert_eq!(outbox.settled(outbox.add(of(1, "shop")))["status"], "failed");
    outbox.settled(outbox.add(of(2, "shop")));
    outbox.settled(outbox.add(of(3, "crm")));
    outbox.run(&["pause", "chat"]).expect(0);
    outbox.add(of(4, "shop"));
    let read = |by: &str| outbox.run(&["status", "--by", by, "--json"]).expect(0).json();
    let accounts = read("account");
    let share = &accounts["shares"][0];
    assert_eq!(accounts["by"], "account");
    assert_eq!(
        (&share["name"], &share["sent"], &share["failed"]),
        (&json!("default"), &json!(2), &json!(1))
    );
    assert_eq!(share["waiting"], 1);
    assert!(share["p95_seconds"].is_f64() && share["oldest_due_seconds"].is_i64(), "{share}");
    let sources = read("source");
    let rows: Vec<_> = sources["shares"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["name"].clone(), r["sent"].clone(), r["failed"].clone(), r["waiting"].clone()))
        .collect();
    let row = |name: &str, sent: i64, failed: i64, waiting: i64| {
        (json!(name), json!(sent), json!(failed), json!(waiting))
    };
    assert_eq!(rows, [row("shop", 1, 1, 1), row("crm", 1, 0, 0)]);
    assert_eq!(sources["shares"][0]["failed_share"], 0.5);
    let plain = outbox.run(&["status", "--by", "source"]).expect(0).stdout;
    assert!(plain.contains("shop\t1\t1\t50.0%\t1\t"), "{plain}");
}

#[test]
fn the_history_outlives_the_daemon() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let mut first = outbox.daemon();
    for case in 0..5 {
        outbox.settled(outbox.chat(case, "hi"));
    }
    first.kill9();
    let _second = outbox.program().start(&["run"]).ready();
    outbox.settled(outbox.chat(9, "hi"));
    let sent = outbox.number("SELECT CAST(sum(sent) AS bigint) FROM outbox_history");
    assert_eq!(sent, 6);
    let rows = outbox.query("SELECT * FROM outbox_history").len();
    // A row for each minute, and on PostgreSQL for each node.
    let most = if Engine::of_this_run() == Engine::Postgres { 5 } else { 3 };
    assert!(rows <= most, "{rows}");
}
