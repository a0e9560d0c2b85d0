//! Where is my customer's message? And nothing is torn from the hand of who looks for it.

use super::{Browser, TOKEN, failed, setup, start};
use crate::support::{Job, Outbox, Reply, SOON, Server, eventually};
use fantoccini::key::Key;
use serde_json::{Value, json};
use std::time::Instant;

/// Types into the box and sends it.
fn search(browser: &Browser, text: &str) {
    browser.type_into("input[name=q]", &format!("{text}{}", char::from(Key::Enter)));
}

/// Why was it not delivered? By the customer's phone number: one search, no other click.
#[test]
#[ignore = "heavy: a browser"]
fn by_a_phone_number_to_the_reason_in_one_search() {
    let server = Server::start();
    let outbox = setup(&server).ready();
    let (_daemon, address) = start(&outbox);
    server.queue([Reply::json(
        400,
        json!({"error": "ERROR_INVALID_INPUT", "message": "no such thread"}),
    )]);
    let id = outbox.add(Job::sms(2069, "x").field("To", json!("+12513183181")));
    assert_eq!(outbox.settled(id)["status"], "failed");
    let Some(browser) = Browser::on(&address) else { return };
    browser.log_in(TOKEN);
    browser.clicks_since_last();
    let began = Instant::now();
    search(&browser, "+1 251 318-3181");
    browser.wait_for_text("h1", &format!("Job {id}"));
    browser.wait_for_text("#now", "no such thread");
    assert_eq!(browser.path(), format!("/jobs/{id}"));
    eprintln!(
        "by phone number to the reason: 1 search, {} clicks, {:.1} s",
        browser.clicks_since_last(),
        began.elapsed().as_secs_f64()
    );
    // Two jobs: both readings of a number, and no address has it.
    outbox.add(Job::sms(2069, "x").field("To", json!("+12513183181")).tomorrow());
    search(&browser, "+12513183181");
    browser.wait_for_text("main", "phone number +12513183181: 2 jobs");
    assert_eq!(browser.path(), "/search");
    browser.click("main a[href^='/jobs?contact=']");
    browser.wait_for_text("#list", "no such thread");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "heavy: a browser"]
fn ten_uncertain_jobs_are_resolved_one_after_the_other() {
    let server = Server::start();
    let outbox = Outbox::setup(&server)
        .more(
            "[web]\nlisten = \"127.0.0.1:0\"\ntoken_env = \"WEB_TOKEN\"\n\
             [channels.chat]\non_uncertain = \"hold\"",
        )
        .ready();
    let (_daemon, address) = start(&outbox);
    server.queue((0..10).map(|_| Reply::status(502)));
    let ids: Vec<_> = (0..10).map(|case| outbox.chat(case, "who knows")).collect();
    for id in &ids {
        outbox.when_status(*id, "uncertain");
    }
    let Some(browser) = Browser::on(&address) else { return };
    browser.log_in(TOKEN);
    browser.clicks_since_last();
    let began = Instant::now();
    browser.click("#verdict li[data-reason=uncertain] a");
    browser.click(&format!("#list a[href='/jobs/{}']", ids[9]));
    // After the last one, the first.
    for id in [&ids[9..], &ids[..9]].concat() {
        browser.wait_for_text("h1", &format!("Job {id}"));
        browser.click("#do-resolve_sent");
        browser.wait_for_text("h1", "as sent?");
        browser.click("main button.primary");
    }
    browser.wait_for_text("#list", "No jobs match.");
    let clicks = browser.clicks_since_last();
    eprintln!(
        "ten uncertain jobs resolved: {clicks} clicks, {:.1} s",
        began.elapsed().as_secs_f64()
    );
    assert_eq!(outbox.count("sent"), 10);
}

/// A focus, a checked box, a selection and an open part stay, while all else follows.
#[test]
#[ignore = "heavy: a browser"]
fn a_refresh_takes_nothing_from_the_hand() {
    let server = Server::start();
    let outbox = setup(&server).ready();
    let (_daemon, address) = start(&outbox);
    let ids = [failed(&outbox, &server), failed(&outbox, &server), failed(&outbox, &server)];
    let Some(browser) = Browser::on(&address) else { return };
    browser.log_in(TOKEN);
    browser.goto("/jobs");
    browser.run(&format!(
        "window.row = document.getElementById('job-{0}');
         window.link = window.row.querySelector('a');
         window.link.focus();",
        ids[1]
    ));
    // A job more: the row is the same one, and has the focus.
    let new = outbox.chat(1, "hi");
    browser.wait_for_text("#list", &format!("\n{new}"));
    let same = "return document.getElementById(arguments.length ? '' : window.row.id) === window.row \
                && document.activeElement === window.link;";
    assert_eq!(browser.run(same), true);
    // A checked box: no row moves, and what changes in a row is shown.
    browser.click(&format!("#check-{}", ids[0]));
    outbox.run(&["retry", &ids[2].to_string()]).expect(0);
    browser.wait_for_text(&format!("#job-{} td[data-label=state]", ids[2]), "sent");
    let more = outbox.chat(2, "hi");
    outbox.settled(more);
    outbox.run(&["retry", &ids[1].to_string()]).expect(0);
    browser.wait_for_text(&format!("#job-{} td[data-label=state]", ids[1]), "sent");
    assert_eq!(
        browser.run(&format!("return document.getElementById('check-{}').checked;", ids[0])),
        true
    );
    assert_eq!(browser.run(&format!("return document.getElementById('job-{more}');")), Value::Null);
    browser.click(&format!("#check-{}", ids[0]));
    browser.wait_for_text("#list", &format!("\n{more}"));
    // Selected text: its part waits until the selection ends.
    browser.goto("/");
    browser.run("getSelection().selectAllChildren(document.querySelector('#groups td.error'));");
    let chosen = browser.run("return getSelection().toString();");
    assert_ne!(chosen, "");
    failed(&outbox, &server);
    browser.wait_for_text(".tile.failed", "2");
    assert_eq!(browser.run("return getSelection().toString();"), chosen);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "heavy: a browser"]
