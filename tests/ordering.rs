//! Order within a key, independence of other keys, priority, and the limit of open requests.

use crate::support::{Gate, Job, Outbox, Reply, SOON, Server, eventually, from_now, now_ms};
use std::time::Duration;

/// Holds back the answer to the messages with these words, accepts the rest at once.
fn holding(words: &'static str, gate: &Gate) -> Server {
    let gate = gate.clone();
    Server::answering(move |request| {
        let reply = Reply::accepted(request);
        if request.words() == words { reply.behind(&gate) } else { reply }
    })
}

#[test]
fn one_conversations_messages_go_out_one_at_a_time_in_order() {
    let server = Server::answering(|r| Reply::accepted(r).delay(Duration::from_millis(15)));
    let outbox = Outbox::new(&server);
    let words: Vec<String> = (0..8).map(|n| format!("word {n}")).collect();
    for word in &words {
        outbox.chat(7, word);
    }
    outbox.run_until_empty();
    assert_eq!(server.words(), words);
    assert_eq!(server.most_open(), 1);
}

#[test]
fn a_message_that_is_tried_again_holds_back_the_later_ones_of_its_conversation() {
    let server = Server::start();
    server.queue([Reply::status(500), Reply::status(503), Reply::drop()]);
    let outbox = Outbox::new(&server);
    for words in ["first", "second", "third"] {
        outbox.chat(7, words);
    }
    outbox.run_until_empty();
    assert_eq!(server.words(), ["first", "first", "first", "first", "second", "third"]);
}

#[test]
fn other_conversations_are_not_held_back() {
    let gate = Gate::closed();
    let server = holding("stuck", &gate);
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    let stuck = outbox.chat(7, "stuck");
    let behind = outbox.chat(7, "behind it");
    server.wait_for_words("stuck");
    let free = [
        outbox.chat(8, "another case"),
        outbox.add(Job::mail(7, "the same number, by mail")),
        outbox.add(Job::sms(7, "the same number, by SMS")),
    ];
    for id in free {
        assert_eq!(outbox.settled(id)["status"], "sent");
    }
    assert_eq!(outbox.row(behind)["attempts"], 0);
    assert!(server.requests_for("behind it").is_empty());
    gate.open();
    assert_eq!(outbox.settled(stuck)["status"], "sent");
    assert_eq!(outbox.settled(behind)["status"], "sent");
}

#[test]
fn mails_and_texts_of_one_case_keep_their_order_too() {
    for job in [Job::mail, Job::sms] {
        let server = Server::answering(|r| Reply::accepted(r).delay(Duration::from_millis(15)));
        let outbox = Outbox::new(&server);
        for words in ["a", "b", "c"] {
            outbox.add(job(90, words));
        }
        outbox.run_until_empty();
        assert_eq!(server.words(), ["a", "b", "c"]);
        assert_eq!(server.most_open(), 1);
    }
}

#[test]
fn the_same_case_of_another_account_is_another_conversation() {
    let gate = Gate::closed();
    let server = holding("stuck", &gate);
    let more = format!(
        "[accounts.second]\naccount_id = \"s\"\napi_key_file = \"key\"\nbase_url = \"{}\"",
        server.base_url()
    );
    let outbox = Outbox::setup(&server).more(&more).ready();
    let _daemon = outbox.daemon();
    outbox.chat(7, "stuck");
    server.wait_for_words("stuck");
    let free = outbox.add(Job::chat(7, "free").column("account", "'second'"));
    assert_eq!(outbox.settled(free)["status"], "sent");
    gate.open();
}

#[test]
fn an_explicit_key_orders_across_channels_and_cases() {
    let gate = Gate::closed();
    let server = holding("first", &gate);
    let outbox = Outbox::new(&server);
    let key = |job: Job| job.column("ordering_key", "'order 17'");
    let _daemon = outbox.daemon();
    outbox.add(key(Job::chat(1, "first")));
    outbox.add(key(Job::mail(2, "second")));
    let last = outbox.add(key(Job::sms(3, "third")));
    let other = outbox.chat(1, "no key, though the same case");
    assert_eq!(outbox.settled(other)["status"], "sent");
    assert!(server.requests_for("second").is_empty());
    gate.open();
    assert_eq!(outbox.settled(last)["status"], "sent");
    let mut keyed = server.words();
    keyed.retain(|words| ["first", "second", "third"].contains(&words.as_str()));
    assert_eq!(keyed, ["first", "second", "third"]);
}

#[test]
fn an_empty_key_means_no_order_at_all() {
    let gate = Gate::closed();
    let server = holding("stuck", &gate);
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    let free = |words| outbox.add(Job::chat(7, words).column("ordering_key", "''"));
    free("stuck");
    server.wait_for_words("stuck");
    let later = free("not behind it");
    assert_eq!(outbox.settled(later)["status"], "sent");
    gate.open();
}

