//! Each kind of answer, and the row that results from it. Blocks of an account or a route are in
//! `blocks.rs`.

mod idle;
mod odd;

use crate::support::{Job, Outbox, Refusing, Reply, Row, Server, Setup, sqlite_only};
use serde_json::{Value, json};
use std::time::Duration;

/// With this policy a message whose answer was lost is never sent again.
const HOLD: &str = "[channels.chat]\non_uncertain = \"hold\"\nrequest_timeout = \"400ms\"\n\
                    [channels.sms]\non_uncertain = \"hold\"";

struct Ended {
    row: Row,
    history: Vec<Row>,
    requests: usize,
}

/// Sends one job to a server that always gives this reply.
#[track_caller]
fn answered(setup: impl FnOnce(&Server) -> Setup, job: Job, reply: Reply) -> Ended {
    let server = Server::answering(move |_| reply.clone());
    let outbox = setup(&server).ready();
    let id = outbox.add(job);
    outbox.run_until_empty();
    let (row, history) = (outbox.row(id), outbox.history(id));
    assert!(row.is_null("next_attempt_at"), "finished, but due again: {row:?}");
    Ended { row, history, requests: server.count() }
}

#[track_caller]
fn held(job: Job, reply: Reply) -> Ended {
    answered(|server| Outbox::setup(server).more(HOLD), job, reply)
}

fn hi() -> Job {
    Job::chat(2069, "hi")
}

#[track_caller]
fn assert_sent(ended: &Ended, message_id: Option<&str>, error_code: Option<&str>) {
    let row = &ended.row;
    assert_eq!(row["status"], "sent", "{row:?}");
    assert_eq!(row["message_id"], message_id.map_or(Value::Null, Value::from));
    assert_eq!(row["error_code"], error_code.map_or(Value::Null, Value::from));
    assert!(row.is_null("failure"));
    assert_eq!(row["attempts"], 1);
    assert!(row.int("finished_at") >= row.int("created_at"));
    assert_eq!(ended.history.len(), 1);
    assert_eq!(ended.history[0]["outcome"], "accepted");
    assert_eq!(ended.requests, 1);
}

#[track_caller]
fn assert_rejected(ended: &Ended, code: &str, words: &str) {
    let row = &ended.row;
    assert_eq!((row.text("status"), row.text("failure")), ("failed", "rejected"), "{row:?}");
    assert_eq!(row["error_code"], code);
    assert!(row.text("error").contains(words), "{row:?}");
    assert!(row.int("finished_at") > 0);
    assert_eq!(ended.history.len(), 1);
    assert_eq!(ended.history[0]["outcome"], "rejected");
    assert_eq!(ended.history[0]["error_code"], code);
    assert!(ended.history[0].text("error").contains(words));
    assert_eq!(ended.requests, 1);
}

/// With the policy `hold`: one request, and the row waits for a person.
#[track_caller]
fn assert_uncertain(ended: &Ended, http_status: Option<i64>) {
    let row = &ended.row;
    assert_eq!(row["status"], "uncertain", "{row:?}");
    assert!(row.is_null("failure") && row.is_null("finished_at") && row.is_null("message_id"));
    assert!(!row.text("error").is_empty() && !row.text("error_code").is_empty());
    assert_eq!(ended.history.len(), 1);
    assert_eq!(ended.history[0]["outcome"], "uncertain");
    assert_eq!(ended.history[0]["http_status"], http_status.map_or(Value::Null, Value::from));
    assert_eq!(ended.requests, 1);
}

#[test]
fn an_accepted_chat_message_is_sent_with_its_ids() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let before = crate::support::now_ms();
    let id = outbox.add(hi());
    outbox.run_until_empty();
    let ended = Ended { row: outbox.row(id), history: outbox.history(id), requests: 1 };
    assert_sent(&ended, Some("8289"), None);
    let receipt = ended.row.json("receipt");
    assert_eq!(receipt["id"], 8289);
    assert_eq!(receipt["caseId"], 2069);
    assert_eq!(receipt["threadId"], 1875);
    assert_eq!(receipt["contactId"], 597_759);
    assert_eq!(receipt["dateCreated"], "2021-03-30T16:05:46.000Z");
    let attempt = &ended.history[0];
    assert_eq!((&attempt["job_id"], &attempt["attempt"]), (&json!(id), &json!(1)));
    assert_eq!(attempt["http_status"], 200);
    assert!(attempt.is_null("error") && attempt.is_null("error_code"));
    assert!((before..=crate::support::now_ms()).contains(&attempt.int("started_at")));
    assert!((0..60_000).contains(&attempt.int("duration_ms")));
}

