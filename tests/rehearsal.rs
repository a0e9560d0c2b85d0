//! The sandbox and the demo, as a user without an Acquire account meets them.

use crate::support::{Daemon, Database, Job, KEY, Outbox, Program, SOON, Server, Setup, found};
use std::time::Duration;
use tempfile::TempDir;

/// The address on the sandbox's first line.
#[track_caller]
fn address_of(sandbox: &Daemon) -> String {
    let first = found(SOON, "the sandbox's first line", || {
        let said = sandbox.stdout();
        said.split_once('\n').map(|(line, _)| line.to_owned())
    });
    first.strip_prefix("listening on ").unwrap_or_else(|| panic!("{first}")).to_owned()
}

#[test]
fn the_sandbox_accepts_what_the_daemon_sends() {
    let folder = TempDir::new().unwrap();
    let sandbox = Program::in_folder(folder.path()).start(&["sandbox", "--listen", "127.0.0.1:0"]);
    let address = address_of(&sandbox);
    assert!(address.starts_with("http://127.0.0.1:") && address.ends_with("/api/v1"), "{address}");
    let outbox = Setup::sending_to(&address).ready();
    let jobs = [Job::chat(1, "one"), Job::mail(2, "two"), Job::sms(3, "three")];
    let ids = jobs.map(|job| outbox.add(job));
    outbox.run_until_empty();
    for id in ids {
        let row = outbox.row(id);
        assert_eq!(row["status"], "sent", "{row:?}");
        assert!(!row.is_null("message_id") && row.is_null("error_code"), "{row:?}");
    }
    outbox.run(&["check"]).expect(0);
    sandbox.sigterm();
    sandbox.wait(SOON).expect(0);
}

/// An outbox whose account is a sandbox with these flags.
fn rehearsed(flags: &[&str]) -> (TempDir, Daemon, Outbox) {
    let folder = TempDir::new().unwrap();
    let arguments = [&["sandbox", "--listen", "127.0.0.1:0"], flags].concat();
    let sandbox = Program::in_folder(folder.path()).start(&arguments);
    let outbox = Setup::sending_to(&address_of(&sandbox)).ready();
    (folder, sandbox, outbox)
}

#[test]
fn check_says_by_which_calls_messages_can_be_read_back() {
    let (_folder, _sandbox, outbox) = rehearsed(&[]);
    let line = |outbox: &Outbox| {
        let finished = outbox.run(&["check"]).expect(0);
        let line = finished.stdout.lines().find(|line| line.contains("verification"));
        line.unwrap_or_else(|| panic!("{finished:?}")).to_owned()
    };
    assert!(line(&outbox).contains("chat not tried"), "{}", line(&outbox));
    for job in [Job::chat(1, "one"), Job::mail(2, "two"), Job::sms(3, "three")] {
        outbox.add(job);
    }
    outbox.run_until_empty();
    let by = "ok    verification, account default: chat by case-message, mail by thread, \
              sms by case-message";
    assert_eq!(line(&outbox), by);

    let (_folder, _sandbox, outbox) = rehearsed(&["--no-reading"]);
    let refused = "chat not possible here (ERROR_UNAUTHORIZED_ACCESS), mail not possible";
    assert!(line(&outbox).contains(refused), "{}", line(&outbox));
}

#[test]
fn probe_shows_what_is_read_of_a_case_and_hides_its_texts() {
    let (_folder, _sandbox, outbox) = rehearsed(&[]);
    for job in [Job::chat(7, "the first secret"), Job::mail(7, "the second secret")] {
        outbox.add(job);
    }
    outbox.run_until_empty();
    let shown = outbox.run(&["probe", "--case", "7"]).expect(0).stdout;
    for part in
        ["by case-message: 3 messages", "by case: 3 messages", "by thread: 1 message", "user"]
    {
        assert!(shown.contains(part), "no `{part}` in {shown}");
    }
    assert!(!shown.contains("secret"), "{shown}");
    let shown = outbox.run(&["probe", "--case", "7", "--texts"]).expect(0).stdout;
    assert!(shown.contains("the first secret") && shown.contains("the second secret"), "{shown}");
    let json = outbox.run(&["probe", "--case", "7", "--json"]).expect(0);
    assert!(!json.stdout.contains("secret"), "{json:?}");
    let ways = json.json();
    assert_eq!((&ways[0]["by"], &ways[0]["complete"]), (&"case-message".into(), &true.into()));
    assert_eq!(ways[0]["messages"].as_array().unwrap().len(), 3);

    let (_folder, _sandbox, outbox) = rehearsed(&["--unknown-shape"]);
    let refused = outbox.run(&["probe", "--case", "7"]).expect(1).stdout;
    assert_eq!(refused.matches("has an unknown shape").count(), 3, "{refused}");
}

#[test]
fn lookup_finds_the_ids_that_a_message_needs() {
    let (_folder, _sandbox, outbox) = rehearsed(&["--text-ids"]);
    let cases = outbox.run(&["lookup", "--contact", "900002", "--json"]).expect(0).json();
    assert_eq!(cases.as_array().unwrap().len(), 2);
    let expected = serde_json::json!({"caseId": 900_002, "contactId": 900_002, "channel": "chat",
        "status": "active", "threadId": 900_002, "timelineId": 900_002});
    assert_eq!(cases[0], expected);
    let table = outbox.run(&["lookup", "--case", "2219"]).expect(0).stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "caseId\tstatus\tchannel\tcontactId\tthreadId\ttimelineId");
    assert!(lines[1].starts_with("2219\tactive\tchat\t"), "{table}");
    let none = outbox.run(&["lookup", "--case", "900404"]).expect(0);
    assert!(none.stderr.contains("Acquire has no such case"), "{none:?}");
    let wrong = outbox.run(&["lookup", "--case", "1", "--account", "shop"]).expect(2);
    assert!(wrong.stderr.contains("account `shop` is not configured"), "{wrong:?}");
    for arguments in [&["lookup"][..], &["lookup", "--case", "1", "--contact", "2"], &["probe"]] {
        outbox.run(arguments).expect(2);
    }
}

#[test]
fn run_with_a_sandbox_inside_sends_nothing_to_the_real_address() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    outbox.run(&["init", "--sandbox"]).expect(0);
    let ids = [1, 2, 3].map(|case| outbox.chat(case, "hi"));
    let finished = outbox.run(&["run", "--sandbox", "--until-empty"]).expect(0);
    assert!(ids.iter().all(|&id| outbox.status(id) == "sent"));
    assert_eq!(server.count(), 0);
    assert!(finished.stderr.to_lowercase().contains("sandbox"), "loudly not real: {finished:?}");
    crate::support::never_shows("the log", &finished.output(), KEY);
}

#[test]
fn the_demo_needs_no_setup_and_ends_well() {
    let folder = TempDir::new().unwrap();
    let demo = Program::in_folder(folder.path()).start(&["demo"]);
    let finished = demo.wait(Duration::from_secs(60)).expect(0);
    for word in ["chat", "mail", "sms", "sent", "failed", "acquire-outbox"] {
        assert!(finished.stdout.contains(word), "no {word} in {finished:?}");
    }
    let place = finished.stdout.split_once("An outbox for the sandbox in ").expect("its place").1;
    let database = Database::at(place.split_once(',').expect("its end").0);
    assert_eq!(database.number("SELECT sandbox FROM outbox_dispatcher"), 1);
    let sent = "SELECT json_extract(receipt, '$.sandbox') FROM outbox WHERE id = 1";
    assert_eq!(database.number(sent), 1);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "nothing is left in the working folder: {left:?}");
}
