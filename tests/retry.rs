//! `retry` and `cancel`, by id and by filter.

use crate::support::{Gate, Job, Outbox, Reply, Row, Server};

/// Three failed jobs: a refused chat and mail, an exhausted SMS; and a pending chat of tomorrow.
fn failed_ones(server: &Server) -> (Outbox, [i64; 3], i64) {
    server.answer_with(|request| match request.words().as_str() {
        "refused" => Reply::status(400),
        "down" => Reply::status(500),
        _ => Reply::accepted(request),
    });
    let outbox = Outbox::new(server);
    let failed = [
        outbox.add(Job::chat(1, "refused").column("source", "'shop'")),
        outbox.add(Job::mail(2, "refused")),
        outbox.add(Job::sms(3, "down").column("max_attempts", "1")),
    ];
    outbox.run_until_empty();
    let tomorrow = Job::chat(4, "tomorrow").tomorrow();
    let pending = outbox.add(tomorrow.column("source", "'shop'"));
    (outbox, failed, pending)
}

#[test]
fn retry_sends_a_failed_job_again() {
    let server = Server::start();
    let (outbox, [chat, mail, _], _) = failed_ones(&server);
    server.answer_with(Reply::accepted);
    let _daemon = outbox.daemon();
    let finished = outbox.run(&["retry", &chat.to_string()]).expect(0);
    assert_eq!(finished.stdout, "1 job retried\n");
    let row = outbox.settled(chat);
    assert_eq!((row.text("status"), row.int("attempts")), ("sent", 2));
    assert!(row.is_null("failure"));
    assert_eq!(outbox.status(mail), "failed");
}

#[test]
fn retry_takes_several_ids() {
    let server = Server::start();
    let (outbox, failed, _) = failed_ones(&server);
    let ids = failed.map(|id| id.to_string());
    let finished = outbox.run(&["retry", &ids[0], &ids[1], &ids[2]]).expect(0);
    assert_eq!(finished.stdout, "3 jobs retried\n");
    assert_eq!(outbox.count("pending"), 4);
}

#[test]
fn retry_takes_filters() {
    for (filters, expected) in [
        (vec!["--failure", "rejected"], [true, true, false]),
        (vec!["--failure", "exhausted"], [false, false, true]),
        (vec!["--channel", "mail"], [false, true, false]),
        (vec!["--status", "failed", "--source", "shop"], [true, false, false]),
        (vec!["--account", "default"], [true, true, true]),
        (vec!["--all"], [true, true, true]),
    ] {
        let server = Server::start();
        let (outbox, failed, _) = failed_ones(&server);
        let mut arguments = vec!["retry"];
        arguments.extend(&filters);
        let finished = outbox.run(&arguments).expect(0);
        let count = expected.iter().filter(|&&is| is).count();
        let jobs = if count == 1 { "job" } else { "jobs" };
        assert_eq!(finished.stdout, format!("{count} {jobs} retried\n"), "{filters:?}");
        assert_eq!(failed.map(|id| outbox.status(id) == "pending"), expected, "{filters:?}");
    }
}

#[test]
fn cancel_withdraws_by_id_and_by_filter() {
    let server = Server::start();
    let (outbox, failed, pending) = failed_ones(&server);
    let finished = outbox.run(&["cancel", &pending.to_string()]).expect(0);
    assert_eq!(finished.stdout, "1 job cancelled\n");
    assert_eq!(outbox.status(pending), "cancelled");

    let source = |case| Job::chat(case, "withdrawn").column("source", "'campaign'");
    let campaign = [5, 6, 7].map(|case| outbox.add(source(case)));
    let finished = outbox.run(&["cancel", "--source", "campaign"]).expect(0);
    assert_eq!(finished.stdout, "3 jobs cancelled\n");
    assert!(campaign.iter().all(|&id| outbox.status(id) == "cancelled"));
    assert!(failed.iter().all(|&id| outbox.status(id) == "failed"));
    outbox.run_until_empty();
    assert!(server.requests_for("withdrawn").is_empty());
}

#[test]
fn a_cancelled_job_is_sent_after_a_retry() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "second thoughts");
    outbox.run(&["cancel", &id.to_string()]).expect(0);
    outbox.run(&["retry", &id.to_string()]).expect(0);
    outbox.run_until_empty();
    assert_eq!(outbox.status(id), "sent");
}

#[test]
fn a_sent_job_can_be_neither_retried_nor_cancelled() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "hi");
    outbox.run_until_empty();
    for command in ["retry", "cancel"] {
        let finished = outbox.run(&[command, &id.to_string()]).expect(1);
        assert!(finished.stderr.contains("sent"), "{finished:?}");
        assert!(finished.stderr.contains(&id.to_string()), "{finished:?}");
    }
    assert_eq!(outbox.status(id), "sent");
    assert_eq!(server.count(), 1);
}

#[test]
fn a_job_that_is_sending_is_not_cancelled() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::answering(move |request| Reply::accepted(request).behind(&held));
    let outbox = Outbox::new(&server);
    let _daemon = outbox.daemon();
    let id = outbox.chat(1, "hi");
    server.wait_for(1);
    let finished = outbox.run(&["cancel", &id.to_string()]).expect(1);
    assert!(finished.stderr.contains("sending"), "{finished:?}");
    gate.open();
    assert_eq!(outbox.settled(id)["status"], "sent");
}

