//! Retry, cancel, resolve, pause: asked for on a page, done in the database, reported on the next page.

use super::client::{Client, dashboard, failed, setup};
use crate::support::{Gate, Job, Outbox, Reply, Server, sqlite_only};

/// A job whose outcome is unknown.
fn uncertain(outbox: &Outbox, server: &Server) -> i64 {
    server.queue([Reply::drop()]);
    let id = outbox.chat(8, "did it arrive?");
    assert_eq!(outbox.settled(id)["status"], "uncertain");
    id
}

fn holding(server: &Server) -> (Outbox, crate::support::Daemon, Client) {
    let more = "[web]\nlisten = \"127.0.0.1:0\"\ntoken_env = \"WEB_TOKEN\"\n\n[channels.chat]\non_uncertain = \"hold\"";
    let outbox = setup(server).more(more).ready();
    let daemon = super::client::start(&outbox);
    let client = Client::of(&daemon);
    (outbox, daemon, client)
}

#[test]
fn a_failed_job_is_sent_again_at_once() {
    let server = Server::start();
    let (outbox, mut daemon, client) = dashboard(&server);
    let id = failed(&outbox, &server, "no");
    let person = client.logged_in();
    let page = format!("/jobs/{id}");
    person.get(&page).shows("Retry");
    let fields = [("change", "retry"), ("id", &id.to_string()), ("back", &page)];
    let answer = person.submit("/jobs/change", &fields).expect(303);
    assert_eq!(answer.header("location"), Some(page.as_str()));
    assert_eq!(outbox.settled(id)["status"], "sent");
    person.get(&page).expect(200).shows("1 job retried.");
    daemon.wait_for_log("from the dashboard");
    // It is told once.
    person.get(&page).expect(200).hides("1 job retried.");
}

#[test]
fn a_program_acts_with_the_token_alone() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let id = failed(&outbox, &server, "no");
    let program = client.bearer();
    program.post("/jobs/change", &[("change", "retry"), ("id", &id.to_string())]).expect(303);
    assert_eq!(outbox.settled(id)["status"], "sent");
    let elsewhere = program.with("origin", "https://evil.example.com");
    elsewhere.post("/pauses/pause", &[]).expect(403);
}

#[test]
fn the_script_that_refreshes_takes_no_message_away() {
    let server = Server::start();
    let (_outbox, _daemon, client) = dashboard(&server);
    let person = client.logged_in();
    person.submit("/pauses/pause", &[("channel", "sms"), ("reason", "night")]).expect(303);
    person.clone().with("x-live", "1").get("/pauses").expect(200).hides("Paused: sms");
    person.get("/pauses").expect(200).shows("Paused: sms.");
}

#[test]
fn a_job_that_waits_is_cancelled_after_a_question() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let tomorrow = Job::chat(1, "tomorrow").tomorrow();
    let id = outbox.add(tomorrow).to_string();
    let person = client.logged_in();
    let fields = [("change", "cancel"), ("id", id.as_str())];
    let asked = person.submit("/jobs/confirm", &fields).expect(200);
    asked.shows("Cancel 1 job?");
    assert_eq!(outbox.status(id.parse().unwrap()), "pending");
    person.submit("/jobs/change", &fields).expect(303);
    assert_eq!(outbox.status(id.parse().unwrap()), "cancelled");
}

#[test]
fn a_job_in_backoff_is_tried_now_without_a_question() {
    let server = Server::start();
    server.answer_with(|_| Reply::status(503));
    let retry = "initial = \"1h\"\nmax = \"1h\"";
    let outbox = setup(&server).retry(retry).ready();
    let ids = [1, 2].map(|case| outbox.chat(case, "later"));
    let daemon = super::client::start(&outbox);
    for id in ids {
        outbox.when(id, "in backoff", |row| row.int("attempts") == 1 && row["status"] == "pending");
    }
    server.answer_with(Reply::accepted);
    let person = Client::of(&daemon).logged_in();
    let page = format!("/jobs/{}", ids[0]);
    person.get(&page).expect(200).shows("formaction=\"/jobs/change\"");
    let fields = [("change", "try_now"), ("id", &ids[0].to_string()), ("back", &page)];
    person.submit("/jobs/change", &fields).expect(303);
    assert_eq!(outbox.settled(ids[0])["status"], "sent");
    person.get(&page).expect(200).hides("Try now");
    assert_eq!(outbox.status(ids[1]), "pending");
    // All in backoff, and no other pending one.
    let tomorrow = outbox.add(Job::chat(3, "tomorrow").tomorrow());
    let all = [("change", "try_now"), ("which", "all")];
    person.submit("/jobs/confirm", &all).expect(200).shows("Try 1 job now?");
    person.submit("/jobs/change", &all).expect(303);
    assert_eq!(outbox.settled(ids[1])["status"], "sent");
    assert_eq!(outbox.status(tomorrow), "pending");
}

