//! When a job goes out: schedules, expiry, the delays between attempts, waking up.

use crate::support::{Engine, Job, Outbox, Reply, Server, Setup, from_now, iso, now_ms, quoted};
use std::time::Duration;

/// The job goes out at its time: not before, and not long after.
#[track_caller]
fn assert_sent_on_time(written: impl Fn(i64) -> String) {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    let later = outbox.add(Job::chat(1, "later").column("send_at", &written(from_now(1.5))));
    let send_at = outbox.row(later).int("send_at");
    let now = outbox.chat(2, "now");
    assert_eq!(outbox.settled(now)["status"], "sent");
    assert_eq!(outbox.settled(later)["status"], "sent");
    let arrived = server.requests_for("later")[0].arrived_ms;
    assert!((0..3000).contains(&(arrived - send_at)), "{} ms late", arrived - send_at);
    assert_eq!(server.words(), ["now", "later"]);
}

#[test]
fn a_job_scheduled_by_text_goes_out_at_its_time() {
    assert_sent_on_time(|ms| quoted(&iso(ms)));
}

#[test]
fn a_job_scheduled_in_milliseconds_goes_out_at_its_time() {
    assert_sent_on_time(|ms| Engine::of_this_run().time(ms));
}

#[test]
fn a_job_scheduled_with_an_offset_goes_out_at_its_time() {
    assert_sent_on_time(|ms| quoted(&iso(ms + 7_200_000).replace('Z', "+02:00")));
}

#[test]
fn time_texts_are_stored_as_milliseconds() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let texts = [
        ("'2036-11-22T09:00:00+02:00'", 2_110_950_000_000),
        ("'2036-11-22 07:00:00Z'", 2_110_950_000_000),
        ("'2036-11-22T07:00:00.250Z'", 2_110_950_000_250),
    ];
    // A number, and a text without an offset (which is in PostgreSQL's time zone): SQLite alone.
    let of_sqlite =
        [("'2036-11-22 07:00:00'", 2_110_950_000_000), ("2110950000000", 2_110_950_000_000)];
    let of_sqlite = of_sqlite.into_iter().filter(|_| Engine::of_this_run() == Engine::Sqlite);
    for (text, expected) in texts.into_iter().chain(of_sqlite) {
        let job = Job::chat(1, "hi").column("send_at", text).column("expires_at", text);
        let row = outbox.row(outbox.add(job));
        assert_eq!((row.int("send_at"), row.int("expires_at")), (expected, expected), "{text}");
    }
}

#[test]
fn a_job_past_its_expiry_fails_without_a_request() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let past = outbox.add(Job::chat(1, "too late").at("expires_at", from_now(-60.0)));
    let future = outbox.add(Job::chat(1, "in time").at("expires_at", from_now(3600.0)));
    outbox.run_until_empty();
    let row = outbox.row(past);
    assert_eq!((row.text("status"), row.text("failure")), ("failed", "expired"));
    assert_eq!(row["attempts"], 0);
    assert!(row.int("finished_at") > 0 && !row.text("error").is_empty());
    assert_eq!(outbox.history(past), []);
    assert_eq!(outbox.status(future), "sent");
    assert_eq!(server.words(), ["in time"]);
}

#[test]
fn a_job_that_expires_while_it_waits_is_not_tried_again() {
    let server = Server::start();
    server.queue([Reply::status(503)]);
    let outbox = Outbox::setup(&server).retry("initial = \"1h\"\nmax = \"1h\"").ready();
    let _daemon = outbox.daemon();
    let id = outbox.add(Job::chat(1, "short-lived").at("expires_at", from_now(1.2)));
    let row = outbox.settled(id);
    assert_eq!((row.text("status"), row.text("failure")), ("failed", "expired"), "{row:?}");
    assert_eq!(server.count(), 1);
}

