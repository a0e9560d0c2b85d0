//! `pg_dump` of the outbox's schema, and its restore into another database with another owner.

use super::Place;
use super::daemon::configured;
use crate::support::{Cluster, Job, PostgresDatabase, Program, SOON, Server, eventually};
use std::process::Command;

/// Jobs in several states, in the schema `messaging`.
fn filled(place: &Place) -> PostgresDatabase {
    let program = place.program().env("ACQUIRE_OUTBOX_SCHEMA", "messaging");
    program.run(&["init"]).expect(0);
    program.run(&["pause", "sms", "--reason", "a test"]).expect(0);
    let database = place.database.in_schema("messaging");
    for case in [1, 1, 2] {
        database.insert(&Job::chat(case, "words").sql());
    }
    let later = "UPDATE outbox SET send_at = now() + interval '1 day' WHERE id = 2";
    database.execute(later);
    database.execute("UPDATE outbox SET status = 'cancelled' WHERE id = 3");
    // A node was at work.
    database.execute(
        "INSERT INTO outbox_nodes (name, process, version, lease_until, bury_at)
         VALUES ('n', 'p', '1', now() + interval '1 s', now() + interval '2 s')",
    );
    database
}

fn done(command: &mut Command) {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Restores in this format; gives the copy, as its owner has it.
fn restored(cluster: &Cluster, place: &Place, format: &str) -> PostgresDatabase {
    let name = place.database.one("SELECT current_database()::text AS name");
    let (name, copy) = (name.text("name"), format!("copy_{format}_{}", name.text("name")));
    let owner = format!("owner_of_{copy}");
    cluster.named("postgres").execute(&format!("CREATE ROLE {owner} LOGIN"));
    cluster.named("postgres").execute(&format!("CREATE DATABASE {copy} OWNER {owner}"));
    let file = place.folder.path().join(format);
    let program = |name: &str, user: &str| {
        let mut command = Command::new(cluster.bin().join(name));
        command.arg("-h").arg(cluster.folder()).args(["-U", user]);
        command
    };
    let dump = ["--format", format, "--schema", "messaging", "--no-owner", "--no-privileges"];
    done(program("pg_dump", "postgres").args(dump).arg("-f").arg(&file).arg(name));
    match format {
        "plain" => done(
            program("psql", &owner)
                .args(["-qX", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-d", &copy])
                .arg("-f")
                .arg(&file),
        ),
        _ => done(program("pg_restore", &owner).args(["--no-owner", "-d", &copy]).arg(&file)),
    }
    let folder = cluster.folder().display();
    PostgresDatabase::at(&format!("postgres://{owner}@localhost/{copy}?host={folder}"))
}

#[test]
fn a_restored_dump_is_the_same_outbox() {
    let Some(place) = Place::fresh() else { return };
    let Some(cluster) = Cluster::shared() else { return };
    let of = filled(&place);
    let all = "SELECT * FROM outbox ORDER BY id";
    for format in ["plain", "custom"] {
        let copy = restored(cluster, &place, format);
        let program = Program::in_folder(place.folder.path())
            .env("ACQUIRE_OUTBOX_DATABASE", copy.url())
            .env("ACQUIRE_OUTBOX_SCHEMA", "messaging");
        // Complete: as what is missing or changed is named.
        let script = program.run(&["init", "--dry-run"]).expect(0).stdout;
        assert!(script.contains("up to date") && !script.contains("would repair"), "{script}");
        let init = program.run(&["init"]).expect(0);
        assert!(!init.output().contains("restored"), "{init:?}");
        let copy = copy.in_schema("messaging");
        assert_eq!(copy.query(all), of.query(all), "{format}");
        let paused = program.run(&["status", "--json"]).expect(0).json();
        assert_eq!(paused["pauses"].as_array().map(Vec::len), Some(1), "{paused}");
        // Ids go on, and the rules hold.
        assert_eq!(copy.insert(&Job::chat(1, "next").sql()), 4, "{format}");
        let refused = copy.try_query("UPDATE outbox SET attempts = 9 WHERE id = 1");
        assert!(refused.unwrap_err().contains("outbox.attempts"), "{format}");
        program.run(&["cancel", "2"]).expect(0);
        // The node in the copy holds nobody up for longer than a dead one.
        program.run(&["pause", "--all"]).expect(0);
        let server = Server::start();
        let node = configured(&place, &server).env("ACQUIRE_OUTBOX_DATABASE", copy.url());
        let _node = node.start(&["run"]).ready();
        let buried =
            "SELECT count(*) FROM outbox_nodes WHERE name = 'n' AND settled_at IS NOT NULL";
        eventually(SOON, "buried", || copy.number(buried) == 1);
    }
}
