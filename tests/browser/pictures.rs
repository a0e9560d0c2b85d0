//! The pictures of docs/dashboard.md, of an hour in a shop that passes in a minute:
//! `SCREENSHOTS=docs/images cargo test --test all browser::pictures -- --ignored`

use super::TOKEN;
use super::driver::Browser;
use crate::support::{Daemon, Outbox, Program, SOON, Setup, eventually, found, libfaketime};
use chrono::DateTime;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The daemon's clock goes so much faster than ours.
const SPEED: u32 = 60;
const MINUTES: u64 = 62;

/// The daemon's time, as the first line of its log told it.
struct Clock {
    began: Instant,
    then: i64,
}

impl Clock {
    fn of(daemon: &Daemon) -> Clock {
        let time = found(SOON, "a line in the log", || {
            let log = daemon.stderr();
            let line = log.lines().find(|line| line.contains("\"ready\""))?;
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            line["timestamp"].as_str().map(str::to_owned)
        });
        let then = DateTime::parse_from_rfc3339(&time).expect("a time").timestamp_millis();
        Clock { began: Instant::now(), then }
    }

    fn now(&self) -> i64 {
        self.then + i64::try_from((self.began.elapsed() * SPEED).as_millis()).expect("a short test")
    }

    fn wait_for_minute(&self, minute: u64) {
        sleep(
            (Duration::from_secs(60) * u32::try_from(minute).unwrap() / SPEED)
                .saturating_sub(self.began.elapsed()),
        );
    }
}

