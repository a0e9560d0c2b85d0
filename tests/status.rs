//! `status`: what it counts and says, once and again and again.

use crate::support::{Engine, Job, Outbox, Reply, SOON, Server, Shop};
use crate::support::{eventually, found, from_now, has_terminals, iso, shop};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn status_counts_by_channel_and_status() {
    let server = Server::start();
    let Shop { outbox, .. } = shop(&server);
    let status = outbox.run(&["status", "--json"]).expect(0).json();
    let is_its_place = |place: &str| match Engine::of_this_run() {
        Engine::Sqlite => place.ends_with("outbox.db"),
        Engine::Postgres => place.starts_with("postgres://"),
    };
    assert!(is_its_place(status["database"].as_str().unwrap()), "{status}");
    assert_eq!(status["dispatcher"], json!({"running": false, "pid": null, "since": null}));
    assert_eq!(status["oldest_due_seconds"], Value::Null);
    assert_eq!(status["holds"], json!([]));
    let counted = |channel: &str, status_word: &str| {
        let counts = status["counts"].as_array().unwrap().iter();
        let of = |count: &&Value| count["channel"] == channel && count["status"] == status_word;
        counts.filter(of).map(|count| count["count"].as_i64().unwrap()).sum::<i64>()
    };
    assert_eq!(counted("chat", "sent"), 1);
    assert_eq!(counted("chat", "cancelled"), 1);
    assert_eq!(counted("chat", "pending"), 1);
    assert_eq!(counted("mail", "failed"), 1);
    assert_eq!(counted("sms", "failed"), 1);
    let plain = outbox.run(&["status"]).expect(0).stdout;
    assert!(plain.contains("chat") && plain.contains("pending"), "{plain}");
    assert!(!plain.contains('\u{1b}'), "no colours when piped");
}

#[test]
fn status_says_whether_a_dispatcher_runs_and_how_old_the_oldest_due_job_is() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.add(Job::chat(1, "old").at("send_at", from_now(-90.0)));
    let status = outbox.run(&["status", "--json"]).expect(0).json();
    let age = status["oldest_due_seconds"].as_f64().unwrap();
    assert!((85.0..150.0).contains(&age), "{age}");

    let mut daemon = outbox.daemon();
    let dispatcher = || outbox.run(&["status", "--json"]).expect(0).json()["dispatcher"].clone();
    if Engine::of_this_run() == Engine::Postgres {
        let running = dispatcher();
        assert_eq!((&running["running"], &running["pid"]), (&json!(true), &Value::Null));
        assert!(running["since"].is_string(), "{running}");
        let nodes = outbox.run(&["nodes", "--json"]).expect(0).json();
        let plain = outbox.run(&["status"]).expect(0).stdout;
        let name = nodes[0]["name"].as_str().expect("a node's name");
        assert!(plain.contains(&format!("1 node at work: {name}")), "{plain}");
        daemon.kill9();
        // Another machine knows it by the lease alone.
        return eventually(SOON, "its end", || dispatcher()["running"] == false);
    }
    let since = iso(outbox.number("SELECT started_at FROM outbox_dispatcher"));
    assert_eq!(dispatcher(), json!({"running": true, "pid": daemon.pid(), "since": since}));
    let plain = outbox.run(&["status"]).expect(0).stdout;
    assert!(plain.contains(&format!("process {} since {since}", daemon.pid())), "{plain}");
    daemon.kill9();
    assert_eq!(dispatcher(), json!({"running": false, "pid": null, "since": null}));
}

#[test]
fn status_has_the_rates_of_the_last_minutes_and_the_oldest_due_job_of_each_channel() {
    let server = Server::start();
    let Shop { outbox, .. } = shop(&server);
    outbox.move_back("finished_at", Duration::from_secs(180), "status = 'failed'");
    outbox.add(Job::mail(8, "late").at("send_at", from_now(-90.0)));
    outbox.add(Job::sms(9, "later").at("send_at", from_now(-200.0)));
    let status = outbox.run(&["status", "--json"]).expect(0).json();
    let rates = status["rates"].as_array().unwrap();
    let of = |at: usize, what: &str| rates[at][what].as_f64().unwrap();
    assert_eq!([0, 1, 2].map(|at| rates[at]["minutes"].as_i64().unwrap()), [1, 5, 15]);
    assert_eq!((of(0, "sent_per_minute"), of(0, "failed_per_minute")), (1.0, 0.0));
    assert_eq!((of(1, "sent_per_minute"), of(1, "failed_per_minute")), (0.2, 0.4));
    let oldest = &status["oldest_due_seconds_of"];
    let age = |channel: &str| oldest[channel].as_i64().unwrap();
    assert!((85..150).contains(&age("mail")) && (195..260).contains(&age("sms")), "{oldest}");
    assert!(oldest.get("chat").is_none(), "what is scheduled is not due: {oldest}");
    assert_eq!(status["oldest_due_seconds"], oldest["sms"]);
    assert!(status["database_bytes"].is_i64() && status["wal_bytes"].is_i64(), "{status}");
}

