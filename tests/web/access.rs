//! Who may see, and who may act.

use super::client::{Client, TOKEN, dashboard, failed, for_reading};
use crate::support::{Server, never_shows};

const PAGES: [&str; 5] = ["/", "/jobs", "/jobs/1", "/pauses", "/search?q=1"];

#[test]
fn without_a_token_everybody_here_may_read_and_nobody_may_act() {
    let server = Server::start();
    let (outbox, _daemon, client) = for_reading(&server);
    let id = failed(&outbox, &server, "no such thing");
    for page in ["/", "/jobs", "/pauses"] {
        let answer = client.get(page).expect(200);
        answer.shows("This dashboard is read-only");
        assert_eq!(
            answer.body.matches("method=\"post\"").count(),
            2,
            "the search box and the switch of colours"
        );
    }
    let job = client.get(&format!("/jobs/{id}")).expect(200);
    job.shows("no such thing");
    assert_eq!(
        job.body.matches("method=\"post\"").count(),
        2,
        "the search box and the switch of colours"
    );
    let forms = [
        ("/jobs/change".to_owned(), vec![("change", "retry"), ("id", "1")]),
        ("/jobs/confirm".to_owned(), vec![("change", "retry"), ("id", "1")]),
        (format!("/jobs/{id}/text"), vec![]),
        ("/pauses/ask".to_owned(), vec![]),
        ("/pauses/pause".to_owned(), vec![]),
        ("/pauses/resume".to_owned(), vec![]),
    ];
    for (path, fields) in forms {
        let refused = client.clone().browser().post(&path, &fields).expect(403);
        refused.shows("set a token");
        refused.hides("a secret word");
    }
    assert_eq!(outbox.status(id), "failed");
    assert!(outbox.query("SELECT * FROM outbox_pauses").is_empty());
    assert_eq!(client.get("/login").expect(303).header("location"), Some("/"));
}

#[test]
fn a_page_of_another_site_may_link_here_but_not_show_parts_of_it() {
    let server = Server::start();
    let (_outbox, _daemon, client) = for_reading(&server);
    let elsewhere = client.clone().with("sec-fetch-site", "cross-site");
    for mode in ["no-cors", "cors", "same-origin", "websocket"] {
        let image = elsewhere.clone().with("sec-fetch-mode", mode);
        image.get("/jobs?case=1").expect(403).shows("Another site");
    }
    let link = elsewhere.with("sec-fetch-mode", "navigate");
    link.clone().with("sec-fetch-dest", "iframe").get("/").expect(403);
    link.clone().with("sec-fetch-dest", "document").get("/").expect(200);
    link.get("/").expect(200);
    let own = client.with("sec-fetch-site", "same-origin").with("sec-fetch-mode", "cors");
    own.get("/").expect(200);
}

#[test]
fn with_a_token_every_page_needs_it() {
    let server = Server::start();
    let (_outbox, _daemon, client) = dashboard(&server);
    for page in PAGES {
        let asked = client.get(page).expect(401);
        assert_eq!(asked.header("www-authenticate"), Some("Bearer"));
        let sent_on = client.clone().browser().get(page).expect(303);
        assert!(sent_on.header("location").unwrap().starts_with("/login?next=%2F"));
    }
    for path in ["/jobs/change", "/jobs/confirm", "/jobs/1/text", "/pauses/pause", "/logout"] {
        client.clone().browser().post(path, &[("change", "retry"), ("id", "1")]).expect(401);
    }
    client.get("/metrics").expect(401);
    for open in ["/login", "/assets/style.css", "/assets/live.js", "/assets/icon.svg", "/healthz"] {
        client.get(open).expect(200);
    }
}

#[test]
fn a_program_sends_the_token_with_each_request() {
    let server = Server::start();
    let (_outbox, _daemon, client) = dashboard(&server);
    client.clone().bearer().get("/").expect(200).shows("Dispatching");
    let wrong = ["Bearer wrong-but-long-enough-token", "Bearer ", "Basic abc"];
    for given in wrong {
        client.clone().with("authorization", given).get("/").expect(401);
    }
    // A browser that has it wrong is not sent to the login: it would ask in a circle.
    client.clone().browser().with("authorization", wrong[0]).get("/").expect(401);
}

