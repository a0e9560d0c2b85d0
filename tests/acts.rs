//! Who did what: each job's acts, by command, page or SQL, with when and the name that is known.

use crate::support::{Daemon, Engine, Job, Outbox, Program, Reply, Row, Server, now_ms};
use crate::web::client::{Client, TOKEN, dashboard, failed, setup, start};
use serde_json::Value;

/// The job's acts as `show --json` has them: deed, origin, name.
#[track_caller]
fn acts(outbox: &Outbox, id: i64) -> Vec<(String, String, String)> {
    let job = outbox.run(&["show", &id.to_string(), "--json"]).expect(0).json();
    let text = |act: &Value, field: &str| act[field].as_str().unwrap_or("-").to_owned();
    let acts = job["acts"].as_array().expect("acts").iter();
    acts.map(|act| (text(act, "deed"), text(act, "origin"), text(act, "name"))).collect()
}

#[track_caller]
fn assert_acts(outbox: &Outbox, id: i64, expected: &[(&str, &str, &str)]) {
    let acts = acts(outbox, id);
    let acts: Vec<_> = acts.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
    assert_eq!(acts, expected);
}

/// Who logs in to the database with SQL, where that is known.
fn role(outbox: &Outbox) -> String {
    match Engine::of_this_run() {
        Engine::Sqlite => "-".to_owned(),
        Engine::Postgres => outbox.one("SELECT session_user::text AS name").text("name").to_owned(),
    }
}

fn by(outbox: &Outbox, name: &str) -> Program {
    outbox.program().env("SUDO_USER", name)
}

#[test]
fn a_command_is_noted_with_the_system_user() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "hi");
    by(&outbox, "anna").run(&["cancel", &id.to_string()]).expect(0);
    outbox.run(&["retry", "--status", "cancelled"]).expect(0);
    let acts = acts(&outbox, id);
    assert_eq!((acts[0].0.as_str(), acts[0].1.as_str()), ("cancel", "command"));
    assert!(acts[0].2.starts_with("anna (sudo "), "{acts:?}");
    assert_eq!((acts[1].0.as_str(), acts[1].1.as_str()), ("retry", "command"));
    assert!(!acts[1].2.contains("sudo") && acts[1].2 != "-", "{acts:?}");
    let shown = outbox.run(&["show", &id.to_string()]).expect(0).stdout;
    assert!(shown.contains("cancelled") && shown.contains("command: anna"), "{shown}");
    // It is recent.
    let job = outbox.run(&["show", &id.to_string(), "--json"]).expect(0).json();
    let at = job["acts"][0]["at"].as_str().expect("a time");
    let at = acquire_outbox::queue::when::parse_time(at).expect("ISO 8601");
    assert!((now_ms() - at).abs() < 600_000, "{at}");
}

#[test]
fn plain_sql_is_noted_with_the_columns_that_it_changed() {
    let server = Server::start();
    server.answer_with(|_| Reply::status(400));
    let outbox = Outbox::new(&server);
    let id = outbox.add(Job::chat(1, "hi").tomorrow());
    outbox.execute(&format!("UPDATE outbox SET priority = 7, source = 'shop' WHERE id = {id}"));
    // The same values again are no act, nor is what an ORM does to updated_at.
    outbox.execute(&format!("UPDATE outbox SET priority = 7, source = 'shop' WHERE id = {id}"));
    outbox.execute(&format!("UPDATE outbox SET status = 'cancelled' WHERE id = {id}"));
    outbox
        .execute(&format!("UPDATE outbox SET send_at = NULL, status = 'pending' WHERE id = {id}"));
    outbox.run_until_empty();
    assert_eq!(outbox.status(id), "failed");
    let name = role(&outbox);
    let name = name.as_str();
    let changed = [("change", "sql", name), ("cancel", "sql", name)];
    let mut acts = acts(&outbox, id);
    // One statement made both, in no particular order.
    acts[2..].sort();
    let acts: Vec<_> = acts.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
    assert_eq!(acts[..2], changed);
    assert_eq!(acts[2..], [("change", "sql", name), ("retry", "sql", name)]);
    let job = outbox.run(&["show", &id.to_string(), "--json"]).expect(0).json();
    assert_eq!(job["acts"][0]["detail"], "priority, source");
}

#[test]
fn what_the_dispatcher_does_is_no_act() {
    let server = Server::start();
    server.queue([Reply::status(503), Reply::status(503)]);
    server.answer_with(|request| match request.words().as_str() {
        "no" => Reply::status(400),
        _ => Reply::accepted(request),
    });
    let outbox = Outbox::new(&server);
    let ids = [
        outbox.chat(1, "again"),
        outbox.chat(1, "no"),
        outbox.add(Job::chat(2, "late").at("expires_at", now_ms() - 1_000)),
        outbox.add(Job::chat(3, "text").column("send_at", "'2020-01-01T00:00:00Z'")),
    ];
    outbox.run_until_empty();
    for id in ids {
        assert_acts(&outbox, id, &[]);
    }
    assert_eq!(outbox.number("SELECT count(*) FROM outbox_acts"), 0);
}

/// Logged in with this name.
fn named(client: Client, name: &str) -> Client {
    let browser = client.browser();
    let answer = browser.post("/login", &[("token", TOKEN), ("name", name)]).expect(303);
    let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
    browser.with("cookie", cookie.split_once(';').expect("attributes").0)
}

