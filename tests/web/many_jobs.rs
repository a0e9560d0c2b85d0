//! Changes of many jobs: what is offered, what is left alone, and how one that takes long is seen and stopped.

use super::client::{dashboard, failed};
use crate::support::{Job, SOON, Server, eventually, sqlite_only, write_lock};

#[test]
fn where_nothing_is_checked_the_list_says_so_and_a_program_gets_an_error() {
    let server = Server::start();
    let (_outbox, _daemon, client) = dashboard(&server);
    let person = client.clone().logged_in();
    let fields = [("change", "retry"), ("status", "failed")];
    let back = person.submit("/jobs/confirm", &fields).expect(303);
    assert_eq!(back.header("location"), Some("/jobs?status=failed"));
    person.get("/jobs?status=failed").expect(200).shows("No job is selected");
    client.bearer().post("/jobs/confirm", &fields).expect(400).shows("No job is selected");
}

#[test]
fn checked_jobs_that_cannot_be_changed_are_named_and_left_as_they_are() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let waits = outbox.add(Job::chat(1, "x").tomorrow());
    let sent = outbox.chat(2, "x");
    outbox.settled(sent);
    let person = client.logged_in();
    let (waits, sent) = (waits.to_string(), sent.to_string());
    let both = [("change", "cancel"), ("id", waits.as_str()), ("id", sent.as_str())];
    let asked = person.submit("/jobs/confirm", &both).expect(200);
    asked.shows("<h1>Cancel 1 job?</h1>");
    asked.shows(">Cancel 1 job</button>");
    asked.shows(">Keep them</a>");
    asked.shows(&format!("Not changed: job {sent} (sent)."));
    asked.hides(&format!("name=\"id\" value=\"{sent}\""));
    let one = [("change", "cancel"), ("id", sent.as_str())];
    let nothing = person.submit("/jobs/confirm", &one).expect(200);
    nothing.shows("Nothing to do");
    nothing.shows(&format!("job {sent} (sent)"));
}

#[test]
fn a_list_of_one_state_offers_only_what_fits_it() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    failed(&outbox, &server, "no");
    outbox.settled(outbox.chat(1, "x"));
    let person = client.logged_in();
    let buttons = ["retry", "cancel", "resolve_sent", "resolve_failed", "verify", "try_now"];
    for (filter, fit) in [
        ("", &buttons[..]),
        ("?status=failed", &["retry"]),
        ("?status=sent", &[]),
        ("?status=failed&status=sent", &["retry"]),
    ] {
        let page = person.get(&format!("/jobs{filter}")).expect(200);
        for button in buttons {
            let is_there = page.body.contains(&format!("name=\"change\" value=\"{button}\""));
            assert_eq!(is_there, fit.contains(&button), "{filter}: {button}");
        }
    }
}

#[test]
fn a_change_of_many_jobs_can_be_stopped() {
    sqlite_only!("one program at a time may write a file");
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let id = outbox.add(Job::chat(1, "x").tomorrow());
    let person = client.logged_in();
    let csrf = person.csrf();
    let (release, holder) = write_lock(outbox.database());
    let fields = [("csrf", csrf.as_str()), ("change", "cancel"), ("which", "all")];
    person.post("/jobs/change", &fields).expect(303);
    person.get("/").expect(200).shows("Stop after this batch");
    person.post("/jobs/stop", &[("csrf", csrf.as_str())]).expect(303);
    eventually(SOON, "the end", || {
        !person.clone().with("x-live", "1").get("/").body.contains("In progress")
    });
    release.send(()).unwrap();
    holder.join().unwrap();
    person.get("/").expect(200).shows("0 jobs cancelled, then it was stopped.");
    assert_eq!(outbox.status(id), "pending");
}

#[test]
fn a_change_that_takes_long_goes_on_by_itself_and_is_the_only_one() {
    sqlite_only!("one program at a time may write a file");
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let ids: Vec<i64> = (0..3).map(|case| outbox.add(Job::chat(case, "x").tomorrow())).collect();
    let person = client.logged_in();
    let csrf = person.csrf();
    let fields = [("csrf", csrf.as_str()), ("change", "cancel"), ("which", "all")];
    outbox.database().with(async |connection| {
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await.unwrap();
        person.post("/jobs/change", &fields).expect(303);
        let page = person.get("/").expect(200);
        page.shows("There are many jobs: the change continues");
        page.shows("In progress: 0 of 3 jobs cancelled so far.");
        person.post("/jobs/change", &fields).expect(409).shows("in progress");
        sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.unwrap();
    });
    for id in ids {
        outbox.when_status(id, "cancelled");
    }
    eventually(SOON, "the end", || {
        !person.clone().with("x-live", "1").get("/").body.contains("In progress")
    });
    person.get("/").expect(200).shows("3 jobs cancelled.");
}
