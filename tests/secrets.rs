//! The key is shown nowhere, and message text only in the payload.

use crate::support::{Job, KEY, Outbox, Reply, Server, never_shows};
use serde_json::json;

const SECRET: &str = "the-patient-is-called-Ada-Lovelace";

/// Everything that can be seen of the outbox, except the column `payload`, by name.
fn everything_shown(outbox: &Outbox, id: i64) -> Vec<(String, String)> {
    let id_text = id.to_string();
    let commands: [&[&str]; 9] = [
        &["status"],
        &["status", "--json"],
        &["list"],
        &["list", "--json"],
        &["show", &id_text],
        &["show", &id_text, "--json"],
        &["check"],
        &["retry", &id_text],
        &["cancel", &id_text],
    ];
    let mut row = outbox.row(id);
    row.0.remove("payload");
    let mut shown = vec![
        ("the row".into(), format!("{row:?}")),
        ("the history".into(), format!("{:?}", outbox.history(id))),
        ("the view".into(), format!("{:?}", outbox.query("SELECT * FROM delivery_status"))),
    ];
    for arguments in commands {
        shown.push((arguments.join(" "), outbox.run(arguments).output()));
    }
    shown
}

/// Sends one job to a server with this answer, and looks for the secrets everywhere.
#[track_caller]
fn assert_nothing_shown(
    job: Job,
    answer: impl Fn(&crate::support::Request) -> Reply + Send + Sync + 'static,
) {
    let server = Server::answering(answer);
    let setup = Outbox::setup(&server).retry_also("max_attempts = 2");
    let outbox = setup.ready();
    let id = outbox.add(job);
    // The most verbose log level.
    let program = outbox.program().env("RUST_LOG", "trace");
    let finished = program.run(&["run", "--until-empty"]).expect(0);
    never_shows("the log", &finished.output(), KEY);
    never_shows("the log", &finished.output(), SECRET);
    for (place, text) in everything_shown(&outbox, id) {
        never_shows(&place, &text, KEY);
        never_shows(&place, &text, SECRET);
    }
    let all = outbox.query("SELECT * FROM outbox");
    never_shows("the table", &format!("{all:?}"), KEY);
}

/// The request, to be repeated in the answer.
fn echo(request: &crate::support::Request) -> String {
    format!("{}{}", String::from_utf8_lossy(&request.head), request.body_text())
}

#[test]
fn an_accepted_message_shows_neither_key_nor_text() {
    assert_nothing_shown(Job::chat(1, SECRET), |request| {
        Reply::json(200, json!({"data": {"id": 1, "message": echo(request), "status": "sent"}}))
    });
}

#[test]
fn a_rejection_that_echoes_the_request_shows_neither_key_nor_text() {
    for job in [Job::chat(1, SECRET), Job::mail(1, SECRET), Job::sms(1, SECRET)] {
        assert_nothing_shown(job, |request| {
            let message = format!("cannot deliver: {}", echo(request));
            Reply::json(400, json!({"error": "ERROR_INVALID_INPUT", "message": message}))
        });
    }
}

#[test]
fn a_rejection_that_echoes_only_the_text_does_not_show_it() {
    assert_nothing_shown(Job::chat(1, SECRET), |request| {
        let message = format!("The text '{}' is not allowed", request.words());
        Reply::json(400, json!({"error": {"type": "ERROR_INVALID_INPUT", "message": message}}))
    });
}

#[test]
fn an_unreadable_answer_that_echoes_the_request_shows_neither_key_nor_text() {
    assert_nothing_shown(Job::chat(1, SECRET), |request| Reply::text(200, &echo(request)));
    assert_nothing_shown(Job::chat(1, SECRET), |request| Reply::text(503, &echo(request)));
    assert_nothing_shown(Job::chat(1, SECRET), |request| Reply::raw(echo(request)));
}

#[test]
fn an_error_code_that_echoes_the_key_does_not_show_it() {
    assert_nothing_shown(Job::chat(1, SECRET), |request| {
        let header = request.header("authorization").unwrap_or_default();
        Reply::json(400, json!({"error": header, "code": request.words()}))
    });
}

#[test]
fn a_provider_that_echoes_the_text_of_an_sms_does_not_show_it() {
    assert_nothing_shown(Job::sms(1, SECRET), |request| {
        let meta =
            json!({"errorCode": 30007, "errorMessage": format!("filtered: {}", request.words())});
        Reply::json(200, json!({"data": {"data": {"id": 1, "meta": meta}}}))
    });
}

#[test]
fn a_status_that_echoes_the_key_does_not_put_it_into_the_receipt() {
    assert_nothing_shown(Job::sms(1, SECRET), |request| {
        let header = request.header("authorization").unwrap_or_default();
        Reply::json(200, json!({"data": {"data": {"id": 1, "status": header}}}))
    });
}
