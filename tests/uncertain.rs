//! Outcome unknown: the two policies, the bound, and how a person decides.

use crate::support::{Job, Outbox, Reply, Server, Setup, from_now};

fn holding(server: &Server) -> Setup {
    Outbox::setup(server).more("[channels.chat]\non_uncertain = \"hold\"")
}

#[test]
fn under_retry_a_message_whose_answer_was_lost_is_sent_again() {
    let cut = Reply::text(200, "half of this").half();
    for lost in [Reply::drop(), Reply::status(502), Reply::text(200, "?"), cut] {
        let server = Server::start();
        server.queue([lost]);
        let outbox = Outbox::new(&server);
        let id = outbox.chat(1, "hi");
        outbox.run_until_empty();
        let row = outbox.row(id);
        assert_eq!((row.text("status"), row.int("attempts")), ("sent", 2));
        assert_eq!(outbox.outcomes(id), ["uncertain", "accepted"]);
        assert_eq!(server.words(), ["hi", "hi"]);
        assert_eq!(server.requests()[0].body, server.requests()[1].body);
    }
}

#[test]
fn under_retry_a_timeout_is_sent_again() {
    let server = Server::start();
    server.queue([Reply::hang()]);
    let more = "[channels.chat]\nrequest_timeout = \"500ms\"";
    let outbox = Outbox::setup(&server).more(more).ready();
    let id = outbox.chat(1, "hi");
    outbox.run_until_empty();
    assert_eq!(outbox.row(id)["status"], "sent");
    assert_eq!(outbox.history(id)[0]["error_code"], "timeout");
}

#[test]
fn uncertain_attempts_are_bounded_and_then_the_row_is_held() {
    let server = Server::answering(|_| Reply::status(504));
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "hi");
    outbox.run_until_empty();
    let row = outbox.row(id);
    assert_eq!((row.text("status"), row.int("attempts")), ("uncertain", 3), "the default is 3");
    assert!(row.is_null("finished_at") && row.is_null("failure"));
    assert_eq!(server.count(), 3);

    let server = Server::answering(|_| Reply::drop());
    let one = "[channels.chat]\nuncertain_retries = 1";
    let outbox = Outbox::setup(&server).more(one).ready();
    let id = outbox.chat(1, "hi");
    outbox.run_until_empty();
    assert_eq!(outbox.row(id)["status"], "uncertain");
    assert_eq!(server.count(), 1);
}

#[test]
fn attempts_that_surely_did_not_deliver_do_not_count_as_uncertain() {
    let server = Server::start();
    let troubles = [502, 500, 500, 504, 500];
    server.queue(troubles.map(Reply::status));
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "hi");
    outbox.run_until_empty();
    assert_eq!(outbox.row(id)["status"], "sent");
    let outcomes = ["uncertain", "retry", "retry", "uncertain", "retry", "accepted"];
    assert_eq!(outbox.outcomes(id), outcomes);
}

#[test]
fn under_hold_a_lost_answer_is_left_to_a_person_at_once() {
    let server = Server::start();
    server.queue([Reply::drop()]);
    let outbox = holding(&server).ready();
    let _daemon = outbox.daemon();
    let id = outbox.chat(1, "hi");
    let row = outbox.settled(id);
    assert_eq!((row.text("status"), row.int("attempts")), ("uncertain", 1));
    let after = outbox.chat(1, "the next in its conversation");
    assert_eq!(outbox.settled(after)["status"], "sent");
    assert_eq!(server.words(), ["hi", "the next in its conversation"]);
}

#[test]
fn each_channel_has_its_own_policy() {
    let server = Server::start();
    let outbox = holding(&server).ready();
    let chat = outbox.chat(1, "chat");
    let mail = outbox.add(Job::mail(1, "mail"));
    server.answer_with(
        |request| {
            if request.number < 2 { Reply::drop() } else { Reply::accepted(request) }
        },
    );
    outbox.run_until_empty();
    assert_eq!(outbox.status(chat), "uncertain");
    assert_eq!(outbox.status(mail), "sent");
}

/// A job held as uncertain.
fn uncertain(server: &Server) -> (Outbox, i64) {
    server.queue([Reply::drop()]);
    let outbox = holding(server).ready();
    let id = outbox.chat(1, "hi");
    outbox.run_until_empty();
    assert_eq!(outbox.status(id), "uncertain");
    (outbox, id)
}

#[test]
fn a_person_resolves_an_uncertain_job_as_sent_or_failed() {
    for status in ["sent", "failed"] {
        let server = Server::start();
        let (outbox, id) = uncertain(&server);
        outbox.execute(&format!("UPDATE outbox SET status = '{status}' WHERE id = {id}"));
        outbox.run_until_empty();
        let row = outbox.row(id);
        assert_eq!(row["status"], status);
        assert!(row.int("finished_at") > 0, "resolved is finished: {row:?}");
        assert_eq!(server.count(), 1);
    }
}

#[test]
fn a_person_sends_an_uncertain_job_again() {
    let server = Server::start();
    let (outbox, id) = uncertain(&server);
    outbox.run(&["retry", &id.to_string()]).expect(0);
    outbox.run_until_empty();
    let row = outbox.row(id);
    assert_eq!((row.text("status"), row.int("attempts")), ("sent", 2));
    assert_eq!(outbox.outcomes(id), ["uncertain", "accepted"]);
}

#[test]
fn a_retried_job_has_a_fresh_budget_of_uncertain_attempts() {
    let server = Server::answering(|_| Reply::status(502));
    let two = "[channels.chat]\nuncertain_retries = 2";
    let outbox = Outbox::setup(&server).more(two).ready();
    let id = outbox.chat(1, "hi");
    outbox.run_until_empty();
    assert_eq!((outbox.status(id).as_str(), server.count()), ("uncertain", 2));
    outbox.execute(&format!("UPDATE outbox SET status = 'pending' WHERE id = {id}"));
    outbox.run_until_empty();
    assert_eq!((outbox.status(id).as_str(), server.count()), ("uncertain", 4));
    assert_eq!(outbox.row(id)["attempts"], 4);
}

#[test]
fn an_expired_job_whose_attempt_may_have_arrived_says_so() {
    let server = Server::answering(|_| Reply::drop());
    let outbox = Outbox::setup(&server).retry("initial = \"1h\"\nmax = \"1h\"").ready();
    let id = outbox.add(Job::chat(1, "hi").at("expires_at", from_now(2.0)));
    outbox.run_until_empty();
    let row = outbox.row(id);
    assert_eq!((row.text("failure"), server.requests().len()), ("expired", 1));
    assert!(row.text("error").contains("may have arrived"), "{row:?}");
}
