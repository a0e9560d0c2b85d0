//! The search box, the list's columns and files, and the way through what waits for a decision.

use super::client::{Client, dashboard, failed, for_reading, start};
use crate::support::{Job, Outbox, Reply, Server, never_shows};
use serde_json::{Value, json};

/// The answer that the box gets; a redirect as its path.
#[track_caller]
fn search(client: &Client, text: &str) -> (u16, String) {
    let answer = client.post("/search", &[("q", text)]);
    match answer.header("location") {
        Some(path) => (answer.status, path.to_owned()),
        None => (answer.status, answer.body),
    }
}

#[test]
fn one_reading_leads_straight_to_its_jobs_and_several_are_shown() {
    let server = Server::start();
    let (outbox, _daemon, client) = for_reading(&server);
    let first = outbox.add(Job::chat(1, "x").tomorrow());
    let sms = outbox.add(Job::sms(3, "x").tomorrow());
    let more: Vec<_> = (0..3).map(|_| outbox.add(Job::chat(3, "x").tomorrow())).collect();
    let key = outbox.add(Job::chat(9, "x").column("idempotency_key", "'order 7'").tomorrow());
    assert_eq!(search(&client, "order 7"), (303, format!("/jobs/{key}")));
    assert_eq!(search(&client, "751069"), (303, format!("/jobs/{sms}")));
    assert_eq!(search(&client, "+91 96669-29552"), (303, format!("/jobs/{sms}")));
    assert_eq!(search(&client, "9"), (303, format!("/jobs/{key}")));
    let (status, page) = search(&client, &more[0].to_string());
    assert_eq!((status, page.contains("job 3")), (200, true), "{page}");
    assert!(page.contains("case 3: 4 jobs"), "{page}");
    for id in more.iter().chain([&sms]) {
        assert!(page.contains(&format!("href=\"/jobs/{id}\"")), "{page}");
    }
    assert!(!page.contains(&format!("id=\"job-{first}\"")), "{page}");
    // By a link, too.
    client.get("/search?q=3").expect(200).shows("case 3: 4 jobs");
    let (_, nothing) = search(&client, "no such words");
    assert!(
        nothing.contains("Searched for it as message id, idempotency key or source"),
        "{nothing}"
    );
    assert!(nothing.contains("href=\"/jobs?error=no+such+words\""), "{nothing}");
}

/// A number or an address is in no address of a page, nor in the log.
#[test]
fn whom_somebody_looks_for_is_in_no_link_and_no_log() {
    let server = Server::start();
    let (outbox, daemon, client) = for_reading(&server);
    for _ in 0..2 {
        outbox.add(Job::sms(1, "x").tomorrow());
        outbox.add(Job::mail(1, "x").tomorrow());
    }
    for (text, written) in [("+919666929552", "919666929552"), ("user@gmail.com", "user%40gmail")] {
        let (status, page) = search(&client, text);
        assert_eq!(status, 200);
        assert!(page.contains(": 2 jobs"), "{page}");
        let links: Vec<_> =
            page.split("href=\"").skip(1).filter_map(|l| l.split('"').next()).collect();
        assert!(
            links.iter().all(|link| !link.contains(written) && !link.contains(text)),
            "{links:?}"
        );
        assert!(links.iter().any(|link| link.starts_with("/jobs?contact=")), "{links:?}");
    }
    daemon.sigterm();
    let log = daemon.wait(crate::support::SOON).output();
    never_shows("the log", &log, "919666929552");
    never_shows("the log", &log, "user@gmail.com");
}

#[test]
fn another_sites_page_cannot_search() {
    let server = Server::start();
    let (_outbox, _daemon, client) = for_reading(&server);
    let elsewhere = client.with("origin", "https://evil.example.com");
    elsewhere.post("/search", &[("q", "1")]).expect(403);
}