#[test]
fn after_a_failed_attempt_the_row_says_when_it_is_due_again() {
    let server = Server::answering(|_| Reply::status(500));
    let outbox = Outbox::setup(&server).retry("initial = \"10m\"\njitter = 0.2").ready();
    let _daemon = outbox.daemon();
    let id = outbox.chat(1, "hi");
    let row = outbox.when(id, "due again", |row| !row.is_null("next_attempt_at"));
    assert_eq!((row.text("status"), row.int("attempts")), ("pending", 1));
    assert!(row.is_null("finished_at") && row.is_null("failure"));
    assert_eq!(row["error_code"], "http_500");
    let wait = row.int("next_attempt_at") - now_ms();
    assert!((7 * 60_000..=12 * 60_000).contains(&wait), "{wait} ms");
    assert_eq!(outbox.seen(id)["next_attempt_at"], iso(row.int("next_attempt_at")));
}

#[test]
fn the_delays_between_attempts_grow_up_to_the_maximum() {
    let server = Server::start();
    server.queue([503, 503, 503, 503].map(Reply::status));
    let retry = "initial = \"100ms\"\nmultiplier = 3.0\nmax = \"500ms\"\njitter = 0.0";
    let outbox = Outbox::setup(&server).retry(retry).ready();
    outbox.chat(1, "hi");
    outbox.run_until_empty();
    let arrivals: Vec<_> = server.requests().iter().map(|request| request.arrived).collect();
    let gaps = arrivals.windows(2).map(|pair| pair[1] - pair[0]);
    for (gap, at_least) in gaps.zip([100, 300, 500, 500]) {
        // A few ms less: the answer reaches the daemon after the request was seen here.
        assert!(gap >= Duration::from_millis(at_least - 5), "{gap:?} for {at_least} ms");
        assert!(gap < Duration::from_millis(at_least + 3000), "{gap:?} for {at_least} ms");
    }
    assert_eq!(arrivals.len(), 5);
}

#[test]
fn a_channel_may_have_retry_settings_of_its_own() {
    let server = Server::answering(|_| Reply::status(500));
    let more = "[channels.sms.retry]\nmax_attempts = 1\n[channels.mail.retry]\nmax_attempts = 2";
    let outbox = Outbox::setup(&server).retry_also("max_attempts = 3").more(more).ready();
    let jobs = [Job::chat(1, "hi"), Job::mail(1, "hi"), Job::sms(1, "hi")];
    let ids = jobs.map(|job| outbox.add(job));
    outbox.run_until_empty();
    assert_eq!(ids.map(|id| outbox.row(id).int("attempts")), [3, 2, 1]);
}

#[test]
fn a_channels_rate_is_kept() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).more("[channels.chat]\nrate = \"4/s\"").ready();
    for case in 1..=8 {
        outbox.chat(case, "hi");
    }
    outbox.run_until_empty();
    let requests = server.requests();
    let took = requests[7].arrived - requests[0].arrived;
    // Four may go at once; the other four wait a quarter of a second each.
    assert!(took >= Duration::from_millis(900), "{took:?}");
}

#[test]
fn a_row_that_another_process_inserts_wakes_the_idle_daemon() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    for round in 0..5 {
        let id = outbox.chat(1, &format!("round {round}"));
        let committed = now_ms();
        outbox.settled(id);
        let arrived = server.wait_for(round + 1)[round].arrived_ms;
        assert!(arrived - committed < 2000, "{} ms after its commit", arrived - committed);
    }
}

#[test]
fn a_row_in_an_uncommitted_transaction_is_not_sent() {
    let server = Server::start();
    let setup: Setup = Outbox::setup(&server);
    let outbox = setup.ready();
    let _daemon = outbox.daemon();
    let (back, committed) = (Job::chat(1, "rolled back").sql(), Job::chat(1, "committed").sql());
    outbox.execute(&format!("BEGIN; {back}; ROLLBACK; {committed}"));
    assert_eq!(server.wait_for(1)[0].words(), "committed");
    crate::support::eventually(crate::support::SOON, "one row, sent", || outbox.count("sent") == 1);
    assert_eq!(outbox.number("SELECT count(*) FROM outbox"), 1);
}
