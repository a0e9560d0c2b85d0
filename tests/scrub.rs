//! Scrubbing: a delivered message's words leave its row after a while, everything else stays.

use crate::support::{Daemon, Engine, Job, Outbox, Reply, SOON, Server, eventually, quoted};
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const WORDS: &str = "a word for Zoë alone";

/// All that has ended did so this many hours earlier.
fn age(outbox: &Outbox, hours: u32) {
    outbox.move_back("finished_at", HOUR * hours, "finished_at IS NOT NULL");
}

/// What is left of an SMS of thread 3.
fn scrubbed_sms() -> Value {
    json!({"scrubbed": true, "contactId": 751_069, "threadId": 3, "timelineId": 2108})
}

fn payload(outbox: &Outbox, id: i64) -> String {
    outbox.row(id).text("payload").to_owned()
}

#[track_caller]
fn scrubbed(outbox: &Outbox, id: i64) {
    outbox.when(id, "scrubbed", |row| row.json("payload")["scrubbed"] == true);
}

/// The words that are left anywhere in the outbox's tables.
fn words_in_rows(outbox: &Outbox) -> usize {
    let rows =
        [outbox.query("SELECT * FROM outbox"), outbox.query("SELECT * FROM outbox_attempts")];
    rows.iter().map(|rows| format!("{rows:?}").matches(WORDS).count()).sum()
}

#[test]
fn the_words_go_after_the_channels_age_and_the_rest_of_the_row_stays() {
    let server = Server::answering(|request| match request.words().as_str() {
        "refused" => Reply::status(400),
        _ => Reply::accepted(request),
    });
    // An answer that repeats the words leaves none of them in the history.
    server.queue([Reply::text(503, &format!("{{\"message\": \"no {WORDS}\"}}"))]);
    let outbox = Outbox::setup(&server).more("[channels.sms]\nscrub = \"7d\"").ready();
    let sms =
        outbox.add(Job::sms(3, WORDS).column("idempotency_key", "'k'").column("source", "'shop'"));
    outbox.run_until_empty();
    assert_eq!(outbox.outcomes(sms), ["retry", "accepted"]);
    let (chat, refused) = (outbox.chat(1, "chat"), outbox.add(Job::sms(4, "refused")));
    outbox.run_until_empty();
    age(&outbox, 8 * 24);
    let young = outbox.add(Job::sms(5, "young"));
    let before = outbox.row(sms);
    let history = outbox.history(sms);
    let daemon = outbox.daemon();
    scrubbed(&outbox, sms);
    outbox.settled(young);
    assert_eq!(outbox.row(sms).json("payload"), scrubbed_sms());
    for column in [
        "status",
        "message_id",
        "receipt",
        "attempts",
        "idempotency_key",
        "source",
        "finished_at",
        "updated_at",
        "created_at",
        "lane",
    ] {
        assert_eq!(outbox.row(sms)[column], before[column], "{column}");
    }
    assert_eq!(outbox.history(sms), history);
    assert!(payload(&outbox, chat).contains("chat"), "a channel without the setting");
    assert!(payload(&outbox, refused).contains("refused"), "what was not sent may be sent again");
    assert!(payload(&outbox, young).contains("young"), "not yet");
    let again = Job::sms(3, WORDS).column("idempotency_key", "'k'").sql();
    assert!(outbox.try_insert(&again).is_err(), "the key is still taken");

    let shown = outbox.run(&["show", &sms.to_string(), "--payload"]).expect(0);
    assert!(shown.stdout.replace(": ", ":").contains("\"scrubbed\":true"), "{shown:?}");
    crate::support::never_shows("show", &shown.stdout, WORDS);
    let shown = outbox.run(&["show", &sms.to_string()]).expect(0);
    assert!(shown.stdout.contains("scrubbed"), "{shown:?}");
    daemon.sigterm();
    daemon.wait(SOON).expect(0);
    assert_eq!(words_in_rows(&outbox), 0);
    if Engine::of_this_run() != Engine::Sqlite {
        return;
    }
    let file = std::fs::read(outbox.database().path()).unwrap();
    assert!(
        !file.windows(WORDS.len()).any(|part| part == WORDS.as_bytes()),
        "overwritten in the file"
    );
}

#[test]
fn an_age_of_nothing_is_at_once() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).more("[channels.chat]\nscrub = \"0s\"").ready();
    let _daemon = outbox.daemon();
    let ids: Vec<_> = (1..=20).map(|case| outbox.chat(case, WORDS)).collect();
    eventually(Duration::from_secs(60), "all are scrubbed", || words_in_rows(&outbox) == 0);
    assert!(ids.iter().all(|id| outbox.status(*id) == "sent"));
    assert_eq!(server.count(), 20);
}

fn reload(outbox: &Outbox, daemon: &mut Daemon, scrub: &str) {
    let file = std::fs::read_to_string(outbox.config_file()).unwrap();
    let lines: Vec<_> = file.lines().filter(|line| !line.starts_with("scrub")).collect();
    std::fs::write(outbox.config_file(), format!("{}\nscrub = \"{scrub}\"\n", lines.join("\n")))
        .unwrap();
    let reloads = daemon.stderr().matches("has been reloaded").count();
    daemon.signal(libc::SIGHUP);
    eventually(SOON, "a reload", || daemon.stderr().matches("has been reloaded").count() > reloads);
}

