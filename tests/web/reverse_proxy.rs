//! Below a path of a reverse proxy: every link, form and file of every page stays below it.

use super::client::{Answer, Client, TOKEN, failed, start};
use crate::support::{Job, Outbox, Server};
use std::collections::BTreeSet;
use std::io::{Read, Write, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

pub const PREFIX: &str = "/outbox";

/// Whether a proxy takes the prefix away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passes {
    WithPrefix,
    WithoutPrefix,
}

/// A proxy that passes on what is below the prefix, and answers 404 to all else. It ends with the test's process.
pub fn reverse_proxy(to: &str, passes: Passes) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let to = to.to_owned();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let to = to.clone();
            thread::spawn(move || pass_on(client, &to, passes));
        }
    });
    address
}

/// One request a connection.
fn pass_on(mut client: TcpStream, to: &str, passes: Passes) -> Option<()> {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    let end = loop {
        let count = client.read(&mut chunk).ok().filter(|count| *count > 0)?;
        read.extend_from_slice(&chunk[..count]);
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8(read[..end].to_vec()).ok()?;
    let (method, rest) = head.split_once(' ')?;
    let below = rest.strip_prefix(PREFIX).filter(|rest| rest.starts_with('/'));
    let Some(below) = below else {
        let _ = client
            .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        return None;
    };
    let line = if passes == Passes::WithPrefix { rest } else { below };
    let lines =
        line.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let head = lines.collect::<Vec<_>>().join("\r\n");
    let mut server = TcpStream::connect(to).ok()?;
    server.write_all(format!("{method} {head}\r\nconnection: close\r\n").as_bytes()).ok()?;
    server.write_all(&read[end + 2..]).ok()?;
    let (mut from, mut into) = (client.try_clone().ok()?, server.try_clone().ok()?);
    thread::spawn(move || copy(&mut from, &mut into));
    let _ = copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    Some(())
}

pub fn below_a_prefix(server: &Server) -> Outbox {
    let web = format!(
        "[web]\nlisten = \"127.0.0.1:0\"\ntoken_env = \"WEB_TOKEN\"\npath_prefix = \"{PREFIX}\""
    );
    Outbox::setup(server).more(&web).ready()
}

/// The values of an attribute in a piece of a page.
fn values<'p>(page: &'p str, attribute: &str) -> impl Iterator<Item = String> + 'p {
    let opened = format!(" {attribute}=\"");
    let parts: Vec<&str> = page.split(opened.as_str()).skip(1).collect();
    let plain = |part: &str| part.split('"').next().unwrap_or_default().replace("&amp;", "&");
    parts.into_iter().map(plain)
}

/// Every address in it that leads somewhere on this host, without its fragment.
fn addresses(page: &str, attributes: &[&str]) -> BTreeSet<String> {
    let all = attributes.iter().flat_map(|attribute| values(page, attribute).collect::<Vec<_>>());
    let of_host = all.filter(|address| !address.starts_with('#') && !address.starts_with("data:"));
    of_host.map(|address| address.split('#').next().unwrap_or_default().to_owned()).collect()
}

/// Sends a form as it is, with its first button that leads there.
fn send_form(client: &Client, page: &str, action: &str) -> Answer {
    let of = |form: &str| addresses(form, &["action", "formaction"]).contains(action);
    let form = page.split("<form").skip(1).map(|form| format!(" {form}"));
    let form = form
        .map(|form| form.split("</form>").next().unwrap_or_default().to_owned())
        .find(|form| of(form));
    let form = form.unwrap_or_else(|| panic!("no form for {action}"));
    let fields = form
        .split('<')
        .filter(|tag| tag.starts_with("input type=\"hidden\"") || tag.starts_with("button"));
    let pair = |tag: &str| Some((values(tag, "name").next()?, values(tag, "value").next()?));
    let pairs: Vec<_> = fields.filter_map(pair).collect();
    let mut seen = BTreeSet::new();
    let once = pairs.iter().filter(|(name, _)| name != "change" || seen.insert(name.clone()));
    let fields: Vec<(&str, &str)> =
        once.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    client.post(action, &fields)
}