#[test]
fn a_login_lasts_until_the_logout() {
    let server = Server::start();
    let (_outbox, _daemon, client) = dashboard(&server);
    let browser = client.clone().browser();
    let refused = browser.post("/login", &[("token", "not the token")]).expect(401);
    refused.shows("Wrong token.");
    assert_eq!(refused.header("set-cookie"), None);
    let fields = [("token", TOKEN), ("next", "/jobs?status=failed")];
    let answer = browser.post("/login", &fields).expect(303);
    assert_eq!(answer.header("location"), Some("/jobs?status=failed"));
    let cookie = answer.header("set-cookie").unwrap();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "plain http to this machine: {cookie}");
    never_shows("the cookie", cookie, TOKEN);

    let person = client.logged_in();
    person.get("/").expect(200).shows("Log out");
    person.submit("/logout", &[]).expect(303);
    person.get("/").expect(303);
}

#[test]
fn behind_https_the_cookie_says_so() {
    let server = Server::start();
    let (_outbox, _daemon, client) = dashboard(&server);
    let browser = client.clone().with("origin", format!("https://{}", client.address));
    let answer = browser.post("/login", &[("token", TOKEN)]).expect(303);
    assert!(answer.header("set-cookie").unwrap().ends_with("; Secure"));
}

#[test]
fn a_login_leads_nowhere_else() {
    let server = Server::start();
    let (_outbox, _daemon, client) = dashboard(&server);
    for next in ["https://evil.example.com/", "//evil.example.com", "/\\evil.example.com"] {
        let fields = [("token", TOKEN), ("next", next)];
        let answer = client.clone().browser().post("/login", &fields).expect(303);
        assert_eq!(answer.header("location"), Some("/"), "{next}");
    }
}

#[test]
fn who_guesses_the_token_is_slowed_down() {
    let server = Server::start();
    let (_outbox, daemon, client) = dashboard(&server);
    let browser = client.clone().browser();
    let guess = || browser.post("/login", &[("token", "a wrong one")]).status;
    let first: Vec<u16> = (0..5).map(|_| guess()).collect();
    assert_eq!(first, [401; 5]);
    // From now on one a second is answered as before.
    let limited = crate::support::found(crate::support::SOON, "a refusal", || {
        let answer = client.clone().with("authorization", "Bearer wrong").get("/");
        (answer.status == 429).then_some(answer)
    });
    limited.shows("wait a second");
    // The same address may be a proxy's: who has the token is not kept out, and frees nobody else.
    client.clone().bearer().get("/").expect(200);
    client.clone().logged_in().get("/").expect(200);
    crate::support::eventually(crate::support::SOON, "still slowed down", || guess() == 429);
    crate::support::eventually(crate::support::SOON, "one line in the log", || {
        daemon.stderr().matches("too many wrong tokens").count() == 1
    });
}

#[test]
fn a_form_counts_only_with_its_own_token_and_from_its_own_site() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let id = failed(&outbox, &server, "no").to_string();
    let person = client.clone().logged_in();
    let csrf = person.csrf();
    let fields = [("csrf", csrf.as_str()), ("change", "retry"), ("id", id.as_str())];
    // No token of the form, or another session's.
    person.post("/jobs/change", &fields[1..]).expect(403).shows("earlier login");
    let other = client.clone().logged_in().csrf();
    let stolen = [("csrf", other.as_str()), fields[1], fields[2]];
    person.post("/jobs/change", &stolen).expect(403);
    // From elsewhere, whatever it knows.
    let cookie = person_cookie(&client);
    let (cookie, csrf) = (cookie.0.as_str(), cookie.1.as_str());
    let fields = [("csrf", csrf), ("change", "retry"), ("id", id.as_str())];
    for (name, value) in [
        ("origin", "https://evil.example.com"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
        ("x-nothing", "at all"),
    ] {
        let elsewhere = client.clone().with("cookie", cookie).with(name, value);
        let refused = elsewhere.post("/jobs/change", &fields).expect(403);
        refused.shows("not sent from a page of this dashboard");
    }
    let login = client.clone().with("origin", "https://evil.example.com");
    login.post("/login", &[("token", TOKEN)]).expect(403);
    assert_eq!(outbox.status(id.parse().unwrap()), "failed");
    let here = client.with("cookie", cookie).with("sec-fetch-site", "same-origin");
    here.post("/jobs/change", &fields).expect(303);
    assert_eq!(outbox.settled(id.parse().unwrap())["status"], "sent");
}

