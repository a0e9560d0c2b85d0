//! Answers that stop more than one job: a refused account (401, redirects) and `Retry-After`.

use crate::support::{Job, Outbox, Reply, Request, SOON, Server, eventually};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// A server that refuses until the switch is thrown, then accepts.
fn refusing(refusal: Reply) -> (Server, Arc<AtomicBool>) {
    let works = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&works);
    let server = Server::answering(move |request| {
        if switch.load(Ordering::SeqCst) {
            Reply::accepted(request)
        } else {
            refusal.clone().delay(Duration::from_millis(20))
        }
    });
    (server, works)
}

fn blocks(outbox: &Outbox) -> Vec<Value> {
    let status = outbox.run(&["status", "--json"]).expect(0).json();
    status["holds"].as_array().expect("an array of holds").clone()
}

/// The account waits as a whole: single probes, nothing spent, and all is sent in the end.
#[track_caller]
fn assert_held_and_recovered(refusal: Reply, words_in_log: &str) {
    let (server, works) = refusing(refusal);
    let outbox = Outbox::setup(&server).retry_also("max_attempts = 1").ready();
    let daemon = outbox.daemon();
    let mut jobs = vec![outbox.chat(1, "first")];
    server.wait_for(1);
    eventually(SOON, "a hold in `status`", || {
        blocks(&outbox).iter().any(|hold| hold["account"] == "default")
    });
    jobs.extend((2..12).map(|case| outbox.chat(case, "later")));
    jobs.push(outbox.add(Job::mail(1, "later")));

    let probes = server.wait_for(3);
    assert!(probes.iter().all(|probe| probe.open == 1), "probes are single");
    for &job in &jobs {
        assert_eq!(outbox.row(job)["failure"], Value::Null, "{:?}", outbox.row(job));
        assert!(["pending", "sending"].contains(&outbox.status(job).as_str()));
    }
    assert!(daemon.stderr().contains(words_in_log), "{}", daemon.stderr());

    works.store(true, Ordering::SeqCst);
    for &job in &jobs {
        assert_eq!(outbox.settled(job)["status"], "sent");
    }
    eventually(SOON, "no hold is left", || blocks(&outbox).is_empty());
    assert!(server.requests().iter().all(|request| request.method == "POST"));
    assert!(server.requests().iter().all(|request| request.target.ends_with("x-user-type=user")
        || request.target.ends_with("/mail/add-message")));
}

#[test]
fn a_refused_key_holds_the_account_and_spends_nothing() {
    let refusal = Reply::json(401, serde_json::json!({"error": "ERROR_UNAUTHORIZED"}));
    assert_held_and_recovered(refusal, "default");
}

#[test]
fn a_redirect_holds_the_account_and_is_never_followed() {
    let elsewhere = Reply::status(302).header("location", "/api/v2/elsewhere");
    assert_held_and_recovered(elsewhere, "default");
    assert_held_and_recovered(Reply::status(308).header("location", "/moved"), "default");
}

#[test]
fn a_refused_attempt_stands_in_the_history_as_a_retry() {
    let server = Server::start();
    server.queue([Reply::status(401), Reply::status(301)]);
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "hi");
    outbox.run_until_empty();
    assert_eq!(outbox.row(id)["status"], "sent");
    assert_eq!(outbox.outcomes(id), ["retry", "retry", "accepted"]);
    assert_eq!(outbox.history(id)[0]["http_status"], 401);
    assert_eq!(outbox.history(id)[1]["http_status"], 301);
}

#[test]
fn another_account_goes_on_while_one_is_refused() {
    let (server, _) = refusing(Reply::status(401));
    let good = Server::start();
    let more = format!(
        "[accounts.good]\naccount_id = \"g\"\napi_key_file = \"key\"\nbase_url = \"{}\"",
        good.base_url()
    );
    let outbox = Outbox::setup(&server).more(&more).ready();
    let _daemon = outbox.daemon();
    let refused = outbox.chat(1, "refused");
    server.wait_for(2);
    let sent = outbox.add(Job::chat(1, "good").column("account", "'good'"));
    assert_eq!(outbox.settled(sent)["status"], "sent");
    assert_ne!(outbox.status(refused), "sent");
}

/// A chat job is answered with this; another chat job waits for it unspent; mail goes on.
#[track_caller]
fn assert_channel_held(reply: Reply, at_least: Duration) {
    let server = Server::start();
    server.queue([reply]);
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    let first = outbox.chat(1, "limited");
    outbox.when(first, "back in the queue", |row| {
        row.text("status") == "pending" && row.int("attempts") == 1
    });
    let second = outbox.chat(2, "waits with it");
    let mail = outbox.add(Job::mail(3, "goes on"));
    assert_eq!(outbox.settled(mail)["status"], "sent");
    assert_eq!(server.words(), ["limited", "goes on"]);
    assert_eq!(outbox.row(second)["attempts"], 0);

    assert_eq!(outbox.settled(first)["status"], "sent");
    assert_eq!(outbox.settled(second)["attempts"], 1);
    let requests = server.requests();
    let answered = requests[0].arrived;
    let again = |request: &&Request| request.target.contains("/chat/") && request.number > 0;
    for request in requests.iter().filter(again) {
        assert!(request.arrived - answered >= at_least, "{:?}", request.arrived - answered);
    }
}

