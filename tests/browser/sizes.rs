//! The pages at the widths of a phone and of a laptop, light and dark, and what an outside judge says of them.

use super::{Browser, TOKEN, failed, setup, shop, start};
use crate::support::{Daemon, Job, Outbox, SOON, Server, eventually, skipped};
use crate::web::reverse_proxy::{PREFIX, Passes, below_a_prefix, reverse_proxy};
use serde_json::{Value, json};

const WIDTHS: [u32; 2] = [375, 1280];

/// Every kind of page.
fn pages(id: i64) -> Vec<String> {
    let paths = [
        "/",
        "/?window=24h",
        "/jobs",
        "/jobs?status=failed&error=no",
        "/jobs?code=x",
        "/pauses",
        "/search?q=9",
        "/send",
        "/send?channel=mail",
        "/nothing",
    ];
    paths.iter().map(ToString::to_string).chain([format!("/jobs/{id}")]).collect()
}

/// An outbox with jobs of every kind, a pause with a long reason, an uncertain job and many failed ones.
fn busy(server: &Server) -> (Outbox, Daemon, String, i64) {
    let outbox = setup(server).ready();
    let (daemon, address) = start(&outbox);
    let id = shop(&outbox, server);
    let reason =
        "'the new sender address is being verified by the provider, which takes until Monday'";
    outbox.execute(&format!(
        "INSERT INTO outbox_pauses (channel, account, reason) VALUES ('mail', 'default', {reason})"
    ));
    outbox.ended_long_ago(
        "failed",
        60,
        "a sentence of the usual length that says why it was refused",
    );
    outbox.add(Job::mail(9, "later").tomorrow().column("source", "'orders'"));
    (outbox, daemon, address, id)
}

#[test]
#[ignore = "heavy: a browser"]
fn no_page_is_wider_than_the_screen_and_no_date_overlaps_its_neighbour() {
    let server = Server::start();
    let (_outbox, _daemon, address, id) = busy(&server);
    let Some(browser) = Browser::on(&address) else { return };
    browser.log_in(TOKEN);
    for exact in [false, true] {
        if exact {
            browser.click("#times");
        }
        for width in WIDTHS {
            browser.size(width, 800);
            for page in pages(id) {
                browser.goto(&page);
                let beyond =
                    browser.run("return document.scrollingElement.scrollWidth - innerWidth;");
                assert!(beyond.as_i64().unwrap() <= 0, "{page} at {width}: {beyond} too wide");
                let hidden = browser.run(
                    "return [...document.querySelectorAll('.wide')].filter((one) => !one.closest('#figures') && one.clientWidth
                         && one.scrollWidth > one.clientWidth + 1).map((one) => one.scrollWidth + ' ' + one.textContent.slice(0, 60));",
                );
                assert!(exact || hidden == json!([]), "{page} at {width}: {hidden}");
                let overlaps = browser.run(
                    "const boxes = [...document.querySelectorAll('td, dd, th, dt, small, td time, dd time')].filter((one) => one.checkVisibility() && one.getClientRects().length
                         && !one.closest('.visually-hidden') && (innerWidth > 704 || !one.closest('thead')));
                     const rect = (one) => { const range = document.createRange(); range.selectNodeContents(one); return range.getBoundingClientRect(); };
                     const found = [];
                     for (const time of boxes.filter((one) => one.nodeName === 'TIME')) for (const other of boxes) {
                         if (other.contains(time) || time.contains(other) || other.nodeName === 'TIME' && other === time) continue;
                         const [a, b] = [rect(time), rect(other)];
                         if (!b.width || !b.height) continue;
                         const [x, y] = [Math.min(a.right, b.right) - Math.max(a.left, b.left), Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)];
                         if (x > 1 && y > 3) found.push(time.textContent + ' over ' + other.textContent.slice(0, 40));
                     }
                     return found;",
                );
                assert_eq!(overlaps, json!([]), "{page} at {width}, exact {exact}");
            }
        }
    }
    assert_eq!(browser.complaints().iter().filter(|line| !line.contains("404")).count(), 0);
}

#[test]
#[ignore = "heavy: a browser"]
fn on_a_phone_the_overview_is_short_and_the_buttons_for_many_jobs_are_at_hand() {
    let server = Server::start();
    let (_outbox, _daemon, address, _) = busy(&server);
    let Some(browser) = Browser::on(&address) else { return };
    browser.size(375, 740);
    browser.log_in(TOKEN);
    browser.goto("/");
    let height = browser.run("return document.scrollingElement.scrollHeight;").as_i64().unwrap();
    eprintln!("the overview at 375 px: {height} px tall");
    assert!(height < 2500, "{height}");
    assert!(!browser.is_shown("#by-source"));
    browser.click("#sources");
    eventually(SOON, "the section is open", || browser.is_shown("#by-source"));
    // A reason has the whole width.
    let share = browser.run(
        "const said = document.querySelector('#holds td[data-label=reason]').getBoundingClientRect();
         return said.width / document.querySelector('#holds').getBoundingClientRect().width;",
    );
    assert!(share.as_f64().unwrap() > 0.9, "{share}");
    browser.goto("/jobs?status=failed");
    let at_hand = "const bar = document.querySelector('.bulk').getBoundingClientRect();
         return bar.top >= 0 && bar.bottom <= innerHeight + 1 && bar.height < innerHeight / 4;";
    assert_eq!(browser.run("return document.querySelectorAll('#list tbody tr').length;"), 50);
    assert_eq!(browser.run(at_hand), true, "on top of the list");
    browser.run("document.querySelector('#list tbody tr:nth-child(25)').scrollIntoView();");
    assert_eq!(browser.run(at_hand), true, "in the middle of the list");
}

