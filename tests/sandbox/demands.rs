//! What it demands of a request.

use super::client::*;
use acquire_outbox::queue::job::Channel;
use acquire_outbox::sandbox::Settings;
use serde_json::json;

#[tokio::test]
async fn a_missing_or_wrong_key_is_refused() {
    let sandbox =
        start(Settings { api_key: Some("secret-key".into()), ..Settings::default() }).await;
    let body = chat(1, "Hello").to_string();
    for headers in [
        "",
        "Authorization: Bearer \r\n",
        "Authorization: Basic secret-key\r\n",
        "Authorization: Bearer wrong\r\n",
    ] {
        let headers = format!("{headers}Content-Type: application/json\r\n");
        let answer = sandbox.ask("POST", CHAT, &headers, &body).await;
        assert_eq!((answer.error().0, answer.error().1), (401, "ERROR_UNAUTHORIZED"));
        assert!(!answer.json.to_string().contains("secret-key"));
    }
    let read = sandbox.get("/api/v1/crm/objects/case-message/1").await;
    assert_eq!(read.status, 401);
    let right = "Authorization: Bearer secret-key\r\nContent-Type: application/json\r\n";
    assert_eq!(sandbox.ask("POST", CHAT, right, &body).await.status, 200);
    let statuses: Vec<_> = sandbox.log.messages().iter().map(|message| message.status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 200].map(Some));
}

#[tokio::test]
async fn without_a_configured_key_any_key_is_right_and_none_is_wrong() {
    let sandbox = plain().await;
    assert_eq!(sandbox.post(CHAT, &chat(1, "Hello")).await.status, 200);
    let answer = sandbox.ask("POST", CHAT, "", "{}").await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_required_field_that_is_missing_is_named() {
    let sandbox = plain().await;
    for (channel, path, body) in each(1) {
        let pointers: &[&str] = match channel {
            Channel::Chat => &["caseId", "message", "message.message", "message.type"],
            Channel::Mail => &[
                "data",
                "data.caseId",
                "data.contactId",
                "data.from",
                "data.to",
                "data.cc",
                "data.bcc",
                "data.subject",
                "data.type",
                "data.attachments",
            ],
            Channel::Sms => &["Body", "From", "To", "contactId", "threadId", "timelineId"],
        };
        for field in pointers {
            let mut body = body.clone();
            match field.split_once('.') {
                Some((outer, inner)) => body[outer].as_object_mut().unwrap().remove(inner),
                None => body.as_object_mut().unwrap().remove(*field),
            };
            let answer = sandbox.post(path, &body).await;
            let words = format!("{field} is required");
            assert_eq!(answer.error(), (400, "ERROR_INVALID_INPUT", words.as_str()));
        }
    }
    assert_eq!(sandbox.log.accepted(), 0);
}

#[tokio::test]
async fn a_field_of_the_wrong_kind_is_named() {
    let sandbox = plain().await;
    for (path, mut body, pointer, wrong, field) in [
        (CHAT, chat(1, "x"), "/caseId", json!("2069"), "caseId must be an integer"),
        (CHAT, chat(1, "x"), "/message/type", json!("shout"), "message.type must be"),
        (CHAT, chat(1, "x"), "/message/message", json!(""), "message.message must be text"),
        (MAIL, mail(1), "/data/to", json!([]), "data.to: at least one"),
        (MAIL, mail(1), "/data/to", json!("a@b"), "data.to must be an array"),
        (MAIL, mail(1), "/data/cc", json!(["nobody"]), "data.cc must hold email addresses"),
        (MAIL, mail(1), "/data/type", json!("note"), "data.type must be message"),
        (SMS, sms(1), "/To", json!("12513188609"), "To: a number with its country code"),
        (SMS, sms(1), "/timelineId", json!(1.5), "timelineId must be an integer"),
    ] {
        *body.pointer_mut(pointer).unwrap() = wrong;
        let answer = sandbox.post(path, &body).await;
        let (status, kind, words) = answer.error();
        assert_eq!((status, kind), (400, "ERROR_INVALID_INPUT"));
        assert!(words.contains(field), "{words}");
    }
    let mut mail = mail(1);
    for name in ["htmlBody", "textBody"] {
        mail["data"].as_object_mut().unwrap().remove(name);
    }
    assert!(sandbox.post(MAIL, &mail).await.error().2.contains("data.htmlBody"));
}

#[tokio::test]
async fn a_contact_as_the_sender_must_be_named() {
    let sandbox = plain().await;
    for (parameters, words) in [
        ("x-user-type=contact", "contactId is required when x-user-type is contact"),
        ("-x-user-type=contact", "contactId is required when x-user-type is contact"),
        ("x-user-type=robot", "x-user-type must be user or contact"),
        ("contactId=me", "contactId must be an integer"),
    ] {
        let answer = sandbox.post(&format!("{CHAT}?{parameters}"), &chat(1, "x")).await;
        assert_eq!(answer.error(), (400, "ERROR_INVALID_INPUT", words));
    }
}

#[tokio::test]
async fn what_is_no_json_is_refused() {
    let sandbox = plain().await;
    let answer = sandbox.ask("POST", CHAT, HEADERS, "caseId=1").await;
    assert_eq!(answer.error().0, 400);
    let answer = sandbox.ask("POST", CHAT, "Authorization: Bearer k\r\n", "{}").await;
    assert_eq!(answer.error().2, "Content-Type must be application/json");
    assert_eq!(sandbox.log.messages()[0].body, "caseId=1");
}

#[tokio::test]
async fn an_unknown_path_is_a_404_in_json() {
    let sandbox = plain().await;
    for path in ["/", "/api/v1", "/api/v1/crm/nothing", "/api/v2/voip/send-sms", "/sandbox"] {
        assert_eq!(sandbox.post(path, &json!({})).await.error().1, "ERROR_RECORD_NOT_FOUND");
    }
    assert_eq!(sandbox.get(CHAT).await.error().0, 405);
}