#[test]
fn an_uncertain_job_is_resolved_by_a_person() {
    let server = Server::start();
    let (outbox, _daemon, client) = holding(&server);
    let person = client.logged_in();
    for (change, status) in
        [("resolve_sent", "sent"), ("resolve_failed", "failed"), ("retry", "sent")]
    {
        let id = uncertain(&outbox, &server);
        let page = person.get(&format!("/jobs/{id}")).expect(200);
        page.shows("Resolve as sent");
        page.shows("Resolve as failed");
        let id_text = id.to_string();
        let fields = [("change", change), ("id", id_text.as_str())];
        let asked = person.submit("/jobs/confirm", &fields).expect(200);
        if change == "retry" {
            asked.shows("may arrive a second time");
        }
        person.submit("/jobs/change", &fields).expect(303);
        assert_eq!(outbox.settled(id)["status"], status, "{change}");
    }
}

#[test]
fn what_cannot_be_changed_is_told_with_its_reason() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let sent = outbox.chat(1, "hi");
    outbox.settled(sent);
    let refused = failed(&outbox, &server, "no");
    let person = client.logged_in();
    let (sent_text, refused_text) = (sent.to_string(), refused.to_string());
    let fields = [
        ("change", "retry"),
        ("id", sent_text.as_str()),
        ("id", refused_text.as_str()),
        ("id", "4711"),
    ];
    person.submit("/jobs/change", &fields).expect(303);
    let page = person.get("/").expect(200);
    page.shows(&format!("1 job retried; job {sent} was not: "));
    page.shows("(and 1 more)");
    assert_eq!(outbox.status(sent), "sent");
    assert_eq!(outbox.settled(refused)["status"], "sent");
}

#[test]
fn a_form_that_is_not_whole_changes_nothing() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let id = failed(&outbox, &server, "no").to_string();
    let person = client.logged_in();
    for (fields, words) in [
        (
            vec![("id", id.as_str())],
            "Change: must be one of retry, try_now, cancel, resolve_sent, resolve_failed",
        ),
        (vec![("change", "prune"), ("id", &id)], "Change: must be one of"),
        (vec![("change", "retry"), ("id", "seven")], "must be a whole number"),
        (vec![("change", "retry"), ("which", "some")], "Which: must be checked or all"),
        (
            vec![("change", "retry"), ("which", "all"), ("status", "lost")],
            "Status: `lost` is not one of",
        ),
    ] {
        for path in ["/jobs/confirm", "/jobs/change"] {
            person.submit(path, &fields).expect(400).shows(words);
        }
    }
    person
        .submit("/pauses/pause", &[("channel", "fax"), ("reason", "x")])
        .expect(400)
        .shows("not one of chat, mail, sms");
    assert_eq!(outbox.status(id.parse().unwrap()), "failed");
}

#[test]
fn an_action_leads_nowhere_else() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let id = failed(&outbox, &server, "no").to_string();
    let person = client.logged_in();
    let fields = [("change", "retry"), ("id", id.as_str()), ("back", "//evil.example.com/")];
    let answer = person.submit("/jobs/change", &fields).expect(303);
    assert_eq!(answer.header("location"), Some("/jobs"));
}

#[test]
fn all_that_pass_are_changed_and_no_others() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    outbox.add_all((1..=1300).map(|n| {
        let source = if n % 2 == 0 { "'shop'" } else { "'crm'" };
        Job::chat(n, "hi").column("source", source).tomorrow()
    }));
    let person = client.logged_in();
    let fields = [("change", "cancel"), ("which", "all"), ("source", "shop")];
    let asked = person.submit("/jobs/confirm", &fields).expect(200);
    asked.shows("Cancel 650 jobs?");
    asked.shows("and 640 more");
    assert_eq!(outbox.count("cancelled"), 0);
    person.submit("/jobs/change", &fields).expect(303);
    crate::support::eventually(crate::support::SOON, "all of them", || {
        outbox.count("cancelled") == 650
    });
    assert_eq!(outbox.count("pending"), 650);
    let again = person.submit("/jobs/confirm", &fields).expect(200);
    again.shows("Nothing to do");
}