#[test]
#[ignore = "heavy: a browser"]
fn the_colours_are_chosen_on_any_page_and_stay() {
    let server = Server::start();
    let outbox = setup(&server).ready();
    let (_daemon, address) = start(&outbox);
    failed(&outbox, &server);
    let ground =
        |browser: &Browser| browser.run("return getComputedStyle(document.body).backgroundColor;");
    let pressed = |browser: &Browser| {
        browser.run("return document.querySelector('.theme [aria-pressed=true]').value;")
    };
    let Some(browser) = Browser::on(&address) else { return };
    browser.prefers("light");
    browser.goto("/login");
    let light = ground(&browser);
    browser.click(".theme button[value=dark]");
    eventually(SOON, "dark", || ground(&browser) != light);
    let dark = ground(&browser);
    browser.log_in(TOKEN);
    assert_eq!((ground(&browser), pressed(&browser)), (dark.clone(), json!("dark")));
    // What is checked stays, and a form's page, which cannot be loaded again, too.
    browser.goto("/jobs?status=failed");
    browser.click("#check-page");
    browser.click(".theme button[value=light]");
    eventually(SOON, "light", || ground(&browser) == light);
    assert_eq!(browser.run("return document.querySelector('#check-page').checked;"), true);
    browser.prefers("dark");
    browser.goto("/nothing");
    assert_eq!((ground(&browser), pressed(&browser)), (light, json!("light")));
    browser.click(".theme button[value=system]");
    eventually(SOON, "as the system has it", || ground(&browser) == dark);
    browser.goto("/pauses");
    assert_eq!((ground(&browser), pressed(&browser)), (dark, json!("system")));
}

#[test]
#[ignore = "heavy: a browser"]
fn without_a_script_the_colours_are_chosen_too() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let daemon = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]).ready();
    let Some(browser) = Browser::without_scripts(&daemon.listens_on()) else { return };
    browser.goto("/jobs?status=failed");
    browser.click(".theme button[value=dark]");
    eventually(SOON, "dark", || browser.source().contains("data-theme=\"dark\""));
    assert_eq!(browser.path(), "/jobs?status=failed");
}

#[test]
#[ignore = "heavy: a browser"]
fn below_a_prefix_a_page_follows_what_happens_and_a_job_is_retried() {
    let server = Server::start();
    let outbox = below_a_prefix(&server);
    let (_daemon, address) = start(&outbox);
    for passes in [Passes::WithPrefix, Passes::WithoutPrefix] {
        let id = failed(&outbox, &server);
        let Some(browser) = Browser::on(&reverse_proxy(&address, passes)) else { return };
        browser.goto(&format!("{PREFIX}/jobs/{id}"));
        browser.type_into("#token", TOKEN);
        browser.click("form button");
        browser.wait_for_text("h1", &format!("Job {id}"));
        outbox.run(&["retry", &id.to_string()]).expect(0);
        browser.wait_for_text("#now", "sent");
        browser.click(".theme button[value=dark]");
        browser.click("nav a");
        browser.wait_for_text(".tile.sent", "sent");
        assert_eq!(browser.path(), format!("{PREFIX}/"));
        assert_eq!(browser.run("return document.documentElement.dataset.theme;"), "dark");
        assert_eq!(browser.complaints(), Vec::<String>::new());
        browser.click(".logout button");
        browser.wait_for_text("h1", "Log in");
    }
}

/// The text of axe-core, from where `.ci/run` installs it or AXE_CORE says.
fn axe() -> Option<String> {
    let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/target/axe/node_modules/axe-core/axe.min.js");
    let path = std::env::var("AXE_CORE").unwrap_or_else(|_| usual.to_owned());
    let text = std::fs::read_to_string(path).ok();
    if text.is_none() {
        skipped("there is no axe-core: npm install --prefix target/axe axe-core@4");
    }
    text
}

#[test]
#[ignore = "heavy: a browser"]
fn axe_core_finds_nothing_on_any_page_in_the_light_and_in_the_dark() {
    let server = Server::start();
    let (outbox, _daemon, address, id) = busy(&server);
    let failed = outbox.number("SELECT min(id) FROM outbox WHERE status = 'failed'");
    let Some(axe) = axe() else { return };
    let Some(browser) = Browser::on(&address) else { return };
    let judged = |page: &str| {
        browser.run(&axe);
        let found: Value = browser.run_async(
            "axe.run(document).then((found) => done(found.violations.map((one) => one.id + ': ' + one.nodes.map((node) => node.html.slice(0, 120)).join(' | '))));",
        );
        assert_eq!(found, json!([]), "{page}");
    };
    browser.goto("/login");
    judged("/login");
    browser.log_in(TOKEN);
    for theme in ["light", "dark"] {
        browser.click(&format!(".theme button[value={theme}]"));
        for width in WIDTHS {
            browser.size(width, 800);
            for page in pages(id) {
                browser.goto(&page);
                judged(&format!("{page} {theme} {width}"));
            }
            browser.goto("/jobs?status=failed");
            browser.run("document.querySelector('input[name=id]').checked = true;");
            browser.click("button[value=retry]");
            browser.wait_for_text("h1", "Retry 1 job?");
            judged("the question");
            browser.goto(&format!("/jobs/{id}"));
            browser.click("#show-text");
            browser.wait_for_text("#text", "{");
            judged("the text");
            browser.goto(&format!("/jobs/{failed}"));
            browser.click("#edit");
            browser.wait_for_text("h1", "send it again");
            judged("the form of a job");
        }
    }
}
