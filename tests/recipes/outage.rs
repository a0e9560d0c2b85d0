//! Messages that wait for a person, and a day without Acquire, in small.

use super::page::{Machine, block, can_run, text};
use crate::support::{Outbox, Reply, SOON, Server, eventually};
use std::fs;

#[test]
fn an_uncertain_message_raises_the_alert_until_it_is_decided() {
    let server = Server::answering(|_| Reply::status(502));
    let hold = "[channels.chat]\non_uncertain = \"hold\"";
    let machine = Machine::with_shop(Outbox::setup(&server).more(hold));
    let mail = block("| grep . &&");
    let monitor = block("= '[]' ]");
    assert_eq!(machine.try_run(mail).stdout, b"");
    machine.run(monitor);
    let id = machine.chat(1, "xyzzy");
    machine.run_until_empty();
    let said = String::from_utf8(machine.try_run(mail).stdout).unwrap();
    assert!(said.starts_with(&format!("{id}\tchat")), "{said}");
    assert!(said.contains("Decide with: ") && !said.contains("xyzzy"), "{said}");
    assert_eq!(machine.try_run(monitor).status.code(), Some(1));
    machine.run(&format!("acquire-outbox resolve {id} --sent"));
    machine.run(monitor);
    assert_eq!(machine.try_run(mail).stdout, b"");
}

#[test]
fn after_a_day_without_acquire_what_was_given_up_is_sent_again() {
    let server = Server::answering(|_| Reply::status(503));
    // The day is half a second.
    let day = "initial = \"20ms\"\nmax = \"50ms\"\ngive_up_after = \"500ms\"";
    let machine = Machine::with_shop(Outbox::setup(&server).retry(day));
    let daemon = machine.daemon();
    for case in 1..=20 {
        machine.chat(case, &format!("message {case}"));
    }
    eventually(SOON * 2, "some are given up", || machine.count("failed") >= 2);
    let listed = machine.run(block("--failure exhausted --newer-than 3d"));
    assert!(listed.lines().count() > 2 && listed.contains("exhausted"), "{listed}");
    // Those that wait have not been tried.
    assert!(machine.count("pending") >= 1, "the breaker spends the attempts of few jobs");

    server.answer_with(Reply::accepted);
    machine.run(block("retry --failure exhausted"));
    eventually(SOON * 2, "all are sent", || machine.count("sent") == 20);
    daemon.sigterm();
    daemon.wait(SOON);
}

#[test]
fn a_pause_for_an_announced_outage_spends_nothing() {
    let server = Server::start();
    let machine = Machine::with_shop(Outbox::setup(&server));
    machine.run(block("Acquire is down until tomorrow"));
    let daemon = machine.daemon();
    let id = machine.chat(1, "late");
    let show = machine.run(&format!("acquire-outbox show {id}"));
    assert!(show.contains("Acquire is down until tomorrow"), "{show}");
    assert_eq!(server.count(), 0);
    machine.run("acquire-outbox resume --all");
    eventually(SOON, "it is sent", || machine.count("sent") == 1);
    assert_eq!(machine.shop.number("SELECT attempts FROM outbox"), 1);
    daemon.sigterm();
    daemon.wait(SOON);
}

#[test]
fn the_rate_for_the_backlog_is_valid() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let machine = Machine::with_shop(Outbox::setup(&server));
    let file = machine.outbox.config_file();
    let text = format!("{}\n{}", fs::read_to_string(file).unwrap(), text("toml", "rate ="));
    fs::write(file, text).unwrap();
    machine.run("acquire-outbox check");
}