#[test]
fn retry_after_in_seconds_holds_the_channel_alone() {
    assert_channel_held(Reply::status(429).header("retry-after", 2), Duration::from_millis(1950));
    assert_channel_held(Reply::status(503).header("retry-after", 2), Duration::from_millis(1950));
}

#[test]
fn retry_after_as_a_date_holds_the_channel_alone() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(4));
    let reply = Reply::status(429).header("retry-after", date);
    // A date has whole seconds, and setting the test up takes its part of the four.
    assert_channel_held(reply, Duration::from_millis(500));
}

#[test]
fn a_retry_after_of_a_month_is_cut_to_an_hour() {
    let server = Server::start();
    server.queue([Reply::status(429).header("retry-after", 30 * 24 * 3600)]);
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    let id = outbox.chat(1, "limited");
    let row = outbox.when(id, "back in the queue", |row| {
        row.text("status") == "pending" && row.int("attempts") == 1
    });
    let hour = 3_600_000;
    assert!(row.int("next_attempt_at") <= crate::support::now_ms() + hour, "{row:?}");
    let hold = blocks(&outbox).into_iter().find(|hold| hold["channel"] == "chat");
    let hold = hold.expect("a hold of the channel chat");
    assert_eq!(hold["account"], "default");
    let until = match &hold["until"] {
        Value::Number(ms) => ms.as_i64().expect("milliseconds"),
        text => {
            let text = text.as_str().expect("ISO 8601");
            chrono::DateTime::parse_from_rfc3339(text).expect("ISO 8601").timestamp_millis()
        }
    };
    let from_now = until - crate::support::now_ms();
    assert!((hour - 60_000..=hour).contains(&from_now), "{from_now} ms from now");
}

#[test]
fn a_retry_after_that_makes_no_sense_is_an_ordinary_retry() {
    for nonsense in ["soon", "-5", ""] {
        let server = Server::start();
        server.queue([Reply::status(503).header("retry-after", nonsense)]);
        let outbox = Outbox::new(&server);
        let id = outbox.chat(1, "hi");
        outbox.run_until_empty();
        assert_eq!(outbox.row(id)["status"], "sent");
    }
}

fn page(status: u16) -> Reply {
    Reply::text(status, "default backend - 404")
}

#[test]
fn a_page_that_is_not_acquires_holds_the_account_and_spends_nothing() {
    assert_held_and_recovered(page(404), "did not come from Acquire");
    let challenge = "<!DOCTYPE html><title>Just a moment...</title>";
    assert_held_and_recovered(Reply::new(403, "text/html", challenge), "did not come from Acquire");
    assert_held_and_recovered(Reply::status(404), "did not come from Acquire");
}

/// A firewall that blocks these words.
fn disliking(words: &'static [&'static str]) -> Server {
    Server::answering(move |request| match words.contains(&request.words().as_str()) {
        true => Reply::new(403, "text/html", "<!DOCTYPE html><h1>Blocked by our firewall</h1>"),
        false => Reply::accepted(request),
    })
}

#[track_caller]
fn assert_blocked(outbox: &Outbox, id: i64) {
    let row = outbox.row(id);
    assert_eq!((row.text("status"), row.text("failure")), ("failed", "rejected"), "{row:?}");
    assert_eq!(row["error_code"], "http_403");
    assert!(row.text("error").contains("Blocked by our firewall"), "{row:?}");
    let mut outcomes = outbox.outcomes(id);
    assert_eq!(outcomes.pop().as_deref(), Some("rejected"));
    assert!(outcomes.len() >= 2 && outcomes.iter().all(|outcome| outcome == "retry"));
}

#[test]
fn a_page_that_one_message_alone_gets_ends_it_and_holds_up_no_other() {
    let server = disliking(&["bad"]);
    let outbox = Outbox::setup(&server).retry_also("max_attempts = 1").ready();
    let bad = outbox.chat(1, "bad");
    // The next job of its key waits for it, and is sent.
    let after_it = outbox.chat(1, "after it");
    let others: Vec<_> = (2..40).map(|case| outbox.chat(case, "good")).collect();
    outbox.run_until_empty();
    assert_blocked(&outbox, bad);
    for job in others.into_iter().chain([after_it]) {
        assert_eq!(outbox.row(job)["status"], "sent");
        assert_eq!(outbox.row(job)["attempts"], 1);
    }
    let words = server.words();
    let place = |of: &str| words.iter().rposition(|word| word == of).expect("it was sent");
    assert!(place("bad") < place("after it"), "the order of a key is kept");
}

