//! What the pages show, and what they keep to themselves.

use super::client::{dashboard, failed, for_reading};
use crate::support::{Gate, Job, Outbox, Reply, Server, never_shows};
use serde_json::json;

const SCRIPT: &str = "<script>alert(1)</script>";

#[test]
fn the_overview_counts_every_channel_and_state() {
    let server = Server::start();
    let (outbox, _daemon, client) = for_reading(&server);
    let sent = outbox.chat(1, "hi");
    outbox.settled(sent);
    failed(&outbox, &server, "the case is closed");
    let tomorrow = Job::sms(3, "later").tomorrow();
    outbox.add(tomorrow);
    let page = client.get("/").expect(200);
    page.shows("Dispatching");
    page.shows("href=\"/jobs?status=failed\"");
    page.shows("href=\"/jobs?status=sent&amp;channel=chat\">1</a>");
    page.shows("href=\"/jobs?wait=scheduled\">1 scheduled</a>");
    page.shows("href=\"/jobs?wait=scheduled&amp;channel=sms\">1</a>");
    client.get("/jobs?wait=scheduled").expect(200).shows("id=\"job-3\"");
    client.get("/jobs?wait=ready").expect(200).shows("No jobs match.");
    page.shows("the case is closed");
    page.shows("1 sent, 0 attempts tried again, 1 failed in the last hour");
    page.hides("later\"}");
}

#[test]
fn what_goes_wrong_is_grouped_and_leads_to_its_jobs() {
    let server = Server::start();
    let (outbox, _daemon, client) = for_reading(&server);
    let ids: Vec<i64> = (0..3).map(|_| failed(&outbox, &server, "no such case & more")).collect();
    let other = failed(&outbox, &server, "another");
    let page = client.get("/").expect(200);
    page.shows("3 jobs with this error");
    let (_, rest) = page.body.split_once("aria-label=\"3 jobs with this error\"").unwrap();
    assert!(rest.contains("no such case &amp; more"), "{rest}");
    let before = page.body.split_once("aria-label=\"3 jobs").unwrap().0;
    let link = before.rsplit_once("href=\"").unwrap().1.split_once('"').unwrap().0;
    let list = client.get(&link.replace("&amp;", "&")).expect(200);
    for id in ids {
        list.shows(&format!("href=\"/jobs/{id}\""));
    }
    list.hides(&format!("href=\"/jobs/{other}\""));
}

#[test]
fn what_others_wrote_is_shown_as_text() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    server.queue([Reply::json(400, json!({"error": SCRIPT, "message": SCRIPT}))]);
    let quoted = format!("'\"><img src=x onerror=alert(1)>{SCRIPT}'");
    let id = outbox.add(
        Job::chat(1, SCRIPT)
            .column("source", &quoted)
            .column("account", "'default'")
            .column("idempotency_key", &quoted)
            .column("ordering_key", &quoted),
    );
    outbox.settled(id);
    let gone = Job::chat(2, "hi").column("account", "'<b>no such</b>'");
    outbox.settled(outbox.add(gone));
    let reason =
        format!("INSERT INTO outbox_pauses (account, reason) VALUES ('<i>x</i>', '{SCRIPT}')");
    outbox.execute(&reason);
    let person = client.logged_in();
    let job = format!("/jobs/{id}");
    let filters =
        "/jobs?source=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&error=%3Cscript%3E&account=%3Cb%3E";
    for path in [
        "/",
        "/jobs",
        &job,
        "/pauses",
        filters,
        "/jobs?status=%3Cscript%3E",
        "/search?q=%3Cscript%3E",
    ] {
        let page = person.get(path);
        for raw in ["<script>alert", "<img src=x", "<b>no such", "<i>x"] {
            page.hides(raw);
        }
    }
    person.get("/pauses").shows("&lt;script&gt;alert(1)&lt;/script&gt;");
    let text = person.submit(&format!("/jobs/{id}/text"), &[]).expect(200);
    text.shows("&lt;script&gt;alert(1)&lt;/script&gt;");
    text.hides("<script>alert");
}

#[test]
fn a_messages_text_is_hidden_until_it_is_asked_for() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let words = "Dear Ada, your code is 4711";
    let id = outbox.chat(9, words);
    outbox.settled(id);
    let person = client.logged_in();
    let path = format!("/jobs/{id}");
    for page in ["/", "/jobs", &path, "/search?q=Ada", "/jobs?error=Ada"] {
        never_shows(page, &person.get(page).body, "4711");
    }
    person.get(&path).shows("<code>caseId</code>, <code>message</code>");
    let asked = person.submit(&format!("{path}/text"), &[]).expect(200);
    asked.shows(words);
    assert_eq!(asked.header("cache-control"), Some("no-store"));
    // By POST alone: no address shows it, so none is kept, sent on or fetched before it is asked for.
    person.get(&format!("{path}/text")).expect(405);
    never_shows("the page after it", &person.get(&path).body, "4711");
}

