//! `grants`: what each role may do, tried as that role.

use super::Place;
use super::daemon::configured;
use crate::support::{PostgresDatabase, Server, never_shows};
use serde_json::json;
use std::fs;

const CHAT: &str = "INSERT INTO outbox (channel, payload, source) VALUES \
    ('chat', '{\"caseId\": 1, \"message\": \"secret words\"}', 'SOURCE')";

fn insert(source: &str) -> String {
    CHAT.replace("SOURCE", source)
}

/// Roles belong to the whole cluster, which other tests use, too: their names carry the database's.
struct Roles {
    place: Place,
    database: PostgresDatabase,
    prefix: String,
}

impl Roles {
    /// An outbox in the schema `messaging`, and these roles with what `grants` gives them.
    #[track_caller]
    fn with(duties: &[&str], more: &[&str]) -> Option<Roles> {
        let place = Place::fresh()?;
        let name = place.database.one("SELECT current_database()::text AS name");
        let prefix = format!("{} role's ", name.text("name"));
        let program = place.program().env("ACQUIRE_OUTBOX_SCHEMA", "messaging");
        program.run(&["init"]).expect(0);
        let database = place.database.in_schema("messaging");
        let mut arguments = vec!["grants".to_owned()];
        for duty in duties {
            database.execute(&format!("CREATE ROLE \"{prefix}{duty}\""));
            arguments
                .extend([format!("--{}", duty.trim_end_matches('2')), format!("{prefix}{duty}")]);
        }
        arguments.extend(more.iter().map(|&word| word.to_owned()));
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let script = program.run(&arguments).expect(0).stdout;
        // A second time it changes nothing.
        database.execute(&script);
        database.execute(&script);
        Some(Roles { place, database, prefix })
    }

    /// Lets this role log in, and gives the database's URL for it. The cluster trusts whoever connects.
    fn login(&self, duty: &str) -> String {
        self.database.execute(&format!("ALTER ROLE \"{}{duty}\" LOGIN", self.prefix));
        let user = format!("{}{duty}", self.prefix).replace(' ', "%20");
        self.database.url().replace("postgres@", &format!("{user}@"))
    }

    /// Runs statements as this role: their rows, or what the database said.
    fn try_as(&self, duty: &str, sql: &str) -> Result<usize, String> {
        let sql = format!("SET ROLE \"{}{duty}\"; {sql}", self.prefix);
        self.database.try_query(&sql).map(|rows| rows.len())
    }

    #[track_caller]
    fn may(&self, duty: &str, sql: &str) -> usize {
        self.try_as(duty, sql).unwrap_or_else(|e| panic!("{duty}: {e}\nin: {sql}"))
    }

    #[track_caller]
    fn must_not(&self, duty: &str, sql: &str) {
        let refused = self.try_as(duty, sql).expect_err(sql);
        let words = ["permission denied", "row-level security"];
        assert!(words.iter().any(|word| refused.contains(word)), "{duty}: {refused}\nin: {sql}");
        never_shows("the refusal", &refused, "secret words");
    }
}

#[test]
fn a_producer_inserts_cancels_and_retries_and_reads_no_message() {
    let Some(roles) = Roles::with(&["producer"], &[]) else { return };
    let producer = "producer";
    roles.may(producer, &format!("{} RETURNING id", insert("a")));
    roles.may(
        producer,
        "INSERT INTO outbox (channel, payload, idempotency_key) VALUES \
         ('chat', '{\"caseId\": 2, \"message\": \"x\"}', 'k') ON CONFLICT (idempotency_key) DO NOTHING",
    );
    // The slow path of the trigger, which names the fault.
    let refused = roles.try_as(producer, &insert("a").replace("\"caseId\"", "\"kaseId\""));
    assert!(refused.unwrap_err().contains("caseId"));
    assert_eq!(roles.may(producer, "SELECT status, error FROM delivery_status"), 2);
    roles.may(producer, "UPDATE outbox SET status = 'cancelled' WHERE id = 1");
    roles.may(producer, "UPDATE outbox SET status = 'pending' WHERE id = 1");
    roles.may(producer, "UPDATE outbox SET send_at = now() + interval '1 hour' WHERE id = 1");
    let machine = roles.try_as(producer, "UPDATE outbox SET status = 'sent' WHERE id = 1");
    assert!(machine.unwrap_err().contains("pending"));
    for refused in [
        "SELECT payload FROM outbox",
        "SELECT * FROM outbox",
        "UPDATE outbox SET payload = '{}'",
        "UPDATE outbox SET moves = moves + 1",
        "UPDATE outbox SET attempts = 7",
        "UPDATE outbox SET wait = 'ready'",
        "INSERT INTO outbox (channel, payload, moves) VALUES ('chat', '{}', 0)",
        "DELETE FROM outbox",
        "TRUNCATE outbox",
        "SELECT * FROM outbox_attempts",
        "INSERT INTO outbox_pauses DEFAULT VALUES",
        "INSERT INTO outbox_nodes (name, lease_until, bury_at) VALUES ('x', now(), now())",
        "DELETE FROM outbox_elections",
    ] {
        roles.must_not(producer, refused);
    }
}

