//! `/metrics`: what it counts, what stands in the database, and that Prometheus' own tool takes it.

use crate::support::{Daemon, Engine, Gate, Job, Outbox, Reply, SOON, Server};
use crate::support::{eventually, from_now, promtool, sqlite_only};

const LISTEN: [&str; 3] = ["run", "--listen", "127.0.0.1:0"];

fn daemon(outbox: &Outbox) -> Daemon {
    outbox.program().start(&LISTEN).ready()
}

#[test]
fn attempts_ends_and_times_are_counted_by_what_came_of_them() {
    let server = Server::answering(|request| match request.words().as_str() {
        "refused" => Reply::status(400),
        "once more" => Reply::status(503),
        _ => Reply::accepted(request),
    });
    let outbox = Outbox::setup(&server).retry_also("max_attempts = 2").ready();
    let mut daemon = daemon(&outbox);
    let jobs = [
        Job::chat(1, "hi"),
        Job::chat(2, "refused"),
        Job::sms(3, "once more"),
        Job::mail(4, "late").column("expires_at", "'2020-01-01T00:00:00Z'"),
        Job::chat(5, "nobody's").column("account", "'nobody'"),
    ];
    let ids = jobs.map(|job| outbox.add(job));
    ids.iter().for_each(|id| drop(outbox.settled(*id)));
    let attempts = |channel: &str, outcome: &str| {
        format!(
            "acquire_outbox_attempts_total{{account=\"default\",channel=\"{channel}\",outcome=\"{outcome}\"}}"
        )
    };
    let finished = |channel: &str, status: &str, failure: &str| {
        format!(
            "acquire_outbox_finished_total{{channel=\"{channel}\",status=\"{status}\",failure=\"{failure}\"}}"
        )
    };
    // What is on disk is counted right after it.
    eventually(SOON, "all are counted", || {
        let scrape = daemon.scrape();
        ["rejected", "invalid"]
            .iter()
            .all(|f| scrape.value(&finished("chat", "failed", f)) == Some(1.0))
            && scrape.value(&finished("sms", "failed", "exhausted")) == Some(1.0)
            && scrape.value(&finished("mail", "failed", "expired")) == Some(1.0)
    });
    let scrape = daemon.scrape();
    for (series, expected) in [
        (attempts("chat", "accepted"), 1.0),
        (attempts("chat", "rejected"), 1.0),
        (attempts("sms", "retry"), 2.0),
        (attempts("mail", "accepted"), 0.0),
        (finished("chat", "sent", ""), 1.0),
        (finished("chat", "failed", "expired"), 0.0),
        ("acquire_outbox_request_duration_seconds_count{channel=\"chat\"}".into(), 2.0),
        ("acquire_outbox_request_duration_seconds_count{channel=\"sms\"}".into(), 2.0),
        ("acquire_outbox_due_to_sent_seconds_count{channel=\"chat\"}".into(), 1.0),
        ("acquire_outbox_due_to_sent_seconds_count{channel=\"sms\"}".into(), 0.0),
        ("acquire_outbox_in_flight{account=\"default\",channel=\"chat\"}".into(), 0.0),
    ] {
        assert_eq!(scrape.number(&series), expected, "{series}");
    }
    let due_to_sent = scrape.number("acquire_outbox_due_to_sent_seconds_sum{channel=\"chat\"}");
    assert!((0.0..SOON.as_secs_f64()).contains(&due_to_sent), "{due_to_sent}");
}