#[test]
fn a_changed_setting_counts_from_the_reload_on() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).more("[channels.chat]\nscrub = \"7d\"").ready();
    let (first, second) = (outbox.chat(1, "first"), outbox.chat(2, "second"));
    outbox.run_until_empty();
    outbox.move_back("finished_at", HOUR * 8 * 24, &format!("id = {first}"));
    outbox.move_back("finished_at", HOUR * 2, &format!("id = {second}"));
    let mut daemon = outbox.daemon();
    scrubbed(&outbox, first);
    reload(&outbox, &mut daemon, "never");
    reload(&outbox, &mut daemon, "1h");
    scrubbed(&outbox, second);
    // A longer age puts the limit before what is done: nothing is lost by it.
    reload(&outbox, &mut daemon, "30d");
    let third = outbox.chat(3, "third");
    outbox.settled(third);
    outbox.move_back("finished_at", HOUR * 24, &format!("id = {third}"));
    reload(&outbox, &mut daemon, "1h");
    scrubbed(&outbox, third);
}

#[test]
fn one_row_is_scrubbed_by_sql_and_any_other_change_of_it_is_refused() {
    let server = Server::answering(|request| match request.words().as_str() {
        "refused" => Reply::status(400),
        _ => Reply::accepted(request),
    });
    let outbox = Outbox::new(&server);
    let (sent, failed) = (outbox.add(Job::sms(3, WORDS)), outbox.add(Job::sms(4, "refused")));
    outbox.run_until_empty();
    let scrub = |id: i64| {
        format!(
            "UPDATE outbox SET payload = (SELECT payload FROM outbox_scrubbed s WHERE s.id = outbox.id)
             WHERE id = {id}"
        )
    };
    let mut another = outbox.row(sent).json("payload");
    another["Body"] = "another".into();
    let another = format!("payload = {}", quoted(&another.to_string()));
    for change in [
        "payload = '{\"scrubbed\":true}'",
        &another,
        "payload = NULL",
        "source = 'another'",
        "account = 'another'",
        "status = 'pending'",
        "payload = (SELECT payload FROM outbox_scrubbed s WHERE s.id = outbox.id), priority = 3",
    ] {
        let refused = outbox.try_query(&format!("UPDATE outbox SET {change} WHERE id = {sent}"));
        let refused = refused.expect_err(change);
        assert!(refused.contains("outbox"), "{change}: {refused}");
    }
    assert!(payload(&outbox, sent).contains(WORDS));
    for _ in 0..2 {
        outbox.execute(&scrub(sent));
        assert_eq!(outbox.row(sent).json("payload"), scrubbed_sms());
    }
    // What may still be sent keeps what it needs.
    let refused = outbox.try_query(&scrub(failed)).unwrap_err();
    assert!(refused.contains("outbox.payload.From"), "{refused}");
    assert!(payload(&outbox, failed).contains("refused"));
}

#[test]
fn a_long_backlog_is_scrubbed_while_messages_go_out_and_producers_write() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).more("[channels.chat]\nscrub = \"1h\"").ready();
    outbox.ended_long_ago("sent", 4_000, WORDS);
    let _daemon = outbox.daemon();
    let left = || outbox.number("SELECT count(*) FROM outbox") - outbox.scrubbed();
    let (mut ids, mut seen) = (vec![], vec![]);
    eventually(Duration::from_secs(60), "all but the new ones are scrubbed", || {
        // A producer never sees SQLITE_BUSY because of it.
        ids.push(outbox.chat(9_000 + ids.len() as i64, "new"));
        seen.push(left() - ids.len() as i64);
        seen.last() == Some(&0)
    });
    assert!(seen.iter().any(|left| (500..4_000).contains(left)), "all at once: {seen:?}");
    assert!(ids.iter().all(|id| outbox.settled(*id)["status"] == "sent"));
}

#[test]
fn a_killed_dispatcher_goes_on_where_it_stood() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).more("[channels.chat]\nscrub = \"1h\"").ready();
    outbox.ended_long_ago("sent", 3_000, WORDS);
    let left = || outbox.number("SELECT count(*) FROM outbox") - outbox.scrubbed();
    let mut first = outbox.daemon();
    eventually(SOON, "some are scrubbed", || left() < 3_000);
    first.kill9();
    let stood = outbox.one("SELECT * FROM outbox_scrubbing");
    let is_scrubbed = Engine::of_this_run().field("payload", "scrubbed");
    let of_rows = outbox.one(&format!(
        "SELECT finished_at, id FROM outbox WHERE {is_scrubbed} IS NOT NULL
         ORDER BY finished_at DESC, id DESC LIMIT 1"
    ));
    assert_eq!((&stood["finished_at"], &stood["id"]), (&of_rows["finished_at"], &of_rows["id"]));
    let _second = outbox.daemon();
    eventually(Duration::from_secs(60), "all are", || left() == 0);
}
