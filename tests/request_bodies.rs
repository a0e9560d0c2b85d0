//! The requests of the three channels, byte for byte, as the daemon sends them.

use crate::support::{Job, KEY, Outbox, Request, Server};
use serde_json::{Value, json};

/// Sends one job through the daemon and gives its one request.
#[track_caller]
fn request_of(job: Job) -> Request {
    let server = Server::start();
    sent_through(&server, &Outbox::new(&server), job)
}

#[track_caller]
fn sent_through(server: &Server, outbox: &Outbox, job: Job) -> Request {
    let id = outbox.add(job);
    outbox.run_until_empty();
    let row = outbox.row(id);
    assert_eq!(row["status"], "sent", "{row:?}");
    let mut requests = server.requests();
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

/// Checks what every request has: method, target, the headers that matter, a whole body.
#[track_caller]
fn assert_posted(request: &Request, target: &str, body: &str) {
    assert_eq!(request.method, "POST");
    assert_eq!(request.target, target);
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.body_text(), body);
    assert_eq!(request.header("content-length"), Some(body.len().to_string().as_str()));
    assert_eq!(request.header("transfer-encoding"), None);
    assert!(request.header("host").is_some_and(|host| host.starts_with("127.0.0.1:")));
    assert!(request.head.ends_with(b"\r\n\r\n"));
}

#[test]
fn a_chat_message_goes_out_as_the_vendors_page_has_it() {
    let payload = json!({"caseId": 2069, "message": "Hello", "translateLangKey": "en"});
    assert_posted(
        &request_of(Job::new("chat", payload)),
        "/api/v1/crm/messenger/chat/add-message?x-user-type=user",
        r#"{"channel":"chat","message":{"type":"message","message":"Hello","translateLangKey":"en"},"caseId":2069}"#,
    );
}

#[test]
fn a_chat_message_of_the_contact_names_the_contact_in_the_query() {
    let job = Job::chat(2069, "Hello").field("userType", json!("contact"));
    assert_posted(
        &request_of(job.field("contactId", json!(597_759))),
        "/api/v1/crm/messenger/chat/add-message?x-user-type=contact&contactId=597759",
        r#"{"channel":"chat","message":{"type":"message","message":"Hello"},"caseId":2069}"#,
    );
}

#[test]
fn a_chat_note_has_its_own_type() {
    let request = request_of(Job::chat(2069, "for colleagues").field("type", json!("note")));
    assert_eq!(
        request.body_text(),
        r#"{"channel":"chat","message":{"type":"note","message":"for colleagues"},"caseId":2069}"#
    );
}

#[test]
fn a_mail_goes_out_as_the_vendors_page_has_it() {
    let payload = json!({
        "caseId": 1128, "contactId": 9_156_860, "from": "test@acquire.io",
        "to": ["user@gmail.com"], "subject": "test",
        "textBody": "plain text", "htmlBody": "<p>html</p>"
    });
    assert_posted(
        &request_of(Job::new("mail", payload)),
        "/api/v1/mail/add-message",
        concat!(
            r#"{"data":{"caseId":1128,"contactId":9156860,"from":"test@acquire.io","#,
            r#""to":["user@gmail.com"],"cc":[],"bcc":[],"subject":"test","type":"message","#,
            r#""textBody":"plain text","htmlBody":"<p>html</p>","attachments":[]}}"#
        ),
    );
}

#[test]
fn one_mail_address_as_text_becomes_an_array() {
    let job = Job::mail(1128, "test")
        .field("to", json!("user@gmail.com"))
        .field("cc", json!("second@gmail.com"))
        .field("bcc", json!(["third@gmail.com", "fourth@gmail.com"]));
    let data = &request_of(job).json()["data"];
    assert_eq!(data["to"], json!(["user@gmail.com"]));
    assert_eq!(data["cc"], json!(["second@gmail.com"]));
    assert_eq!(data["bcc"], json!(["third@gmail.com", "fourth@gmail.com"]));
}

#[test]
fn attachments_pass_unchanged() {
    let attachments =
        json!([{"name": "a.pdf", "url": "https://x.example/a.pdf", "size": 12.5}, {}]);
    let request = request_of(Job::mail(1128, "test").field("attachments", attachments.clone()));
    assert_eq!(request.json()["data"]["attachments"], attachments);
}

