//! `find`: jobs by what a customer's message is known by, in every reading of the text.

use crate::support::{
    Engine, Job, Outbox, Reply, SOON, Server, Shop, eventually, never_shows, shop,
};
use serde_json::{Value, json};

/// The readings of a text, each with its jobs.
#[track_caller]
fn find(outbox: &Outbox, text: &str) -> Vec<(String, Vec<i64>)> {
    let found = outbox.run(&["find", text, "--json"]);
    assert!(matches!(found.code, Some(0 | 1)), "{found:?}");
    let readings = found.json().as_array().unwrap().clone();
    assert_eq!(readings.is_empty(), found.code == Some(1), "{found:?}");
    let ids = |of: &Value| {
        let jobs = of["jobs"].as_array().unwrap().iter();
        jobs.map(|job| job["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    let name = |of: &Value| of["reading"].as_str().unwrap().to_owned();
    readings.iter().map(|of| (name(of), ids(of))).collect()
}

/// As `find` gives it.
fn of(readings: &[(&str, &[i64])]) -> Vec<(String, Vec<i64>)> {
    readings.iter().map(|(name, ids)| ((*name).to_owned(), ids.to_vec())).collect()
}

#[test]
fn a_message_is_found_by_everything_that_it_is_known_by() {
    let server = Server::start();
    let Shop { outbox, sent, refused, exhausted, cancelled, later } = shop(&server);
    let message = outbox.row(sent).text("message_id").to_owned();
    let mail = outbox.add(
        Job::mail(3, "three of them")
            .field("to", json!(["Anne <Anne@Example.com>", "bob@example.com"]))
            .field("cc", json!("carl@example.com"))
            .field("bcc", json!(["dora@example.com", "anne@example.com"]))
            .tomorrow(),
    );
    let sms = outbox.add(Job::sms(5, "x").field("To", json!("+1 (251) 318-3181")).tomorrow());
    for (text, expected) in [
        ("#3", of(&[("job", &[exhausted])])),
        ("3", of(&[("job", &[exhausted]), ("case", &[mail, exhausted])])),
        ("5", of(&[("job", &[later]), ("case", &[sms, later])])),
        ("751069", of(&[("contact", &[sms, exhausted])])),
        ("9156860", of(&[("contact", &[mail, refused])])),
        ("+919666929552", of(&[("phone", &[exhausted])])),
        ("919666929552", of(&[("phone", &[exhausted])])),
        ("+12513183181", of(&[("phone", &[sms])])),
        ("251 318 3181", vec![]),
        ("user@gmail.com", of(&[("address", &[refused])])),
        ("ANNE@example.com", of(&[("address", &[mail])])),
        ("Bob <bob@example.com>", of(&[("address", &[mail])])),
        ("carl@example.com", of(&[("address", &[mail])])),
        ("dora@example.com", of(&[("address", &[mail])])),
        ("test@acquire.io", vec![]),
        ("k4", of(&[("idempotency_key", &[cancelled])])),
        ("crm", of(&[("source", &[refused])])),
        ("no such thing", vec![]),
        ("'; DROP TABLE outbox; --", vec![]),
    ] {
        assert_eq!(find(&outbox, text), expected, "{text}");
    }
    let by_message = find(&outbox, &message);
    assert!(by_message.contains(&("message_id".to_owned(), vec![sent])), "{by_message:?}");
}

/// `+12513183181` is also a number, and a case or a contact may have it.
#[test]
fn what_is_written_as_a_phone_number_is_no_case() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let case = outbox.add(Job::chat(12_513_183_181, "x").tomorrow());
    let sms = outbox.add(Job::sms(1, "x").field("To", json!("+12513183181")).tomorrow());
    assert_eq!(find(&outbox, "+12513183181"), of(&[("phone", &[sms])]));
    let all = of(&[("case", &[case]), ("phone", &[sms])]);
    assert_eq!(find(&outbox, "12513183181"), all);
}

#[test]
fn what_changes_in_a_payload_is_found_as_it_is_then() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let sms = outbox.add(Job::sms(1, "x").tomorrow());
    let mail = outbox.add(Job::mail(2, "x").field("cc", json!("old@example.com")).tomorrow());
    outbox.correct(sms, "To", json!("+4930123456"));
    outbox.correct(mail, "cc", json!("new@example.com"));
    assert_eq!(find(&outbox, "+919666929552"), vec![]);
    assert_eq!(find(&outbox, "+4930123456"), of(&[("phone", &[sms])]));
    assert_eq!(find(&outbox, "old@example.com"), vec![]);
    assert_eq!(find(&outbox, "new@example.com"), of(&[("address", &[mail])]));
    // A cancelled job's payload may be corrected, too.
    outbox.run(&["cancel", &mail.to_string()]).expect(0);
    outbox.correct(mail, "caseId", json!(77));
    outbox.correct(mail, "to", json!("other@example.com"));
    assert_eq!(find(&outbox, "77"), of(&[("case", &[mail])]));
    assert_eq!(find(&outbox, "other@example.com"), of(&[("address", &[mail])]));
    assert_eq!(find(&outbox, "user@gmail.com"), vec![]);
    outbox.execute(&format!("DELETE FROM outbox WHERE id = {mail}"));
    assert_eq!(find(&outbox, "new@example.com"), vec![]);
}

/// What scrubbing removes is in no other column or table either.
#[test]
fn a_scrubbed_message_is_found_by_its_case_and_contact_alone() {
    let server = Server::start();
    let outbox = Outbox::setup(&server)
        .more("[channels.sms]\nscrub = \"0s\"\n[channels.mail]\nscrub = \"0s\"")
        .ready();
    let sms = outbox.add(Job::sms(2069, "x"));
    let mail = outbox.add(Job::mail(2070, "x").field("cc", json!("carl@example.com")));
    let failed = outbox.add(Job::sms(2071, "x").tomorrow());
    outbox.run(&["cancel", &failed.to_string()]).expect(0);
    let _daemon = outbox.daemon();
    for id in [sms, mail] {
        eventually(SOON, "scrubbed", || outbox.row(id).json("payload")["scrubbed"] == true);
    }
    assert_eq!(find(&outbox, "+919666929552"), of(&[("phone", &[failed])]));
    assert_eq!(find(&outbox, "user@gmail.com"), vec![]);
    assert_eq!(find(&outbox, "carl@example.com"), vec![]);
    assert_eq!(find(&outbox, "2069"), of(&[("case", &[sms])]));
    assert_eq!(find(&outbox, "751069"), of(&[("contact", &[failed, sms])]));
    let mut rows =
        format!("{:?}", outbox.query(&format!("SELECT * FROM outbox WHERE id <> {failed}")));
    if Engine::of_this_run() == Engine::Sqlite {
        rows += &format!("{:?}", outbox.query("SELECT * FROM outbox_recipients"));
    }
    for gone in ["919666929552", "user@gmail.com", "carl@example.com"] {
        assert!(!rows.contains(gone), "{gone}: {rows}");
    }
}

/// By the answer, where the payload has left the case out.
#[test]
fn a_message_whose_case_the_daemon_has_filled_in_is_found_by_it() {
    let server = Server::answering(|request| match request.method.as_str() {
        "GET" => Reply::json(
            200,
            json!({"data": {"limit": 100, "data": [{"id": 2219, "contactId": 751_069, "channel": "chat",
                "status": "active", "timeline": {"id": 2220, "threadId": 2219}}]}}),
        ),
        _ => Reply::accepted(request),
    });
    let outbox = Outbox::setup(&server).more("[channels.mail]\nfill_missing = true\n").ready();
    let id = outbox
        .add(Job::mail(0, "x").field("caseId", Value::Null).field("contactId", json!(751_069)));
    outbox.run_until_empty();
    let case = outbox.row(id).json("receipt")["caseId"].clone();
    let jobs = outbox.run(&["list", "--json", "--case", &case.to_string()]).expect(0).json();
    assert_eq!((&jobs[0]["id"], &jobs[0]["case_id"]), (&json!(id), &case));
    assert!(find(&outbox, &case.to_string()).contains(&("case".to_owned(), vec![id])));
}

#[test]
fn for_people_each_reading_has_its_count_and_its_newest_jobs() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.add_all((0..5).map(|_| Job::chat(2, "xyzzy").tomorrow()));
    let found = outbox.run(&["find", "2", "--limit", "3"]).expect(0);
    let lines: Vec<_> = found.stdout.lines().collect();
    assert_eq!((lines[0], lines[4]), ("job:", "case: 5 jobs"), "{lines:?}");
    assert_eq!(lines.len(), 9, "{lines:?}");
    let nothing = outbox.run(&["find", "x y"]).expect(1);
    assert_eq!(
        nothing.stderr,
        "no such jobs; searched for it as message id, idempotency key or source\n"
    );
    never_shows("find", &found.output(), "xyzzy");
}