#[test]
fn the_good_ids_of_a_list_are_changed_and_the_bad_one_is_named() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "hi");
    let finished = outbox.run(&["cancel", "4711", &id.to_string()]).expect(1);
    assert!(finished.stderr.contains("4711"), "{finished:?}");
    assert_eq!(finished.stdout, "1 job cancelled\n");
    assert_eq!(outbox.status(id), "cancelled");
}

/// Jobs whose next attempt is an hour away, each after one answer of 503; and one of tomorrow.
fn in_backoff(server: &Server) -> (Outbox, [i64; 3], i64) {
    server.answer_with(|_| Reply::status(503));
    let retry = "initial = \"1h\"\nmax = \"1h\"\njitter = 0.0";
    let outbox = Outbox::setup(server).retry(retry).ready();
    let waiting = [
        outbox.add(Job::chat(1, "one").column("source", "'shop'")),
        outbox.add(Job::mail(2, "two")),
        outbox.add(Job::sms(3, "three")),
    ];
    let scheduled = outbox.add(Job::chat(4, "tomorrow").tomorrow().column("source", "'shop'"));
    (outbox, waiting, scheduled)
}

fn waits_after(attempts: i64) -> impl Fn(&Row) -> bool {
    move |row| row.int("attempts") == attempts && row.text("status") == "pending"
}

#[test]
fn retry_now_makes_a_job_in_backoff_due_at_once_and_keeps_its_budget() {
    let server = Server::start();
    let (outbox, [chat, mail, sms], scheduled) = in_backoff(&server);
    let _daemon = outbox.daemon();
    for id in [chat, mail, sms] {
        outbox.when(id, "in backoff", waits_after(1));
    }
    // By id: the same job again, and what is not in backoff is named.
    let ids = [chat.to_string(), scheduled.to_string(), "99".to_owned()];
    let finished = outbox.run(&["retry", "--now", &ids[0], &ids[1], &ids[2]]).expect(1);
    assert_eq!(finished.stdout, "1 job due now\n");
    let refused = format!("job {scheduled}: is pending, not in backoff");
    assert!(finished.stderr.contains(&refused), "{finished:?}");
    assert!(finished.stderr.contains("job 99: there is no such job"), "{finished:?}");
    let row = outbox.when(chat, "tried again", waits_after(2));
    assert!(row.int("next_attempt_at") > crate::support::now_ms(), "{row:?}");
    assert_eq!(outbox.outcomes(chat), ["retry", "retry"]);
    // By filter, with a rehearsal first.
    let would = outbox.run(&["retry", "--now", "--all", "--dry-run", "--json"]).expect(0).json();
    assert_eq!(would["ids"], serde_json::json!([chat, mail, sms]));
    server.answer_with(Reply::accepted);
    let finished = outbox.run(&["retry", "--now", "--channel", "mail"]).expect(0);
    assert_eq!(finished.stdout, "1 job due now\n");
    assert_eq!(outbox.settled(mail)["status"], "sent");
    assert_eq!(outbox.row(sms).int("attempts"), 1);
    outbox.run(&["retry", "--now", "--all"]).expect(0);
    for id in [chat, sms] {
        assert_eq!(outbox.settled(id)["status"], "sent");
    }
    assert_eq!((outbox.row(chat).int("attempts"), outbox.status(scheduled)), (3, "pending".into()));
    let refused = outbox.run(&["retry", "--now", &ids[0]]).expect(1);
    assert!(refused.stderr.contains("is sent, not in backoff"), "{refused:?}");
}

#[test]
fn retry_of_a_pending_job_names_the_flag_that_is_meant() {
    let server = Server::start();
    let (outbox, [chat, ..], _) = in_backoff(&server);
    for arguments in
        [&["retry", "--status", "pending"][..], &["retry", "--status", "failed,pending"]]
    {
        let wrong = outbox.run(arguments).expect(2);
        assert!(wrong.stderr.contains("`acquire-outbox retry --now`"), "{wrong:?}");
    }
    let refused = outbox.run(&["retry", &chat.to_string()]).expect(1);
    assert!(
        refused.stderr.contains("is pending already; `acquire-outbox retry --now`"),
        "{refused:?}"
    );
    outbox.run(&["retry", "--now", "--status", "failed"]).expect(2);
}

#[test]
fn a_job_in_a_lane_keeps_its_place_when_it_is_tried_now() {
    let server = Server::start();
    let (outbox, [chat, ..], _) = in_backoff(&server);
    let next = outbox.chat(1, "behind it");
    let _daemon = outbox.daemon();
    outbox.when(chat, "in backoff", waits_after(1));
    server.answer_with(Reply::accepted);
    let refused = outbox.run(&["retry", "--now", &next.to_string()]).expect(1);
    assert!(refused.stderr.contains("not in backoff"), "{refused:?}");
    outbox.run(&["retry", "--now", &chat.to_string()]).expect(0);
    outbox.settled(next);
    let words = server.words();
    let of = |word: &str| words.iter().rposition(|sent| sent == word).unwrap();
    assert!(of("one") < of("behind it"), "{words:?}");
}
