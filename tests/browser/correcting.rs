//! A message is corrected and sent again, and a new one is sent, by hand.

use super::{Browser, TOKEN, failed, setup, start};
use crate::support::Server;
use fantoccini::key::Key;

#[test]
#[ignore = "heavy: a browser"]
fn a_failed_message_is_corrected_and_sent_again_and_the_page_says_by_whom() {
    let server = Server::start();
    let outbox = setup(&server).ready();
    let (_daemon, address) = start(&outbox);
    let id = failed(&outbox, &server);
    // Nothing here needs a script.
    let Some(browser) = Browser::without_scripts(&address) else { return };
    browser.goto(&format!("/jobs/{id}"));
    browser.type_into("#token", TOKEN);
    browser.type_into("#name", "Anna");
    browser.click("form button");
    browser.wait_for_text("h1", &format!("Job {id}"));
    browser.click("#edit");
    browser.wait_for_text("h1", "send it again");
    browser.type_into("#field-caseId", "x");
    browser.click("#send-again");
    browser.wait_for_text("#wrong", "Nothing was sent");
    browser.wait_for_text("#field-caseId-about", "must be a whole number");
    let back = char::from(Key::Backspace);
    browser.type_into("#field-caseId", &format!("{back}{back}8"));
    browser.type_into("#field-message", " indeed");
    browser.click("#send-again");
    browser.wait_for_text("#flash", "Corrected, and sent again.");
    assert_eq!(outbox.settled(id)["status"], "sent");
    let payload = outbox.row(id).json("payload");
    assert!(payload["message"].as_str().is_some_and(|text| text.contains("indeed")), "{payload}");
    browser.goto(&format!("/jobs/{id}"));
    browser.wait_for_text("#acts-of", "page: Anna");
    browser.wait_for_text("#acts-of", "changed: payload");
}

#[test]
#[ignore = "heavy: a browser"]
fn a_message_is_sent_from_the_page_in_three_clicks() {
    let server = Server::start();
    let outbox = setup(&server).ready();
    let (_daemon, address) = start(&outbox);
    let Some(browser) = Browser::on(&address) else { return };
    browser.log_in(TOKEN);
    browser.goto("/jobs");
    browser.click("#send-message");
    browser.wait_for_text("h1", "Send a message");
    browser.type_into("#field-caseId", "2069");
    browser.type_into("#field-message", "tried out");
    browser.click("#send");
    browser.wait_for_text("#flash", "in the queue");
    server.wait_for_words("tried out");
    browser.wait_for_text("#now", "sent");
    // Going back and sending the same form again sends nothing.
    browser.run("history.back();");
    browser.wait_for_text("h1", "Send a message");
    assert_eq!(outbox.number("SELECT count(*) FROM outbox"), 1);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