#[test]
fn status_shows_what_is_paused_and_what_is_held() {
    let server = Server::start();
    server.queue([Reply::status(429).header("retry-after", 600)]);
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    outbox.chat(1, "hi");
    outbox.run(&["pause", "sms", "--account", "default", "--reason", "a new provider"]).expect(0);
    let status = found(SOON, "the hold", || {
        let status = outbox.run(&["status", "--json"]).expect(0).json();
        (status["holds"] != json!([])).then_some(status)
    });
    assert_eq!(status["holds"][0]["kind"], "retry_after");
    let pause = &status["pauses"][0];
    assert_eq!((&pause["account"], &pause["channel"]), (&json!("default"), &json!("sms")));
    assert_eq!(pause["reason"], "a new provider");
    assert!(pause["since"].as_str().unwrap().ends_with('Z'), "{pause}");
    let plain = outbox.run(&["status"]).expect(0).stdout;
    for words in ["sms of account default", "a new provider", "Acquire said to wait"] {
        assert!(plain.contains(words), "no {words} in {plain}");
    }
    assert!(plain.contains("acquire-outbox resume sms --account default"), "{plain}");
}

#[test]
fn a_watch_in_a_pipe_prints_block_after_block_until_it_is_interrupted() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let watch = outbox.program().start(&["status", "--watch", "0.1"]);
    eventually(SOON, "three blocks", || watch.stdout().matches("\n\ndatabase\t").count() >= 3);
    watch.signal(libc::SIGINT);
    let finished = watch.wait(SOON).expect(0);
    assert!(finished.stdout.starts_with("attention\n- no dispatcher"), "{finished:?}");
    assert!(!finished.stdout.contains('\u{1b}'), "{finished:?}");
}

#[test]
fn a_watch_in_json_is_one_line_after_another_and_follows_what_happens() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let watch = outbox.program().start(&["status", "--json", "--watch", "0.1"]);
    let last = || {
        let text = watch.stdout();
        let whole = text.rsplit_once('\n').map(|(whole, _)| whole.to_owned())?;
        serde_json::from_str::<Value>(whole.lines().last()?).ok()
    };
    eventually(SOON, "a line", || last().is_some_and(|status| status["counts"] == json!([])));
    outbox.chat(1, "hi");
    eventually(SOON, "the job", || last().is_some_and(|s| s["counts"][0]["count"] == 1));
    watch.signal(libc::SIGINT);
    for line in watch.wait(SOON).expect(0).stdout.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    }
}

#[test]
fn a_watch_goes_on_when_the_database_cannot_be_read_for_a_while() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let watch = outbox.program().start(&["status", "--json", "--watch", "0.1"]);
    eventually(SOON, "a line", || watch.stdout().contains('\n'));
    outbox.execute("ALTER TABLE outbox RENAME TO outbox_away");
    eventually(SOON, "the trouble", || watch.stderr().contains("outbox"));
    let before = watch.stdout().lines().count();
    outbox.execute("ALTER TABLE outbox_away RENAME TO outbox");
    eventually(SOON, "more lines", || watch.stdout().lines().count() > before + 1);
    watch.signal(libc::SIGINT);
    watch.wait(SOON).expect(0);
}

#[test]
fn a_watch_ends_with_its_reader() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let binary = env!("CARGO_BIN_EXE_acquire-outbox");
    let line = format!("{{ {binary} status --watch 0.1; echo $? >&2; }} | head -n 1");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &line]).env("ACQUIRE_OUTBOX_CONFIG", outbox.config_file());
    let ended = shell.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stderr).trim(), "0", "{ended:?}");
}

#[test]
fn a_watch_on_a_terminal_draws_over_what_was_there() {
    if !has_terminals() {
        return;
    }
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let watch = outbox.program().on_a_terminal().start(&["status", "--watch", "0.1"]);
    let drawn = || watch.stdout().matches("dispatcher").count();
    eventually(SOON, "three times", || drawn() >= 3);
    outbox.run(&["pause", "mail"]).expect(0);
    eventually(SOON, "the pause", || watch.stdout().contains("acquire-outbox resume mail"));
    let shown = watch.stdout();
    assert!(shown.contains("\u{1b}[1;1H") && shown.contains("\u{1b}[K"), "{shown:?}");
}