/// Reads every page that links lead to, and sends every form, except those that end the session.
fn crawl(client: &Client) -> BTreeSet<String> {
    let (mut open, mut seen, mut sent) =
        (vec![format!("{PREFIX}/")], BTreeSet::new(), BTreeSet::new());
    while let Some(path) = open.pop() {
        if !seen.insert(path.clone()) || seen.len() > 150 {
            continue;
        }
        let answer = client.get(&path);
        assert!(matches!(answer.status, 200 | 303), "{path}: {answer:?}");
        if let Some(to) = answer.header("location") {
            assert!(to.starts_with(&format!("{PREFIX}/")), "{path} leads to {to}");
            open.push(to.to_owned());
        }
        if !answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
            continue;
        }
        for found in addresses(&answer.body, &["href", "src"]) {
            assert!(found.starts_with(&format!("{PREFIX}/")), "{path} has {found}");
            open.push(found);
        }
        for action in addresses(&answer.body, &["action", "formaction"]) {
            assert!(action.starts_with(&format!("{PREFIX}/")), "{path} sends to {action}");
            if action.ends_with("/logout") || !sent.insert(action.clone()) {
                continue;
            }
            let is_read =
                answer.body.contains(&format!("<form class=\"filter\" action=\"{action}\""));
            let answer = if is_read {
                client.get(&action)
            } else {
                send_form(client, &answer.body, &action)
            };
            assert!(matches!(answer.status, 200 | 303 | 400 | 422), "{action}: {answer:?}");
            if let Some(to) = answer.header("location") {
                assert!(to.starts_with(&format!("{PREFIX}/")), "{action} leads to {to}");
            }
        }
    }
    seen.extend(sent);
    seen
}

#[test]
fn every_link_form_and_file_stays_below_the_prefix_whether_the_proxy_removes_it_or_not() {
    let server = Server::start();
    let outbox = below_a_prefix(&server);
    let daemon = start(&outbox);
    for passes in [Passes::WithPrefix, Passes::WithoutPrefix] {
        failed(&outbox, &server, "no such case");
        let later = outbox.add(Job::sms(9, "later").tomorrow());
        outbox.execute(
            "INSERT INTO outbox_pauses (channel, reason) VALUES ('sms', 'the provider moves')",
        );
        let address = reverse_proxy(&daemon.listens_on(), passes);
        let browser = Client::at(&address).browser();
        let asked = browser.get(&format!("{PREFIX}/jobs?status=failed")).expect(303);
        assert_eq!(asked.header("location"), Some("/outbox/login?next=%2Fjobs%3Fstatus%3Dfailed"));
        let login = browser
            .post(&format!("{PREFIX}/login"), &[("token", TOKEN), ("next", "/jobs")])
            .expect(303);
        assert_eq!(login.header("location"), Some("/outbox/jobs"));
        let cookie = login.header("set-cookie").unwrap();
        assert!(cookie.contains("; Path=/outbox;"), "{cookie}");
        let pair = cookie.split(';').next().unwrap().to_owned();
        let person = browser.with("cookie", pair);
        let seen = crawl(&person);
        for expected in [
            "/",
            "/jobs",
            "/pauses",
            "/search",
            "/jobs/confirm",
            "/pauses/resume",
            "/pauses/ask",
            "/assets/live.js",
            "/assets/icon.svg",
        ] {
            assert!(seen.contains(&format!("{PREFIX}{expected}")), "{expected} in {seen:?}");
        }
        let export = |path: &&String| path.starts_with("/outbox/jobs/export?");
        assert!(
            seen.iter().any(|path| export(&path))
                && seen.contains(&format!("{PREFIX}/jobs/{later}"))
        );
        let out = person.get(&format!("{PREFIX}/jobs")).body;
        let csrf =
            values(out.split("name=\"csrf\"").nth(1).map(|rest| &rest[..90]).unwrap(), "value")
                .next()
                .unwrap();
        let out = person.post(&format!("{PREFIX}/logout"), &[("csrf", csrf.as_str())]).expect(303);
        assert_eq!(out.header("location"), Some("/outbox/login"));
    }
}

#[test]
fn programs_find_the_api_below_the_prefix_and_probes_without_it() {
    let server = Server::start();
    let outbox = below_a_prefix(&server);
    let daemon = start(&outbox);
    for _ in 0..3 {
        outbox.add(Job::sms(9, "later").tomorrow());
    }
    let direct = Client::of(&daemon).bearer();
    for path in
        ["/healthz", "/outbox/healthz", "/metrics", "/outbox/metrics", "/outbox", "/outbox/", "/"]
    {
        direct.get(path).expect(200);
    }
    direct.get("/outboxes").expect(404);
    for passes in [Passes::WithPrefix, Passes::WithoutPrefix] {
        let address = reverse_proxy(&daemon.listens_on(), passes);
        let program = Client::at(&address).bearer();
        let first = program.get("/outbox/api/jobs?limit=2").expect(200);
        let link = first.header("link").expect("a next page").to_owned();
        let next = link.split(['<', '>']).nth(1).unwrap();
        assert!(next.starts_with("/outbox/api/jobs?"), "{link}");
        assert_eq!(program.get(next).expect(200).body.matches("\"channel\"").count(), 1);
        let described = program.get("/outbox/api/openapi.json").expect(200).body;
        let described: serde_json::Value = serde_json::from_str(&described).unwrap();
        assert_eq!(described["servers"][0]["url"], "/outbox");
        program.get("/api/jobs").expect(404);
    }
}