#[test]
fn a_producer_leaves_ids_out_only_where_they_are_filled_in() {
    let Some(roles) = Roles::with(&["producer"], &[]) else { return };
    let insert = |channel: &str, payload: serde_json::Value| {
        format!("INSERT INTO outbox (channel, payload) VALUES ('{channel}', '{payload}')")
    };
    let sms = insert(
        "sms",
        json!({"From": "+12513188609", "To": "+919666929552", "Body": "secret words", "contactId": 3}),
    );
    let mail = insert(
        "mail",
        json!({"contactId": 3, "from": "a@example.com", "to": "b@example.com", "subject": "hi",
            "textBody": "secret words"}),
    );
    let refuses_both = || {
        for (sql, field) in [(&sms, "threadId"), (&mail, "caseId")] {
            let refused = roles.try_as("producer", sql).unwrap_err();
            let sentence = format!("outbox.payload.{field}: required for ");
            assert!(refused.contains(&sentence), "{refused}");
            never_shows("the refusal", &refused, "secret words");
        }
    };
    let init = |setting: &str| {
        let file = roles.place.folder.path().join("outbox.toml");
        let channels =
            ["sms", "mail"].map(|name| format!("[channels.{name}]\nfill_missing = {setting}\n"));
        fs::write(&file, channels.concat()).unwrap();
        let program = roles.place.program().env("ACQUIRE_OUTBOX_SCHEMA", "messaging");
        program.env("ACQUIRE_OUTBOX_CONFIG", file.to_str().unwrap()).run(&["init"]).expect(0);
    };
    refuses_both();
    init("true");
    roles.may("producer", &sms);
    roles.may("producer", &mail);
    let text = sms.replace("\"contactId\":3", "\"contactId\":3,\"threadId\":\"7\"");
    assert!(roles.try_as("producer", &text).unwrap_err().contains("outbox.payload.threadId: "));
    roles.must_not("producer", "INSERT INTO outbox_fill_missing VALUES ('chat')");
    roles.must_not("producer", "DELETE FROM outbox_fill_missing");
    init("false");
    refuses_both();
    assert_eq!(roles.database.number("SELECT count(*) FROM outbox"), 2);
}

#[test]
fn a_producer_by_source_sees_its_own_jobs_alone() {
    let Some(roles) =
        Roles::with(&["producer", "producer2", "reader", "operator", "node"], &["--by-source"])
    else {
        return;
    };
    let name = |duty: &str| format!("{}{duty}", roles.prefix).replace('\'', "''");
    for producer in ["producer", "producer2"] {
        roles.may(producer, &insert(&name(producer)));
        assert_eq!(roles.may(producer, "SELECT payload FROM outbox"), 1);
        assert_eq!(roles.may(producer, "SELECT id FROM delivery_status"), 1);
    }
    roles.must_not("producer", &insert(&name("producer2")));
    roles.must_not("producer", &insert("other"));
    let all = "UPDATE outbox SET payload = '{\"caseId\": 1, \"message\": \"rewritten\"}', status = 'cancelled'";
    roles.may("producer", all);
    let count = |status: &str| format!("SELECT count(*) FROM outbox WHERE status = '{status}'");
    assert_eq!(roles.database.number(&count("cancelled")), 1);
    assert_eq!(roles.database.number(&count("pending")), 1);
    roles.must_not("producer", &format!("UPDATE outbox SET source = '{}'", name("producer2")));
    for everyone in ["reader", "operator", "node"] {
        assert_eq!(roles.may(everyone, "SELECT id FROM outbox"), 2);
        assert_eq!(roles.may(everyone, "SELECT id FROM delivery_status"), 2);
    }
}

