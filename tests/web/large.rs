//! What the pages show of what has no end: its beginning, and how much there is.

use super::client::dashboard;
use crate::support::{Engine, Job, Outbox, Server, quoted};
use serde_json::json;

/// A job that nobody sends, with these words.
fn waiting(outbox: &Outbox, words: &str) -> i64 {
    outbox.add(Job::chat(1, words).tomorrow())
}

#[test]
fn of_a_long_text_and_a_long_receipt_the_beginning_is_shown() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let words = format!("Dear Ada{}the end of it", "é".repeat(500_000));
    let id = waiting(&outbox, &words);
    // `jsonb` puts the shorter name first.
    let receipt = json!({"caseId": 1, "moreText": "0".repeat(200_000) + "the very last"});
    let receipt = quoted(&receipt.to_string());
    outbox.execute(&format!(
        "UPDATE outbox SET moves = moves + 1, receipt = {receipt} WHERE id = {id}"
    ));
    let person = client.logged_in();
    let page = person.get(&format!("/jobs/{id}")).expect(200);
    page.shows("caseId&quot;:");
    page.shows("The rest is not shown: 200,");
    page.hides("the very last");
    let text = person.submit(&format!("/jobs/{id}/text"), &[]).expect(200);
    text.shows("Dear Ada");
    text.shows("The rest is not shown: 1,000,");
    text.hides("the end of it");
    assert!(text.body.len() < 300_000, "{}", text.body.len());
}

#[test]
fn of_many_attempts_the_newest_are_shown_and_all_are_counted() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let id = waiting(&outbox, "hi");
    let zeros = "0".repeat(4000);
    let attempt = |n: i64| {
        let started = Engine::of_this_run().time(n);
        format!("({id}, {n}, {started}, 1, 'retry', 'error-{n}-{zeros}')")
    };
    outbox.execute(&format!(
        "INSERT INTO outbox_attempts (job_id, attempt, started_at, duration_ms, outcome, error) VALUES {}",
        (1..=1500).map(attempt).collect::<Vec<_>>().join(", ")
    ));
    let page = client.logged_in().get(&format!("/jobs/{id}")).expect(200);
    page.shows("The newest 200 of 1,500 attempts");
    page.shows("error-1500-");
    page.shows("error-1301-");
    page.hides("error-1300-");
    // Each is cut as well.
    page.hides(&"0".repeat(1001));
    page.shows("0…");
    let shown = outbox.run(&["show", &id.to_string(), "--json"]).expect(0);
    assert_eq!(shown.json()["history"].as_array().unwrap().len(), 1500);
}

#[test]
fn long_names_and_many_fields_and_pauses_are_cut() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let zeros = quoted(&"0".repeat(10_000));
    let mut job =
        Job::chat(1, "hi").tomorrow().column("source", &zeros).column("ordering_key", &zeros);
    for field in 0..80 {
        job = job.field(&format!("more{field}{}", "x".repeat(1500)), 1.into());
    }
    let id = outbox.add(job);
    let pauses: Vec<_> = (1..=300).map(|n| format!("('shop{n}', 'sms', {zeros})")).collect();
    outbox.execute(&format!(
        "INSERT INTO outbox_pauses (account, channel, reason) VALUES {}",
        pauses.join(", ")
    ));
    let person = client.logged_in();
    let job = format!("/jobs/{id}");
    person.get(&job).expect(200).shows(" and others");
    person.get(&job).hides(&"x".repeat(1001));
    for path in [&job, "/jobs", "/", "/pauses"] {
        person.get(path).expect(200).hides(&"0".repeat(1001));
    }
    for path in ["/", "/pauses"] {
        let page = person.get(path);
        page.shows("There are more");
        assert_eq!(page.body.matches("0…").count(), 200 + 2 * usize::from(path == "/"), "{path}");
    }
}
