//! A failed or cancelled job is corrected and sent again, on the page and by `retry --payload`; a new one is sent from
//! the page.

use crate::support::{Job, Outbox, Reply, Server, eventually};
use crate::web::client::{Answer, Client, dashboard, failed};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

/// A text area's or an input's value, as the page has it.
#[track_caller]
fn value(page: &Answer, name: &str) -> String {
    let (_, rest) = page.body.split_once(&format!("name=\"{name}\"")).expect(name);
    let (tag, rest) = rest.split_once('>').expect("a tag");
    match tag.split_once("value=\"") {
        Some((_, value)) => value.split_once('"').expect("a value").0.to_owned(),
        None => rest.split_once('<').expect("an end").0.trim_start_matches('\n').to_owned(),
    }
}

/// The form of a job, as a person gets it.
#[track_caller]
fn form(person: &Client, id: i64) -> (Answer, String, String) {
    let page = person.submit(&format!("/jobs/{id}/edit"), &[]).expect(200);
    let (moves, status) = (value(&page, "moves"), value(&page, "status"));
    (page, moves, status)
}

fn show(outbox: &Outbox, id: i64) -> Value {
    outbox.run(&["show", &id.to_string(), "--json", "--payload"]).expect(0).json()
}

#[test]
fn a_failed_job_is_corrected_on_the_page_and_sent() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let id = failed(&outbox, &server, "no");
    let person = client.logged_in();
    person.get(&format!("/jobs/{id}")).shows("Edit and send again");
    let (page, moves, status) = form(&person, id);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(value(&page, "field.message"), "a secret word");
    let fields = [
        ("moves", moves.as_str()),
        ("status", &status),
        ("field.caseId", "9"),
        ("field.message", "a better\r\nword"),
    ];
    let answer = person.submit(&format!("/jobs/{id}/correct"), &fields).expect(303);
    assert_eq!(answer.header("location"), Some(format!("/jobs/{id}").as_str()));
    let row = outbox.settled(id);
    assert_eq!((row.text("status"), row.int("attempts")), ("sent", 2));
    assert_eq!(row.json("payload"), json!({"caseId": 9, "message": "a better\nword"}));
    server.wait_for_words("a better\nword");
    let job = show(&outbox, id);
    let acts = job["acts"].as_array().expect("acts");
    assert_eq!((&acts[0]["deed"], &acts[0]["detail"]), (&json!("change"), &json!("payload")));
    assert_eq!(acts[0]["payload"]["message"], "a secret word");
    assert_eq!(acts[1]["deed"], "retry");
    assert!(acts.iter().all(|act| act["origin"] == "page"), "{job}");
    // Only to who asks for it.
    let page = person.get(&format!("/jobs/{id}")).expect(200);
    page.shows("Corrected, and sent again.");
    page.shows("the earlier text is kept");
    page.hides("secret word");
    person.submit(&format!("/jobs/{id}/text"), &[]).expect(200).shows("a secret word");
    outbox.run(&["show", &id.to_string()]).expect(0);
    assert!(!outbox.run(&["show", &id.to_string(), "--json"]).stdout.contains("secret"));
}

#[test]
fn what_is_wrong_is_said_at_the_field_and_nothing_typed_is_lost() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let id = failed(&outbox, &server, "no");
    let person = client.logged_in();
    let (_, moves, status) = form(&person, id);
    let correct = |case: &str, message: &str| {
        let fields = [
            ("moves", moves.as_str()),
            ("status", &status),
            ("field.caseId", case),
            ("field.message", message),
        ];
        person.submit(&format!("/jobs/{id}/correct"), &fields)
    };
    let page = correct("seven", "typed <b>").expect(422);
    page.shows("must be a whole number");
    assert_eq!(value(&page, "field.caseId"), "seven");
    assert_eq!(value(&page, "field.message"), "typed &lt;b&gt;");
    // The strict reader's sentence, and the database's, which allows no number so large.
    correct("7", " ").expect(422).shows("required");
    correct("", "typed").expect(422).shows("aria-invalid=\"true\"");
    assert_eq!(outbox.status(id), "failed");
    assert_eq!(show(&outbox, id)["acts"], json!([]));
    assert_eq!(server.count(), 1);
}

#[test]
fn a_field_that_is_unknown_can_be_left_out() {
    let server = Server::start();
    let outbox = crate::web::client::setup(&server).ready();
    let id = outbox.add(Job::chat(7, "hi").field("mesage", json!("typing error")));
    let daemon = crate::web::client::start(&outbox);
    assert_eq!(outbox.settled(id)["failure"], "invalid");
    let person = Client::of(&daemon).logged_in();
    let (page, moves, status) = form(&person, id);
    page.shows("mesage");
    let fields = [("moves", moves.as_str()), ("status", &status), ("field.mesage", "")];
    person.submit(&format!("/jobs/{id}/correct"), &fields).expect(303);
    assert_eq!(outbox.settled(id)["status"], "sent");
}

