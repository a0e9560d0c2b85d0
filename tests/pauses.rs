//! `pause` and `resume`: what is paused is not claimed, from its commit on and over restarts.

use crate::support::{
    Engine, Gate, Job, Manager, Outbox, Reply, SOON, Server, eventually, from_now,
};

#[test]
fn what_is_paused_is_not_sent_while_the_rest_is() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let paused = outbox.run(&["pause", "sms", "--reason", "a new provider"]).expect(0);
    assert_eq!(paused.stdout, "sms is paused: 0 jobs wait\n");
    let waits = outbox.add(Job::sms(1, "waits"));
    let _daemon = outbox.daemon();
    let goes = outbox.chat(2, "goes");
    assert_eq!(outbox.settled(goes)["status"], "sent");
    assert_eq!(outbox.status(waits), "pending");
    assert!(server.requests_for("waits").is_empty());

    let resumed = outbox.run(&["resume", "sms"]).expect(0);
    assert_eq!(resumed.stdout, "sms is resumed: 1 job waited\n");
    assert_eq!(outbox.settled(waits)["status"], "sent");
}

#[test]
fn a_pause_outlives_the_daemon() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let mut first = outbox.daemon();
    outbox.run(&["pause", "chat", "--reason", "lunch"]).expect(0);
    first.wait_for_log("paused: its jobs wait");
    first.kill9();
    let waits = outbox.chat(1, "waits");
    let mut second = outbox.daemon();
    second.wait_for_log("lunch");
    let goes = outbox.add(Job::mail(1, "goes"));
    outbox.settled(goes);
    assert_eq!(outbox.status(waits), "pending");
    outbox.run(&["resume", "chat"]).expect(0);
    outbox.settled(waits);
    second.wait_for_log("resumed: its jobs go out again");
}

#[test]
fn a_pause_holds_from_its_commit_on_and_what_is_on_the_wire_goes_on() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::answering(move |request| Reply::accepted(request).behind(&held));
    let outbox = Outbox::setup(&server).more("[channels.chat]\nmax_in_flight = 1").ready();
    let _daemon = outbox.daemon();
    let flies = outbox.chat(1, "flies");
    server.wait_for(1);
    let waits = outbox.chat(2, "waits");
    let paused = outbox.run(&["pause", "chat"]).expect(0);
    assert_eq!(paused.stdout, "chat is paused: 1 job waits\n");
    gate.open();
    assert_eq!(outbox.settled(flies)["status"], "sent");
    // The loop has been round since: it sends what is not paused.
    let goes = outbox.add(Job::mail(3, "goes"));
    outbox.settled(goes);
    assert_eq!((outbox.status(waits).as_str(), server.count()), ("pending", 2));
    outbox.run(&["resume", "chat"]).expect(0);
    outbox.settled(waits);
}

#[test]
fn an_account_a_channel_of_it_and_everything_can_be_paused() {
    let server = Server::start();
    let shop =
        format!("[accounts.shop]\nbase_url = \"{}\"\napi_key_file = \"key\"", server.base_url());
    let outbox = Outbox::setup(&server).more(&shop).ready();
    let _daemon = outbox.daemon();
    let of_shop = |job: Job| outbox.add(job.column("account", "'shop'"));

    outbox.run(&["pause", "mail", "--account", "shop"]).expect(0);
    let mail = of_shop(Job::mail(1, "mail of shop"));
    outbox.settled(of_shop(Job::chat(2, "chat of shop")));
    outbox.settled(outbox.add(Job::mail(3, "mail of default")));
    assert_eq!(outbox.status(mail), "pending");

    outbox.run(&["pause", "--account", "shop"]).expect(0);
    let resumed = outbox.run(&["resume", "mail", "--account", "shop"]).expect(0);
    assert!(resumed.stderr.contains("still paused: account shop since "), "{resumed:?}");
    let chat = of_shop(Job::chat(4, "later"));
    outbox.settled(outbox.chat(5, "of default"));
    assert_eq!([mail, chat].map(|id| outbox.status(id)), ["pending", "pending"]);

    outbox.run(&["pause", "--all", "--reason", "maintenance"]).expect(0);
    outbox.run(&["resume", "--account", "shop"]).expect(0);
    let next = outbox.run(&["show", &chat.to_string()]).expect(0).stdout;
    assert!(next.contains("paused: everything since ") && next.contains("maintenance"), "{next}");
    assert!(next.contains("`acquire-outbox resume --all`"), "{next}");
    outbox.run(&["resume", "--all"]).expect(0);
    for id in [mail, chat] {
        assert_eq!(outbox.settled(id)["status"], "sent");
    }
}