#[test]
fn what_comes_after_the_question_stays_as_it_is() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let tomorrow = || outbox.add(Job::chat(1, "tomorrow").tomorrow());
    let (first, second) = (tomorrow(), tomorrow());
    let person = client.logged_in();
    let fields = [("change", "cancel"), ("which", "all")];
    let asked = person.submit("/jobs/confirm", &fields).expect(200);
    asked.shows("Cancel 2 jobs?");
    asked.shows(&format!("name=\"until\" value=\"{second}\""));
    let later = tomorrow();
    let until = second.to_string();
    let answer = [("change", "cancel"), ("which", "all"), ("until", until.as_str())];
    person.submit("/jobs/change", &answer).expect(303);
    outbox.when_status(first, "cancelled");
    outbox.when_status(second, "cancelled");
    person.get("/").expect(200).shows("2 jobs cancelled.");
    assert_eq!(outbox.status(later), "pending");
    let wrong = [("change", "cancel"), ("which", "all"), ("until", "now")];
    person.submit("/jobs/change", &wrong).expect(400).shows("must be a whole number");
    assert_eq!(outbox.status(later), "pending");
}

#[test]
fn all_means_failed_ones_for_a_retry_unless_states_are_named() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let refused = failed(&outbox, &server, "no");
    let cancelled = outbox.add(Job::chat(1, "x").tomorrow());
    outbox.run(&["cancel", &cancelled.to_string()]).expect(0);
    let person = client.logged_in();
    person.submit("/jobs/change", &[("change", "retry"), ("which", "all")]).expect(303);
    assert_eq!(outbox.settled(refused)["status"], "sent");
    assert_eq!(outbox.status(cancelled), "cancelled");
    let fields = [("change", "retry"), ("which", "all"), ("status", "sent")];
    person.submit("/jobs/change", &fields).expect(303);
    person.get("/").shows("0 jobs retried");
    let fields = [("change", "retry"), ("which", "all"), ("status", "cancelled")];
    person.submit("/jobs/change", &fields).expect(303);
    assert_ne!(outbox.status(cancelled), "cancelled");
}

#[test]
fn a_pause_holds_the_channel_until_it_is_resumed() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let person = client.logged_in();
    let fields = [("channel", "sms"), ("account", "default"), ("reason", "the provider moves")];
    let answer = person.submit("/pauses/pause", &fields).expect(303);
    assert_eq!(answer.header("location"), Some("/pauses"));
    person.get("/pauses").shows("Paused: sms of account default.");
    let held = outbox.add(Job::sms(1, "held"));
    let other = outbox.chat(1, "goes");
    outbox.settled(other);
    assert_eq!(outbox.status(held), "pending");
    let page = person.get("/pauses").expect(200);
    page.shows("the provider moves");
    page.shows("Resume sms of account default");
    person.submit("/pauses/resume", &fields[..2]).expect(303);
    assert_eq!(outbox.settled(held)["status"], "sent");
    person.submit("/pauses/resume", &fields[..2]).expect(303);
    person.get("/pauses").shows("Not paused: ");
}

#[test]
fn a_pause_of_an_account_that_nobody_configured_is_doubted() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let person = client.logged_in();
    person.submit("/pauses/pause", &[("account", "shpo"), ("reason", "why")]).expect(303);
    person.get("/pauses").shows("No account of that name was configured");
    assert_eq!(outbox.query("SELECT * FROM outbox_pauses").len(), 1);
}

#[test]
fn a_change_that_the_end_of_the_program_cuts_short_says_so() {
    sqlite_only!("one program at a time may write a file");
    let server = Server::start();
    let (outbox, daemon, client) = dashboard(&server);
    outbox.add(Job::chat(1, "x").tomorrow());
    let person = client.clone().logged_in();
    let csrf = person.csrf();
    let fields = [("csrf", csrf.as_str()), ("change", "cancel"), ("which", "all")];
    outbox.database().with(async |connection| {
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await.unwrap();
        person.post("/jobs/change", &fields).expect(303);
        daemon.sigterm();
        crate::support::eventually(crate::support::SOON, "the end of the port", || {
            std::net::TcpStream::connect(&client.address).is_err()
        });
        sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.unwrap();
    });
    let log = daemon.wait(crate::support::SOON).expect(0).stderr;
    assert!(log.contains("a change from the dashboard ended early"), "{log}");
}

#[test]
fn a_request_on_its_way_cannot_be_cancelled() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::answering(move |request| Reply::accepted(request).behind(&held));
    let (outbox, _daemon, client) = dashboard(&server);
    let id = outbox.chat(1, "hi");
    server.wait_for(1);
    let person = client.logged_in();
    person.get(&format!("/jobs/{id}")).hides("do-cancel");
    person.submit("/jobs/change", &[("change", "cancel"), ("id", &id.to_string())]).expect(303);
    person.get("/").shows("0 jobs cancelled; ");
    gate.open();
    assert_eq!(outbox.settled(id)["status"], "sent");
}