#[test]
fn a_jobs_story_says_why_it_waits_and_what_was_tried() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).retry("initial = \"1h\"\nmax = \"1h\"").ready();
    let daemon = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]).ready();
    let client = super::client::Client::of(&daemon);
    server.queue([Reply::status(503)]);
    let id = outbox.add(Job::chat(1, "hi").column("source", "'shop'"));
    outbox.when(id, "tried", |row| row.text("status") == "pending" && row.int("attempts") == 1);
    let behind = outbox.chat(1, "and then");
    let page = client.get(&format!("/jobs/{id}")).expect(200);
    for words in
        ["Next attempt at ", "<code>http_503</code>", ">retry</span>", "shop", "Next attempt"]
    {
        page.shows(words);
    }
    client.get(&format!("/jobs/{behind}")).expect(200).shows(&format!("Behind job {id}"));
}

#[test]
fn a_request_on_its_way_is_shown() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::answering(move |request| Reply::accepted(request).behind(&held));
    let (outbox, _daemon, client) = for_reading(&server);
    let id = outbox.chat(1, "hi");
    server.wait_for(1);
    client.get(&format!("/jobs/{id}")).expect(200).shows("Attempt 1 has been in flight");
    gate.open();
    outbox.settled(id);
    client.get(&format!("/jobs/{id}")).expect(200).shows("Receipt");
}

#[test]
fn the_list_takes_the_filters_of_the_command_line() {
    let server = Server::start();
    let (outbox, _daemon, client) = for_reading(&server);
    let chat = outbox.add(Job::chat(11, "a").column("source", "'shop'"));
    let mail = outbox.add(Job::mail(12, "b").column("idempotency_key", "'invoice-7'"));
    outbox.settled(chat);
    outbox.settled(mail);
    let refused = failed(&outbox, &server, "The Case Is Closed");
    let shown = |query: &str| {
        let page = client.get(&format!("/jobs?{query}")).expect(200).body;
        [chat, mail, refused].map(|id| page.contains(&format!("href=\"/jobs/{id}\"")))
    };
    for (query, expected) in [
        ("", [true, true, true]),
        ("status=sent", [true, true, false]),
        ("status=sent&status=failed&channel=chat", [true, false, true]),
        ("source=shop", [true, false, false]),
        ("failure=rejected", [false, false, true]),
        ("code=ERROR_INVALID_INPUT", [false, false, true]),
        ("error=case+is+closed", [false, false, true]),
        ("case=12", [false, true, false]),
        ("key=invoice-7", [false, true, false]),
        ("account=other", [false, false, false]),
        ("since=2999-01-01T00:00", [false, false, false]),
        ("before=2999-01-01T00:00&sort=attempts&order=ascending", [true, true, true]),
        ("page=2", [false, false, false]),
    ] {
        assert_eq!(shown(query), expected, "{query}");
    }
    client.get("/jobs?status=lost").expect(400).shows("Status: `lost` is not one of");
    client.get("/jobs?since=soon").expect(400).shows("must be a time in UTC");
}

#[test]
fn a_long_list_has_pages() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.add_all((1..=120).map(|case| Job::chat(case, "hi").tomorrow()));
    let daemon = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]).ready();
    let client = super::client::Client::of(&daemon);
    let first = client.get("/jobs?status=pending").expect(200);
    first.shows("1 to 50 of 120");
    first.shows("rel=\"next\" href=\"/jobs?status=pending&amp;page=2\"");
    let last = client.get("/jobs?status=pending&page=3").expect(200);
    last.shows("101 to 120 of 120");
    last.hides("rel=\"next\"");
    last.shows("rel=\"prev\"");
}

#[test]
fn the_search_finds_a_job_by_its_id_or_key_and_others_by_their_error() {
    let server = Server::start();
    let (outbox, _daemon, client) = for_reading(&server);
    let id = outbox.add(Job::chat(4242, "a").column("idempotency_key", "'order 17'"));
    outbox.settled(id);
    let leads = |words: &str| {
        let answer = client.get(&format!("/search?q={words}")).expect(303);
        answer.header("location").unwrap().to_owned()
    };
    let job = format!("/jobs/{id}");
    assert_eq!(leads(&id.to_string()), job);
    assert_eq!(leads(&format!("%23{id}")), job);
    assert_eq!(leads("order+17"), job);
    assert_eq!(leads("4242"), job);
    outbox.chat(4242, "b");
    assert_eq!(leads("4242"), "/jobs?case=4242");
    assert_eq!(leads("no+such+case"), "/jobs?error=no+such+case");
    assert_eq!(leads("+"), "/jobs");
}