#[test]
fn the_filters_of_a_list_have_the_same_indexes() {
    let server = Server::start();
    let Shop { outbox, refused, exhausted, cancelled, sent, later } = shop(&server);
    let ids = |arguments: &[&str]| {
        let mut all = vec!["list", "--json"];
        all.extend(arguments);
        let rows = outbox.run(&all).expect(0).json();
        rows.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&["--to", "+91 96669 29552"]), [exhausted]);
    assert_eq!(ids(&["--to", "user@gmail.com", "--status", "failed"]), [refused]);
    assert_eq!(ids(&["--to", "user@gmail.com", "--status", "sent"]), [0_i64; 0]);
    assert_eq!(ids(&["--contact", "9156860"]), [refused]);
    assert_eq!(ids(&["--contact", "no number"]), [0_i64; 0]);
    let message = outbox.row(sent).text("message_id").to_owned();
    assert_eq!(ids(&["--message-id", &message]), [sent]);
    assert_eq!(ids(&["--finished", "today"]), [cancelled, exhausted, refused, sent]);
    assert_eq!(ids(&["--finished", "today", "--status", "failed"]), [exhausted, refused]);
    assert_eq!(ids(&["--finished", "yesterday"]), [0_i64; 0]);
    assert_eq!(ids(&["--finished-since", "1h", "--channel", "mail"]), [refused]);
    assert_eq!(ids(&["--finished-since", "1h", "--status", "pending"]), [0_i64; 0]);
    assert_eq!(ids(&["--finished-before", "1h"]), [0_i64; 0]);
    assert_eq!(ids(&["--finished-since", "1h", "--failure", "rejected"]), [refused]);
    assert_eq!(ids(&["--waits", "scheduled"]), [later]);
    assert_eq!(ids(&["--waits", "parked"]), [0_i64; 0]);
    assert_eq!(
        ids(&["--waits", "scheduled", "--status", "pending,failed", "--channel", "chat"]),
        [later]
    );
    let wrong = outbox.run(&["list", "--to", "nobody"]).expect(2);
    assert!(wrong.stderr.contains("a phone number like"), "{wrong:?}");
}
