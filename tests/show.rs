//! `show`: a job's whole story, and why it waits.

use crate::support::{Gate, Job, Outbox, Reply, SOON, Server, Shop, eventually, iso, shop};
use serde_json::{Value, json};

#[test]
fn show_gives_one_job_with_its_history() {
    let server = Server::start();
    let Shop { outbox, exhausted, sent, .. } = shop(&server);
    let shown = outbox.run(&["show", &exhausted.to_string(), "--json"]).expect(0).json();
    for (column, value) in &outbox.seen(exhausted).0 {
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
    let send_at = outbox.seen(later);
    let day = &send_at.text("send_at")[..10];
    assert!(next(later).contains(day), "when: {:?}", next(later));

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

fn shown(outbox: &Outbox, id: i64) -> Value {
    outbox.run(&["show", &id.to_string(), "--json"]).expect(0).json()
}

#[test]
fn show_tells_a_pause_and_who_waits_behind_what_is_paused() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    outbox.run(&["pause", "sms", "--reason", "a new provider"]).expect(0);
    let key = |job: Job| outbox.add(job.column("ordering_key", "'k'"));
    let first = key(Job::sms(1, "paused"));
    let behind = key(Job::chat(2, "behind"));
    let since = iso(outbox.one("SELECT since FROM outbox_pauses").int("since"));
    let paused = shown(&outbox, first);
    let next = paused["next"].as_str().unwrap();
    assert!(next.starts_with(&format!("paused: sms since {since} (")), "{next}");
    assert!(
        next.ends_with("): a new provider; resume it with `acquire-outbox resume sms`"),
        "{next}"
    );
    let pause = json!({
        "kind": "pause", "account": null, "channel": "sms", "reason": "a new provider", "since": since
    });
    assert_eq!(paused["waits_for"], json!([pause]));

    let parked = shown(&outbox, behind);
    let next = parked["next"].as_str().unwrap();
    let start =
        format!("behind job {first} of its ordering key; job {first} itself waits: paused: sms");
    assert!(next.starts_with(&start), "{next}");
    let job = json!({
        "kind": "job", "id": first, "status": "pending", "jobs_ahead": 1, "waits_for": [pause]
    });
    assert_eq!(parked["waits_for"], json!([job]));

    outbox.run(&["resume", "sms"]).expect(0);
    outbox.settled(behind);
    assert_eq!(shown(&outbox, behind)["waits_for"], json!([]));
}

#[test]
fn show_tells_how_many_go_before_a_job_at_which_rate() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).more("[channels.chat]\nrate = \"2/h\"").ready();
    let _daemon = outbox.daemon();
    let first = outbox.chat(1, "goes at once");
    outbox.settled(first);
    let ids = [2, 3, 4].map(|case| outbox.chat(case, "waits"));
    // The rate may let one more go.
    let job = shown(&outbox, ids[2]);
    let turn = &job["waits_for"][0];
    assert_eq!((&turn["kind"], &turn["rate"]), (&json!("turn"), &json!("2/h")), "{job}");
    let ahead = turn["jobs_ahead"].as_i64().unwrap();
    assert!((1..=2).contains(&ahead), "{job}");
    let next = job["next"].as_str().unwrap();
    assert!(next.contains("ahead of it, the rate is 2/h, likely at "), "{next}");
    assert!(next.contains(turn["likely_at"].as_str().unwrap()), "{next}");
}

#[test]
fn show_tells_that_all_places_on_the_wire_are_taken() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::answering(move |request| Reply::accepted(request).behind(&held));
    let outbox = Outbox::setup(&server).more("[channels.chat]\nmax_in_flight = 1").ready();
    let _daemon = outbox.daemon();
    outbox.chat(1, "on the wire");
    server.wait_for(1);
    let waits = outbox.chat(2, "waits");
    let job = shown(&outbox, waits);
    let turn = json!({
        "kind": "turn", "jobs_ahead": 0, "rate": null, "in_flight": 1, "likely_at": null
    });
    assert_eq!(job["waits_for"], json!([turn]));
    assert_eq!(
        job["next"],
        "ready, waiting its turn: the one request that max_in_flight allows is in flight"
    );
    gate.open();
}

#[test]
fn show_tells_what_holds_the_job_before_it() {
    let server = Server::start();
    server.queue([Reply::status(429).header("retry-after", 600)]);
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    let asked = outbox.chat(1, "asks for a pause");
    let behind = outbox.chat(1, "behind it");
    let other = outbox.chat(2, "another case");
    let of = |id: i64| shown(&outbox, id);
    eventually(SOON, "the hold", || of(other)["waits_for"][0]["kind"] == "hold");
    let hold = &of(other)["waits_for"][0];
    assert_eq!((&hold["hold"], hold["until"].is_string()), (&json!("retry_after"), true));
    let parked = of(behind);
    assert_eq!(parked["waits_for"][0]["id"], asked);
    let causes = parked["waits_for"][0]["waits_for"].as_array().unwrap();
    assert!(
        causes.iter().any(|cause| cause["kind"] == "hold" || cause["kind"] == "retry"),
        "{parked}"
    );
}

#[test]
fn show_says_who_must_act_when_nobody_does() {
    let server = Server::answering(|_| Reply::status(502));
    let outbox = Outbox::setup(&server).more("[channels.chat]\non_uncertain = \"hold\"").ready();
    let uncertain = outbox.chat(1, "lost");
    outbox.run_until_empty();
    assert_eq!(shown(&outbox, uncertain)["waits_for"], json!([{"kind": "person"}]));
    let ready = outbox.chat(2, "nobody sends it");
    let job = shown(&outbox, ready);
    assert_eq!(job["waits_for"], json!([{"kind": "dispatcher"}]));
    assert!(job["next"].as_str().unwrap().starts_with("ready; no dispatcher is running"), "{job}");
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