#[test]
fn within_a_conversation_an_earlier_send_at_goes_first() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.chat(7, "inserted first");
    outbox.add(Job::chat(7, "an hour ago").at("send_at", from_now(-3600.0)));
    outbox.add(Job::chat(7, "two hours ago").at("send_at", from_now(-7200.0)));
    outbox.run_until_empty();
    assert_eq!(server.words(), ["two hours ago", "an hour ago", "inserted first"]);
}

#[test]
fn what_fell_due_while_nobody_dispatched_goes_out_by_send_at() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let soon = now_ms() + 300;
    for (words, after) in [("third", 60), ("second", 30), ("first", 0)] {
        outbox.add(Job::chat(7, words).at("send_at", soon + after));
    }
    eventually(SOON, "all three are due", || now_ms() > soon + 60);
    outbox.run_until_empty();
    assert_eq!(server.words(), ["first", "second", "third"]);
}

#[test]
fn a_message_that_is_corrected_keeps_its_place() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let ids = ["one", "two", "three", "four"].map(|words| outbox.chat(7, words));
    outbox.correct(ids[0], "message", "One".into());
    outbox.correct(ids[1], "message", "Two".into());
    outbox.run_until_empty();
    assert_eq!(server.words(), ["One", "Two", "three", "four"]);
}

#[test]
fn a_scheduled_message_holds_nothing_back() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    let later = outbox.add(Job::chat(7, "later").at("send_at", from_now(3600.0)));
    let now = outbox.chat(7, "now");
    assert_eq!(outbox.settled(now)["status"], "sent");
    assert_eq!(outbox.status(later), "pending");
}

#[test]
fn a_message_that_failed_was_cancelled_or_is_uncertain_holds_nothing_back() {
    let server = Server::answering(|request| match request.words().as_str() {
        "refused" => Reply::status(400),
        "lost" => Reply::drop(),
        _ => Reply::accepted(request),
    });
    let hold = "[channels.chat]\non_uncertain = \"hold\"";
    let outbox = Outbox::setup(&server).more(hold).ready();
    let refused = outbox.chat(7, "refused");
    let lost = outbox.chat(7, "lost");
    let cancelled = outbox.chat(7, "cancelled");
    outbox.execute(&format!("UPDATE outbox SET status = 'cancelled' WHERE id = {cancelled}"));
    let last = outbox.chat(7, "last");
    outbox.run_until_empty();
    let statuses = [refused, lost, cancelled, last].map(|id| outbox.status(id));
    assert_eq!(statuses, ["failed", "uncertain", "cancelled", "sent"]);
    assert_eq!(server.words(), ["refused", "lost", "last"]);
}

#[test]
fn a_busy_conversations_backlog_is_never_in_the_way_of_the_others() {
    let gate = Gate::closed();
    let server = holding("0", &gate);
    let small = "[channels.chat]\nmax_in_flight = 2";
    let outbox = Outbox::setup(&server).more(small).ready();
    outbox.add_all((0..400).map(|n| Job::chat(7, &n.to_string())));
    let _daemon = outbox.daemon();
    server.wait_for_words("0");
    for case in 100..110 {
        let free = outbox.chat(case, "free");
        assert_eq!(outbox.settled(free)["status"], "sent");
    }
    assert!(server.requests_for("1").is_empty());
    gate.open();
    // One after the other, each with its own cycle.
    eventually(SOON * 3, "the backlog is sent", || outbox.count("sent") == 410);
    let mut in_order = server.words();
    in_order.retain(|words| words != "free");
    assert_eq!(in_order, (0..400).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn higher_priority_goes_first() {
    let server = Server::start();
    let one = "[channels.chat]\nmax_in_flight = 1";
    let outbox = Outbox::setup(&server).more(one).ready();
    for (case, priority) in [(1, 0), (2, 9), (3, 5), (4, 9), (5, 1)] {
        let job = Job::chat(case, &format!("case {case}, priority {priority}"));
        outbox.add(job.column("priority", &priority.to_string()));
    }
    outbox.run_until_empty();
    let expected = [
        "case 2, priority 9",
        "case 4, priority 9",
        "case 3, priority 5",
        "case 5, priority 1",
        "case 1, priority 0",
    ];
    assert_eq!(server.words(), expected);
}

#[test]
fn priority_does_not_overtake_within_a_conversation() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.chat(7, "first");
    outbox.add(Job::chat(7, "second").column("priority", "9"));
    outbox.run_until_empty();
    assert_eq!(server.words(), ["first", "second"]);
}

#[test]
fn no_more_requests_are_open_than_the_channel_allows() {
    let server = Server::answering(|r| Reply::accepted(r).delay(Duration::from_millis(60)));
    let three = "[channels.chat]\nmax_in_flight = 3";
    let outbox = Outbox::setup(&server).more(three).ready();
    for case in 0..15 {
        outbox.chat(case + 1, "hi");
    }
    outbox.run_until_empty();
    assert_eq!(server.count(), 15);
    assert_eq!(server.most_open(), 3);
}
