//! The dashboard in a real browser.

mod correcting;
mod driver;
mod finding;
mod flows;
mod pictures;
mod sizes;

use crate::support::{Daemon, Job, Outbox, Reply, SOON, Server, Setup, eventually};
use driver::Browser;
use fantoccini::key::Key;
use serde_json::json;

const TOKEN: &str = "t-4c1f-long-enough-to-be-a-token";

fn setup(server: &Server) -> Setup {
    Outbox::setup(server).more("[web]\nlisten = \"127.0.0.1:0\"\ntoken_env = \"WEB_TOKEN\"")
}

fn start(outbox: &Outbox) -> (Daemon, String) {
    let daemon = outbox.program().env("WEB_TOKEN", TOKEN).start(&["run"]).ready();
    let address = daemon.listens_on();
    (daemon, address)
}

fn failed(outbox: &Outbox, server: &Server) -> i64 {
    server.queue([Reply::json(
        400,
        json!({"error": "ERROR_INVALID_INPUT", "message": "no such case"}),
    )]);
    let id = outbox.chat(7, "a secret word");
    assert_eq!(outbox.settled(id)["status"], "failed");
    id
}

/// Jobs of every kind, so that every part of a page has something in it.
fn shop(outbox: &Outbox, server: &Server) -> i64 {
    let long = "https://example.com/a-very-long-word-without-any-place-to-break-it/".repeat(4);
    server.queue([Reply::json(400, json!({"error": "ERROR_INVALID_INPUT", "message": long}))]);
    let id =
        outbox.add(Job::mail(1, "x").column("source", "'newsletter-of-november-with-a-long-name'"));
    outbox.settled(id);
    for case in 0..3 {
        outbox.settled(outbox.chat(case, "hi"));
    }
    outbox.add(Job::sms(9, "later").tomorrow());
    outbox.execute(
        "INSERT INTO outbox_pauses (channel, reason) VALUES ('sms', 'the provider moves')",
    );
    id
}

#[test]
#[ignore = "heavy: a browser"]
fn the_overview_follows_what_happens_and_keeps_its_place() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let daemon = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]).ready();
    let Some(browser) = Browser::on(&daemon.listens_on()) else { return };
    browser.goto("/");
    browser.wait_for_text(".tile.sent", "0");
    browser.run("window.same = true; document.querySelector('#figures summary').click();");
    browser.run("document.querySelector('.tile.sent a').focus();");
    outbox.settled(outbox.chat(1, "hi"));
    browser.wait_for_text(".tile.sent", "1");
    browser.wait_for_text("#newest", "sent");
    browser.wait_for_text("#figures table", "1");
    assert_eq!(browser.run("return window.same;"), true, "it was loaded again");
    assert_eq!(browser.run("return document.querySelector('#figures').open;"), true);
    let focus = browser.run("return document.activeElement.getAttribute('href');");
    assert_eq!(focus, "/jobs?status=sent");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[ignore = "heavy: a browser"]