#[test]
fn a_pause_of_one_account_is_told_from_one_of_all() {
    let server = Server::start();
    let (outbox, _daemon, client) = for_reading(&server);
    client.get("/").expect(200).hides("paused");
    outbox.run(&["pause", "sms", "--account", "default"]).expect(0);
    client.get("/").expect(200).shows("❚❚ partly paused");
    outbox.run(&["pause", "sms"]).expect(0);
    client.get("/").expect(200).hides("partly paused");
}

#[test]
fn what_holds_jobs_back_is_on_the_overview() {
    let server = Server::answering(|_| Reply::status(401));
    let (outbox, _daemon, client) = for_reading(&server);
    outbox.chat(1, "hi");
    outbox.run(&["pause", "sms", "--reason", "the provider moves"]).expect(0);
    let page = crate::support::found(crate::support::SOON, "the hold on the page", || {
        let page = client.get("/").expect(200);
        page.body.contains("the account is refused").then_some(page)
    });
    page.shows("the provider moves");
    page.shows("❚❚ paused");
    page.shows("▲ blocked");
}

#[test]
fn every_page_has_the_verdict_in_its_title_its_icon_and_on_top() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let id = outbox.chat(1, "hi");
    outbox.settled(id);
    let person = client.logged_in();
    let pages = ["/", "/jobs", &format!("/jobs/{id}"), "/pauses"];
    for page in pages {
        let page = person.get(page).expect(200);
        page.shows("class=\"verdict well\"");
        page.shows("href=\"/assets/icon.svg\" type");
        page.hides("<title>▲");
    }
    outbox.add(Job::sms(1, "waits").tomorrow());
    person.submit("/pauses/pause", &[("channel", "sms"), ("reason", "night")]).expect(303);
    for page in pages {
        let page = person.get(page).expect(200);
        page.shows("<title>▲ Attention · ");
        page.shows("href=\"/assets/icon-attention.svg\" type");
        page.shows("data-reason=\"paused\"");
        page.shows("<code>acquire-outbox resume sms</code>");
        page.shows("aria-label=\"Resume sms\"");
        page.shows("href=\"/jobs?status=pending&amp;channel=sms\"");
    }
    person.get("/assets/icon-attention.svg").expect(200);
    person.get("/assets/icon-down.svg").expect(200);
    person.submit("/pauses/resume", &[("channel", "sms")]).expect(303);
    person.get("/jobs").expect(200).shows("class=\"verdict well\"");
}

#[test]
fn the_history_is_shown_of_an_hour_a_day_a_week_and_a_month_also_after_a_restart() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let mut first = outbox.daemon();
    let id = outbox.chat(1, "hi");
    outbox.settled(id);
    first.kill9();
    let second = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]).ready();
    let client = super::client::Client::of(&second);
    for (window, words) in
        [("1h", "hour"), ("24h", "24 hours"), ("7d", "7 days"), ("30d", "30 days")]
    {
        let page = client.get(&format!("/?window={window}")).expect(200);
        let summary = format!("1 sent, 0 attempts tried again, 0 failed in the last {words}");
        page.shows(&summary);
        page.shows(&format!("The last {words}"));
        page.shows("By account, in the last");
    }
    client.get("/?window=2h").expect(400).shows("must be 1h, 24h, 7d or 30d");
}

#[test]
fn a_pause_is_asked_for_with_what_it_concerns_and_nothing_is_chosen_before() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let person = client.logged_in();
    let form = person.get("/pauses").expect(200);
    form.shows("<option value=\"\" selected>choose</option>");
    form.shows("<option value=\"default\">default</option>");
    outbox.add(Job::sms(1, "waits").tomorrow());
    for (fields, words) in [
        (vec![("reason", "why")], "Choose a channel, an account, or"),
        (vec![("channel", "sms")], "so that others know why"),
        (vec![("channel", "sms"), ("reason", "why"), ("for", "soon")], "like 30m, 1h or 2d"),
    ] {
        for path in ["/pauses/ask", "/pauses/pause"] {
            person.submit(path, &fields).expect(400).shows(words);
        }
    }
    assert!(outbox.query("SELECT * FROM outbox_pauses").is_empty());
    let fields = [("channel", "sms"), ("account", "all"), ("reason", "night"), ("for", "1h")];
    let asked = person.submit("/pauses/ask", &fields).expect(200);
    asked.shows("Pause sms?");
    asked.shows("1 pending job will wait.");
    asked.shows("It ends automatically after 1h.");
    assert!(outbox.query("SELECT * FROM outbox_pauses").is_empty());
    person.submit("/pauses/pause", &fields).expect(303);
    assert!(!outbox.one("SELECT * FROM outbox_pauses").is_null("until"));
    person.submit("/pauses/ask", &fields).expect(200).shows("It is already paused: sms since");
    person.submit("/pauses/pause", &fields).expect(303);
    person.get("/pauses").expect(200).shows("It was already paused: sms since");
    let everything = [("channel", "all"), ("account", "all"), ("reason", "fire")];
    person.submit("/pauses/ask", &everything).expect(200).shows("Pause everything?");
}