/// A session's cookie, and the token of its forms.
fn person_cookie(client: &Client) -> (String, String) {
    let answer = client.clone().browser().post("/login", &[("token", TOKEN)]).expect(303);
    let cookie = answer.header("set-cookie").unwrap().split_once(';').unwrap().0.to_owned();
    let csrf = client.clone().with("cookie", cookie.clone()).csrf();
    (cookie, csrf)
}

#[test]
fn names_that_are_not_ours_are_refused_whoever_asks() {
    let server = Server::start();
    let outbox = super::client::setup(&server)
        .more("[web]\nlisten = \"127.0.0.1:0\"\ntoken_env = \"WEB_TOKEN\"\nhosts = [\"outbox.example.com\"]")
        .ready();
    let daemon = super::client::start(&outbox);
    let client = Client::of(&daemon).bearer();
    let port = client.address.rsplit_once(':').unwrap().1.to_owned();
    for ours in ["localhost", "127.0.0.1", "[::1]", "outbox.example.com"] {
        client.clone().named(&format!("{ours}:{port}")).get("/").expect(200);
    }
    client.clone().named("outbox.example.com").get("/").expect(200);
    for foreign in
        ["evil.example.com", "evil.example.com:9464", "192.0.2.1", "localhost.evil", "", "a b"]
    {
        for path in ["/", "/login", "/assets/style.css", "/healthz", "/metrics"] {
            let answer = client.clone().named(foreign).get(path);
            assert!([400, 421].contains(&answer.status), "{foreign}{path}: {answer:?}");
            answer.hides("acquire-outbox");
        }
    }
    let without = client.send("GET / HTTP/1.1\r\nconnection: close\r\n\r\n");
    assert!([400, 421].contains(&without.status), "{without:?}");
    let two = "GET / HTTP/1.1\r\nhost: localhost\r\nhost: evil\r\nconnection: close\r\n\r\n";
    assert!([400, 421].contains(&client.send(two).status));
    let whole =
        "GET http://evil.example.com/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert_eq!(client.send(whole).status, 421);
}

#[test]
fn every_answer_tells_the_browser_what_not_to_do() {
    let server = Server::start();
    let (_outbox, _daemon, client) = dashboard(&server);
    let pages = [("/login", 200), ("/assets/live.js", 200), ("/", 401), ("/nothing", 404)];
    for (path, status) in pages {
        let answer = client.get(path).expect(status);
        let policy = answer.header("content-security-policy").unwrap();
        for rule in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
    }
    assert_eq!(client.get("/login").header("cache-control"), Some("no-store"));
    let style = client.get("/assets/style.css").expect(200);
    let tag = style.header("etag").unwrap();
    client.clone().with("if-none-match", tag).get("/assets/style.css").expect(304);
}

#[test]
fn the_token_is_in_no_page_and_no_log() {
    let server = Server::start();
    let (outbox, daemon, client) = dashboard(&server);
    let person = client.clone().logged_in();
    for page in PAGES {
        never_shows(page, &person.get(page).body, TOKEN);
    }
    client.clone().browser().post("/login", &[("token", "wrong-but-secret")]).expect(401);
    daemon.sigterm();
    let log = daemon.wait(crate::support::SOON).output();
    never_shows("the log", &log, TOKEN);
    never_shows("the log", &log, "wrong-but-secret");
    let debug = outbox.program().env("WEB_TOKEN", TOKEN).env("ACQUIRE_OUTBOX_LOG", "trace");
    let finished = debug.run(&["run", "--until-empty"]).expect(0);
    never_shows("the log at trace", &finished.output(), TOKEN);
}