#[test]
fn several_messages_that_a_firewall_dislikes_end_and_the_others_are_sent() {
    let server = disliking(&["bad", "worse", "worst"]);
    let outbox = Outbox::new(&server);
    let words = ["bad", "good", "worse", "good", "good", "worst", "good", "good", "good"];
    let add = |(n, words): (usize, &&str)| outbox.chat(n as i64 + 1, words);
    let jobs: Vec<_> = words.iter().enumerate().map(add).collect();
    let _daemon = outbox.daemon();
    // Three suspects prove nothing about each other when there are no other messages.
    let mut case = 100;
    eventually(SOON, "the three end", || {
        case += 1;
        let good = outbox.chat(case, "good");
        outbox.settled(good)["status"] == "sent" && outbox.count("failed") == 3
    });
    for (job, words) in jobs.into_iter().zip(words) {
        match words {
            "good" => assert_eq!(outbox.row(job)["status"], "sent"),
            _ => assert_blocked(&outbox, job),
        }
    }
}

#[test]
fn messages_that_get_pages_keep_no_new_one_from_being_the_probe() {
    let server = disliking(&["bad", "worse"]);
    let outbox = Outbox::new(&server);
    let bad = [outbox.chat(1, "bad"), outbox.chat(2, "worse")];
    let _daemon = outbox.daemon();
    // Each is due again before the other's probe is over, and both are older than any new job.
    server.wait_for(8);
    let good = outbox.chat(3, "good");
    assert_eq!(outbox.settled(good)["status"], "sent");
    for job in bad {
        outbox.chat(job + 10, "good");
        assert_eq!(outbox.settled(job)["status"], "failed");
        assert_blocked(&outbox, job);
    }
}

#[test]
fn a_message_that_gets_a_page_and_is_the_only_one_waits_and_is_named() {
    let server = disliking(&["bad"]);
    let outbox = Outbox::new(&server);
    let daemon = outbox.daemon();
    let bad = outbox.chat(1, "bad");
    server.wait_for(4);
    let hold = blocks(&outbox).into_iter().next().expect("a hold");
    let reason = hold["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains(&format!("job {bad}:")) && reason.contains("Blocked"), "{reason}");
    assert_ne!(outbox.status(bad), "failed");
    assert!(daemon.stderr().contains(&format!("\"job\":{bad},")), "{}", daemon.stderr());
    // A restart does not lose it.
    daemon.sigterm();
    daemon.wait(SOON).expect(0);
    let count = server.count();
    let _daemon = outbox.daemon();
    server.wait_for(count + 2);
    assert_ne!(outbox.status(bad), "failed");

    let good = outbox.chat(2, "good");
    assert_eq!(outbox.settled(good)["status"], "sent");
    outbox.settled(bad);
    assert_blocked(&outbox, bad);
    eventually(SOON, "no hold is left", || blocks(&outbox).is_empty());
}

#[test]
fn an_outage_behind_which_one_message_is_disliked_loses_the_others_nothing() {
    let works = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&works);
    let server = Server::answering(move |request| match request.words().as_str() {
        _ if !switch.load(Ordering::SeqCst) => page(404),
        "bad" => Reply::new(403, "text/html", "<h1>Blocked by our firewall</h1>"),
        _ => Reply::accepted(request),
    });
    let outbox = Outbox::new(&server);
    let bad = outbox.chat(1, "bad");
    let others: Vec<_> = (2..60).map(|case| outbox.chat(case, "good")).collect();
    let _daemon = outbox.daemon();
    server.wait_for(40);
    works.store(true, Ordering::SeqCst);
    for job in others {
        assert_eq!(outbox.settled(job)["status"], "sent");
    }
    outbox.settled(bad);
    assert_blocked(&outbox, bad);
}

#[test]
fn an_ingress_of_which_one_half_is_broken_loses_no_message() {
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::answering(move |request| {
        match turn.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            true => page(404),
            false => Reply::accepted(request),
        }
    });
    let outbox = Outbox::new(&server);
    let jobs: Vec<_> = (1..60).map(|case| outbox.chat(case, "good")).collect();
    outbox.run_until_empty();
    assert!(jobs.iter().all(|job| outbox.status(*job) == "sent"));
}

#[test]
fn a_429_whose_hint_cannot_be_read_holds_the_channel_a_while() {
    let reply = Reply::status(429).header("retry-after", "soon");
    assert_channel_held(reply, Duration::from_millis(4950));
}

#[test]
fn a_fraction_and_a_rate_limiters_own_header_are_heard() {
    let reply = Reply::status(429).header("retry-after", "1.7");
    assert_channel_held(reply, Duration::from_millis(1650));
    let reply = Reply::status(429).header("x-ratelimit-reset", "2");
    assert_channel_held(reply, Duration::from_millis(1950));
}

#[test]
fn a_date_is_judged_by_the_clock_of_its_server() {
    let ahead = SystemTime::now() + Duration::from_secs(300);
    let reply = Reply::status(503)
        .header("date", httpdate::fmt_http_date(ahead))
        .header("retry-after", httpdate::fmt_http_date(ahead + Duration::from_secs(2)));
    // By our own clock the delay would be five minutes.
    assert_channel_held(reply, Duration::from_millis(1950));
}
