//! What it answers, lists and reads back.

use super::client::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Whether every name of `pattern` is in `value` too, all the way down. Lists: the first item.
fn covers(value: &Value, pattern: &Value, path: &str) {
    match pattern {
        Value::Object(fields) => {
            for (name, field) in fields {
                assert!(value.get(name).is_some(), "{path}/{name} is missing");
                covers(&value[name], field, &format!("{path}/{name}"));
            }
        }
        Value::Array(items) if !items.is_empty() => {
            covers(&value[0], &items[0], &format!("{path}/0"))
        }
        _ => {}
    }
}

/// No `$name` of a template is left.
fn filled(value: &Value) {
    match value {
        Value::String(text) => assert!(!text.starts_with('$'), "{text} was not filled in"),
        Value::Array(items) => items.iter().for_each(filled),
        Value::Object(fields) => fields.values().for_each(filled),
        _ => {}
    }
}

fn is_recent(time: &Value) -> bool {
    let time = chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap();
    (chrono::Utc::now() - time.to_utc()).num_seconds().abs() < 60
}

#[tokio::test]
async fn a_chat_message_is_answered_as_documented() {
    let sandbox = plain().await;
    let path = format!("{CHAT}?x-user-type=contact&contactId=597759");
    let answer = sandbox.post(&path, &chat(2069, "$now is a text")).await;
    assert_eq!(answer.status, 200);
    let data = &answer.json["data"];
    assert_eq!(data["message"], "$now is a text");
    assert_eq!((&data["channel"], &data["type"]), (&json!("chat"), &json!("message")));
    assert_eq!((&data["id"], &data["caseId"]), (&json!(8289), &json!(2069)));
    assert_eq!((&data["threadId"], &data["contactId"]), (&json!(2069), &json!(597759)));
    assert_eq!((&data["senderType"], &data["senderId"]), (&json!("contact"), &json!(597759)));
    assert_eq!(data["case"]["contact"]["id"], 597759);
    assert!(is_recent(&data["dateCreated"]));
    covers(
        data,
        &json!({"seen": 0, "meta": 0, "dateUpdated": 0, "sender": {"id": 0, "type": 0},
            "case": {"id": 0, "status": 0, "users": [{"user": {"id": 0}}], "threadId": 0}}),
        "data",
    );
}

#[tokio::test]
async fn a_mail_is_answered_as_documented() {
    let sandbox = plain().await;
    let answer = sandbox.post(MAIL, &mail(1128)).await;
    assert_eq!(answer.status, 200);
    let data = &answer.json["data"];
    filled(data);
    assert_eq!((&data["id"], &data["caseMessageId"]), (&json!(8289), &json!(8289)));
    assert_eq!(data["caseId"], 1128);
    assert_eq!(data["from"]["Email"], "test@acquire.io");
    assert_eq!(data["to"][1], json!({"Name": "", "Email": "two@gmail.com"}));
    assert_eq!((&data["cc"][0]["Email"], &data["bcc"]), (&json!("c@gmail.com"), &json!([])));
    assert_eq!((&data["subject"], &data["htmlBody"]), (&json!("test"), &json!("<p>html</p>")));
    assert_eq!(data["attachments"], json!([{"name": "a.pdf"}]));
    assert!(is_recent(&data["dateCreated"]) && is_recent(&data["scheduleAt"]));
    covers(
        data,
        &json!({"mailMsgId": 0, "mailId": 0, "inboxId": 0, "mailboxMessageId": 0, "messageId": 0,
            "user": {"id": 0}, "sender": {"id": 0}}),
        "data",
    );
}

#[tokio::test]
async fn an_sms_is_answered_in_the_documented_nesting() {
    let sandbox = plain().await;
    let answer = sandbox.post(&format!("{SMS}?x-user-type=user"), &sms(2219)).await;
    assert_eq!(answer.status, 200);
    filled(&answer.json);
    let outer = &answer.json["data"];
    assert_eq!((&outer["threadId"], &outer["timeline"]["id"]), (&json!(2219), &json!(2108)));
    assert_eq!((&outer["cas"]["id"], &outer["cas"]["contactId"]), (&json!(2219), &json!(751069)));
    let inner = &outer["data"];
    assert_eq!((&inner["id"], &inner["caseMessageId"]), (&json!(8289), &json!(8290)));
    assert_eq!((&inner["caseId"], &inner["case_id"]), (&json!(2219), &json!(2219)));
    assert_eq!((&inner["from"], &inner["to"]), (&json!("+12513188609"), &json!("+919666929552")));
    assert_eq!((&inner["status"], &inner["meta"]["status"]), (&json!("sent"), &json!("queued")));
    assert_eq!((&inner["meta"]["Body"], &inner["meta"]["errorCode"]), (&json!("hi"), &Value::Null));
    assert_eq!(inner["call_sid"], inner["meta"]["sid"]);
    assert!(inner["call_sid"].as_str().unwrap().starts_with("SM"));
    assert!(is_recent(&inner["dateCreated"]));
    covers(
        outer,
        &json!({
            "timeline": {"note": 0, "view": 0, "snooze": 0,
                "case": {"lastMessage": {"id": 0}, "users": [{"id": 0}]}},
            "data": {"sender": {"id": 0, "metaDetails": 0}, "cas": {"id": 0},
                "timeline": {"id": 0}}}),
        "data",
    );
}