fn boxes_are_checked_together() {
    let server = Server::start();
    let outbox = setup(&server).ready();
    let (_daemon, address) = start(&outbox);
    let ids: Vec<_> = (0..5).map(|_| failed(&outbox, &server)).collect();
    let Some(browser) = Browser::on(&address) else { return };
    browser.log_in(TOKEN);
    browser.goto("/jobs?status=failed");
    let checked =
        || browser.run("return document.querySelectorAll('input[name=id]:checked').length;");
    browser.click("#check-page");
    assert_eq!(checked(), 5);
    browser.click("#check-page");
    assert_eq!(checked(), 0);
    browser.click(&format!("#check-{}", ids[3]));
    let shift = format!(
        "document.getElementById('check-{}').dispatchEvent(new MouseEvent('click', {{bubbles: true, shiftKey: true}}));",
        ids[1]
    );
    browser.run(&shift);
    assert_eq!(checked(), 3);
    browser.click("button[value=retry]");
    browser.wait_for_text("h1", "Retry 3 jobs?");
}

/// Chromium gives a page the clipboard where it is secure, as on this machine; what was copied is pasted.
#[test]
#[ignore = "heavy: a browser"]
fn what_is_copied_is_what_is_shown() {
    let server = Server::start();
    let outbox = setup(&server).ready();
    let (_daemon, address) = start(&outbox);
    let id = failed(&outbox, &server);
    let Some(browser) = Browser::on(&address) else { return };
    browser.log_in(TOKEN);
    let copied = |css: &str| {
        // What a script could not write there, the page's own command copies.
        browser.run(
            "window.copied = null;
             document.execCommand = () => { window.copied = document.activeElement.value; return true; };
             Object.defineProperty(navigator, 'clipboard', {value: undefined, configurable: true});",
        );
        browser.click(css);
        browser.wait_for_text("main", "Copied");
        browser.run("return window.copied;")
    };
    browser.goto(&format!("/jobs/{id}"));
    assert_eq!(copied(&format!("button[data-copy='{id}']")), json!(id.to_string()));
    browser.goto(&format!("/jobs/{id}"));
    let error = copied("button[data-copy^='ERROR_INVALID_INPUT']");
    assert!(error.as_str().unwrap().contains("no such case"), "{error}");
    browser.click("#show-text");
    browser.wait_for_text("#text", "a secret word");
    let payload = copied("button[data-copy-from=text]");
    let payload: Value = serde_json::from_str(payload.as_str().unwrap()).unwrap();
    assert_eq!(payload["message"], "a secret word");
    browser.click("#request summary");
    eventually(SOON, "the first one is ready again", || !browser.source().contains(">Copied<"));
    let curl = copied("button[data-copy-from=curl]");
    let curl = curl.as_str().unwrap();
    assert!(
        curl.starts_with("curl 'http://127.0.0.1") && curl.contains("$ACQUIRE_API_KEY"),
        "{curl}"
    );
}

/// By a tap, because a phone has no pointer that rests on a time; it stays so on the next page.
#[test]
#[ignore = "heavy: a browser"]
fn a_tap_shows_exact_times_in_utc_and_here() {
    let server = Server::start();
    let outbox = setup(&server).ready();
    let (_daemon, address) = start(&outbox);
    let id = failed(&outbox, &server);
    let Some(browser) = Browser::on(&address) else { return };
    browser.devtools("Emulation.setTimezoneOverride", json!({"timezoneId": "Asia/Kolkata"}));
    browser.log_in(TOKEN);
    browser.goto("/jobs");
    browser.wait_for_text("#list", "ago");
    browser.click("#list time");
    browser.wait_for_text("#list", " UTC (");
    browser.goto(&format!("/jobs/{id}"));
    browser.wait_for_text("#now", " local)");
    let shown = browser.run(
        "const time = document.querySelector('#now time');
         const here = /\\((\\S+ \\S+) local\\)/.exec(time.textContent)[1].replace(' ', 'T') + '+05:30';
         return Math.floor(Date.parse(time.dateTime) / 1000) * 1000 === Date.parse(here);",
    );
    assert_eq!(shown, true);
    browser.click("#times");
    browser.wait_for_text("#now", "ago");
}

#[test]
#[ignore = "heavy: a browser"]
fn a_long_source_does_not_push_the_error_out() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let daemon = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]).ready();
    let long = format!("'{}'", "a-source-without-any-place-to-break-it-".repeat(8));
    server.queue([Reply::json(
        400,
        json!({"error": "ERROR_INVALID_INPUT", "message": "no such case"}),
    )]);
    outbox.settled(outbox.add(Job::mail(1, "x").column("source", &long)));
    let Some(browser) = Browser::on(&daemon.listens_on()) else { return };
    browser.goto("/jobs");
    let seen = browser.run(
        "const error = document.querySelector('td.error').getBoundingClientRect();
         const source = document.querySelector('td.source').getBoundingClientRect();
         return error.width > 200 && error.right < source.left + 1 && source.width < 250;",
    );
    assert_eq!(seen, true);
    browser.click("th a.sort[href*='sort=error']");
    browser.wait_for_text("th[aria-sort=ascending]", "error");
}
