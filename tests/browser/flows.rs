//! What operators do all day, each with its number of clicks and its time, as docs/dashboard.md lists them.

use super::{Browser, TOKEN, setup, start};
use crate::support::{Job, Outbox, Reply, Server};
use serde_json::json;
use std::time::{Duration, Instant};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Prints what a flow has cost since the last one.
fn report(browser: &Browser, flow: &str, began: Instant) {
    let clicks = browser.clicks_since_last();
    eprintln!("{flow}: {clicks} clicks, {:.1} s", began.elapsed().as_secs_f64());
}

fn logged_in(address: &str) -> Option<Browser> {
    let browser = Browser::on(address)?;
    browser.log_in(TOKEN);
    browser.clicks_since_last();
    Some(browser)
}

fn not_found() -> Reply {
    Reply::json(404, json!({"error": "ERROR_RECORD_NOT_FOUND", "message": "no such case"}))
}

#[test]
#[ignore = "heavy: a browser"]
fn yesterdays_404s_are_sent_again() {
    let server = Server::start();
    let outbox = setup(&server).ready();
    let (_daemon, address) = start(&outbox);
    server.queue((0..3).map(|_| not_found()));
    let ids: Vec<_> = (0..3).map(|case| outbox.chat(case, "hi")).collect();
    for id in &ids {
        assert_eq!(outbox.settled(*id)["status"], "failed");
    }
    // Today's noon may be less than a day from any moment, but a day before now is always yesterday.
    outbox.move_back("finished_at", DAY, "status = 'failed'");
    server.queue([not_found()]);
    let today = outbox.chat(9, "hi");
    assert_eq!(outbox.settled(today)["status"], "failed");
    let Some(browser) = logged_in(&address) else { return };
    let began = Instant::now();
    browser.click("nav a[href='/jobs']");
    browser.wait_for_text("h1", "Jobs");
    browser.click_text(".presets a", "Failed yesterday");
    browser.wait_for_text(".presets [aria-current]", "Failed yesterday");
    browser.type_into("input[name=error]", "404");
    browser.click(".filter button.primary");
    browser.wait_for_text("#list", "1 to 3");
    browser.click("input[name=which][value=all]");
    browser.click("button[value=retry]");
    browser.wait_for_text("h1", "Retry 3 jobs?");
    browser.click("main button.primary");
    browser.wait_for_text("#flash", "3 jobs retried.");
    report(&browser, "yesterday's 404s sent again", began);
    for id in ids {
        assert_eq!(outbox.settled(id)["status"], "sent");
    }
    assert_eq!(outbox.status(today), "failed");
}

#[test]
#[ignore = "heavy: a browser"]
fn sms_is_paused_for_an_hour() {
    let server = Server::start();
    let outbox = setup(&server).ready();
    let (_daemon, address) = start(&outbox);
    let Some(browser) = logged_in(&address) else { return };
    let began = Instant::now();
    browser.click("nav a[href='/pauses']");
    browser.choose("select[name=channel]", "sms");
    browser.choose("select[name=account]", "every account");
    browser.choose("select[name=for]", "after an hour");
    browser.type_into("input[name=reason]", "the provider moves");
    browser.click("form.stack button.primary");
    browser.wait_for_text("h1", "Pause sms?");
    browser.click("main button.primary");
    browser.wait_for_text("#flash", "sms");
    report(&browser, "SMS paused for an hour", began);
    let pause = outbox.one("SELECT channel, reason, until - since AS length FROM outbox_pauses");
    assert_eq!(
        (&pause["channel"], &pause["reason"]),
        (&json!("sms"), &json!("the provider moves"))
    );
    let length = pause["length"].as_i64().unwrap();
    assert!((3_590_000..=3_610_000).contains(&length), "{pause:?}");
}

#[test]
#[ignore = "heavy: a browser"]
fn the_source_whose_jobs_fail_is_on_the_overview() {
    let server = Server::start();
    let outbox = setup(&server).ready();
    let (_daemon, address) = start(&outbox);
    server.queue((0..3).map(|_| not_found()));
    for source in ["'noisy'", "'noisy'", "'noisy'", "'quiet'", "'quiet'"] {
        outbox.settled(outbox.add(Job::chat(1, "hi").column("source", source)));
    }
    let Some(browser) = logged_in(&address) else { return };
    let began = Instant::now();
    browser.wait_for_text("#by-source", "100.0%");
    browser.click("#by-source td[data-label=failed] a");
    browser.wait_for_text("#list", "1 to 3");
    browser.wait_for_text("#list", "noisy");
    report(&browser, "the noisy source and its failed jobs", began);
}

#[test]
#[ignore = "heavy: a browser"]
fn which_account_is_refused_is_on_top_of_every_page() {
    let server = Server::answering(|_| Reply::json(401, json!({"error": "ERROR_UNAUTHORIZED"})));
    let good = Server::start();
    let shop =
        format!("[accounts.shop]\nbase_url = \"{}\"\napi_key_file = \"key\"", server.base_url());
    let web = "[web]\nlisten = \"127.0.0.1:0\"\ntoken_env = \"WEB_TOKEN\"";
    let outbox: Outbox = Outbox::setup(&good).more(&format!("{shop}\n{web}")).ready();
    let (_daemon, address) = start(&outbox);
    let waiting = outbox.add(Job::chat(1, "hi").column("account", "'shop'"));
    server.wait_for(1);
    let Some(browser) = logged_in(&address) else { return };
    let began = Instant::now();
    browser.wait_for_text("#verdict", "shop");
    browser.click("#verdict li[data-reason] a");
    browser.wait_for_text("#list", &waiting.to_string());
    report(&browser, "the refused account and its jobs", began);
}