#[test]
fn who_comes_second_is_told_so_and_loses_nothing() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let id = failed(&outbox, &server, "no");
    let person = client.logged_in();
    let (_, moves, status) = form(&person, id);
    let fields = [
        ("moves", moves.as_str()),
        ("status", &status),
        ("field.message", "my long and careful text"),
    ];
    // Somebody corrects it and it fails again: the same state, but not the same job.
    server.queue([Reply::status(400)]);
    outbox.correct(id, "message", json!("another's text"));
    outbox.run(&["retry", &id.to_string()]).expect(0);
    outbox.settled(id);
    let page = person.submit(&format!("/jobs/{id}/correct"), &fields).expect(409);
    page.shows("was changed by somebody else in the meantime");
    assert_eq!(value(&page, "field.message"), "my long and careful text");
    assert_eq!(outbox.row(id).json("payload")["message"], "another's text");
    // Whoever has read that may send it all the same.
    let moves = value(&page, "moves");
    let fields = [
        ("moves", moves.as_str()),
        ("status", &status),
        ("field.message", "my long and careful text"),
    ];
    person.submit(&format!("/jobs/{id}/correct"), &fields).expect(303);
    outbox.when_status(id, "sent");
    let page = person.submit(&format!("/jobs/{id}/correct"), &fields).expect(409);
    page.shows("has become sent in the meantime");
    page.hides("id=\"send-again\"");
    person
        .submit(&format!("/jobs/{id}/edit"), &[])
        .expect(409)
        .shows("only failed and cancelled jobs");
}

#[test]
fn only_who_may_act_gets_the_form() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let id = failed(&outbox, &server, "no");
    let path = format!("/jobs/{id}/edit");
    client.post(&path, &[]).expect(401);
    let person = client.clone().logged_in();
    person.post(&path, &[("csrf", "wrong")]).expect(403);
    person.get(&path).expect(405);
    person.post("/send", &[("channel", "chat")]).expect(403);
    let (outbox, _daemon, reader) = crate::web::client::for_reading(&server);
    let id = outbox.add(Job::chat(1, "hi").tomorrow());
    reader.post(&format!("/jobs/{id}/edit"), &[]).expect(403);
    reader.get("/send").expect(403);
    reader.get("/jobs").expect(200).hides("/send");
}