#[test]
fn what_is_on_the_wire_is_told_and_what_a_dead_dispatcher_left_counts_as_uncertain() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::answering(move |request| Reply::accepted(request).behind(&held));
    let hold = "[channels.chat]\non_uncertain = \"hold\"";
    let outbox = Outbox::setup(&server).more(hold).ready();
    let mut first = daemon(&outbox);
    let id = outbox.chat(1, "hi");
    server.wait_for(1);
    let in_flight = "acquire_outbox_in_flight{account=\"default\",channel=\"chat\"}";
    assert_eq!(first.scrape().number(in_flight), 1.0);
    first.kill9();
    gate.open();
    let mut second = daemon(&outbox);
    outbox.when_status(id, "uncertain");
    let scrape = second.scrape();
    let uncertain =
        "acquire_outbox_finished_total{channel=\"chat\",status=\"uncertain\",failure=\"\"}";
    assert_eq!(scrape.number(uncertain), 1.0);
    let attempts =
        "acquire_outbox_attempts_total{account=\"default\",channel=\"chat\",outcome=\"uncertain\"}";
    assert_eq!(scrape.number(attempts), 1.0);
    assert_eq!(scrape.number(in_flight), 0.0);
}

#[test]
fn the_state_of_the_queue_its_files_and_its_stops_is_told() {
    let server = Server::answering(|_| Reply::status(401));
    let outbox = Outbox::new(&server);
    let mut daemon = daemon(&outbox);
    outbox.execute("INSERT INTO outbox_pauses (channel) VALUES ('mail')");
    let old = Job::mail(2, "paused").at("send_at", from_now(-90.0));
    outbox.add(old);
    outbox.add(Job::sms(3, "tomorrow").tomorrow());
    outbox.chat(1, "hi");
    let jobs = |channel: &str, status: &str| {
        format!("acquire_outbox_jobs{{channel=\"{channel}\",status=\"{status}\"}}")
    };
    let held = |channel: &str, kind: &str| {
        format!("acquire_outbox_held{{account=\"default\",channel=\"{channel}\",kind=\"{kind}\"}}")
    };
    let paused = |channel: &str| {
        format!("acquire_outbox_paused{{account=\"default\",channel=\"{channel}\"}}")
    };
    let mut last = None;
    eventually(SOON, "the refused account", || {
        let scrape = daemon.scrape();
        let refused = scrape.value(&held("sms", "refused")) == Some(1.0);
        last = Some(scrape);
        refused
    });
    let scrape = last.expect("the last scrape");
    for (series, expected) in [
        (jobs("mail", "pending"), 1.0),
        (jobs("sms", "pending"), 1.0),
        (jobs("sms", "sent"), 0.0),
        (held("chat", "refused"), 1.0),
        (held("chat", "breaker"), 0.0),
        (paused("mail"), 1.0),
        (paused("chat"), 0.0),
        ("acquire_outbox_dispatching".into(), 1.0),
        ("acquire_outbox_standby".into(), 0.0),
        ("acquire_outbox_database_readable".into(), 1.0),
        (format!("acquire_outbox_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0),
        ("acquire_outbox_oldest_due_age_seconds{channel=\"sms\"}".into(), 0.0),
    ] {
        assert_eq!(scrape.number(&series), expected, "{series}");
    }
    let age = scrape.number("acquire_outbox_oldest_due_age_seconds{channel=\"mail\"}");
    assert!((90.0..150.0).contains(&age), "{age}");
    if Engine::of_this_run() == Engine::Sqlite {
        let bytes = std::fs::metadata(outbox.database().path()).unwrap().len() as f64;
        assert_eq!(scrape.number("acquire_outbox_database_bytes"), bytes);
        assert!(scrape.number("acquire_outbox_wal_bytes") > 0.0);
    }
    assert!(scrape.number("acquire_outbox_last_turn_age_seconds") < 60.0);
    let started = scrape.number("process_start_time_seconds");
    let now = crate::support::now_ms() as f64 / 1000.0;
    assert!((now - 120.0..=now).contains(&started), "{started}");
}

#[test]
fn a_standby_says_so_and_still_tells_the_queue() {
    sqlite_only!("a second daemon stands by; on PostgreSQL it is a second node");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let _first = outbox.daemon();
    let id = outbox.chat(1, "hi");
    outbox.settled(id);
    let mut standby = outbox.program().start(&LISTEN);
    standby.wait_for_log("standing by");
    let scrape = standby.scrape();
    assert_eq!(scrape.number("acquire_outbox_standby"), 1.0);
    assert_eq!(scrape.number("acquire_outbox_dispatching"), 0.0);
    assert_eq!(scrape.value("acquire_outbox_last_turn_age_seconds"), None);
    assert_eq!(scrape.number("acquire_outbox_jobs{channel=\"chat\",status=\"sent\"}"), 1.0);
}

#[test]
fn a_scrape_survives_a_database_that_cannot_be_read() {
    sqlite_only!("a file that is moved away");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let first = outbox.daemon();
    let mut standby = outbox.program().start(&LISTEN);
    standby.wait_for_log("standing by");
    let (database, away) = (outbox.database().path(), outbox.folder().join("away.db"));
    // It would end, and leave its lock to the standby.
    first.signal(libc::SIGSTOP);
    std::fs::rename(database, &away).unwrap();
    let scrape = standby.scrape();
    assert_eq!(scrape.number("acquire_outbox_database_readable"), 0.0);
    assert_eq!(scrape.value("acquire_outbox_jobs{channel=\"chat\",status=\"sent\"}"), None);
    assert_eq!(scrape.number("acquire_outbox_standby"), 1.0);
    std::fs::rename(&away, database).unwrap();
    first.signal(libc::SIGCONT);
    eventually(SOON, "it is read again", || {
        standby.scrape().value("acquire_outbox_database_readable") == Some(1.0)
    });
}

#[test]
fn no_label_comes_from_peoples_words() {
    let server =
        Server::answering(|_| Reply::text(400, r#"{"message": "ERROR_SECRETIVE nonsense"}"#));
    let outbox = Outbox::new(&server);
    let mut daemon = daemon(&outbox);
    let id = outbox.add(
        Job::chat(1, "words of a message")
            .column("source", "'a-source'")
            .column("idempotency_key", "'a-key'"),
    );
    outbox.add(Job::chat(2, "x").column("account", "'made-up'"));
    outbox.execute("INSERT INTO outbox_pauses (account, reason) VALUES ('unknown', 'a reason')");
    outbox.settled(id);
    let scrape = daemon.scrape().0;
    for words in [
        "SECRETIVE",
        "words of",
        "a-source",
        "a-key",
        "made-up",
        "unknown",
        "a reason",
        crate::support::KEY,
    ] {
        crate::support::never_shows("/metrics", &scrape, words);
    }
}

#[test]
fn promtool_takes_what_is_scraped() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let mut daemon = daemon(&outbox);
    let id = outbox.chat(1, "hi");
    outbox.settled(id);
    let scrape = daemon.scrape();
    if let Some(said) = promtool(&["check", "metrics"], &scrape.0) {
        assert_eq!(said, "", "what promtool would do better");
    }
}

#[test]
fn open_metrics_are_given_to_those_that_ask() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let mut daemon = daemon(&outbox);
    let prometheus = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let page = daemon.get_with("/metrics", prometheus);
    assert!(
        page.head.contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{page:?}"
    );
    assert!(page.body.ends_with("# EOF\n"), "{}", page.body);
    assert!(page.body.contains("# TYPE acquire_outbox_attempts counter\n"), "{}", page.body);
    let page = daemon.get("/metrics");
    assert!(page.head.contains("content-type: text/plain; version=0.0.4"), "{page:?}");
    assert!(!page.body.contains("# EOF"), "{}", page.body);
}

#[test]
fn where_there_is_a_token_a_scrape_needs_it() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let token = "a-token-that-is-long-enough-for-it";
    let program = outbox.program().env("ACQUIRE_OUTBOX_WEB_TOKEN", token);
    let mut daemon = program.start(&LISTEN).ready();
    let without = daemon.get("/metrics");
    assert_eq!(without.status, 401, "{without:?}");
    assert!(!without.body.contains("acquire_outbox_"), "{without:?}");
    let with = daemon.get_with("/metrics", &format!("Authorization: Bearer {token}\r\n"));
    assert_eq!(with.status, 200, "{with:?}");
    crate::support::never_shows("/metrics", &with.body, token);
}
