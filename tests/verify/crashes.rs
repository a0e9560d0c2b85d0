//! kill -9 in every phase of a verification.

use super::vendor::{Fate, Vendor};
use super::{VERIFY, loses_answers, verifying};
use crate::support::{Gate, Outbox, Reply, SOON, eventually};
use std::time::Duration;

/// With leases that end soon.
pub fn impatient(vendor: &Vendor) -> Outbox {
    let quick = VERIFY.replace("\"2s\"", "\"150ms\"").replace("\"500ms\"", "\"50ms\"");
    Outbox::setup(&vendor.server).more(&quick).ready()
}

#[test]
fn a_message_that_was_on_its_way_at_a_kill_is_looked_for() {
    let vendor = Vendor::new(|_, _| Fate::Answered);
    let outbox = verifying(&vendor);
    let gate = Gate::closed();
    let held = gate.clone();
    vendor.server.queue([Reply::hang().behind(&held)]);
    let id = outbox.chat(1, "hello");
    let mut daemon = outbox.daemon();
    vendor.server.wait_for(1);
    daemon.kill9();
    gate.open();
    outbox.run_until_empty();
    // It never got to the vendor's books, so it is sent again.
    assert_eq!(outbox.outcomes(id), ["uncertain", "accepted"]);
    assert_eq!((outbox.status(id).as_str(), vendor.copies("hello")), ("sent", 1));
}

#[test]
fn a_kill_between_two_looks_leaves_the_next_one_to_the_next_start() {
    let vendor = Vendor::new(loses_answers(Duration::from_millis(300)));
    let outbox = verifying(&vendor);
    let id = outbox.chat(1, "hello");
    let mut daemon = outbox.daemon();
    outbox.when(id, "looked for", |row| row.int("verify_round") > 0);
    daemon.kill9();
    outbox.run_until_empty();
    assert_eq!((outbox.status(id).as_str(), vendor.copies("hello")), ("sent", 1));
}

#[test]
fn a_kill_in_the_middle_of_a_look_only_repeats_it() {
    let vendor = Vendor::new(loses_answers(Duration::ZERO));
    let gate = Gate::closed();
    let held = gate.clone();
    vendor.read_by(move |_| (!held.wait_a_little()).then(Reply::hang));
    let outbox = impatient(&vendor);
    let id = outbox.chat(1, "hello");
    let mut daemon = outbox.daemon();
    eventually(SOON, "a look", || vendor.looks() > 0);
    daemon.kill9();
    assert_eq!(outbox.status(id), "uncertain");
    gate.open();
    outbox.run_until_empty();
    assert_eq!((outbox.status(id).as_str(), vendor.copies("hello")), ("sent", 1));
}

#[test]
fn kills_at_any_moment_send_nothing_twice() {
    let vendor = Vendor::new(|text, times| {
        let n: u32 = text.parse().unwrap_or(0);
        match (n % 4, times) {
            (0, 1) => Fate::LostAnswer(Duration::ZERO),
            (1, 1) => Fate::LostRequest,
            _ => Fate::Answered,
        }
    });
    let outbox = impatient(&vendor);
    for n in 0..60 {
        outbox.chat(n % 20, &n.to_string());
    }
    for _ in 0..6 {
        let mut daemon = outbox.daemon();
        std::thread::sleep(Duration::from_millis(fastrand::u64(0..250)));
        daemon.kill9();
    }
    outbox.run_until_empty();
    assert_eq!(vendor.twice(), [""; 0]);
    let unclear = outbox.query("SELECT error_code FROM outbox WHERE status <> 'sent'");
    assert!(unclear.iter().all(|row| !row.is_null("error_code")), "each says why");
    assert_eq!(outbox.count("sent") + outbox.count("uncertain"), 60);
    let missing = (0..60).filter(|n| vendor.copies(&n.to_string()) == 0).count();
    assert!(missing as i64 <= outbox.count("uncertain"));
}
