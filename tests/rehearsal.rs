//! The sandbox and the demo, as a user without an Acquire account meets them.

mod support;

use std::time::Duration;
use support::{Daemon, Database, Job, KEY, Outbox, Program, SOON, Server, Setup, found};
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
    support::never_shows("the log", &finished.output(), KEY);
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