#[test]
fn the_command_takes_a_payload_from_a_file_or_the_standard_input() {
    let server = Server::start();
    server.answer_with(|_| Reply::status(400));
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "first");
    outbox.run_until_empty();
    let file = outbox.folder().join("new.json");
    fs::write(&file, r#"{"caseId": 2, "message": "second"}"#).unwrap();
    let file = file.to_str().expect("a path");
    let id_text = id.to_string();
    let done = outbox.run(&["retry", &id_text, "--payload", file]).expect(0);
    assert_eq!(done.stdout, "1 job retried\n");
    let row = outbox.row(id);
    assert_eq!(row.text("status"), "pending");
    assert_eq!(row.json("payload"), json!({"caseId": 2, "message": "second"}));
    let again = outbox.run(&["retry", &id_text, "--payload", file]).expect(1);
    assert!(again.stderr.contains("is pending already"), "{again:?}");
    outbox.run(&["cancel", &id_text]).expect(0);
    let program = outbox.program();
    for (given, said) in [
        (r#"{"caseId": 2, "mesage": "third"}"#, "mesage"),
        (r#"{"caseId": "x", "message": "third"}"#, "caseId"),
        ("no JSON, but a secret", "must be a JSON object"),
    ] {
        let wrong = program.run_with_input(&["retry", &id_text, "--payload", "-"], given);
        let wrong = wrong.expect(1);
        assert!(wrong.stderr.contains(said), "{wrong:?}");
        assert!(
            !wrong.output().contains("secret") && !wrong.output().contains("third"),
            "{wrong:?}"
        );
    }
    assert_eq!(outbox.status(id), "cancelled");
    let third = r#"{"caseId": 2, "message": "third"}"#;
    let done = program.run_with_input(&["retry", &id_text, "--payload", "-", "--json"], third);
    assert_eq!(done.expect(0).json(), json!({"changed": 1, "refused": []}));
    let job = show(&outbox, id);
    let before: Vec<_> = job["acts"]
        .as_array()
        .expect("acts")
        .iter()
        .map(|act| &act["payload"]["message"])
        .collect();
    assert_eq!(
        before,
        [&json!("first"), &Value::Null, &Value::Null, &json!("second"), &Value::Null]
    );
    for wrong in [
        vec!["retry", &id_text, "99", "--payload", file],
        vec!["retry", "--all", "--payload", file],
        vec!["retry", "--channel", "sms", "--payload", file],
        vec!["retry", &id_text, "--now", "--payload", file],
    ] {
        outbox.run(&wrong).expect(2);
    }
    outbox.run(&["retry", "999", "--payload", file]).expect(1);
}

#[test]
fn what_a_corrected_message_was_before_goes_when_it_is_scrubbed() {
    let server = Server::start();
    server.queue([Reply::status(400)]);
    let outbox = Outbox::setup(&server).more("[channels.chat]\nscrub = \"0s\"").ready();
    let id = outbox.chat(1, "a secret word");
    let daemon = outbox.daemon();
    assert_eq!(outbox.settled(id)["status"], "failed");
    let corrected = r#"{"caseId": 1, "message": "a better word"}"#;
    let command = ["retry", &id.to_string(), "--payload", "-"];
    outbox.program().run_with_input(&command, corrected).expect(0);
    outbox.when_status(id, "sent");
    eventually(Duration::from_secs(60), "it is scrubbed", || outbox.scrubbed() == 1);
    assert_eq!(outbox.number("SELECT count(*) FROM outbox_acts WHERE payload IS NOT NULL"), 0);
    assert!(outbox.number("SELECT count(*) FROM outbox_acts") >= 2);
    drop(daemon);
}

#[test]
fn plain_sql_that_scrubs_erases_what_was_there_before() {
    let server = Server::start();
    server.queue([Reply::status(400)]);
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "a secret word");
    outbox.run_until_empty();
    let corrected = r#"{"caseId": 1, "message": "a better word"}"#;
    let command = ["retry", &id.to_string(), "--payload", "-"];
    outbox.program().run_with_input(&command, corrected).expect(0);
    outbox.run_until_empty();
    let kept = "SELECT count(*) FROM outbox_acts WHERE payload IS NOT NULL";
    assert_eq!(outbox.number(kept), 1);
    outbox.execute(&format!(
        "UPDATE outbox SET payload = (SELECT payload FROM outbox_scrubbed s WHERE s.id = outbox.id) WHERE id = {id}"
    ));
    assert_eq!(outbox.number(kept), 0);
}

#[test]
fn a_message_is_sent_from_the_page_once_however_often_its_form_is_sent() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let person = client.logged_in();
    person.get("/jobs").shows("href=\"/send\"");
    let page = person.get("/send").expect(200);
    let key = value(&page, "idempotency_key");
    let fields = [
        ("channel", "chat"),
        ("account", "default"),
        ("idempotency_key", key.as_str()),
        ("field.caseId", "7"),
        ("field.message", "tried out"),
        ("field.type", "note"),
        ("send_at", ""),
    ];
    let first = person.submit("/send", &fields).expect(303);
    let second = person.submit("/send", &fields).expect(303);
    assert_eq!(first.header("location"), second.header("location"));
    person.get("/jobs").shows("in the queue once");
    let id = outbox.number("SELECT max(id) FROM outbox");
    assert_eq!(first.header("location"), Some(format!("/jobs/{id}").as_str()));
    let row = outbox.settled(id);
    assert_eq!((row.text("status"), row.text("source")), ("sent", "dashboard"));
    assert_eq!(outbox.number("SELECT count(*) FROM outbox"), 1);
    assert_eq!(server.count(), 1);
    assert_eq!(show(&outbox, id)["acts"][0]["deed"], "insert");
    // Another form has another key.
    assert_ne!(value(&person.get("/send"), "idempotency_key"), key);
}

#[test]
fn a_new_message_is_checked_as_a_producers_is() {
    let server = Server::start();
    let (outbox, _daemon, client) = dashboard(&server);
    let person = client.logged_in();
    for channel in ["chat", "mail", "sms"] {
        person.get(&format!("/send?channel={channel}")).expect(200).shows("field.contactId");
    }
    person.get("/send?channel=fax").expect(400);
    let send = |fields: &[(&str, &str)]| {
        let mut all = vec![("channel", "sms"), ("account", "default"), ("field.Body", "typed <i>")];
        all.extend(fields);
        person.submit("/send", &all)
    };
    let page = send(&[("field.From", "+1")]).expect(422);
    assert_eq!(value(&page, "field.Body"), "typed &lt;i&gt;");
    page.shows("Nothing was sent.");
    let whole = [
        ("field.From", "+12513188609"),
        ("field.To", "+919666929552"),
        ("field.contactId", "1"),
        ("field.threadId", "2"),
        ("field.timelineId", "3"),
    ];
    let with = |more: (&'static str, &'static str)| {
        let mut fields = whole.to_vec();
        fields.push(more);
        send(&fields)
    };
    with(("send_at", "soon")).expect(422).shows("aria-invalid=\"true\"");
    // What the database refuses.
    with(("send_at", "12345")).expect(422).shows("must be Unix milliseconds");
    assert_eq!(outbox.number("SELECT count(*) FROM outbox"), 0);
    with(("send_at", "+1h")).expect(303);
    let row = outbox.one("SELECT * FROM outbox");
    assert_eq!((row.text("status"), row.text("wait")), ("pending", "scheduled"));
}