#[test]
fn execute_sql_pauses_too_and_is_told_what_is_wrong() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.execute("INSERT INTO outbox_pauses (channel, reason) VALUES ('chat', 'by SQL')");
    let waits = outbox.chat(1, "waits");
    let _daemon = outbox.daemon();
    outbox.settled(outbox.add(Job::mail(1, "goes")));
    assert_eq!(outbox.status(waits), "pending");
    outbox.execute("DELETE FROM outbox_pauses");
    outbox.settled(waits);
    let wrong = outbox.try_query("INSERT INTO outbox_pauses (channel) VALUES ('fax')");
    assert!(wrong.unwrap_err().contains("outbox_pauses.channel: must be chat, mail or sms"));
}

#[test]
fn a_pause_again_keeps_its_time_and_takes_the_new_reason() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.run(&["pause", "sms", "--reason", "first"]).expect(0);
    let since = Engine::of_this_run().time(1_700_000_000_000);
    outbox.execute(&format!("UPDATE outbox_pauses SET since = {since}"));
    outbox.run(&["pause", "sms", "--reason", "second"]).expect(0);
    let row = outbox.one("SELECT * FROM outbox_pauses");
    assert_eq!((row.text("reason"), row.int("since")), ("second", 1_700_000_000_000));
}

#[test]
fn to_resume_what_is_not_paused_fails_and_says_what_is() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let nothing = outbox.run(&["resume", "sms"]).expect(1);
    assert_eq!(nothing.stderr, "sms is not paused; nothing is paused\n");
    outbox.run(&["pause", "--all", "--reason", "maintenance"]).expect(0);
    let other = outbox.run(&["resume", "sms"]).expect(1);
    assert!(other.stderr.starts_with("sms is not paused; paused: everything since "), "{other:?}");
    assert!(other.stderr.ends_with(": maintenance\n") && other.stdout.is_empty(), "{other:?}");
}

#[test]
fn an_account_that_is_not_configured_is_paused_with_a_warning() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    // The key is not needed: an operator's account may not read it.
    std::fs::remove_file(outbox.folder().join("key")).unwrap();
    let paused = outbox.run(&["pause", "--account", "shpo"]).expect(0);
    assert_eq!(paused.stderr, "account `shpo` is not configured; configured: default\n");
    assert_eq!(paused.stdout, "account shpo is paused: 0 jobs wait\n");
}

#[test]
fn a_paused_account_may_be_configured_later() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.run(&["pause", "--account", "shop"]).expect(0);
    let waits = outbox.add(Job::chat(1, "waits").column("account", "'shop'"));
    let _daemon = outbox.daemon();
    // An account that nobody knows has been looked for since.
    let unknown = outbox.add(Job::chat(2, "unknown").column("account", "'ghost'"));
    assert_eq!(outbox.settled(unknown)["error_code"], "unknown_account");
    assert_eq!(outbox.status(waits), "pending");
    outbox.run(&["resume", "--account", "shop"]).expect(0);
    assert_eq!(outbox.settled(waits)["error_code"], "unknown_account");
}

#[test]
fn what_to_pause_must_be_said() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    for arguments in [&["pause"][..], &["resume"], &["pause", "--reason", "why"]] {
        let wrong = outbox.run(arguments).expect(2);
        assert!(wrong.stderr.contains("name a channel"), "{wrong:?}");
    }
    outbox.run(&["pause", "--all", "sms"]).expect(2);
    outbox.run(&["pause", "fax"]).expect(2);
    outbox.run(&["pause", "--account", ""]).expect(2);
}

