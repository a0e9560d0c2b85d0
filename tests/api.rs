//! `/api`: the same JSON as the commands', for programs; and its description, which an outside tool holds it to.

use crate::support::{Daemon, Job, Outbox, Reply, Server, skipped};
use crate::web::client::{Client, TOKEN, dashboard, for_reading};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// What a command prints with `--json`.
fn printed(outbox: &Outbox, arguments: &[&str]) -> Value {
    parsed(&outbox.program().run(arguments).expect(0).stdout)
}

/// A job that was sent, one that failed, and one for tomorrow.
fn three(outbox: &Outbox, server: &Server) -> [i64; 3] {
    let sent = outbox.chat(7, "a text that stays secret");
    outbox.settled(sent);
    server.queue([Reply::json(
        400,
        json!({"error": "ERROR_INVALID_INPUT", "message": "no such case"}),
    )]);
    let failed = outbox.chat(8, "a text that stays secret");
    outbox.settled(failed);
    [sent, failed, outbox.add(Job::sms(9, "a text that stays secret").tomorrow())]
}

#[test]
fn jobs_are_what_list_prints_and_a_job_is_what_show_prints() {
    let server = Server::start();
    let (outbox, _daemon, client) = for_reading(&server);
    let [sent, failed, later] = three(&outbox, &server);
    let all = client.get("/api/jobs").expect(200);
    assert_eq!(all.header("content-type"), Some("application/json"));
    all.hides("secret");
    assert_eq!(parsed(&all.body), printed(&outbox, &["list", "--json"]));
    for (query, arguments, ids) in [
        ("status=failed&status=sent", &["--status", "failed,sent"][..], vec![failed, sent]),
        ("channel=sms", &["--channel", "sms"], vec![later]),
        ("error=SUCH+case", &["--error", "SUCH case"], vec![failed]),
        ("order=ascending&limit=2", &["--ascending", "--limit", "2"], vec![sent, failed]),
    ] {
        let answer = parsed(&client.get(&format!("/api/jobs?{query}")).expect(200).body);
        assert_eq!(answer, printed(&outbox, &[&["list", "--json"], arguments].concat()), "{query}");
        let found: Vec<_> =
            answer.as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect();
        assert_eq!(found, ids, "{query}");
    }
    for id in [sent, failed, later] {
        let one = client.get(&format!("/api/jobs/{id}")).expect(200);
        one.hides("secret");
        assert_eq!(parsed(&one.body), printed(&outbox, &["show", &id.to_string(), "--json"]));
    }
}

#[test]
fn the_status_is_what_status_prints() {
    let server = Server::start();
    let (outbox, _daemon, client) = for_reading(&server);
    three(&outbox, &server);
    // What passes with the time is left out.
    let lasting = |mut status: Value| {
        let fields = status.as_object_mut().expect("an object");
        fields.retain(|name, _| {
            !["at", "rates", "database_bytes", "wal_bytes", "nodes"].contains(&name.as_str())
        });
        status
    };
    let answer = client.get("/api/status").expect(200);
    answer.hides("secret");
    // What is counted quickly is counted for each request.
    assert_eq!(answer.header("age"), Some("0"));
    assert_eq!(lasting(parsed(&answer.body)), lasting(printed(&outbox, &["status", "--json"])));
}

#[test]
fn a_page_leads_to_the_next_until_there_is_none() {
    let server = Server::start();
    let (outbox, _daemon, client) = for_reading(&server);
    let ids: Vec<i64> = (1..=5).map(|case| outbox.add(Job::sms(case, "hi").tomorrow())).collect();
    let (mut path, mut seen) =
        ("/api/jobs?channel=sms&order=ascending&limit=2".to_owned(), Vec::new());
    loop {
        let page = client.get(&path).expect(200);
        let jobs = parsed(&page.body);
        seen.extend(jobs.as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()));
        let Some(link) = page.header("link") else { break };
        path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
    assert_eq!(seen, ids);
}