#[tokio::test]
async fn ids_grow_over_all_channels() {
    let sandbox = plain().await;
    let mut ids = Vec::new();
    for (_, path, body) in each(1).into_iter().chain(each(2)) {
        let answer = sandbox.post(path, &body).await.json;
        let message = if path == SMS { &answer["data"]["data"] } else { &answer["data"] };
        ids.push(message["id"].as_i64().unwrap());
    }
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    assert_eq!(sandbox.log.accepted(), 6);
}

#[tokio::test]
async fn it_lists_what_it_was_sent() {
    let sandbox = plain().await;
    sandbox.post(&format!("{CHAT}?x-user-type=user"), &chat(2069, "Hello")).await;
    sandbox.post(CHAT, &chat(900_404, "Hello")).await;
    let listed = sandbox.ask("GET", "/sandbox/messages", "", "").await.json;
    assert!(is_recent(&listed[0]["received_at"]));
    let first = json!({"n": 1, "received_at": listed[0]["received_at"], "channel": "chat",
        "id": 8289, "accepted": true, "status": 200, "query": {"x-user-type": "user"},
        "body": chat(2069, "Hello")});
    assert_eq!(listed[0], first);
    let second = [&listed[1]["n"], &listed[1]["id"], &listed[1]["status"]];
    assert_eq!(second, [&json!(2), &Value::Null, &json!(404)]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn accepted_messages_read_back() {
    let sandbox = plain().await;
    sandbox.post(CHAT, &chat(2069, "first")).await;
    sandbox.post(&format!("{CHAT}?contactId=7"), &chat(2069, "second")).await;
    sandbox.post(CHAT, &chat(900_400, "refused")).await;
    let sent = sandbox.post(SMS, &sms(2219)).await.json;

    let threads = "/api/v1/crm/messenger/chat/messages";
    let found = sandbox.get(&format!("{threads}?threadId=2069&contactId=7")).await.json;
    assert_eq!(found["data"].as_array().unwrap().len(), 1);
    assert_eq!(found["data"][0]["threadId"], 2069);
    assert_eq!(found["data"][0]["status"], "active");
    covers(
        &found["data"][0]["lastMessage"],
        &json!({"id": 0, "caseId": 0, "channel": 0, "senderId": 0, "senderType": 0, "type": 0,
            "message": 0, "dateCreated": 0}),
        "lastMessage",
    );
    assert_eq!(found["data"][0]["lastMessage"]["message"], "second");
    let all = sandbox.get(threads).await.json;
    assert_eq!(all["data"].as_array().unwrap().len(), 2);

    let case = "/api/v1/crm/objects/case?where=id%7Ceq%7C2069";
    let found = sandbox.get(&format!("{case}&relations=messages")).await.json;
    let messages = found["data"]["data"][0]["messages"].as_array().unwrap();
    let texts: Vec<_> = messages.iter().map(|message| &message["message"]).collect();
    assert_eq!(texts, ["The visitor started chat.", "first", "second"]);
    assert!(sandbox.get(case).await.json["data"]["data"][0].get("messages").is_none());
    let none = sandbox.get("/api/v1/crm/objects/case?where=id%7Ceq%7C900404").await.json;
    assert_eq!((&none["data"]["data"], &none["data"]["count"]), (&json!([]), &json!(0)));
    let closed = sandbox.get("/api/v1/crm/objects/case?where=id%7Ceq%7C900400").await.json;
    assert_eq!(closed["data"]["data"][0]["status"], "closed");
    assert_eq!(sandbox.get("/api/v1/crm/objects/case?where=title").await.error().0, 400);

    let id = &sent["data"]["data"]["caseMessageId"];
    let found = sandbox.get(&format!("/api/v1/crm/objects/case-message/{id}")).await.json;
    assert_eq!((&found["data"]["message"], &found["data"]["seen"]), (&json!("hi"), &json!("no")));
    assert_eq!(sandbox.get("/api/v1/crm/objects/case-message/1").await.error().0, 404);
    assert_eq!(sandbox.get("/api/v1/crm/objects/case-message/x").await.error().0, 400);
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let sandbox = plain().await;
    let mut stream = TcpStream::connect(sandbox.address).await.unwrap();
    let body = chat(1, "x").to_string();
    let request = format!(
        "POST {CHAT} HTTP/1.1\r\nHost: sandbox\r\n{HEADERS}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for n in 1..=3 {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        soon(stream.read_exact(&mut start)).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
        // The rest of the answer, as long as it says it is.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon(stream.read_u8()).await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut rest = vec![0; length.parse().unwrap()];
        soon(stream.read_exact(&mut rest)).await.unwrap();
        assert_eq!(sandbox.log.accepted(), n);
    }
}