#[test]
fn every_header_sorts_and_the_error_comes_first() {
    let server = Server::start();
    let (outbox, _daemon, client) = for_reading(&server);
    let a = failed(&outbox, &server, "aaa");
    let b = failed(&outbox, &server, "bbb");
    let long = "'a-source-with-a-very-long-name-that-would-push-the-error-out'";
    let later = outbox.add(Job::sms(77, "x").column("source", long).tomorrow());
    let page = client.get("/jobs").expect(200);
    let at =
        |words: &str| page.body.find(words).unwrap_or_else(|| panic!("{words}: {}", page.body));
    assert!(at("error or message id</a>") < at(">source</a>"));
    for sort in [
        "status", "error", "channel", "case", "contact", "attempts", "source", "created",
        "finished",
    ] {
        let link = format!("sort={sort}");
        page.shows(&link);
        client.get(&format!("/jobs?{link}")).expect(200).shows(&format!("id=\"job-{later}\""));
    }
    let order = |path: &str| {
        let body = client.get(path).expect(200).body;
        let at = |id: i64| body.find(&format!("id=\"job-{id}\"")).expect("in the list");
        at(a) < at(b)
    };
    assert!(order("/jobs?status=failed&sort=error&order=ascending"));
    assert!(!order("/jobs?status=failed&sort=error"));
    let sorted = client.get("/jobs?status=failed&sort=error&order=ascending").expect(200);
    sorted.shows("aria-sort=\"ascending\"");
    // Again: the other way round.
    sorted.shows("href=\"/jobs?status=failed&amp;sort=error\"");
    client.get("/jobs?case=77").expect(200).shows(&format!("id=\"job-{later}\""));
    client.get("/jobs?contact=751069").expect(200).shows(&format!("id=\"job-{later}\""));
    client.get("/jobs?ended=2026-01-01T00%3A00").expect(200).hides(&format!("id=\"job-{later}\""));
    client.get("/jobs").expect(200).shows("Failed yesterday");
}

/// A form sends its empty fields; the address that is left can be sent to somebody.
#[test]
fn the_address_of_a_list_stays_short() {
    let server = Server::start();
    let (_outbox, _daemon, client) = for_reading(&server);
    let filled =
        "/jobs?status=failed&channel=&source=&error=&account=&case=2069&sort=id&order=descending";
    let answer = client.get(filled).expect(303);
    assert_eq!(answer.header("location"), Some("/jobs?status=failed&case=2069"));
}

#[test]
fn what_passes_is_given_as_a_file() {
    let server = Server::start();
    let (outbox, _daemon, client) = for_reading(&server);
    let a = failed(&outbox, &server, "=1+1");
    outbox.add(Job::chat(3, "xyzzy").tomorrow());
    let page = client.get("/jobs?status=failed").expect(200);
    page.shows("href=\"/jobs/export?status=failed&amp;format=csv\"");
    let csv = client.get("/jobs/export?format=csv&status=failed").expect(200);
    assert_eq!(csv.header("content-disposition"), Some("attachment; filename=\"jobs.csv\""));
    let of_command = outbox.run(&["export", "--format", "csv", "--status", "failed"]).expect(0);
    assert_eq!(csv.body, of_command.stdout);
    assert!(csv.body.contains(&format!("{a},chat,")), "{}", csv.body);
    let lines = client.get("/jobs/export?format=jsonl").expect(200);
    assert_eq!(lines.body, outbox.run(&["export"]).expect(0).stdout);
    never_shows("the export", &lines.body, "xyzzy");
    client.get("/jobs/export?format=pdf").expect(400).shows("ormat: must be csv or jsonl");
}

#[test]
fn the_case_and_the_contact_are_on_the_job_with_a_link_into_the_inbox() {
    let server = Server::start();
    let outbox = Outbox::setup(&server)
        .more("[web]\nlisten = \"127.0.0.1:0\"\ninbox_url = \"https://{host}/inbox?case={case}\"")
        .ready();
    let daemon = outbox.program().start(&["run"]).ready();
    let client = Client::of(&daemon);
    let id = outbox.add(Job::sms(2069, "x").tomorrow());
    let page = client.get(&format!("/jobs/{id}")).expect(200);
    page.shows("href=\"/jobs?case=2069\"");
    page.shows("href=\"/jobs?contact=751069\"");
    page.shows("href=\"https://127.0.0.1/inbox?case=2069\"");
    let shown = outbox.run(&["show", &id.to_string()]).expect(0).stdout;
    assert!(shown.contains("https://127.0.0.1/inbox?case=2069"), "{shown}");
    assert!(shown.contains("751069"), "{shown}");
    let json = outbox.run(&["show", &id.to_string(), "--json"]).expect(0).json();
    assert_eq!((&json["case_id"], &json["contact_id"]), (&json!(2069), &json!(751_069)));
}