#[test]
fn what_is_wrong_is_a_sentence_in_json() {
    let server = Server::start();
    let (_outbox, _daemon, client) = for_reading(&server);
    for (path, status, words) in [
        ("/api/jobs?status=lost", 400, "status: `lost` is not one of"),
        ("/api/jobs?limit=0", 400, "limit: must be 1 to 500"),
        ("/api/jobs?limit=501", 400, "limit: must be 1 to 500"),
        ("/api/jobs?since=soon", 400, "since: must be a time"),
        ("/api/jobs/4000", 404, "no job 4000"),
        ("/api/jobs/x", 404, "whole number"),
        ("/api/jobs/1?payload=perhaps", 400, "payload: "),
        ("/api/jobs/1?payload=true", 403, "token"),
        ("/api/nothing", 404, "/api/openapi.json"),
    ] {
        let answer = client.get(path).expect(status);
        let sentence = parsed(&answer.body)["error"].as_str().unwrap().to_owned();
        assert!(sentence.contains(words), "{path}: {sentence}");
    }
    let wrong_method = client.post("/api/jobs", &[]).expect(405);
    assert!(parsed(&wrong_method.body)["error"].is_string());
}

#[test]
fn with_a_token_it_answers_nobody_else_and_shows_a_payload_if_asked() {
    let server = Server::start();
    let (outbox, daemon, _) = dashboard(&server);
    let [sent, ..] = three(&outbox, &server);
    let stranger = Client::of(&daemon);
    for path in ["/api/jobs", "/api/jobs/1", "/api/openapi.json"] {
        let answer = stranger.get(path).expect(401);
        assert!(parsed(&answer.body)["error"].as_str().unwrap().contains("token"));
    }
    let program = Client::of(&daemon).bearer();
    let job = program.get(&format!("/api/jobs/{sent}?payload=true")).expect(200);
    let with_payload = printed(&outbox, &["show", &sent.to_string(), "--json", "--payload"]);
    assert_eq!(parsed(&job.body), with_payload);
    job.shows("a text that stays secret");
    program.get(&format!("/api/jobs/{sent}")).expect(200).hides("secret");
}

#[test]
fn the_description_names_every_field_and_this_version() {
    let server = Server::start();
    let (outbox, _daemon, client) = for_reading(&server);
    let ids = three(&outbox, &server);
    let description = parsed(&client.get("/api/openapi.json").expect(200).body);
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    let schemas = &description["components"]["schemas"];
    let (job, whole) =
        (&schemas["Job"]["properties"], &schemas["WholeJob"]["allOf"][1]["properties"]);
    for id in ids {
        let answer = parsed(&client.get(&format!("/api/jobs/{id}")).expect(200).body);
        for field in answer.as_object().unwrap().keys() {
            assert!(
                job.get(field).or_else(|| whole.get(field)).is_some(),
                "{field} is not described"
            );
        }
    }
}

/// schemathesis sends what the description allows and what it does not, and compares the answers with it.
#[test]
#[ignore = "heavy: a thousand requests by schemathesis"]
fn the_answers_are_as_described() {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis/bin/schemathesis");
    if !tool.exists() {
        assert!(
            std::env::var_os("CI").is_none(),
            "schemathesis is not installed: {}",
            tool.display()
        );
        return skipped("there is no target/schemathesis (pip install schemathesis)");
    }
    let server = Server::start();
    let (outbox, daemon, _) = dashboard(&server);
    three(&outbox, &server);
    let report = check(&tool, &daemon);
    assert!(report.status.success(), "{}", String::from_utf8_lossy(&report.stdout));
}

fn check(tool: &Path, daemon: &Daemon) -> std::process::Output {
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,\
                  response_headers_conformance,response_schema_conformance";
    let folder = tempfile::tempdir().unwrap();
    Command::new(tool)
        .current_dir(folder.path())
        .args(["run", &format!("http://{}/api/openapi.json", daemon.listens_on())])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .args(["--checks", checks, "--max-examples", "60", "--seed", "1", "--no-color"])
        .output()
        .expect("schemathesis")
}
