//! `follow_up`: Acquire is asked what became of messages that were sent.

mod reading;
mod showing;

use crate::support::{Job, Outbox, Row, Server, Setup, StandIn};
use acquire_outbox::sandbox::{Faults, ReadingFaults};
use std::time::Duration;

/// A sandbox that delivers at once, or returns this share.
fn delivering(bounced: f64) -> StandIn {
    let delivered_after = Some(Duration::from_millis(1));
    let reading = ReadingFaults { delivered_after, bounced, ..ReadingFaults::default() };
    StandIn::with(Faults { reading, ..Faults::default() })
}

/// The channels that are followed up, after this long.
fn channels(follow_up: &str) -> String {
    let of = |channel| {
        format!(
            "[channels.{channel}]\nfollow_up = \"{follow_up}\"\nrequest_timeout = \"2s\"\n\
             connect_timeout = \"500ms\"\n"
        )
    };
    ["chat", "mail", "sms"].map(of).concat()
}

fn following(acquire: &StandIn, follow_up: &str) -> Outbox {
    Setup::sending_to(acquire.base_url()).more(&channels(follow_up)).ready()
}

fn following_on(server: &Server, follow_up: &str) -> Outbox {
    Outbox::setup(server).more(&channels(follow_up)).ready()
}

/// One job of each channel.
fn one_of_each(outbox: &Outbox) -> [i64; 3] {
    [Job::chat(2069, "hello"), Job::mail(1128, "hello"), Job::sms(2219, "hello")]
        .map(|job| outbox.add(job))
}

fn delivery(row: &Row) -> Option<String> {
    (!row.is_null("delivery")).then(|| row.text("delivery").to_owned())
}

#[test]
fn what_became_of_a_message_is_recorded_and_its_state_stays() {
    let acquire = delivering(0.0);
    let outbox = following(&acquire, "300ms");
    let jobs = one_of_each(&outbox);
    let _daemon = outbox.daemon();
    for id in jobs {
        let row = outbox.when(id, "seen or delivered", |row| !row.is_null("delivery"));
        assert_eq!(row.text("status"), "sent");
        assert!(row.int("delivery_at") >= row.int("created_at") - 1_000);
        assert!(row.int("followed_at") >= row.int("finished_at"));
        assert_eq!(delivery(&row).as_deref(), Some("seen"));
        assert!(row.is_null("follow_at"), "that is the end of the story");
        let seen = outbox.seen(id);
        assert_eq!(seen.text("delivery"), "seen");
        assert!(seen.text("delivery_at").ends_with('Z'), "{seen:?}");
        assert_eq!(outbox.outcomes(id), ["accepted"], "no attempt is added");
    }
}

#[test]
fn a_mail_that_is_returned_and_an_sms_that_fails_are_found() {
    let acquire = delivering(1.0);
    let outbox = following(&acquire, "100ms");
    let [chat, mail, sms] = one_of_each(&outbox);
    let _daemon = outbox.daemon();
    for (id, state) in [(chat, "seen"), (mail, "bounced"), (sms, "failed")] {
        let row = outbox.when(id, state, |row| delivery(row).as_deref() == Some(state));
        assert_eq!((row.text("status"), row.is_null("failure")), ("sent", true));
    }
}

#[test]
fn where_it_is_off_nothing_is_asked() {
    let acquire = delivering(1.0);
    let more = "[channels.mail]\nfollow_up = \"1ms\"\n";
    let outbox = Setup::sending_to(acquire.base_url()).more(more).ready();
    let [chat, mail, sms] = one_of_each(&outbox);
    let _daemon = outbox.daemon();
    outbox.when(mail, "bounced", |row| delivery(row).as_deref() == Some("bounced"));
    for id in [chat, sms] {
        let row = outbox.when_status(id, "sent");
        let columns = ["delivery", "delivery_at", "follow_at", "followed_at"];
        assert!(columns.iter().all(|column| row.is_null(column)), "{row:?}");
    }
}

#[test]
fn a_run_until_empty_does_not_wait_and_the_next_start_asks() {
    let acquire = delivering(0.0);
    // A lease that ends soon.
    let more =
        channels("2s").replace("timeout = \"2s\"", "timeout = \"1s\"").replace("500ms", "100ms");
    let outbox = Setup::sending_to(acquire.base_url()).more(&more).ready();
    let jobs = one_of_each(&outbox);
    outbox.run_until_empty();
    for id in jobs {
        let row = outbox.row(id);
        assert!(row.is_null("delivery") && !row.is_null("follow_at"), "{row:?}");
    }
    let mut daemon = outbox.daemon();
    outbox.when(jobs[0], "asked about", |row| !row.is_null("followed_at"));
    // Others may be under way: whoever comes next asks again.
    daemon.kill9();
    let _daemon = outbox.daemon();
    for id in jobs {
        outbox.when(id, "seen", |row| delivery(row).as_deref() == Some("seen"));
    }
}

#[test]
fn a_setting_that_is_taken_back_ends_it() {
    let acquire = delivering(0.0);
    let outbox = following(&acquire, "2s");
    let [chat, ..] = one_of_each(&outbox);
    outbox.run_until_empty();
    let file = outbox.config_file();
    let config = std::fs::read_to_string(file).unwrap().replace("\"2s\"", "\"never\"");
    std::fs::write(file, config.replace("request_timeout = \"never\"", "")).unwrap();
    let _daemon = outbox.daemon();
    let row = outbox.when(chat, "given up", |row| row.is_null("follow_at"));
    assert!(row.is_null("delivery") && row.is_null("followed_at"), "{row:?}");
}
