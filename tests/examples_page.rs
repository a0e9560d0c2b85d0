//! docs/producers.md stays true: its statements and its program run as they stand.

use crate::support::{Database, Outbox, Program, Server, skipped, sqlite_only};
use acquire_outbox::queue::job::Channel;
use acquire_outbox::queue::payload;
use std::process::Command;
use tempfile::TempDir;

const PAGE: &str = include_str!("../docs/producers.md");

/// The fenced blocks of this language, without their fences.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    PAGE.split(&fence).skip(1).map(|rest| rest.split_once("\n```").unwrap().0).collect()
}

/// A statement, and the sentence that the page says it is refused with.
fn statements() -> Vec<(String, Option<String>)> {
    let mut all: Vec<(String, Option<String>)> = Vec::new();
    let mut statement = String::new();
    for line in blocks("sql").join("\n").lines() {
        if let Some(sentence) = line.strip_prefix("-- refused: ") {
            all.last_mut().unwrap().1 = Some(sentence.to_owned());
            continue;
        }
        statement.push_str(line);
        statement.push('\n');
        let within_trigger = statement.starts_with("CREATE TRIGGER") && line != "END;";
        if line.ends_with(';') && !within_trigger {
            all.push((std::mem::take(&mut statement), None));
        }
    }
    assert!(statement.is_empty(), "{statement}");
    all
}

#[test]
fn its_statements_do_what_it_says_one_after_the_other() {
    let folder = TempDir::new().unwrap();
    Program::in_folder(folder.path()).run(&["init"]).expect(0);
    let database = Database::at(folder.path().join("outbox.db"));
    let (mut refused, mut done) = (0, 0);
    for (statement, sentence) in statements() {
        match (database.try_query(&statement), sentence) {
            (Ok(_), None) => done += 1,
            (Err(error), Some(sentence)) => {
                assert!(error.contains(&sentence), "{error}\n{statement}");
                refused += 1;
            }
            (result, sentence) => panic!("{result:?} for {sentence:?}\n{statement}"),
        }
    }
    assert!(refused >= 10 && done >= 10, "{refused} {done}");
    assert_eq!(
        database.number("SELECT count(*) FROM outbox WHERE idempotency_key = 'invoice-118'"),
        1
    );
}

#[test]
fn its_program_sends_once() {
    sqlite_only!("its program is for a file; tests/examples has those for PostgreSQL");
    if Command::new("python3").arg("--version").output().is_err() {
        return skipped("python3 is not installed, the page's program was not run");
    }
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let [program] = blocks("python")[..] else { panic!("one program is expected") };
    for _ in 0..2 {
        let mut python = Command::new("python3");
        let ran = python.args(["-c", program]).current_dir(outbox.folder()).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        outbox.run_until_empty();
    }
    assert_eq!(server.words(), ["It arrives tomorrow."]);
    assert_eq!(outbox.number("SELECT count(*) FROM orders WHERE state = 'shipped'"), 1);
}

#[test]
fn its_tables_name_every_column_and_every_field() {
    for column in acquire_outbox::queue::transfer::PRODUCER_COLUMNS {
        assert!(PAGE.contains(&format!("\n| `{column}` |")), "{column}");
    }
    for channel in Channel::ALL {
        let row = PAGE.lines().find(|line| line.starts_with(&format!("| `{channel}` |"))).unwrap();
        for field in payload::known_fields(channel) {
            assert!(*field == "extra" || row.contains(&format!("`{field}`")), "{field} in {row}");
        }
    }
}

#[test]
fn replace_is_refused_and_the_daemons_columns_are_named() {
    let folder = TempDir::new().unwrap();
    Program::in_folder(folder.path()).run(&["init"]).expect(0);
    let database = Database::at(folder.path().join("outbox.db"));
    let insert = |verb: &str| {
        format!(
            "{verb} INTO outbox (channel, payload, idempotency_key)
             VALUES ('chat', '{{\"caseId\": 1, \"message\": \"hi\"}}', 'k')"
        )
    };
    database.query(&insert("INSERT"));
    for recursive in ["", "PRAGMA recursive_triggers = ON;"] {
        for verb in ["REPLACE", "INSERT OR REPLACE"] {
            let refused = database.try_query(&format!("{recursive} {}", insert(verb)));
            assert!(refused.unwrap_err().contains("not REPLACE"), "{recursive}");
        }
    }
    let columns = database.query("SELECT name FROM pragma_table_info('outbox') WHERE cid > 21");
    assert!(columns.len() >= 8, "{columns:?}");
    for column in columns {
        assert!(PAGE.contains(&format!("`{}`", column.text("name"))), "{column:?}");
    }
}

#[test]
fn a_foreign_key_keeps_a_job_from_being_deleted_unless_it_gives_way() {
    let server = Server::start();
    for (on_delete, code) in [("", 1), ("ON DELETE SET NULL", 0)] {
        let outbox = Outbox::new(&server);
        outbox.chat(1, "hi");
        outbox.run_until_empty();
        outbox.execute(&format!(
            "CREATE TABLE orders (message BIGINT REFERENCES outbox (id) {on_delete});
             INSERT INTO orders VALUES (1)"
        ));
        outbox.run(&["prune", "1"]).expect(code);
        assert_eq!(outbox.count("sent"), i64::from(code), "{on_delete}");
    }
}