fn uncertain(outbox: &Outbox, server: &Server, case: i64) -> i64 {
    server.queue([Reply::status(502)]);
    let id = outbox.chat(case, "who knows");
    outbox.when_status(id, "uncertain");
    id
}

#[test]
fn from_one_uncertain_job_to_the_next() {
    let server = Server::start();
    let outbox = Outbox::setup(&server)
        .more(
            "[web]\nlisten = \"127.0.0.1:0\"\ntoken_env = \"WEB_TOKEN\"\n\
             [channels.chat]\non_uncertain = \"hold\"",
        )
        .ready();
    let daemon = start(&outbox);
    let person = Client::of(&daemon).logged_in();
    let ids = [1, 2, 3].map(|case| uncertain(&outbox, &server, case));
    let next = |after: i64| {
        let answer = person.get(&format!("/jobs/next-uncertain?after={after}")).expect(303);
        answer.header("location").unwrap().to_owned()
    };
    assert_eq!(next(0), format!("/jobs/{}", ids[0]));
    assert_eq!(next(ids[0]), format!("/jobs/{}", ids[1]));
    assert_eq!(next(ids[2]), format!("/jobs/{}", ids[0]), "after the last the first");
    let shown = |arguments: &[&str]| outbox.run(arguments).expect(0).json()["id"].clone();
    assert_eq!(shown(&["show", "--next-uncertain", "--json"]), ids[0]);
    assert_eq!(shown(&["show", &ids[0].to_string(), "--next-uncertain", "--json"]), ids[1]);
    // The form of a job leads on.
    let page = person.get(&format!("/jobs/{}", ids[0])).expect(200);
    let back = format!("/jobs/next-uncertain?after={}", ids[0]);
    page.shows(&format!("value=\"{back}\""));
    let fields =
        [("id", ids[0].to_string()), ("change", "resolve_sent".to_owned()), ("back", back.clone())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let done = person.submit("/jobs/change", &fields).expect(303);
    assert_eq!(done.header("location"), Some(back.as_str()));
    assert_eq!(next(ids[0]), format!("/jobs/{}", ids[1]));
    outbox.run(&["resolve", "--failed", &ids[1].to_string(), &ids[2].to_string()]).expect(0);
    assert_eq!(next(0), "/jobs?status=uncertain");
    let none = outbox.run(&["show", "--next-uncertain"]).expect(1);
    assert!(none.stderr.contains("no uncertain job waits for a decision"), "{none:?}");
}

/// The command that is printed makes the request that the daemon makes.
#[test]
fn the_request_as_curl_is_the_request() {
    if std::process::Command::new("curl").arg("--version").output().is_err() {
        return crate::support::skipped("there is no curl");
    }
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let person = client.logged_in();
    for job in [
        Job::chat(7, "it's \"quoted\" $HOME `x` \\ é\n2")
            .field("userType", json!("contact"))
            .field("contactId", json!(5)),
        Job::sms(8, "hi"),
        Job::mail(9, "subject"),
    ] {
        let id = outbox.add(job);
        outbox.settled(id);
        let command = outbox.run(&["show", &id.to_string(), "--curl"]).expect(0).stdout;
        let done = std::process::Command::new("sh")
            .args(["-c", &command])
            .env("ACQUIRE_API_KEY", "a-key-by-hand")
            .output()
            .unwrap();
        assert!(done.status.success(), "{command}: {done:?}");
        let requests = server.requests();
        let [.., first, second] = &requests[..] else { panic!("{requests:?}") };
        assert_eq!((&first.method, &first.target), (&second.method, &second.target));
        assert_eq!(first.json(), second.json(), "{command}");
        assert!(!command.contains(crate::support::KEY), "{command}");
        let text = person.submit(&format!("/jobs/{id}/text"), &[]).expect(200);
        text.shows("The request as curl");
        text.shows("$ACQUIRE_API_KEY");
        never_shows("the page", &text.body, crate::support::KEY);
    }
    let _: Value = server.requests()[0].json();
}