fn a_person_logs_in_finds_a_failed_job_and_sends_it_again() {
    let server = Server::start();
    let outbox = setup(&server).ready();
    let (_daemon, address) = start(&outbox);
    let id = failed(&outbox, &server);
    let Some(browser) = Browser::on(&address) else { return };
    browser.goto(&format!("/jobs/{id}"));
    browser.type_into("#token", "not the token");
    browser.click("form button");
    browser.wait_for_text("#wrong", "Wrong token.");
    browser.type_into("#token", TOKEN);
    browser.click("form button");
    browser.wait_for_text("h1", &format!("Job {id}"));
    browser.goto("/");
    browser.click("#groups a");
    browser.wait_for_text("#list", "no such case");
    browser.click(&format!("#list a[href='/jobs/{id}']"));
    browser.wait_for_text("#now", "failed");
    assert!(!browser.source().contains("a secret word"));
    browser.click("#show-text");
    browser.wait_for_text("#text", "a secret word");
    browser.goto(&format!("/jobs/{id}"));
    browser.click("#do-retry");
    browser.wait_for_text("#flash", "1 job retried.");
    browser.wait_for_text("#now", "sent");
    browser.wait_for_text("#history", "accepted");
    assert_eq!(outbox.status(id), "sent");
    browser.click(".logout button");
    browser.wait_for_text("h1", "Log in");
    let complaints = browser.complaints();
    let expected = |line: &&String| line.contains("401");
    assert_eq!(
        complaints.iter().filter(|line| !expected(line)).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
}

#[test]
#[ignore = "heavy: a browser"]
fn checked_jobs_are_changed_after_a_question() {
    let server = Server::start();
    let outbox = setup(&server).ready();
    let (_daemon, address) = start(&outbox);
    let ids = [failed(&outbox, &server), failed(&outbox, &server), failed(&outbox, &server)];
    let Some(browser) = Browser::on(&address) else { return };
    browser.log_in(TOKEN);
    browser.goto("/jobs?status=failed");
    browser.click(&format!("#check-{}", ids[0]));
    browser.click(&format!("#check-{}", ids[1]));
    browser.click("button[value=retry]");
    browser.wait_for_text("h1", "Retry 2 jobs?");
    browser.click("main button.primary");
    browser.wait_for_text("#flash", "2 jobs retried.");
    assert_eq!(browser.path(), "/jobs?status=failed");
    assert_eq!(outbox.settled(ids[0])["status"], "sent");
    assert_eq!(outbox.settled(ids[1])["status"], "sent");
    assert_eq!(outbox.status(ids[2]), "failed");
}

#[test]
#[ignore = "heavy: a browser"]
fn the_keyboard_alone_is_enough() {
    let server = Server::start();
    let outbox = setup(&server).ready();
    let (_daemon, address) = start(&outbox);
    let id = failed(&outbox, &server);
    let Some(browser) = Browser::on(&address) else { return };
    browser.goto("/");
    // The field has the focus.
    browser.keys(&format!("{TOKEN}{}", char::from(Key::Enter)));
    browser.wait_for_text(".tile.failed", "1");
    let tab = char::from(Key::Tab).to_string();
    browser.keys(&tab);
    let focus = || browser.run("return document.activeElement.className;");
    assert_eq!(focus(), "skip");
    let outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle;");
    assert_eq!(outline, "solid", "the focus is seen");
    browser.keys(&char::from(Key::Enter).to_string());
    eventually(SOON, "the focus in the content", || {
        browser.run("return document.activeElement.id;") == "main"
    });
    // From the top to the search.
    browser.goto("/");
    for _ in 0..20 {
        if browser.run("return document.activeElement.name || '';") == "q" {
            break;
        }
        browser.keys(&tab);
    }
    browser.keys(&format!("{id}{}", char::from(Key::Enter)));
    browser.wait_for_text("h1", &format!("Job {id}"));
    for _ in 0..20 {
        if browser.run("return document.activeElement.id;") == "do-retry" {
            break;
        }
        browser.keys(&tab);
    }
    browser.keys(&char::from(Key::Enter).to_string());
    browser.wait_for_text("#flash", "1 job retried.");
    assert_eq!(outbox.settled(id)["status"], "sent");
}

#[test]
#[ignore = "heavy: a browser"]
fn a_phone_has_nothing_to_scroll_sideways() {
    let server = Server::start();
    let outbox = setup(&server).ready();
    let (_daemon, address) = start(&outbox);
    let id = shop(&outbox, &server);
    let Some(browser) = Browser::on(&address) else { return };
    browser.size(360, 740);
    browser.log_in(TOKEN);
    for page in ["/", "/jobs", "/jobs?code=x", &format!("/jobs/{id}"), "/pauses", "/nothing"] {
        browser.goto(page);
        let wider = browser.run(
            "const wide = document.documentElement.clientWidth;
             return [...document.querySelectorAll('body *')]
                 .filter((one) => one.getBoundingClientRect().right > wide + 1 && !one.closest('.visually-hidden, thead, pre, #figures, .bulk .buttons'))
                 .map((one) => one.outerHTML.slice(0, 200));",
        );
        assert_eq!(wider, json!([]), "{page}");
        let scrolls =
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth;";
        assert_eq!(browser.run(scrolls), 0, "{page}");
    }
}

/// The contrast of every text with what it stands on, where it is less than 4.5.
const PALE: &str = "
    const parts = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
    const scale = (colour) => colour.startsWith('color(') ? 255 : 1;
    const rgb = (colour) => { const [r, g, b, a = 1] = parts(colour); const s = scale(colour); return [r * s, g * s, b * s, a]; };
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map((c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const ground = (one) => {
        for (let at = one; at; at = at.parentElement) {
            const colour = rgb(getComputedStyle(at).backgroundColor);
            if (colour[3] === 1) return colour;
        }
        return [255, 255, 255, 1];
    };
    const pale = [];
    for (const one of document.querySelectorAll('body *')) {
        const text = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        if (!text || one.closest('svg, .visually-hidden, option, datalist') || !one.getClientRects().length) continue;
        const [a, b] = [light(rgb(getComputedStyle(one).color)), light(ground(one))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) pale.push(contrast.toFixed(2) + ' ' + one.outerHTML.slice(0, 120));
    }
    return pale;";

#[test]
#[ignore = "heavy: a browser"]
fn every_text_is_legible_in_the_light_and_in_the_dark() {
    let server = Server::start();
    let outbox = setup(&server).ready();
    let (_daemon, address) = start(&outbox);
    let id = shop(&outbox, &server);
    let Some(browser) = Browser::on(&address) else { return };
    browser.log_in(TOKEN);
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefers(scheme);
        for page in
            ["/", "/jobs?status=failed", &format!("/jobs/{id}"), "/pauses", "/nothing", "/login"]
        {
            browser.goto(page);
            assert_eq!(browser.run(PALE), json!([]), "{scheme} {page}");
        }
        grounds.push(browser.run("return getComputedStyle(document.body).backgroundColor;"));
    }
    assert_ne!(grounds[0], grounds[1]);
}

#[test]
#[ignore = "heavy: a browser"]
fn every_page_names_its_parts_for_who_cannot_see_them() {
    let server = Server::start();
    let outbox = setup(&server).ready();
    let (_daemon, address) = start(&outbox);
    let id = shop(&outbox, &server);
    let Some(browser) = Browser::on(&address) else { return };
    browser.log_in(TOKEN);
    for page in ["/", "/jobs", &format!("/jobs/{id}"), "/pauses", "/login"] {
        browser.goto(page);
        let unnamed = browser.run(
            "const named = (one) => one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim();
             const fields = [...document.querySelectorAll('input:not([type=hidden]), select, button, a')];
             const bare = fields.filter((one) => !named(one)).map((one) => one.outerHTML);
             const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
             const twice = ids.filter((id, at) => ids.indexOf(id) !== at);
             const heads = document.querySelectorAll('h1').length === 1 ? [] : ['not one h1'];
             const language = document.documentElement.lang === 'en' ? [] : ['no language'];
             return [...bare, ...twice, ...heads, ...language];",
        );
        assert_eq!(unnamed, json!([]), "{page}");
    }
}

#[test]
#[ignore = "heavy: a browser"]
fn without_scripts_everything_is_there_to_read() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let daemon = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]).ready();
    let id = failed(&outbox, &server);
    let Some(browser) = Browser::without_scripts(&daemon.listens_on()) else { return };
    browser.goto("/");
    browser.wait_for_text(".tile.failed", "1");
    browser.wait_for_text("#groups", "no such case");
    browser.click("#groups a");
    browser.wait_for_text("#list", "no such case");
    browser.click(&format!("#list a[href='/jobs/{id}']"));
    browser.wait_for_text("#history", "rejected");
    browser.goto("/");
    browser.wait_for_text(".tile.sent", "0");
    // It reloads by itself.
    outbox.settled(outbox.chat(1, "hi"));
    browser.wait_for_text(".tile.sent", "1");
}

#[test]
#[ignore = "heavy: a browser"]
fn a_page_says_when_the_daemon_is_gone_and_goes_on_when_it_is_back() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let daemon = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]).ready();
    let address = daemon.listens_on();
    let Some(browser) = Browser::on(&address) else { return };
    browser.goto("/");
    browser.wait_for_text("#state", "Dispatching");
    assert!(!browser.is_shown("#lost"));
    drop(daemon);
    eventually(SOON, "the notice", || browser.is_shown("#lost"));
    browser.wait_for_text("#lost", "The daemon is not responding.");
    let again = outbox.program().start(&["run", "--listen", &address]).ready();
    eventually(SOON, "the end of the notice", || !browser.is_shown("#lost"));
    browser.wait_for_text("#state", &format!("Process {}", again.pid()));
}