#[test]
fn run_until_empty_ends_when_all_that_is_left_is_paused_or_behind_it() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.run(&["pause", "sms"]).expect(0);
    let key = |job: Job| outbox.add(job.column("ordering_key", "'k'"));
    let first = key(Job::sms(1, "paused"));
    let behind = key(Job::chat(2, "behind it"));
    let tomorrow = Job::sms(3, "paused, too").tomorrow();
    outbox.add(tomorrow);
    let goes = outbox.chat(4, "goes");
    let ended = outbox.run_until_empty();
    let says = |words: &str, jobs: &str| {
        ended.stderr.lines().any(|line| line.contains(words) && line.contains(jobs))
    };
    assert!(
        says("paused jobs, and jobs that wait behind them, remain", r#""jobs":2"#),
        "{ended:?}"
    );
    assert!(says("scheduled jobs remain", r#""jobs":1"#), "{ended:?}");
    assert_eq!(outbox.status(goes), "sent");
    assert_eq!([first, behind].map(|id| outbox.status(id)), ["pending", "pending"]);
}

#[test]
fn run_until_empty_waits_for_a_retry_of_what_is_not_paused() {
    let server = Server::start();
    server.queue([Reply::status(500)]);
    let outbox = Outbox::new(&server);
    outbox.run(&["pause", "sms"]).expect(0);
    outbox.add(Job::sms(1, "paused"));
    let retried = outbox.chat(2, "tried twice");
    outbox.run_until_empty();
    assert_eq!((outbox.status(retried).as_str(), server.count()), ("sent", 2));
}

#[test]
fn the_service_manager_is_told_what_is_paused() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let manager = Manager::in_folder(outbox.folder());
    let _daemon = manager.over(outbox.program()).start(&["run"]);
    manager.wait_for_status("none blocked");
    outbox.run(&["pause", "sms", "--account", "default"]).expect(0);
    manager.wait_for_status("none blocked; paused: sms of account default");
    outbox.run(&["resume", "sms", "--account", "default"]).expect(0);
    eventually(SOON, "no pause", || {
        manager.statuses().last().is_some_and(|line| line.ends_with("none blocked"))
    });
}

#[test]
fn what_expires_while_it_is_paused_fails_as_expired() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.run(&["pause", "chat"]).expect(0);
    let expires = Job::chat(1, "hi").at("expires_at", from_now(1.0));
    let id = outbox.add(expires);
    let _daemon = outbox.daemon();
    let row = outbox.settled(id);
    assert_eq!((row.text("failure"), server.count()), ("expired", 0));
}

#[test]
fn a_pause_with_an_end_ends_by_itself_also_while_nothing_ran() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let paused = outbox.run(&["pause", "sms", "--for", "1h", "--reason", "why"]).expect(0);
    assert_eq!(paused.stdout, "sms is paused for 1h: 0 jobs wait\n");
    let mut first = outbox.daemon();
    let waits = outbox.add(Job::sms(1, "waits"));
    outbox.settled(outbox.chat(2, "goes"));
    assert_eq!(outbox.status(waits), "pending");
    first.kill9();
    let earlier = Engine::of_this_run().earlier("until", std::time::Duration::from_secs(3601));
    outbox.execute(&format!("UPDATE outbox_pauses SET until = {earlier}"));
    let mut second = outbox.daemon();
    assert_eq!(outbox.settled(waits)["status"], "sent");
    assert!(outbox.query("SELECT * FROM outbox_pauses").is_empty());

    outbox.run(&["pause", "--all", "--for", "2s"]).expect(0);
    second.wait_for_log("paused: its jobs wait");
    let held = outbox.chat(3, "held");
    assert_eq!(outbox.settled(held)["status"], "sent");
    second.wait_for_log("resumed: its jobs go out again");
}

#[test]
fn whoever_pauses_twice_is_told_of_the_first_pause() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let first = outbox.run(&["pause", "sms", "--for", "2h", "--reason", "a new provider"]);
    assert_eq!(first.expect(0).stderr, "");
    let second = outbox.run(&["pause", "sms", "--reason", "night"]).expect(0);
    assert_eq!(second.stdout, "sms is paused: 0 jobs wait\n");
    assert!(second.stderr.contains("it was already paused: sms since"), "{second:?}");
    assert!(second.stderr.contains("a new provider") && second.stderr.contains(" until "));
    let pause = &outbox.run(&["status", "--json"]).expect(0).json()["pauses"][0];
    assert_eq!((pause["reason"].as_str(), pause["until"].as_str()), (Some("night"), None));
    let wrong = outbox.run(&["pause", "sms", "--for", "soon"]).expect(2);
    assert!(wrong.stderr.contains("like 30m, 1h or 2d"), "{wrong:?}");
}