/// What comes in within a quarter of a minute: more at noon, and Acquire is down for a while.
fn quarter(minute: u64, quarter: u64, now: i64) -> String {
    let wave =
        ((minute as f64 / 9.0).sin() * 5.0 + (minute as f64 / 2.3).sin() * 2.0).round() as i64;
    let peak = if (30..38).contains(&minute) { 14 } else { 0 };
    let count = (9 + wave + peak).max(2) as u64;
    let mut sql = "BEGIN;".to_owned();
    for n in 0..count {
        let seed = minute * 397 + quarter * 31 + n * 7;
        let case = match seed % 83 {
            0 => 900_404,
            1 if minute > 40 => 900_400,
            _ if (22..27).contains(&minute) && seed.is_multiple_of(3) => 900_503,
            _ => 2000 + seed % 700,
        };
        let (channel, payload, source) = match seed % 5 {
            0 | 1 => (
                "chat",
                format!(r#"{{"caseId": {case}, "message": "Your order {seed} has shipped."}}"#),
                "orders",
            ),
            2 => (
                "mail",
                format!(
                    r#"{{"caseId": {case}, "contactId": 9156860, "from": "billing@example.com", "to": ["ada@example.com"], "subject": "Invoice {seed}", "textBody": "Thank you."}}"#
                ),
                "billing",
            ),
            3 => (
                "sms",
                format!(
                    r#"{{"From": "+12513188609", "To": "+12515550100", "Body": "Your parcel arrives today.", "contactId": 751069, "threadId": {case}, "timelineId": 2108}}"#
                ),
                "parcels",
            ),
            _ => ("chat", format!(r#"{{"caseId": {case}, "message": "How was it?"}}"#), "feedback"),
        };
        writeln!(
            sql,
            "INSERT INTO outbox (channel, payload, source, idempotency_key, created_at, send_at)
             VALUES ('{channel}', '{payload}', '{source}', '{source}-{minute}-{quarter}-{n}', {now}, {now});"
        )
        .unwrap();
    }
    sql + "COMMIT;"
}

fn shop() -> Option<(Outbox, Daemon, Daemon, Clock)> {
    let library = libfaketime()?;
    let more = "[web]\nlisten = \"127.0.0.1:0\"\ntoken_env = \"WEB_TOKEN\"\n\n[channels.sms]\non_uncertain = \"hold\"\n\n[channels.mail]\nmax_in_flight = 4";
    // A separate sandbox, so that the pictures show a real outbox without the sandbox's banner.
    let folder = std::env::temp_dir();
    let sandbox = Program::in_folder(&folder).start(&["sandbox", "--listen", "127.0.0.1:0"]);
    let address = found(SOON, "the sandbox's address", || {
        let said = sandbox.stdout();
        let line = said.lines().find_map(|line| line.strip_prefix("listening on "))?;
        said.contains('\n').then(|| line.to_owned())
    });
    let setup = Setup::sending_to(&address).retry("initial = \"20s\"\nmax_attempts = 4").more(more);
    let outbox = setup.ready();
    let program = outbox
        .program()
        .env("WEB_TOKEN", TOKEN)
        .env("LD_PRELOAD", library.to_str().expect("a path in UTF-8"))
        .env("FAKETIME", format!("+0 x{SPEED}"))
        .env("NO_FAKE_STAT", "1");
    let daemon = program.start(&["run"]).ready();
    let clock = Clock::of(&daemon);
    Some((outbox, sandbox, daemon, clock))
}

#[test]
#[ignore = "makes the pictures of the docs, in a minute"]
fn pictures_of_an_hour_in_a_shop() {
    let Some(folder) = std::env::var_os("SCREENSHOTS").map(PathBuf::from) else {
        return; // no test: run with all the others, it has nothing to do
    };
    let Some((outbox, _sandbox, daemon, clock)) = shop() else { return };
    let Some(browser) = Browser::on(&daemon.listens_on()) else { return };
    for minute in 0..MINUTES {
        for part in 0..4 {
            outbox.execute(&quarter(minute, part, clock.now()));
            sleep(Duration::from_secs(60) / SPEED / 5);
        }
        clock.wait_for_minute(minute + 1);
    }
    last_events(&outbox, &clock);
    std::fs::create_dir_all(&folder).expect("a folder for the pictures");
    let keep =
        |name: &str| std::fs::write(folder.join(name), browser.screenshot()).expect("a picture");
    browser.size(1200, 860);
    browser.prefers("light");
    browser.log_in(TOKEN);
    keep("overview-light.png");
    browser.goto("/jobs?status=failed&status=uncertain");
    browser.run("document.querySelectorAll('td.check input').forEach((one, at) => { if (at < 2) one.checked = true; });");
    keep("jobs-light.png");
    browser.prefers("dark");
    // At this clock's speed counting is slow: until it is done again, the page says its age.
    sleep(Duration::from_secs(2));
    browser.goto("/");
    browser.size(1200, 1480);
    keep("overview-dark.png");
    let uncertain = outbox.number("SELECT max(id) FROM outbox WHERE status = 'uncertain'");
    browser.size(1200, 860);
    browser.goto(&format!("/jobs/{uncertain}"));
    keep("job-dark.png");
    browser.size(390, 844);
    browser.prefers("light");
    browser.goto("/");
    keep("phone-light.png");
    browser.prefers("dark");
    browser.goto("/jobs?status=failed");
    browser.run("document.querySelector('#list').scrollIntoView();");
    keep("phone-dark.png");
}

/// What there is to see of what needs a person.
fn last_events(outbox: &Outbox, clock: &Clock) {
    let now = clock.now();
    let sms = |thread: u64| {
        format!(
            r#"{{"From": "+12513188609", "To": "+12515550100", "Body": "Your code.", "contactId": 751069, "threadId": {thread}, "timelineId": 2108}}"#
        )
    };
    for (thread, n) in [(900_001_u64, 1), (900_001, 2)] {
        let payload = sms(thread);
        outbox.execute(&format!(
            "INSERT INTO outbox (channel, payload, source, ordering_key, created_at, send_at) VALUES ('sms', '{payload}', 'parcels', 'parcel-{n}', {now}, {now})"
        ));
    }
    eventually(SOON, "two uncertain ones", || outbox.count("uncertain") == 2);
    let now = clock.now();
    outbox.execute(&format!("INSERT INTO outbox_pauses (channel, reason, since) VALUES ('mail', 'the new sender address is being verified', {now})"));
    for n in 0..23 {
        let later = if n % 3 == 0 { now + 6 * 3_600_000 } else { now };
        outbox.execute(&format!(
            "INSERT INTO outbox (channel, payload, source, created_at, send_at) VALUES ('mail', '{{\"caseId\": {}, \"contactId\": 9156860, \"from\": \"billing@example.com\", \"to\": [\"ada@example.com\"], \"subject\": \"Invoice {n}\", \"textBody\": \"Thank you.\"}}', 'billing', {now}, {later})", 3000 + n
        ));
    }
}
