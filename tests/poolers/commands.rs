//! What operators do, through a pooler.

use super::{MODES, Place, chat};
use crate::support::{Program, Server};
use serde_json::json;
use std::fs;

#[test]
fn every_command_works_in_either_mode() {
    for mode in MODES {
        let Some(place) = Place::behind(mode) else { return };
        let server = Server::start();
        let program = place.configured(&server);
        // Up to date: nothing that would need a session.
        program.run(&["init"]).expect(0);
        assert!(program.run(&["init", "--dry-run"]).expect(0).stdout.contains("up to date"));
        program.run(&["send", "chat", "--case-id", "1", "--message", "first"]).expect(0);
        let payload = json!({"caseId": 2, "message": "second"}).to_string();
        let row = json!({"channel": "chat", "payload": payload});
        fs::write(place.folder.path().join("rows.jsonl"), format!("{row}\n")).unwrap();
        program.run(&["import", "rows.jsonl"]).expect(0);
        place.pooled().execute(&chat(3));
        assert!(program.run(&["check"]).stdout.contains("schema 1, writable"), "{mode}");
        program.run(&["pause", "chat", "--reason", "a test"]).expect(0);
        let status = program.run(&["status", "--json"]).expect(0).json();
        assert_eq!(status["pauses"][0]["reason"], json!("a test"), "{mode}: {status}");
        program.run(&["cancel", "3"]).expect(0);
        program.run(&["run", "--until-empty"]).expect(0);
        program.run(&["resume", "chat"]).expect(0);
        program.run(&["run", "--until-empty"]).expect(0);
        let shown = program.run(&["show", "3"]).expect(0).stdout;
        assert!(shown.contains("cancelled"), "{mode}: {shown}");
        program.run(&["retry", "3"]).expect(0);
        program.run(&["run", "--until-empty"]).expect(0);
        let listed = program.run(&["list", "--status", "sent", "--json"]).expect(0).json();
        assert_eq!(listed.as_array().map(Vec::len), Some(3), "{mode}: {listed}");
        assert!(program.run(&["export", "--payload"]).expect(0).stdout.contains("second"));
        program.run(&["prune", "--status", "sent", "--yes"]).expect(0);
        let nodes = program.run(&["nodes", "--all", "--json"]).expect(0).json();
        let polls =
            nodes.as_array().unwrap().iter().all(|node| node["polls"] == (mode == "transaction"));
        assert!(polls, "{mode}: {nodes}");
    }
}

#[test]
fn nothing_is_left_in_a_session_that_others_get() {
    let Some(place) = Place::behind("transaction") else { return };
    let program = place.program(place.pooled().url());
    for arguments in
        [&["list"][..], &["status"], &["send", "chat", "--case-id", "1", "--message", "x"]]
    {
        program.run(arguments).expect(0);
        let left = "SELECT current_setting('search_path') AS path, current_setting('lock_timeout') AS wait,
            (SELECT count(*) FROM pg_prepared_statements)::int AS named,
            (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')::int AS locks";
        let row = place.pooled().one(left);
        // The pooler makes its own clients' search_path as they ask for it.
        assert_eq!((row.text("wait"), row.int("named"), row.int("locks")), ("0", 0, 0), "{row:?}");
        assert!(!row.text("path").contains("messaging"), "{row:?}");
    }
}

#[test]
fn what_needs_a_session_says_so() {
    let Some(place) = Place::behind("transaction") else { return };
    let program = place.program(place.pooled().url()).env("ACQUIRE_OUTBOX_SCHEMA", "another");
    let refused = program.run(&["init"]).expect(78);
    assert!(refused.stderr.contains("keeps no session"), "{refused:?}");
    assert!(refused.stderr.contains("session mode"), "{refused:?}");
    // In session mode it is made.
    let Some(place) = Place::behind("session") else { return };
    let program = place.program(place.pooled().url()).env("ACQUIRE_OUTBOX_SCHEMA", "another");
    program.run(&["init"]).expect(0);
}

#[test]
fn an_outbox_is_carried_through_a_pooler_only_in_session_mode() {
    for mode in MODES {
        let Some(place) = Place::behind(mode) else { return };
        let program = Program::in_folder(place.folder.path());
        program.run(&["init", "--database", "old.db"]).expect(0);
        let send = ["send", "chat", "--case-id", "1", "--message", "x", "--database", "old.db"];
        program.run(&send).expect(0);
        let pooled = place.pooled();
        let there = ["move", "--from", "old.db", "--to", pooled.url(), "--to-schema", "messaging"];
        let back = ["move", "--from", pooled.url(), "--from-schema", "messaging", "--to", "new.db"];
        for direction in [there, back] {
            let done = program.run(&direction);
            if mode == "session" {
                done.expect(0);
                continue;
            }
            assert_ne!(done.code, Some(0), "{done:?}");
            assert!(done.stderr.contains("keeps no session"), "{done:?}");
        }
    }
}