#[test]
fn a_page_notes_the_name_of_the_login_and_a_program_that_it_had_the_token() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let id = failed(&outbox, &server, "no");
    server.answer_with(|_| Reply::status(400));
    let change = |who: &Client, name: &str| {
        let id = id.to_string();
        let fields = [("change", name), ("id", id.as_str())];
        match who.get("/pauses").body.contains("csrf") {
            true => who.submit("/jobs/change", &fields).expect(303),
            false => who.post("/jobs/change", &fields).expect(303),
        };
        outbox.settled(id.parse().expect("a number"));
    };
    let anna = named(client.clone(), " Anna <b>Lee</b>\u{7} ");
    change(&anna, "retry");
    change(&client.clone().logged_in(), "retry");
    change(&client.bearer(), "retry");
    assert_acts(
        &outbox,
        id,
        &[("retry", "page", "Anna <b>Lee</b>"), ("retry", "page", "-"), ("retry", "page", "token")],
    );
    let page = anna.get(&format!("/jobs/{id}")).expect(200);
    page.shows("Who did what");
    page.shows("page: Anna &lt;b&gt;Lee&lt;/b&gt;");
}

#[test]
fn a_change_by_filter_from_the_page_has_the_name_too() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    outbox.execute("INSERT INTO outbox_pauses (reason) VALUES ('test')");
    let ids: Vec<i64> = (1..=3).map(|case| outbox.chat(case, "hi")).collect();
    let anna = named(client, "Anna");
    anna.submit("/jobs/change", &[("change", "cancel"), ("which", "all")]).expect(303);
    for id in ids {
        outbox.when_status(id, "cancelled");
        assert_acts(&outbox, id, &[("cancel", "page", "Anna")]);
    }
}

/// A daemon with a job that is uncertain, and the job.
fn uncertain(server: &Server) -> (Outbox, Daemon, i64) {
    let more = "[web]\nlisten = \"127.0.0.1:0\"\ntoken_env = \"WEB_TOKEN\"\n\n[channels.chat]\non_uncertain = \"hold\"";
    let outbox = setup(server).more(more).ready();
    let daemon = start(&outbox);
    server.queue([Reply::drop()]);
    let id = outbox.chat(8, "did it arrive?");
    assert_eq!(outbox.settled(id)["status"], "uncertain");
    (outbox, daemon, id)
}

#[test]
fn a_resolution_and_a_look_are_noted() {
    let server = Server::start();
    let (outbox, daemon, id) = uncertain(&server);
    daemon.sigterm();
    daemon.wait(crate::support::SOON).expect(0);
    let by_anna = by(&outbox, "anna");
    by_anna.run(&["resolve", &id.to_string(), "--verify"]).expect(0);
    by_anna.run(&["resolve", "--case", "8", "--verify"]).expect(0);
    by_anna.run(&["resolve", &id.to_string(), "--failed"]).expect(0);
    let deeds: Vec<_> = acts(&outbox, id).into_iter().map(|(deed, ..)| deed).collect();
    assert_eq!(deeds, ["verify", "verify", "resolve_failed"]);
    assert!(acts(&outbox, id).iter().all(|(_, _, name)| name.starts_with("anna (sudo")));
}

#[test]
fn trying_now_is_noted() {
    let server = Server::start();
    server.answer_with(|_| Reply::status(503));
    let outbox = Outbox::setup(&server).retry("initial = \"1h\"\nmax = \"1h\"").ready();
    let daemon = outbox.daemon();
    let id = outbox.chat(1, "hi");
    outbox.when(id, "in backoff", |row: &Row| row["wait"] == "backoff");
    daemon.sigterm();
    daemon.wait(crate::support::SOON).expect(0);
    outbox.run(&["retry", &id.to_string(), "--now"]).expect(0);
    outbox.run(&["retry", "--all", "--now"]).expect(0);
    let deeds: Vec<_> = acts(&outbox, id).into_iter().map(|(deed, by, _)| (deed, by)).collect();
    let command = || ("try_now".to_owned(), "command".to_owned());
    assert_eq!(deeds, [command(), command()]);
}

#[test]
fn a_rehearsal_and_a_refusal_are_no_acts() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "hi");
    outbox.run(&["cancel", &id.to_string(), "--dry-run"]).expect(0);
    outbox.run(&["retry", &id.to_string()]).expect(1);
    outbox.try_query(&format!("UPDATE outbox SET status = 'sent' WHERE id = {id}")).unwrap_err();
    assert_acts(&outbox, id, &[]);
}

#[test]
fn acts_are_bounded_and_go_with_their_job() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let (id, other) = (outbox.add(Job::chat(1, "hi").tomorrow()), outbox.chat(2, "other"));
    outbox.execute(&format!("UPDATE outbox SET status = 'cancelled' WHERE id = {other}"));
    for round in 0..60 {
        outbox.execute(&format!(
            "UPDATE outbox SET priority = 1, source = '{round}' WHERE id = {id}"
        ));
        outbox.execute(&format!("UPDATE outbox SET priority = 0 WHERE id = {id}"));
    }
    let count = format!("SELECT count(*) FROM outbox_acts WHERE job_id = {id}");
    assert_eq!(outbox.number(&count), 100);
    assert_eq!(acts(&outbox, id).len(), 100);
    outbox.run(&["cancel", &id.to_string()]).expect(0);
    outbox.run(&["prune", &id.to_string()]).expect(0);
    assert_eq!(outbox.number(&count), 0);
    outbox.execute(&format!("DELETE FROM outbox WHERE id = {other}"));
    assert_eq!(outbox.number("SELECT count(*) FROM outbox_acts"), 0);
}

#[test]
fn the_interface_has_the_acts() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let id = failed(&outbox, &server, "no");
    server.answer_with(|_| Reply::status(400));
    outbox.run(&["retry", &id.to_string()]).expect(0);
    let answer = client.bearer().get(&format!("/api/jobs/{id}")).expect(200);
    let job: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(job["acts"][0]["deed"], "retry");
    assert_eq!(job["acts"][0]["keeps_payload"], false);
    assert!(job["acts"][0].get("payload").is_none(), "{job}");
}