#[test]
fn an_accepted_mail_is_sent_with_its_ids() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let id = outbox.add(Job::mail(90, "test"));
    outbox.run_until_empty();
    let row = outbox.row(id);
    assert_eq!(row["message_id"], "8289");
    let receipt = row.json("receipt");
    assert_eq!(receipt["caseMessageId"], 407);
    assert_eq!(receipt["mailMsgId"], 13);
    assert_eq!(receipt["mailboxMessageId"], "0.5345358743514836");
    assert_eq!(receipt["caseId"], 90);
    assert_eq!(receipt["scheduleAt"], "2021-03-12T09:21:20.000Z");
}

#[test]
fn an_accepted_sms_is_sent_with_the_ids_of_the_inner_answer() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let id = outbox.add(Job::sms(2219, "hi"));
    outbox.run_until_empty();
    let row = outbox.row(id);
    assert_eq!(row["message_id"], "8289");
    let receipt = row.json("receipt");
    assert_eq!(receipt["id"], 8289);
    assert_eq!(receipt["caseMessageId"], 6021);
    assert_eq!(receipt["caseId"], 2219);
    assert_eq!(receipt["threadId"], 2219);
    assert_eq!(receipt["callSid"], "SM77f1");
    assert_eq!(receipt["status"], "queued");
}

#[test]
fn the_message_id_is_stored_as_text() {
    sqlite_only!("a column may hold a value of another type than its own");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.add(hi());
    outbox.run_until_empty();
    let row = outbox.one("SELECT typeof(message_id) AS t, json_type(receipt) AS r FROM outbox");
    assert_eq!((row.text("t"), row.text("r")), ("text", "object"));
}

#[test]
fn a_created_answer_is_accepted_as_well() {
    for status in [201, 202] {
        let reply = Reply::json(status, json!({"data": {"id": "abc"}}));
        assert_sent(&held(hi(), reply), Some("abc"), None);
    }
}

#[test]
fn an_accepted_answer_without_an_id_is_sent_with_a_note() {
    let reply = Reply::json(200, json!({"data": {}}));
    assert_sent(&held(hi(), reply), None, Some("no_message_id"));
    let reply = Reply::json(200, json!({"data": {"data": {}}}));
    assert_sent(&held(Job::sms(1, "hi"), reply), None, Some("no_message_id"));
}

