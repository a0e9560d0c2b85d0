//! The daemon and the commands around it, on a server.

use super::Place;
use crate::support::{KEY, Program, Reply, SOON, Server, eventually};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// A configuration file with the database, an account at the server, and the API key.
pub fn configured(place: &Place, server: &Server) -> Program {
    let folder = place.folder.path();
    fs::write(folder.join("key"), KEY).unwrap();
    fs::set_permissions(folder.join("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let config = format!(
        "database = {:?}\nschema = \"messaging\"\n[accounts.default]\naccount_id = \"acme\"\n\
         api_key_file = \"key\"\nbase_url = {:?}\n[retry]\ninitial = \"20ms\"\nmax = \"100ms\"\n",
        place.database.url(),
        server.base_url()
    );
    let file = folder.join("outbox.toml");
    fs::write(&file, config).unwrap();
    Program::in_folder(folder).env("ACQUIRE_OUTBOX_CONFIG", file.to_str().unwrap())
}

#[test]
fn every_command_works_on_a_server() {
    let Some(place) = Place::fresh() else { return };
    let server = Server::start();
    let program = configured(&place, &server);
    let refused = program.run(&["status"]).expect(1);
    assert!(refused.stderr.contains("init"), "{refused:?}");
    program.run(&["init"]).expect(0);
    let check = program.run(&["check"]);
    assert!(check.stdout.contains("schema 1, writable"), "{check:?}");
    let asked = server.count();
    program.run(&["send", "chat", "--case-id", "1", "--message", "first"]).expect(0);
    let payload = json!({"caseId": 2, "message": "second"}).to_string();
    let rows = format!("{}\n", json!({"channel": "chat", "payload": payload}));
    fs::write(place.folder.path().join("rows.jsonl"), rows).unwrap();
    program.run(&["import", "rows.jsonl"]).expect(0);
    program.run(&["pause", "chat", "--reason", "a test"]).expect(0);
    program.run(&["run", "--until-empty"]).expect(0);
    assert_eq!(server.count(), asked);
    program.run(&["resume", "chat"]).expect(0);
    program.run(&["run", "--until-empty"]).expect(0);
    assert_eq!(server.count(), asked + 2);
    let shown = program.run(&["show", "1", "--json"]).expect(0).json();
    assert_eq!(shown["status"], json!("sent"), "{shown}");
    let listed = program.run(&["list", "--json"]).expect(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    let exported = program.run(&["export", "--payload"]).expect(0).stdout;
    assert!(exported.contains("second"), "{exported}");
    program.run(&["send", "chat", "--case-id", "3", "--message", "x", "--at", "+1h"]);
    program.run(&["cancel", "--status", "pending", "--yes"]);
    program.run(&["prune", "--status", "sent", "--yes"]).expect(0);
    let left = program.run(&["status", "--json"]).expect(0).json();
    assert_eq!(left["dispatcher"]["running"], json!(false), "{left}");
    assert_eq!(left["nodes"], json!([]), "{left}");
}

/// PostgreSQL holds no NUL character, and an answer may have one.
#[test]
fn an_answer_with_a_nul_character_is_recorded() {
    let Some(place) = Place::fresh() else { return };
    let server = Server::start();
    server.answer_with(|request| match request.words().as_str() {
        "good" => {
            Reply::json(200, json!({"data": {"id": "82\u{0}89", "caseId": 1, "status": "a\u{0}b"}}))
        }
        _ => Reply::json(400, json!({"error": "ERROR\u{0}_X", "message": "no\u{0}t so"})),
    });
    let program = configured(&place, &server);
    program.run(&["init"]).expect(0);
    for words in ["good", "bad"] {
        program.run(&["send", "chat", "--case-id", "1", "--message", words]).expect(0);
    }
    program.run(&["run", "--until-empty"]).expect(0);
    let database = place.database.in_schema("messaging");
    let good = database.one("SELECT * FROM outbox WHERE id = 1");
    let bad = database.one("SELECT * FROM outbox WHERE id = 2");
    assert_eq!(
        (good.text("status"), good.text("message_id")),
        ("sent", "82\u{fffd}89"),
        "{good:?}"
    );
    assert_eq!(bad.text("status"), "failed", "{bad:?}");
    assert_eq!(database.number("SELECT count(*) FROM outbox_set_aside"), 0);
    // Neither was sent again.
    assert_eq!(database.number("SELECT count(*) FROM outbox_attempts"), 2);
    assert_eq!(server.count(), 2);
}

#[test]
fn nodes_are_listed_while_they_work_and_after_they_have_gone() {
    let Some(place) = Place::fresh() else { return };
    let server = Server::start();
    let program = configured(&place, &server);
    program.run(&["init"]).expect(0);
    let mut first = program.start(&["run", "--listen", "127.0.0.1:0"]).ready();
    let second = program.start(&["run"]).ready();
    let nodes = program.run(&["nodes", "--json"]).expect(0).json();
    let nodes = nodes.as_array().expect("an array");
    assert_eq!(nodes.len(), 2, "{nodes:?}");
    for node in nodes {
        assert_eq!(node["standing"], json!("working"), "{node}");
        assert_eq!(node["version"], json!(env!("CARGO_PKG_VERSION")), "{node}");
        assert!(node["lease_until"].is_string(), "{node}");
    }
    let status = program.run(&["status"]).expect(0);
    assert!(status.stdout.contains("2 nodes at work"), "{status:?}");

    // Each of them sends.
    for case in 0..40 {
        let message = format!("{{\"caseId\": {case}, \"message\": \"words\"}}");
        let insert = format!("INSERT INTO outbox (channel, payload) VALUES ('chat', '{message}')");
        place.database.in_schema("messaging").execute(&insert);
    }
    eventually(SOON, "all sent", || server.count() == 40);
    assert_eq!(first.scrape().number("acquire_outbox_nodes{standing=\"working\"}"), 2.0);

    second.sigterm();
    second.wait(SOON).expect(0);
    let nodes = program.run(&["nodes", "--json"]).expect(0).json();
    assert_eq!(nodes.as_array().map(Vec::len), Some(1), "{nodes}");
    first.sigterm();
    first.wait(SOON).expect(0);
    assert_eq!(program.run(&["nodes", "--json"]).expect(0).json(), json!([]));
    let all = program.run(&["nodes", "--all", "--json"]).expect(0).json();
    let ended = |node: &serde_json::Value| node["standing"] == json!("ended");
    assert!(all.as_array().is_some_and(|all| all.len() == 2 && all.iter().all(ended)), "{all}");
}