#[test]
fn readers_and_operators_can_use_their_commands() {
    let Some(roles) = Roles::with(&["reader", "operator"], &[]) else { return };
    roles.database.execute(&insert("a"));
    let run = |duty: &str, arguments: &[&str]| {
        let program = roles.place.program().env("ACQUIRE_OUTBOX_SCHEMA", "messaging");
        program.env("ACQUIRE_OUTBOX_DATABASE", roles.login(duty)).run(arguments)
    };
    for read in [&["status"][..], &["list"], &["nodes", "--all"], &["status", "--json"]] {
        for duty in ["reader", "operator"] {
            never_shows("a list", &run(duty, read).expect(0).output(), "secret words");
        }
    }
    run("reader", &["cancel", "1"]).expect(1);
    run("operator", &["show", "1"]).expect(0);
    run("operator", &["cancel", "1"]).expect(0);
    run("operator", &["retry", "1"]).expect(0);
    run("operator", &["cancel", "1"]).expect(0);
    fs::write(
        roles.place.folder.path().join("new.json"),
        r#"{"caseId": 1, "message": "corrected words"}"#,
    )
    .unwrap();
    run("operator", &["retry", "1", "--payload", "new.json"]).expect(0);
    // Who may read no message may read no earlier one either.
    assert_eq!(
        roles.may(
            "reader",
            "SELECT id, job_id, at, deed, origin, name, detail, keeps_payload FROM outbox_acts"
        ),
        5
    );
    roles.must_not("reader", "SELECT payload FROM outbox_acts");
    roles.must_not("reader", "DELETE FROM outbox_acts");
    assert_eq!(roles.may("operator", "SELECT payload FROM outbox_acts"), 5);
    roles.must_not("operator", "UPDATE outbox_acts SET name = 'another'");
    roles.must_not("operator", "SELECT outbox_act(1, 'retry', NULL, NULL)");
    run("operator", &["pause", "chat"]).expect(0);
    run("operator", &["resume", "chat"]).expect(0);
    run("operator", &["send", "chat", "--case-id", "5", "--message", "x"]).expect(0);
    run("operator", &["export", "--payload"]).expect(0);
    run("operator", &["cancel", "1"]).expect(0);
    run("operator", &["prune", "1"]).expect(0);
    assert_eq!(roles.database.number("SELECT count(*) FROM outbox"), 1);
}

/// The role owns nothing, and the channel has a rate.
#[test]
fn a_node_dispatches_with_nothing_but_its_grants() {
    let Some(roles) = Roles::with(&["node"], &[]) else { return };
    let server = Server::start();
    let program = configured(&roles.place, &server);
    let file = roles.place.folder.path().join("outbox.toml");
    let config = fs::read_to_string(&file).unwrap();
    let rest = "[channels.chat]\nrate = \"100/s\"\n[retention]\nsent = \"1ms\"\n";
    fs::write(&file, format!("{config}{rest}")).unwrap();
    for _ in 0..3 {
        roles.database.execute(&insert("a"));
    }
    let node = roles.login("node");
    let ended = program.env("ACQUIRE_OUTBOX_DATABASE", &node).run(&["run", "--until-empty"]);
    let log = ended.expect(0).output();
    assert_eq!(server.count(), 3, "{log}");
    assert!(!log.contains("permission denied"), "{log}");
    let right =
        "SELECT (has_table_privilege('ROLE', 'outbox_answers', 'SELECT, INSERT, DELETE'))::int";
    let role = format!("{}node", roles.prefix).replace('\'', "''");
    assert_eq!(roles.database.number(&right.replace("ROLE", &role)), 1);
}

#[test]
fn a_file_has_no_roles_and_no_role_is_wrong_usage() {
    let folder = tempfile::TempDir::new().unwrap();
    let program = crate::support::Program::in_folder(folder.path());
    program.run(&["grants"]).expect(2);
    let refused = program.run(&["grants", "--producer", "app"]).expect(78);
    assert!(refused.stderr.contains("has no roles"), "{refused:?}");
}