#[test]
fn an_sms_goes_out_with_the_fields_that_are_derived() {
    assert_posted(
        &request_of(Job::sms(2219, "hi")),
        "/api/v1/voip/send-sms?x-user-type=user",
        concat!(
            r#"{"Body":"hi","From":"+12513188609","To":"+919666929552","contactId":751069,"#,
            r#""id":2219,"threadId":2219,"timelineId":2108,"isClosed":false,"#,
            r#""isMultiChannel":false,"message":"hi","sms":"hi","markValue":"<p>hi</p>","#,
            r#""msgType":"message"}"#
        ),
    );
}

#[test]
fn an_sms_keeps_every_field_that_its_producer_gives() {
    let job = Job::sms(2219, "hi")
        .field("id", json!(7))
        .field("title", json!("#751069 has just started a chat"))
        .field("isClosed", json!(true))
        .field("isMultiChannel", json!(true))
        .field("markValue", json!("<b>hi</b>"))
        .field("msgType", json!("note"))
        .field("userType", json!("contact"));
    let request = request_of(job);
    assert!(request.target.starts_with("/api/v1/voip/send-sms?x-user-type=contact"));
    assert_eq!(
        request.json(),
        json!({
            "Body": "hi", "From": "+12513188609", "To": "+919666929552", "contactId": 751_069,
            "id": 7, "threadId": 2219, "timelineId": 2108, "isClosed": true,
            "isMultiChannel": true, "message": "hi", "sms": "hi", "markValue": "<b>hi</b>",
            "msgType": "note", "title": "#751069 has just started a chat"
        })
    );
}

#[test]
fn the_html_form_of_an_sms_is_escaped() {
    let request = request_of(Job::sms(2219, "1 < 2 & 3 > 2"));
    assert_eq!(request.json()["markValue"], "<p>1 &lt; 2 &amp; 3 &gt; 2</p>");
    assert_eq!(request.json()["sms"], "1 < 2 & 3 > 2");
}

#[test]
fn text_in_every_script_arrives_unchanged() {
    let words = "Grüße, 你好, שלום, 👩‍👩‍👧, \"quoted\", back\\slash,\ttab,\nnew line, \u{7f}";
    assert_eq!(request_of(Job::chat(1, words)).words(), words);
}

#[test]
fn extra_is_merged_into_the_request_body() {
    let extra = json!({"message": {"silent": true}, "tag": "x"});
    assert_eq!(
        request_of(Job::chat(9, "hi").field("extra", extra)).json(),
        json!({
            "channel": "chat", "caseId": 9, "tag": "x",
            "message": {"type": "message", "message": "hi", "silent": true}
        })
    );
    let request = request_of(Job::mail(1, "test").field("extra", json!({"data": {"x": 1}})));
    assert_eq!(request.json()["data"]["x"], 1);
    assert_eq!(request.json()["data"]["subject"], "test");
    assert_eq!(request.json()["data"]["extra"], Value::Null);
}

#[test]
fn the_query_names_the_user_type_as_the_account_is_configured() {
    let server = Server::start();
    let setup = Outbox::setup(&server).account("user_type_parameter = \"-x-user-type\"");
    let request = sent_through(&server, &setup.ready(), Job::sms(2219, "hi"));
    assert!(request.target.starts_with("/api/v1/voip/send-sms?-x-user-type=user"));
}

#[test]
fn each_account_sends_with_its_own_key_and_address() {
    let (server, other) = (Server::start(), Server::start());
    let more = format!(
        "[accounts.support]\naccount_id = \"x\"\napi_key_env = \"OTHER\"\nbase_url = \"{}/v9\"",
        other.base_url()
    );
    let outbox = Outbox::setup(&server).more(&more).written();
    let program = outbox.program().env("OTHER", "the-other-key");
    program.run(&["init"]).expect(0);
    let id = outbox.add(Job::mail(1, "theirs").column("account", "'support'"));
    outbox.chat(2, "ours");
    program.run(&["run", "--until-empty"]).expect(0);
    assert_eq!(outbox.status(id), "sent");
    assert_eq!(server.words(), ["ours"]);
    let theirs = &other.requests()[0];
    assert_eq!(theirs.header("authorization"), Some("Bearer the-other-key"));
    assert_eq!(theirs.target, "/api/v1/v9/mail/add-message");
}

#[test]
fn the_key_is_only_in_the_header() {
    for job in [Job::chat(1, "a"), Job::mail(1, "b"), Job::sms(1, "c")] {
        let request = request_of(job);
        assert!(!request.target.contains(KEY));
        assert!(!request.body_text().contains(KEY));
        assert_eq!(String::from_utf8_lossy(&request.head).matches(KEY).count(), 1);
    }
}
