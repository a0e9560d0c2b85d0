//! The producers on a file, in eight languages.

use super::{built, go, node, programs, runtime, said};
use crate::support::{Outbox, Reply, Server};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const FOLDER: &str = "examples/producers";

fn command(program: &str, arguments: &[&str]) -> Command {
    super::command(FOLDER, program, arguments)
}

/// Plays a shop's day by the example: `start` gives the command that its arguments are added to.
fn is_a_good_producer(start: impl Fn() -> Command) {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let daemon = outbox.daemon();
    let path = outbox.database().path().to_str().unwrap().to_owned();
    let order = |id: &str, case: &str| start().args([&path, id, case]).output().unwrap();
    let of = |table: &str, id: &str| {
        outbox.database().number(&format!("SELECT count(*) FROM {table} WHERE {id}"))
    };

    let first = said(&order("7", "2069"), 0);
    let message = outbox.row(1).text("message_id").to_owned();
    assert_eq!(first, format!("order 7: sent, message {message}"));
    assert_eq!(server.words(), ["Order 7 has shipped."]);
    assert_eq!(of("orders", "id = 7 AND case_id = 2069"), 1);
    let row = outbox.row(1);
    assert_eq!(row.text("idempotency_key"), "order-7-shipped");
    assert_eq!(row.text("source"), "shop");
    assert_eq!(row.json("payload")["caseId"], 2069);

    // Twice is once: the order is there, and so is its message.
    assert_eq!(said(&order("7", "2069"), 0), first);
    // Where the order is not, the message's key alone keeps it from being sent again.
    outbox.execute("DELETE FROM orders");
    assert_eq!(said(&order("7", "2069"), 0), first);
    assert_eq!((of("orders", "1"), of("outbox", "1"), server.count()), (1, 1, 1));

    // A transaction that fails leaves neither.
    outbox.execute("INSERT INTO orders (id, case_id) VALUES (8, 1)");
    let failed = order("8", "2069");
    assert_eq!(said(&failed, 1), "order 8: no message");
    assert!(String::from_utf8_lossy(&failed.stderr).contains("nothing was written"), "{failed:?}");
    assert_eq!(of("outbox", "1"), 1);

    // What Acquire refuses is told.
    server.answer_with(|_| Reply::status(404));
    let refused = said(&order("9", "404"), 1);
    assert!(refused.starts_with("order 9: failed: ") && refused.contains("404"), "{refused}");
    drop(daemon);
}

#[test]
#[ignore = "heavy: every language"]
fn the_python_example_sends_once_and_rolls_back_whole() {
    let mut probe = command("python3", &["-c", "import sqlite3"]);
    if runtime("Python", &mut probe).is_some() {
        is_a_good_producer(|| command("python3", &["order.py"]));
    }
}

#[test]
#[ignore = "heavy: every language"]
fn the_node_example_sends_once_and_rolls_back_whole() {
    let mut probe = node(FOLDER, &["-e", "new (require('better-sqlite3'))(':memory:')"]);
    if runtime("Node.js", &mut probe).is_some() {
        is_a_good_producer(|| node(FOLDER, &["order.js"]));
    }
}

#[test]
#[ignore = "heavy: every language"]
fn the_go_example_sends_once_and_rolls_back_whole() {
    let folder = TempDir::new().unwrap();
    let program = folder.path().join("order");
    let driver = "github.com/mattn/go-sqlite3";
    if runtime("Go", &mut go(FOLDER, &["list", driver])).is_some() {
        built(&mut go(FOLDER, &["build", "-o", program.to_str().unwrap(), "order.go"]));
        is_a_good_producer(|| command(program.to_str().unwrap(), &[]));
    }
}

#[test]
#[ignore = "heavy: every language"]
fn the_php_example_sends_once_and_rolls_back_whole() {
    let mut probe = command("php", &["-r", "new PDO('sqlite::memory:');"]);
    if runtime("PHP", &mut probe).is_some() {
        is_a_good_producer(|| command("php", &["order.php"]));
    }
}

#[test]
#[ignore = "heavy: every language"]
fn the_ruby_example_sends_once_and_rolls_back_whole() {
    if runtime("Ruby", &mut command("ruby", &["-e", "require 'sqlite3'"])).is_some() {
        is_a_good_producer(|| command("ruby", &["order.rb"]));
    }
}

#[test]
#[ignore = "heavy: every language"]
fn the_java_example_sends_once_and_rolls_back_whole() {
    let folder = TempDir::new().unwrap();
    let classes = folder.path().to_str().unwrap();
    let driver = "/usr/share/java/sqlite-jdbc.jar";
    let mut probe = command("javac", &["-version"]);
    let probe = if Path::new(driver).exists() { &mut probe } else { &mut command("false", &[]) };
    if runtime("Java", probe).is_some() {
        // Compiled once rather than at each of its starts.
        built(&mut command("javac", &["-d", classes, "Order.java"]));
        let path = format!("{classes}:{driver}");
        is_a_good_producer(|| command("java", &["-cp", &path, "Order"]));
    }
}

#[test]
#[ignore = "heavy: every language"]
fn the_perl_example_sends_once_and_rolls_back_whole() {
    let mut probe = command("perl", &["-MDBD::SQLite", "-MJSON::PP", "-e", "1"]);
    if runtime("Perl", &mut probe).is_some() {
        is_a_good_producer(|| command("perl", &["order.pl"]));
    }
}

#[test]
#[ignore = "heavy: every language"]
fn the_shell_example_sends_once_and_rolls_back_whole() {
    if runtime("The shell's sqlite3", &mut command("sqlite3", &["-version"])).is_some() {
        is_a_good_producer(|| command("sh", &["order.sh"]));
    }
}

#[test]
#[ignore = "heavy: every language"]
fn the_readme_names_each_of_them() {
    let readme = include_str!("../../examples/producers/README.md");
    let names = programs(FOLDER);
    assert_eq!(names.len(), 8, "{names:?}");
    for name in names {
        assert!(readme.contains(&format!("{name} DATABASE ORDER_ID CASE_ID")), "{name}");
    }
}

#[test]
#[ignore = "heavy: every language"]
fn the_readmes_first_try_works_as_it_stands() {
    let mut probe = command("python3", &["-c", "import sqlite3"]);
    if runtime("Python", &mut probe).is_none() {
        return;
    }
    let readme = include_str!("../../examples/producers/README.md");
    let block = readme.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0;
    let folder = TempDir::new().unwrap();
    std::os::unix::fs::symlink(
        env!("CARGO_BIN_EXE_acquire-outbox"),
        folder.path().join("acquire-outbox"),
    )
    .unwrap();
    let here = block.replace("/tmp/", &format!("{}/", folder.path().display()));
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    // Whatever comes, the daemon in the background ends with the script.
    let script = format!("trap 'kill $!' EXIT\n{here}");
    let ran = command("sh", &["-e", "-c", &script]).env("PATH", path).output().unwrap();
    assert!(said(&ran, 0).contains("order 7: sent, message "), "{ran:?}");
}