#[test]
fn an_accepted_answer_of_three_megabytes_is_sent_with_the_ids_at_its_start() {
    let body = format!(r#"{{"data":{{"id":8289,"message":"{}"}}}}"#, "x".repeat(3 << 20));
    let ended = held(hi(), Reply::new(200, "application/json", body));
    assert_sent(&ended, Some("8289"), Some("answer_too_large"));
}

#[test]
fn three_megabytes_that_are_not_json_are_uncertain() {
    let body = format!("<html>{}</html>", "x".repeat(3 << 20));
    assert_uncertain(&held(hi(), Reply::new(200, "text/html", body)), Some(200));
}

#[test]
fn a_providers_error_inside_an_accepted_sms_is_a_rejection() {
    let reply = Reply::json(
        200,
        json!({"data": {"threadId": 2219, "data": {
            "id": 77, "caseId": 2219, "status": "undelivered",
            "meta": {"errorCode": 21610, "errorMessage": "The recipient unsubscribed"}
        }}}),
    );
    let ended = held(Job::sms(2219, "hi"), reply);
    assert_rejected(&ended, "21610", "The recipient unsubscribed");
    assert_eq!(ended.row["message_id"], "77");
    assert_eq!(ended.row.json("receipt")["caseId"], 2219);
    assert_eq!(ended.history[0]["http_status"], 200);
}

#[test]
fn a_rejection_has_the_vendors_type_and_message_whatever_their_shape() {
    let cases = [
        (
            400,
            json!({"error": "ERROR_INVALID_INPUT", "message": "caseId is wrong"}),
            "ERROR_INVALID_INPUT",
            "caseId is wrong",
        ),
        (
            404,
            json!({"error": {"type": "ERROR_RECORD_NOT_FOUND", "message": "no such case"}}),
            "ERROR_RECORD_NOT_FOUND",
            "no such case",
        ),
        (
            403,
            json!({"code": "ERROR_UNAUTHORIZED_ACCESS", "error": {"message": "not yours"}}),
            "ERROR_UNAUTHORIZED_ACCESS",
            "not yours",
        ),
        (
            400,
            json!({"type": "ERROR_DUPLICATE_RECORD_FOUND", "error": "already there"}),
            "ERROR_DUPLICATE_RECORD_FOUND",
            "already there",
        ),
        (422, json!({"message": "a sentence alone"}), "http_422", "a sentence alone"),
        (409, json!({"unheard": "of"}), "http_409", "unheard"),
    ];
    for (status, body, code, words) in cases {
        let ended = held(hi(), Reply::json(status, body));
        assert_rejected(&ended, code, words);
        assert_eq!(ended.history[0]["http_status"], status);
    }
}

#[test]
fn a_rejection_of_three_megabytes_keeps_a_short_error() {
    let body = format!(r#"{{"message":"No. {}"}}"#, "y".repeat(3 << 20));
    let ended = held(hi(), Reply::new(400, "application/json", body));
    assert_rejected(&ended, "http_400", "No. y");
    assert!(ended.row.text("error").len() < 2048, "{} bytes", ended.row.text("error").len());
}

#[test]
fn a_2xx_that_is_not_acquires_is_uncertain() {
    let replies = [
        Reply::status(204),
        Reply::status(200),
        Reply::text(200, "<html>Welcome to nginx</html>"),
        Reply::json(200, json!([])),
        Reply::json(200, json!({"ok": true})),
        Reply::text(200, r#"{"data":{"id":8289"#),
    ];
    for reply in replies {
        let ended = held(hi(), reply);
        let status = ended.history[0].int("http_status");
        assert_uncertain(&ended, Some(status));
        assert!(status == 200 || status == 204);
        assert_eq!(ended.row["error_code"], "response_unreadable");
    }
}

#[test]
fn a_gateways_error_is_uncertain() {
    for status in [502, 504] {
        let ended = held(hi(), Reply::text(status, "gateway"));
        assert_uncertain(&ended, Some(i64::from(status)));
        assert_eq!(ended.row["error_code"], format!("http_{status}"));
    }
}

#[test]
fn an_answer_that_does_not_come_in_time_is_uncertain() {
    let ended = held(hi(), Reply::hang());
    assert_uncertain(&ended, None);
    assert_eq!(ended.row["error_code"], "timeout");
    assert!(ended.history[0].int("duration_ms") >= 350);
}

#[test]
fn a_connection_lost_before_the_answer_is_uncertain() {
    assert_uncertain(&held(hi(), Reply::drop()), None);
}

#[test]
fn half_an_acceptance_is_uncertain_but_half_a_rejection_is_a_rejection() {
    let accepted = Reply::json(200, json!({"data": {"id": 1, "message": "x".repeat(600)}}));
    assert_uncertain(&held(hi(), accepted.half()), Some(200));
    assert_uncertain(&held(hi(), Reply::raw("HTTP/1.1 200 OK\r\ncontent-le")), None);
    let refused = Reply::json(400, json!({"message": "x".repeat(600)}));
    assert_rejected(&held(hi(), refused.half()), "http_400", "xxx");
}

#[test]
fn an_answer_that_is_not_http_is_uncertain() {
    assert_uncertain(&held(hi(), Reply::raw("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")), None);
    assert_uncertain(&held(hi(), Reply::raw(vec![0_u8; 3 << 20])), None);
}

#[test]
fn an_unavailable_server_is_tried_again_until_it_accepts() {
    for status in [408, 425, 429, 500, 503, 507] {
        let server = Server::start();
        server.queue([Reply::status(status), Reply::status(status)]);
        let outbox = Outbox::setup(&server).more(HOLD).ready();
        let id = outbox.add(hi());
        outbox.run_until_empty();
        assert_eq!(outbox.row(id)["status"], "sent");
        assert_eq!(outbox.row(id)["attempts"], 3);
        assert_eq!(outbox.outcomes(id), ["retry", "retry", "accepted"]);
        let first = &outbox.history(id)[0];
        assert_eq!(first["http_status"], status);
        assert_eq!(first["error_code"], format!("http_{status}"));
        assert_eq!(server.count(), 3);
    }
}

#[test]
fn attempts_that_are_used_up_end_as_exhausted() {
    let reply = Reply::json(500, json!({"error": "ERROR_SERVER_ERROR", "message": "oh no"}));
    let three = |server: &Server| Outbox::setup(server).retry_also("max_attempts = 3");
    let ended = answered(three, hi(), reply.clone());
    assert_eq!((ended.row.text("status"), ended.row.text("failure")), ("failed", "exhausted"));
    assert_eq!((ended.row.int("attempts"), ended.requests, ended.history.len()), (3, 3, 3));
    assert_eq!(ended.row["error_code"], "ERROR_SERVER_ERROR");
    assert!(ended.row.text("error").contains("oh no"));
    assert!(ended.row.int("finished_at") > 0);

    let ended = answered(three, hi().column("max_attempts", "1"), reply);
    assert_eq!((ended.row.text("failure"), ended.requests), ("exhausted", 1));
}

#[test]
fn time_that_is_used_up_ends_as_exhausted() {
    let setup = |server: &Server| Outbox::setup(server).retry_also("give_up_after = \"300ms\"");
    // If the machine stalls, the first request may take all of the time: another try.
    let has_a_second_request = || {
        let ended = answered(setup, hi(), Reply::status(503));
        assert_eq!((ended.row.text("status"), ended.row.text("failure")), ("failed", "exhausted"));
        assert!(ended.requests < 20, "{} requests", ended.requests);
        ended.requests > 1
    };
    assert!((0..5).any(|_| has_a_second_request()));
}

#[test]
fn a_connection_that_is_refused_is_tried_again_and_never_uncertain() {
    let nobody = Refusing::new();
    assert_not_written(&format!("http://{}/api/v1", nobody.address), &["connect"]);
}

#[test]
fn a_tls_handshake_that_fails_is_tried_again_and_never_uncertain() {
    let server = Server::start();
    assert_not_written(&format!("https://127.0.0.1:{}/api/v1", server.port()), &["tls"]);
    assert_eq!(server.count(), 0);
}

#[test]
fn a_name_that_does_not_resolve_is_tried_again_and_never_uncertain() {
    assert_not_written("https://acquire-outbox.invalid/api/v1", &["connect", "dns"]);
}

#[track_caller]
fn assert_not_written(base_url: &str, codes: &[&str]) {
    let more = "[channels.chat]\non_uncertain = \"hold\"\nconnect_timeout = \"3s\"";
    let setup = Setup::sending_to(base_url).retry_also("max_attempts = 2").more(more);
    let outbox = setup.ready();
    let id = outbox.add(hi());
    outbox.run_until_empty();
    let row = outbox.row(id);
    assert_eq!((row.text("status"), row.text("failure")), ("failed", "exhausted"), "{row:?}");
    assert!(codes.contains(&row.text("error_code")), "{row:?}");
    assert_eq!(outbox.outcomes(id), ["retry", "retry"]);
    assert!(outbox.history(id)[0].is_null("http_status"));
}

#[test]
fn connections_closed_before_the_request_was_read_lose_no_message() {
    let server = Server::start();
    server.close_next_connections(2);
    let outbox = Outbox::new(&server);
    let id = outbox.add(hi());
    outbox.run_until_empty();
    assert_eq!(outbox.row(id)["status"], "sent");
    assert_eq!(server.count(), 1);
    assert!(server.connections() >= 3);
}

#[test]
fn a_slow_answer_within_the_timeout_is_accepted() {
    let server = Server::answering(|r| Reply::accepted(r).delay(Duration::from_millis(700)));
    let outbox = Outbox::new(&server);
    let id = outbox.add(hi());
    outbox.run_until_empty();
    assert_eq!(outbox.row(id)["status"], "sent");
    assert!(outbox.history(id)[0].int("duration_ms") >= 650);
}
